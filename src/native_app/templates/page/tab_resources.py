"""The tab on which resources are enabled, changed and removed."""

import pandas
import streamlit as st

import data
import texts


def show(status):
    """A form for a new one, then the table of all, then what can be done with one of them."""
    kind = status["resource_kind"]
    if status["configuration"] is None:
        st.info("Configure the connector first, on the tab Configuration.")
        return
    add(kind, status["resource_form"])
    resources = status["resources"]
    if not resources:
        st.info(f"No {texts.escaped(kind)} is enabled yet.")
        return
    st.dataframe(table(resources, status["configuration"]["schedule"]), use_container_width=True)
    name = st.selectbox(kind.capitalize(), [resource["name"] for resource in resources], key="chosen")
    chosen = next(resource for resource in resources if resource["name"] == name)
    with st.container():
        warn(chosen)
    change(status, chosen)
    run(status, chosen)
    confirm_deletions(status, chosen)
    delete(chosen)


def add(kind, form):
    """A form that enables one, whose name has this form."""
    with st.form("enable", clear_on_submit=True):
        left, right = st.columns([4, 1])
        name = left.text_input(f"Enable a {texts.escaped(kind)}", key="new_resource", placeholder=form)
        right.write("")
        right.write("")
        pressed = right.form_submit_button("Enable", type="primary")
    if pressed and name.strip():
        data.act("ENABLE_RESOURCE", name.strip(), doing="Starting its first run…")
    elif pressed:
        st.error(f"Name the {texts.escaped(kind)}.")


def table(resources, schedule):
    """All of them, for people."""
    return pandas.DataFrame([line(resource, schedule) for resource in resources]).set_index("Name")


def line(resource, schedule):
    """One of them."""
    run, job = resource["last_run"] or {}, resource["last_job"] or {}
    state = (resource["state"] or {}).get("status", "not run yet")
    failed = bool(job.get("failed")) and not resource["container"]
    return {
        "Name": texts.plain(resource["name"]),
        "Enabled": "yes" if resource["enabled"] else "no",
        "Schedule": resource["schedule"] or f"{schedule} (default)",
        "State": texts.CONTAINERS.get(resource["container"]) or ("failed" if failed else state),
        "Last run": texts.moment(run.get("started_at")),
        "Rows changed": sum(run["counts"][count] for count in ("inserted", "updated", "deleted")) if run else 0,
        "Message": texts.plain(
            resource["problem"] or (resource["state"] or {}).get("message") or (job["message"] if failed else "")
        ),
    }


def warn(resource):
    """Says when it is left out because it has failed too often, or when its task has been suspended."""
    job = resource["last_job"] or {}
    if resource["problem"]:
        st.error(f"It is skipped: {texts.escaped(resource['problem'])}")
    if resource["suspended"]:
        st.warning(
            f"Its runs have failed {int(resource['failures'])} times in a row, and it is no longer started. Enable it again once the cause "
            "is fixed."
        )
    elif resource["enabled"] and is_suspended(resource):
        st.warning("Its task has been suspended. Enable it again to resume the task.")
    if job.get("failed") and not resource["container"]:
        st.error(texts.told({"response_code": job["code"], "message": job["message"]}))


def is_suspended(resource):
    """Whether the task of its schedule does not run."""
    return (resource["task"] or {}).get("state") == "suspended"


def change(status, resource):
    """Enable, disable, and another schedule."""
    name = resource["name"]
    left, right = st.columns(2)
    with left:
        if resource["enabled"]:
            if st.button("Disable", key="disable"):
                data.act("DISABLE_RESOURCE", name)
            stopped = resource["suspended"] or (is_suspended(resource) and status["status"] == "STARTED")
            if stopped and st.button("Enable again", key="enable_again"):
                data.act("ENABLE_RESOURCE", name)
        elif st.button("Enable", key="enable_again"):
            data.act("ENABLE_RESOURCE", name)
    with right, st.form("schedule_form"):
        schedule = st.text_input(
            "Its own schedule",
            value=resource["schedule"] or "",
            help="An interval such as 30m, or a cron expression in UTC. Left empty: the connector's.",
            key=f"schedule_{name}",
        )
        if st.form_submit_button("Set", disabled=not resource["configured"]):
            data.act("UPDATE_RESOURCE", name, schedule.strip() or None)


def run(status, resource):
    """What is done in a container now."""
    if status["configuration"]["scheduler"] == "outside":
        return
    left, middle, right, _ = st.columns([1, 1, 1, 3])
    idle = is_idle(status, resource)
    if left.button("Ingest now", key="ingest", disabled=idle, help="Reads what is new."):
        data.act("INGEST_DATA", resource["name"], doing="Starting a container…")
    if middle.button(
        "Reconcile", key="reconcile", disabled=idle, help="Reads everything, and marks deleted what is gone."
    ):
        data.act("RECONCILE_RESOURCE", resource["name"], doing="Starting a container…")
    if right.button("Reset", key="reset", help="The next run reads everything anew. Rows stay."):
        data.act("RESET_RESOURCE", resource["name"], doing="Resetting…")


def is_idle(status, resource):
    """Whether no run can be started now."""
    is_off = status["status"] != "STARTED" or not resource["enabled"] or bool(resource["problem"])
    return is_off or resource["container"] is not None


def confirm_deletions(status, resource):
    """What the last reconcile run has asked, where it has: whether rows that the source no longer lists may be marked deleted."""
    asked = resource["deletions_to_confirm"]
    if asked is None:
        return
    rows = "1 row" if asked["rows"] == 1 else f"{int(asked['rows'])} rows"
    st.warning(
        f"The last reconcile run has marked nothing deleted, and asks. The source no longer lists {rows} that are stored. "
        f"What it said: {texts.escaped(asked['message'])}\n\nCheck the source first: a token that has lost access, or a feature "
        "that was switched off, looks like this."
    )
    if status["configuration"]["scheduler"] == "outside":
        st.caption("Ingestion runs outside of Snowflake: confirm there, with `ingest --reconcile --allow-deletions`.")
        return
    # A consent is for one run: another one asks anew.
    sure = st.checkbox(f"Yes, up to {rows} may be marked deleted", key=f"sure_deletions_{asked['run']}")
    if st.button("Reconcile and mark deleted", key="allow_deletions", disabled=not sure or is_idle(status, resource)):
        data.act("RECONCILE_RESOURCE", resource["name"], True, doing="Starting a container…")


def delete(resource):
    """Removal, asked twice."""
    name = resource["name"]
    # Not within an expander: old versions close it when anything above it changes.
    st.markdown("**Delete**")
    with_data = st.checkbox("Delete its rows and its history, too", key=f"with_data_{name}")
    sure = st.checkbox(f"Yes, delete {texts.escaped(name)}", key=f"sure_{name}")
    if st.button("Delete now", key="delete", disabled=not sure):
        data.act("DELETE_RESOURCE", name, with_data)
