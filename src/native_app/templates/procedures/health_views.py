"""The health of each stream, in SQL. This is the only place of the app that computes health: procedures and pages read it.

The rules are those of the connector's program (`src/engine/health`); both are tested with the same cases. Two facts are known only here:
a container that ended well is a check and a success of what it read, although a run without changes leaves no record; and a
stream whose
container is active is running.
"""

import history
import streams
from app_database import app_object
from names import literal, qualified
from spec import SPEC

# The clock of all views, in UTC. Tests replace it.
NOW = "SYSDATE()"

# The words, the worst first. The rank of each is its number, from 1.
WORDS = ("failing", "interrupted", "late", "not_configured", "running", "never_run", "healthy", "paused")

# A run from further in the future than this was recorded under a wrong clock.
SKEW_SECONDS = 60

# How long a running record without a lease can be believed.
LEASE_OF_OLDER_VERSIONS_HOURS = 24

# How long a container whose end is not recorded counts as active.
ACTIVE_CONTAINER_HOURS = 2

# The statuses of older versions of the engine.
STATUS = "CASE LOWER({0}) WHEN 'done' THEN 'complete' ELSE LOWER({0}) END"

EPOCH = "CAST('1970-01-01' AS TIMESTAMP_NTZ)"


def rank(health):
    """The rank of a health in SQL."""
    return "CASE {} {} END".format(
        health, " ".join(f"WHEN '{word}' THEN {number}" for number, word in enumerate(WORDS, 1))
    )


def word(rank):
    """The health of a rank in SQL."""
    return "CASE {} {} END".format(
        rank, " ".join(f"WHEN {number} THEN '{word}'" for number, word in enumerate(WORDS, 1))
    )


def time_of(value):
    """A time in a document, in SQL."""
    return f"TRY_CAST({value}::VARCHAR AS TIMESTAMP_NTZ)"


def number_of(value):
    """A whole number in a document, in SQL. A document that was edited by hand may hold anything."""
    return f"TRY_CAST({value}::VARCHAR AS NUMBER(38, 0))"


def flag_of(value):
    """A truth value in a document, in SQL; false if it is missing."""
    return f"COALESCE(TRY_CAST({value}::VARCHAR AS BOOLEAN), FALSE)"


# The code of an error of a reconcile run that has marked nothing deleted, because so much is gone that a person must confirm it.
UNCONFIRMED = "deletions_unconfirmed"


def deletions_of(run):
    """The number of deletions that a run has left to confirm, in SQL; NULL if there are none."""
    return number_of(f"{run}:error.unconfirmed_deletions")


def code_of(run):
    """The code of a run's error, in SQL: that of a procedure, or the kind of the program's error."""
    return f"""COALESCE({run}:error.code::VARCHAR, CASE WHEN {deletions_of(run)} IS NOT NULL THEN '{UNCONFIRMED}' END,
            {run}:error.kind::VARCHAR)"""


def microseconds(time):
    """The microseconds since 1970 in SQL."""
    return f"DATEDIFF(MICROSECOND, {EPOCH}, {time})"


def health_facts(session, database, has_streams):
    """The query of the internal view `HEALTH_FACTS`: a row for each stream that a resource reads."""
    parts = {
        **configured(session, database),
        **recorded(database, has_streams),
        **containers(session),
        **newest_run(),
        **due(),
        "word": verdict(),
    }
    parts = ", ".join(f'"{name}" AS ({query})' for name, query in parts.items())
    health = 'w."HEALTH"'
    code = """CASE WHEN w."PROBLEM" IS NOT NULL THEN 'configuration' ELSE COALESCE(w."ERROR_CODE", 'internal') END"""
    return f"""
        WITH {parts}
        SELECT w.*, {rank(health)} AS "HEALTH_RANK",
            CASE {health} WHEN 'failing' THEN {code} END AS "CODE",
            CASE {health} WHEN 'failing' THEN LEAST(w."FAILING_SINCE", w."NOW") WHEN 'interrupted' THEN w."CHECKED_AT"
                WHEN 'late' THEN w."LATE_SINCE" WHEN 'running' THEN w."STARTED_AT" WHEN 'paused' THEN w."PAUSED_AT" END AS
                "SINCE",
            CASE {health} WHEN 'failing' THEN COALESCE(w."FAILING_TRIES", 0) END AS "TRIES",
            CASE {health} WHEN 'failing' THEN COALESCE(w."PROBLEM", w."ERROR_MESSAGE", CASE WHEN w."STATE_STATUS" IN
            ('failed', 'partial')
                THEN w."STATE_MESSAGE" END, 'runs have failed, and none has succeeded since') END AS "MESSAGE",
            CASE {health} WHEN 'failing' THEN CASE WHEN w."PROBLEM" IS NOT NULL THEN 'enable it again, or delete it'
                ELSE w."ERROR_HELP" END END AS "ENGINE_HELP"
        FROM "word" w"""


def configured(session, database):
    """The streams that each resource reads, and what the app knows about them."""
    own = app_object(session, "STATE", "APP_CONFIGURATION")
    resources = qualified(database, "STATE", "RESOURCE_CONFIGURATION")
    tables, rejects = (qualified(database, "STATE", name) for name in ("SNOWFEED_TABLE", "REJECTED_RECORD"))
    views, raws = (literal(qualified(database, schema) + ".") for schema in ("PUBLIC", "PUBLIC_RAW"))
    of = {"config": ("schedule", "scheduler"), "status": ("status", "by", "at")}
    columns = ", ".join(
        f'MAX(CASE WHEN "KEY" = \'{key}\' THEN "VALUE":{name}::VARCHAR END) AS "{name.upper()}"'
        for key, names in of.items()
        for name in names
    )
    implied = [
        f'SELECT {literal(one)} AS "NAME", {literal(name)} AS "STREAM"'
        for one in streams.names()
        for name in streams.with_required([one])
    ]
    known = [
        f'SELECT {literal(stream["name"])} AS "STREAM", {index} AS "POSITION", {sql_bool(stream["is_source_wide"])} AS "IS_SHARED", '
        f'{sql_bool(stream["name"] in streams.default())} AS "IS_DEFAULT", {text_or_null(stream["requires"])} AS "PARENT"'
        for index, stream in enumerate(SPEC["streams"])
    ]
    is_paused = (
        "COALESCE(o.\"SCHEDULER\", '{}') <> 'outside' AND COALESCE(o.\"STATUS\", '') IN ('PAUSED', 'PAUSING')".format(
            SPEC["default_scheduler"]
        )
    )
    stored = f'SELECT "KEY" AS "RESOURCE", "VALUE" FROM {resources}'
    return {
        "clock": f'SELECT {NOW} AS "NOW"',
        "own": f"SELECT {columns} FROM {own}",
        "known": " UNION ALL ".join(known),
        "implied": " UNION ALL ".join(implied),
        "stored": stored,
        "schedule": f"""SELECT f."KEY" AS "SCHEDULE", f."VALUE":every::NUMBER(38, 0) AS "EVERY", f."VALUE" AS "VALUE"
            FROM {own} c, LATERAL FLATTEN(input => c."VALUE":schedules) f WHERE c."KEY" = 'health'""",
        "problem": f"""SELECT f."KEY" AS "RESOURCE", f."VALUE"::VARCHAR AS "PROBLEM"
            FROM {own} c, LATERAL FLATTEN(input => c."VALUE":problems) f WHERE c."KEY" = 'health'""",
        "paused": f"""SELECT f."KEY" AS "RESOURCE", f."VALUE":by::VARCHAR AS "BY", {time_of('f."VALUE":at')} AS "AT"
            FROM {own} c, LATERAL FLATTEN(input => c."VALUE") f WHERE c."KEY" = 'paused'""",
        "named": """SELECT DISTINCT r."RESOURCE", i."STREAM" FROM (SELECT r."RESOURCE", f."VALUE"::VARCHAR AS "NAME" FROM
                "stored" r,
            LATERAL FLATTEN(input => CASE WHEN IS_ARRAY(r."VALUE":streams) THEN r."VALUE":streams ELSE PARSE_JSON('[]') END)
            f) r
            JOIN "implied" i ON i."NAME" = r."NAME\"""",
        "selected": """SELECT n."RESOURCE", n."STREAM" FROM "named" n UNION ALL SELECT r."RESOURCE", k."STREAM" FROM "stored" r
            JOIN "known" k ON k."IS_DEFAULT" LEFT JOIN (SELECT DISTINCT "RESOURCE" FROM "named") n ON n."RESOURCE" =
            r."RESOURCE"
            WHERE n."RESOURCE" IS NULL""",
        "stream": f"""SELECT s."RESOURCE", s."STREAM", k."POSITION", k."PARENT", k."IS_SHARED",
                CASE WHEN k."IS_SHARED" THEN {literal(streams.SOURCE)} ELSE s."RESOURCE" END AS "OWNER",
                {flag_of('r."VALUE":enabled')} AND NOT ({is_paused}) AS "IS_ENABLED",
                COALESCE(r."VALUE":schedule::VARCHAR, o."SCHEDULE", {literal(SPEC["default_schedule"])}) AS "SCHEDULE",
                r."VALUE":schedule::VARCHAR IS NOT NULL AS "SCHEDULE_IS_OWN", p."PROBLEM",
                CASE WHEN {is_paused} THEN o."BY" ELSE u."BY" END AS "PAUSED_BY",
                CASE WHEN {is_paused} THEN {time_of('o."AT"')} ELSE u."AT" END AS "PAUSED_AT", c."NOW"
            FROM "selected" s JOIN "stored" r ON r."RESOURCE" = s."RESOURCE" JOIN "known" k ON k."STREAM" = s."STREAM" CROSS
            JOIN "own" o
            CROSS JOIN "clock" c LEFT JOIN "problem" p ON p."RESOURCE" = s."RESOURCE" LEFT JOIN "paused" u ON u."RESOURCE" =
            s."RESOURCE\"""",
        "table": f"""SELECT "RESOURCE", "STREAM", {views} || '"' || REPLACE("NAME", '"', '""') || '"' AS "VIEW_NAME",
            {raws} || '"' || REPLACE("NAME", '"', '""') || '"' AS "RAW_NAME", "COLUMNS" FROM {tables} WHERE "RESOURCE" <> ''""",
        "tables": 'SELECT DISTINCT "RESOURCE" FROM "table"',
        "rows": f'SELECT "RESOURCE", "STREAM", "ROWS" FROM {app_object(session, "STATE", "ROW_COUNT")}',
        "rejected": f'SELECT "RESOURCE", "STREAM", COUNT(*) AS "REJECTED" FROM {rejects} GROUP BY "RESOURCE", "STREAM"',
    }


def recorded(database, has_streams):
    """The newest run and the newest state of each stream, and the sums of its runs.

    A record without a stream is an older version's. It stands for each stream of which the resource has a table, and for all streams if it
    has none."""
    run, state = (qualified(database, "STATE", name) for name in ("INGESTION_RUN", "APP_STATE"))
    stream = f"NULLIF({history.stream_column(has_streams)}, '')"
    order = 'CASE WHEN "STREAM" = \'\' THEN -1 ELSE "VERSION" END' if has_streams else '"VERSION"'
    changed = '"INSERTED" + "UPDATED" + "DELETED"'
    at = 'COALESCE("ENDED_AT", "STARTED_AT")'
    # Of the newest reconcile run. Its document is read only if there was an error.
    left = f"""COALESCE(CASE WHEN "MODE" = 'reconcile' AND "ERROR" IS NOT NULL THEN {deletions_of('TRY_PARSE_JSON("DOCUMENT")')} END, 0)"""
    age = f'DATEDIFF(SECOND, {at}, c."NOW")'
    bars = ", ".join(
        f'SUM(CASE WHEN {age} >= {number * 43200 if number else -SKEW_SECONDS} AND {age} < {(number + 1) * 43200} THEN {changed} ELSE 0 END) AS "BAR{number}"'
        for number in range(14)
    )
    bar_list = " || ',' || ".join(
        f'CAST(COALESCE("BAR{number}", 0) AS NUMBER(38, 0))' for number in reversed(range(14))
    )
    is_of = """{0}."RESOURCE" = s."OWNER" AND ({0}."STREAM" = s."STREAM" OR ({0}."STREAM" IS NULL AND
        (t."RESOURCE" IS NOT NULL OR a."RESOURCE" IS NULL)))"""
    of_tables = """LEFT JOIN "table" t ON t."RESOURCE" = s."OWNER" AND t."STREAM" = s."STREAM"
        LEFT JOIN "tables" a ON a."RESOURCE" = s."OWNER\""""
    return {
        "newest_of_all": f"""SELECT "ID", "RESOURCE", {stream} AS "STREAM", "STARTED_AT", "ENDED_AT", "DOCUMENT" FROM {run}
            QUALIFY ROW_NUMBER() OVER (PARTITION BY "RESOURCE", {stream} ORDER BY "STARTED_AT" DESC, "ID" DESC) = 1""",
        "newest": f"""SELECT s."RESOURCE", s."STREAM", r."ID", r."STARTED_AT", r."ENDED_AT", r."DOCUMENT",
                TRY_PARSE_JSON(r."DOCUMENT") AS "RUN" FROM "stream" s {of_tables} JOIN "newest_of_all" r ON {is_of.format("r")}
            QUALIFY ROW_NUMBER() OVER (PARTITION BY s."RESOURCE", s."STREAM" ORDER BY r."STARTED_AT" DESC, r."ID" DESC) = 1""",
        "state_of_all": f"""SELECT "KEY" AS "RESOURCE", {stream} AS "STREAM", {order} AS "VERSION",
                TRY_CAST("AT" AS TIMESTAMP_NTZ) AS "AT", "VALUE":status::VARCHAR AS "STATUS", "VALUE":run::VARCHAR AS "RUN",
                "VALUE":message::VARCHAR AS "MESSAGE" FROM {state}
            QUALIFY ROW_NUMBER() OVER (PARTITION BY "KEY", {stream} ORDER BY {order} DESC) = 1""",
        "state": f"""SELECT s."RESOURCE", s."STREAM", e."AT", {STATUS.format('e."STATUS"')} AS "STATUS", e."RUN", e."MESSAGE"
            FROM "stream" s {of_tables} JOIN "state_of_all" e ON {is_of.format("e")}
            QUALIFY ROW_NUMBER() OVER (PARTITION BY s."RESOURCE", s."STREAM" ORDER BY e."VERSION" DESC) = 1""",
        "sum_of_all": f"""SELECT "RESOURCE", {stream} AS "STREAM", SUM("DELETED") AS "DELETED",
                SUM(CASE WHEN {age} < 86400 THEN {changed} ELSE 0 END) AS "CHANGED_24H",
                MAX(CASE WHEN "MODE" = 'reconcile' AND LOWER("STATUS") = 'complete' THEN "ENDED_AT" END) AS "RECONCILED_AT",
                MAX_BY({left}, CASE WHEN "MODE" = 'reconcile' THEN "ID" END) AS "TO_CONFIRM",
                {bars}
            FROM {run} CROSS JOIN "clock" c GROUP BY "RESOURCE", {stream}""",
        "sums": f"""SELECT "RESOURCE", "STREAM", "DELETED", "CHANGED_24H", "RECONCILED_AT", "TO_CONFIRM", PARSE_JSON('[' || {bar_list} ||
                ']') AS "BARS"
            FROM "sum_of_all" WHERE "STREAM" IS NOT NULL""",
    }


def containers(session):
    """What containers tell that the run history does not."""
    return {
        "container": f"""SELECT j."RESOURCE", s."STREAM", j."STARTED_AT", j."IS_ACTIVE", j."CODE" FROM
                ({jobs_by_resource(session)}) j
            JOIN "stream" s ON s."RESOURCE" = j."RESOURCE" WHERE {was_read("j", "s")}""",
        "containers": f"""SELECT j."RESOURCE", j."STREAM", MAX(CASE WHEN j."CODE" = 'OK' THEN LEAST(j."STARTED_AT", c."NOW")
                END) AS "OK_AT",
                MAX(CASE WHEN j."IS_ACTIVE" AND j."STARTED_AT" > DATEADD(HOUR, -{ACTIVE_CONTAINER_HOURS}, c."NOW") THEN
                j."STARTED_AT" END)
                AS "ACTIVE_SINCE" FROM "container" j CROSS JOIN "clock" c GROUP BY j."RESOURCE", j."STREAM\"""",
    }


def jobs_by_resource(session):
    """The query of the containers, with a row for each resource."""
    return f"""SELECT f."VALUE"::VARCHAR AS "RESOURCE", {time_of('j."VALUE":started_at')} AS "STARTED_AT",
            j."VALUE":code::VARCHAR AS "CODE",
        j."VALUE":ended_at::VARCHAR IS NULL AS "IS_ACTIVE", CASE WHEN IS_ARRAY(j."VALUE":streams) THEN
        TO_JSON(j."VALUE":streams) END
        AS "STREAMS" FROM {app_object(session, "STATE", "INGESTION_JOB")} j, LATERAL FLATTEN(input => j."VALUE":resources) f"""


def was_read(job, stream):
    """Whether a container of `jobs_by_resource` has read a stream of its resource, in SQL: by default it reads all."""
    return f"""({job}."STREAMS" IS NULL OR POSITION('"' || {stream}."STREAM" || '"', {job}."STREAMS") > 0)"""


def newest_run():
    """What the newest run of each stream says: its status, and the marks of its stream."""
    stored = f"""CASE WHEN {flag_of('r."RUN":interrupted')} THEN 'interrupted' ELSE {STATUS.format('r."RUN":status::VARCHAR')}
            END"""
    at = 'COALESCE(r."ENDED_AT", r."STARTED_AT")'
    lease = f"""COALESCE({time_of('r."RUN":lease_until')}, DATEADD(HOUR, {LEASE_OF_OLDER_VERSIONS_HOURS}, r."STARTED_AT"))"""
    changed = " + ".join(
        f"COALESCE({number_of('r.RUN:counts.' + name)}, 0)" for name in ("inserted", "updated", "deleted")
    )
    return {
        # The names of members are in quotes only outside of strings.
        "read": f"""SELECT s.*, r."ID", r."STARTED_AT", {at} AS "AT", {stored} AS "STORED_STATUS", {lease} AS "LEASE_UNTIL",
                r."DOCUMENT" LIKE '%"failing":%' AS "HAS_MARKS", {changed} > 0 AS "HAS_CHANGED",
                {time_of('r."RUN":last_success_at')} AS "MARKED_SUCCESS", {time_of('r."RUN":last_change_at')} AS
                "MARKED_CHANGE",
                {time_of('r."RUN":failing.since')} AS "MARKED_SINCE", {number_of('r."RUN":failing.tries')} AS "MARKED_TRIES",
                r."RUN":error.kind::VARCHAR AS "ERROR_KIND", {code_of('r."RUN"')} AS "ERROR_CODE",
                {time_of('r."RUN":progress.at')} AS "PROGRESS_AT", {number_of('r."RUN":progress.read')} AS "PAGES_READ",
                {number_of('r."RUN":progress.of')} AS "PAGES", {time_of('r."RUN":progress.waiting_until')} AS "WAITS_UNTIL",
                r."RUN":error.message::VARCHAR AS "ERROR_MESSAGE", r."RUN":error.help::VARCHAR AS "ERROR_HELP",
                e."AT" AS "STATE_AT", e."STATUS" AS "STATE_STATUS", e."MESSAGE" AS "STATE_MESSAGE",
                r."STARTED_AT" > DATEADD(SECOND, {SKEW_SECONDS}, s."NOW") AS "IS_FUTURE",
                r."STARTED_AT" > DATEADD(SECOND, {SKEW_SECONDS}, s."NOW") AND e."RUN" IS NOT NULL AND e."RUN" <> r."ID" AS
                "HAS_LATER"
            FROM "stream" s LEFT JOIN (SELECT * FROM "newest" WHERE "RUN" IS NOT NULL) r ON r."RESOURCE" = s."RESOURCE" AND
                r."STREAM" = s."STREAM" LEFT JOIN "state" e ON e."RESOURCE" = s."RESOURCE" AND e."STREAM" = s."STREAM\"""",
        # An older version's record gives marks by its own status.
        "marked": """SELECT r.*, CASE WHEN r."HAS_MARKS" THEN r."MARKED_SUCCESS" WHEN r."STORED_STATUS" = 'complete' OR
                r."STORED_STATUS" = 'partial' AND r."ERROR_KIND" IS NULL THEN r."AT" END AS "SUCCESS_AT",
                CASE WHEN r."HAS_MARKS" THEN r."MARKED_CHANGE" WHEN r."HAS_CHANGED" THEN r."AT" END AS "CHANGE_AT",
                CASE WHEN r."HAS_MARKS" THEN r."MARKED_SINCE" WHEN COALESCE(r."ERROR_KIND", '') <> 'conflict' AND
                (r."STORED_STATUS" = 'failed' OR r."STORED_STATUS" = 'partial' AND r."ERROR_KIND" IS NOT NULL) THEN r."AT" END
                AS "SINCE_AT",
                CASE WHEN r."HAS_MARKS" THEN r."MARKED_TRIES" ELSE 1 END AS "NUMBER_OF_TRIES" FROM "read" r""",
        # A record of the future hides later ones. The states are ordered without a clock, so the newest one tells how the later run went.
        "judged": """SELECT m.*, CASE WHEN m."HAS_LATER" THEN m."STATE_STATUS" WHEN m."STORED_STATUS" = 'running' AND
                m."LEASE_UNTIL" < m."NOW" THEN 'interrupted' ELSE m."STORED_STATUS" END AS "STATUS",
                CASE WHEN m."HAS_LATER" THEN m."STATE_AT" ELSE m."AT" END AS "RUN_AT",
                CASE WHEN m."HAS_LATER" AND m."STATE_STATUS" = 'complete' THEN m."STATE_AT" ELSE m."SUCCESS_AT" END AS
                "RUN_SUCCESS_AT",
                CASE WHEN m."HAS_LATER" AND m."STATE_STATUS" = 'complete' THEN NULL WHEN m."HAS_LATER" AND m."STATE_STATUS" =
                'failed'
                THEN COALESCE(m."SINCE_AT", m."STATE_AT") ELSE m."SINCE_AT" END AS "FAILING_SINCE",
                CASE WHEN m."HAS_LATER" AND m."STATE_STATUS" = 'failed' AND m."SINCE_AT" IS NULL THEN 1 ELSE
                m."NUMBER_OF_TRIES" END
                AS "FAILING_TRIES" FROM "marked" m""",
    }


def due():
    """When the next run of each stream is due, and the one after it."""
    after = 'CASE WHEN NOT j."IS_FUTURE" THEN j."STARTED_AT" END'
    every = 'c."EVERY" * 1000000'
    # The first beat that is at least a tenth of the interval later.
    beat = '{0} + c."EVERY" * 100000 + MOD({1} - MOD({0} + c."EVERY" * 100000, {1}), {1})'
    day, of_day = "DATEDIFF(DAY, {0}, {1})", "DATEDIFF(MICROSECOND, DATE_TRUNC('DAY', {0}), {0})"
    at_second = f"DATEADD(SECOND, {{0}} * 86400 + {{1}}, {EPOCH})"
    return {
        "cron_day": """SELECT "SCHEDULE", "DAY", LEAD("DAY") OVER (PARTITION BY "SCHEDULE" ORDER BY "DAY") AS "NEXT_DAY" FROM
            (SELECT c."SCHEDULE", f."VALUE"::NUMBER(38, 0) AS "DAY" FROM "schedule" c, LATERAL FLATTEN(input =>
            c."VALUE":days) f) d""",
        "cron_second": """SELECT "SCHEDULE", "SECOND", LEAD("SECOND") OVER (PARTITION BY "SCHEDULE" ORDER BY "SECOND") AS
                "NEXT_SECOND",
            MIN("SECOND") OVER (PARTITION BY "SCHEDULE") AS "FIRST_SECOND" FROM (SELECT c."SCHEDULE", f."VALUE"::NUMBER(38, 0)
            AS "SECOND"
            FROM "schedule" c, LATERAL FLATTEN(input => c."VALUE":seconds) f) d""",
        "asked": f"""SELECT DISTINCT a."SCHEDULE", a."AFTER" FROM (SELECT j."SCHEDULE", {after} AS "AFTER" FROM "judged" j
                UNION ALL
            SELECT c."SCHEDULE", k."NOW" AS "AFTER" FROM "schedule" c CROSS JOIN "clock" k) a JOIN "schedule" c ON
            c."SCHEDULE" = a."SCHEDULE" WHERE a."AFTER" IS NOT NULL AND c."EVERY" IS NULL""",
        "next_second": f"""SELECT a."SCHEDULE", a."AFTER", MIN(c."SECOND") AS "SECOND" FROM "asked" a JOIN "cron_second" c ON
            c."SCHEDULE" = a."SCHEDULE" AND c."SECOND" * 1000000 > {of_day.format('a."AFTER"')} GROUP BY a."SCHEDULE",
            a."AFTER\"""",
        "next_day": f"""SELECT a."SCHEDULE", a."AFTER", MAX(CASE WHEN d."DAY" = {day.format(EPOCH, 'a."AFTER"')} THEN d."DAY"
                END) AS "TODAY",
                MIN(CASE WHEN d."DAY" > {day.format(EPOCH, 'a."AFTER"')} THEN d."DAY" END) AS "LATER_DAY"
            FROM "asked" a JOIN "cron_day" d ON d."SCHEDULE" = a."SCHEDULE" GROUP BY a."SCHEDULE", a."AFTER\"""",
        "next_cron": """SELECT d."SCHEDULE", d."AFTER", CASE WHEN n."SECOND" IS NOT NULL AND d."TODAY" IS NOT NULL THEN
                d."TODAY"
                ELSE d."LATER_DAY" END AS "DAY", CASE WHEN n."SECOND" IS NOT NULL AND d."TODAY" IS NOT NULL THEN n."SECOND"
                ELSE f."FIRST_SECOND" END AS "SECOND", f."FIRST_SECOND" FROM "next_day" d JOIN (SELECT DISTINCT "SCHEDULE",
                "FIRST_SECOND"
                FROM "cron_second") f ON f."SCHEDULE" = d."SCHEDULE" LEFT JOIN "next_second" n ON n."SCHEDULE" = d."SCHEDULE"
                AND
                n."AFTER" = d."AFTER\"""",
        "cron": f"""SELECT n."SCHEDULE", n."AFTER", {at_second.format('n."DAY"', 'n."SECOND"')} AS "DUE_AT",
                CASE WHEN s."NEXT_SECOND" IS NOT NULL THEN {at_second.format('n."DAY"', 's."NEXT_SECOND"')}
                ELSE {at_second.format('d."NEXT_DAY"', 'n."FIRST_SECOND"')} END AS "AFTER_DUE_AT" FROM "next_cron" n
            LEFT JOIN "cron_second" s ON s."SCHEDULE" = n."SCHEDULE" AND s."SECOND" = n."SECOND"
            LEFT JOIN "cron_day" d ON d."SCHEDULE" = n."SCHEDULE" AND d."DAY" = n."DAY\"""",
        "timed": f"""SELECT j.*, {after} AS "AFTER", c."EVERY", {beat.format(microseconds(after), every)} AS "BEAT",
                {beat.format(microseconds('j."NOW"'), every)} AS "COMING_BEAT"
            FROM "judged" j LEFT JOIN "schedule" c ON c."SCHEDULE" = j."SCHEDULE\"""",
        "due": f"""SELECT t.*,
                CASE WHEN t."EVERY" IS NULL THEN c."DUE_AT" ELSE DATEADD(SECOND, t."BEAT" / 1000000, {EPOCH}) END AS "DUE_AT",
                CASE WHEN t."EVERY" IS NULL THEN c."AFTER_DUE_AT" ELSE DATEADD(SECOND, t."BEAT" / 1000000 + t."EVERY",
                {EPOCH}) END
                AS "AFTER_DUE_AT",
                CASE WHEN t."EVERY" IS NULL THEN n."DUE_AT" ELSE DATEADD(SECOND, t."COMING_BEAT" / 1000000, {EPOCH}) END AS
                "COMING_AT"
            FROM "timed" t LEFT JOIN "cron" c ON c."SCHEDULE" = t."SCHEDULE" AND c."AFTER" = t."AFTER"
            LEFT JOIN "cron" n ON n."SCHEDULE" = t."SCHEDULE" AND n."AFTER" = t."NOW\"""",
    }


def verdict():
    """The health of each stream, with its numbers. No time of the past is after the clock's time."""
    # Idle runs need not be recorded for as long as a heartbeat.
    is_late = (
        f"""COALESCE(d."IS_ENABLED" AND DATEADD(SECOND, {SPEC["heartbeat"]}, d."AFTER_DUE_AT") < d."NOW", FALSE)"""
    )
    health = f"""CASE WHEN NOT d."IS_ENABLED" THEN 'paused' WHEN d."PROBLEM" IS NOT NULL OR d."FAILING_SINCE" IS NOT NULL THEN
            'failing'
        WHEN d."STATUS" = 'running' OR b."ACTIVE_SINCE" IS NOT NULL AND (d."ID" IS NULL OR d."STATUS" = 'interrupted' OR
        {is_late})
        THEN 'running' WHEN d."STATUS" = 'interrupted' THEN 'interrupted' WHEN {is_late} THEN 'late'
        WHEN d."ID" IS NULL AND b."OK_AT" IS NULL THEN 'never_run' ELSE 'healthy' END"""
    # As of the last commit of a run that goes on.
    goes_on = f"""({health}) = 'running' AND d."STATUS" = 'running'"""
    took = 'DATEDIFF(SECOND, d."STARTED_AT", d."PROGRESS_AT")'
    left = f"""{took} * (d."PAGES" - d."PAGES_READ") / NULLIF(d."PAGES_READ", 0) - DATEDIFF(SECOND, d."PROGRESS_AT", d."NOW")"""
    newest = "CASE WHEN {0} IS NULL OR {1} > {0} THEN {1} ELSE {0} END"
    # Late although containers have ended well: the destination was restored, and lacks what they read.
    success = newest.format('LEAST(d."RUN_SUCCESS_AT", d."NOW")', 'b."OK_AT"')
    return f"""SELECT d.*, {health} AS "HEALTH", {newest.format('LEAST(d."RUN_AT", d."NOW")', 'b."OK_AT"')} AS "CHECKED_AT",
            CASE WHEN d."FAILING_SINCE" IS NULL AND NOT {is_late} THEN {success} ELSE LEAST(d."RUN_SUCCESS_AT", d."NOW") END
            AS "LAST_SUCCESS_AT",
            LEAST(d."CHANGE_AT", d."NOW") AS "LAST_CHANGE_AT",
            CASE WHEN NOT d."IS_ENABLED" OR d."PROBLEM" IS NOT NULL THEN NULL WHEN d."AFTER" IS NULL THEN d."NOW" WHEN
            {is_late} THEN d."DUE_AT"
            WHEN d."DUE_AT" < d."NOW" THEN d."COMING_AT" ELSE d."DUE_AT" END AS "NEXT_DUE_AT",
            CASE WHEN {is_late} AND d."PROBLEM" IS NULL AND ({health}) <> 'running' THEN d."DUE_AT" END AS "LATE_SINCE",
            CASE WHEN {goes_on} THEN FLOOR(d."PAGES_READ" * 100 / NULLIF(d."PAGES", 0)) END AS "PROGRESS_PERCENT",
            CASE WHEN {goes_on} AND {left} > 0 THEN CEIL({left}) END AS "SECONDS_LEFT",
            CASE WHEN {goes_on} AND d."WAITS_UNTIL" > d."NOW" THEN d."WAITS_UNTIL" END AS "WAITING_UNTIL",
            t."VIEW_NAME", t."RAW_NAME", TRY_PARSE_JSON(t."COLUMNS") AS "COLUMNS", n."ROWS" AS "ROWS_TOTAL", COALESCE(q."CHANGED_24H", 0) AS "ROWS_CHANGED_24H",
            COALESCE(q."BARS", PARSE_JSON('[0,0,0,0,0,0,0,0,0,0,0,0,0,0]')) AS "ROWS_BY_12H", COALESCE(q."DELETED", 0) AS
            "ROWS_DELETED",
            q."RECONCILED_AT" AS "LAST_RECONCILED_AT", COALESCE(v."REJECTED", 0) AS "REJECTED",
            NULLIF(q."TO_CONFIRM", 0) AS "DELETIONS_TO_CONFIRM"
        FROM "due" d LEFT JOIN "containers" b ON b."RESOURCE" = d."RESOURCE" AND b."STREAM" = d."STREAM"
            LEFT JOIN "table" t ON t."RESOURCE" = d."OWNER" AND t."STREAM" = d."STREAM"
            LEFT JOIN "sums" q ON q."RESOURCE" = d."OWNER" AND q."STREAM" = d."STREAM"
            LEFT JOIN "rows" n ON n."RESOURCE" = d."OWNER" AND n."STREAM" = d."STREAM"
            LEFT JOIN "rejected" v ON v."RESOURCE" = d."OWNER" AND v."STREAM" = d."STREAM\""""


def sql_bool(value):
    """A truth value as a literal."""
    return "TRUE" if value else "FALSE"


def text_or_null(text):
    """A text as a literal; NULL if there is none."""
    return "CAST(NULL AS VARCHAR)" if text is None else literal(text)
