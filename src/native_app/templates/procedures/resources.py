"""Resources: enabling, disabling, schedules, and what is run for one of them."""

import destination
import jobs
import names
import schedules
import settings
import status
import store
import tasks
from answers import Refusal, ok, sql_failures


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
        self.task = names.task(self.name)

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
    """Makes a resource's task, stores that it is enabled, and starts its first run. Repeated, it resumes a task that has stopped."""
    resource = Resource(session, given)
    before, first = resource.stored, not resource.is_enabled()
    paused = status.is_paused(session)
    with sql_failures("ENABLE_RESOURCE_ERROR", f"{resource.name} could not be enabled"):
        if resource.configuration.has_task_each():
            tasks.make(session, resource.name, (before or {}).get("schedule") or resource.configuration.schedule)
        resource.save(enabled=True)
        try:
            start(session, resource, first, paused)
        except Refusal:
            take_back(resource, before)
            raise
    message = "enabled; it will be ingested once the connector is resumed" if paused else "enabled"
    return ok(
        message, resource=resource.name, schedule=resource.stored.get("schedule") or resource.configuration.schedule
    )


def start(session, resource, first, paused):
    """Resumes what starts the resource's runs, and starts the first one."""
    configuration = resource.configuration
    if paused or not configuration.has_tasks():
        return
    task = resource.task if configuration.has_task_each() else names.SCHEDULER
    if not configuration.has_task_each():
        tasks.arrange(session, None, configuration.schedule, tasks.states(session).get(task), True)
    else:
        tasks.resume(session, task)
    if first:
        tasks.run_now(session, task)


def take_back(resource, before):
    """Leaves a resource as it was before it was to be enabled."""
    if before is None:
        resource.store.remove(resource.name)
    else:
        resource.store.put(resource.name, before)
    if not (before and before.get("enabled")):
        tasks.suspend(resource.session, resource.task)


def disable(session, given):
    """Stops a resource's schedule. Its data, its state and its schedule stay."""
    resource = Resource(session, given)
    resource.known()
    with sql_failures("DISABLE_RESOURCE_ERROR", f"{resource.name} could not be disabled"):
        resource.save(enabled=False)
        tasks.suspend(session, resource.task)
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
        if resource.is_enabled() and resource.configuration.has_task_each():
            tasks.make(session, resource.name, schedule or resource.configuration.schedule)
            if not status.is_paused(session):
                tasks.resume(session, resource.task)
    note = "; it counts once each resource has a task of its own" if resource.configuration.scheduler == "one" else ""
    return ok(f"stored{note}", resource=resource.name, schedule=schedule or resource.configuration.schedule)


def delete(session, given, drop_data):
    """Removes a resource's task and configuration, and its rows and state where that is asked for."""
    resource = Resource(session, given)
    with sql_failures("DELETE_RESOURCE_ERROR", f"{resource.name} could not be deleted"):
        tasks.drop(session, resource.task)
        resource.store.remove(resource.name)
        status.align(session, resource.configuration)
        if drop_data:
            destination.forget(session, resource.database, resource.name)
    return ok("deleted, with its data" if drop_data else "deleted; its data stays", resource=resource.name)


def ingest(session, given, reconcile=False):
    """Runs one ingestion, and answers with the record of it."""
    resource = Resource(session, given)
    resource.known()
    status.require_started(session)
    if not resource.is_enabled():
        raise Refusal("RESOURCE_NOT_ENABLED", f"{resource.name} is disabled: enable it first", resource=resource.name)
    require_container(resource.configuration)
    before = destination.newest_run(session, resource.database, resource.name)
    mode = ["--reconcile"] if reconcile else []
    job = jobs.run(session, resource.database, ["ingest", *mode, "--", resource.name])
    notes = destination.grant_anew(session, resource.database)
    runs = destination.runs_after(session, resource.database, before, resource.name)
    return outcome(job, runs, resource=resource.name, notes=notes)


def ingest_all(session):
    """Runs one ingestion of everything that is enabled, in one container."""
    configuration = settings.load(session)
    status.require_started(session)
    require_container(configuration)
    database = configuration.destination_database
    enabled = [name for name, resource in store.resources(session, database).all().items() if resource.get("enabled")]
    if not enabled:
        return ok("nothing is enabled", resources=[])
    before = destination.newest_run(session, database)
    job = jobs.run(session, database, ["ingest"])
    notes = destination.grant_anew(session, database)
    return outcome(job, destination.runs_after(session, database, before), resources=enabled, notes=notes)


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


def outcome(job, runs, **details):
    """The answer to an ingestion: by the records of its runs. A run that found nothing new leaves none."""
    details = {**details, "job": job.name, "runs": runs}
    worst = max(runs, key=lambda run: SEVERITY.get(run["status"], 0), default=None)
    if worst is None or SEVERITY.get(worst["status"]) == 0:
        if job.failure:
            raise failed(job, **details)
        return ok(summary(runs), **details)
    if worst["status"] == "running":
        raise (
            failed(job, **details)
            if job.failure
            else Refusal("JOB_FAILED", "the run has not ended, but its container has", **details)
        )
    error = worst.get("error") or {}
    code = "INGESTION_FAILED" if worst["status"] == "failed" else "INGESTION_PARTIAL"
    raise Refusal(code, f"{worst['resource']}: {words(error) or 'some records were left out'}", error=error, **details)


# How bad the end of a run is. One that is still said to be running has died without a word.
SEVERITY = {"complete": 0, "partial": 1, "running": 2, "failed": 3}


def summary(runs):
    """What the runs have done, in a sentence."""
    counts = {name: sum(run["counts"][name] for run in runs) for name in ("inserted", "updated", "deleted")}
    if not any(counts.values()):
        return "nothing new"
    return ", ".join(f"{number} {name}" for name, number in counts.items() if number)


def failed(ended, **details):
    """Why a job has failed: the program's own words, where it had any."""
    error = ended.document().get("error") or {}
    told = words(error) or ended.last_words()
    return Refusal("JOB_FAILED", told, error=error, **{"job": ended.name, **details})


def words(error):
    """What the program says of an error, and what to do about it."""
    return ". ".join(text for text in (error.get("message"), error.get("help")) if text)
