"""Runs as a table, and what one of them did."""

import pandas
import streamlit as st

import compat
import data
import errors
import formats
import left_out
import navigation
import resource_table
import texts
import words

COUNTS = ("INSERTED", "UPDATED", "DELETED", "REJECTED", "REQUESTS", "BYTES", "WAITED_MS")
SHOWN = 10
# A longer table scrolls.
VISIBLE = 20
LOG_LINES = 200


def by_run(rows):
    """The rows of runs and streams by run: with the worst outcome, sums, and the streams. The newest first."""
    found = {}
    for row in rows:
        found.setdefault((row["JOB"] or row["RUN"], row["RESOURCE"]), []).append(row)
    runs = [joined(of_run) for of_run in found.values()]
    return sorted(runs, key=lambda run: str(run["STARTED_AT"]), reverse=True)


def joined(rows):
    """The rows of one run as one."""
    outcomes = {words.outcome(row["OUTCOME"]).name for row in rows}
    worst = next(name for name in words.OUTCOMES if name in outcomes)
    if worst == "failed" and outcomes & {"changed", "nothing new"}:
        # A run that failed for some of its streams is partial.
        worst = "partial"
    starts = [row["STARTED_AT"] for row in rows if row["STARTED_AT"] is not None]
    ends = [row["ENDED_AT"] for row in rows if row["ENDED_AT"] is not None]
    bad = next((row for row in rows if row["OUTCOME"] in words.BAD), None)
    return {
        "RUN": rows[0]["JOB"] or rows[0]["RUN"],
        "JOB": rows[0]["JOB"],
        "RESOURCE": rows[0]["RESOURCE"],
        "MODE": rows[0]["MODE"],
        "OUTCOME": worst,
        "STARTED_AT": min(starts, default=None),
        "ENDED_AT": max(ends, default=None) if len(ends) == len(rows) else None,
        "TOTAL_MS": max((int(row["TOTAL_MS"] or 0) for row in rows), default=0),
        **{name: sum(int(row[name] or 0) for row in rows) for name in COUNTS},
        "BAD": bad,
        "ROWS": rows,
    }


def what_happened(status, run):
    """A run in words: what went wrong, or what changed."""
    bad = run["BAD"]
    if run["OUTCOME"] == "interrupted":
        return "Cut off; the next run goes on where it stopped"
    if bad is not None:
        # No Markdown: this is a cell.
        text = bad["HELP"] or (errors.known(bad["CODE"]) or errors.Text("It failed.")).title
        text = text.replace("{source}", status.source).replace("{kind}", status.kind)
        return f"{bad['STREAM']}: {text}" if texts.needs_name(status, bad["STREAM"]) else text
    if run["OUTCOME"] == "running":
        return "Reading"
    if run["MODE"] == "reconcile":
        return "Reconciled"
    return "" if run["OUTCOME"] == "changed" else "Nothing new"


def took(run):
    """How long a run took."""
    return formats.NOTHING if run["OUTCOME"] in ("running", "did not start") else formats.duration(run["TOTAL_MS"] / 1000)


def table(status, runs, has_resource, key=None, selects=False):
    """The table of runs. Returns the position of the selected one."""
    clock, zone = status.clock, status.clock.zone_name(status.clock.now)
    several = len(status.streams or []) > 1
    lines = []
    for run in runs:
        changed = sum(row["OUTCOME"] == "changed" for row in run["ROWS"])
        lines.append(
            {
                "Outcome": [words.outcome(run["OUTCOME"]).signed],
                f"Started ({zone})": (
                    f"{clock.shifted(formats.moment(run['STARTED_AT'])):%d %b %H:%M:%S}" if run["STARTED_AT"] else formats.NOTHING
                ),
                "Took": took(run),
                **({texts.first_capital(status.kind): texts.plain(run["RESOURCE"])} if has_resource else {}),
                **({"Streams": f"{changed} of {len(run['ROWS'])} changed"} if several and has_resource else {}),
                "Inserted": run["INSERTED"],
                "Updated": run["UPDATED"],
                "Deleted": run["DELETED"],
                "Requests": run["REQUESTS"],
                "What happened": texts.plain(what_happened(status, run)),
            }
        )
    made = pandas.DataFrame(lines)
    numbers = ("Inserted", "Updated", "Deleted", "Requests")
    outcome = resource_table.chips("Outcome", [(one.signed, one.chip) for one in words.OUTCOMES.values()])
    if not compat.HAS_CHIPS:
        made["Outcome"] = made["Outcome"].map(lambda one: one[0])
    shown = {name: compat.column("NumberColumn", name, width="small") for name in numbers}
    shown |= {"Outcome": outcome, "What happened": compat.column("TextColumn", "What happened", width="large")}
    styled = compat.written(made, {name: formats.number for name in numbers})
    return compat.table(styled, shown, key=key, selects=selects, height=resource_table.height(min(len(made), VISIBLE)))


def of_resource(status, rows):
    """The newest runs of a resource, and the log of the last one."""
    compat.heading("Runs", 3)
    runs = by_run(rows)
    if not runs:
        st.markdown("No run has changed anything in this time.")
        return
    table(status, runs[:SHOWN], has_resource=False, key="runs_of_resource")
    if len(runs) > SHOWN:
        choices = {"runs_search": runs[0]["RESOURCE"]}
        navigation.button(f"All {len(runs):,} runs", "all_runs", navigation.RUNS, icon="history", type="tertiary", choices=choices)
    if status.controls:
        log(runs[0], "Log of the last run", "last")


def log(run, label, key):
    """The log of a run's container, read when it is asked for."""
    if not run["JOB"]:
        return
    with compat.fold(label, icon="notes"):
        if not st.checkbox("Read the log", key=f"log_{key}_{run['JOB']}"):
            return
        answer = data.call("GET_JOB_LOG", run["JOB"], LOG_LINES)
        text = answer.get("log") or answer.get("LOG") or ""
        if answer["response_code"] != "OK":
            st.markdown(f"The log cannot be read. {texts.sentence(answer['message'])}")
        elif text:
            st.code(texts_of_log(text), language=None)
        else:
            st.markdown("The log is gone: Snowflake keeps it as long as the container, and then in the account's event table.")


def texts_of_log(text):
    """The lines of a log without characters that affect how others are shown."""
    return "\n".join(map(texts.plain, text.splitlines()))


def details(status, run):
    """One run: its streams, its counters, the error in full, and its log."""
    clock = status.clock
    word = words.outcome(run["OUTCOME"])
    with compat.card():
        st.markdown(f"**{texts.escaped(word.signed)}** · {texts.escaped(run['RESOURCE'] or status.title)}")
        parts = [f"started {clock.at(run['STARTED_AT'])}", f"took {took(run)}", f"{run['MODE'] or 'incremental'}"]
        parts.append(f"waited {formats.duration(run['WAITED_MS'] / 1000)} for limits" if run["WAITED_MS"] else "")
        parts.append(formats.megabytes(run["BYTES"]) if run["BYTES"] else "")
        st.caption(texts.escaped(" · ".join(part for part in parts if part)))
        for row in run["ROWS"]:
            if row["OUTCOME"] in words.BAD:
                text = errors.words(status, row["CODE"], None, row["HELP"])
                where = f"{texts.escaped(row['STREAM'])}: " if texts.needs_name(status, row["STREAM"]) else ""
                st.markdown(f"{where}**{text.title}.** {text.help}")
        streams = pandas.DataFrame(
            [
                {
                    "Stream": texts.plain(row["STREAM"] or formats.NOTHING),
                    "Outcome": words.outcome(row["OUTCOME"]).signed,
                    **{
                        name.capitalize(): int(row[name] or 0)
                        for name in ("INSERTED", "UPDATED", "DELETED", "REJECTED", "REQUESTS")
                    },
                    "Took": formats.duration(int(row["TOTAL_MS"] or 0) / 1000),
                }
                for row in run["ROWS"]
            ]
        )
        compat.table(streams, key="streams_of_run", height=resource_table.height(len(streams)))
        if run["REJECTED"]:
            left_out.records(status, run["RESOURCE"], run["REJECTED"])
    if status.controls:
        log(run, "Log of this run", "run")
