"""The tab on which the connector is configured."""

import streamlit as st

import consent
import data
import forms
import texts


def show(status):
    """References, then the form, then the test of the connection."""
    st.subheader("1 · Access")
    st.caption(
        "Snowflake asks you for each object, and makes it where you have none. The app never sees a secret; only its container does."
    )
    consent.references(status)
    st.subheader("2 · Destination and settings")
    form(status)
    st.subheader("3 · Test")
    test(status)


def form(status):
    """The configuration in force, to be changed."""
    stored = status["configuration"] or {}
    with st.form("configuration"):
        database = st.text_input(
            "Destination database",
            value=quoted_if_needed(stored.get("destination_database", "")),
            help="It is made unless it exists. Left empty: a database named after the app.",
            key="destination_database",
        )
        schedule = st.text_input(
            "Schedule",
            value=stored.get("schedule", status["default_schedule"]),
            help="An interval such as 30m or 2h, or a cron expression in UTC such as 15 2 * * *. Each resource may have its own.",
            key="schedule",
        )
        choices = status["schedulers"]
        scheduler = st.selectbox(
            "What starts ingestion",
            choices,
            index=choices.index(stored.get("scheduler", status["default_scheduler"])),
            format_func=texts.SCHEDULERS.get,
            key="scheduler",
        )
        nodes = st.number_input(
            "Machines at most",
            min_value=1,
            max_value=status["most_nodes"],
            value=stored.get("max_nodes", 1),
            step=1,
            help="The compute pool grows to this many while containers wait, and each machine that runs is paid for.",
            key="max_nodes",
        )
        values, problems = forms.settings(status["settings_schema"], status["secrets"], stored.get("settings", {}))
        pressed = st.form_submit_button("Save" if stored else "Configure", type="primary")
    if not pressed:
        return
    if problems:
        st.error("  \n".join(map(texts.escaped, problems)))
        return
    config = {"schedule": schedule, "scheduler": scheduler, "max_nodes": int(nodes), "settings": values}
    if database.strip():
        config["destination_database"] = database
    data.act("PROVISION_CONNECTOR", config, doing="Making the destination…")


def quoted_if_needed(name):
    """A database's name as it must be typed."""
    return name if name == name.upper() and name.replace("_", "").isalnum() else data.quoted(name) if name else ""


def test(status):
    """A button that runs the connector's own check."""
    if status["configuration"] is None:
        st.caption("Configure the connector first.")
        return
    if status["configuration"]["scheduler"] == "outside":
        st.caption("Ingestion runs outside of Snowflake: use the command `check` there.")
        return
    absent = consent.missing(status)
    if absent:
        st.caption(f"Bind first: {', '.join(map(texts.escaped, absent))}.")
    elif status["configuration_status"] == "CONNECTED":
        st.caption("The last test went well.")
    if st.button("Test the connection", key="test_connection", disabled=bool(absent)):
        data.act("TEST_CONNECTION", doing="A container asks the source; the first one takes some minutes to start…")
