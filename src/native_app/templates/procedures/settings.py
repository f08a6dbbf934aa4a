"""The configuration: what a consumer decides, checked before anything is done with it."""

import json
from dataclasses import asdict, dataclass, field

import names
import pool
import schedules
import schema
import store
import urls
from answers import Refusal, shown
from spec import SPEC


@dataclass
class Configuration:
    """What is stored under the key `config`."""

    destination_database: str
    schedule: str = SPEC["default_schedule"]
    scheduler: str = SPEC["default_scheduler"]
    max_nodes: int = 1
    settings: dict = field(default_factory=dict)

    def has_tasks(self):
        """Whether the app itself starts ingestion."""
        return self.scheduler != "outside"


def runs_containers(configuration):
    """Whether the app needs a compute pool, with its configuration or before it has any."""
    return SPEC["container"] and (configuration is None or configuration.has_tasks())


def schedulers():
    """Who may start ingestion: a task of the app, or a process outside of Snowflake."""
    return ["task", "outside"] if SPEC["container"] else ["outside"]


def document(value, what="the configuration"):
    """A VARIANT argument as an object. One that was given as text is read as JSON."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise Refusal("INVALID_INPUT", f"{what} is not JSON") from None
    if not isinstance(value, dict):
        raise Refusal(
            "INVALID_INPUT", f"{what} must be an object, such as OBJECT_CONSTRUCT('destination_database', 'MY_DATA')"
        )
    return value


def load(session):
    """The configuration. Raises CONNECTOR_CONFIGURATION_NOT_FOUND."""
    stored = store.of_app(session).get("config")
    if stored is None:
        raise Refusal(
            "CONNECTOR_CONFIGURATION_NOT_FOUND",
            "the connector is not configured yet: call PROVISION_CONNECTOR, or use the page",
        )
    database = stored.get("destination_database")
    if not isinstance(database, str) or not database:
        raise Refusal(
            "CONNECTOR_CONFIGURATION_NOT_FOUND",
            "the stored configuration cannot be read: call PROVISION_CONNECTOR again, or use the page",
        )
    # Another version of the app may have had a container, or a task for each resource, or further members.
    usable = {
        "schedule": lambda value: isinstance(value, str),
        "scheduler": lambda value: value in schedulers(),
        "max_nodes": is_number_of_nodes,
        "settings": lambda value: isinstance(value, dict),
    }
    kept = {name: stored[name] for name, fits in usable.items() if name in stored and fits(stored[name])}
    return Configuration(database, **{"scheduler": SPEC["default_scheduler"], **kept})


def is_number_of_nodes(value):
    """Whether the pool may have this many machines."""
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= pool.MOST_NODES


def save(session, configuration):
    """Stores the configuration."""
    store.of_app(session).put("config", asdict(configuration))


def read(given, application):
    """The configuration that an argument describes. Raises INVALID_INPUT, INVALID_IDENTIFIER or INVALID_SCHEDULE."""
    known = {"destination_database", "schedule", "scheduler", "max_nodes", "settings"}
    for key in given:
        if key not in known:
            raise Refusal(
                "INVALID_INPUT", f"a configuration has no member {shown(key)}; it has {', '.join(sorted(known))}"
            )
    database = given.get("destination_database")
    database = names.quoted(f"{application}_DATA") if database is None else database
    if not isinstance(database, str) or not database.strip() or len(database) > 255 or not database.isprintable():
        raise Refusal("INVALID_IDENTIFIER", "the destination must be the name of a database")
    resolved = names.resolve(database.strip())
    if resolved == application:
        raise Refusal("INVALID_IDENTIFIER", "the destination must be another database than the app itself")
    schedule = given.get("schedule")
    schedule = SPEC["default_schedule"] if schedule is None else schedule
    schedules.of_task(schedule)
    scheduler = given.get("scheduler")
    scheduler = SPEC["default_scheduler"] if scheduler is None else scheduler
    if scheduler not in schedulers():
        raise Refusal("INVALID_INPUT", f"{shown(scheduler)} is not a scheduler here; there are {', '.join(schedulers())}")
    max_nodes = given.get("max_nodes")
    max_nodes = 1 if max_nodes is None else max_nodes
    if not is_number_of_nodes(max_nodes):
        raise Refusal("INVALID_INPUT", f"`max_nodes` must be a whole number from 1 to {pool.MOST_NODES}")
    settings = given.get("settings")
    return Configuration(resolved, schedule, scheduler, max_nodes, check({} if settings is None else settings))


def is_url(declared):
    """Whether a setting is a URL."""
    return declared.get("format") == "uri" or any(map(is_url, [*declared.get("anyOf", []), *declared.get("oneOf", [])]))


def check(settings):
    """The settings of the source that are set, held to their schema. The connector itself checks what a schema cannot express."""
    properties = SPEC["settings"].get("properties", {})
    settings = {name: value for name, value in document(settings, "`settings`").items() if value is not None}
    for name, value in settings.items():
        # The value is never repeated: it may be a secret that somebody put in the wrong place.
        if name in SPEC["secrets"]:
            raise Refusal(
                "INVALID_INPUT",
                f"the setting {name!r} is a secret: bind the reference {name!r} to it, and leave it out of the settings",
            )
        if name not in properties:
            raise Refusal(
                "INVALID_INPUT",
                f"there is no setting {shown(name)}; there are {', '.join(sorted(set(properties) - set(SPEC['secrets'])))}",
            )
        problem = schema.misfit(properties[name], value)
        if not problem and is_url(properties[name]) and not name.endswith("proxy") and urls.exposes_credentials(value):
            problem = "a URL that begins with https://, unless its host is this machine: credentials are sent to it"
        if problem:
            raise Refusal("INVALID_INPUT", f"the setting {name!r} must be {problem}")
    for name in SPEC["settings"].get("required", []):
        if name not in settings and name not in SPEC["secrets"]:
            raise Refusal("INVALID_INPUT", f"the setting {name!r} is missing")
    return settings
