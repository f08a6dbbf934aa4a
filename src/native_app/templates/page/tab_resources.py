"""The Resources tab: enable, change and delete resources."""

import pandas
import streamlit as st

import data
import texts


def show(status):
    """A form that enables a resource, the table of all resources, and the actions for one of them."""
    kind = status["resource_kind"]
    if status["configuration"] is None:
        st.info("Configure the connector first, on the Configuration tab.")
        return
    add(status)
    resources = status["resources"]
    if not resources:
        st.info(f"No {texts.escaped(kind)} is enabled yet.")
        return
    st.dataframe(table(status), use_container_width=True)
    name = st.selectbox(kind.capitalize(), [resource["name"] for resource in resources], key="chosen")
    chosen = next(resource for resource in resources if resource["name"] == name)
    with st.container():
        warn(chosen)
    change(status, chosen)
    run(status, chosen)
    confirm_deletions(status, chosen)
    delete(chosen)


def add(status):
    """A form that enables a resource."""
    kind = status["resource_kind"]
    with st.form("enable", clear_on_submit=True):
        left, right = st.columns([4, 1])
        name = left.text_input(f"Enable a {texts.escaped(kind)}", key="new_resource", placeholder=status["resource_form"])
        right.write("")
        right.write("")
        pressed = right.form_submit_button("Enable", type="primary")
        streams = choose_streams(status, status["default_streams"], "new_streams")
    if pressed and not name.strip():
        st.error(f"Enter the name of the {texts.escaped(kind)}.")
    elif pressed:
        # The defaults are not passed on: a new resource has them anyway, and another one keeps its selection.
        enable(name.strip(), *([] if streams == status["default_streams"] else [streams]), doing="Starting its first run…")


def choose_streams(status, selected, key):
    """Lets the user choose streams, in the source's order. A source with one stream needs no choice."""
    if len(status["streams"]) == 1:
        return status["default_streams"]
    chosen = st.multiselect("Streams", status["streams"], default=selected, key=key)
    return [name for name in status["streams"] if name in chosen]


def enable(name, *streams, doing="Working…"):
    """Enables a resource, with these streams if any are given."""
    if streams == ([],):
        st.error("Select at least one stream.")
    else:
        data.run_action("ENABLE_RESOURCE", name, *streams, doing=doing)


def table(status):
    """The table of all resources: a row for each stream, with its name where a resource's name does not stand for it."""
    resources, schedule = status["resources"], status["configuration"]["schedule"]
    named = any(texts.needs_name(status, stream["name"]) for resource in resources for stream in resource["streams"])
    lines = []
    for resource in resources:
        lines += [line(resource, stream, schedule, {"Stream": stream["name"]} if named else {}) for stream in resource["streams"]]
        if not resource["streams"]:
            lines.append(line(resource, resource, schedule, {"Stream": ""} if named else {}))
    return pandas.DataFrame(lines).set_index("Name")


def line(resource, found, schedule, names):
    """One row of the table. `found` is the resource or one of its streams; `names` are further cells."""
    run, job = found["last_run"] or {}, resource["last_job"] or {}
    failed = is_failed(resource, found) and not resource["container"]
    state = "failed" if failed else (found["state"] or {}).get("status", "not run yet")
    is_read = found.get("selected", True) or not resource["configured"]
    return {
        "Name": texts.plain(resource["name"]),
        **names,
        "Enabled": "yes" if resource["enabled"] and is_read else "no",
        "Schedule": resource["schedule"] or f"{schedule} (default)",
        "State": (texts.CONTAINERS.get(resource["container"]) or state) if is_read else "not selected",
        "Last run": texts.format_time(run.get("started_at")),
        "Rows changed": sum(run["counts"][count] for count in ("inserted", "updated", "deleted")) if run else 0,
        "Message": texts.plain(resource["problem"] or (found["state"] or {}).get("message") or (job["message"] if failed else "")),
    }


def is_failed(resource, found):
    """Whether the last container failed for a resource or for one of its streams."""
    job = resource["last_job"] or {}
    return bool(job.get("failed")) and (found is resource or found["name"] in job["failed_streams"])


def warn(resource):
    """Warns about a resource that is skipped, has failed too often, or whose task is suspended."""
    job = resource["last_job"] or {}
    if resource["problem"]:
        st.error(f"It is skipped: {texts.escaped(resource['problem'])}")
    if resource["dropped_streams"]:
        dropped = texts.escaped(", ".join(resource["dropped_streams"]))
        st.warning(f"This version of the connector has no streams named {dropped}, which are selected. Set the streams again.")
    if resource["suspended"]:
        st.warning(
            f"Its runs have failed {int(resource['failures'])} times in a row, so the schedule no longer starts it. Enable it again "
            "when the cause is fixed."
        )
    elif resource["enabled"] and is_suspended(resource):
        st.warning("Its task has been suspended. Enable it again to resume the task.")
    if job.get("failed") and not resource["container"]:
        st.error(texts.describe({"response_code": job["code"], "message": job["message"]}))


def is_suspended(resource):
    """Whether the task of its schedule is suspended."""
    return (resource["task"] or {}).get("state") == "suspended"


def change(status, resource):
    """The buttons Enable and Disable, the schedule, and the streams if the source has several."""
    name = resource["name"]
    left, right = st.columns(2)
    with left:
        if resource["enabled"]:
            if st.button("Disable", key="disable"):
                data.run_action("DISABLE_RESOURCE", name)
            stopped = resource["suspended"] or (is_suspended(resource) and status["status"] == "STARTED")
            if stopped and st.button("Enable again", key="enable_again"):
                enable(name)
        elif st.button("Enable", key="enable_again"):
            enable(name)
    with right, st.form("schedule_form"):
        schedule = st.text_input(
            "Its own schedule",
            value=resource["schedule"] or "",
            help="An interval such as 30m, or a cron expression in UTC. If empty: the connector's schedule.",
            key=f"schedule_{name}",
        )
        if st.form_submit_button("Set", disabled=not resource["configured"]):
            data.run_action("UPDATE_RESOURCE", name, schedule.strip() or None)
    if len(status["streams"]) > 1:
        with st.form("streams_form"):
            selected = [stream["name"] for stream in resource["streams"] if stream["selected"]]
            # A new selection, which has the required streams, too, needs a new field.
            key = f"streams_{name}_{'_'.join(selected)}"
            streams = choose_streams(status, selected or status["default_streams"], key)
            st.caption("A stream that you add is read from its start. The rows of one that you remove stay, and are no longer updated.")
            pressed = st.form_submit_button("Set streams" if resource["enabled"] else "Enable with these streams")
        if pressed:
            # The default streams follow those of later versions.
            enable(name, ["default"] if streams == status["default_streams"] else streams)


def run(status, resource):
    """The buttons that start a run, and Reset; with a choice of streams if the source has several."""
    if status["configuration"]["scheduler"] == "outside":
        return
    name, only = resource["name"], choose_some_streams(status, resource)
    left, middle, right, _ = st.columns([1, 1, 1, 3])
    blocked = cannot_start(status, resource)
    if left.button("Ingest now", key="ingest", disabled=blocked, help="Reads new and changed records."):
        data.run_action("INGEST_DATA", name, *only, doing="Starting a container…")
    if middle.button(
        "Reconcile", key="reconcile", disabled=blocked, help="Reads everything, and marks missing rows as deleted."
    ):
        data.run_action("RECONCILE_RESOURCE", name, *([False, *only] if only else []), doing="Starting a container…")
    if right.button("Reset", key="reset", help="The next run reads everything again. Rows stay."):
        data.run_action("RESET_RESOURCE", name, *only, doing="Resetting…")


def choose_some_streams(status, resource):
    """Lets the user choose the only streams to read or to reset. Returns a list with them as an argument, or an empty list."""
    if len(status["streams"]) == 1:
        return []
    chosen = st.multiselect(
        "Only these streams",
        status["streams"],
        key=f"only_{resource['name']}",
        help="If empty, a run reads the selected streams, and Reset resets all.",
    )
    return [chosen] if chosen else []


def cannot_start(status, resource):
    """Whether a run cannot be started now."""
    is_off = status["status"] != "STARTED" or not resource["enabled"] or bool(resource["problem"])
    return is_off or resource["container"] is not None


def confirm_deletions(status, resource):
    """Asks for confirmation if the last reconcile run found too many rows to mark as deleted."""
    asked = resource["deletions_to_confirm"]
    if asked is None:
        return
    rows = "1 row" if asked["rows"] == 1 else f"{int(asked['rows'])} rows"
    named = any(texts.needs_name(status, stream) for stream in asked["streams"])
    streams = f" of {', '.join(asked['streams'])}" if named else ""
    st.warning(
        f"The last reconcile run{texts.escaped(streams)} marked nothing as deleted and needs your confirmation. The source no longer "
        f"lists {rows} that are "
        f"stored. Message: {texts.escaped(asked['message'])}\n\nCheck the source first: a token that lost access, or a feature that "
        "was switched off, has the same effect."
    )
    if status["configuration"]["scheduler"] == "outside":
        st.caption("Ingestion runs outside Snowflake: confirm there, with `ingest --reconcile --allow-deletions`.")
        return
    # A confirmation is valid for one run.
    sure = st.checkbox(f"Yes, mark up to {rows} as deleted", key=f"sure_deletions_{asked['run']}")
    if st.button("Reconcile and mark as deleted", key="allow_deletions", disabled=not sure or cannot_start(status, resource)):
        data.run_action("RECONCILE_RESOURCE", resource["name"], True, doing="Starting a container…")


def delete(resource):
    """Deletes the resource, after a confirmation."""
    name = resource["name"]
    # Not in an expander: old versions of Streamlit close it when anything above it changes.
    st.markdown("**Delete**")
    with_data = st.checkbox("Also delete its rows and its history", key=f"with_data_{name}")
    sure = st.checkbox(f"Yes, delete {texts.escaped(name)}", key=f"sure_{name}")
    if st.button("Delete now", key="delete", disabled=not sure):
        data.run_action("DELETE_RESOURCE", name, with_data)
