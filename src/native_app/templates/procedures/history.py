"""What the engine has recorded: the newest state of each stream of each resource, and its runs.

Older versions of the engine recorded both by resource only. Their tables have no column STREAM until a container of this version has
started, which assigns the entries of a resource with a single stream to that stream.
"""

import json
import logging

from snowflake.snowpark.exceptions import SnowparkSQLException

import streams
from names import qualified
from responses import UNKNOWN_COLUMN

log = logging.getLogger("connector")

# The status of a document that cannot be read.
UNREADABLE = "unreadable"

# Statuses of older versions of the engine.
OLD_STATUSES = {"RUNNING": "running", "DONE": "complete", "FAILED": "failed"}

# The statuses of streams, the worst first.
WORST_FIRST = (UNREADABLE, "failed", "partial", "interrupted", "running", "complete")

COUNTS = ("offered", "inserted", "updated", "unchanged", "deleted", "rejected")


class ByStream:
    """The newest entries of streams."""

    def __init__(self, entries, tables):
        """`entries` are tuples of resource, stream, a number or text that increases with time, and value; `tables` are those of
        `destination.tables`."""
        self.entries = {(resource, stream): (order, value) for resource, stream, order, value in entries}
        self.tables = {resource: [table["stream"] for table in found] for resource, found in tables.items()}

    def newest(self, resource, stream):
        """The newest entry of a stream; None if there is none.

        An entry without a stream is an older version's. It stands for each stream of which the resource has a table, and for all
        streams if it has none. With the empty name, the migration has ended it: any entry of the stream itself is newer.
        """
        resource = streams.owner(resource, stream)
        found, ended = [self.entries.get((resource, stream))], None
        if stream in self.tables.get(resource, [stream]):
            found.append(self.entries.get((resource, None)))
            ended = self.entries.get((resource, ""))
        newest = max((entry for entry in found if entry), key=lambda entry: entry[0], default=ended)
        return newest and newest[1]

    def resources(self):
        """The resources that have entries."""
        return {resource for resource, _ in self.entries}

    def of_resource(self, resource):
        """The newest entries of a resource's streams, older versions' included."""
        return [value for (name, _), (_, value) in self.entries.items() if name == resource]

    def streams(self, resource):
        """The streams of a resource that have entries of their own."""
        return [stream for name, stream in self.entries if name == resource and stream]


def has_streams(session, database):
    """Whether states and runs have a column STREAM. The run history is the last to get it."""
    try:
        session.sql(f'SELECT "STREAM" FROM {qualified(database, "STATE", "INGESTION_RUN")} LIMIT 1').collect()
    except SnowparkSQLException as error:
        if error.sql_error_code == UNKNOWN_COLUMN:
            return False
        raise
    return True


def stream_column(has_streams):
    """The stream of a state or a run in a SELECT list and in further clauses; NULL in a database without the column."""
    return '"STREAM"' if has_streams else "CAST(NULL AS VARCHAR)"


def newest_states(session, database, tables, has_streams):
    """The newest state of each stream: its status, as in the run history, and the message if it is not complete."""
    table, stream = qualified(database, "STATE", "APP_STATE"), stream_column(has_streams)
    text = (
        f'SELECT "KEY", {stream} AS "STREAM_NAME", "VERSION", "AT", "DOCUMENT" FROM {table} '
        f'QUALIFY ROW_NUMBER() OVER (PARTITION BY "KEY", {stream} ORDER BY "VERSION" DESC) = 1'
    )
    entries = [(row["KEY"], row["STREAM_NAME"], row["VERSION"], state_of(row)) for row in session.sql(text).collect()]
    return ByStream(entries, tables)


def state_of(row):
    """A state, with its status in the words of the run history."""
    state = read("APP_STATE", row["KEY"], row["DOCUMENT"])
    status = text_of(state, "status") or UNREADABLE
    return {"status": OLD_STATUSES.get(status, status), "message": text_of(state, "message"), "since": row["AT"]}


def worst(states):
    """The worst of these states, None where a stream has none; None if there is no state."""
    order = {status: number for number, status in enumerate(WORST_FIRST)}
    return min(filter(None, states), key=lambda state: order.get(state["status"], 0), default=None)


def has_state(session, database, resource):
    """Whether a resource has a state."""
    text = f'SELECT 1 AS "ONE" FROM {qualified(database, "STATE", "APP_STATE")} WHERE "KEY" = ? LIMIT 1'
    return bool(session.sql(text, params=[resource]).collect())


def newest_run(session, database):
    """The id of the newest run. Ids sort by time."""
    text = f'SELECT MAX("ID") AS "ID" FROM {qualified(database, "STATE", "INGESTION_RUN")}'
    return session.sql(text).collect()[0]["ID"] or ""


def runs_after(session, database, run):
    """The records of the runs after a run, newest first."""
    table, stream = qualified(database, "STATE", "INGESTION_RUN"), stream_column(has_streams(session, database))
    text = f'SELECT "ID", "RESOURCE", {stream} AS "STREAM_NAME", "DOCUMENT" FROM {table} WHERE "ID" > ? ORDER BY "ID" DESC'
    return [run_of(row) for row in session.sql(text, params=[run]).collect()]


def newest_runs(session, database, tables, has_streams, mode=None):
    """The record of the newest run of each stream, of all modes or of one."""
    table, stream = qualified(database, "STATE", "INGESTION_RUN"), stream_column(has_streams)
    newest = f'QUALIFY ROW_NUMBER() OVER (PARTITION BY "RESOURCE", {stream} ORDER BY "ID" DESC) = 1'
    where, params = ('WHERE "MODE" = ?', [mode]) if mode else ("", [])
    text = f'SELECT "ID", "RESOURCE", {stream} AS "STREAM_NAME", "DOCUMENT" FROM {table} {where} {newest}'
    runs = [run_of(row) for row in session.sql(text, params=params).collect()]
    return ByStream([(run["resource"], run["stream"], run["id"], run) for run in runs], tables)


def run_of(row):
    """The record of a run, with a default for each missing member. Its stream is None if an older version recorded it."""
    document = read("INGESTION_RUN", row["RESOURCE"], row["DOCUMENT"])
    counts, error = document.get("counts"), document.get("error")
    counts = counts if isinstance(counts, dict) else {}
    return {
        **document,
        "id": row["ID"],
        "resource": row["RESOURCE"],
        "stream": row["STREAM_NAME"] or None,
        "status": text_of(document, "status") or UNREADABLE,
        "started_at": text_of(document, "started_at"),
        "counts": {name: counts[name] if is_count(counts.get(name)) else 0 for name in COUNTS},
        "error": error if isinstance(error, dict) else None,
    }


def read(table, key, text):
    """Parses a document of the engine. For a row that was edited by hand it returns an error document."""
    try:
        document = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        document = None
    if isinstance(document, dict):
        return document
    log.warning("a row of %s for %r does not hold a JSON object in DOCUMENT", table, key)
    message = f"its row in {table} cannot be read: delete that row"
    return {"status": UNREADABLE, "message": message, "error": {"message": message}}


def text_of(document, name):
    """A text member; None if it is missing or of another type."""
    return document.get(name) if isinstance(document.get(name), str) else None


def is_count(value):
    """Whether a value is a count."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
