"""What the page reads, and the procedures that it calls."""

import json
import time

import pandas
import streamlit as st
from snowflake.snowpark import context

# For how long what was read of the status is shown, in seconds. Each click runs the whole page again.
FRESH = 20

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


def status():
    """How the connector stands; read again after an action, and when it is old."""
    known = st.session_state.get("status")
    if known is None or time.time() - known["read_at"] > FRESH:
        known = {"read_at": time.time(), **call("GET_CONNECTOR_STATUS")}
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
    text = f'SELECT {", ".join(map(quoted, columns))} FROM {table} {where} ORDER BY "STARTED_AT" DESC, "ID" DESC LIMIT {int(limit)}'
    found = select(text, *params)
    return found if len(found) else pandas.DataFrame(columns=columns)


def preview(view, limit):
    """Some rows of a view, whose name comes in quotes from the app."""
    return select(f"SELECT * FROM {view} LIMIT {int(limit)}")


def raw(table, limit):
    """Some documents as they were sent, the newest first."""
    found = select(
        f'SELECT "KEY", "DOCUMENT" FROM {table} WHERE "DOCUMENT" IS NOT NULL ORDER BY "CHANGED_AT" DESC LIMIT {int(limit)}'
    )
    return [] if not len(found) else list(found.itertuples(index=False, name=None))
