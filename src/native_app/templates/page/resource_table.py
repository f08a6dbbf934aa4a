"""The table of resources: the worst first, a page at a time, with search and a filter by health."""

import pandas
import streamlit as st

import actions
import compat
import data
import formats
import navigation
import picker
import queries
import texts
import words

BARS = "#8A94A6"


def show(status):
    """The table with its filters. Returns its rows."""
    total = status.resources_count
    left, right = compat.split([4, 3])
    with left:
        compat.heading(texts.escaped(texts.first_capital(status.kinds if total != 1 else status.kind)), 3)
    search = ""
    with right:
        if total > 1:
            search = compat.element(
                "text_input",
                f"Search {texts.escaped(status.kinds)}",
                key="search",
                placeholder=f"Search {total:,} {status.kinds}",
                label_visibility="collapsed",
                icon=":material/search:",
                width=230,
            ).strip()
        if status.controls:
            picker.dialog(status)
    actions.answer(status, "add")
    actions.answer(status, "deleted")
    healths = pills(status) if total > 1 else []
    page = int(st.session_state.get("page", 0)) if (search, healths) == st.session_state.get("filtered_by") else 0
    st.session_state["filtered_by"], st.session_state["page"] = (search, healths), page
    rows = queries.resources(search, healths, page)
    if not rows:
        st.markdown(f"No {texts.escaped(status.kind)} matches. Clear the filter.")
        compat.button("Clear the filter", "clear_filter", on_click=clear)
        return []
    shown = frame(status, rows)
    chosen = compat.table(styled(status, shown), columns(status, rows), key="resources", selects=True, height=height(len(rows)))
    if chosen is not None and chosen < len(rows):
        st.session_state["resource"] = rows[chosen]["RESOURCE"]
        compat.rerun()
    foot(status, rows, page)
    return rows


def height(count):
    """The height of a table with this many rows, in pixels: it does not scroll."""
    return 37 + 35 * count


def clear():
    """Removes every filter."""
    st.session_state["search"], st.session_state["healths"] = "", []


def pills(status):
    """The filter by health, with counts."""
    counted = {name: count for name, count in status.counts().items() if count}
    if len(counted) < 2:
        return []
    labels = {
        name: f"{compat.icon(words.HEALTH[name].icon)} {words.HEALTH[name].label} {count:,}".strip()
        for name, count in counted.items()
    }
    return compat.several("Health", list(counted), "healths", labels=labels, hidden=True)


def frame(status, rows):
    """The rows as a table, with times as times, so that they are sorted by value."""
    has_streams = len(status.streams or []) > 1
    lines = []
    for row in rows:
        word = words.health(row["HEALTH"])
        streams = {"Streams": f"{int(row['STREAMS_HEALTHY'] or 0)} of {int(row['STREAMS'] or 0)}"} if has_streams else {}
        lines.append(
            {
                "Health": [word.signed],
                texts.first_capital(status.kind): texts.plain(row["RESOURCE"]),
                "Last success": row["LAST_SUCCESS_AT"],
                "Due": None if word.name == "paused" else row["NEXT_DUE_AT"],
                "Rows": int(row["ROWS_TOTAL"] or 0),
                "24 h": int(row["ROWS_CHANGED_24H"] or 0),
                "7 days": of_week(row),
                **streams,
                "What to do": texts.plain(what_to_do(status, row)),
            }
        )
    made = pandas.DataFrame(lines)
    for column in ("Last success", "Due"):
        made[column] = pandas.to_datetime(made[column])
    return made if compat.HAS_BARS and any(of_week(row) for row in rows) else made.drop(columns="7 days")


def of_week(row):
    """The rows changed in each half day of a week; None if there are none, which draws nothing."""
    found = data.parsed(row.get("ROWS_BY_12H"))
    numbers = [float(one or 0) for one in found] if isinstance(found, list) else []
    return numbers if any(numbers) else None


def what_to_do(status, row):
    """What a row says at its end: the next step, or how far the run is."""
    word = words.health(row["HEALTH"]).name
    if word == "running":
        return actions.progress(status, row) or "Reading"
    if word == "paused":
        by = f" by {row['PAUSED_BY']}" if row["PAUSED_BY"] else ""
        since = f" on {status.clock.day(row['PAUSED_AT'])}" if row["PAUSED_AT"] is not None else ""
        return f"Paused{by}{since}"
    if word == "interrupted":
        return "Nothing: the next run goes on where it stopped"
    if word == "late":
        return f"Nothing: due {status.clock.age(row['NEXT_DUE_AT'])} ago, it is read with the next run"
    if word == "never run":
        return "First run at the next due time"
    if word != "healthy":
        return row["HELP"] or ""
    if row["DELETIONS_TO_CONFIRM"]:
        return f"Confirm {formats.count(row['DELETIONS_TO_CONFIRM'], 'deletion')}"
    return f"{formats.count(row['REJECTED'], 'record was', 'records were')} left out: open it" if row["REJECTED"] else ""


def styled(status, made):
    """Ages and numbers in the page's words; the values below stay times and numbers."""
    clock = status.clock
    written = {"Last success": clock.ago, "Due": clock.due, "Rows": formats.number, "24 h": formats.signed}
    if not compat.HAS_CHIPS:
        made = made.assign(Health=made["Health"].map(lambda one: one[0]))
    return compat.written(made, written)


def columns(status, rows):
    """How the columns are shown."""
    highest = max((max(of_week(row) or [0]) for row in rows), default=0)
    return {
        "Health": health_column(),
        texts.first_capital(status.kind): compat.column("TextColumn", texts.first_capital(status.kind), width="medium"),
        "Last success": compat.column("DatetimeColumn", "Last success"),
        "Due": compat.column("DatetimeColumn", "Due"),
        "Rows": compat.column("NumberColumn", "Rows"),
        "24 h": compat.column("NumberColumn", "24 h", width="small"),
        "7 days": compat.column("BarChartColumn", "7 days", y_min=0, y_max=highest or 1, color=BARS, width="small"),
        "Streams": compat.column("TextColumn", "Streams", width="small"),
        "What to do": compat.column("TextColumn", "What to do", width="large"),
    }


def health_column():
    """Health as a chip with its colour."""
    return chips("Health", [(word.signed, word.chip) for word in words.HEALTH.values()])


def chips(label, options, **width):
    """A column of one chip per cell, by pairs of text and colour."""
    return compat.column(
        "MultiselectColumn",
        label,
        options=[text for text, _ in options],
        color=[colour for _, colour in options],
        width=width.get("width", 118),
    )


def foot(status, rows, page):
    """Which rows are shown, and the buttons to the others; a choice that opens one without a mouse."""
    found = int(rows[0]["FOUND"])
    first = page * queries.PAGE
    places = compat.row(4)
    with places[0]:
        if found > queries.PAGE:
            shown = f"Rows {first + 1:,}–{first + len(rows):,} of {found:,}, worst first"
            compat.element("caption", texts.escaped(shown), width="content")
    with places[1]:
        if page:
            compat.button(
                f"Previous {queries.PAGE}", "previous_page", icon="chevron_left", type="tertiary", on_click=turn, args=(page - 1,)
            )
    with places[2]:
        if first + len(rows) < found:
            compat.button(
                f"Next {queries.PAGE}", "next_page", icon="chevron_right", type="tertiary", on_click=turn, args=(page + 1,)
            )
    with places[3]:
        compat.element(
            "selectbox",
            f"Open a {texts.escaped(status.kind)}",
            ["", *[row["RESOURCE"] for row in rows]],
            key="open_resource",
            format_func=lambda name: name or f"Open a {status.kind} …",
            label_visibility="collapsed",
            on_change=open_chosen,
            width=260,
        )


def turn(page):
    """Shows another page of the table."""
    st.session_state["page"] = page


def open_chosen():
    """Opens the resource that was chosen below the table."""
    name = st.session_state.get("open_resource")
    if name:
        navigation.go(navigation.OVERVIEW, name)
        st.session_state["open_resource"] = ""
