"""All runs, with filters; one opens with its streams, its error and its log."""

import streamlit as st

import charts
import compat
import formats
import navigation
import queries
import run_table
import texts
import view_overview
import words


def show(status):
    """The filters, the list and the open run."""
    if not status.is_set_up():
        view_overview.before_set_up(status)
        return
    window, outcomes, search = filters(status)
    rows = queries.runs(charts.since(status.clock.now, window), outcomes, search)
    if not rows:
        none(status, window, outcomes or search)
        return
    runs = run_table.by_run(rows)
    found = int(rows[0]["FOUND"])
    shown = (
        f"{len(runs):,} of {found:,} runs, the newest first."
        if found > len(runs)
        else f"{formats.count(found, 'run')}, the newest first."
    )
    st.caption(texts.escaped(f"{shown} Select one to see what it did."))
    # Above the table, so that the open run is in sight.
    place = st.container()
    chosen = run_table.table(status, runs, has_resource=True, key="runs", selects=True)
    names = [label(status, run) for run in runs]
    picked = compat.element(
        "selectbox", "Open a run", ["", *names], key="open_run", format_func=lambda name: name or "Open a run …", width=420
    )
    if chosen is None and picked in names:
        chosen = names.index(picked)
    if chosen is not None and chosen < len(runs):
        with place:
            run_table.details(status, runs[chosen])


def label(status, run):
    """A run in one line, for a choice."""
    return f"{status.clock.at(run['STARTED_AT'])} · {run['RESOURCE'] or status.title} · {run['OUTCOME']}"


def filters(status):
    """Window, outcomes, and a part of a resource's name."""
    places = compat.row(3, bottom=True)
    with places[0]:
        window = compat.choice("Window", list(queries.WINDOWS), "runs_window", default="24 hours")
    with places[1]:
        labels = {name: one.signed for name, one in words.OUTCOMES.items()}
        outcomes = compat.several("Outcome", list(words.OUTCOMES), "outcomes", labels=labels)
    with places[2]:
        search = ""
        if status.resources_count > 1:
            kind = texts.escaped(texts.first_capital(status.kind))
            search = compat.element("text_input", kind, key="runs_search", icon=":material/search:", width=230).strip()
    return window, outcomes, search


def none(status, window, is_filtered):
    """What is shown when there is no run."""
    if is_filtered:
        st.markdown("No run matches. Clear the filter.")
        compat.button("Clear the filter", "clear_runs", on_click=clear)
        return
    last = f" The last one was {texts.escaped(status.clock.ago(status.last_checked_at))}." if status.last_checked_at else ""
    st.markdown(f"No run in the last {texts.escaped(window)}.{last}")
    wider = {"24 hours": "7 days", "7 days": "30 days"}.get(window)
    if wider:
        navigation.button(f"Show {wider}", "wider_runs", navigation.RUNS, choices={"runs_window": wider})


def clear():
    """Removes every filter."""
    st.session_state["outcomes"], st.session_state["runs_search"] = [], ""
