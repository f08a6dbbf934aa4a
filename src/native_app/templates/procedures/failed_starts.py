"""Records runs that could not begin: as failed runs of every stream that they would have read, where all programs find them.

The records are those of the connector's program (`RunRecord`), with `"started": false`, and with the app's response code in the error.
"""

import json
import logging
import secrets
import time
from datetime import UTC, datetime

from snowflake.snowpark.exceptions import SnowparkSQLException

import destination
import error_texts
import history
import streams
from names import qualified

log = logging.getLogger("connector")

# Response codes of causes that may go away by themselves. All others ask for a change of the configuration.
UNAVAILABLE = ("COMPUTE_POOL_UNAVAILABLE", "UNKNOWN_SQL_ERROR", "INTERNAL_ERROR")

# How many records one statement stores.
MOST_RECORDS = 500

COUNTS = ("offered", "inserted", "updated", "unchanged", "deleted", "skipped", "rejected")
TRAFFIC = ("requests", "bytes", "waited_ms")
TIMINGS = ("total_ms", "read_ms", "commit_ms", "verify_ms")


def record(session, database, read, mode, error):
    """Records that a run of these streams, pairs of resource and stream, could not begin. Without the destination it cannot be recorded."""
    try:
        insert(session, database, list(records(session, database, read, mode, error)))
    except SnowparkSQLException as failure:
        log.warning("a run that could not begin was not recorded: %s", failure)


def records(session, database, read, mode, error):
    """The records, with the marks of their streams."""
    if not history.has_streams(session, database):
        # Its records have no marks, and the first container of this version changes its tables.
        return
    newest = history.newest_runs(session, database, destination.tables(session, database), True)
    at = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}Z"
    known = set()
    for resource, stream in read:
        key = streams.owner(resource, stream), stream
        if key in known:
            continue
        known.add(key)
        marks = marks_of(newest.newest(resource, stream))
        failing = marks["failing"] or {"since": at, "tries": 0}
        kind = "unavailable" if error.code in UNAVAILABLE else "configuration"
        yield {
            "id": run_id(),
            "resource": key[0],
            "stream": stream,
            "mode": mode,
            "status": "failed",
            "started_at": at,
            "ended_at": at,
            "counts": {**dict.fromkeys(COUNTS, 0), "skipped_by_reason": {}},
            "commits": 0,
            "traffic": dict.fromkeys(TRAFFIC, 0),
            "timings": dict.fromkeys(TIMINGS, 0),
            "empty_columns": [],
            "new_columns": [],
            "reject_reason": None,
            "credits": 0.0,
            "error": {
                "kind": kind,
                "code": error.code,
                "message": str(error),
                "causes": [],
                "help": error_texts.next_step(error.code),
                "unconfirmed_deletions": None,
            },
            **marks,
            "failing": {**failing, "tries": failing["tries"] + 1},
            "lease_until": None,
            "progress": None,
            "started": False,
        }


def marks_of(run):
    """The marks of a stream after its newest run, as in the connector's program; those of an older version are told by its status."""
    if run is None:
        return {"last_success_at": None, "last_change_at": None, "failing": None}
    if "failing" in run:
        failing = (
            run["failing"]
            if isinstance(run["failing"], dict) and history.is_count(run["failing"].get("tries"))
            else None
        )
        return {name: history.text_of(run, name) for name in ("last_success_at", "last_change_at")} | {
            "failing": failing
        }
    at, status = (
        history.text_of(run, "ended_at") or run["started_at"],
        history.OLD_STATUSES.get(run["status"], run["status"]),
    )
    is_success = status == "complete" or status == "partial" and run["error"] is None
    is_failure = status in ("failed", "partial") and not is_success and (run["error"] or {}).get("kind") != "conflict"
    has_changed = any(run["counts"][name] for name in ("inserted", "updated", "deleted"))
    return {
        "last_success_at": at if is_success else None,
        "last_change_at": at if has_changed else None,
        "failing": {"since": at, "tries": 1} if is_failure else None,
    }


def run_id():
    """A UUID of version 7: ids of later runs sort after those of earlier ones."""
    milliseconds, random = time.time_ns() // 1_000_000, secrets.randbits(74)
    digits = f"{milliseconds:012x}7{random >> 62:03x}{0x8000000000000000 | random & (1 << 62) - 1:016x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def insert(session, database, documents):
    """Appends records to the run history."""
    table, run = qualified(database, "STATE", "SNOWFEED_RUN"), 'r."RUN"'
    texts = {
        "ID": "id",
        "RESOURCE": "resource",
        "STREAM": "stream",
        "MODE": "mode",
        "STATUS": "status",
        "ERROR": "error.message",
    }
    columns = {name: f"{run}:{path}::VARCHAR" for name, path in texts.items()}
    columns |= {
        name: f"{run}:{path}::VARCHAR::TIMESTAMP_NTZ"
        for name, path in (("STARTED_AT", "started_at"), ("ENDED_AT", "ended_at"))
    }
    columns["RECORDED_AT"] = columns["STARTED_AT"]
    numbers = {name.upper(): f"counts.{name}" for name in COUNTS} | {
        name.upper(): f"traffic.{name}" for name in TRAFFIC
    }
    numbers |= {"COMMITS": "commits", "TOTAL_MS": "timings.total_ms"}
    columns |= {name: f"{run}:{path}::NUMBER(38, 0)" for name, path in numbers.items()}
    names = ", ".join(f'"{name}"' for name in columns)
    text = (
        f'INSERT INTO {table} ({names}, "DOCUMENT") SELECT {", ".join(columns.values())}, r."DOCUMENT" FROM (SELECT f."VALUE"::VARCHAR AS '
        '"DOCUMENT", PARSE_JSON(f."VALUE"::VARCHAR) AS "RUN" FROM (SELECT PARSE_JSON(?) AS "DOCUMENTS") d, '
        'LATERAL FLATTEN(input => d."DOCUMENTS") f) r'
    )
    for first in range(0, len(documents), MOST_RECORDS):
        some = [json.dumps(document, separators=(",", ":")) for document in documents[first : first + MOST_RECORDS]]
        session.sql(text, params=[json.dumps(some)]).collect()
