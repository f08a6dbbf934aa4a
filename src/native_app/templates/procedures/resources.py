"""Resources: enabling, disabling, schedules, and what is run for one of them."""

from snowflake.snowpark.exceptions import SnowparkSQLException

import destination
import ingestion
import jobs
import resource_names
import schedules
import settings
import status
import store
from answers import Refusal, attempt, ok, sentence, sql_failures
from configured import Configured


class Resource:
    """A resource, where it is configured."""

    def __init__(self, session, given):
        self.session = session
        self.configuration = settings.load(session)
        self.database = self.configuration.destination_database
        self.store = store.resources(session, self.database)
        with sql_failures("DESTINATION_UNREADABLE", f"the database {self.database} cannot be read"):
            self.name = self.find(given)
            self.stored = self.store.get(self.name)

    def find(self, given):
        """The name under which a resource is known here, or else the canonical form of the name that was given. Raises
        INVALID_IDENTIFIER."""
        if isinstance(given, str) and self.store.get(given) is not None:
            return given
        own = self.configuration.settings
        canonical = resource_names.canonical(given, own)
        if canonical != given and destination.has_state(self.session, self.database, given):
            return given
        if self.store.get(canonical) is not None:
            return canonical
        return next((name for name in self.store.all() if resource_names.is_form_of(name, canonical, own)), canonical)

    def known(self):
        """What is stored of it. Raises RESOURCE_NOT_FOUND."""
        if self.stored is None:
            raise Refusal("RESOURCE_NOT_FOUND", f"{self.name} is not configured: enable it first", resource=self.name)
        return self.stored

    def is_enabled(self):
        """Whether it is ingested on schedule."""
        return bool(self.stored and self.stored.get("enabled"))

    def usable(self):
        """Raises INVALID_IDENTIFIER where the source can have no resource of this name, as a row of another version may say."""
        resource_names.canonical(self.name, self.configuration.settings)
        return self

    def changed(self, step):
        """Sees to the tasks after a change, and does `step`. Where that fails, the resource is as it was before."""
        try:
            status.align(self.session, self.configuration)
            step()
        except Exception:
            attempt(self.store.restore, self.name, self.before)
            attempt(status.align, self.session, self.configuration)
            raise

    def save(self, **changes):
        """Stores changes to it. Without a schedule of its own it has the default one."""
        self.before = self.stored
        stored = {**(self.stored or {}), **changes}
        if not isinstance(stored.get("enabled"), bool):
            stored["enabled"] = False
        if stored.get("schedule") is None:
            stored.pop("schedule", None)
        self.store.put(self.name, stored)
        self.stored = stored

    def remove(self):
        """Removes it from what is configured."""
        self.before = self.stored
        self.store.remove(self.name)


def enable(session, given):
    """Stores that a resource is enabled, sees to the task of its schedule, and starts its first run. Repeated, it makes the schedule
    take up again a resource that has failed too often."""
    resource = Resource(session, given).usable()
    configuration, first = resource.configuration, not resource.is_enabled()
    schedules.key((resource.stored or {}).get("schedule") or configuration.schedule)
    with sql_failures("ENABLE_RESOURCE_ERROR", f"{resource.name} could not be enabled"):
        resource.save(enabled=True)
        resource.changed(lambda: ingestion.forgive(session, resource.name))
    notes = []
    paused = status.is_paused(session)
    if first and not paused and configuration.has_tasks():
        notes = start(session, resource)
    message = "enabled; it will be ingested once the connector is resumed" if paused else "enabled"
    schedule = resource.stored.get("schedule") or configuration.schedule
    return ok(message, resource=resource.name, schedule=schedule, notes=notes)


def start(session, resource):
    """Starts the first run of a resource, and gives back why it did not start: its schedule tries again."""
    try:
        ingestion.launch_one(session, resource.configuration, resource.name)
    except Exception as error:
        return [f"the first run was not started, and the schedule tries again: {sentence(error)}"]
    return []


def disable(session, given):
    """Takes a resource off its schedule. Its data, its state and its schedule stay, and a run that is under way ends by itself."""
    resource = Resource(session, given)
    resource.known()
    with sql_failures("DISABLE_RESOURCE_ERROR", f"{resource.name} could not be disabled"):
        resource.save(enabled=False)
        resource.changed(lambda: None)
    return ok("disabled; its data stays", resource=resource.name)


def update(session, given, schedule):
    """Gives a resource another schedule; None is the default one."""
    resource = Resource(session, given)
    resource.known()
    if schedule is not None:
        schedules.of_task(schedule)
    with sql_failures("UPDATE_RESOURCE_ERROR", f"{resource.name} could not be changed"):
        resource.save(schedule=schedule)
        resource.changed(lambda: None)
    return ok("stored", resource=resource.name, schedule=schedule or resource.configuration.schedule)


def delete(session, given, drop_data):
    """Removes a resource's configuration, and its rows and state where that is asked for."""
    resource = Resource(session, given)
    with sql_failures("DELETE_RESOURCE_ERROR", f"{resource.name} could not be deleted"):
        resource.remove()
        resource.changed(lambda: forget(resource, drop_data))
    return ok("deleted, with its data" if drop_data else "deleted; its data stays", resource=resource.name)


def forget(resource, drop_data):
    """Forgets what is remembered of a resource that is no longer configured, and its rows where that is asked for."""
    ingestion.forgive(resource.session, resource.name)
    if drop_data:
        destination.forget(resource.session, resource.database, resource.name)


def ingest(session, given, mode="incremental", allow_deletions=False):
    """Starts a run of a resource in a container of its own."""
    resource = Resource(session, given)
    resource.known()
    status.require_started(session)
    if not resource.is_enabled():
        raise Refusal("RESOURCE_NOT_ENABLED", f"{resource.name} is disabled: enable it first", resource=resource.name)
    require_container(resource.usable().configuration)
    job = ingestion.launch_one(session, resource.configuration, resource.name, mode, allow_deletions)
    return ok("started in a container, which takes some minutes to come up", resource=resource.name, job=job)


def ingest_all(session):
    """Starts a run of everything that is enabled and is not being ingested."""
    configuration = settings.load(session)
    status.require_started(session)
    require_container(configuration)
    busy = {name for job in ingestion.settle(session, configuration) for name in job["resources"]}
    resources = Configured(session, configuration)
    enabled = resources.enabled()
    due = [name for name in enabled if name not in busy]
    started = ingestion.launch_all(session, configuration, due, resources)
    message = f"{len(started)} started" if started else "nothing is enabled" if not enabled else "everything is being ingested"
    return ok(message, resources=due, jobs=started, skipped=resources.skipped(), notes=resources.notes())


def run_schedule(session, schedule):
    """What a task does. Why it cannot is kept for the page, and told to whoever looks at the task's history."""
    configuration = settings.load(session)
    problems = store.of_app(session)
    if status.current(session) != status.STARTED or not configuration.has_tasks():
        return ok("the connector is not started", jobs=[], resources=[])
    try:
        answer = ingestion.run_schedule(session, configuration, schedule)
    except Exception as error:
        code = getattr(error, "code", None) or ("UNKNOWN_SQL_ERROR" if isinstance(error, SnowparkSQLException) else "INTERNAL_ERROR")
        told = {"response_code": code, "message": sentence(error), "at": ingestion.now().isoformat()}
        problems.put("scheduler_problem", told)
        raise
    problems.remove("scheduler_problem")
    return answer


def reset(session, given):
    """Forgets where a resource stands, so that its next run reads it from the start. Its rows stay."""
    resource = Resource(session, given)
    require_container(resource.configuration)
    job = jobs.run(session, resource.database, ["reset", "--yes", "--", resource.name])
    if job.failure:
        raise failed(job, resource=resource.name)
    return ok("reset; the next run reads everything", resource=resource.name)


def require_container(configuration):
    """Raises INVALID_CONNECTOR_STATUS where ingestion runs outside of Snowflake."""
    if not configuration.has_tasks():
        raise Refusal(
            "INVALID_CONNECTOR_STATUS", "ingestion runs outside of Snowflake; change `scheduler` to run it here"
        )


def failed(ended, **details):
    """Why a job has failed: the program's own words, where it had any."""
    error = ended.document().get("error") or {}
    told = ingestion.words(error) or ended.last_words()
    return Refusal("JOB_FAILED", told, error=error, **{"job": ended.name, **details})
