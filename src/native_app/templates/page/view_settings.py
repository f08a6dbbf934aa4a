"""The settings: schedule, source, and what few need; beside them destination, access, and who starts runs."""

import streamlit as st

import actions
import compat
import data
import formats
import forms
import grants
import navigation
import schedule_choice
import texts
import view_overview

SCHEDULERS = {"task": "A task of the app", "outside": "A program of yours, outside Snowflake"}


def show(status):
    """The settings, once there are any."""
    if not status.settings:
        view_overview.before_set_up(status)
        return
    left, right = compat.columns()
    with left:
        given, form = settings(status)
        save(status, given, form)
    with right:
        beside(status)


def settings(status):
    """The fields. Returns what the connector itself is given, and the form of the source's settings."""
    stored, given = status.settings, {}
    with compat.card():
        st.markdown("**Schedule**")
        given["schedule"] = schedule_choice.choose("Read new data", "schedule", stored.get("schedule") or status.default_schedule)
        st.caption(f"For every {texts.escaped(status.kind)} without a schedule of its own.{next_due(status)}")
    form = forms.Form(status)
    names = forms.grouped(status, forms.REQUIRED, forms.COMMON)
    if names:
        with compat.card():
            st.markdown(f"**{texts.escaped(status.source)}**")
            for name in names:
                form.show(name)
    with compat.fold("Advanced: limits, network", icon="tune"):
        rare = forms.grouped(status, forms.ADVANCED)
        for index in range(0, len(rare), 2):
            for place, name in zip(st.columns(2), rare[index : index + 2], strict=False):
                with place:
                    form.show(name)
        if "task" in (status.schedulers or []):
            given["max_nodes"] = int(
                st.number_input(
                    f"Machines at most (1–{int(status.most_nodes or 1)})",
                    min_value=1,
                    max_value=int(status.most_nodes or 1),
                    value=stored.get("max_nodes", 1),
                    step=1,
                    help="The compute pool grows up to this number while containers wait. You pay for each running machine.",
                    key="max_nodes",
                )
            )
    return given, form


def next_due(status):
    """When the next run begins."""
    return "" if status.next_due_at is None else f" Next: {texts.escaped(status.clock.at(status.next_due_at))}."


def save(status, given, form):
    """The changes that are not saved, Save and Undo."""
    stored = status.settings
    problems = form.finish()
    changes = [
        f"{label} {forms.written(stored.get(name))} → {forms.written(given[name])}"
        for name, label in OWN.items()
        if differs(stored, given, name)
    ]
    changes += form.changes
    places = compat.row(3)
    with places[0]:
        pressed = compat.button("Save", "save", icon="save", type="primary")
    with places[1]:
        if changes:
            compat.button("Undo", "undo", type="tertiary", on_click=undo)
    with places[2]:
        if changes:
            text = f"{formats.count(len(changes), 'change')} not saved: {'; '.join(changes)}"
            compat.element("markdown", f"{compat.icon('edit')} {texts.escaped(text)}", width="content")
    if pressed and problems:
        actions.problem("save", " · ".join(map(texts.escaped, problems)))
    elif pressed:
        actions.run("save", "UPDATE_SETTINGS", {**given, "settings": form.values}, doing="Saving…")
    actions.answer(status, "save")


# The connector's own settings that this form changes.
OWN = {"schedule": "Schedule", "max_nodes": "Machines at most"}


def differs(stored, given, name):
    """Whether a setting of the connector differs from what is stored. A schedule may be written in several ways."""
    if name not in given:
        return False
    if name == "schedule":
        before, after = stored.get(name) or "", given[name] or ""
        return before != after and (
            schedule_choice.minutes(before) is None or schedule_choice.minutes(before) != schedule_choice.minutes(after)
        )
    return stored.get(name, 1) != given[name]


def undo():
    """Returns every field to what is stored."""
    for key in list(st.session_state):
        if key.startswith("setting_") or key in ("schedule", "schedule_last", "schedule_cron", "schedule_other", "max_nodes"):
            del st.session_state[key]
    actions.clear("save")


def beside(status):
    """Destination, access, who starts runs, cost, and the zone of times."""
    with compat.card():
        destination(status)
    if not status.runs_outside():
        with compat.card():
            access(status)
    with compat.card():
        starter(status)
    with compat.card():
        cost(status)
    zone()


def quoted_if_needed(name):
    """A database's name as the user has to type it."""
    return name if name == name.upper() and name.replace("_", "").isalnum() else data.quoted(name) if name else ""


def destination(status):
    """The database that receives the tables."""
    name = status.settings.get("destination_database", "")
    st.markdown(f"**Destination**  \n{texts.code(name)}")
    st.caption(f"To move, pause every {texts.escaped(status.kind)} first.")
    with compat.popover("Change"):
        wanted = st.text_input("Destination database", value=quoted_if_needed(name), key="destination_database").strip()
        if compat.button("Save", "save_destination", icon="save"):
            if not wanted:
                actions.problem("destination", "Enter the name of a database.")
                compat.rerun()
            actions.run("destination", "UPDATE_SETTINGS", {"destination_database": wanted}, doing="Creating the destination…")
    actions.answer(status, "destination")


def access(status):
    """What the app was given, and the test of the connection."""
    lines = ["**Access**"]
    for name, one in (status.references or {}).items():
        if one["bound"]:
            lines.append(f"{tick()} {texts.escaped(texts.reference(name))}{hosts(one)}")
        elif one["required"]:
            lines.append(f"{cross()} {texts.escaped(texts.reference(name))}: missing")
    st.markdown("  \n".join(lines))
    missing = [texts.reference(name) for name, one in (status.references or {}).items() if one["required"] and not one["bound"]]
    if compat.button("Test", "test_connection", icon="speed", disabled=bool(missing)):
        actions.run("test", "TEST_CONNECTION", doing="Testing from a container; the first one takes a few minutes to start…")
    if missing:
        st.caption(f"Give first: {', '.join(map(texts.escaped, missing))}.")
    elif status.configuration_status == "CONNECTED" and "test" not in st.session_state.get("answers", {}):
        st.caption("The last test passed.")
    actions.answer(status, "test")
    navigation.button("Change", "change_access", navigation.SETUP, type="tertiary")


def hosts(reference):
    """The hosts to which access is allowed."""
    return f" to {texts.escaped(', '.join(reference['hosts']))}" if reference.get("hosts") else ""


def tick():
    """The sign of what is done."""
    return f":green[{compat.icon('check_circle')}]" if compat.HAS_ICONS else "✓"


def cross():
    """The sign of what is wrong."""
    return f":red[{compat.icon('error')}]" if compat.HAS_ICONS else "✕"


def starter(status):
    """Who starts runs."""
    choices = status.schedulers or []
    current = status.settings.get("scheduler") or status.default_scheduler
    st.markdown(f"**Who starts runs**  \n{texts.escaped(SCHEDULERS.get(current, current or ''))}")
    if len(choices) < 2:
        return
    with compat.popover("Change"):
        wanted = st.radio("What starts runs", choices, index=choices.index(current), format_func=SCHEDULERS.get, key="scheduler")
        if compat.button("Save", "save_scheduler", icon="save"):
            actions.run("scheduler", "UPDATE_SETTINGS", {"scheduler": wanted}, doing="Saving…")
    actions.answer(status, "scheduler")


def cost(status):
    """What the connector costs."""
    used = formats.credits(status.credits_24h, bool(status.credits_are_estimated))
    st.markdown(f"**Cost**  \n{texts.escaped(used + ' in the last 24 h' if used else 'Not known yet')}")
    with compat.popover("By day, in SQL"):
        application = grants.application(status)
        st.code(
            f"GRANT IMPORTED PRIVILEGES ON DATABASE SNOWFLAKE\n  TO APPLICATION {application};\n"
            f"CALL {application}.PUBLIC.CREATE_COST_VIEW();\nSELECT * FROM {application}.VIEWS.CONNECTOR_COST;",
            language="sql",
        )
        if compat.button("Create the view", "create_cost_view", icon="payments"):
            actions.run("cost", "CREATE_COST_VIEW", doing="Creating the view…")
    actions.answer(status, "cost")


def zone():
    """The zone in which times are shown, kept in the session."""
    found = compat.browser_zone()
    if not found or found in ("UTC", "Etc/UTC"):
        return
    with compat.card():
        st.markdown("**Times in**")
        now = st.session_state.get("zone", "UTC")
        picked = compat.choice("Times in", ["UTC", found], "zone_choice", default=now, hidden=True)
    if picked != now:
        st.session_state["zone"] = picked
        compat.rerun()
