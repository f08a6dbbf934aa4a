"""The app's views over the destination's state, for dashboards and for viewers. They are by resource and stream."""

import hashlib
import json
import logging

from snowflake.snowpark.exceptions import SnowparkSQLException

import history
import overviews
import roles
import store
import streams
from app_database import app_object
from names import literal, qualified

log = logging.getLogger("connector")

# Views with settings, with messages that may mention them, or with records.
FOR_ADMINISTRATORS = ("CONNECTOR_CONFIGURATION", "CONNECTOR_ERRORS", "REJECTED_RECORDS")

# Views that only other views read.
INTERNAL = (overviews.FACTS,)


def create(session, database):
    """Creates the views, and grants them to the application roles."""
    views = definitions(session, database, history.has_streams(session, database))
    create_each(session, views)
    store.app_store(session).put("views", {"digest": digest(views)})


def create_unconfigured(session):
    """Creates the views of health for a connector without a destination, unless they are there."""
    views = overviews.unconfigured()
    if store.app_store(session).get("views") != {"digest": digest(views)}:
        create_each(session, views)
        store.app_store(session).put("views", {"digest": digest(views)})


def create_each(session, views):
    """Creates views, given by name, and grants them to the application roles."""
    for name, select in views.items():
        view = app_object(session, "VIEWS", name)
        session.sql(f"CREATE OR REPLACE VIEW {view} AS {select}").collect()
        if name in INTERNAL:
            continue
        for role in (roles.ADMIN,) if name in FOR_ADMINISTRATORS else (roles.ADMIN, roles.VIEWER):
            session.sql(f"GRANT SELECT ON VIEW {view} TO APPLICATION ROLE {role}").collect()


def refresh(session, database):
    """Creates the views again if they are those of another version of the app, or if the engine has changed its tables since. An error
    is only logged: the views that are there stay."""
    try:
        create_outdated(session, database)
    except SnowparkSQLException as error:
        log.warning("the views could not be created again: %s", error)


def create_outdated(session, database):
    """As `refresh`."""
    created = (store.app_store(session).get("views") or {}).get("digest")
    if created == digest(definitions(session, database, True)):
        return
    if created != digest(definitions(session, database, history.has_streams(session, database))):
        create(session, database)


def digest(views):
    """A digest of views."""
    return hashlib.sha256(json.dumps(views).encode()).hexdigest()[:16]


def definitions(session, database, has_streams):
    """The queries of the views, by name; `has_streams` as in `history.has_streams`."""
    run, stream = qualified(database, "STATE", "INGESTION_RUN"), f"NULLIF({history.stream_column(has_streams)}, '')"
    own = app_object(session, "STATE", "APP_CONFIGURATION")
    changed = '"INSERTED" + "UPDATED" + "DELETED"'
    newest_run = (
        f'SELECT "RESOURCE", {stream} AS "STREAM", "STATUS", "ENDED_AT", "STARTED_AT", MAX("STARTED_AT") OVER (PARTITION BY "RESOURCE") '
        f'AS "NEWEST" FROM {run} QUALIFY ROW_NUMBER() OVER (PARTITION BY "RESOURCE", {stream} ORDER BY "STARTED_AT" DESC, "ID" DESC) = 1'
    )
    # A run that was killed stays `running` until the next one of its stream; an older version's, until any of its resource.
    of_selected = 's."STREAM" = n."STREAM" OR (n."STREAM" IS NULL AND n."STARTED_AT" = n."NEWEST")'
    return {
        "CONNECTOR_CONFIGURATION": (
            'SELECT c."KEY" AS "CONFIG_GROUP", f."KEY" AS "CONFIG_KEY", f."VALUE" AS "VALUE" '
            f'FROM {own} c, LATERAL FLATTEN(input => c."VALUE") f'
        ),
        "INGESTION_DEFINITIONS": ingestion_definitions(database, has_streams),
        "CONNECTOR_STATS": (
            f'SELECT "ID", "RESOURCE", {stream} AS "STREAM", "MODE", "STATUS", "STARTED_AT", "ENDED_AT", "OFFERED", '
            '"INSERTED", "UPDATED", "UNCHANGED", "DELETED", "SKIPPED", "REJECTED", "REQUESTS", "BYTES", "WAITED_MS" / 1000 AS '
            f'"WAITED_SECONDS", "TOTAL_MS" / 1000 AS "DURATION_SECONDS", ({changed}) * 1000 / NULLIF("TOTAL_MS", 0) AS '
            f'"ROWS_PER_SECOND", TRY_PARSE_JSON("DOCUMENT"):error:kind::VARCHAR AS "ERROR_KIND" FROM {run}'
        ),
        **overviews.definitions(session, database, has_streams),
        "AGGREGATED_CONNECTOR_STATS": (
            f'SELECT DATE_TRUNC(\'HOUR\', "STARTED_AT") AS "RUN_HOUR", "RESOURCE", {stream} AS "STREAM", COUNT(*) AS "RUNS", '
            f'SUM(CASE WHEN "STATUS" = \'failed\' THEN 1 ELSE 0 END) AS "FAILED_RUNS", SUM({changed}) AS "UPDATED_ROWS", '
            'SUM("REQUESTS") AS "REQUESTS", SUM("WAITED_MS") / 1000 AS "WAITED_SECONDS", SUM("TOTAL_MS") / 1000 AS '
            f'"DURATION_SECONDS" FROM {run} GROUP BY DATE_TRUNC(\'HOUR\', "STARTED_AT"), "RESOURCE", {stream}'
        ),
        "SYNC_STATUS": (
            "SELECT CASE WHEN MAX(p.\"STATUS\") = 'PAUSED' THEN 'PAUSED' "
            "WHEN MAX(CASE WHEN n.\"STATUS\" = 'running' AND s.\"RESOURCE\" IS NOT NULL THEN 1 ELSE 0 END) = 1 THEN 'SYNCING_DATA' "
            "WHEN MAX(n.\"ENDED_AT\") IS NULL THEN 'NOT_SYNCING' ELSE 'LAST_SYNCED' END AS \"STATUS\", "
            'MAX(n."ENDED_AT") AS "LAST_SYNCED_AT" FROM (SELECT MAX("VALUE":status::VARCHAR) AS "STATUS" '
            f"FROM {own} WHERE \"KEY\" = 'status') p LEFT JOIN ({newest_run}) n ON TRUE "
            f'LEFT JOIN ({selected_streams(database)}) s ON s."OWNER" = n."RESOURCE" AND ({of_selected})'
        ),
    }


def selected_streams(database):
    """The selected streams of each resource. OWNER is the resource to which the states and runs of the stream belong."""
    default = f"PARSE_JSON({literal(json.dumps(streams.default()))})"
    shared, owner = ", ".join(map(literal, streams.source_wide())), 'r."KEY"'
    if shared:
        owner = f'CASE WHEN f."VALUE"::VARCHAR IN ({shared}) THEN {literal(streams.SOURCE)} ELSE {owner} END'
    return (
        f'SELECT r."KEY" AS "RESOURCE", f."VALUE"::VARCHAR AS "STREAM", {owner} AS "OWNER", r."VALUE":enabled::BOOLEAN AS '
        f'"IS_ENABLED", r."VALUE":schedule::VARCHAR AS "SCHEDULE" FROM {qualified(database, "STATE", "RESOURCE_CONFIGURATION")} r, '
        f'LATERAL FLATTEN(input => CASE WHEN IS_ARRAY(r."VALUE":streams) THEN r."VALUE":streams ELSE {default} END) f'
    )


def ingestion_definitions(database, has_streams):
    """The selected streams of each resource with their newest states, by the rule of `ByStream.newest`."""
    state, table = (qualified(database, "STATE", name) for name in ("APP_STATE", "SNOWFEED_TABLE"))
    stream = f"NULLIF({'s.' if has_streams else ''}{history.stream_column(has_streams)}, '')"
    # An entry that the migration has ended is older than any of the stream itself.
    order = "CASE WHEN s.\"STREAM\" = '' THEN -1 ELSE s.\"VERSION\" END" if has_streams else 's."VERSION"'
    states = (
        f'SELECT s."KEY" AS "RESOURCE", COALESCE({stream}, t."STREAM") AS "STREAM", {order} AS "ORDER", s."TIMESTAMP", '
        's."VALUE":status::VARCHAR AS "STATUS" '
        f'FROM {state} s LEFT JOIN {table} t ON t."RESOURCE" = s."KEY" AND {stream} IS NULL'
    )
    return (
        'SELECT d."RESOURCE", d."STREAM", d."IS_ENABLED", d."SCHEDULE", '
        "CASE s.\"STATUS\" WHEN 'DONE' THEN 'complete' ELSE LOWER(s.\"STATUS\") END AS \"STATUS\", s.\"TIMESTAMP\" AS \"STATUS_SINCE\" "
        f'FROM ({selected_streams(database)}) d LEFT JOIN ({states}) s ON s."RESOURCE" = d."OWNER" AND '
        '(s."STREAM" = d."STREAM" OR s."STREAM" IS NULL) '
        'QUALIFY ROW_NUMBER() OVER (PARTITION BY d."RESOURCE", d."STREAM" ORDER BY s."ORDER" DESC NULLS LAST) = 1'
    )
