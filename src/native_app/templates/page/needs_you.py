"""What needs attention: one card for each cause, not for each resource, with the button that ends it."""

import streamlit as st

import actions
import compat
import errors
import formats
import grants
import navigation
import texts
import words

# How many cards are shown at first.
SHOWN = 3
# The width of a card's text, in pixels: the buttons go below it where both do not fit.
TEXT = 660


def grouped(rows):
    """The causes: the one that affects most resources first, then the longest."""
    found = {}
    for row in rows:
        found.setdefault(row["FINGERPRINT"], []).append(row)
    return sorted(found.values(), key=lambda one: (-int(one[0].get("RESOURCES") or 1), str(one[0]["SINCE"])))


def show(status, causes, has_primary):
    """The cards. The first one has the blue button, with `has_primary`."""
    if not causes:
        return
    compat.heading("Needs you" if status.controls else "What is wrong", 3)
    is_open = st.session_state.get("all_causes", False)
    for number, rows in enumerate(causes if is_open else causes[:SHOWN]):
        card(status, rows, number, is_primary=status.controls and has_primary and number == 0)
    if len(causes) > SHOWN and not is_open:
        compat.button(f"Show all {len(causes)}", "show_causes", on_click=show_all)


def show_all():
    """Shows every cause."""
    st.session_state["all_causes"] = True


def card(status, rows, number, is_primary):
    """One cause: what happened, where and since when, what to do, and the buttons."""
    first = rows[0]
    text = errors.words(status, first["CODE"], first["TITLE"], first["HELP"])
    with compat.card():
        left, right = compat.split([5, 3], left=TEXT)
        with left:
            st.markdown(f"{words.health('failing').as_badge()} **{text.title}**")
            st.caption(" · ".join(part for part in (where(status, rows), since(status, rows)) if part))
            if text.help:
                st.markdown(text.help)
        with right:
            buttons(status, rows, text.actions, number, is_primary)
        for slot in (f"cause_{number}", f"grant_cause_{number}"):
            actions.answer(status, slot)
        grants.waiting(f"grant_cause_{number}")


def where(status, rows):
    """The resources and streams that a cause is about."""
    count = int(rows[0].get("RESOURCES") or 0)
    names = list(dict.fromkeys(row["RESOURCE"] for row in rows if row["RESOURCE"]))
    shown = texts.named(names) if count <= len(names) else f"{texts.named(names[:3])} and {count - min(3, len(names)):,} more"
    streams = list(dict.fromkeys(row["STREAM"] for row in rows if row["STREAM"]))
    if len(status.streams or []) <= 1:
        return shown or texts.escaped(status.title)
    if not streams:
        return f"{shown} · all streams"
    return f"{shown} · {'stream' if len(streams) == 1 else 'streams'} {texts.named(streams)}"


def since(status, rows):
    """For how long, and after how many tries."""
    began = min((row["SINCE"] for row in rows if row["SINCE"] is not None), default=None)
    tries = max((int(row["TRIES"] or 0) for row in rows), default=0)
    parts = [] if began is None else [f"for {status.clock.age(began)}"]
    if tries:
        parts.append(formats.count(tries, "try", "tries"))
    return texts.escaped(", ".join(parts))


def buttons(status, rows, named, number, is_primary):
    """The buttons of a card: the first resource's page, and what the error's text names."""
    resource = rows[0]["RESOURCE"]
    wanted = [action for action in named if action not in ("open", "resume")] if status.controls else []
    if resource:
        options = {"type": "primary"} if is_primary and not wanted else {}
        navigation.button(f"Open {texts.escaped(resource)}", f"open_cause_{number}", navigation.OVERVIEW, resource, **options)
    # The one that ends it stands at the end, as in dialogs.
    for place, action in enumerate(reversed(wanted)):
        is_last = place == len(wanted) - 1
        press(status, action, resource, number, {"type": "primary"} if is_last and is_primary else {})


def press(status, action, resource, number, options):
    """One button of a card."""
    label, icon = errors.ACTIONS[action]
    slot = f"cause_{number}"
    if action in grants.DIALOGS:
        grants.button(status, action, label, icon, slot=f"grant_cause_{number}", **options)
    elif action == "run" and resource and not status.runs_outside():
        if compat.button(label, f"run_cause_{number}", icon=icon, **options):
            actions.run(slot, "INGEST_DATA", resource, doing="Starting a container…", follows=resource)
    elif action == "reconcile" and resource and not status.runs_outside():
        if compat.button(label, f"reconcile_cause_{number}", icon=icon, **options):
            actions.run(slot, "RECONCILE_RESOURCE", resource, doing="Starting a container…", follows=resource)
    elif action in ("setup", "settings", "runs"):
        view = {"setup": navigation.SETUP, "settings": navigation.SETTINGS, "runs": navigation.RUNS}[action]
        navigation.button(label, f"{action}_cause_{number}", view, icon=icon, **options)
