"""The overview: what blocks everything, four figures, what needs attention, the resources, and the timeline."""

import streamlit as st

import actions
import blocked
import charts
import compat
import formats
import navigation
import needs_you
import picker
import queries
import resource_table
import schedule_choice
import texts
import view_resource
import words


def show(status):
    """The overview, or the resource that is open."""
    if not status.is_set_up():
        before_set_up(status)
        return
    if st.session_state.get("resource"):
        view_resource.show(status, st.session_state["resource"])
        return
    is_blocked = blocked.show(status)
    # What blocks everything is shown above; it has no resource.
    found = [] if status.problem else queries.causes(status.controls)
    causes = needs_you.grouped(
        row for row in found if row["RESOURCE"] is not None and not (is_blocked and blocked.is_for_all(row["CODE"]))
    )
    if not is_blocked:
        verdict(status, len(causes))
    if status.problem:
        # Nothing else can be read.
        return
    if not status.resources_count:
        no_resource(status)
        return
    figures(status)
    needs_you.show(status, causes, has_primary=not is_blocked)
    if status.resources_count == 1 and len(status.streams or []) > 1:
        view_resource.only(status)
        return
    rows = resource_table.show(status)
    timeline(status, [row["RESOURCE"] for row in rows[: queries.LANES]])


def before_set_up(status):
    """What is shown of any view before set-up is complete."""
    left = formats.count(status.steps_left(), "step")
    if not status.controls:
        st.markdown(f"Nothing here yet: set-up has {texts.escaped(left)} left. An administrator has to finish it.")
        return
    st.markdown(f"Nothing here yet: set-up has {texts.escaped(left)} left.")
    navigation.button("Continue set-up", "continue_setup", navigation.SETUP, icon="checklist", type="primary")
    # Without its last resource the connector is not set up any more.
    actions.answer(status, "deleted")


def no_resource(status):
    """What is shown before anything is loaded."""
    st.markdown(f"No {texts.escaped(status.kind)} is loaded yet. Choose some; the first run starts at once.")
    if status.controls:
        picker.dialog(status, type="primary")
        actions.answer(status, "add")


def verdict(status, causes):
    """One sentence about the whole, and one about the rest."""
    counted = status.counts()
    failing, total = counted["failing"], status.resources_count
    paused, catching_up = counted["paused"], counted["late"] + counted["interrupted"]
    if not total:
        return
    if status.status == "PAUSED" or paused == total:
        by = f" by {texts.escaped(status.paused_by)}" if status.paused_by else ""
        since = f" on {texts.escaped(status.clock.day(status.paused_at))}" if status.paused_at else ""
        compat.heading(f"Paused{by}{since}.", 4)
        st.markdown("Data stays as it was then.")
        return
    if failing:
        verb = "need" if failing != 1 else "needs"
        title = f"{failing:,} of {total:,} {kinds_of(status, total)} {verb} you."
        if not status.controls:
            title = f"{failing:,} of {total:,} {kinds_of(status, total)} {'are' if failing != 1 else 'is'} failing; an administrator has to act."
        rest = total - failing - paused
        fresh = f"{rest:,} {'is' if rest == 1 else 'are'} fresh or {'catches' if rest == 1 else 'catch'} up by "
        fresh += f"{'itself' if rest == 1 else 'themselves'}"
        still = f", {paused:,} {'is' if paused == 1 else 'are'} paused" if paused else ""
        compat.heading(texts.escaped(title), 4)
        st.markdown(
            texts.escaped(f"{numbered(causes)} below. {fresh}{still}. What is in Snowflake is complete up to each last success.")
        )
        return
    if catching_up:
        compat.heading(
            texts.escaped(f"{formats.count(catching_up, status.kind, status.kinds)} {'is' if catching_up == 1 else 'are'} behind."),
            4,
        )
        st.markdown(f"Nothing to do: what was missed is read with the next run. {checked(status)}")
        return
    if counted["running"] and not counted["healthy"]:
        compat.heading("The first run is under way.", 4)
        st.markdown("Rows appear while it reads. You can leave this page.")
        return
    if counted["never run"] == total - paused:
        compat.heading("Waiting for the first run.", 4)
        st.markdown(
            f"It starts {texts.escaped(status.clock.due(status.next_due_at))}." if status.next_due_at else "It starts on schedule."
        )
        return
    compat.heading("Everything is fresh.", 4)
    st.markdown(checked(status))


def kinds_of(status, count):
    """The word for this many resources."""
    return status.kind if count == 1 else status.kinds


def numbered(count):
    """How many causes there are, in words."""
    words_of = {0: "The cause is", 1: "One cause,", 2: "Two causes,", 3: "Three causes,", 4: "Four causes,", 5: "Five causes,"}
    return words_of.get(count, f"{count:,} causes,")


def checked(status):
    """Since when everything is checked."""
    counted, clock = status.counts(), status.clock
    if not counted["healthy"] or status.oldest_success_at is None:
        return ""
    active = status.resources_count - counted["paused"]
    who = f"The {status.kind}" if active == 1 else f"All {active:,} {status.kinds}"
    was = "was" if active == 1 else "were"
    return texts.escaped(
        f"{who} {was} checked within the last {formats.span(int(clock.seconds_since(status.oldest_success_at) or 0) + 59)}."
    )


def figures(status):
    """Oldest success, next run, rows, and runs of a day."""
    clock = status.clock
    places = compat.cards(4)
    oldest = " · ".join(part for part in (status.oldest_success_resource, known(clock.at(status.oldest_success_at))) if part)
    figure(places[0], "Oldest success", clock.ago(status.oldest_success_at), oldest or "nothing was read yet")
    figure(places[1], "Next run", *next_run(status))
    changed = formats.signed(status.rows_changed_24h)
    of_day = f"{changed} in the last 24 h" if changed != formats.NOTHING else "No change in the last 24 h"
    figure(places[2], "Rows", formats.number(status.rows_total), of_day)
    figure(places[3], "Runs, last 24 h", formats.number(status.runs_24h), runs_of_day(status))


def figure(place, label, value, below):
    """One figure, as a card."""
    with place:
        st.caption(texts.escaped(label))
        compat.heading(texts.escaped(value), 4)
        st.caption(texts.escaped(below))


def known(text):
    """A text, or nothing for a dash."""
    return "" if text == formats.NOTHING else text


def next_run(status):
    """When the next run begins, and how often."""
    if status.status == "PAUSED":
        return "Not scheduled", "Paused"
    if status.runs_outside():
        return "Outside", "A program of yours starts runs"
    if (status.task_state or "").lower() == "suspended":
        return "Not scheduled", "The schedule is suspended"
    if status.next_due_at is None:
        return "Not scheduled", "Nothing is due"
    schedule = status.settings.get("schedule") or status.schedule
    often = f" · {schedule_choice.in_words(schedule)}" if schedule else ""
    return status.clock.due(status.next_due_at), f"{status.clock.at(status.next_due_at)}{often}"


def runs_of_day(status):
    """How many runs of the last day failed, and what they cost if that is known."""
    failed, not_started = int(status.failed_24h or 0), int(status.not_started_24h or 0)
    parts = [f"{failed:,} failed or partial" if failed else "no failure"]
    if not_started:
        parts = [f"{not_started:,} failed to start"] + ([parts[0]] if failed else [])
    parts.append(formats.credits(status.credits_24h, bool(status.credits_are_estimated)))
    return " · ".join(part for part in parts if part)


def timeline(status, names):
    """The timeline of the worst resources of those that the table shows."""
    left, right = compat.split([5, 3])
    with left:
        compat.heading("Timeline", 3)
    with right:
        window = compat.choice("Window", list(queries.WINDOWS), "timeline_window", default=default_window(status), hidden=True)
    if not names:
        return
    clock = status.clock
    minutes = queries.WINDOWS[window][1]
    found = queries.cells(names, charts.since(clock.now, window), minutes)
    entries = [
        (row["RESOURCE"], formats.moment(row["FROM_CELL"]), formats.moment(row["TO_CELL"]), row["OUTCOME"], row["RUNS"])
        for row in found
    ]
    cells = charts.worst(entries, set(names), clock.now, window)
    if not cells:
        none_in_window(status, window)
        return
    suspended = formats.moment(status.task_suspended_at) if (status.task_state or "").lower() == "suspended" else None
    frame = charts.timeline(cells, names, clock, window, suspended, status.kind)
    under(status, names, window, suspended)
    as_table(status, frame)


def default_window(status):
    """The window that shows something: a longer one if the last check was long ago."""
    return "7 days" if (status.clock.seconds_since(status.last_checked_at) or 0) > 86400 else "24 hours"


def none_in_window(status, window):
    """What is shown when nothing ran in a window."""
    last = status.last_checked_at
    wider = {"24 hours": "7 days", "7 days": "30 days"}.get(window)
    when = f" The last one was {texts.escaped(status.clock.ago(last))}." if last else ""
    st.markdown(f"No run in the last {texts.escaped(window)}.{when}")
    if wider:
        compat.button(f"Show {wider}", "wider", on_click=widen, args=(wider,))


def widen(window):
    """Shows a longer window."""
    st.session_state["timeline_window"] = window


def under(status, names, window, suspended):
    """What a cell is, and since when there is none."""
    minutes = queries.WINDOWS[window][1]
    one = f"One cell is {minutes} minutes" if minutes < 60 else f"One cell is {minutes // 60} hours"
    most = (
        f"The {len(names)} that need most attention, of {status.resources_count:,}. " if status.resources_count > len(names) else ""
    )
    end = f"Since {status.clock.at(suspended)} no run was even tried." if suspended else "Empty means no run."
    st.caption(texts.escaped(f"{most}{one}, and shows the worst run within it. {end}"))


def as_table(status, frame):
    """The cells of the timeline as a table, for those who cannot see it."""
    with compat.fold("Show as table"):
        shown = frame[["lane", "when", "outcome", "runs"]].iloc[::-1]
        signs = {one.name: one.signed for one in words.OUTCOMES.values()}
        shown = shown.assign(outcome=shown["outcome"].map(signs))
        compat.table(
            shown.rename(columns={"lane": status.kind.capitalize(), "when": "From", "outcome": "Worst outcome", "runs": "Runs"})
        )
