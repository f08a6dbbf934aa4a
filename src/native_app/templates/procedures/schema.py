"""Holds the source's settings to their JSON Schema, by the same rules as the connector's program. A value is never repeated: it may be
a secret that somebody put in the wrong place."""

import json
import math
import re

import urls
from answers import TOKEN, shown
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
NOTHING = TYPES["null"][1]

# A schema that refers to itself has no end.
DEEPEST = 64


def misfit(schema, value, depth=0):
    """What a value must be, where it is not; else None. A field of an object must be known to one of the schema's branches."""
    return part(schema, value, depth) or unknown_field(schema, value)


def part(schema, value, depth):
    """The same, for one branch of a schema."""
    if depth > DEEPEST or not isinstance(schema, dict):
        return None
    return (
        other_shape(schema, value)
        or all_of([referred(schema), *schema.get("allOf", [])], value, depth + 1)
        or any_of(schema.get("anyOf"), value, depth + 1)
        or any_of(schema.get("oneOf"), value, depth + 1)
        or of_its_kind(schema, value, depth)
    )


def of_its_kind(schema, value, depth):
    """What a value of the right type must be, where it is not."""
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        return out_of_range(schema, value)
    if isinstance(value, str):
        return misfit_text(schema, value)
    if isinstance(value, list):
        return misfit_list(schema, value, depth)
    return misfit_object(schema, value, depth) if isinstance(value, dict) else None


def referred(schema):
    """The schema that one refers to: the bundle has put all others in their places."""
    name = str(schema.get("$ref", "")).removeprefix("#/$defs/")
    return SPEC["settings"].get("$defs", {}).get(name, {})


def all_of(schemas, value, depth):
    """What a value must be by any of these."""
    return next(filter(None, (part(schema, value, depth) for schema in schemas)), None)


def any_of(schemas, value, depth):
    """What a value must be where none of these takes it."""
    problems = [part(schema, value, depth) for schema in schemas or []]
    if not problems or None in problems:
        return None
    # That it may be left out is no help.
    return " or ".join(dict.fromkeys(one for one in problems if one != NOTHING)) or NOTHING


def other_shape(schema, value):
    """What a value must be by its type and by the choices there are."""
    if "const" in schema and not is_same(value, schema["const"]):
        return str(schema["const"])
    if "enum" in schema and not any(is_same(value, choice) for choice in schema["enum"]):
        return "one of " + ", ".join(str(choice) for choice in schema["enum"] if choice is not None)
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(fits(kind, value) for kind in kinds):
        return " or ".join(TYPES[kind][1] for kind in kinds if kind != "null") or NOTHING
    return None


def is_same(one, other):
    """Whether two values are the same JSON: true is not 1."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def fits(kind, value):
    """Whether a value is of a type of JSON Schema."""
    if isinstance(value, bool):
        return kind == "boolean"
    if isinstance(value, float):
        return math.isfinite(value) and (kind == "number" or kind == "integer" and value.is_integer())
    return kind in TYPES and isinstance(value, TYPES[kind][0])


def out_of_range(schema, value):
    """What a number must be, where it is not."""
    least, most = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    fits_least = (least is None or value >= least) and (above is None or value > above)
    if fits_least and (most is None or value <= most) and (below is None or value < below):
        step = schema.get("multipleOf")
        is_multiple = not step or abs(value / step - round(value / step)) < 1e-9
        return None if is_multiple else f"a multiple of {step}"
    if least is not None and most is not None:
        return f"from {least} to {most}"
    bounds = [("at least", least), ("more than", above), ("at most", most), ("less than", below)]
    return " and ".join(f"{words} {bound}" for words, bound in bounds if bound is not None)


def misfit_text(schema, value):
    """What a text must be, where it is not."""
    if schema.get("format") == "secret-reference":
        return "left out: a secret is bound to the app by a reference"
    if TOKEN.search(value):
        return "without a token or a password: a secret is bound to the app by a reference"
    problem = wrong_size(schema, len(value), "Length", "characters")
    if schema.get("format") == "uri":
        problem = problem or urls.misfit(value)
    if problem:
        return problem
    pattern = schema.get("pattern")
    if pattern is None or re.search(in_python(pattern), value, re.ASCII):
        return None
    return f"a text that matches {pattern!r}"


def in_python(pattern):
    """A pattern of the connector's program: its `$` is the end, and not the place before a last line feed."""
    return re.sub(r"(\\.|\[(?:\\.|[^\]\\])+\])|\$", lambda match: match[1] or r"\Z", pattern)


def misfit_list(schema, value, depth):
    """What a list must be, where it is not."""
    if schema.get("uniqueItems") and any(is_same(item, other) for at, item in enumerate(value) for other in value[:at]):
        return "a list without an entry twice"
    entry = next(filter(None, (misfit(schema.get("items", {}), item, depth + 1) for item in value)), None)
    return wrong_size(schema, len(value), "Items", "entries") or (entry and f"a list whose every item is {entry}")


def misfit_object(schema, value, depth):
    """What an object must be, where its fields are not."""
    missing = [name for name in schema.get("required", []) if name not in value]
    if missing:
        return f"an object with {missing[0]!r}"
    fields, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    for name, own in value.items():
        by_pattern = (one for pattern, one in patterns.items() if re.search(in_python(pattern), name, re.ASCII))
        of_field = fields.get(name) or next(by_pattern, None) or schema.get("additionalProperties")
        problem = misfit(of_field, own, depth + 1)
        if problem:
            return f"an object whose {shown(name)} is {problem}"
    return wrong_size(schema, len(value), "Properties", "entries")


def unknown_field(schema, value):
    """Which fields an object may have, where it has others."""
    if not isinstance(value, dict):
        return None
    known, branches = {}, [schema]
    for branch in branches:
        if not isinstance(branch, dict):
            continue
        if branch.get("additionalProperties", False) is not False or "patternProperties" in branch:
            return None
        known |= branch.get("properties", {})
        further = [*branch.get("allOf", []), *branch.get("anyOf", []), *branch.get("oneOf", []), referred(branch)]
        branches += [one for one in further if one and not any(one is seen for seen in branches)]
    return f"an object of {', '.join(known)}" if known and not set(value) <= set(known) else None


def wrong_size(schema, size, of, unit):
    """How long a text, a list or an object must be, where it is not."""
    if size < schema.get(f"min{of}", 0):
        return f"of at least {schema[f'min{of}']} {unit}"
    if size > schema.get(f"max{of}", size):
        return f"of at most {schema[f'max{of}']} {unit}"
    return None
