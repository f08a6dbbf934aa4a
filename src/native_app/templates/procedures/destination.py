"""The destination database: its schemas, the engine's tables, and the grants on them."""

import json
import logging
import re
import uuid
from datetime import UTC, datetime

from snowflake.snowpark.exceptions import SnowparkSQLException

import history
import roles
from app_database import app_object
from names import qualified, quoted
from responses import MISSING, NOT_ALLOWED, ProcedureError, attempt
from spec import SPEC

log = logging.getLogger("connector")


def create(session, database):
    """Creates missing objects, and rejects the database of another program. If all objects exist it creates nothing, so that a
    database of another owner does not have to grant CREATE."""
    # The engine writes this row after it has created everything else.
    if rows_of(session, database, "SNOWFEED_VERSION"):
        return
    session.sql(f"CREATE DATABASE IF NOT EXISTS {quoted(database)}").collect()
    refuse_foreign_database(session, database)
    for schema in ("PUBLIC", "PUBLIC_RAW", "STATE"):
        session.sql(f"CREATE SCHEMA IF NOT EXISTS {qualified(database, schema)}").collect()
    for statement in statements(database):
        session.sql(statement).collect()


def statements(database):
    """The engine's own statements, which create its tables."""
    lines = [line for line in SPEC["state_sql"].splitlines() if not line.startswith("--")]
    for statement in "\n".join(lines).split(";"):
        if "{" in statement:
            yield re.sub(r"{(\w+)}", lambda name: qualified(database, "STATE", name[1]), statement.strip())


def refuse_foreign_database(session, database):
    """Rejects a database in which another program has tables of the same names, as the engine does."""
    if exists(session, database, "APP_CONFIGURATION") and not exists(session, database, "SNOWFEED_VERSION"):
        raise ProcedureError(
            "DESTINATION_IN_USE", f"the database {quoted(database)} belongs to another connector; choose another one"
        )


def exists(session, database, table):
    """Whether a table of schema STATE can be read."""
    return rows_of(session, database, table) is not None


def rows_of(session, database, table):
    """At most one row of a table of schema STATE; None if the table is missing."""
    try:
        return session.sql(f'SELECT 1 AS "ONE" FROM {qualified(database, "STATE", table)} LIMIT 1').collect()
    except SnowparkSQLException as error:
        if error.sql_error_code in MISSING:
            return None
        raise


def grant(session, database):
    """Grants data readers, and so administrators, read access. Returns notes of grants that only the database's owner can make."""
    schemas = [qualified(database, schema) for schema in ("PUBLIC", "PUBLIC_RAW")]
    usage = [f"USAGE ON DATABASE {quoted(database)}", *(f"USAGE ON SCHEMA {schema}" for schema in schemas)]
    return roles.grant(session, usage + reading(database), roles.READER, (NOT_ALLOWED, *MISSING))


def grant_new_objects(session, database):
    """Grants read access to objects that a run may have created: an app cannot grant on future objects. Returns notes of all failures,
    because the run itself succeeded."""
    return roles.grant(session, reading(database), roles.READER)


def reading(database):
    """The privileges that read every view and every raw table."""
    public, raw = qualified(database, "PUBLIC"), qualified(database, "PUBLIC_RAW")
    return [f"SELECT ON ALL VIEWS IN SCHEMA {public}", f"SELECT ON ALL TABLES IN SCHEMA {raw}"]


def tables(session, database):
    """The view and the raw table of each stream of each resource."""
    table = qualified(database, "STATE", "SNOWFEED_TABLE")
    rows = session.sql(
        f'SELECT "RESOURCE", "STREAM", "NAME" FROM {table} WHERE "RESOURCE" <> \'\' ORDER BY "RESOURCE", "STREAM"'
    ).collect()
    found = {}
    for row in rows:
        entry = {
            "stream": row["STREAM"],
            "view": qualified(database, "PUBLIC", row["NAME"]),
            "raw": qualified(database, "PUBLIC_RAW", row["NAME"]),
        }
        found.setdefault(row["RESOURCE"], []).append(entry)
    return found


def count_rows(session, database):
    """Stores the number of rows of each table for the views, by Snowflake's metadata. An error is only logged: the last numbers stay."""
    counted, table = app_object(session, "STATE", "ROW_COUNT"), qualified(database, "STATE", "SNOWFEED_TABLE")
    tables = qualified(database, "INFORMATION_SCHEMA", "TABLES")
    try:
        session.sql(
            f'INSERT OVERWRITE INTO {counted} ("RESOURCE", "STREAM", "ROWS") SELECT t."RESOURCE", t."STREAM", i.ROW_COUNT FROM {table} t '
            f"JOIN {tables} i ON i.TABLE_SCHEMA = 'PUBLIC_RAW' AND i.TABLE_NAME = t.\"NAME\" WHERE t.\"RESOURCE\" <> ''"
        ).collect()
    except SnowparkSQLException as error:
        log.warning("the rows could not be counted: %s", error)


ASCII_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


def fence_name(resource):
    """The name of the table that runs of a resource lock, as the engine gives it."""
    readable = re.sub(r"[\x00-\x1f\x7f-\x9f]", "_", resource[:200])
    return "SNOWFEED_FENCE/" + readable.translate(ASCII_LOWER)


def fence_of(session, database, resource):
    """The table that runs of a resource lock, created if missing."""
    fence = qualified(database, "STATE", fence_name(resource))
    session.sql(
        f'CREATE TRANSIENT TABLE IF NOT EXISTS {fence} ("TXN" VARCHAR, "RUN" VARCHAR) DATA_RETENTION_TIME_IN_DAYS = 0 '
        "DEFAULT_DDL_COLLATION = ''"
    ).collect()
    session.sql(
        f'INSERT INTO {fence} ("TXN", "RUN") SELECT CAST(NULL AS VARCHAR), CAST(NULL AS VARCHAR) '
        f'WHERE NOT EXISTS (SELECT 1 AS "ONE" FROM {fence})'
    ).collect()
    return fence


def append_state(session, states, entry):
    """Appends an entry to the states, given by column."""
    numbers = {"VERSION": "NUMBER(38, 0)"}
    names = ", ".join(map(quoted, entry))
    bound = ", ".join(f"CAST(? AS {numbers.get(name, 'VARCHAR')}) AS {quoted(name)}" for name in entry)
    session.sql(
        f'INSERT INTO {states} ({names}, "VALUE") SELECT {names}, PARSE_JSON("DOCUMENT") FROM (SELECT {bound}) s',
        params=list(entry.values()),
    ).collect()


def delete_data(session, database, resource, being_read):
    """Deletes the rows and the states of all streams of a resource, so that it would be read from the start. Its empty tables stay.

    A state with a new version is left for each stream that has one or is `being_read`: the commit of an active run builds on an older
    version, or on none, and is rejected. Streams that were never read get no state.
    """
    raws = [entry["raw"] for entry in tables(session, database).get(resource, [])]
    fence, states = fence_of(session, database, resource), qualified(database, "STATE", "APP_STATE")
    has_streams = history.has_streams(session, database)
    newest = f'SELECT MAX("VERSION") AS "V" FROM {states} WHERE "KEY" = ?'
    known = f'SELECT DISTINCT "STREAM" FROM {states} WHERE "KEY" = ? AND "STREAM" IS NOT NULL'
    session.sql("BEGIN").collect()
    try:
        # First, because runs lock this table.
        session.sql(f'UPDATE {fence} SET "TXN" = NULL, "RUN" = \'delete\'').collect()
        version = int(session.sql(newest, params=[resource]).collect()[0]["V"] or 0) + 1
        stored = session.sql(known, params=[resource]).collect() if has_streams else []
        for raw in raws:
            session.sql(f"DELETE FROM {raw}").collect()
        of_resource = [(table, "RESOURCE") for table in ("SNOWFEED_RUN", "REJECTED_RECORD", "SNOWFEED_SEEN")]
        for table, column in [("APP_STATE", "KEY"), *of_resource]:
            session.sql(
                f"DELETE FROM {qualified(database, 'STATE', table)} WHERE {quoted(column)} = ?", params=[resource]
            ).collect()
        state = {
            "status": "complete",
            "run": str(uuid.uuid4()),
            "message": "its data was deleted; the next run reads from the start",
        }
        at = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}000Z"
        entry = {"KEY": resource, "VERSION": version, "AT": at, "DOCUMENT": json.dumps(state)}
        for stream in sorted({*being_read, *(row["STREAM"] for row in stored)} - {""}) if has_streams else [None]:
            append_state(session, states, entry if stream is None else {**entry, "STREAM": stream})
        session.sql("COMMIT").collect()
    except Exception:
        attempt(session.sql("ROLLBACK").collect)
        raise
