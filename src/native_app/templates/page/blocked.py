"""What blocks everything, above all else: why, since when, and the steps that end it, each with its button."""

import streamlit as st

import actions
import compat
import errors
import formats
import grants
import navigation
import texts

# What a step of the way out says.
STEPS = {
    "warehouse": "Give the app a warehouse; X-Small is enough.",
    "access": "Allow access to the source.",
    "secret": "Give the secret again; nothing is lost.",
    "privileges": "Grant the privileges that are missing.",
    "setup": "Give what is missing in Set-up.",
    "settings": "Save the settings: what is gone is made anew.",
    "run": "Run now; the answer names the cause.",
    "resume": "Resume. It reads what was missed; nothing is lost.",
}


def show(status):
    """Shows it, and returns whether there is anything."""
    if not is_blocked(status):
        return False
    steps = way_out(status)
    with compat.card(key="blocked"):
        st.error(f"**{title(status)}** {story(status)}", **({"icon": ":material/error:"} if compat.HAS_ICONS else {}))
        if status.controls:
            for number, action in enumerate(steps, 1):
                step(status, number, action, is_first=number == 1, is_only=len(steps) == 1)
        said = status.cause_detail
        if said and status.controls:
            with compat.fold("What Snowflake said"):
                st.code(texts.plain(said), language=None)
    return True


def is_blocked(status):
    """Whether nothing can run. The codes of what keeps everything from starting are in capitals; those of a run's error are not."""
    lost = (status.task_state or "").lower() in ("suspended", "missing") and status.status == "STARTED"
    return lost or bool(status.problem) or is_for_all(status.cause_code)


def is_for_all(code):
    """Whether an error keeps everything from starting, by its code."""
    return str(code or "").isupper()


# The action that does a step of set-up again.
REPEATS = {
    "privileges": "privileges",
    "warehouse": "warehouse",
    "external_access": "access",
    "sign_in": "secret",
    "destination": "settings",
}


def way_out(status):
    """The actions that end what blocks everything, in their order."""
    known = errors.known(status.cause_code or status.problem)
    found = [REPEATS[one["step"]] for one in status.steps() if one["step"] in REPEATS and one["state"] in ("now", "problem")]
    found += [action for action in (known.actions if known else ()) if action in STEPS and not (found and action == "run")]
    if (status.task_state or "").lower() in ("suspended", "missing"):
        found = [action for action in found if action != "resume"] + ["resume"]
    return list(dict.fromkeys(found))


def has_stopped(status):
    """Whether runs were due and could not begin."""
    return bool(status.failed_starts) and status.since is not None


def title(status):
    """What is the matter, in bold."""
    if has_stopped(status):
        return texts.escaped(f"Nothing has run for {status.clock.age(status.since)}.")
    return errors.words(status, status.cause_code or status.problem, status.cause).title + "."


def story(status):
    """Why, and up to when the data is complete."""
    text = errors.words(status, status.cause_code or status.problem, status.cause, status.help)
    starts = f" {formats.count(status.failed_starts, 'start has', 'starts have')} failed in a row." if has_stopped(status) else ""
    parts = [f"{text.title}.{texts.escaped(starts)}" if has_stopped(status) else text.help]
    if status.complete_up_to is not None:
        parts.append(texts.escaped(f"Your data is complete up to {status.clock.at(status.complete_up_to)}."))
    return " ".join(parts)


def step(status, number, action, is_first, is_only):
    """One step, with its button."""
    text = STEPS[action]
    label, icon = errors.ACTIONS[action]
    left, right = compat.row(2)
    with left:
        compat.element("markdown", f"**{number}** {text}", width=380)
    with right:
        options = {"type": "primary"} if is_first else {"disabled": not is_only}
        slot = f"blocked_{action}"
        if action in grants.DIALOGS:
            grants.button(status, action, label, icon, **options)
        elif action == "resume":
            # The first step may be done in another window, so that the second one stays possible.
            if compat.button(label, slot, icon=icon, **({"type": "primary"} if is_first else {})):
                actions.run(slot, "RESUME_CONNECTOR", doing="Resuming…")
        elif action == "run":
            if compat.button(label, slot, icon=icon, **options):
                actions.run(slot, "RUN_ALL", doing="Starting…")
        else:
            view = navigation.SETTINGS if action == "settings" else navigation.SETUP
            navigation.button(label, slot, view, icon=icon, **options)
    actions.answer(status, slot if action not in grants.DIALOGS else f"grant_{action}")
