"""One resource: what is the matter, its figures, its streams, its timeline and its runs."""

import pandas
import streamlit as st

import actions
import charts
import compat
import errors
import formats
import grants
import left_out
import navigation
import needs_you
import picker
import queries
import resource_actions
import resource_table
import run_table
import schedule_choice
import texts
import view_overview
import words

# The width of a column whose heading begins with "Last", in pixels.
LAST = 94


def show(status, name):
    """The page of a resource."""
    navigation.button(f"All {texts.escaped(status.kinds)}", "back", navigation.OVERVIEW, icon="arrow_back", type="tertiary")
    found = queries.resource(name)
    if found is None:
        st.markdown(f"There is no {texts.escaped(status.kind)} {texts.code(name)}.")
        actions.answer(status, "deleted")
        return
    row, streams = found
    problems = (
        queries.causes(status.controls, name) if words.health(row["HEALTH"]).name in ("failing", "late", "interrupted") else []
    )
    head(status, row, streams)
    # What has to be confirmed has a card of its own.
    others = [one for one in problems if one["CODE"] != left_out.UNCONFIRMED]
    if others or not problems:
        problem(status, row, streams, others)
    left_out.deletions(status, row, streams)
    figures(status, row, streams)
    if len(status.streams or []) > 1:
        table_of_streams(status, streams)
    left_out.of_resource(status, row, streams)
    window = history(status, row, streams)
    if window is not None:
        run_table.of_resource(status, window)


def only(status):
    """The streams of the only resource, in place of a table of resources, and its timeline."""
    found = queries.resource()
    if found is None:
        return
    row, streams = found
    left, right = compat.split([4, 3])
    with left:
        compat.heading(texts.escaped(row["RESOURCE"]), 3)
    with right:
        navigation.button("Open", "open_only", navigation.OVERVIEW, row["RESOURCE"], icon="chevron_right")
        if status.controls:
            picker.dialog(status)
    actions.answer(status, "add")
    actions.answer(status, "deleted")
    left_out.deletions(status, row, streams)
    streams_as_table(status, streams)
    history(status, row, streams)


def head(status, row, streams):
    """The name with its health, and the actions."""
    left, right = compat.split([4, 6], left="content")
    with left:
        compat.heading(f"{texts.escaped(row['RESOURCE'])} {words.health(row['HEALTH']).as_badge()}", 3)
    with right:
        resource_actions.show(status, row, streams)
    resource_actions.answers(status)


def problem(status, row, streams, problems):
    """What is the matter, and what to do."""
    word = words.health(row["HEALTH"])
    if word.name in ("healthy", "never run"):
        return
    if not problems:
        text = resource_table.what_to_do(status, row)
        if text:
            with compat.card():
                st.markdown(f"{word.as_badge()} {texts.sentence(text)}")
        return
    # Streams that fail for the same reason share a card.
    for number, rows in enumerate(needs_you.grouped(problems)):
        cause(status, row, streams, rows, number)


def cause(status, row, streams, rows, number):
    """One cause: where, since when, what to do, and what was said."""
    first, clock = rows[0], status.clock
    text = errors.words(status, first["CODE"], first["TITLE"], first["HELP"])
    with compat.card():
        st.markdown(f"{words.health(row['HEALTH']).as_badge()} **{text.title}**")
        named = [one["STREAM"] for one in rows if one["STREAM"]]
        parts = (
            [f"{'stream' if len(named) == 1 else 'streams'} {', '.join(named)}"] if named and len(status.streams or []) > 1 else []
        )
        if first["SINCE"] is not None:
            parts.append(f"since {clock.at(first['SINCE'])} ({clock.age(first['SINCE'])})" + tries(rows))
        fresh = sum(words.health(stream["HEALTH"]).name == "healthy" for stream in streams)
        if named and fresh:
            parts.append(f"the other {fresh} streams are fresh" if fresh > 1 else "the other stream is fresh")
        st.caption(texts.escaped(" · ".join(parts)))
        if text.help:
            st.markdown(f"**What to do:** {text.help}")
        if not status.controls:
            return
        places = compat.row(3)
        for place, action in zip(places, text.actions, strict=False):
            with place:
                press(status, action, row, number)
        said = first.get("MESSAGE")
        if said:
            with places[-1], compat.popover(f"What {texts.escaped(status.source)} said", icon="code"):
                st.code(texts.plain(said), language=None)
        actions.answer(status, f"grant_problem_{number}")
        grants.waiting(f"grant_problem_{number}")


def tries(rows):
    """After how many tries."""
    most = max((int(row["TRIES"] or 0) for row in rows), default=0)
    return f", {formats.count(most, 'try', 'tries')}" if most else ""


def press(status, action, row, number):
    """A button of a cause; those that the head of the page has are not repeated."""
    label, icon = errors.ACTIONS[action]
    if action in grants.DIALOGS:
        grants.button(status, action, label, icon, slot=f"grant_problem_{number}")
    elif action in ("setup", "settings"):
        view = navigation.SETUP if action == "setup" else navigation.SETTINGS
        navigation.button(label, f"{action}_problem_{number}", view, icon=icon)
    elif action == "runs":
        navigation.button(label, f"runs_problem_{number}", navigation.RUNS, icon=icon, choices={"runs_search": row["RESOURCE"]})


def figures(status, row, streams):
    """Last success, next run, rows, and the last change."""
    clock = status.clock
    places = compat.cards(4)
    newest = max((one["LAST_SUCCESS_AT"] for one in streams if one["LAST_SUCCESS_AT"] is not None), default=None)
    others = sum(one["LAST_SUCCESS_AT"] == newest for one in streams) if newest is not None else 0
    below = view_overview.known(clock.at(row["LAST_SUCCESS_AT"])) or "nothing was read yet"
    if newest is not None and row["LAST_SUCCESS_AT"] is not None and newest != row["LAST_SUCCESS_AT"] and others:
        below += f" · {formats.count(others, 'stream')}: {clock.ago(newest)}"
    view_overview.figure(places[0], "Last success", clock.ago(row["LAST_SUCCESS_AT"]), below)
    view_overview.figure(places[1], "Next run", *next_run(status, row))
    changed = formats.signed(row["ROWS_CHANGED_24H"])
    of_day = f"{changed} in the last 24 h" if changed != formats.NOTHING else "No change in the last 24 h"
    view_overview.figure(places[2], "Rows", formats.number(row["ROWS_TOTAL"]), of_day)
    at = row["LAST_CHANGE_AT"]
    view_overview.figure(places[3], "Last change of data", clock.ago(at), view_overview.known(clock.at(at)) or "no change yet")


def next_run(status, row):
    """When the next run begins, and by which schedule."""
    if words.health(row["HEALTH"]).name == "paused":
        return "Not scheduled", "Paused"
    if status.runs_outside():
        return "Outside", "A program of yours starts runs"
    if row["NEXT_DUE_AT"] is None:
        return "Not scheduled", "Nothing is due"
    schedule = row["SCHEDULE"] or status.settings.get("schedule")
    whose = "its own" if row["SCHEDULE_IS_OWN"] else "default"
    often = f" · {schedule_choice.in_words(schedule)} ({whose})" if schedule else ""
    return status.clock.due(row["NEXT_DUE_AT"]), f"{status.clock.at(row['NEXT_DUE_AT'])}{often}"


def how_read(status, stream):
    """How a stream is read."""
    if stream["PARENT"]:
        return f"child of {stream['PARENT']}"
    return f"once for all {status.kinds}" if stream["KIND"] == "shared" else f"for each {status.kind}"


def table_of_streams(status, streams):
    """The streams below a heading."""
    compat.heading("Streams", 3)
    streams_as_table(status, streams)


def streams_as_table(status, streams):
    """The streams with their health and their tables."""
    clock = status.clock
    made = pandas.DataFrame(
        [
            {
                "Health": [words.health(one["HEALTH"]).signed],
                "Stream": texts.plain(one["STREAM"]),
                "Read": how_read(status, one),
                "Last checked": one["LAST_CHECKED_AT"],
                "Last success": one["LAST_SUCCESS_AT"],
                "Last change": one["LAST_CHANGE_AT"],
                "Rows": int(one["ROWS_TOTAL"] or 0),
                "What to do": texts.plain(resource_table.what_to_do(status, one)),
                "Table": texts.plain(one["VIEW_NAME"] or formats.NOTHING),
            }
            for one in streams
        ]
    )
    times = ("Last checked", "Last success", "Last change")
    for column in times:
        made[column] = pandas.to_datetime(made[column])
    health = resource_table.health_column()
    if not compat.HAS_CHIPS:
        made["Health"] = made["Health"].map(lambda one: one[0])
    styled = compat.written(made, {**{name: clock.ago for name in times}, "Rows": formats.number})
    shown = {name: compat.column("DatetimeColumn", name, width=LAST) for name in times}
    shown |= {
        "Health": health,
        "Rows": compat.column("NumberColumn", "Rows", width="small"),
        "What to do": compat.column("TextColumn", "What to do", width="medium"),
        "Table": compat.column("TextColumn", "Table", width="large"),
    }
    compat.table(styled, shown, key="streams", height=resource_table.height(len(made)))


def history(status, row, streams):
    """The timeline by stream, and the charts over the same hours. Returns the runs of the window."""
    left, right = compat.split([5, 3])
    with left:
        compat.heading("Timeline", 3)
    with right:
        window = compat.choice(
            "Window", list(queries.WINDOWS), "timeline_window", default=view_overview.default_window(status), hidden=True
        )
    clock = status.clock
    minutes = queries.WINDOWS[window][1]
    entries = queries.history(row["RESOURCE"], charts.since(clock.now, window), any(one["KIND"] == "shared" for one in streams))
    runs = [entry for entry in entries if entry["OUTCOME"] != "checked"]
    if not entries:
        view_overview.none_in_window(status, window)
        return []
    several = len(status.streams or []) > 1
    lanes = [one["STREAM"] for one in streams] if several else [row["RESOURCE"]]
    found = []
    for entry in entries:
        lane = [entry["STREAM"]] if several and entry["STREAM"] else lanes
        first = cell_of(entry["STARTED_AT"], minutes)
        last = cell_of(entry["ENDED_AT"], minutes) if entry["OUTCOME"] == "checked" else first
        outcome = "nothing new" if entry["OUTCOME"] == "checked" else entry["OUTCOME"]
        found += [(one, first, last, outcome, 1) for one in lane]
    cells = charts.worst(found, set(lanes), clock.now, window)
    suspended = formats.moment(status.task_suspended_at) if (status.task_state or "").lower() == "suspended" else None
    frame = charts.timeline(cells, lanes, clock, window, suspended, "stream" if several else status.kind)
    charts_of_runs(status, runs, window)
    view_overview.as_table(status, frame)
    return runs


def cell_of(value, minutes):
    """The beginning of the cell in which a time is."""
    at = formats.moment(value)
    if at is None:
        return None
    seconds = int((at - charts.EPOCH).total_seconds())
    return charts.EPOCH + pandas.Timedelta(seconds=seconds - seconds % (minutes * 60)).to_pytimedelta()


def charts_of_runs(status, runs, window):
    """Rows and seconds of each run, over the same hours as the timeline."""
    by_run = run_table.by_run(runs)
    if not by_run:
        return
    frame = pandas.DataFrame(
        [
            {
                "at": formats.moment(run["STARTED_AT"]),
                "INSERTED": run["INSERTED"],
                "UPDATED": run["UPDATED"],
                "DELETED": run["DELETED"],
                "WORKING": max(run["TOTAL_MS"] - run["WAITED_MS"], 0) / 1000,
                "WAITING": run["WAITED_MS"] / 1000,
            }
            for run in by_run
        ]
    )
    left, right = st.columns(2)
    with left:
        st.markdown("**Rows changed in each run**")
        rows = {"INSERTED": "inserted", "UPDATED": "updated", "DELETED": "deleted"}
        total = int(frame[list(rows)].sum().sum())
        alt = f"Rows changed in each of {len(frame)} runs of the last {window}: {total:,} in all."
        charts.bars(frame, rows, [words.INSERTED, words.UPDATED, words.DELETED], status.clock, window, "Rows", alt)
    with right:
        st.markdown("**Seconds each run took: working, and waiting for limits**")
        seconds = {"WORKING": "working", "WAITING": "waiting"}
        alt = f"Seconds that each of {len(frame)} runs took: {frame['WORKING'].sum():,.0f} working, {frame['WAITING'].sum():,.0f} waiting."
        charts.bars(frame, seconds, [words.WORKING, words.WAITING], status.clock, window, "Seconds", alt)
