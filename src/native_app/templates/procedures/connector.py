"""The procedures of the app. Each function has the procedure's name in lower case."""

import logging

import app_database
import cost
import destination
import discovery
import ingestion
import jobs
import pool
import references
import resources
import settings
import setup_steps
import status
import store
import views
from responses import ProcedureError, attempt, error_text, ok, raises_on_failure, returns_response, wrap_sql_errors

log = logging.getLogger("connector")


@returns_response
def provision_connector(session, config):
    """Stores the configuration and creates the destination. Calling it again creates missing objects."""
    return apply(session, settings.parse_object(config))


@returns_response
def update_settings(session, config):
    """Changes a part of the configuration. A null removes a setting."""
    stored = settings.load(session)
    given = settings.parse_object(config)
    members = {name: {} if given.get(name) is None else given[name] for name in ("settings", "options")}
    members = {name: settings.parse_object(value, f"`{name}`") for name, value in members.items()}
    changed = {"settings": {**stored.settings, **members["settings"]}, "options": {**stored.options, **members["options"]}}
    kept = {"schedule": stored.schedule, "scheduler": stored.scheduler, "max_nodes": stored.max_nodes}
    kept["destination_database"] = '"' + stored.destination_database.replace('"', '""') + '"'
    return apply(session, {**kept, **given, **changed})


def apply(session, given):
    """Applies a configuration. It is stored after the objects that it needs exist; then the enabled resources are started, because an
    existing destination may have some before the first configuration."""
    bindings, budget = given.pop("references", None), given.pop("budget", None)
    if budget is not None:
        settings.check_budget(budget)
    configuration = settings.read(given, app_database.app_name(session))
    refuse_destination_change(session, configuration)
    if configuration.has_tasks():
        # Rejects an invalid pool name before anything is created.
        pool.name(session)
    for name, alias in settings.parse_object(bindings or {}, "`references`").items():
        references.register(session, name, "ADD", alias)
    database = configuration.destination_database
    with wrap_sql_errors("CONFIGURE_CONNECTOR_FAILED", "the connector could not be configured"):
        destination.create(session, database)
        notes = save_and_apply(session, configuration)
        # The engine keeps the budget in the destination, so that programs outside Snowflake keep it, too.
        if budget == "none":
            store.source_store(session, database).remove("budget")
        elif budget is not None:
            store.source_store(session, database).put("budget", budget)
    return ok(f"configured; data goes to the database {database}", configuration=vars(configuration), notes=notes)


def save_and_apply(session, configuration):
    """Stores a configuration and applies it: grants, views, pool and tasks. On failure it restores the previous one."""
    database = configuration.destination_database
    own, source = store.app_store(session), store.source_store(session, database)
    before = own.get("config"), source.get("config")
    try:
        source.put("config", configuration.settings)
        notes = destination.grant(session, database)
        views.create(session, database)
        if configuration.has_tasks():
            notes += pool.ensure(session, configuration.max_nodes)
        notes += status.sync_tasks(session, configuration)
        settings.save(session, configuration)
        if status.current(session) in (status.CONFIGURING, status.STARTING):
            status.start(session, configuration)
    except Exception:
        attempt(own.restore, "config", before[0])
        attempt(source.restore, "config", before[1])
        if before[0] is not None:
            attempt(lambda: status.sync_tasks(session, settings.load(session)))
        raise
    return notes


def refuse_destination_change(session, configuration):
    """Rejects another destination while a resource is enabled in the current one."""
    try:
        before = settings.load(session)
    except ProcedureError:
        return
    if before.destination_database == configuration.destination_database:
        return
    if destination.exists(session, before.destination_database, "RESOURCE_CONFIGURATION"):
        stored = store.resource_store(session, before.destination_database).all()
        enabled = [name for name, resource in stored.items() if resource.get("enabled") is True]
        if enabled:
            names = ", ".join(enabled)
            message = f"the destination is {before.destination_database}: disable {names} before choosing another database"
            raise ProcedureError("DESTINATION_IN_USE", message)


@returns_response
def enable_resource(session, name, streams=None):
    """Ingests a resource on its schedule; `streams` selects which of the source's streams."""
    return resources.enable(session, name, streams)


@returns_response
def disable_resource(session, name):
    """Stops a resource's schedule."""
    return resources.disable(session, name)


@returns_response
def update_resource(session, name, schedule):
    """Changes a resource's schedule."""
    return resources.update(session, name, schedule)


@returns_response
def delete_resource(session, name, drop_data=False):
    """Removes a resource, and its data with `drop_data`."""
    return resources.delete(session, name, drop_data)


@returns_response
def ingest_data(session, name, streams=None):
    """Starts a run that reads new and changed records of a resource, or only of these `streams`."""
    return resources.ingest(session, name, streams)


@returns_response
def reconcile_resource(session, name, allow_deletions=False, streams=None):
    """Starts a reconcile run, which reads all of a resource, or of these `streams`, and marks missing rows as deleted;
    `allow_deletions` lifts the limit."""
    return resources.ingest(session, name, streams, "reconcile", allow_deletions)


@returns_response
def run_all(session):
    """Starts a run of every enabled resource."""
    return resources.ingest_all(session)


@raises_on_failure
def run_schedule(session, schedule):
    """The body of a task: records finished containers and starts the resources that are due."""
    return resources.run_schedule(session, schedule)


@returns_response
def reset_resource(session, name, streams=None):
    """Makes the next run of a resource read it, or only these `streams`, from the start."""
    return resources.reset(session, name, streams)


@returns_response
def pause_connector(session):
    """Suspends all schedules."""
    return status.pause(session)


@returns_response
def resume_connector(session):
    """Resumes the schedules of all enabled resources."""
    return status.resume(session)


@returns_response
def get_connector_status(session, resources=True):
    """The status of the connector and, with `resources`, of each of them."""
    return status.report(session, resources)


@returns_response
def get_job_log(session, job, lines=jobs.LOG_LINES):
    """The end of the log of a container: of one that runs, or of one that has failed."""
    return jobs.read_log(session, job, lines)


@returns_response
def discover(session, prefix=None, most=500, again=False):
    """The resources that the source offers, from the last list or, with `again`, from a new one."""
    return discovery.discover(session, prefix, most, again)


@returns_response
def create_cost_view(session):
    """Creates a view of what the connector costs."""
    return cost.create_view(session, settings.load(session).destination_database)


@returns_response
def get_viewer_status(session, resources=True):
    """The status for viewers. Even an error does not reveal settings."""
    try:
        return status.viewer_report(session, resources)
    except Exception as error:
        log.exception("get_viewer_status failed")
        code = getattr(error, "code", None) or "UNKNOWN_SQL_ERROR"
        raise ProcedureError(code, "the status cannot be read; an administrator of the app can see why") from None


@returns_response
def test_connection(session):
    """Checks the references, which costs nothing, and then connects to the source from a container."""
    configuration = settings.load(session)
    resources.require_container(configuration)
    connection = store.app_store(session)
    connection.remove("connection")
    job = jobs.run(session, configuration.destination_database, ["check"])
    document = job.document()
    error = document.get("error") or {}
    if error or job.failure:
        message = ingestion.error_message(error) or job.failure_summary()
        raise ProcedureError("TEST_CONNECTION_FAILED", message, error=error, job=job.name, checks=document.get("checks", []))
    digest = setup_steps.digest(configuration, references.objects(session))
    connection.put("connection", {"job": job.name, "digest": digest})
    return ok("the source can be reached", job=job.name, checks=document.get("checks", []))


@raises_on_failure
def register_reference(session, ref_name, operation, ref_or_alias):
    """Snowflake's callback: the consumer has bound or unbound a reference. The dialog ignores responses, so failures are raised."""
    return references.register(session, ref_name, operation, ref_or_alias)


def get_reference_config(session, ref_name):
    """Snowflake's callback: the configuration with which its dialog creates the object of a reference, as JSON text."""
    return references.dialog_configuration(session, ref_name)


@raises_on_failure
def grant_callback(session, privileges):
    """Snowflake's callback: the consumer has granted these privileges."""
    if "CREATE COMPUTE POOL" in [str(privilege).upper() for privilege in privileges or []]:
        return ok("the compute pool is ready", notes=pool.ensure(session, max_nodes(session)))
    return ok("nothing to create")


def max_nodes(session):
    """The configured maximum number of machines."""
    try:
        return settings.load(session).max_nodes
    except ProcedureError:
        return 1


@returns_response
def apply_version(session):
    """Updates the objects of an earlier version: pool, views, grants and tasks. The setup script calls it, and Snowflake after an
    upgrade or a rollback. Failures become notes, so that they do not abort an installation."""
    try:
        configuration = settings.load(session)
    except ProcedureError:
        configuration = None
    steps, notes = [lambda: store.widen(session)], []
    if settings.needs_compute_pool(configuration):
        steps.append(lambda: pool.ensure(session, max_nodes(session)))
    if configuration is not None:
        database = configuration.destination_database
        steps += [
            lambda: destination.grant(session, database),
            lambda: views.create(session, database),
            lambda: status.sync_tasks(session, configuration),
        ]
    for step in steps:
        try:
            notes += step() or []
        except Exception as error:
            log.warning("the version is not completely applied: %s", error)
            notes.append(error_text(error))
    return ok("the version is applied", notes=notes)
