"""Charts over real time: a cell of the timeline is an interval, and shows the worst run within it."""

from datetime import timedelta

import altair
import pandas

import compat
import formats
import queries
import texts
import words

ORDER = list(words.OUTCOMES)
# The usual first.
LEGEND = ("changed", "nothing new", "running", "interrupted", "partial", "did not start", "failed")

# The height of a lane, and of axis and legend, in pixels.
LANE, AROUND = 24, 92


def slices(now, window):
    """The beginnings of the cells of a window, the oldest first."""
    hours, minutes = queries.WINDOWS[window]
    step = timedelta(minutes=minutes)
    seconds = int((now - EPOCH).total_seconds())
    last = EPOCH + timedelta(seconds=seconds - seconds % (minutes * 60))
    return [last - index * step for index in reversed(range(hours * 60 // minutes))], step


EPOCH = pandas.Timestamp(1970, 1, 1).to_pydatetime()


def since(now, window):
    """The beginning of a window, for a statement: that of its first cell."""
    return f"{slices(now, window)[0][0]:%Y-%m-%d %H:%M:%S}"


def worst(found, lanes, now, window):
    """The cells to draw, from entries (lane, first cell, last cell, outcome, runs): one for each lane and interval."""
    starts, step = slices(now, window)
    place = {start: index for index, start in enumerate(starts)}
    cells = {}
    for lane, first, last, outcome, runs in found:
        if lane not in lanes or first is None:
            continue
        last = last or first
        begin, end = max(first, starts[0]), min(last, starts[-1])
        while begin <= end:
            if begin in place:
                known = cells.setdefault((lane, begin), [outcome, 0])
                known[0] = min(known[0], outcome, key=rank)
                known[1] += runs if first == last else 0
            begin += step
    return [
        {"lane": lane, "from": start, "to": start + step, "outcome": words.outcome(outcome).name, "runs": int(runs)}
        for (lane, start), (outcome, runs) in sorted(cells.items())
    ]


def rank(outcome):
    """The place of an outcome, the worst first."""
    name = words.outcome(outcome).name
    return ORDER.index(name)


def timeline(cells, lanes, clock, window, suspended_since=None, what="resource"):
    """Draws cells by lane and time, and since when the schedule is suspended, if it is."""
    starts, step = slices(clock.now, window)
    begin, end = starts[0], starts[-1] + step
    frame = pandas.DataFrame(
        [
            {
                **cell,
                "lane": texts.plain(cell["lane"]),
                # As numbers: a browser would take a time without a zone as its own. A gap keeps neighbours apart.
                "from": milliseconds(clock.shifted(cell["from"])),
                "to": milliseconds(clock.shifted(cell["from"]) + step * 0.93),
                "middle": milliseconds(clock.shifted(cell["from"]) + step * 0.465),
                "mark": words.outcome(cell["outcome"]).mark,
                "when": clock.at(cell["from"]),
            }
            for cell in cells
        ],
        columns=["lane", "from", "to", "middle", "outcome", "runs", "mark", "when"],
    )
    present = [name for name in LEGEND if name in set(frame["outcome"])]
    span = altair.Scale(domain=[milliseconds(clock.shifted(begin)), milliseconds(clock.shifted(end))], type="utc")
    names = [texts.plain(lane) for lane in lanes]
    axis = altair.Axis(title=None, format=format_of(window), grid=False, tickCount=8, domain=False, ticks=False)
    x = altair.X("from:T", scale=span, axis=axis)
    y = altair.Y(
        "lane:N",
        sort=names,
        scale=altair.Scale(domain=names),
        axis=altair.Axis(title=None, domain=False, ticks=False, labelLimit=180, grid=False),
    )
    colours = altair.Scale(domain=present, range=[words.OUTCOMES[name].colour for name in present])
    tip = [
        altair.Tooltip("lane:N", title=what.capitalize()),
        altair.Tooltip("when:N", title="From"),
        altair.Tooltip("outcome:N", title="Worst outcome"),
        altair.Tooltip("runs:Q", title="Runs"),
    ]
    base = altair.Chart(frame)
    layers = []
    if suspended_since is not None and suspended_since < end:
        layers += band(max(suspended_since, begin), end, clock, span, axis)
    bars = base.mark_bar(height=16, cornerRadius=3).encode(
        x=x,
        x2="to:T",
        y=y,
        color=altair.Color("outcome:N", scale=colours, legend=altair.Legend(title=None, orient="top", symbolType="square")),
        tooltip=tip,
    )
    layers.append(bars)
    for name in sorted(set(frame["outcome"])):
        one = words.OUTCOMES[name]
        if name == "did not start":
            layers.append(
                base.transform_filter(altair.datum.outcome == name)
                .mark_bar(height=16, cornerRadius=3, fillOpacity=0, stroke="#C8323F", strokeDash=[3, 2], strokeWidth=1)
                .encode(x=x, x2="to:T", y=y)
            )
        if one.mark:
            layers.append(
                base.transform_filter(altair.datum.outcome == name)
                .mark_text(fontSize=11, fontWeight="bold", baseline="middle", color=one.ink)
                .encode(x=altair.X("middle:T", scale=span, axis=axis), y=y, text="mark:N")
            )
    kinds = ", ".join(f"{sum(frame['outcome'] == name)} {name}" for name in reversed(present)) or "no run"
    alt = f"Timeline of the last {window} with a lane for each {what}. Cells: {kinds}."
    made = altair.layer(*layers).properties(height=len(names) * LANE + AROUND, description=alt)
    compat.chart(made.configure_view(stroke=None), alt)
    return frame


def band(begin, end, clock, span, axis):
    """The time in which the schedule is suspended: a pale red band with words."""
    frame = pandas.DataFrame(
        [
            {
                "from": milliseconds(clock.shifted(begin)),
                "to": milliseconds(clock.shifted(end)),
                "middle": milliseconds(clock.shifted(begin + (end - begin) / 2)),
                "text": "Schedule suspended",
            }
        ]
    )
    base = altair.Chart(frame)
    return [
        base.mark_rect(color="#C8323F", opacity=0.1).encode(x=altair.X("from:T", scale=span, axis=axis), x2="to:T"),
        base.mark_text(color="#C8323F", fontWeight="bold", fontSize=13).encode(
            x=altair.X("middle:T", scale=span, axis=axis), text="text:N"
        ),
    ]


def milliseconds(value):
    """A time as Vega takes it: a float, because a browser reads whole numbers of a table as a type that Vega cannot scale."""
    return (value - EPOCH).total_seconds() * 1000


def format_of(window):
    """How the axis writes times."""
    return "%H:%M" if window == "24 hours" else "%-d %b"


# The width of a bar, as a part of its window.
BAR = 1 / 110


def bars(frame, series, colours, clock, window, title, alt):
    """Stacked bars of runs over a window. `frame` has the columns at and those of `series`, which maps a column to its label."""
    starts, step = slices(clock.now, window)
    begin, end = milliseconds(clock.shifted(starts[0])), milliseconds(clock.shifted(starts[-1] + step))
    width, pieces = (end - begin) * BAR, []
    for row in frame.to_dict("records"):
        at, low = milliseconds(clock.shifted(formats.moment(row["at"]))), 0.0
        for column, label in series.items():
            high = low + float(row[column] or 0)
            if high > low:
                pieces.append(
                    {
                        "from": at,
                        "to": at + width,
                        "low": low,
                        "high": high,
                        "value": high - low,
                        "what": label,
                        "when": clock.at(row["at"]),
                    }
                )
            low = high
    made = (
        altair.Chart(pandas.DataFrame(pieces, columns=["from", "to", "low", "high", "value", "what", "when"]))
        .mark_rect()
        .encode(
            x=altair.X(
                "from:T",
                scale=altair.Scale(domain=[begin, end], type="utc"),
                axis=altair.Axis(title=None, format=format_of(window), grid=False, tickCount=6),
            ),
            x2="to:T",
            y=altair.Y("low:Q", axis=altair.Axis(title=None, tickCount=4, format="~s")),
            y2="high:Q",
            color=altair.Color(
                "what:N",
                scale=altair.Scale(domain=list(series.values()), range=colours),
                legend=altair.Legend(title=None, orient="top", symbolType="square"),
            ),
            tooltip=[
                altair.Tooltip("when:N", title="Run"),
                altair.Tooltip("what:N", title=title),
                altair.Tooltip("value:Q", title="Value", format=",.3~f"),
            ],
        )
        .properties(height=190, description=alt)
    )
    compat.chart(made.configure_view(stroke=None), alt)
