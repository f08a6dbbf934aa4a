"""What every page has: a title, how the connector stands, the answer of what was done last, and tabs."""

import streamlit as st
from snowflake.snowpark.exceptions import SnowparkClientException

import data
import texts


def show(tabs, controls, before=None):
    """A page with these tabs, and with the buttons that pause and resume if there are to be controls."""
    st.set_page_config(layout="wide")
    status = data.status()
    if status["response_code"] != "OK":
        st.error(texts.told(status))
        st.stop()
    header(status, controls)
    # This place is there whether it holds anything or not: what comes below stays where it is, and so does the open tab.
    with st.empty().container():
        notice()
        if "problem" in status:
            st.error(texts.told({"response_code": status["problem"], "message": status["message"]}))
        if status["scheduler_problem"]:
            st.error("**The last run of a schedule could start nothing.**\n\n" + texts.told(status["scheduler_problem"]))
        if before:
            guarded(before)
    for tab, content in zip(st.tabs(list(tabs)), tabs.values(), strict=True):
        with tab:
            guarded(content, status)


def header(status, controls):
    """The title, how the connector stands, and what changes that."""
    left, middle, right = st.columns([6, 1, 1])
    left.title(texts.escaped(status["title"]))
    left.caption(f"{texts.STATUSES[status['status']]} · version {texts.escaped(status['version'])}")
    if middle.button("Refresh", key="refresh"):
        st.session_state.pop("status", None)
        data.rerun()
    if not controls or status["configuration"] is None:
        return
    if status["status"] in ("PAUSED", "PAUSING", "ERROR") and right.button("Resume", key="resume", type="primary"):
        data.act("RESUME_CONNECTOR", doing="Resuming…")
    if status["status"] in ("STARTED", "STARTING", "ERROR") and right.button("Pause", key="pause"):
        data.act("PAUSE_CONNECTOR", doing="Pausing…")


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


def guarded(content, *arguments):
    """A part of the page; where it cannot be shown, why."""
    try:
        content(*arguments)
    except data.Unreadable as error:
        st.error(texts.told({"response_code": "DESTINATION_UNREADABLE", "message": str(error)}))
    except SnowparkClientException as error:
        st.error(texts.told(data.failure(error)))
