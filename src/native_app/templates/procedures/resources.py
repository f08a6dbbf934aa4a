"""Resources: enabling, disabling, schedules, and what is run for one of them."""

from snowflake.snowpark.exceptions import SnowparkSQLException

import destination
import ingestion
import jobs
import schedules
import settings
import status
import store
from answers import Refusal, ok, sentence, sql_failures


def name_of(given):
    """A resource's name. Raises INVALID_IDENTIFIER."""
    if not isinstance(given, str) or not given or given.strip() != given:
        raise Refusal("INVALID_IDENTIFIER", "the resource needs a name without leading or trailing white space")
    if len(given) > 1000 or not given.isprintable() or "\\" in given:
        raise Refusal(
            "INVALID_IDENTIFIER", "the resource's name is too long, or holds a control character or a backslash"
        )
    return given


class Resource:
    """A resource, where it is configured."""

    def __init__(self, session, given):
        self.session = session
        self.name = name_of(given)
        self.configuration = settings.load(session)
        self.database = self.configuration.destination_database
        self.store = store.resources(session, self.database)
        with sql_failures("DESTINATION_UNREADABLE", f"the database {self.database} cannot be read"):
            self.stored = self.store.get(self.name)

    def known(self):
        """What is stored of it. Raises RESOURCE_NOT_FOUND."""
        if self.stored is None:
            raise Refusal("RESOURCE_NOT_FOUND", f"{self.name} is not configured: enable it first", resource=self.name)
        return self.stored

    def is_enabled(self):
        """Whether it is ingested on schedule."""
        return bool(self.stored and self.stored.get("enabled"))

    def save(self, **changes):
        """Stores changes to it. Without a schedule of its own it has the default one."""
        stored = {"enabled": False, **(self.stored or {}), **changes}
        if stored.get("schedule") is None:
            stored.pop("schedule", None)
        self.store.put(self.name, stored)
        self.stored = stored


def enable(session, given):
    """Stores that a resource is enabled, sees to the task of its schedule, and starts its first run. Repeated, it makes the schedule
    take up again a resource that has failed too often."""
    resource = Resource(session, given)
    configuration, before, first = resource.configuration, resource.stored, not resource.is_enabled()
    with sql_failures("ENABLE_RESOURCE_ERROR", f"{resource.name} could not be enabled"):
        resource.save(enabled=True)
        try:
            status.align(session, configuration)
            ingestion.forgive(session, resource.name)
        except (SnowparkSQLException, Refusal):
            take_back(resource, before)
            raise
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
    except (SnowparkSQLException, Refusal) as error:
        return [f"the first run was not started, and the schedule tries again: {sentence(error)}"]
    return []


def take_back(resource, before):
    """Leaves a resource as it was before it was to be enabled."""
    if before is None:
        resource.store.remove(resource.name)
    else:
        resource.store.put(resource.name, before)


def disable(session, given):
    """Takes a resource off its schedule. Its data, its state and its schedule stay, and a run that is under way ends by itself."""
    resource = Resource(session, given)
    resource.known()
    with sql_failures("DISABLE_RESOURCE_ERROR", f"{resource.name} could not be disabled"):
        resource.save(enabled=False)
        status.align(session, resource.configuration)
    return ok("disabled; its data stays", resource=resource.name)


def update(session, given, schedule):
    """Gives a resource another schedule; None is the default one."""
    resource = Resource(session, given)
    resource.known()
    if schedule is not None:
        schedules.of_task(schedule)
    with sql_failures("UPDATE_RESOURCE_ERROR", f"{resource.name} could not be changed"):
        resource.save(schedule=schedule)
        status.align(session, resource.configuration)
    return ok("stored", resource=resource.name, schedule=schedule or resource.configuration.schedule)


def delete(session, given, drop_data):
    """Removes a resource's configuration, and its rows and state where that is asked for."""
    resource = Resource(session, given)
    with sql_failures("DELETE_RESOURCE_ERROR", f"{resource.name} could not be deleted"):
        resource.store.remove(resource.name)
        status.align(session, resource.configuration)
        ingestion.forgive(session, resource.name)
        if drop_data:
            destination.forget(session, resource.database, resource.name)
    return ok("deleted, with its data" if drop_data else "deleted; its data stays", resource=resource.name)


def ingest(session, given, mode="incremental", allow_deletions=False):
    """Starts a run of a resource in a container of its own."""
    resource = Resource(session, given)
    resource.known()
    status.require_started(session)
    if not resource.is_enabled():
        raise Refusal("RESOURCE_NOT_ENABLED", f"{resource.name} is disabled: enable it first", resource=resource.name)
    require_container(resource.configuration)
    job = ingestion.launch_one(session, resource.configuration, resource.name, mode, allow_deletions)
    return ok("started in a container, which takes some minutes to come up", resource=resource.name, job=job)


def ingest_all(session):
    """Starts a run of everything that is enabled and is not being ingested."""
    configuration = settings.load(session)
    status.require_started(session)
    require_container(configuration)
    busy = {name for job in ingestion.settle(session, configuration) for name in job["resources"]}
    stored = store.resources(session, configuration.destination_database).all()
    enabled = [name for name, resource in stored.items() if resource.get("enabled")]
    due = [name for name in enabled if name not in busy]
    started = ingestion.launch_all(session, configuration, due, enabled)
    message = f"{len(started)} started" if started else "nothing is enabled" if not enabled else "everything is being ingested"
    return ok(message, resources=due, jobs=started)


def run_schedule(session, schedule):
    """What a task does. Why it cannot is kept for the page, and told to whoever looks at the task's history."""
    configuration = settings.load(session)
    problems = store.of_app(session)
    if status.current(session) != status.STARTED or not configuration.has_tasks():
        return ok("the connector is not started", jobs=[], resources=[])
    try:
        answer = ingestion.run_schedule(session, configuration, schedule)
    except (SnowparkSQLException, Refusal) as error:
        code = getattr(error, "code", "UNKNOWN_SQL_ERROR")
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
