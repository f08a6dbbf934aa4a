"""Simulates the connector's program in its container, as seen by the procedures and the page."""

import datetime
import itertools
import json
import time

from account import JobFailed
from names import qualified, quoted
from paths import HEALTH_CASES
from spec import SPEC

numbers = itertools.count()

COLUMNS = [
    ("id", "INTEGER", "NUMBER(38, 0)"),
    ("number", "INTEGER", "NUMBER(38, 0)"),
    ("title", "TEXT", "VARCHAR"),
    ("state", "TEXT", "VARCHAR"),
]


def run_id():
    """An id that sorts after all earlier ones, like a UUID version 7."""
    milliseconds = f"{time.time_ns() // 1_000_000:012x}"
    return f"{milliseconds[:8]}-{milliseconds[8:]}-7000-8000-{next(numbers):012x}"


def record(
    resource,
    status="complete",
    inserted=0,
    error=None,
    mode="incremental",
    waited_ms=0,
    total_ms=1500,
    started=None,
    stream="issues",
):
    """A record of the run history; without a stream, one of an older version."""
    started = started or datetime.datetime.now(datetime.UTC)
    ended = started + datetime.timedelta(milliseconds=total_ms)
    return {
        "id": run_id(),
        "resource": resource,
        **({} if stream is None else {"stream": stream}),
        "mode": mode,
        "status": status,
        "started_at": started.isoformat(),
        "ended_at": None if status == "running" else ended.isoformat(),
        "counts": {
            "offered": inserted,
            "inserted": inserted,
            "updated": 0,
            "unchanged": 0,
            "deleted": 0,
            "skipped": 0,
            "skipped_by_reason": {},
            "rejected": 0,
        },
        "commits": 1,
        "traffic": {"requests": 3, "bytes": 4096, "waited_ms": waited_ms},
        "timings": {"total_ms": total_ms, "read_ms": 900, "commit_ms": 500, "verify_ms": 0},
        "error": error,
    }


def write(real, database, run):
    """Writes a run to the history, and the state of its stream."""
    counts, table = run["counts"], qualified(database, "STATE", "SNOWFEED_RUN")
    columns = {
        "ID": run["id"],
        "RECORDED_AT": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M:%S.%f}",
        "RESOURCE": run["resource"],
        "MODE": run["mode"],
        "STATUS": run["status"],
        "STARTED_AT": run["started_at"].partition("+")[0].replace("T", " "),
        "ENDED_AT": run["ended_at"] and run["ended_at"][:19].replace("T", " "),
        **{name.upper(): count for name, count in counts.items() if name != "skipped_by_reason"},
        "COMMITS": run["commits"],
        "REQUESTS": run["traffic"]["requests"],
        "BYTES": run["traffic"]["bytes"],
        "WAITED_MS": run["traffic"]["waited_ms"],
        "TOTAL_MS": run["timings"]["total_ms"],
        "ERROR": (run["error"] or {}).get("message"),
        "DOCUMENT": json.dumps(run),
        **({"STREAM": run["stream"]} if "stream" in run else {}),
    }
    names, marks = ", ".join(map(quoted, columns)), ", ".join("?" for _ in columns)
    real.sql(f"INSERT INTO {table} ({names}) SELECT {marks}", params=list(columns.values())).collect()
    state = {"status": run["status"], "run": run["id"]}
    if run["error"]:
        state["message"] = run["error"]["message"]
    append_state(real, database, run["resource"], state, run["started_at"], run.get("stream"))


def append_state(real, database, resource, state, at, stream="issues"):
    """Appends to the state of a stream, which follows the states without one; without a stream, as an older version does."""
    table = qualified(database, "STATE", "APP_STATE")
    where, params = ('AND ("STREAM" = ? OR "STREAM" IS NULL)', [resource, stream]) if stream else ("", [resource])
    newest = real.sql(f'SELECT MAX("VERSION") AS "V" FROM {table} WHERE "KEY" = ? {where}', params=params).collect()
    columns = {
        "KEY": resource,
        **({"STREAM": stream} if stream else {}),
        "VERSION": int(newest[0]["V"] or 0) + 1,
        "AT": at,
        "DOCUMENT": json.dumps(state),
    }
    names, marks = ", ".join(map(quoted, columns)), ", ".join("?" for _ in columns)
    text = f'INSERT INTO {table} ({names}, "VALUE") SELECT {marks}, PARSE_JSON(?)'
    real.sql(text, params=[*columns.values(), json.dumps(state)]).collect()


def fill(real, database, resource, count, stream="issues"):
    """Creates the table and the view of a stream of a resource, with `count` rows."""
    name = resource if stream == "issues" else f"{resource}/{stream}"
    raw, view = (qualified(database, schema, name) for schema in ("PUBLIC_RAW", "PUBLIC"))
    real.sql(
        f'CREATE TABLE IF NOT EXISTS {raw} ("KEY" VARCHAR, "RAW" VARIANT, "DOCUMENT" VARCHAR, "CHANGED_AT" TIMESTAMP_NTZ, '
        '"DELETED_AT" TIMESTAMP_NTZ)'
    ).collect()
    for number in range(count):
        document = {
            "id": 1000 + number,
            "number": number,
            "title": f"Issue {number} of {resource}",
            "state": "open" if number % 3 else "closed",
        }
        text = f"INSERT INTO {raw} SELECT ?, PARSE_JSON(?), ?, '2026-01-02 03:04:{number % 60:02}', NULL"
        real.sql(text, params=[str(number), json.dumps(document), json.dumps(document)]).collect()
    select = ", ".join(f't."RAW":{name}::{kind} AS {quoted(name.upper())}' for name, _, kind in COLUMNS)
    real.sql(f'CREATE OR REPLACE VIEW {view} AS SELECT {select}, t."DELETED_AT", t."RAW" FROM {raw} t').collect()
    table = qualified(database, "STATE", "SNOWFEED_TABLE")
    columns = json.dumps([{"name": name, "path": name, "kind": kind.lower()} for name, kind, _ in COLUMNS])
    real.sql(f'DELETE FROM {table} WHERE "RESOURCE" = ? AND "STREAM" = ?', params=[resource, stream]).collect()
    real.sql(f"INSERT INTO {table} SELECT ?, ?, ?, ?, ''", params=[resource, stream, name, columns]).collect()


def ingesting(real, rows=3, **details):
    """A job that ingests `rows` rows into each stream of each resource of its arguments."""

    def job(account, args):
        database = args[args.index("--database") + 1][1:-1].replace('""', '"')
        if "ingest" not in args:
            return json.dumps(
                {
                    "schema_version": 1,
                    "source": "github",
                    "version": "1.0.0",
                    "checks": [{"name": "remote", "ok": True, "detail": "github answers"}],
                }
            )
        resources = args[args.index("--") + 1 :] if "--" in args else enabled(real, database)
        mode = "reconcile" if "--reconcile" in args else "incremental"
        runs = [
            record(resource, inserted=rows, mode=mode, stream=stream, **details)
            for resource in resources
            for stream in named(args) or selected(real, database, resource)
        ]
        for run in runs:
            fill(real, database, run["resource"], rows, run["stream"])
            write(real, database, run)
        return "starting\n" + json.dumps({"schema_version": 1, "status": "complete", "runs": runs})

    return job


def failing(real, status="failed", **error):
    """A job whose run ends with this status and error."""
    error = {"kind": "authentication", "message": "GitHub refuses the token", "help": "give another one", **error}

    def job(account, args):
        database = args[args.index("--database") + 1][1:-1]
        write(real, database, record(args[-1], status=status, error=None if status == "running" else error))
        raise JobFailed(log=json.dumps({"schema_version": 1, "error": error}))

    return job


def unconfirmed(real, **error):
    """A job whose reconcile run is partial and needs confirmation to mark rows deleted."""

    def job(account, args):
        database = args[args.index("--database") + 1][1:-1]
        write(real, database, record(args[-1], status="partial", error=error, mode="reconcile"))
        raise JobFailed(log=json.dumps({"schema_version": 1, "error": error}))

    return job


def named(args):
    """The streams that the arguments name."""
    return args[args.index("--streams") + 1].split(",") if "--streams" in args else []


def selected(real, database, resource):
    """The streams that a resource reads."""
    table = qualified(database, "STATE", "RESOURCE_CONFIGURATION")
    rows = real.sql(f'SELECT TO_JSON("VALUE") AS "VALUE" FROM {table} WHERE "KEY" = ?', params=[resource]).collect()
    stored = json.loads(rows[0]["VALUE"]).get("streams") if rows else None
    return [one["name"] for one in SPEC["streams"] if (one["is_default"] if stored is None else one["name"] in stored)]


def enabled(real, database):
    """The enabled resources."""
    table = qualified(database, "STATE", "RESOURCE_CONFIGURATION")
    rows = real.sql(f'SELECT "KEY", TO_JSON("VALUE") AS "VALUE" FROM {table} ORDER BY "KEY"').collect()
    return [row["KEY"] for row in rows if json.loads(row["VALUE"])["enabled"]]


def health_cases():
    """The cases of health, with the answers of the connector's program."""
    return json.loads(HEALTH_CASES.read_text())["resources"]


def reject(real, database, resource, reason, raw, minutes=0, stream="issues"):
    """Stores a record that was left out, as the engine does."""
    table, at = qualified(database, "STATE", "REJECTED_RECORD"), f"DATEADD(MINUTE, -{minutes}, SYSDATE())"
    text = f'INSERT INTO {table} ("RESOURCE", "STREAM", "REASON", "RAW", "HASH", "FIRST_SEEN", "LAST_SEEN", "RUN") SELECT ?, ?, ?, ?, ?, {at}, {at}, ?'
    real.sql(text, params=[resource, stream, reason, raw, f"{hash(raw):x}", run_id()]).collect()
