"""The State tab: the status of resources, and the run history."""

import streamlit as st

import data
import texts

ALL = "All"
SHOWN = {
    "RESOURCE": "Resource",
    "STREAM": "Stream",
    "STARTED_AT": "Started",
    "MODE": "Mode",
    "STATUS": "Status",
    "INSERTED": "Inserted",
    "UPDATED": "Updated",
    "DELETED": "Deleted",
    "REJECTED": "Rejected",
    "REQUESTS": "Requests",
    "SECONDS": "Duration (s)",
    "WAITED": "Waited (s)",
    "ERROR": "Error",
}


def show(status):
    """Key figures, failures, the run history and its charts."""
    if status["configuration_status"] == "INSTALLED":
        st.info("Configure the connector first, on the Configuration tab.")
        return
    resources = status["resources"]
    figures(resources)
    for resource in resources:
        for failing in failures(resource):
            name = texts.name(status, resource["name"], failing["name"])
            st.error(f"{texts.escaped(name)}: {texts.escaped(failure_message(resource, failing))}")
    streams = status["streams"]
    # In a database that no container of this version has upgraded yet, runs have no streams.
    several = len(streams) > 1 and status["runs_have_streams"]
    left, *middle, right = st.columns([2, 1, 1] if several else [3, 1])
    resource = chosen(left.selectbox("Resource", [ALL] + [resource["name"] for resource in resources], key="runs_of"))
    stream = chosen(middle[0].selectbox("Stream", [ALL, *streams], key="runs_of_stream")) if several else None
    limit = right.number_input("Maximum runs", min_value=10, max_value=1000, value=100, step=10, key="runs_limit")
    if "configuration" in status:
        runs = data.runs(status["configuration"]["destination_database"], resource, stream, limit, several)
    else:
        runs = data.runs_for_viewers(status["runs"], resource, stream, limit)
    if not len(runs):
        st.info("No run has changed any data yet.")
        return
    history(runs, several and any(texts.needs_name(status, stream) for stream in runs["STREAM"]))


def chosen(name):
    """The name that the user has selected; None for all."""
    return None if name == ALL else name


def failures(resource):
    """The streams of a resource whose last run or last container failed. A stream that is no longer selected does not count."""
    selected = [stream for stream in resource["streams"] if stream["selected"]]
    return [stream for stream in selected or resource["streams"] if is_failing(resource, stream)]


def is_failing(resource, stream):
    """Whether the last run of a stream or its last container failed."""
    status, run = (stream["state"] or {}).get("status"), stream["last_run"] or {}
    failed = status == "failed" or (status == "partial" and bool(run.get("error")))
    return failed or stream["name"] in (resource["last_job"] or {}).get("failed_streams", [])


def failure_message(resource, stream):
    """Why a stream is failing."""
    error = (stream["last_run"] or {}).get("error") or {}
    message = (stream["state"] or {}).get("message") or (resource["last_job"] or {}).get("message")
    return message or f"failed: {error.get('kind', 'unknown')}"


def figures(resources):
    """The number of enabled and failing resources, and the last change."""
    failing = sum(bool(failures(resource)) for resource in resources)
    newest = max((texts.format_time(resource["last_run"]["started_at"]) for resource in resources if resource["last_run"]), default="")
    one, two, three = st.columns(3)
    one.metric("Enabled", sum(resource["enabled"] for resource in resources))
    two.metric("Failing", failing)
    three.metric("Last change (UTC)", newest or "none yet")


def history(runs, has_streams):
    """The table of runs, with their streams if `has_streams`, and charts of rows, duration and waiting."""
    runs = runs.assign(SECONDS=runs["TOTAL_MS"].astype(float) / 1000, WAITED=runs["WAITED_MS"].astype(float) / 1000)
    counts = ["INSERTED", "UPDATED", "DELETED"]
    ordered = runs.iloc[::-1].reset_index(drop=True)
    # Charts sort bars by these names; the number keeps runs with the same start apart.
    ordered.index = [f"{number + 1:04} · {texts.format_time(at)[5:16]}" for number, at in enumerate(ordered["STARTED_AT"])]
    st.markdown("**Rows per run**")
    st.bar_chart(ordered[counts].astype(float).rename(columns=SHOWN), use_container_width=True)
    left, right = st.columns(2)
    with left:
        st.markdown("**Duration of each run, in seconds**")
        st.bar_chart(ordered[["SECONDS"]].rename(columns=SHOWN), use_container_width=True)
    with right:
        st.markdown("**Time spent waiting for rate limits, in seconds**")
        st.bar_chart(ordered[["WAITED"]].rename(columns=SHOWN), use_container_width=True)
    shown = runs[[name for name in SHOWN if has_streams or name != "STREAM"]].rename(columns=SHOWN)
    shown["Started"] = shown["Started"].map(texts.format_time)
    for column in ("Resource", "Stream", "Error") if has_streams else ("Resource", "Error"):
        shown[column] = shown[column].fillna("").map(texts.plain)
    st.dataframe(shown.set_index("Started"), use_container_width=True)
