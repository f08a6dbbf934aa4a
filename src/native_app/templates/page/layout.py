"""The frame of every page: title with health, refresh and pause, the views, and what is shown when reading fails."""

from datetime import UTC, datetime

import streamlit as st

import actions
import compat
import data
import errors
import formats
import navigation
import texts
import view_data
import view_overview
import view_runs
import view_settings
import view_setup
import words
from navigation import DATA, OVERVIEW, RUNS, SETTINGS, SETUP

VIEWS = {
    OVERVIEW: view_overview.show,
    RUNS: view_runs.show,
    DATA: view_data.show,
    SETTINGS: view_settings.show,
    SETUP: view_setup.show,
}


def show(controls):
    """Shows the page; with `controls`, everything that changes something."""
    st.set_page_config(layout="wide", page_title="Connector")
    status = data.status(controls)
    if status.response_code != "OK":
        unreadable(status)
        return
    header(status)
    view = navigation.choose(views_of(status))
    try:
        VIEWS[view](status)
    except data.Unreadable as error:
        unreadable_view(status, error)


def views_of(status):
    """The views of this page. Until set-up is complete, it comes first."""
    if not status.controls:
        return [OVERVIEW, RUNS, DATA]
    if status.is_set_up():
        return [OVERVIEW, RUNS, DATA, SETTINGS, SETUP]
    return [SETUP, OVERVIEW, RUNS, DATA, SETTINGS]


def unreadable(status):
    """Shown when the status cannot be read."""
    compat.heading("The page cannot read the connector's state.", 2)
    st.markdown("Refresh. If it stays so, report what is below.")
    compat.button("Refresh", "refresh", icon="refresh", on_click=data.forget, type="primary")
    with compat.fold("What was said"):
        st.markdown(errors.described(status, status.members))


def unreadable_view(status, error):
    """Shown when a statement of a view fails. Viewers do not see its message, which may mention settings."""
    answer = {"response_code": "DESTINATION_UNREADABLE", "message": str(error) if status.controls else ""}
    st.error(errors.described(status, answer))


def header(status):
    """The title with the connector's health, when it was read, Refresh, and Pause or Resume."""
    left, right = compat.split([5, 4])
    with left:
        compat.heading(f"{texts.escaped(status.title or 'Connector')} {words.health(status.health).as_badge()}", 2)
    with right:
        read_at = formats.Clock(datetime.now(UTC).replace(tzinfo=None)).ago(status.read_at)
        compat.element("caption", f"Read {texts.escaped(read_at)} · times in {texts.escaped(zone_name(status))}", width="content")
        compat.button("Refresh", "refresh", icon="refresh", type="tertiary", on_click=data.forget)
        if status.controls and status.is_set_up():
            pause_or_resume(status)
    if status.controls:
        actions.answer(status, "header")


def zone_name(status):
    """The name of the zone in which times are shown."""
    return status.clock.zone_name(status.clock.now)


def pause_or_resume(status):
    """The button that stops all schedules, or starts them again. Where the overview has Resume, it is not repeated."""
    if status.status in ("STARTED", "STARTING"):
        if compat.button("Pause all", "pause", icon="pause"):
            actions.run("header", "PAUSE_CONNECTOR", doing="Pausing…")
    elif compat.button("Resume", "resume", icon="play_arrow"):
        actions.run("header", "RESUME_CONNECTOR", doing="Resuming…")
