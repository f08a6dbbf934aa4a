"""The app's page."""

import consent
import data
import tab_configuration
import tab_preview
import tab_resources
import tab_state
import texts
from snowflake.snowpark.exceptions import SnowparkSQLException

import streamlit as st


def notice():
    """The answer of what was done last, once."""
    answer = st.session_state.pop("notice", None)
    if answer is None:
        return
    if answer["response_code"] == "OK":
        st.success(texts.sentence(answer["message"] or "Done"))
        for note in answer.get("notes", []):
            st.warning(texts.escaped(note))
    else:
        st.error(texts.told(answer))


def header(status):
    """The title, how the connector stands, and what changes that."""
    left, middle, right = st.columns([6, 1, 1])
    left.title(texts.escaped(status["title"]))
    left.caption(f"{texts.STATUSES[status['status']]} · version {texts.escaped(status['version'])}")
    if middle.button("Refresh", key="refresh"):
        st.session_state.pop("status", None)
        data.rerun()
    if status["configuration"] is None:
        return
    if status["status"] in ("PAUSED", "PAUSING", "ERROR") and right.button("Resume", key="resume", type="primary"):
        data.act("RESUME_CONNECTOR", doing="Resuming…")
    if status["status"] in ("STARTED", "STARTING", "ERROR") and right.button("Pause", key="pause"):
        data.act("PAUSE_CONNECTOR", doing="Pausing…")


def main():
    """The page, from its top."""
    st.set_page_config(layout="wide")
    status = data.status()
    if status["response_code"] != "OK":
        st.error(texts.told(status))
        st.stop()
    header(status)
    notice()
    if "problem" in status:
        st.error(texts.told({"response_code": status["problem"], "message": status["message"]}))
    consent.ask_for_privileges()
    tabs = st.tabs(["Configuration", "Resources", "State", "Data preview", "Raw data preview"])
    shows = [tab_configuration.show, tab_resources.show, tab_state.show, tab_preview.show, tab_preview.show_raw]
    for tab, show in zip(tabs, shows):
        with tab:
            try:
                show(status)
            except SnowparkSQLException as error:
                message = getattr(error, "raw_message", None) or str(error)
                st.error(texts.told({"response_code": "DESTINATION_UNREADABLE", "message": message}))


main()
