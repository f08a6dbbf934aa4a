"""The destination database: its schemas, the engine's tables, and the views and grants for them."""

import json
import logging
import re
import uuid
from datetime import UTC, datetime

from snowflake.snowpark.exceptions import SnowparkSQLException

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


# Views with settings, or with messages that may mention them.
FOR_ADMINISTRATORS = ("CONNECTOR_CONFIGURATION", "CONNECTOR_ERRORS")


def create_views(session, database):
    """Creates the app's views over the destination's state, and grants them to the application roles."""
    run, state, resource = (
        qualified(database, "STATE", table) for table in ("INGESTION_RUN", "APP_STATE", "RESOURCE_CONFIGURATION")
    )
    own = app_object(session, "STATE", "APP_CONFIGURATION")
    newest_run = f'SELECT * FROM {run} QUALIFY ROW_NUMBER() OVER (PARTITION BY "RESOURCE" ORDER BY "STARTED_AT" DESC, "ID" DESC) = 1'
    newest_state = f'SELECT * FROM {state} QUALIFY ROW_NUMBER() OVER (PARTITION BY "KEY" ORDER BY "VERSION" DESC) = 1'
    views = {
        "CONNECTOR_CONFIGURATION": (
            'SELECT c."KEY" AS "CONFIG_GROUP", f."KEY" AS "CONFIG_KEY", f."VALUE" AS "VALUE" '
            f'FROM {own} c, LATERAL FLATTEN(input => c."VALUE") f'
        ),
        "INGESTION_DEFINITIONS": (
            'SELECT r."KEY" AS "RESOURCE", r."VALUE":enabled::BOOLEAN AS "IS_ENABLED", r."VALUE":schedule::VARCHAR AS "SCHEDULE", '
            "CASE s.\"VALUE\":status::VARCHAR WHEN 'DONE' THEN 'complete' ELSE LOWER(s.\"VALUE\":status::VARCHAR) END AS \"STATUS\", "
            's."TIMESTAMP" AS "STATUS_SINCE" '
            f'FROM {resource} r LEFT JOIN ({newest_state}) s ON s."KEY" = r."KEY"'
        ),
        "CONNECTOR_STATS": (
            'SELECT "ID", "RESOURCE", "MODE", "STATUS", "STARTED_AT", "ENDED_AT", "OFFERED", "INSERTED", "UPDATED", "UNCHANGED", '
            '"DELETED", "SKIPPED", "REJECTED", "REQUESTS", "BYTES", "WAITED_MS" / 1000 AS "WAITED_SECONDS", "TOTAL_MS" / 1000 AS '
            '"DURATION_SECONDS", ("INSERTED" + "UPDATED" + "DELETED") * 1000 / NULLIF("TOTAL_MS", 0) AS "ROWS_PER_SECOND", '
            'TRY_PARSE_JSON("DOCUMENT"):error:kind::VARCHAR AS "ERROR_KIND" '
            f"FROM {run}"
        ),
        "CONNECTOR_ERRORS": f'SELECT "ID", "RESOURCE", "STATUS", "STARTED_AT", "ERROR" FROM {run} WHERE "ERROR" IS NOT NULL',
        "AGGREGATED_CONNECTOR_STATS": (
            'SELECT DATE_TRUNC(\'HOUR\', "STARTED_AT") AS "RUN_HOUR", COUNT(*) AS "RUNS", '
            'SUM(CASE WHEN "STATUS" = \'failed\' THEN 1 ELSE 0 END) AS "FAILED_RUNS", '
            'SUM("INSERTED" + "UPDATED" + "DELETED") AS "UPDATED_ROWS", SUM("REQUESTS") AS "REQUESTS", '
            'SUM("WAITED_MS") / 1000 AS "WAITED_SECONDS", SUM("TOTAL_MS") / 1000 AS "DURATION_SECONDS" '
            f"FROM {run} GROUP BY DATE_TRUNC('HOUR', \"STARTED_AT\")"
        ),
        "SYNC_STATUS": (
            "SELECT CASE WHEN MAX(p.\"STATUS\") = 'PAUSED' THEN 'PAUSED' "
            "WHEN MAX(CASE WHEN n.\"STATUS\" = 'running' THEN 1 ELSE 0 END) = 1 THEN 'SYNCING_DATA' "
            "WHEN MAX(n.\"ENDED_AT\") IS NULL THEN 'NOT_SYNCING' ELSE 'LAST_SYNCED' END AS \"STATUS\", "
            'MAX(n."ENDED_AT") AS "LAST_SYNCED_AT" FROM (SELECT MAX("VALUE":status::VARCHAR) AS "STATUS" '
            f"FROM {own} WHERE \"KEY\" = 'status') p LEFT JOIN ({newest_run}) n ON TRUE"
        ),
    }
    for name, select in views.items():
        view = app_object(session, "VIEWS", name)
        session.sql(f"CREATE OR REPLACE VIEW {view} AS {select}").collect()
        for role in (roles.ADMIN,) if name in FOR_ADMINISTRATORS else (roles.ADMIN, roles.VIEWER):
            session.sql(f"GRANT SELECT ON VIEW {view} TO APPLICATION ROLE {role}").collect()


def newest_run(session, database, resource=None):
    """The id of the newest run, of one resource or of all. Ids sort by time."""
    where, params = ('WHERE "RESOURCE" = ?', [resource]) if resource else ("", [])
    text = f'SELECT MAX("ID") AS "ID" FROM {qualified(database, "STATE", "INGESTION_RUN")} {where}'
    return session.sql(text, params=params).collect()[0]["ID"] or ""


def runs_after(session, database, run, resource=None):
    """The records of the runs after a run, newest first."""
    where, params = ('AND "RESOURCE" = ?', [run, resource]) if resource else ("", [run])
    table = qualified(database, "STATE", "INGESTION_RUN")
    text = f'SELECT "ID", "RESOURCE", "DOCUMENT" FROM {table} WHERE "ID" > ? {where} ORDER BY "ID" DESC'
    return [run_of(row) for row in session.sql(text, params=params).collect()]


# The status of a document that cannot be read.
UNREADABLE = "unreadable"


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


COUNTS = ("offered", "inserted", "updated", "unchanged", "deleted", "rejected")


def run_of(row):
    """The record of a run, with a default for each missing member."""
    document = read("INGESTION_RUN", row["RESOURCE"], row["DOCUMENT"])
    counts, error = document.get("counts"), document.get("error")
    counts = counts if isinstance(counts, dict) else {}
    return {
        **document,
        "id": row["ID"],
        "resource": row["RESOURCE"],
        "status": text_of(document, "status") or UNREADABLE,
        "started_at": text_of(document, "started_at"),
        "counts": {name: counts[name] if is_count(counts.get(name)) else 0 for name in COUNTS},
        "error": error if isinstance(error, dict) else None,
    }


def text_of(document, name):
    """A text member; None if it is missing or of another type."""
    return document.get(name) if isinstance(document.get(name), str) else None


def is_count(value):
    """Whether a value is a count."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


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


def delete_data(session, database, resource):
    """Deletes the rows and the state of a resource, so that it would be read from the start. Its empty tables stay.

    A state with a new version is left: the commit of an active run builds on an older version, and is rejected.
    """
    raws = [entry["raw"] for entry in tables(session, database).get(resource, [])]
    fence, states = fence_of(session, database, resource), qualified(database, "STATE", "APP_STATE")
    newest = f'SELECT MAX("VERSION") AS "V" FROM {states} WHERE "KEY" = ?'
    session.sql("BEGIN").collect()
    try:
        # First, because runs lock this table.
        session.sql(f'UPDATE {fence} SET "TXN" = NULL, "RUN" = \'delete\'').collect()
        version = int(session.sql(newest, params=[resource]).collect()[0]["V"] or 0) + 1
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
        session.sql(
            f'INSERT INTO {states} ("KEY", "VALUE", "VERSION", "AT", "DOCUMENT") SELECT s."KEY", PARSE_JSON(s."DOCUMENT"), '
            's."VERSION", s."AT", s."DOCUMENT" FROM (SELECT CAST(? AS VARCHAR) AS "KEY", CAST(? AS NUMBER(38, 0)) AS "VERSION", '
            'CAST(? AS VARCHAR) AS "AT", CAST(? AS VARCHAR) AS "DOCUMENT") s',
            params=[resource, version, f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}000Z", json.dumps(state)],
        ).collect()
        session.sql("COMMIT").collect()
    except Exception:
        attempt(session.sql("ROLLBACK").collect)
        raise


def newest_runs(session, database, mode=None):
    """The record of the newest run of each resource, of all modes or of one."""
    table = qualified(database, "STATE", "INGESTION_RUN")
    newest = 'QUALIFY ROW_NUMBER() OVER (PARTITION BY "RESOURCE" ORDER BY "ID" DESC) = 1'
    where, params = ('WHERE "MODE" = ?', [mode]) if mode else ("", [])
    text = f'SELECT "ID", "RESOURCE", "DOCUMENT" FROM {table} {where} {newest}'
    return {row["RESOURCE"]: run_of(row) for row in session.sql(text, params=params).collect()}


# Statuses of older versions of the engine.
OLD_STATUSES = {"RUNNING": "running", "DONE": "complete", "FAILED": "failed"}


def newest_states(session, database):
    """The newest state of each resource: its status, as in the run history, and the message if it is not complete."""
    table = qualified(database, "STATE", "APP_STATE")
    text = f'SELECT "KEY", "AT", "DOCUMENT" FROM {table} QUALIFY ROW_NUMBER() OVER (PARTITION BY "KEY" ORDER BY "VERSION" DESC) = 1'
    states = {}
    for row in session.sql(text).collect():
        state = read("APP_STATE", row["KEY"], row["DOCUMENT"])
        status = text_of(state, "status") or UNREADABLE
        message = text_of(state, "message")
        states[row["KEY"]] = {"status": OLD_STATUSES.get(status, status), "message": message, "since": row["AT"]}
    return states


def has_state(session, database, resource):
    """Whether a resource has a state."""
    text = f'SELECT 1 AS "ONE" FROM {qualified(database, "STATE", "APP_STATE")} WHERE "KEY" = ? LIMIT 1'
    return bool(session.sql(text, params=[resource]).collect())
