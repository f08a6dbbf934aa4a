"""The Configuration tab."""

import streamlit as st

import data
import forms
import grants
import texts


def show(status):
    """References, then the form, then the connection test."""
    st.subheader("1 · Access")
    st.caption(
        "Snowflake asks you for each object, and creates it if you have none. The app never sees a secret; only its container does."
    )
    grants.references(status)
    st.subheader("2 · Destination and settings")
    form(status)
    st.subheader("3 · Test")
    test(status)


def form(status):
    """A form with the current configuration."""
    stored = status["configuration"] or {}
    with st.form("configuration"):
        database = st.text_input(
            "Destination database",
            value=quoted_if_needed(stored.get("destination_database", "")),
            help="The app creates it if it does not exist. If empty: a database named after the app.",
            key="destination_database",
        )
        schedule = st.text_input(
            "Schedule",
            value=stored.get("schedule", status["default_schedule"]),
            help="An interval such as 30m or 2h, or a cron expression in UTC such as 15 2 * * *. Each resource can have its own.",
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
            "Maximum machines",
            min_value=1,
            max_value=status["most_nodes"],
            value=stored.get("max_nodes", 1),
            step=1,
            help="The compute pool grows up to this number while containers wait. You pay for each running machine.",
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
    data.run_action("PROVISION_CONNECTOR", config, doing="Creating the destination…")


def quoted_if_needed(name):
    """A database's name as the user has to type it."""
    return name if name == name.upper() and name.replace("_", "").isalnum() else data.quoted(name) if name else ""


def test(status):
    """Shows a button that runs the connector's own check."""
    if status["configuration"] is None:
        st.caption("Configure the connector first.")
        return
    if status["configuration"]["scheduler"] == "outside":
        st.caption("Ingestion runs outside Snowflake: run the command `check` there.")
        return
    absent = grants.missing_references(status)
    if absent:
        st.caption(f"Bind first: {', '.join(map(texts.escaped, absent))}.")
    elif status["configuration_status"] == "CONNECTED":
        st.caption("The last test succeeded.")
    if st.button("Test the connection", key="test_connection", disabled=bool(absent)):
        data.run_action("TEST_CONNECTION", doing="Testing from a container; the first one takes a few minutes to start…")
