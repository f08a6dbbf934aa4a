"""What the tables lack: records that could not be stored, and deletions that a person has to confirm."""

import pandas
import streamlit as st

import actions
import compat
import formats
import queries
import resource_table
import run_table
import texts
import words

# The code of the error of a run that asks whether rows are really gone.
UNCONFIRMED = "deletions_unconfirmed"


def records(status, resource, count, shares=False):
    """How many records were left out, why, and the newest of them. Only administrators see records, and reasons, which may quote them."""
    were = formats.count(count, "record was", "records were")
    st.markdown(f"{texts.escaped(were)} left out. All others are loaded. A record leaves this list when the source sends it corrected.")
    if status.controls:
        listed(status, queries.rejected(resource, shares))


def listed(status, rows):
    """The most frequent reason, and the newest records."""
    if not rows:
        return
    first = rows[0]
    if int(first["OF_MAIN"]) > 1:
        st.markdown(f"Most often ({int(first['OF_MAIN']):,} of {int(first['FOUND']):,}): {texts.sentence(first['MAIN_REASON'])}")
    clock, several = status.clock, len(status.streams or []) > 1
    made = pandas.DataFrame(
        [
            {
                **({"Stream": texts.plain(row["STREAM"])} if several else {}),
                "Key": texts.plain(row["KEY"] or formats.NOTHING),
                "Reason": texts.plain(row["REASON"]),
                "First met": row["FIRST_AT"],
                "Last met": row["LAST_AT"],
                "Record": texts.plain(row["RECORD"]),
            }
            for row in rows
        ]
    )
    times = ("First met", "Last met")
    for column in times:
        made[column] = pandas.to_datetime(made[column])
    shown = {name: compat.column("DatetimeColumn", name, width="small") for name in times}
    shown |= {name: compat.column("TextColumn", name, width="large") for name in ("Reason", "Record")}
    styled = compat.written(made, {name: clock.ago for name in times})
    compat.table(styled, shown, key="left_out", height=resource_table.height(min(len(made), run_table.VISIBLE)))
    if int(first["FOUND"]) > len(rows):
        total = formats.count(first["FOUND"], "record")
        st.caption(texts.escaped(f"The newest {len(rows)} of {total}. The view REJECTED_RECORDS has all, whole."))


def of_resource(status, row, streams):
    """The records of a resource that were left out."""
    if row["REJECTED"]:
        compat.heading("Left out", 3)
        records(status, row["RESOURCE"], row["REJECTED"], any(one["KIND"] == "shared" for one in streams))


def deletions(status, row, streams):
    """The deletions that a reconcile run has left to confirm, and the button that confirms them."""
    asked = [one for one in streams if one["DELETIONS_TO_CONFIRM"]]
    if not asked:
        return
    several = len(status.streams or []) > 1
    rows = formats.count(row["DELETIONS_TO_CONFIRM"], "row is", "rows are")
    with compat.card():
        st.markdown(f"{words.to_confirm()} **{texts.escaped(rows)} gone at {texts.escaped(status.source)}.**")
        for one in asked:
            total = formats.count(one["ROWS_TOTAL"], "row")
            where = f"{texts.escaped(one['STREAM'])}: " if several else ""
            st.caption(f"{where}{int(one['DELETIONS_TO_CONFIRM']):,} of {texts.escaped(total)}")
        st.markdown(
            "Nothing was marked as deleted. Check the source first: a token that lost access, or a feature that was switched off, looks "
            "the same. If they are really gone, confirm: everything is read once more, and they are marked as deleted."
        )
        if not status.controls or status.runs_outside():
            return
        blocked = status.status != "STARTED" or words.health(row["HEALTH"]).name in ("running", "paused")
        if compat.button("Confirm the deletions", "confirm_deletions", icon="rule", disabled=blocked):
            named = [[one["STREAM"] for one in asked]] if several else []
            actions.run(
                "confirm", "RECONCILE_RESOURCE", row["RESOURCE"], True, *named, doing="Starting a container…", follows=row["RESOURCE"]
            )
        actions.answer(status, "confirm")
