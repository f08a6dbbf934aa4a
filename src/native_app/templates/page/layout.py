"""The layout of every page: title, connector status, the response to the last action, and tabs."""

import streamlit as st
from snowflake.snowpark.exceptions import SnowparkClientException

import data
import texts


def show(tabs, controls, before=None):
    """Shows a page with these tabs; with `controls`, also the buttons Pause and Resume."""
    st.set_page_config(layout="wide")
    status = data.status("GET_CONNECTOR_STATUS" if controls else "GET_VIEWER_STATUS")
    if status["response_code"] != "OK":
        st.error(texts.describe(status))
        st.stop()
    header(status, controls)
    # An empty container keeps the elements below it in place, so that the open tab stays open.
    with st.empty().container():
        notice()
        problems(status, controls)
        if before:
            show_or_explain(before)
    for tab, content in zip(st.tabs(list(tabs)), tabs.values(), strict=True):
        with tab:
            show_or_explain(content, status)


def problems(status, controls):
    """Shows what does not work. Viewers do not see the messages, which may mention settings."""
    if status.get("problem"):
        st.error(texts.describe({"response_code": status["problem"], "message": status["message"] if controls else ""}))
    if status["scheduler_problem"]:
        problem = status["scheduler_problem"] if controls else {"response_code": status["scheduler_problem"]}
        st.error("**The last scheduled run could not start anything.**\n\n" + texts.describe(problem))
    for skipped in status.get("skipped", []):
        st.warning(f"{texts.escaped(skipped['resource'])} is skipped: {texts.escaped(skipped['message'])}")


def header(status, controls):
    """The title, the connector's status, and the buttons that change it."""
    left, middle, right = st.columns([6, 1, 1])
    left.title(texts.escaped(status["title"]))
    connector_status = texts.STATUSES.get(status["status"], texts.STATUSES["ERROR"])
    left.caption(f"{connector_status} · version {texts.escaped(status['version'])}")
    if middle.button("Refresh", key="refresh"):
        st.session_state.pop("status", None)
        data.rerun()
    if not controls or status["configuration"] is None:
        return
    if status["status"] in ("PAUSED", "PAUSING", "STARTING", "ERROR") and right.button("Resume", key="resume", type="primary"):
        data.run_action("RESUME_CONNECTOR", doing="Resuming…")
    if status["status"] in ("STARTED", "STARTING", "ERROR") and right.button("Pause", key="pause"):
        data.run_action("PAUSE_CONNECTOR", doing="Pausing…")


def notice():
    """Shows the response to the last action, once."""
    answer = st.session_state.pop("notice", None)
    if answer is None:
        return
    if answer["response_code"] == "OK":
        st.success(texts.sentence(answer["message"] or "Done"))
        for note in answer.get("notes", []):
            st.warning(texts.escaped(note))
    else:
        st.error(texts.describe(answer))


def show_or_explain(content, *arguments):
    """Shows a part of the page, or the error that prevents it."""
    try:
        content(*arguments)
    except data.DestinationUnreadable as error:
        st.error(texts.describe({"response_code": "DESTINATION_UNREADABLE", "message": str(error)}))
    except SnowparkClientException as error:
        st.error(texts.describe(data.failure_response(error)))
