"""Validates the source's settings against their JSON Schema, by the same rules as the connector's program. Messages never repeat a
value: it may be a secret entered in the wrong field."""

import json
import math
import re

import urls
from responses import TOKEN, quote_input
from spec import SPEC

# The types of JSON Schema, with their names in messages.
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

# A limit for schemas that refer to themselves.
MAX_DEPTH = 64


def violation(schema, value, depth=0):
    """What a value must be, if it violates the schema; else None. Each field of an object must be declared by one of the branches."""
    return branch_violation(schema, value, depth) or unknown_field(schema, value)


def branch_violation(schema, value, depth):
    """As `violation`, for one branch of a schema."""
    if depth > MAX_DEPTH or not isinstance(schema, dict):
        return None
    return (
        type_violation(schema, value)
        or all_of([resolve_reference(schema), *schema.get("allOf", [])], value, depth + 1)
        or any_of(schema.get("anyOf"), value, depth + 1)
        or any_of(schema.get("oneOf"), value, depth + 1)
        or value_violation(schema, value, depth)
    )


def value_violation(schema, value, depth):
    """As `violation`, for a value of the right type."""
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        return range_violation(schema, value)
    if isinstance(value, str):
        return text_violation(schema, value)
    if isinstance(value, list):
        return list_violation(schema, value, depth)
    return object_violation(schema, value, depth) if isinstance(value, dict) else None


def resolve_reference(schema):
    """The schema that `$ref` points to. Only recursive references are left; the bundle has inlined the others."""
    name = str(schema.get("$ref", "")).removeprefix("#/$defs/")
    return SPEC["settings"].get("$defs", {}).get(name, {})


def all_of(schemas, value, depth):
    """The first violation of any of these schemas."""
    return next(filter(None, (branch_violation(schema, value, depth) for schema in schemas)), None)


def any_of(schemas, value, depth):
    """The violations, if the value matches none of these schemas."""
    problems = [branch_violation(schema, value, depth) for schema in schemas or []]
    if not problems or None in problems:
        return None
    # That null is allowed does not help the user.
    return " or ".join(dict.fromkeys(one for one in problems if one != NOTHING)) or NOTHING


def type_violation(schema, value):
    """The violation of a value's type, `const` or `enum`."""
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
    """Whether two values are equal as JSON: true is not 1."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def fits(kind, value):
    """Whether a value has a type of JSON Schema."""
    if isinstance(value, bool):
        return kind == "boolean"
    if isinstance(value, float):
        return math.isfinite(value) and (kind == "number" or kind == "integer" and value.is_integer())
    return kind in TYPES and isinstance(value, TYPES[kind][0])


def range_violation(schema, value):
    """The violation of a number's range."""
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


def text_violation(schema, value):
    """The violation of a text's format, length or pattern."""
    if schema.get("format") == "secret-reference":
        return "left out: bind the secret to its reference"
    if TOKEN.search(value):
        return "without a token or a password: bind the secret to its reference"
    problem = size_violation(schema, len(value), "Length", "characters")
    if schema.get("format") == "uri":
        problem = problem or urls.violation(value)
    if problem:
        return problem
    pattern = schema.get("pattern")
    if pattern is None or re.search(in_python(pattern), value, re.ASCII):
        return None
    return f"a text that matches {pattern!r}"


def in_python(pattern):
    """Translates a pattern to Python: `$` matches only at the end, not before a trailing line feed."""
    return re.sub(r"(\\.|\[(?:\\.|[^\]\\])+\])|\$", lambda match: match[1] or r"\Z", pattern)


def list_violation(schema, value, depth):
    """The violation of a list or of its items."""
    if schema.get("uniqueItems") and any(is_same(item, other) for at, item in enumerate(value) for other in value[:at]):
        return "a list without duplicates"
    entry = next(filter(None, (violation(schema.get("items", {}), item, depth + 1) for item in value)), None)
    return size_violation(schema, len(value), "Items", "entries") or (entry and f"a list whose every item is {entry}")


def object_violation(schema, value, depth):
    """The violation of an object or of its fields."""
    missing = [name for name in schema.get("required", []) if name not in value]
    if missing:
        return f"an object with {missing[0]!r}"
    fields, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    for name, own in value.items():
        by_pattern = (one for pattern, one in patterns.items() if re.search(in_python(pattern), name, re.ASCII))
        of_field = fields.get(name) or next(by_pattern, None) or schema.get("additionalProperties")
        problem = violation(of_field, own, depth + 1)
        if problem:
            return f"an object whose {quote_input(name)} is {problem}"
    return size_violation(schema, len(value), "Properties", "entries")


def unknown_field(schema, value):
    """The known fields, if an object has unknown ones."""
    if not isinstance(value, dict):
        return None
    known, branches = {}, [schema]
    for branch in branches:
        if not isinstance(branch, dict):
            continue
        if branch.get("additionalProperties", False) is not False or "patternProperties" in branch:
            return None
        known |= branch.get("properties", {})
        further = [*branch.get("allOf", []), *branch.get("anyOf", []), *branch.get("oneOf", []), resolve_reference(branch)]
        branches += [one for one in further if one and not any(one is seen for seen in branches)]
    return f"an object of {', '.join(known)}" if known and not set(value) <= set(known) else None


def size_violation(schema, size, of, unit):
    """The violation of a minimum or maximum size."""
    if size < schema.get(f"min{of}", 0):
        return f"of at least {schema[f'min{of}']} {unit}"
    if size > schema.get(f"max{of}", size):
        return f"of at most {schema[f'max{of}']} {unit}"
    return None
