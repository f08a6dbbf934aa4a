"""The configuration that a consumer sets, validated."""

import json
import re
from dataclasses import asdict, dataclass, field

import names
import pool
import schedules
import schema
import store
import urls
from responses import ProcedureError, quote_input
from spec import SPEC


@dataclass
class Configuration:
    """The value of the key `config`."""

    destination_database: str
    schedule: str = SPEC["default_schedule"]
    scheduler: str = SPEC["default_scheduler"]
    max_nodes: int = 1
    settings: dict = field(default_factory=dict)
    # How the containers load, as options of the program by their names with underscores.
    options: dict = field(default_factory=dict)

    def has_tasks(self):
        """Whether tasks of the app start ingestion."""
        return self.scheduler != "outside"


def needs_compute_pool(configuration):
    """Whether the app needs a compute pool, also before its first configuration."""
    return SPEC["container"] and (configuration is None or configuration.has_tasks())


def schedulers():
    """The available schedulers: a task of the app, or a process outside Snowflake."""
    return ["task", "outside"] if SPEC["container"] else ["outside"]


def parse_object(value, what="the configuration"):
    """A VARIANT argument as an object. Text is parsed as JSON."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise ProcedureError("INVALID_INPUT", f"{what} is not JSON") from None
    if not isinstance(value, dict):
        raise ProcedureError(
            "INVALID_INPUT", f"{what} must be an object, such as OBJECT_CONSTRUCT('destination_database', 'MY_DATA')"
        )
    return value


def load(session):
    """The configuration. Raises CONNECTOR_CONFIGURATION_NOT_FOUND."""
    stored = store.app_store(session).get("config")
    if stored is None:
        raise ProcedureError(
            "CONNECTOR_CONFIGURATION_NOT_FOUND",
            "the connector is not configured yet: call PROVISION_CONNECTOR, or use the page",
        )
    database = stored.get("destination_database")
    if not isinstance(database, str) or not database:
        raise ProcedureError(
            "CONNECTOR_CONFIGURATION_NOT_FOUND",
            "the stored configuration cannot be read: call PROVISION_CONNECTOR again, or use the page",
        )
    # Another version of the app may have stored other values and other members.
    usable = {
        "schedule": lambda value: isinstance(value, str),
        "scheduler": lambda value: value in schedulers(),
        "max_nodes": is_number_of_nodes,
        "settings": lambda value: isinstance(value, dict),
        "options": lambda value: isinstance(value, dict),
    }
    kept = {name: stored[name] for name, fits in usable.items() if name in stored and fits(stored[name])}
    return Configuration(database, **{"scheduler": SPEC["default_scheduler"], **kept})


def is_number_of_nodes(value):
    """Whether this is a valid maximum number of machines."""
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= pool.MAX_NODES


def save(session, configuration):
    """Stores the configuration."""
    store.app_store(session).put("config", asdict(configuration))


def read(given, application):
    """Parses a configuration. Raises INVALID_INPUT, INVALID_IDENTIFIER or INVALID_SCHEDULE."""
    known = {"destination_database", "schedule", "scheduler", "max_nodes", "settings", "options"}
    for key in given:
        if key not in known:
            raise ProcedureError(
                "INVALID_INPUT", f"unknown configuration member {quote_input(key)}; known members: {', '.join(sorted(known))}"
            )
    database = given.get("destination_database")
    database = names.quoted(f"{application}_DATA") if database is None else database
    if not isinstance(database, str) or not database.strip() or len(database) > 255 or not database.isprintable():
        raise ProcedureError("INVALID_IDENTIFIER", "the destination must be the name of a database")
    resolved = names.resolve(database.strip())
    if resolved == application:
        raise ProcedureError("INVALID_IDENTIFIER", "the destination must not be the app's own database")
    schedule = given.get("schedule")
    schedule = SPEC["default_schedule"] if schedule is None else schedule
    schedules.to_task_schedule(schedule)
    scheduler = given.get("scheduler")
    scheduler = SPEC["default_scheduler"] if scheduler is None else scheduler
    if scheduler not in schedulers():
        raise ProcedureError(
            "INVALID_INPUT", f"{quote_input(scheduler)} is not an available scheduler: use {' or '.join(schedulers())}"
        )
    max_nodes = given.get("max_nodes")
    max_nodes = 1 if max_nodes is None else max_nodes
    if not is_number_of_nodes(max_nodes):
        raise ProcedureError("INVALID_INPUT", f"`max_nodes` must be a whole number from 1 to {pool.MAX_NODES}")
    source, options = ({} if given.get(name) is None else given[name] for name in ("settings", "options"))
    return Configuration(resolved, schedule, scheduler, max_nodes, check(source), check_options(options))


# Credits and a period. The program reads six digits behind the point.
BUDGET = re.compile(r"[0-9]{1,9}([.][0-9]{1,6})?/(day|month)")


def check_budget(budget):
    """Validates a budget."""
    if budget != "none" and not (isinstance(budget, str) and BUDGET.fullmatch(budget)):
        raise ProcedureError(
            "INVALID_INPUT", "`budget` must be credits and a period, such as '1.5/day' or '20/month', or 'none'"
        )


def check_options(options):
    """Validates the options of the containers against their schema. A null removes one."""
    properties = SPEC["options"]["properties"]
    options = {name: value for name, value in parse_object(options, "`options`").items() if value is not None}
    for name, value in options.items():
        if name not in properties:
            raise ProcedureError(
                "INVALID_INPUT", f"unknown option {quote_input(name)}; known options: {', '.join(sorted(properties))}"
            )
        problem = schema.violation(properties[name], value)
        if problem:
            raise ProcedureError("INVALID_INPUT", f"the option {name!r} must be {problem}")
    if options.get("transient") and options.get("retention_days", 0) > 1:
        raise ProcedureError("INVALID_INPUT", "transient tables keep at most 1 day: make 'retention_days' 0 or 1")
    return options


def is_url(declared):
    """Whether a setting is a URL."""
    return declared.get("format") == "uri" or any(map(is_url, [*declared.get("anyOf", []), *declared.get("oneOf", [])]))


def check(settings):
    """Validates the source's settings against their schema. The connector itself checks what a schema cannot express."""
    properties = SPEC["settings"].get("properties", {})
    settings = {name: value for name, value in parse_object(settings, "`settings`").items() if value is not None}
    for name, value in settings.items():
        # Never repeat the value: it may be a secret entered in the wrong field.
        if name in SPEC["secrets"]:
            raise ProcedureError(
                "INVALID_INPUT",
                f"the setting {name!r} is a secret: bind it to the reference {name!r} and leave it out of the settings",
            )
        if name not in properties:
            raise ProcedureError(
                "INVALID_INPUT",
                f"unknown setting {quote_input(name)}; known settings: {', '.join(sorted(set(properties) - set(SPEC['secrets'])))}",
            )
        problem = schema.violation(properties[name], value)
        if not problem and is_url(properties[name]) and not name.endswith("proxy") and urls.exposes_credentials(value):
            problem = "a URL that begins with https://, unless its host is a loopback address, because it receives credentials"
        if problem:
            raise ProcedureError("INVALID_INPUT", f"the setting {name!r} must be {problem}")
    for name in SPEC["settings"].get("required", []):
        if name not in settings and name not in SPEC["secrets"]:
            raise ProcedureError("INVALID_INPUT", f"the setting {name!r} is missing")
    return settings
