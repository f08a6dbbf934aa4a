"""The actions of one resource: run, pause, schedule and streams, reconcile, reset, delete."""

import streamlit as st

import actions
import compat
import formats
import navigation
import picker
import schedule_choice
import texts
import words

SLOTS = ("resource", "schedule", "streams")


def answers(status):
    """The answers of this page's buttons."""
    for slot in SLOTS:
        actions.answer(status, slot)


def show(status, row, streams):
    """The buttons. Viewers see only the one that opens the data."""
    name = row["RESOURCE"]
    if not status.controls:
        navigation.button("Data", "open_data", navigation.DATA, name, icon="table")
        return
    is_paused = words.health(row["HEALTH"]).name == "paused"
    inside = not status.runs_outside()
    if inside and not is_paused:
        blocked = cannot_start(status, row)
        if compat.button("Run now", "run_now", icon="play_arrow", type="primary", disabled=blocked):
            actions.run("resource", "INGEST_DATA", name, doing="Starting a container…", follows=name)
    if is_paused:
        if compat.button("Resume", "enable", icon="play_arrow", type="primary"):
            actions.run("resource", "ENABLE_RESOURCE", name, doing="Resuming…")
    elif compat.button("Pause", "disable", icon="pause"):
        actions.run("resource", "DISABLE_RESOURCE", name)
    navigation.button("Data", "open_data", navigation.DATA, name, icon="table")
    compat.dialog("schedule_streams", "Schedule, streams", lambda: schedule_and_streams(status, row, streams), icon="tune")
    with compat.popover("More", icon="more_horiz"):
        if inside:
            compat.dialog(
                "reconcile", "Reconcile", lambda: reconcile(status, row, streams), icon="rule", disabled=cannot_start(status, row)
            )
            compat.dialog("reset", "Reset", lambda: reset(status, row, streams), icon="restart_alt")
        compat.dialog("delete", "Delete", lambda: delete(status, row, streams), icon="delete")


def cannot_start(status, row):
    """Whether a run cannot be started now."""
    return status.status != "STARTED" or words.health(row["HEALTH"]).name in ("running", "paused")


def schedule_and_streams(status, row, streams):
    """The schedule of its own, and the streams that it reads."""
    name = row["RESOURCE"]
    default = status.settings.get("schedule") or status.default_schedule
    own = row["SCHEDULE"] if row["SCHEDULE_IS_OWN"] else None
    schedule = schedule_choice.choose("Read new data", f"schedule_{name}", own, default=default)
    if compat.button("Set the schedule", "set_schedule", icon="save"):
        actions.run("schedule", "UPDATE_RESOURCE", name, schedule or None)
    if len(status.streams or []) < 2:
        return
    selected = [one["STREAM"] for one in streams]
    # A new selection, which has the required streams, too, needs a new field.
    chosen = picker.choose_streams(status, selected, f"streams_{name}_{'_'.join(selected)}", "Streams")
    st.caption("A stream that you add is read from its start. The rows of one that you remove stay, and are no longer updated.")
    if compat.button("Set the streams", "set_streams", icon="save"):
        if not chosen:
            actions.problem("streams", "Select at least one stream.")
            compat.rerun()
        # The default streams follow those of later versions.
        defaults = list(status.default_streams or [])
        actions.run("streams", "ENABLE_RESOURCE", name, ["default"] if chosen == defaults else chosen)
    for slot in ("schedule", "streams"):
        actions.answer(status, slot)


def choose_some(status, key):
    """Lets the user choose the only streams to read or to reset. Returns a list with them as an argument, or an empty list."""
    if len(status.streams or []) < 2:
        return []
    chosen = compat.several("Only these streams", status.streams, key)
    st.caption("None chosen: all that are selected.")
    return [chosen] if chosen else []


def tables_of(streams):
    """How many rows there are in how many tables."""
    stored = [one for one in streams if one["VIEW_NAME"]]
    rows = sum(int(one["ROWS_TOTAL"] or 0) for one in stored)
    return rows, len(stored)


def reconcile(status, row, streams):
    """What a reconcile run does and costs, and its button."""
    name = row["RESOURCE"]
    rows, _ = tables_of(streams)
    st.markdown(
        f"Reads everything once: about {texts.escaped(formats.count(rows or row['ROWS_TOTAL'], 'record'))}. It repairs what was missed, and marks "
        "as deleted what the source no longer lists."
    )
    only = choose_some(status, "only_reconcile")
    allows = st.checkbox("Mark as deleted even most of a table", key="allow_deletions")
    if allows:
        st.caption("Check the source first: a token that lost access, or a feature that was switched off, looks the same.")
    if compat.button("Start reconciling", "start_reconcile", icon="rule", type="primary"):
        arguments = [allows, *only] if only else [True] if allows else []
        actions.run("resource", "RECONCILE_RESOURCE", name, *arguments, doing="Starting a container…", follows=name)
    actions.answer(status, "resource")


def reset(status, row, streams):
    """What a reset does, confirmed by the typed name."""
    name = row["RESOURCE"]
    rows, tables = tables_of(streams)
    st.markdown(
        f"The next run reads everything from the start: about {texts.escaped(formats.count(rows or row['ROWS_TOTAL'], 'record'))} in "
        f"{texts.escaped(formats.count(tables or 1, 'table'))}. The rows stay."
    )
    only = choose_some(status, "only_reset")
    confirmed = is_typed(name, "reset")
    if compat.button("Reset", "reset", icon="restart_alt", type="primary"):
        require(confirmed, name, "resource")
        actions.run("resource", "RESET_RESOURCE", name, *only, doing="Resetting in a container…")
    actions.answer(status, "resource")


def delete(status, row, streams):
    """What a deletion does, confirmed by the typed name."""
    name = row["RESOURCE"]
    rows, tables = tables_of(streams)
    with_data = st.checkbox("Also delete its rows and its history", key="with_data")
    amount = f"{formats.count(rows or row['ROWS_TOTAL'], 'row')} in {formats.count(tables, 'table')}"
    if with_data:
        st.markdown(f"Deletes {texts.escaped(amount)}, and the history of its runs. This cannot be undone.")
    else:
        st.markdown(f"It is no longer read. {texts.escaped(amount)} stay.")
    confirmed = is_typed(name, "delete")
    if compat.button("Delete", "delete", icon="delete", type="primary"):
        require(confirmed, name, "deleted")
        actions.run("deleted", "DELETE_RESOURCE", name, with_data, then=leave)
    actions.answer(status, "deleted")


def is_typed(name, what):
    """Whether the user has typed the resource's name."""
    return st.text_input(f"Type {texts.escaped(name)} to confirm", key=f"typed_{what}").strip() == name


def require(confirmed, name, slot):
    """Asks for the name if the user has not typed it. A button that is disabled until then would lose the click that ends the typing."""
    if not confirmed:
        actions.problem(slot, f"Type {texts.escaped(name)} to confirm.")
        compat.rerun()


def leave():
    """Closes the page of a resource that is gone."""
    st.session_state.pop("resource", None)
