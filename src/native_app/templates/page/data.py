"""Reads data for the page, and calls the app's procedures."""

import json
import time

import pandas
import streamlit as st
from snowflake.snowpark import context

# How long the page caches the status, in seconds. Each click reruns the whole page.
STATUS_TTL = 20

# Streamlit limits a message to the browser to 32 MB. Previews stay far below that.
MAX_CHARACTERS = 4_000_000
MAX_CELL = 20_000
MAX_DOCUMENT = 1_000_000

# The arguments of procedures that are bound as JSON.
MARKS = {dict: "PARSE_JSON(?)", list: "PARSE_JSON(?)::ARRAY"}

# How many lines of a database error are shown. Further lines are stack traces.
MAX_ERROR_LINES = 3


class DestinationUnreadable(Exception):
    """The destination cannot be read."""


def rerun():
    """Reruns the page."""
    if hasattr(st, "rerun"):
        st.rerun()
    else:  # Before version 1.27.
        st.experimental_rerun()


def call(procedure, *arguments):
    """Calls a procedure of the app and returns its response. A call that fails or is cut off returns an error response.

    A dictionary is for a parameter of type VARIANT, and a list for an ARRAY. Snowflake does not coerce text to them, so the statement
    parses it.
    """
    marks = [MARKS.get(type(argument), "?") for argument in arguments]
    values = [json.dumps(argument) if type(argument) in MARKS else argument for argument in arguments]
    try:
        session = context.get_active_session()
        answer = session.sql(f"CALL PUBLIC.{procedure}({', '.join(marks)})", params=values).collect()[0][0]
        return json.loads(answer) if isinstance(answer, str) else answer
    except Exception as error:
        return failure_response(error)


def failure_response(error):
    """The response to a call that did not reach its procedure."""
    return {"response_code": "UNKNOWN_SQL_ERROR", "message": error_text(error)}


def error_text(error):
    """The message of a database error."""
    text = getattr(error, "raw_message", None) or str(error) or type(error).__name__
    return "\n".join(text.splitlines()[:MAX_ERROR_LINES])


def status(procedure):
    """The connector's status by this procedure, cached until an action or until it expires."""
    known = st.session_state.get("status")
    if known is None or time.time() - known["read_at"] > STATUS_TTL:
        known = {"read_at": time.time(), **call(procedure)}
        if known["response_code"] == "OK":
            st.session_state["status"] = known
    return known


def run_action(procedure, *arguments, doing="Working…"):
    """Calls a procedure that changes something, keeps its response for the top of the page, and reruns the page."""
    with st.spinner(doing):
        answer = call(procedure, *arguments)
    st.session_state["notice"] = answer
    st.session_state.pop("status", None)
    rerun()


def select(text, *params):
    """Runs a SELECT and returns its rows. Raises DestinationUnreadable."""
    try:
        rows = context.get_active_session().sql(text, params=list(params)).collect()
    except Exception as error:
        raise DestinationUnreadable(error_text(error)) from error
    return pandas.DataFrame([row.as_dict() for row in rows])


def quoted(name):
    """A name as a quoted identifier."""
    return '"' + name.replace('"', '""') + '"'


def runs(database, resource, stream, limit, has_streams):
    """The newest runs of one resource or of all, and of one stream or of all; `has_streams`: whether the history has streams."""
    columns = [
        "RESOURCE",
        *(["STREAM"] if has_streams else []),
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
    # The column STREAM of the run history is not in every database; the document of a run has the stream.
    where, params = filtered({"RESOURCE": resource, "STREAM": stream})
    table = f'{quoted(database)}."STATE"."INGESTION_RUN"'
    shown = [f'LEFT("ERROR", {MAX_CELL // 10}) AS "ERROR"' if name == "ERROR" else quoted(name) for name in columns]
    text = f'SELECT {", ".join(shown)} FROM {table} {where} ORDER BY "STARTED_AT" DESC, "ID" DESC LIMIT {int(limit)}'
    found = select(text, *params)
    return found if len(found) else pandas.DataFrame(columns=columns)


def filtered(values):
    """A WHERE clause for these values of columns, and what it binds; None is any value."""
    wanted = {name: value for name, value in values.items() if value is not None}
    conditions = " AND ".join(f"{quoted(name)} = ?" for name in wanted)
    return f"WHERE {conditions}" if wanted else "", list(wanted.values())


def runs_for_viewers(view, resource, stream, limit):
    """As `runs`, from the app's own view, which has the kind of an error but not its message."""
    columns = 'RESOURCE", "STREAM", "MODE", "STATUS", "STARTED_AT", "INSERTED", "UPDATED", "DELETED", "REJECTED", "REQUESTS'
    where, params = filtered({"RESOURCE": resource, "STREAM": stream})
    found = select(
        f'SELECT "{columns}", "WAITED_SECONDS" * 1000 AS "WAITED_MS", "DURATION_SECONDS" * 1000 AS "TOTAL_MS", '
        f'"ERROR_KIND" AS "ERROR" '
        f'FROM {view} {where} ORDER BY "STARTED_AT" DESC, "ID" DESC LIMIT {int(limit)}',
        *params,
    )
    return found if len(found) else pandas.DataFrame(columns=["RESOURCE"])


def preview(view, limit):
    """Rows of a view, whose quoted name comes from the app, and their number before large rows were left out."""
    # The documents have their own tab.
    found = select(f'SELECT * EXCLUDE "RAW" FROM {view} LIMIT {int(limit)}')
    if not len(found):
        return found, 0
    for column in found.columns:
        found[column] = found[column].map(shortened)
    sizes = [sum(map(size, row)) for row in found.itertuples(index=False)]
    return found.head(rows_that_fit(sizes)), len(found)


def shortened(value):
    """A cell, truncated if its text is too long."""
    if not isinstance(value, str) or len(value) <= MAX_CELL:
        return value
    return f"{value[:MAX_CELL]}… ({len(value)} characters)"


def size(value):
    """The approximate size of a cell, in characters."""
    return len(value) if isinstance(value, str) else 20


def rows_that_fit(sizes):
    """How many of the first rows fit into a preview, given their sizes: at least one."""
    total = 0
    for count, one in enumerate(sizes):
        total += one
        if total > MAX_CHARACTERS:
            return max(count, 1)
    return len(sizes)


def raw(table, limit):
    """Raw documents, newest first: the key, the length, and the document unless it is too large."""
    # An empty text stands for that of the VARIANT.
    text = """CASE WHEN "DOCUMENT" = '' THEN COALESCE(TO_JSON("RAW"), '') ELSE "DOCUMENT" END"""
    found = select(
        f'SELECT "KEY", LENGTH("TEXT") AS "LENGTH", '
        f'CASE WHEN LENGTH("TEXT") <= {MAX_DOCUMENT} THEN "TEXT" END AS "DOCUMENT" '
        f'FROM (SELECT "KEY", {text} AS "TEXT" FROM {table} '
        f'WHERE "DOCUMENT" IS NOT NULL ORDER BY "CHANGED_AT" DESC LIMIT {int(limit)}) t'
    )
    if not len(found):
        return [], 0
    shown = found.head(rows_that_fit(list(found["DOCUMENT"].map(size))))
    return list(shown.itertuples(index=False, name=None)), len(found)
