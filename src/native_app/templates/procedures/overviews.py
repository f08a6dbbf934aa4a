"""The views of the connector's health, for the page and for everybody who prefers SQL. Their columns are stable and documented.

All times are UTC. A view never shows the message of an error, which may mention settings, and nothing of a record, except `CONNECTOR_ERRORS` and
`REJECTED_RECORDS`, which are for administrators.
"""

import error_texts
import health_views
import history
from app_database import app_object
from health_views import UNCONFIRMED, code_of, flag_of, jobs_by_resource, number_of, time_of, was_read, word
from names import literal, qualified

TEXT, NUMBER, TIME, FLAG, LIST = "VARCHAR", "NUMBER(38, 0)", "TIMESTAMP_NTZ", "BOOLEAN", "VARIANT"

OF_HEALTH = {
    "HEALTH": TEXT,
    "HEALTH_RANK": NUMBER,
    "LAST_CHECKED_AT": TIME,
    "LAST_SUCCESS_AT": TIME,
    "LAST_CHANGE_AT": TIME,
    "NEXT_DUE_AT": TIME,
    "LATE_SINCE": TIME,
    "SINCE": TIME,
    "TRIES": NUMBER,
    "ERROR_CODE": TEXT,
    "TITLE": TEXT,
    "HELP": TEXT,
    "PROGRESS_PERCENT": NUMBER,
    "SECONDS_LEFT": NUMBER,
    "WAITING_UNTIL": TIME,
    "ROWS_TOTAL": NUMBER,
    "ROWS_CHANGED_24H": NUMBER,
    "ROWS_BY_12H": LIST,
    "REJECTED": NUMBER,
    "DELETIONS_TO_CONFIRM": NUMBER,
}
OF_CONFIGURATION = {"SCHEDULE": TEXT, "SCHEDULE_IS_OWN": FLAG, "PAUSED_BY": TEXT, "PAUSED_AT": TIME}

# The columns of each view, with their types.
COLUMNS = {
    "CONNECTOR_OVERVIEW": {
        "HEALTH": TEXT,
        "HEALTH_RANK": NUMBER,
        "CAUSE_CODE": TEXT,
        "CAUSE": TEXT,
        "HELP": TEXT,
        "SINCE": TIME,
        "COMPLETE_UP_TO": TIME,
        "OLDEST_SUCCESS_AT": TIME,
        "OLDEST_SUCCESS_RESOURCE": TEXT,
        "LAST_CHECKED_AT": TIME,
        "LAST_CHANGE_AT": TIME,
        "NEXT_DUE_AT": TIME,
        "RESOURCES": NUMBER,
        **{word.upper(): NUMBER for word in health_views.WORDS},
        "ROWS_TOTAL": NUMBER,
        "ROWS_CHANGED_24H": NUMBER,
        "RUNS_24H": NUMBER,
        "FAILED_24H": NUMBER,
        "NOT_STARTED_24H": NUMBER,
        "CREDITS_24H": "NUMBER(38, 6)",
        "CREDITS_ARE_ESTIMATED": FLAG,
        "AS_OF": TIME,
    },
    "RESOURCE_OVERVIEW": {
        "RESOURCE": TEXT,
        **OF_HEALTH,
        "STREAMS": NUMBER,
        "STREAMS_HEALTHY": NUMBER,
        **OF_CONFIGURATION,
    },
    "STREAM_OVERVIEW": {
        "RESOURCE": TEXT,
        "STREAM": TEXT,
        **OF_HEALTH,
        **OF_CONFIGURATION,
        "KIND": TEXT,
        "PARENT": TEXT,
        "VIEW_NAME": TEXT,
        "RAW_NAME": TEXT,
        "COLUMNS": LIST,
        "ROWS_DELETED": NUMBER,
        "LAST_RECONCILED_AT": TIME,
    },
    "CONNECTOR_ERRORS": {
        "FINGERPRINT": TEXT,
        "CODE": TEXT,
        "TITLE": TEXT,
        "HELP": TEXT,
        "MESSAGE": TEXT,
        "RESOURCE": TEXT,
        "STREAM": TEXT,
        "SINCE": TIME,
        "LAST_AT": TIME,
        "TRIES": NUMBER,
        "IS_OPEN": FLAG,
        "NEEDS_YOU": FLAG,
        "RUN": TEXT,
        "STATUS": TEXT,
        "STARTED_AT": TIME,
    },
    "RUN_HISTORY": {
        "RUN": TEXT,
        "RESOURCE": TEXT,
        "STREAM": TEXT,
        "MODE": TEXT,
        "OUTCOME": TEXT,
        "STARTED_AT": TIME,
        "ENDED_AT": TIME,
        "INSERTED": NUMBER,
        "UPDATED": NUMBER,
        "DELETED": NUMBER,
        "REJECTED": NUMBER,
        "REQUESTS": NUMBER,
        "BYTES": NUMBER,
        "WAITED_MS": NUMBER,
        "TOTAL_MS": NUMBER,
        "CODE": TEXT,
        "HELP": TEXT,
        "JOB": TEXT,
    },
    "REJECTED_RECORDS": {
        "RESOURCE": TEXT,
        "STREAM": TEXT,
        "KEY": TEXT,
        "REASON": TEXT,
        "RECORD": TEXT,
        "FIRST_AT": TIME,
        "LAST_AT": TIME,
        "RUN": TEXT,
    },
    "CHECKS": {"RESOURCE": TEXT, "STREAM": TEXT, "FROM_AT": TIME, "TO_AT": TIME, "CHECKS": NUMBER},
}

# The view that the others read. It is granted to no role.
FACTS = "HEALTH_FACTS"


def definitions(session, database, has_streams):
    """The queries of the views, by name. Each reads only those before it."""
    queries = {
        "STREAM_OVERVIEW": stream_overview(session),
        "RESOURCE_OVERVIEW": resource_overview(session, database),
        "RUN_HISTORY": run_history(session, database, has_streams),
        "CONNECTOR_OVERVIEW": connector_overview(session, database, has_streams),
        "CONNECTOR_ERRORS": connector_errors(session, database, has_streams),
        "REJECTED_RECORDS": rejected_records(database),
        "CHECKS": checks(session),
    }
    facts = {FACTS: health_views.health_facts(session, database, has_streams)}
    return {**facts, **{name: typed(query, COLUMNS[name]) for name, query in queries.items()}}


def unconfigured():
    """The queries of the views before the connector has a destination."""
    queries = {
        name: f"SELECT {nulls(columns)} WHERE FALSE"
        for name, columns in COLUMNS.items()
        if name != "CONNECTOR_OVERVIEW"
    }
    counts = ", ".join(f'0 AS "{word.upper()}"' for word in health_views.WORDS if word != "not_configured")
    known = f"""'not_configured' AS "HEALTH", {health_views.WORDS.index("not_configured") + 1} AS "HEALTH_RANK", 0 AS
            "RESOURCES", {counts},
        0 AS "NOT_CONFIGURED", {health_views.NOW} AS "AS_OF\""""
    rest = nulls({name: kind for name, kind in COLUMNS["CONNECTOR_OVERVIEW"].items() if f'"{name}"' not in known})
    return {**queries, "CONNECTOR_OVERVIEW": typed(f"SELECT {known}, {rest}", COLUMNS["CONNECTOR_OVERVIEW"])}


def nulls(columns):
    """Columns without values."""
    return ", ".join(f'CAST(NULL AS {kind}) AS "{name}"' for name, kind in columns.items())


def typed(query, columns):
    """A query with exactly these columns, of these types."""
    names = ", ".join(
        f'v."{name}"' if kind == LIST else f'CAST(v."{name}" AS {kind}) AS "{name}"' for name, kind in columns.items()
    )
    return f"SELECT {names} FROM ({query}) v"


def stream_overview(session):
    """A row for each stream that a resource reads."""
    code = 'f."CODE"'
    return f"""SELECT f."RESOURCE", f."STREAM", f."HEALTH", f."HEALTH_RANK", f."CHECKED_AT" AS "LAST_CHECKED_AT",
            f."LAST_SUCCESS_AT",
            f."LAST_CHANGE_AT", f."NEXT_DUE_AT", f."LATE_SINCE", f."SINCE", f."TRIES", {code} AS "ERROR_CODE",
            {error_texts.in_sql(code, 0)} AS "TITLE", {error_texts.in_sql(code, 1)} AS "HELP",
            f."PROGRESS_PERCENT", f."SECONDS_LEFT", f."WAITING_UNTIL", f."ROWS_TOTAL", f."ROWS_CHANGED_24H", f."ROWS_BY_12H", f."REJECTED",
            f."DELETIONS_TO_CONFIRM", f."SCHEDULE",
            f."SCHEDULE_IS_OWN", CASE WHEN NOT f."IS_ENABLED" THEN f."PAUSED_BY" END AS "PAUSED_BY",
            CASE WHEN NOT f."IS_ENABLED" THEN f."PAUSED_AT" END AS "PAUSED_AT",
            CASE WHEN f."IS_SHARED" THEN 'shared' WHEN f."PARENT" IS NOT NULL THEN 'child' ELSE 'stream' END AS "KIND",
            f."PARENT",
            f."VIEW_NAME", f."RAW_NAME", f."COLUMNS", f."ROWS_DELETED", f."LAST_RECONCILED_AT"
        FROM {app_object(session, "VIEWS", FACTS)} f"""


def earliest(column, condition):
    """The earliest of times; NULL if one of them is."""
    return f"CASE WHEN COUNT(CASE WHEN {condition} AND {column} IS NULL THEN 1 END) = 0 THEN MIN(CASE WHEN {condition} THEN {column} END) END"


def resource_overview(session, database):
    """A row for each configured resource: its streams together. Paused streams do not count, unless all are paused."""
    parts = app_object(session, "VIEWS", "STREAM_OVERVIEW")
    worst = 's."HEALTH_RANK" = s."WORST"'
    bars = " || ',' || ".join(
        f'CAST(COALESCE(SUM(GET(s."ROWS_BY_12H", {number})::NUMBER(38, 0)), 0) AS NUMBER(38, 0))'
        for number in range(14)
    )
    grouped = f"""SELECT s."RESOURCE", MIN(s."HEALTH_RANK") AS "HEALTH_RANK", {earliest('s."LAST_CHECKED_AT"', "TRUE")} AS
            "LAST_CHECKED_AT",
            {earliest('s."LAST_SUCCESS_AT"', "TRUE")} AS "LAST_SUCCESS_AT", MAX(s."LAST_CHANGE_AT") AS "LAST_CHANGE_AT",
            MIN(s."NEXT_DUE_AT") AS "NEXT_DUE_AT", MIN(s."LATE_SINCE") AS "LATE_SINCE",
            MIN(CASE WHEN {worst} THEN s."SINCE" END) AS "SINCE", MAX(CASE WHEN {worst} THEN s."TRIES" END) AS "TRIES",
            MIN(CASE WHEN {worst} THEN s."ERROR_CODE" END) AS "ERROR_CODE", MIN(s."PROGRESS_PERCENT") AS
            "PROGRESS_PERCENT", MAX(s."SECONDS_LEFT") AS "SECONDS_LEFT", MAX(s."WAITING_UNTIL") AS "WAITING_UNTIL", SUM(s."ROWS_TOTAL") AS "ROWS_TOTAL",
            SUM(s."ROWS_CHANGED_24H") AS "ROWS_CHANGED_24H", PARSE_JSON('[' || {bars} || ']') AS "ROWS_BY_12H", COUNT(*) AS
            "STREAMS", SUM(s."REJECTED") AS "REJECTED",
            SUM(s."DELETIONS_TO_CONFIRM") AS "DELETIONS_TO_CONFIRM",
            SUM(CASE WHEN s."HEALTH" = 'healthy' THEN 1 ELSE 0 END) AS "STREAMS_HEALTHY", MAX(s."SCHEDULE") AS "SCHEDULE",
            BOOLOR_AGG(s."SCHEDULE_IS_OWN") AS "SCHEDULE_IS_OWN", MAX(s."PAUSED_BY") AS "PAUSED_BY", MAX(s."PAUSED_AT") AS
            "PAUSED_AT"
        FROM (SELECT *, MIN("HEALTH_RANK") OVER (PARTITION BY "RESOURCE") AS "WORST" FROM {parts}) s GROUP BY s."RESOURCE\""""
    code = 'g."ERROR_CODE"'
    return f"""SELECT g.*, {word('g."HEALTH_RANK"')} AS "HEALTH", {error_texts.in_sql(code, 0)} AS "TITLE",
            {error_texts.in_sql(code, 1)}
            AS "HELP" FROM ({grouped}) g"""


def connector_overview(session, database, has_streams):
    """One row: the resources together."""
    resources, runs = (app_object(session, "VIEWS", name) for name in ("RESOURCE_OVERVIEW", "RUN_HISTORY"))
    own, counted = app_object(session, "STATE", "APP_CONFIGURATION"), 'r."HEALTH" <> \'paused\' OR r."ALL_PAUSED"'
    counts = ", ".join(
        f'COUNT(CASE WHEN r."HEALTH" = \'{word}\' THEN 1 END) AS "{word.upper()}"' for word in health_views.WORDS
    )
    together = f"""SELECT COUNT(*) AS "RESOURCES", {counts}, MIN(r."HEALTH_RANK") AS "WORST",
            {earliest('r."LAST_CHECKED_AT"', f"({counted})")} AS "LAST_CHECKED_AT",
            {earliest('r."LAST_SUCCESS_AT"', f"({counted})")} AS "COMPLETE_UP_TO",
            MIN(CASE WHEN {counted} THEN r."LAST_SUCCESS_AT" END) AS "OLDEST_SUCCESS_AT",
            MIN_BY(r."RESOURCE", CASE WHEN {counted} THEN r."LAST_SUCCESS_AT" END) AS "OLDEST_SUCCESS_RESOURCE", MAX(CASE WHEN
            {counted} THEN r."LAST_CHANGE_AT" END) AS "LAST_CHANGE_AT",
            MIN(r."NEXT_DUE_AT") AS "NEXT_DUE_AT",
            MIN(CASE WHEN r."HEALTH_RANK" = r."WORST" THEN r."SINCE" END) AS "SINCE",
            MIN(CASE WHEN r."HEALTH" = 'failing' THEN r."ERROR_CODE" END) AS "ERROR_CODE"
        FROM (SELECT *, MIN("HEALTH_RANK") OVER () AS "WORST", MIN("HEALTH_RANK") OVER () =
        {health_views.WORDS.index("paused") + 1}
            AS "ALL_PAUSED" FROM {resources}) r"""
    day = f"""SELECT COUNT(DISTINCT h."RUN") AS "RUNS_24H", COUNT(DISTINCT CASE WHEN h."OUTCOME" = 'failed' THEN h."RUN" END)
            AS "FAILED_24H",
            COUNT(DISTINCT CASE WHEN h."OUTCOME" = 'did not start' THEN h."RUN" END) AS "NOT_STARTED_24H",
            COALESCE(SUM(h."INSERTED" + h."UPDATED" + h."DELETED"), 0) AS "ROWS_CHANGED_24H"
        FROM {runs} h CROSS JOIN (SELECT {health_views.NOW} AS "NOW") c WHERE COALESCE(h."ENDED_AT", h."STARTED_AT") >
        DATEADD(DAY, -1, c."NOW")"""
    credits = f"""SELECT SUM(TRY_CAST(TRY_PARSE_JSON(h."DOCUMENT"):credits::VARCHAR AS NUMBER(38, 6))) AS "CREDITS" FROM
            {qualified(database, "STATE", "INGESTION_RUN")} h
        CROSS JOIN (SELECT {health_views.NOW} AS "NOW") c WHERE COALESCE(h."ENDED_AT", h."STARTED_AT") > DATEADD(DAY, -1,
        c."NOW")"""
    # What the procedures have found out about the whole connector.
    blocked = f"""SELECT MAX("VALUE":code::VARCHAR) AS "CODE", MAX({time_of('"VALUE":since')}) AS "SINCE" FROM {own} WHERE
            "KEY" = 'blocked'"""
    setup = f"""SELECT BOOLOR_AGG(NOT {flag_of('"VALUE":is_complete')}) AS "IS_INCOMPLETE" FROM {own} WHERE "KEY" = 'setup'"""
    rows = f"""SELECT SUM("ROWS") AS "ROWS_TOTAL" FROM {app_object(session, "STATE", "ROW_COUNT")}"""
    number = {name: index for index, name in enumerate(health_views.WORDS, 1)}
    health = f"""CASE WHEN t."RESOURCES" > 0 AND t."WORST" = {number["paused"]} THEN {number["paused"]}
        WHEN b."CODE" IS NOT NULL THEN {number["failing"]} WHEN t."RESOURCES" = 0 THEN {number["not_configured"]}
        WHEN COALESCE(u."IS_INCOMPLETE", FALSE) AND t."WORST" > {number["not_configured"]} AND t."LAST_CHECKED_AT" IS NULL
        THEN {number["not_configured"]} ELSE t."WORST" END"""
    together = f"""SELECT t.*, d.*, n."ROWS_TOTAL", k."CREDITS" AS "CREDITS_24H",
            k."CREDITS" IS NOT NULL AS "CREDITS_ARE_ESTIMATED", {health} AS "HEALTH_RANK", b."CODE" AS "BLOCKED", b."SINCE" AS
            "BLOCKED_SINCE",
            {health_views.NOW} AS "AS_OF" FROM ({together}) t CROSS JOIN ({day}) d CROSS JOIN ({blocked}) b CROSS JOIN
            ({setup}) u
            CROSS JOIN ({rows}) n CROSS JOIN ({credits}) k"""
    code = 'v."CAUSE_CODE"'
    together = f"""SELECT *, CASE WHEN "HEALTH_RANK" = {number["failing"]} THEN COALESCE("BLOCKED", "ERROR_CODE") END AS
            "CAUSE_CODE" FROM
        ({together}) t"""
    return f"""SELECT v.* EXCLUDE ("SINCE"), {word('v."HEALTH_RANK"')} AS "HEALTH", CASE WHEN v."BLOCKED" IS NOT NULL THEN
            v."BLOCKED_SINCE"
            ELSE v."SINCE" END AS "SINCE", {error_texts.in_sql(code, 0)} AS "CAUSE", {error_texts.in_sql(code, 1)} AS "HELP"
            FROM ({together}) v"""


def run_history(session, database, has_streams):
    """A row for each run."""
    run, stream = qualified(database, "STATE", "INGESTION_RUN"), f"NULLIF({history.stream_column(has_streams)}, '')"
    jobs = app_object(session, "STATE", "INGESTION_JOB")
    status = health_views.STATUS.format('r."STATUS"')
    lease = f"""COALESCE({time_of('r."RUN":lease_until')}, DATEADD(HOUR, {health_views.LEASE_OF_OLDER_VERSIONS_HOURS},
            r."STARTED_AT"))"""
    outcome = f"""CASE WHEN {status} = 'running' AND {lease} < {health_views.NOW} THEN 'interrupted'
        WHEN {status} = 'failed' AND r."RUN":started::VARCHAR = 'false' THEN 'did not start'
        WHEN {status} = 'complete' THEN CASE WHEN r."INSERTED" + r."UPDATED" + r."DELETED" > 0 THEN 'changed' ELSE
        'nothing new' END
        ELSE {status} END"""
    code = f"""COALESCE({code_of('r."RUN"')}, CASE WHEN r."ERROR" IS NOT NULL THEN 'internal' END)"""
    return f"""SELECT r.*, {error_texts.in_sql('r."CODE"', 1)} AS "HELP" FROM (SELECT r."ID" AS "RUN", r."RESOURCE",
            r."STREAM_NAME" AS "STREAM",
            r."MODE", {outcome} AS "OUTCOME", r."STARTED_AT", r."ENDED_AT", r."INSERTED", r."UPDATED", r."DELETED",
            r."REJECTED", r."REQUESTS",
            r."BYTES", r."WAITED_MS", r."TOTAL_MS", {code} AS "CODE", j."JOB" FROM (SELECT *, {stream} AS "STREAM_NAME",
            CASE WHEN "ERROR" IS NOT NULL OR LOWER("STATUS") = 'running' THEN TRY_PARSE_JSON("DOCUMENT") END AS "RUN" FROM
            {run}) r LEFT JOIN (SELECT f."VALUE"::VARCHAR AS "RUN", MAX(j."KEY") AS "JOB" FROM
            {jobs} j, LATERAL FLATTEN(input => j."VALUE":runs) f GROUP BY f."VALUE"::VARCHAR) j ON j."RUN" = r."ID") r"""


def connector_errors(session, database, has_streams):
    """A row for each run with an error, and for each failure without a run. Of each failing stream, one is open."""
    run, stream = qualified(database, "STATE", "INGESTION_RUN"), f"NULLIF({history.stream_column(has_streams)}, '')"
    facts, own = app_object(session, "VIEWS", FACTS), app_object(session, "STATE", "APP_CONFIGURATION")
    failing = f"""SELECT DISTINCT "OWNER", "STREAM", "FAILING_SINCE" FROM {facts} WHERE "HEALTH" = 'failing' AND "PROBLEM" IS
            NULL"""
    runs = f"""SELECT r.*, ROW_NUMBER() OVER (PARTITION BY r."RESOURCE", r."STREAM_NAME" ORDER BY r."STARTED_AT" DESC, r."ID"
            DESC) AS "NUMBER"
        FROM (SELECT "ID", "RESOURCE", {stream} AS "STREAM_NAME", "STATUS", "STARTED_AT", COALESCE("ENDED_AT", "STARTED_AT")
        AS "AT", "ERROR",
            TRY_PARSE_JSON("DOCUMENT") AS "RUN" FROM {run} WHERE "ERROR" IS NOT NULL) r"""
    of_runs = f"""SELECT COALESCE({code_of('r."RUN"')}, 'internal') AS "CODE",
            REPLACE(r."RUN":error.help::VARCHAR, r."RESOURCE", '…') AS "HELP_WITHOUT_NAMES", r."RUN":error.help::VARCHAR AS
            "ENGINE_HELP",
            r."ERROR" AS "MESSAGE", r."RESOURCE", r."STREAM_NAME" AS "STREAM", COALESCE({time_of('r."RUN":failing.since')},
            r."AT") AS "SINCE",
            r."AT" AS "LAST_AT", COALESCE({number_of('r."RUN":failing.tries')}, 1) AS "TRIES",
            f."OWNER" IS NOT NULL AND r."NUMBER" = 1 AS "IS_OPEN", r."ID" AS "RUN", r."STATUS", r."STARTED_AT"
        FROM ({runs}) r LEFT JOIN ({failing}) f ON f."OWNER" = r."RESOURCE" AND (f."STREAM" = r."STREAM_NAME" OR
        r."STREAM_NAME" IS NULL)
            AND r."AT" >= f."FAILING_SINCE" QUALIFY ROW_NUMBER() OVER (PARTITION BY r."RESOURCE", r."ID" ORDER BY f."STREAM")
            = 1"""
    without_run = f"""SELECT f."CODE", f."ENGINE_HELP" AS "HELP_WITHOUT_NAMES", f."ENGINE_HELP", f."MESSAGE", f."RESOURCE",
            f."STREAM", f."SINCE",
            COALESCE(f."RUN_AT", f."NOW") AS "LAST_AT", f."TRIES", TRUE AS "IS_OPEN", CAST(NULL AS VARCHAR) AS "RUN",
            CAST(NULL AS VARCHAR) AS "STATUS", CAST(NULL AS TIMESTAMP_NTZ) AS "STARTED_AT"
        FROM {facts} f LEFT JOIN (SELECT "RESOURCE", {stream} AS "STREAM", MAX(COALESCE("ENDED_AT", "STARTED_AT")) AS "AT"
        FROM {run}
            WHERE "ERROR" IS NOT NULL GROUP BY "RESOURCE", {stream}) o ON o."RESOURCE" = f."OWNER" AND (o."STREAM" =
            f."STREAM" OR
            o."STREAM" IS NULL) AND o."AT" >= f."FAILING_SINCE"
        WHERE f."HEALTH" = 'failing' AND (f."PROBLEM" IS NOT NULL OR o."AT" IS NULL)"""
    of_connector = f"""SELECT "VALUE":code::VARCHAR AS "CODE", "VALUE":help::VARCHAR AS "HELP_WITHOUT_NAMES",
            "VALUE":help::VARCHAR AS
            "ENGINE_HELP", "VALUE":cause::VARCHAR AS "MESSAGE", CAST(NULL AS VARCHAR) AS "RESOURCE", CAST(NULL AS VARCHAR) AS
                    "STREAM",
            {time_of('"VALUE":since')} AS "SINCE", {time_of('"VALUE":last_at')} AS "LAST_AT",
            {number_of('"VALUE":failed_starts')} AS "TRIES",
            TRUE AS "IS_OPEN", CAST(NULL AS VARCHAR) AS "RUN", CAST(NULL AS VARCHAR) AS "STATUS", CAST(NULL AS TIMESTAMP_NTZ)
            AS "STARTED_AT"
        FROM {own} WHERE "KEY" = 'blocked'"""
    # The program's help on this one names an option of the command line.
    code = 'e."CODE"'
    return f"""SELECT e.*, MD5({code} || '|' || COALESCE(e."HELP_WITHOUT_NAMES", '')) AS "FINGERPRINT",
            {error_texts.in_sql(code, 0)} AS "TITLE",
            COALESCE(CASE WHEN {code} <> '{UNCONFIRMED}' THEN e."ENGINE_HELP" END, {error_texts.in_sql(code, 1)}) AS "HELP", {error_texts.in_sql(code, 2)} AS "NEEDS_YOU"
        FROM ({of_runs} UNION ALL {without_run} UNION ALL {of_connector}) e"""


# The start of the reason of a record whose key is known, as the engine writes it.
DOCUMENT_OF = 'the document of the key "'


def rejected_records(database):
    """A row for each record that could not be stored, until it is corrected or gone."""
    reason, begin = 'r."REASON"', literal(DOCUMENT_OF)
    rest = f"SUBSTR({reason}, {len(DOCUMENT_OF) + 1})"
    end = f"GREATEST(POSITION('\" has ' IN {rest}), POSITION('\" is not JSON' IN {rest}))"
    return f"""SELECT r."RESOURCE", r."STREAM", CASE WHEN STARTSWITH({reason}, {begin}) AND {end} > 0 THEN LEFT({rest}, {end} - 1) END AS
            "KEY", {reason}, r."RAW" AS "RECORD", r."FIRST_SEEN" AS "FIRST_AT", r."LAST_SEEN" AS "LAST_AT", r."RUN"
        FROM {qualified(database, "STATE", "REJECTED_RECORD")} r"""


def checks(session):
    """A row for each hour in which containers have checked a stream."""
    read = f"""SELECT s."RESOURCE", s."STREAM", j."STARTED_AT" AS "AT" FROM ({jobs_by_resource(session)}) j JOIN
        {app_object(session, "VIEWS", FACTS)} s ON s."RESOURCE" = j."RESOURCE" WHERE j."CODE" = 'OK' AND {was_read("j", "s")}"""
    return f"""SELECT c."RESOURCE", c."STREAM", MIN(c."AT") AS "FROM_AT", MAX(c."AT") AS "TO_AT", COUNT(*) AS "CHECKS" FROM
            ({read}) c
        GROUP BY c."RESOURCE", c."STREAM", DATE_TRUNC('HOUR', c."AT")"""
