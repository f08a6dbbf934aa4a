"""A form from a JSON Schema, with a field for each setting that is not a secret."""

import json

import streamlit as st

import texts

# The largest integer that a browser represents exactly.
MAX_SAFE_INTEGER = (1 << 53) - 1

# The option for "no value".
UNSET = "—"


def kinds(schema):
    """The types of a setting, and whether it is nullable."""
    found = set()
    for branch in schema.get("anyOf") or schema.get("oneOf") or [schema]:
        kind = branch.get("type", "object")
        found.update([kind] if isinstance(kind, str) else kind)
    return found - {"null"}, "null" in found


def choices(schema):
    """The allowed values of an enumerated setting, including None if it is nullable; None for any other setting."""
    if "const" in schema:
        return [schema["const"]]
    if "enum" in schema:
        return schema["enum"]
    if schema.get("type") == "null":
        return [None]
    branches = [choices(branch) for branch in schema.get("anyOf") or schema.get("oneOf") or []]
    if not branches or None in branches:
        return None
    return [choice for branch in branches for choice in branch]


def settings(schema, secrets, current):
    """Shows a field for each setting. Returns the values that differ from their defaults, and the problems."""
    properties = {name: one for name, one in schema.get("properties", {}).items() if name not in secrets}
    required = [name for name in properties if name in schema.get("required", [])]
    first = required or list(properties)[:1]
    values, problems = {}, []
    for name in first:
        read_field(name, properties[name], current, values, problems)
    rest = [name for name in properties if name not in first]
    if rest:
        with st.expander("More settings", expanded=False):
            for name in rest:
                read_field(name, properties[name], current, values, problems)
    problems += [f"{texts.label(name)} is missing" for name in required if name not in values]
    return values, problems


def read_field(name, schema, current, values, problems):
    """Shows one field and adds its value to `values` unless it is the default."""
    default = schema.get("default")
    try:
        value = field(name, schema, current.get(name, default))
    except ValueError as error:
        problems.append(f"{texts.label(name)}: {error}")
        return
    if value is not None and value != default:
        values[name] = value


def field(name, schema, value):
    """Shows one field and returns its value; an empty field is None."""
    types, optional = kinds(schema)
    options = {"label": texts.escaped(texts.label(name)), "help": schema.get("description"), "key": f"setting_{name}"}
    found = choices(schema)
    if found is not None:
        return choice(found, value, optional=None in found or "default" not in schema, **options)
    if types == {"boolean"} and not optional:
        return st.checkbox(value=bool(value), **options)
    if types == {"integer"} and not optional:
        low, high = (
            min(max(schema.get(end, other), -MAX_SAFE_INTEGER), MAX_SAFE_INTEGER)
            for end, other in (("minimum", -MAX_SAFE_INTEGER), ("maximum", MAX_SAFE_INTEGER))
        )
        start = min(max(int(value or 0), low), high)
        return int(st.number_input(min_value=low, max_value=high, value=start, step=1, **options))
    if types == {"array"}:
        return lines(st.text_area(value="\n".join(map(str, value or [])), **options), schema)
    if types == {"string"}:
        return st.text_input(value=value or "", **options).strip() or None
    return parse_json(st.text_input(value="" if value is None else json.dumps(value), **options).strip(), types)


def choice(found, value, optional, **options):
    """A select box. Nothing is selected until the user selects it, unless a value is already set."""
    values = [one for one in found if one is not None]
    if optional or value not in values:
        values.insert(0, UNSET)
    chosen = st.selectbox(options=values, index=values.index(value) if value in values else 0, **options)
    return None if chosen == UNSET else chosen


def lines(text, schema):
    """A list, one item per line. Items that are not text are JSON."""
    items = [line.strip() for line in text.splitlines() if line.strip()]
    if kinds(schema.get("items", {"type": "string"}))[0] == {"string"}:
        return items
    return [parse_json(item, set()) for item in items]


def parse_json(text, types):
    """A value of any other type, written as JSON. Empty text is None."""
    if not text:
        return None
    try:
        value = json.loads(text)
    except ValueError:
        raise ValueError(
            "enter a whole number" if types == {"integer"} else "enter a number" if types == {"number"} else "enter JSON"
        ) from None
    if types == {"integer"} and not (isinstance(value, int) and not isinstance(value, bool)):
        raise ValueError("enter a whole number")
    return value
