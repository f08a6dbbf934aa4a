"""The connector's status: pause, resume, and the report for the page."""

import logging
import re
from datetime import UTC, datetime
from decimal import Decimal

from snowflake.snowpark.exceptions import SnowparkSQLException

import app_database
import destination
import error_texts
import health
import history
import ingestion
import names
import overviews
import pool
import references
import settings
import setup_steps
import starting
import store
import streams
import tasks
import views
from configured_resources import ConfiguredResources
from responses import ProcedureError, attempt, error_text, ok
from spec import SPEC

log = logging.getLogger("connector")

CONFIGURING, STARTING, STARTED, PAUSING, PAUSED, ERROR = (
    "CONFIGURING",
    "STARTING",
    "STARTED",
    "PAUSING",
    "PAUSED",
    "ERROR",
)


STATUSES = (CONFIGURING, STARTING, STARTED, PAUSING, PAUSED, ERROR)


def current(session):
    """The current status; ERROR if this version does not know it."""
    stored = store.app_store(session).get("status")
    if stored is None:
        return CONFIGURING
    return stored.get("status") if stored.get("status") in STATUSES else ERROR


def set_status(session, status):
    """Stores the status, with who has paused and when."""
    paused = {"by": health.user(session), "at": health.now()} if status == PAUSED else {}
    store.app_store(session).put("status", {"status": status, **paused})


def is_paused(session):
    """Whether runs must not be started."""
    return current(session) not in (STARTED, STARTING)


def require_started(session):
    """Raises INVALID_CONNECTOR_STATUS unless the connector is started."""
    status = current(session)
    if status != STARTED:
        raise ProcedureError(
            "INVALID_CONNECTOR_STATUS",
            f"the connector is {status}: call RESUME_CONNECTOR first, or use the page",
            status=status,
        )


def schedules_in_use(configuration, resources):
    """The schedules of the enabled resources. Each has a task while the connector is started."""
    if not configuration.has_tasks():
        return []
    return sorted({resources.schedule_for(name) for name in resources.enabled()})


def sync_tasks(session, configuration):
    """Synchronizes the tasks: one per schedule in use, suspended while the connector is paused. Drops all others, also those that an
    earlier version created per resource. Returns notes of skipped resources."""
    resources = ConfiguredResources(session, configuration)
    health.record_facts(session, configuration, resources)
    found, runs = tasks.states(session), not is_paused(session)
    in_use = schedules_in_use(configuration, resources)
    for schedule in in_use:
        tasks.ensure(session, schedule, found.get(names.task(schedule)), runs)
    for task in sorted(set(found) - set(map(names.task, in_use))):
        tasks.drop(session, task)
    return resources.notes()


def pause(session):
    """Suspends every task. Resources stay enabled, so that `resume` knows what to resume."""
    settings.load(session)
    before = current(session)
    suspended = []
    try:
        set_status(session, PAUSING)
        for task, found in tasks.states(session).items():
            if found["state"] == "started":
                suspended.append(task)
                tasks.suspend(session, task)
        set_status(session, PAUSED)
    except Exception as error:
        outcome = undo(session, before, lambda: [tasks.resume(session, task) for task in suspended])
        raise status_error("PAUSE_CONNECTOR_FAILED", f"the connector could not be paused and {outcome}", error) from error
    return ok("paused; active runs will finish", suspended=len(suspended))


def resume(session):
    """Starts the tasks of all enabled resources."""
    configuration = settings.load(session)
    try:
        started, resources = start(session, configuration)
    except Exception as error:
        raise status_error("RESUME_CONNECTOR_FAILED", "the connector could not be resumed", error) from error
    return ok("resumed", resumed=started, skipped=resources.skipped(), notes=resources.notes())


def start(session, configuration):
    """Starts the tasks of all enabled resources and returns how many were suspended. On failure it restores the previous status."""
    before = current(session)
    resources = ConfiguredResources(session, configuration)
    started = []
    try:
        set_status(session, STARTING)
        found = tasks.states(session)
        for schedule in schedules_in_use(configuration, resources):
            task = names.task(schedule)
            if found.get(task, {}).get("state") != "started":
                started.append(task)
            tasks.ensure(session, schedule, found.get(task), True)
        set_status(session, STARTED)
    except Exception:
        undo(session, before, lambda: [tasks.suspend(session, task) for task in started])
        raise
    return len(started), resources


def undo(session, status, steps):
    """Rolls back a change and describes the result. The status becomes ERROR if that fails or if it was changing already."""
    if attempt(steps) and status not in (STARTING, PAUSING) and attempt(set_status, session, status):
        return "its status has not changed"
    attempt(set_status, session, ERROR)
    return "its status is unknown"


def status_error(code, what, error):
    """The error of a failed status change."""
    if not isinstance(error, (SnowparkSQLException, ProcedureError)):
        log.exception("%s", what)
    return ProcedureError(code, f"{what}: {error_text(error)}")


def report(session, with_resources=True):
    """The status report: with each resource, or else with the health of the connector, for which the number of resources does not matter."""
    answer = {
        "name": SPEC["name"],
        "title": SPEC["title"],
        "source": error_texts.SOURCE,
        "application": app_database.app_name(session),
        "resource_kind": SPEC["resource_kind"],
        "resource_form": (SPEC["resource_names"] or {}).get("form", ""),
        "streams": streams.names(),
        "default_streams": streams.default(),
        "sole_stream": SPEC["sole_stream"],
        "source_wide_streams": streams.source_wide(),
        "default_schedule": SPEC["default_schedule"],
        "default_scheduler": SPEC["default_scheduler"],
        "schedulers": settings.schedulers(),
        "settings_schema": SPEC["settings"],
        "secrets": SPEC["secrets"],
        "version": SPEC["version"],
        "status": current(session),
        "configuration_status": "INSTALLED",
        "configuration": None,
        "most_nodes": pool.MAX_NODES,
        "scheduler_problem": store.app_store(session).get("scheduler_problem"),
        "references": {},
        "resources": [],
        "skipped": [],
        "runs_have_streams": True,
    }
    try:
        configuration = settings.load(session)
    except ProcedureError:
        configuration = None
    bound = references.objects(session)
    answer["references"] = references.describe(list(bound), configuration)
    if configuration is None:
        found = {} if with_resources else health_report(session, None, bound, None)
        return ok("not configured yet", **answer, **found)
    answer["configuration"] = vars(configuration)
    connected = store.app_store(session).get("connection") is not None
    answer["configuration_status"] = "CONNECTED" if connected else "CONFIGURED"
    found = {}
    try:
        jobs = ingestion.record_ended_jobs(session, configuration) if configuration.has_tasks() else []
        configured = ConfiguredResources(session, configuration)
        answer["skipped"] = configured.skipped()
        if with_resources:
            progress = Progress(session, configuration.destination_database)
            answer["resources"] = resource_reports(session, configured, jobs, progress)
            answer["runs_have_streams"] = progress.has_streams
        views.refresh(session, configuration.destination_database)
        if not with_resources:
            if not configuration.has_tasks():
                # No container counts them.
                destination.count_rows(session, configuration.destination_database)
            found = health_report(session, configuration, bound, configured)
    except (SnowparkSQLException, ProcedureError) as error:
        found = {} if with_resources else unreadable(error)
        message = f"the destination cannot be read: {error_text(error)}"
        return ok(message, problem="DESTINATION_UNREADABLE", **answer, **found)
    return ok(answer["status"].lower(), **answer, **found)


def health_report(session, configuration, bound, configured):
    """The health of the connector, as the views show it, with what the tasks and the checklist say."""
    if configured is None:
        views.create_unconfigured(session)
    else:
        health.record_facts(session, configuration, configured)
    has_tasks = configuration is not None and configuration.has_tasks()
    schedules = schedules_in_use(configuration, configured) if has_tasks else []
    found = starting.Starting(session, schedules, current(session) == STARTED)
    health.block(session, found.cause)
    enabled = len(configured.enabled()) if configured else 0
    cause = found.cause or {}
    listed = setup_steps.steps(session, configuration, bound, enabled, cause.get("because") or cause.get("code"))
    setup_steps.record(session, listed)
    suspended = found.suspended() or {}
    return {
        **overview(session),
        "CAUSE_DETAIL": cause.get("cause"),
        "TASK_STATE": found.state(),
        "TASK_SUSPENDED_AT": starting.text_of(suspended.get("suspended_at")),
        "TASK_SUSPENDED_REASON": suspended.get("reason"),
        "FAILED_STARTS": found.failed_starts(),
        "TITLE": SPEC["title"],
        "VERSION": SPEC["version"],
        "SETUP": listed,
    }


def overview(session):
    """The view of the connector's health. Times are texts in UTC."""
    row = session.sql(f"SELECT * FROM {app_database.app_object(session, 'VIEWS', 'CONNECTOR_OVERVIEW')}").collect()[0].as_dict()
    return {name: float(value) if isinstance(value, Decimal) else plain(value) for name, value in row.items()}


def plain(value):
    """A value of a view in JSON."""
    return starting.text_of(value) if isinstance(value, datetime) else value


def unreadable(error):
    """The health of a connector whose destination cannot be read, and with it the views: a fixed answer, because nothing can be computed."""
    code, at = "DESTINATION_UNREADABLE", f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}Z"
    texts = {"CAUSE_CODE": code, "CAUSE": error_texts.title(code), "HELP": error_texts.next_step(code), "CAUSE_DETAIL": error_text(error)}
    known = {"HEALTH": "failing", "HEALTH_RANK": 1, **texts, "AS_OF": at, "TITLE": SPEC["title"], "VERSION": SPEC["version"]}
    missing = {name: None for name in (*overviews.COLUMNS["CONNECTOR_OVERVIEW"], *OF_TASKS)}
    return {**missing, **known, "SETUP": []}


# What the tasks say.
OF_TASKS = ("TASK_STATE", "TASK_SUSPENDED_AT", "TASK_SUSPENDED_REASON", "FAILED_STARTS")


def viewer_report(session, with_resources=True):
    """The status report for viewers: without settings, and without messages, which may mention settings."""
    full = report(session, with_resources)
    answer = {name: full[name] for name in OF_CONNECTOR}
    answer["problem"] = full.get("problem")
    answer["scheduler_problem"] = (full["scheduler_problem"] or {}).get("response_code")
    answer["runs"] = app_database.app_object(session, "VIEWS", "CONNECTOR_STATS")
    answer["resources"] = [seen_by_viewers(resource) for resource in full["resources"]]
    if not with_resources:
        answer |= {name: full[name] for name in (*overviews.COLUMNS["CONNECTOR_OVERVIEW"], *OF_TASKS, "TITLE", "VERSION")}
    return ok(answer["status"].lower(), **answer)


# The members of the status report that viewers see as they are.
OF_CONNECTOR = (
    "name",
    "title",
    "source",
    "resource_kind",
    "streams",
    "sole_stream",
    "source_wide_streams",
    "runs_have_streams",
    "version",
    "status",
    "configuration_status",
)


def seen_by_viewers(resource):
    """The status of a resource, for viewers."""
    job = resource["last_job"] or {}
    visible = {name: resource[name] for name in ("name", "configured", "enabled", "schedule", "container", "failures", "suspended")}
    return {
        **visible,
        "is_skipped": resource["problem"] is not None,
        **seen_progress(resource),
        "streams": [{**{name: one[name] for name in ("name", "selected")}, **seen_progress(one)} for one in resource["streams"]],
        "last_job": {name: job[name] for name in (*LAST_JOB, "failed", "failed_streams") if name != "message"} if job else None,
    }


def seen_progress(found):
    """The state and the last run of a resource or stream, for viewers."""
    state, run = found["state"], found["last_run"]
    return {
        "state": {name: state[name] for name in ("status", "since")} if state else None,
        "last_run": {**{name: run.get(name) for name in OF_RUN}, "error": run["error"] and kind_of(run["error"])} if run else None,
    }


# The members of a run that viewers see, in addition to the kind of its error.
OF_RUN = ("id", "stream", "mode", "status", "started_at", "ended_at", "counts")


def kind_of(error):
    """The kind of an error, without its message."""
    kind = error.get("kind")
    return {"kind": kind if isinstance(kind, str) and re.fullmatch("[a-z_]{1,40}", kind) else "unknown"}


def resource_reports(session, configured, jobs, progress):
    """The status of each configured resource and of those whose data was kept."""
    found = {task: {key: one[key] for key in ("state", "reason")} for task, one in tasks.states(session).items()}
    running = {name: job["state"] for job in jobs for name in job["resources"]}
    newest, failures = ingestion.newest_jobs(session), ingestion.failures_of(session)
    entries = []
    for name in sorted({*configured.rows, *progress.kept()}):
        resource, problem = configured.rows.get(name, {}), configured.problems.get(name)
        is_used = name in configured.rows and problem is None
        reads = configured.streams_of(name) if name in configured.rows else []
        by_stream = progress.of(name, reads)
        # What is no longer read has no say in the status of a configured resource.
        relevant = [stream for stream in by_stream if stream["selected"]] or by_stream
        entries.append(
            {
                "name": name,
                "configured": name in configured.rows,
                "enabled": resource.get("enabled") is True,
                "problem": problem,
                "schedule": resource.get("schedule") if isinstance(resource.get("schedule"), str) else None,
                "task": found.get(names.task(configured.schedule_for(name)), {}) if is_used else {},
                "state": history.worst(stream["state"] for stream in relevant),
                "last_run": max(filter(None, (stream["last_run"] for stream in relevant)), key=lambda run: run["id"], default=None),
                "streams": by_stream,
                "dropped_streams": streams.dropped(resource),
                "container": running.get(name),
                "last_job": last_job(newest.get(name), name, reads),
                "failures": failures.get(name, 0),
                "suspended": failures.get(name, 0) >= ingestion.MAX_FAILURES,
                "deletions_to_confirm": all_deletions_to_confirm(relevant),
                "tables": progress.tables_of(name, reads),
            }
        )
    return entries


class Progress:
    """What the engine has recorded of every resource and stream."""

    def __init__(self, session, database):
        self.tables = destination.tables(session, database)
        self.has_streams = history.has_streams(session, database)
        self.states = history.newest_states(session, database, self.tables, self.has_streams)
        self.runs = history.newest_runs(session, database, self.tables, self.has_streams)
        self.reconciles = history.newest_runs(session, database, self.tables, self.has_streams, "reconcile")

    def kept(self):
        """The resources with data. One whose data was deleted still has tables and a state, but no run: a finished run has a
        record."""
        found = {name for name in self.tables if name in self.runs.resources() or self.is_running(name)}
        return found - {streams.SOURCE} if streams.source_wide() else found

    def tables_of(self, resource, selected):
        """The tables of a resource's streams, and of the source-wide ones among the selected streams."""
        shared = [stream for stream in selected if streams.owner(resource, stream) != resource]
        source = [table for table in self.tables.get(streams.SOURCE, []) if table["stream"] in shared]
        return [*self.tables.get(resource, []), *source]

    def is_running(self, resource):
        """Whether a run of a resource has begun and not ended."""
        return any(state["status"] == "running" for state in self.states.of_resource(resource))

    def of(self, resource, selected):
        """The status of each stream that a resource reads or has read: the selected ones first."""
        tables = {table["stream"] for table in self.tables.get(resource, [])}
        # A state alone may be the one that a deletion left.
        others = {*self.runs.streams(resource), *(tables & set(self.states.streams(resource)))}
        if not selected and not others:
            # An older version recorded them by resource.
            others = tables
        return [
            {
                "name": stream,
                "selected": stream in selected,
                "state": self.states.newest(resource, stream),
                "last_run": self.runs.newest(resource, stream),
                "deletions_to_confirm": deletions_to_confirm(self.reconciles.newest(resource, stream)),
            }
            for stream in [*selected, *sorted(others - set(selected))]
        ]


def last_job(job, resource, reads):
    """What is reported of the newest container of a resource, which reads these streams; None if it has had none."""
    if job is None:
        return None
    failed = resource in job.get("failed", [])
    # An older version did not record which streams failed.
    by_stream = job.get("failed_streams", {resource: reads})
    return {
        **{key: job.get(key) for key in LAST_JOB},
        "failed": failed,
        "failed_streams": by_stream.get(resource, []) if failed else [],
    }


def deletions_to_confirm(run):
    """The deletions that the newest reconcile run of a stream left to confirm; None if there are none."""
    error = (run or {}).get("error") or {}
    rows, message = error.get("unconfirmed_deletions"), error.get("message")
    if not history.is_count(rows):
        return None
    return {"rows": rows, "run": run["id"], "message": message if isinstance(message, str) else ""}


def all_deletions_to_confirm(by_stream):
    """The deletions to confirm of all streams of a resource; None if there are none. One confirmation is for all of them."""
    asked = {stream["name"]: stream["deletions_to_confirm"] for stream in by_stream if stream["deletions_to_confirm"]}
    if not asked:
        return None
    return {
        "rows": sum(one["rows"] for one in asked.values()),
        "run": max(one["run"] for one in asked.values()),
        "message": "\n".join(one["message"] for one in asked.values()),
        "streams": list(asked),
    }


# The reported members of a resource's newest container.
LAST_JOB = ("name", "mode", "started_at", "ended_at", "status", "code", "message")
