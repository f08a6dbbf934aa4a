"""Chooses resources to load: from the list that the source gives, or by name."""

import pandas
import streamlit as st

import actions
import compat
import data
import formats
import navigation
import schedule_choice
import texts

# How many names are asked for at a time.
LISTED = 500


def dialog(status, **options):
    """The button that opens the choice."""
    label = f"Add {texts.escaped(status.kinds)}"
    compat.dialog("add", label, lambda: show(status, "add"), icon="add", **options)


def show(status, slot):
    """The choice: names, streams, schedule, and the button that enables them."""
    names = choose_names(status, slot)
    streams = choose_streams(status, status.default_streams or [], f"{slot}_streams", "Streams")
    schedule = schedule_choice.choose("How often", f"{slot}_schedule", status.settings.get("schedule") or status.default_schedule)
    # The click that ends typing also sends the text. It is lost if the button then changes its label or its place.
    if compat.button("Start loading", f"{slot}_start", icon="play_arrow", type="primary"):
        enable(status, slot, names, streams, schedule)
    if names:
        st.caption(f"{formats.count(len(names), texts.escaped(status.kind), texts.escaped(status.kinds))} chosen")
    actions.answer(status, slot)


def choose_names(status, slot):
    """The names that the user picks from the source's list, or types."""
    listed = st.session_state.get("discovered")
    kind = texts.escaped(status.kind)
    places = compat.row(2, bottom=True)
    with places[0]:
        search = compat.element(
            "text_input", f"Search {texts.escaped(status.kinds)}", key=f"{slot}_search", icon=":material/search:", width=300
        ).strip()
    with places[1]:
        again = "Read the list again" if listed else "Read the list"
        if not status.runs_outside() and compat.button(again, f"{slot}_list", icon="refresh", type="tertiary"):
            discover(search)
            listed = st.session_state.get("discovered")
    picked = from_list(status, slot, listed, search) if listed and listed.get("rows") else []
    if listed and listed.get("response_code") != "OK":
        st.caption("The list could not be read; type names instead (one a line).")
    form = f", such as {texts.escaped(status.resource_form)}" if status.resource_form else ""
    typed = st.text_area(f"Or type the name of each {kind}, one a line{form}", key=f"{slot}_names", height=80)
    return list(dict.fromkeys([*picked, *(line.strip() for line in typed.splitlines() if line.strip())]))


def discover(search):
    """Reads the source's list."""
    with st.spinner("Reading the list from a container…"):
        st.session_state["discovered"] = data.call("DISCOVER", search, LISTED)


def from_list(status, slot, listed, search):
    """The resources of the list with check boxes. Returns the chosen names."""
    rows = [
        row
        for row in [{name.lower(): value for name, value in row.items()} for row in listed["rows"]]
        if any(search.lower() in str(row.get(column) or "").lower() for column in ("name", "title"))
    ]
    if not rows:
        st.caption("No name matches.")
        return []
    kind = texts.first_capital(status.kind)
    shown = pandas.DataFrame([{kind: texts.plain(row["name"]), **further(row)} for row in rows])
    if not hasattr(st, "data_editor"):
        return st.multiselect(kind, list(shown[kind]), key=f"{slot}_picked")
    shown.insert(0, "Load", False)
    edited = compat.element(
        "data_editor",
        shown,
        hide_index=True,
        disabled=[name for name in shown if name != "Load"],
        key=f"{slot}_picked_{search}",
        height=min(250, 37 + 35 * len(shown)),
        column_config={"Load": compat.column("CheckboxColumn", "Load", width="small")},
    )
    return list(edited[edited["Load"]][kind])


def further(row):
    """The columns that the source gives besides the name, at most three. When it was read is not the source's."""
    given = [name for name in row if name not in ("name", "read_at")]
    return {texts.label(name): texts.plain(row[name]) for name in given[:3] if row[name] is not None}


def choose_streams(status, selected, key, label):
    """Lets the user choose streams, in the source's order. A source with one stream needs no choice."""
    known = status.streams or []
    return compat.several(label, known, key, default=selected) if len(known) > 1 else list(status.default_streams or [])


def enable(status, slot, names, streams, schedule):
    """Enables each name, and tells how many worked."""
    if not names:
        actions.problem(slot, f"Choose at least one {texts.escaped(status.kind)}, or type its name.")
        compat.rerun()
    if not streams:
        actions.problem(slot, "Select at least one stream.")
        compat.rerun()
    # The defaults are not passed on: a new resource has them anyway, and another one keeps its selection.
    chosen = [] if streams == list(status.default_streams or []) else [streams]
    default = status.settings.get("schedule") or status.default_schedule
    done, notes, failed = [], [], None
    with st.spinner("Starting the first run…"):
        for name in names:
            answer = data.call("ENABLE_RESOURCE", name, *chosen)
            if answer["response_code"] != "OK":
                failed = failed or (name, answer)
                continue
            done.append(answer.get("resource", name))
            notes += answer.get("notes", [])
            if schedule and schedule != default:
                changed = data.call("UPDATE_RESOURCE", answer.get("resource", name), schedule)
                if changed["response_code"] != "OK":
                    failed = failed or (name, changed)
    data.forget()
    answers = st.session_state.setdefault("answers", {})
    if failed:
        name, answer = failed
        before = f"{len(done)} of {len(names)} enabled. " if done else ""
        answers[slot] = {**answer, "message": f"{before}{name}: {answer.get('message', '')}", "at": None}
    else:
        compat.close_dialog()
        what = done[0] if len(done) == 1 else formats.count(len(done), status.kind, status.kinds)
        wait = "its first run starts after the connector is resumed" if status.status == "PAUSED" else "rows appear in about 1 min"
        # The answer stands where more can be added: set-up ends here.
        answers["add"] = {"response_code": "OK", "message": f"Loading {what}; {wait}", "notes": notes, "at": None}
        if slot != "add":
            navigation.after_this(navigation.OVERVIEW)
    compat.rerun()
