"""What every page has: a title, how the connector stands, the answer of what was done last, and tabs."""

import streamlit as st
from snowflake.snowpark.exceptions import SnowparkClientException

import data
import texts


def show(tabs, controls, before=None):
    """A page with these tabs, and with the buttons that pause and resume if there are to be controls."""
    st.set_page_config(layout="wide")
    status = data.status("GET_CONNECTOR_STATUS" if controls else "GET_VIEWER_STATUS")
    if status["response_code"] != "OK":
        st.error(texts.told(status))
        st.stop()
    header(status, controls)
    # This place is there whether it holds anything or not: what comes below stays where it is, and so does the open tab.
    with st.empty().container():
        notice()
        problems(status, controls)
        if before:
            guarded(before)
    for tab, content in zip(st.tabs(list(tabs)), tabs.values(), strict=True):
        with tab:
            guarded(content, status)


def problems(status, controls):
    """What does not work. Those who only look are told without the words, which may speak of settings."""
    if status.get("problem"):
        st.error(texts.told({"response_code": status["problem"], "message": status["message"] if controls else ""}))
    if status["scheduler_problem"]:
        problem = status["scheduler_problem"] if controls else {"response_code": status["scheduler_problem"]}
        st.error("**The last run of a schedule could start nothing.**\n\n" + texts.told(problem))
    for skipped in status.get("skipped", []):
        st.warning(f"{texts.escaped(skipped['resource'])} is skipped: {texts.escaped(skipped['message'])}")


def header(status, controls):
    """The title, how the connector stands, and what changes that."""
    left, middle, right = st.columns([6, 1, 1])
    left.title(texts.escaped(status["title"]))
    standing = texts.STATUSES.get(status["status"], texts.STATUSES["ERROR"])
    left.caption(f"{standing} · version {texts.escaped(status['version'])}")
    if middle.button("Refresh", key="refresh"):
        st.session_state.pop("status", None)
        data.rerun()
    if not controls or status["configuration"] is None:
        return
    if status["status"] in ("PAUSED", "PAUSING", "STARTING", "ERROR") and right.button("Resume", key="resume", type="primary"):
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
