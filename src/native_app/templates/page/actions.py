"""Buttons that change something. Each has a place for its answer directly below, which stays until the next press."""

from datetime import UTC, datetime

import streamlit as st

import compat
import data
import errors
import formats
import queries
import texts
import words

# For how long, and how often, the page follows a run that the user has started, in seconds.
FOLLOWED = 300
EVERY = 10


def run(slot, procedure, *arguments, doing="Working…", follows=None, then=None):
    """Calls a procedure, keeps its answer for the place `slot`, and reruns the page. `follows` is a resource whose run begins; `then`
    is called after a success."""
    with st.spinner(doing):
        answer = data.call(procedure, *arguments)
    now = datetime.now(UTC).replace(tzinfo=None)
    answers = st.session_state.setdefault("answers", {})
    answers[slot] = {**answer, "at": now, "follows": follows if answer.get("response_code") == "OK" else None}
    data.forget()
    if answer.get("response_code") == "OK":
        compat.close_dialog()
        if then:
            then()
    compat.rerun()


def problem(slot, message):
    """Keeps a problem with what the user entered for the place `slot`. The message is Markdown."""
    st.session_state.setdefault("answers", {})[slot] = {"response_code": "INPUT", "message": message}


def clear(slot):
    """Removes the answer at a place."""
    st.session_state.get("answers", {}).pop(slot, None)


def answer(status, slot):
    """Shows the answer at a place, in one line, and its notes."""
    found = st.session_state.get("answers", {}).get(slot)
    if not found:
        return
    if found["response_code"] == "INPUT":
        st.markdown(failed(found["message"]))
    elif found["response_code"] != "OK":
        st.markdown(failed(errors.described(status, found)))
    else:
        mark = f":green[{compat.icon('check_circle') or '✓'}] " if compat.HAS_ICONS else "✓ "
        st.markdown(f"{mark}{texts.sentence(found.get('message') or 'Done')}")
        for note in found.get("notes", []):
            st.markdown(f"! {texts.sentence(note)}")
        if found.get("follows"):
            follow(status, found)


def failed(markdown):
    """A failure in one line."""
    return f":red[{compat.icon('error')}] {markdown}" if compat.HAS_ICONS else f"✕ {markdown}"


def follow(status, found):
    """Reads the line of a resource again from time to time while its run that the user has started goes on."""

    def shown():
        began = (datetime.now(UTC).replace(tzinfo=None) - found["at"]).total_seconds()
        if began > FOLLOWED:
            found["follows"] = None
            return
        data.forget()
        try:
            (row,) = queries.line(found["follows"]) or [None]
        except data.Unreadable:
            return
        if row is None:
            return
        word = words.health(row["HEALTH"])
        st.markdown(f"{word.as_badge()} {texts.escaped(progress(status, row))}")
        if word.name not in ("running", "never run") and began > 2 * EVERY:
            found["follows"] = None

    compat.repeats(shown, EVERY)()


def progress(status, row):
    """How far a run is: `61 %, about 4 min left`."""
    if row.get("WAITING_UNTIL") is not None:
        return f"Waiting for {status.source}'s limit until {status.clock.at(row['WAITING_UNTIL'])}"
    if row.get("PROGRESS_PERCENT") is None:
        return ""
    left = row.get("SECONDS_LEFT")
    return f"{int(row['PROGRESS_PERCENT'])} %" + (f", about {formats.span(int(left))} left" if left is not None else "")
