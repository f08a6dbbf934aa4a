"""Reads data for the page, and calls the app's procedures. Reads are remembered for some seconds, until an action."""

import json
import uuid
from datetime import UTC, datetime

import streamlit as st
from snowflake.snowpark import context

import formats

# How long a read is remembered, in seconds. Each click reruns the whole page.
TTL = 20

# The arguments of procedures that are bound as JSON.
MARKS = {dict: "PARSE_JSON(?)", list: "PARSE_JSON(?)::ARRAY"}

# How many lines of a database error are shown. Further lines are stack traces.
MAX_ERROR_LINES = 3


# The words of health that the overview counts.
COUNTED = ("failing", "interrupted", "late", "running", "never run", "healthy", "paused")


class Unreadable(Exception):
    """A statement that reads has failed."""


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


def scope():
    """What remembered reads belong to: this user's session, until the next action."""
    return st.session_state.setdefault("scope", uuid.uuid4().hex)


def forget():
    """Forgets what was read: something has changed."""
    st.session_state["scope"] = uuid.uuid4().hex


@st.cache_data(ttl=TTL, max_entries=500, show_spinner=False)
def remembered_rows(text, params, of):
    """The rows of a statement; `of` is the scope."""
    rows = context.get_active_session().sql(text, params=list(params)).collect()
    return [row.as_dict() for row in rows]


def select(text, *params):
    """The rows of a SELECT as dictionaries. Raises Unreadable."""
    try:
        return remembered_rows(text, params, scope())
    except Exception as error:
        raise Unreadable(error_text(error)) from error


@st.cache_data(ttl=TTL, max_entries=500, show_spinner=False)
def remembered_status(procedure, of):
    """The response of a status procedure without its list of resources, and when it was read; `of` is the scope."""
    return call(procedure, False), datetime.now(UTC).replace(tzinfo=None)


class Status:
    """The connector's status. Members are read by name, in any case; a missing one is None."""

    def __init__(self, answer, read_at, controls):
        self.members = {name.lower(): value for name, value in answer.items()}
        self.read_at = read_at
        self.controls = controls
        self.clock = formats.Clock(formats.moment(self.as_of) or read_at, st.session_state.get("zone", "UTC"))

    def __getattr__(self, name):
        return self.members.get(name)

    @property
    def kind(self):
        """The word for one resource."""
        return self.resource_kind or "resource"

    @property
    def kinds(self):
        """The word for several resources."""
        if self.resource_kind_plural:
            return self.resource_kind_plural
        return self.kind[:-1] + "ies" if self.kind.endswith("y") and self.kind[-2:-1] not in "aeiou" else self.kind + "s"

    @property
    def source(self):
        """The source's name in texts: `GitHub`. A status that cannot be read does not tell it."""
        return self.members.get("source") or "the source"

    @property
    def settings(self):
        """The stored configuration; empty before the first one."""
        return self.configuration or {}

    def steps(self):
        """The steps of set-up that apply."""
        return [step for step in self.setup or [] if step.get("state") != "not applicable"]

    def steps_left(self):
        """How many steps are still to do."""
        return sum(step.get("state") not in ("done", "optional") for step in self.steps())

    def is_set_up(self):
        """Whether set-up was completed. A step that is open again does not undo it: then the overview says so."""
        return str(self.health).lower().replace("_", " ") != "not configured"

    @property
    def resources_count(self):
        """How many resources there are."""
        return int(self.resources) if isinstance(self.resources, (int, float)) else 0

    def counts(self):
        """How many resources have each word of health."""
        return {word: int(self.members.get(word.replace(" ", "_")) or 0) for word in COUNTED}

    def runs_outside(self):
        """Whether a process outside Snowflake starts ingestion."""
        return self.settings.get("scheduler") == "outside"


def status(controls):
    """The connector's status; with `controls` the one for administrators. A failed read is not remembered."""
    answer, read_at = remembered_status("GET_CONNECTOR_STATUS" if controls else "GET_VIEWER_STATUS", scope())
    if answer.get("response_code") != "OK":
        forget()
    return Status(answer, read_at, controls)


def quoted(name):
    """A name as a quoted identifier."""
    return '"' + name.replace('"', '""') + '"'


def parsed(value):
    """A list or an object of a row, which arrives as JSON text; None if it cannot be read."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return None
