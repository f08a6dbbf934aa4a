"""What the page reads, and the procedures that it calls."""

import json
import time

import pandas
import streamlit as st
from snowflake.snowpark import context

# For how long what was read of the status is shown, in seconds. Each click runs the whole page again.
FRESH = 20

# A message from the page to the browser may have 32 MB. What is shown of rows stays far below that.
MOST_CHARACTERS = 4_000_000
MOST_OF_A_CELL = 20_000
MOST_OF_A_DOCUMENT = 1_000_000

# How many lines of what the database says of a failure are shown. Those below tell places within programs.
LINES = 3


class Unreadable(Exception):
    """The destination cannot be read."""


def rerun():
    """Runs the page again from its top."""
    if hasattr(st, "rerun"):
        st.rerun()
    else:  # Before version 1.27.
        st.experimental_rerun()


def call(procedure, *arguments):
    """Calls a procedure of the app, and gives its answer. A call that fails, or is cut off, gives one that says so.

    A dictionary is for a parameter of the type VARIANT, to which Snowflake coerces no text: it is parsed in the statement.
    """
    marks = ["PARSE_JSON(?)" if isinstance(argument, dict) else "?" for argument in arguments]
    values = [json.dumps(argument) if isinstance(argument, dict) else argument for argument in arguments]
    try:
        session = context.get_active_session()
        answer = session.sql(f"CALL PUBLIC.{procedure}({', '.join(marks)})", params=values).collect()[0][0]
        return json.loads(answer) if isinstance(answer, str) else answer
    except Exception as error:
        return failure(error)


def failure(error):
    """The answer where no procedure could make one."""
    return {"response_code": "UNKNOWN_SQL_ERROR", "message": reason(error)}


def reason(error):
    """What the database says of a failure."""
    text = getattr(error, "raw_message", None) or str(error) or type(error).__name__
    return "\n".join(text.splitlines()[:LINES])


def status(procedure):
    """How the connector stands, by this procedure; read again after an action, and when it is old."""
    known = st.session_state.get("status")
    if known is None or time.time() - known["read_at"] > FRESH:
        known = {"read_at": time.time(), **call(procedure)}
        if known["response_code"] == "OK":
            st.session_state["status"] = known
    return known


def act(procedure, *arguments, doing="Working…"):
    """Calls a procedure that changes something, keeps its answer for the top of the page, and runs the page again."""
    with st.spinner(doing):
        answer = call(procedure, *arguments)
    st.session_state["notice"] = answer
    st.session_state.pop("status", None)
    rerun()


def select(text, *params):
    """The rows of a statement. Raises Unreadable."""
    try:
        rows = context.get_active_session().sql(text, params=list(params)).collect()
    except Exception as error:
        raise Unreadable(reason(error)) from error
    return pandas.DataFrame([row.as_dict() for row in rows])


def quoted(name):
    """A name in double quotes, whatever characters it has."""
    return '"' + name.replace('"', '""') + '"'


def runs(database, resource, limit):
    """The newest runs, of a resource or of all."""
    columns = [
        "RESOURCE",
        "MODE",
        "STATUS",
        "STARTED_AT",
        "ENDED_AT",
        "INSERTED",
        "UPDATED",
        "DELETED",
        "REJECTED",
        "REQUESTS",
        "BYTES",
        "WAITED_MS",
        "TOTAL_MS",
        "ERROR",
    ]
    where, params = ('WHERE "RESOURCE" = ?', [resource]) if resource else ("", [])
    table = f'{quoted(database)}."STATE"."INGESTION_RUN"'
    shown = [f'LEFT("ERROR", {MOST_OF_A_CELL // 10}) AS "ERROR"' if name == "ERROR" else quoted(name) for name in columns]
    text = f'SELECT {", ".join(shown)} FROM {table} {where} ORDER BY "STARTED_AT" DESC, "ID" DESC LIMIT {int(limit)}'
    found = select(text, *params)
    return found if len(found) else pandas.DataFrame(columns=columns)


def runs_for_viewers(view, resource, limit):
    """The same from the app's own view, which tells the kind of an error and not its words."""
    columns = 'RESOURCE", "MODE", "STATUS", "STARTED_AT", "INSERTED", "UPDATED", "DELETED", "REJECTED", "REQUESTS'
    where, params = ('WHERE "RESOURCE" = ?', [resource]) if resource else ("", [])
    found = select(
        f'SELECT "{columns}", "WAITED_SECONDS" * 1000 AS "WAITED_MS", "DURATION_SECONDS" * 1000 AS "TOTAL_MS", '
        f'"ERROR_KIND" AS "ERROR" '
        f'FROM {view} {where} ORDER BY "STARTED_AT" DESC, "ID" DESC LIMIT {int(limit)}',
        *params,
    )
    return found if len(found) else pandas.DataFrame(columns=["RESOURCE"])


def preview(view, limit):
    """Some rows of a view, whose name comes in quotes from the app, and how many there would be if they were not too large."""
    # The documents are on a tab of their own.
    found = select(f'SELECT * EXCLUDE "RAW" FROM {view} LIMIT {int(limit)}')
    if not len(found):
        return found, 0
    for column in found.columns:
        found[column] = found[column].map(shortened)
    sizes = [sum(map(size, row)) for row in found.itertuples(index=False)]
    return found.head(fitting(sizes)), len(found)


def shortened(value):
    """A cell, without the end of a text that is too long."""
    if not isinstance(value, str) or len(value) <= MOST_OF_A_CELL:
        return value
    return f"{value[:MOST_OF_A_CELL]}… ({len(value)} characters)"


def size(value):
    """About how many characters a cell takes."""
    return len(value) if isinstance(value, str) else 20


def fitting(sizes):
    """How many of the first rows can be shown, of which these are the sizes: at least one."""
    total = 0
    for count, one in enumerate(sizes):
        total += one
        if total > MOST_CHARACTERS:
            return max(count, 1)
    return len(sizes)


def raw(table, limit):
    """Some documents as they were sent, the newest first: the key, the length, and the document unless that is too large."""
    found = select(
        f'SELECT "KEY", LENGTH("DOCUMENT") AS "LENGTH", '
        f'CASE WHEN LENGTH("DOCUMENT") <= {MOST_OF_A_DOCUMENT} THEN "DOCUMENT" END AS "DOCUMENT" '
        f'FROM {table} WHERE "DOCUMENT" IS NOT NULL ORDER BY "CHANGED_AT" DESC LIMIT {int(limit)}'
    )
    if not len(found):
        return [], 0
    shown = found.head(fitting(list(found["DOCUMENT"].map(size))))
    return list(shown.itertuples(index=False, name=None)), len(found)
