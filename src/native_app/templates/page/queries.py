"""The statements of the page, over the app's views. Names in them are fixed; values are bound."""

import data

RESOURCES = '"VIEWS"."RESOURCE_OVERVIEW"'
STREAMS = '"VIEWS"."STREAM_OVERVIEW"'
ERRORS = '"VIEWS"."CONNECTOR_ERRORS"'
RUNS = '"VIEWS"."RUN_HISTORY"'
CHECKS = '"VIEWS"."CHECKS"'
REJECTED = '"VIEWS"."REJECTED_RECORDS"'

# How many resources are on a page of the table, how many have a lane of the timeline, and how many a choice lists.
PAGE = 50
LANES = 14
CHOICES = 1000

# How many streams or resources of one cause are listed, and how many runs a list has.
OF_ONE_CAUSE = 20
RUNS_SHOWN = 50
RUNS_OF_RESOURCE = 1000

# How many records that were left out a list has, and how much of each it shows.
REJECTED_SHOWN = 50
RECORD_SHOWN = 200

# The hours of each window, and the minutes of a cell: 48, 84 and 90 cells.
WINDOWS = {"24 hours": (24, 30), "7 days": (168, 120), "30 days": (720, 480)}

# The resource to which the runs of streams belong that are read once for the source.
SHARED = "*"

# A lower-case text in a name, literally.
MATCHES = 'CONTAINS(LOWER("RESOURCE"), ?)'


def marks(values):
    """As many parameters as values."""
    return ", ".join("?" for _ in values)


def chosen(search, healths):
    """The condition for these filters, and what it binds."""
    conditions, params = [], []
    if search:
        conditions.append(MATCHES)
        params.append(search.lower())
    if healths:
        conditions.append(f'"HEALTH" IN ({marks(healths)})')
        params += [health.replace(" ", "_") for health in healths]
    return (f"WHERE {' AND '.join(conditions)} " if conditions else ""), params


def resources(search="", healths=(), page=0):
    """One page of the resources, the worst first, each with the number that was found."""
    where, params = chosen(search, list(healths))
    return data.select(
        f'SELECT t.*, COUNT(*) OVER () AS "FOUND" FROM {RESOURCES} t {where}'
        f'ORDER BY "HEALTH_RANK", "RESOURCE" LIMIT {PAGE} OFFSET {int(page) * PAGE}',
        *params,
    )


def causes(controls, resource=None):
    """What needs attention, some rows of each cause; with `resource`, what is open of one resource.

    Viewers get the fixed texts of the overview: those of an error, which the program wrote, may mention settings.
    """
    if controls:
        source, of_cause = f'{ERRORS} WHERE "IS_OPEN"', '"FINGERPRINT"'
        columns = '"FINGERPRINT", "CODE", "TITLE", "HELP", "MESSAGE", "RESOURCE", "STREAM", "SINCE", "TRIES"'
    else:
        source, of_cause = f"{STREAMS} WHERE \"HEALTH\" = 'failing'", '"ERROR_CODE"'
        columns = '"ERROR_CODE" AS "FINGERPRINT", "ERROR_CODE" AS "CODE", "TITLE", "HELP", "RESOURCE", "STREAM", "SINCE", "TRIES"'
    only = ' AND "RESOURCE" = ?' if resource else ""
    return data.select(
        f'SELECT {columns}, COUNT(DISTINCT "RESOURCE") OVER (PARTITION BY {of_cause}) AS "RESOURCES", COUNT(*) OVER (PARTITION BY '
        f'{of_cause}) AS "STREAMS" FROM {source}{only} QUALIFY ROW_NUMBER() OVER (PARTITION BY {of_cause} ORDER BY "SINCE", "RESOURCE", '
        f'"STREAM") <= {OF_ONE_CAUSE} ORDER BY "SINCE"',
        *([resource] if resource else []),
    )


# A run that failed for some of its streams is partial.
OF_RUN = (
    "CASE WHEN \"OUTCOME\" = 'failed' AND COUNT(CASE WHEN \"OUTCOME\" IN ('changed', 'nothing new') THEN 1 END) OVER "
    '(PARTITION BY "RESOURCE", COALESCE("JOB", "RUN")) > 0 THEN \'partial\' ELSE "OUTCOME" END'
)


def sliced(column, minutes):
    """The beginning of the cell in which a time is."""
    return f"TIME_SLICE(\"{column}\", {int(minutes)}, 'MINUTE')"


def cells(names, since, minutes):
    """The outcomes of these resources by cells of time, and the cells in which they were checked and had nothing new."""
    bound, start = marks(names), sliced("STARTED_AT", minutes)
    return data.select(
        f'SELECT "RESOURCE", "FROM_CELL", "FROM_CELL" AS "TO_CELL", "OUTCOME", COUNT(*) AS "RUNS" FROM (SELECT "RESOURCE", {start} AS '
        f'"FROM_CELL", {OF_RUN} AS "OUTCOME" FROM {RUNS} WHERE "RESOURCE" IN ({bound}) AND "STARTED_AT" >= ?) r GROUP BY 1, 2, 3, 4 '
        f'UNION ALL SELECT "RESOURCE", {sliced("FROM_AT", minutes)}, {sliced("TO_AT", minutes)}, \'nothing new\', SUM("CHECKS") '
        f'FROM {CHECKS} WHERE "RESOURCE" IN ({bound}) AND "TO_AT" >= ? GROUP BY 1, 2, 3',
        *names,
        since,
        *names,
        since,
    )


# The members that a resource has in common with its streams.
COMMON = (
    "HEALTH",
    "HEALTH_RANK",
    "LAST_CHECKED_AT",
    "LAST_SUCCESS_AT",
    "LAST_CHANGE_AT",
    "NEXT_DUE_AT",
    "SINCE",
    "TRIES",
    "ERROR_CODE",
    "TITLE",
    "HELP",
    "PROGRESS_PERCENT",
    "SECONDS_LEFT",
    "WAITING_UNTIL",
    "ROWS_TOTAL",
    "ROWS_CHANGED_24H",
    "REJECTED",
    "DELETIONS_TO_CONFIRM",
    "PAUSED_BY",
    "PAUSED_AT",
)
ONLY_RESOURCE = {"STREAMS": "NUMBER", "STREAMS_HEALTHY": "NUMBER", "SCHEDULE": "VARCHAR", "SCHEDULE_IS_OWN": "BOOLEAN"}
ONLY_STREAM = {"KIND": "VARCHAR", "PARENT": "VARCHAR", "VIEW_NAME": "VARCHAR", "RAW_NAME": "VARCHAR", "ROWS_DELETED": "NUMBER"}
ONLY_STREAM |= {"LAST_RECONCILED_AT": "TIMESTAMP_NTZ"}


def listed(names):
    """Names of columns in a SELECT list."""
    return ", ".join(map(data.quoted, names))


def without(columns):
    """NULL for each of these columns."""
    return ", ".join(f"CAST(NULL AS {kind}) AS {data.quoted(name)}" for name, kind in columns.items())


def resource(name=None):
    """A resource, by default the only one, and its streams in one statement; None if there is no such resource."""
    of = '"RESOURCE" = ?' if name is not None else "TRUE"
    rows = data.select(
        f'SELECT "RESOURCE", CAST(NULL AS VARCHAR) AS "STREAM", {listed(COMMON)}, {listed(ONLY_RESOURCE)}, {without(ONLY_STREAM)} '
        f'FROM {RESOURCES} WHERE {of} UNION ALL SELECT "RESOURCE", "STREAM", {listed(COMMON)}, {without(ONLY_RESOURCE)}, '
        f'{listed(ONLY_STREAM)} FROM {STREAMS} WHERE {of}',
        *([name, name] if name is not None else []),
    )
    own = [row for row in rows if row["STREAM"] is None]
    return (own[0], [row for row in rows if row["STREAM"] is not None]) if own else None


def line(name):
    """The health of a resource, alone."""
    return data.select(
        f'SELECT "HEALTH", "PROGRESS_PERCENT", "SECONDS_LEFT", "WAITING_UNTIL", "TITLE", "HELP" FROM {RESOURCES} WHERE "RESOURCE" = ?',
        name,
    )


OF_HISTORY = (
    '"RUN", "RESOURCE", "STREAM", "MODE", "OUTCOME", "STARTED_AT", "ENDED_AT", "INSERTED", "UPDATED", "DELETED", "REJECTED", "REQUESTS", '
    '"BYTES", "WAITED_MS", "TOTAL_MS", "CODE", "HELP", "JOB"'
)


def history(name, since, shares):
    """The runs of a resource since a time, the newest first, and the spans in which it was checked and had nothing new. A resource that
    `shares` streams with others has their runs, too."""
    empty, mine = ", ".join(["NULL"] * 10), f"IN (?, '{SHARED}')" if shares else "= ?"
    return data.select(
        f'SELECT * FROM (SELECT {OF_HISTORY} FROM {RUNS} WHERE "RESOURCE" {mine} AND "STARTED_AT" >= ? ORDER BY "STARTED_AT" DESC '
        f'LIMIT {RUNS_OF_RESOURCE}) r UNION ALL SELECT NULL, "RESOURCE", "STREAM", NULL, \'checked\', "FROM_AT", "TO_AT", {empty}, NULL '
        f'FROM {CHECKS} WHERE "RESOURCE" {mine} AND "TO_AT" >= ?',
        name,
        since,
        name,
        since,
    )


def rejected(name, shares=False):
    """The newest records of a resource that were left out, each with the number of all, and with the most frequent reason. A resource
    that `shares` streams with others has their records, too."""
    mine = f"IN (?, '{SHARED}')" if shares else "= ?"
    return data.select(
        f'SELECT t.*, FIRST_VALUE("REASON") OVER (ORDER BY "OF_REASON" DESC, "REASON") AS "MAIN_REASON", MAX("OF_REASON") OVER () AS '
        f'"OF_MAIN" FROM (SELECT "STREAM", "KEY", "REASON", LEFT("RECORD", {RECORD_SHOWN}) AS "RECORD", "FIRST_AT", "LAST_AT", COUNT(*) '
        f'OVER () AS "FOUND", COUNT(*) OVER (PARTITION BY "REASON") AS "OF_REASON" FROM {REJECTED} WHERE "RESOURCE" {mine}) t ORDER BY '
        f'"LAST_AT" DESC, "STREAM", "REASON", "RECORD" LIMIT {REJECTED_SHOWN}',
        name,
    )


# The rank of an outcome, the worst first, as in `words.OUTCOMES`.
WORST = ("failed", "did not start", "partial", "interrupted", "running", "changed", "nothing new")
RANK = 'CASE "OUTCOME" ' + " ".join(f"WHEN '{name}' THEN {rank}" for rank, name in enumerate(WORST)) + " END"
NAME = (
    "CASE MIN("
    + RANK
    + ') OVER (PARTITION BY COALESCE("JOB", "RUN"), "RESOURCE") '
    + " ".join(f"WHEN {rank} THEN '{name}'" for rank, name in enumerate(WORST) if rank)
    + (
        ' ELSE CASE WHEN COUNT(CASE WHEN "OUTCOME" IN (\'changed\', \'nothing new\') THEN 1 END) OVER (PARTITION BY COALESCE("JOB", "RUN"), '
        "\"RESOURCE\") > 0 THEN 'partial' ELSE 'failed' END END"
    )
)


def runs(since, outcomes=(), search=""):
    """The newest runs with all their streams, the newest first, each with the number of runs that were found."""
    conditions, params = ['"STARTED_AT" >= ?'], [since]
    if search:
        conditions.append(MATCHES)
        params.append(search.lower())
    narrowed = f'WHERE "RUN_OUTCOME" IN ({marks(outcomes)}) ' if outcomes else ""
    return data.select(
        f'SELECT t.*, MAX("NUMBER") OVER () AS "FOUND" FROM (SELECT r.*, DENSE_RANK() OVER (ORDER BY "BEGAN" DESC, "GROUP") AS "NUMBER" '
        f'FROM (SELECT {OF_HISTORY}, COALESCE("JOB", "RUN") || \'/\' || "RESOURCE" AS "GROUP", MIN("STARTED_AT") OVER (PARTITION BY '
        f'COALESCE("JOB", "RUN"), "RESOURCE") AS "BEGAN", {NAME} AS "RUN_OUTCOME" FROM {RUNS} WHERE {" AND ".join(conditions)}) r '
        f'{narrowed}) t QUALIFY "NUMBER" <= {RUNS_SHOWN} ORDER BY "NUMBER", "STREAM"',
        *params,
        *outcomes,
    )


def tables(chosen, search=""):
    """The names of resources, and the streams of the chosen one or of the first, in one statement."""
    columns = ("HEALTH", "LAST_CHECKED_AT", "LAST_CHANGE_AT", "NEXT_DUE_AT", "ROWS_TOTAL", "REJECTED")
    names = f'SELECT "RESOURCE" FROM {RESOURCES} {"WHERE " + MATCHES if search else ""} ORDER BY "RESOURCE" LIMIT {CHOICES}'
    found = [search.lower()] if search else []
    return data.select(
        f'SELECT "RESOURCE", CAST(NULL AS VARCHAR) AS "STREAM", NULL AS "HEALTH", NULL AS "LAST_CHECKED_AT", NULL AS "LAST_CHANGE_AT", NULL '
        f'AS "NEXT_DUE_AT", NULL AS "ROWS_TOTAL", NULL AS "REJECTED", NULL AS "ROWS_DELETED", NULL AS "VIEW_NAME", NULL AS "RAW_NAME", NULL AS "PARENT", NULL AS "COLUMNS" FROM ({names}) n '
        f'UNION ALL SELECT "RESOURCE", "STREAM", {listed(columns)}, "ROWS_DELETED", "VIEW_NAME", "RAW_NAME", "PARENT", "COLUMNS" FROM {STREAMS} WHERE "RESOURCE" '
        f'= COALESCE(?, (SELECT MIN("RESOURCE") FROM ({names}) m))',
        *found,
        chosen,
        *found,
    )
