"""Enables, disables, schedules, runs and deletes resources."""

from snowflake.snowpark.exceptions import SnowparkSQLException

import destination
import health
import history
import ingestion
import jobs
import resource_names
import schedules
import settings
import status
import store
import streams
from configured_resources import ConfiguredResources
from responses import ProcedureError, attempt, error_text, ok, wrap_sql_errors


class Resource:
    """A resource and its row in the configuration."""

    def __init__(self, session, given):
        self.session = session
        self.configuration = settings.load(session)
        self.database = self.configuration.destination_database
        self.store = store.resource_store(session, self.database)
        with wrap_sql_errors("DESTINATION_UNREADABLE", f"the database {self.database} cannot be read"):
            self.name = self.find(given)
            self.stored = self.store.get(self.name)

    def find(self, given):
        """The name under which a resource is stored, or else the canonical form of the given name. Raises INVALID_IDENTIFIER."""
        if isinstance(given, str) and self.store.get(given) is not None:
            return given
        own = self.configuration.settings
        canonical = resource_names.canonical(given, own)
        if canonical != given and history.has_state(self.session, self.database, given):
            return given
        if self.store.get(canonical) is not None:
            return canonical
        return next((name for name in self.store.all() if resource_names.is_form_of(name, canonical, own)), canonical)

    def require_configured(self):
        """Its stored row. Raises RESOURCE_NOT_FOUND."""
        if self.stored is None:
            raise ProcedureError("RESOURCE_NOT_FOUND", f"{self.name} is not configured: enable it first", resource=self.name)
        return self.stored

    def is_enabled(self):
        """Whether it is ingested on schedule."""
        return bool(self.stored and self.stored.get("enabled"))

    def require_valid_name(self):
        """Raises INVALID_IDENTIFIER if its name is not valid, which is possible for a row of another version."""
        resource_names.canonical(self.name, self.configuration.settings)
        return self

    def apply_change(self, step):
        """Synchronizes the tasks after a change and runs `step`. On failure it restores the resource."""
        try:
            status.sync_tasks(self.session, self.configuration)
            step()
        except Exception:
            attempt(self.store.restore, self.name, self.before)
            attempt(status.sync_tasks, self.session, self.configuration)
            raise

    def save(self, **changes):
        """Stores changes. Without its own schedule a resource has the default one, and without selected streams the default ones."""
        self.before = self.stored
        stored = {**(self.stored or {}), **changes}
        if not isinstance(stored.get("enabled"), bool):
            stored["enabled"] = False
        for name in ("schedule", "streams"):
            if stored.get(name) is None:
                stored.pop(name, None)
        self.store.put(self.name, stored)
        self.stored = stored

    def remove(self):
        """Removes it from the configuration."""
        self.before = self.stored
        self.store.remove(self.name)


def enable(session, given, selection):
    """Enables a resource, creates the task of its schedule, and starts its first run. `selection` are the streams that it reads from
    now on; None leaves them as they are. If the resource has failed too often, enabling it again puts it back on its schedule."""
    resource = Resource(session, given).require_valid_name()
    configuration, first = resource.configuration, not resource.is_enabled()
    schedules.normalized((resource.stored or {}).get("schedule") or configuration.schedule)
    changes = {"enabled": True}
    if selection is not None:
        changes["streams"] = streams.parse(selection)
    elif streams.violation(resource.stored or {}):
        changes["streams"] = None
    with wrap_sql_errors("ENABLE_RESOURCE_ERROR", f"{resource.name} could not be enabled"):
        resource.save(**changes)
        resource.apply_change(lambda: begin_again(session, resource.name))
    notes = []
    paused = status.is_paused(session)
    if first and not paused and configuration.has_tasks():
        notes = start_first_run(session, resource)
    message = "enabled; its first run starts after the connector is resumed" if paused else "enabled"
    schedule = resource.stored.get("schedule") or configuration.schedule
    selected = streams.selected(resource.stored)
    return ok(message, resource=resource.name, schedule=schedule, streams=selected, notes=notes)


def begin_again(session, name):
    """Forgets the failures and the pause of a resource."""
    ingestion.reset_failures(session, name)
    health.record_paused(session, name, None, None)


def start_first_run(session, resource):
    """Starts the first run of a resource. If that fails, returns a note; the schedule tries again."""
    try:
        ingestion.launch_one(session, resource.configuration, resource.name)
    except Exception as error:
        return [f"the first run could not be started; the schedule will retry: {error_text(error)}"]
    return []


def disable(session, given):
    """Takes a resource off its schedule. Its data, its state and its schedule stay, and an active run finishes."""
    resource = Resource(session, given)
    resource.require_configured()
    with wrap_sql_errors("DISABLE_RESOURCE_ERROR", f"{resource.name} could not be disabled"):
        resource.save(enabled=False)
        resource.apply_change(lambda: health.record_paused(session, resource.name, health.user(session), health.now()))
    return ok("disabled; its data stays", resource=resource.name)


def update(session, given, schedule):
    """Changes a resource's schedule; None is the default one."""
    resource = Resource(session, given)
    resource.require_configured()
    if schedule is not None:
        schedules.to_task_schedule(schedule)
    with wrap_sql_errors("UPDATE_RESOURCE_ERROR", f"{resource.name} could not be changed"):
        resource.save(schedule=schedule)
        resource.apply_change(lambda: None)
    return ok("stored", resource=resource.name, schedule=schedule or resource.configuration.schedule)


def delete(session, given, drop_data):
    """Removes a resource's configuration and, with `drop_data`, its rows and state."""
    resource = Resource(session, given)
    with wrap_sql_errors("DELETE_RESOURCE_ERROR", f"{resource.name} could not be deleted"):
        resource.remove()
        health.record_paused(session, resource.name, None, None)
        resource.apply_change(lambda: delete_data(resource, drop_data))
    return ok("deleted, with its data" if drop_data else "deleted; its data stays", resource=resource.name)


def delete_data(resource, drop_data):
    """Resets the failure count of a deleted resource and, with `drop_data`, deletes its rows and state."""
    ingestion.reset_failures(resource.session, resource.name)
    if drop_data:
        being_read = ingestion.being_read(resource.session, resource.name, streams.selected(resource.before or {}))
        destination.delete_data(resource.session, resource.database, resource.name, being_read)


def ingest(session, given, only=None, mode="incremental", allow_deletions=False):
    """Starts a run of a resource in its own container. It reads the selected streams, or with `only` these and those that they
    require."""
    resource = Resource(session, given)
    read = None if only is None else streams.with_required(streams.parse_names(only))
    resource.require_configured()
    status.require_started(session)
    if not resource.is_enabled():
        raise ProcedureError("RESOURCE_NOT_ENABLED", f"{resource.name} is disabled: enable it first", resource=resource.name)
    require_container(resource.require_valid_name().configuration)
    job = ingestion.launch_one(session, resource.configuration, resource.name, mode, allow_deletions, read)
    read = read or streams.selected(resource.stored)
    return ok("started in a container, which takes a few minutes to start", resource=resource.name, streams=read, job=job)


def ingest_all(session):
    """Starts a run of every enabled resource that is not being ingested."""
    configuration = settings.load(session)
    status.require_started(session)
    require_container(configuration)
    busy = {name for job in ingestion.record_ended_jobs(session, configuration) for name in job["resources"]}
    resources = ConfiguredResources(session, configuration)
    enabled = resources.enabled()
    due = [name for name in enabled if name not in busy]
    started = ingestion.launch_all(session, configuration, due, resources)
    idle = "every resource is already being ingested" if enabled else "no resource is enabled"
    message = f"{len(started)} started" if started else idle
    return ok(message, resources=due, jobs=started, skipped=resources.skipped(), notes=resources.notes())


def run_schedule(session, schedule):
    """The body of a task. An error is stored for the page and raised for the task history."""
    configuration = settings.load(session)
    problems = store.app_store(session)
    if status.current(session) != status.STARTED or not configuration.has_tasks():
        return ok("the connector is not started", jobs=[], resources=[])
    try:
        answer = ingestion.run_schedule(session, configuration, schedule)
    except Exception as error:
        code = getattr(error, "code", None) or ("UNKNOWN_SQL_ERROR" if isinstance(error, SnowparkSQLException) else "INTERNAL_ERROR")
        problem = {"response_code": code, "message": error_text(error), "at": ingestion.now().isoformat()}
        problems.put("scheduler_problem", problem)
        raise
    problems.remove("scheduler_problem")
    return answer


def reset(session, given, only=None):
    """Resets the states of a resource's streams, with `only` those of these, so that the next run reads them from the start. Its rows
    stay."""
    resource = Resource(session, given)
    named = None if only is None else streams.parse_names(only)
    require_container(resource.configuration)
    job = jobs.run(session, resource.database, ["reset", "--yes", *streams.option(named), "--", resource.name])
    if job.failure:
        raise job_error(job, resource=resource.name)
    read = "everything" if named is None else f"{', '.join(named)} from the start"
    return ok(f"reset; the next run reads {read}", resource=resource.name, streams=named)


def require_container(configuration):
    """Raises INVALID_CONNECTOR_STATUS if ingestion runs outside Snowflake."""
    if not configuration.has_tasks():
        raise ProcedureError(
            "INVALID_CONNECTOR_STATUS", "ingestion runs outside Snowflake; change `scheduler` to run it here"
        )


def job_error(ended, **details):
    """The error of a failed job, with the program's own message if there is one."""
    error = ended.document().get("error") or {}
    message = ingestion.error_message(error) or ended.failure_summary()
    return ProcedureError("JOB_FAILED", message, error=error, **{"job": ended.name, **details})
