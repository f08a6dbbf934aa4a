"""The procedures of the app: one function for each, named as the procedure in lower case."""

import logging

import destination
import ingestion
import jobs
import place
import pool
import references
import resources
import settings
import status
import store
from answers import Refusal, attempt, enveloped, ok, raising, sentence, sql_failures

log = logging.getLogger("connector")


@enveloped
def provision_connector(session, config):
    """Stores the configuration and makes the destination. Repeated, it repairs what is missing."""
    return apply(session, settings.document(config))


@enveloped
def update_settings(session, config):
    """Changes a part of the configuration; a setting that is null is removed."""
    stored = settings.load(session)
    given = settings.document(config)
    changed = {**stored.settings, **settings.document(given.get("settings") or {}, "`settings`")}
    kept = {"schedule": stored.schedule, "scheduler": stored.scheduler, "max_nodes": stored.max_nodes}
    kept["destination_database"] = '"' + stored.destination_database.replace('"', '""') + '"'
    return apply(session, {**kept, **given, "settings": changed})


def apply(session, given):
    """Makes a configuration the one in force. It is stored once what it needs exists, and what is enabled is started after that:
    a kept destination may hold enabled resources before the first configuring."""
    bindings = given.pop("references", None)
    configuration = settings.read(given, place.application(session))
    refuse_move(session, configuration)
    if configuration.has_tasks():
        # Refuses a name that no pool can have before anything is made.
        pool.name(session)
    for name, alias in settings.document(bindings or {}, "`references`").items():
        references.register(session, name, "ADD", alias)
    database = configuration.destination_database
    with sql_failures("CONFIGURE_CONNECTOR_FAILED", "the connector could not be configured"):
        destination.make(session, database)
        notes = enforce(session, configuration)
    return ok(f"configured; data goes to the database {database}", configuration=vars(configuration), notes=notes)


def enforce(session, configuration):
    """Stores a configuration, and does what follows from it. Where that fails, the one before is in force."""
    database = configuration.destination_database
    own, source = store.of_app(session), store.of_source(session, database)
    before = own.get("config"), source.get("config")
    try:
        source.put("config", configuration.settings)
        notes = destination.grant(session, database)
        destination.make_views(session, database)
        if configuration.has_tasks():
            notes += pool.make(session, configuration.max_nodes)
        notes += status.align(session, configuration)
        settings.save(session, configuration)
        if status.current(session) in (status.CONFIGURING, status.STARTING):
            status.start(session, configuration)
    except Exception:
        attempt(own.restore, "config", before[0])
        attempt(source.restore, "config", before[1])
        if before[0] is not None:
            attempt(lambda: status.align(session, settings.load(session)))
        raise
    return notes


def refuse_move(session, configuration):
    """Refuses another destination while something is enabled in the one in force."""
    try:
        before = settings.load(session)
    except Refusal:
        return
    if before.destination_database == configuration.destination_database:
        return
    if destination.exists(session, before.destination_database, "RESOURCE_CONFIGURATION"):
        stored = store.resources(session, before.destination_database).all()
        enabled = [name for name, resource in stored.items() if resource.get("enabled") is True]
        if enabled:
            message = f"data goes to {before.destination_database}: disable {', '.join(enabled)} before choosing another database"
            raise Refusal("DESTINATION_IN_USE", message)


@enveloped
def enable_resource(session, name):
    """Ingests a resource on its schedule from now on."""
    return resources.enable(session, name)


@enveloped
def disable_resource(session, name):
    """Stops a resource's schedule."""
    return resources.disable(session, name)


@enveloped
def update_resource(session, name, schedule):
    """Changes a resource's schedule."""
    return resources.update(session, name, schedule)


@enveloped
def delete_resource(session, name, drop_data=False):
    """Removes a resource, with its data where that is asked for."""
    return resources.delete(session, name, drop_data)


@enveloped
def ingest_data(session, name):
    """Starts a run that reads what is new in a resource."""
    return resources.ingest(session, name)


@enveloped
def reconcile_resource(session, name, allow_deletions=False):
    """Starts a run that reads everything in a resource, and marks deleted what is gone, even most of it where that is confirmed."""
    return resources.ingest(session, name, "reconcile", allow_deletions)


@enveloped
def run_all(session):
    """Starts a run of everything that is enabled."""
    return resources.ingest_all(session)


@raising
def run_schedule(session, schedule):
    """What a task does: looks at how containers have ended, and starts what is due."""
    return resources.run_schedule(session, schedule)


@enveloped
def reset_resource(session, name):
    """Makes the next run of a resource read it from the start."""
    return resources.reset(session, name)


@enveloped
def pause_connector(session):
    """Stops all schedules."""
    return status.pause(session)


@enveloped
def resume_connector(session):
    """Starts the schedules of all that is enabled."""
    return status.resume(session)


@enveloped
def get_connector_status(session):
    """How the connector and its resources stand."""
    return status.report(session)


@enveloped
def get_viewer_status(session):
    """The same for those who only look. Not even an error tells them about settings."""
    try:
        return status.report_to_viewers(session)
    except Exception as error:
        log.exception("get_viewer_status failed")
        code = getattr(error, "code", None) or "UNKNOWN_SQL_ERROR"
        raise Refusal(code, "the status cannot be read; an administrator of the app sees why") from None


@enveloped
def test_connection(session):
    """Looks at the references first, which costs nothing, and then asks the source itself, in a container."""
    configuration = settings.load(session)
    resources.require_container(configuration)
    connection = store.of_app(session)
    connection.remove("connection")
    job = jobs.run(session, configuration.destination_database, ["check"])
    document = job.document()
    error = document.get("error") or {}
    if error or job.failure:
        told = ingestion.words(error) or job.last_words()
        raise Refusal("TEST_CONNECTION_FAILED", told, error=error, job=job.name, checks=document.get("checks", []))
    connection.put("connection", {"job": job.name})
    return ok("the source answers", job=job.name, checks=document.get("checks", []))


@raising
def register_reference(session, ref_name, operation, ref_or_alias):
    """Snowflake's callback: the consumer has bound an object to a reference, or taken it away. Its dialog reads no answer: what
    fails is an error."""
    return references.register(session, ref_name, operation, ref_or_alias)


def get_reference_config(session, ref_name):
    """Snowflake's callback: what its dialog needs to make the object of a reference. Answers JSON text of Snowflake's own form."""
    return references.describe(ref_name)


@raising
def grant_callback(session, privileges):
    """Snowflake's callback: these privileges have been granted."""
    if "CREATE COMPUTE POOL" in [str(privilege).upper() for privilege in privileges or []]:
        return ok("the compute pool is there", notes=pool.make(session, max_nodes(session)))
    return ok("nothing to make")


def max_nodes(session):
    """How many machines the pool is to have at most."""
    try:
        return settings.load(session).max_nodes
    except Refusal:
        return 1


@enveloped
def apply_version(session):
    """Applies this version to what an earlier one has made: pool, views, grants and tasks. The setup script calls this, and Snowflake
    after an upgrade or one that was taken back. What cannot be done now is a note: it ends no installation."""
    try:
        configuration = settings.load(session)
    except Refusal:
        configuration = None
    steps, notes = [lambda: store.widen(session)], []
    if settings.runs_containers(configuration):
        steps.append(lambda: pool.make(session, max_nodes(session)))
    if configuration is not None:
        database = configuration.destination_database
        steps += [
            lambda: destination.grant(session, database),
            lambda: destination.make_views(session, database),
            lambda: status.align(session, configuration),
        ]
    for step in steps:
        try:
            notes += step() or []
        except Exception as error:
            log.warning("the version is not applied entirely: %s", error)
            notes.append(sentence(error))
    return ok("this version is in force", notes=notes)
