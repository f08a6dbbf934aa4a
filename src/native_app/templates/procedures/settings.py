"""The configuration: what a consumer decides, checked before anything is done with it."""

import json
import re
from dataclasses import asdict, dataclass, field

import names
import pool
import schedules
import store
from answers import Refusal
from spec import SPEC

# What a person may call the types of JSON Schema.
TYPES = {
    "string": (str, "text"),
    "boolean": (bool, "true or false"),
    "integer": (int, "a whole number"),
    "number": ((int, float), "a number"),
    "array": (list, "a list"),
    "object": (dict, "an object"),
    "null": (type(None), "nothing"),
}


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
        except ValueError:
            raise Refusal("INVALID_INPUT", f"{what} is no JSON") from None
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
    # An earlier version of the app may have had a container, or a task for each resource.
    if stored["scheduler"] not in schedulers():
        stored = {**stored, "scheduler": SPEC["default_scheduler"]}
    return Configuration(**stored)


def save(session, configuration):
    """Stores the configuration."""
    store.of_app(session).put("config", asdict(configuration))


def read(given, application):
    """The configuration that an argument describes. Raises INVALID_INPUT, INVALID_IDENTIFIER or INVALID_SCHEDULE."""
    known = {"destination_database", "schedule", "scheduler", "max_nodes", "settings"}
    for key in given:
        if key not in known:
            raise Refusal(
                "INVALID_INPUT", f"there is no {key!r} in a configuration; there are {', '.join(sorted(known))}"
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
        raise Refusal("INVALID_INPUT", f"{scheduler!r} is no scheduler here; there are {', '.join(schedulers())}")
    max_nodes = given.get("max_nodes")
    max_nodes = 1 if max_nodes is None else max_nodes
    if not isinstance(max_nodes, int) or isinstance(max_nodes, bool) or not 1 <= max_nodes <= pool.MOST_NODES:
        raise Refusal("INVALID_INPUT", f"`max_nodes` must be a whole number from 1 to {pool.MOST_NODES}")
    settings = given.get("settings")
    return Configuration(resolved, schedule, scheduler, max_nodes, check({} if settings is None else settings))


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
                f"there is no setting {name!r}; there are {', '.join(sorted(set(properties) - set(SPEC['secrets'])))}",
            )
        problem = misfit(properties[name], value)
        if problem:
            raise Refusal("INVALID_INPUT", f"the setting {name!r} must be {problem}")
    for name in SPEC["settings"].get("required", []):
        if name not in settings and name not in SPEC["secrets"]:
            raise Refusal("INVALID_INPUT", f"the setting {name!r} is missing")
    return settings


def misfit(schema, value):
    """What a value must be, where it is not; else None."""
    branches = schema.get("anyOf") or schema.get("oneOf")
    if branches:
        problems = [misfit(branch, value) for branch in branches]
        return None if None in problems else " or ".join(dict.fromkeys(filter(None, problems)))
    if "const" in schema and value != schema["const"]:
        return str(schema["const"])
    if "enum" in schema and value not in schema["enum"]:
        return "one of " + ", ".join(str(choice) for choice in schema["enum"] if choice is not None)
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(fits(kind, value) for kind in kinds):
        return " or ".join(TYPES[kind][1] for kind in kinds if kind != "null")
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return out_of_range(schema, value)
    if isinstance(value, str):
        problem = wrong_size(schema, len(value), "Length", "characters")
        if problem or re.search(schema.get("pattern", ""), value):
            return problem
        return f"a text that matches {schema['pattern']!r}"
    if isinstance(value, list):
        problem = wrong_size(schema, len(value), "Items", "entries")
        problems = (misfit(schema.get("items", {}), item) for item in value)
        entry = next((problem for problem in problems if problem), None)
        return problem or (entry and f"a list whose every item is {entry}")
    if isinstance(value, dict):
        return misfit_fields(schema, value)
    return None


def misfit_fields(schema, value):
    """What an object must be, where its fields are not."""
    fields, rest = schema.get("properties", {}), schema.get("additionalProperties")
    for name, part in value.items():
        if name in fields or isinstance(rest, dict):
            problem = misfit(fields.get(name, rest), part)
            if problem:
                return f"an object whose {name!r} is {problem}"
        elif fields and rest in (None, False):
            return f"an object of {', '.join(fields)}"
    missing = [name for name in schema.get("required", []) if name not in value]
    return f"an object with {missing[0]!r}" if missing else None


def out_of_range(schema, value):
    """What a number must be, where it is not."""
    least, most = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    fits_least = (least is None or value >= least) and (above is None or value > above)
    if fits_least and (most is None or value <= most) and (below is None or value < below):
        return None
    if least is not None and most is not None:
        return f"from {least} to {most}"
    bounds = [("at least", least), ("more than", above), ("at most", most), ("less than", below)]
    return " and ".join(f"{words} {bound}" for words, bound in bounds if bound is not None)


def wrong_size(schema, size, of, unit):
    """How long a text or a list must be, where it is not."""
    if size < schema.get(f"min{of}", 0):
        return f"of at least {schema[f'min{of}']} {unit}"
    if size > schema.get(f"max{of}", size):
        return f"of at most {schema[f'max{of}']} {unit}"
    return None


def fits(kind, value):
    """Whether a value is of a type of JSON Schema."""
    if isinstance(value, bool):
        return kind == "boolean"
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return kind in TYPES and isinstance(value, TYPES[kind][0])
