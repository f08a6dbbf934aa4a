"""Fields from a JSON Schema: one for each setting that is not a secret, with its title, range and help."""

import json

import streamlit as st

import compat
import texts

# The largest integer that a browser represents exactly.
MAX_SAFE_INTEGER = (1 << 53) - 1

# The option for "no value".
UNSET = "–"

REQUIRED, COMMON, ADVANCED = "required", "common", "advanced"

# Parts of the names of settings that few users need, where the schema does not say so itself.
RARE = (
    "proxy",
    "ca_file",
    "timeout",
    "retries",
    "concurrency",
    "page_size",
    "overlap",
    "quota",
    "max_wait",
    "per_minute",
    "per_second",
)


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


def properties(status):
    """The schemas of the settings that are not secrets, by name."""
    declared = (status.settings_schema or {}).get("properties", {})
    return {name: one for name, one in declared.items() if name not in (status.secrets or [])}


def required(status):
    """The names of the settings that must be given."""
    return [name for name in properties(status) if name in status.settings_schema.get("required", [])]


def group(status, name):
    """The group of a setting: what its schema says, or else what its name suggests."""
    if name in required(status):
        return REQUIRED
    said = properties(status)[name].get("x-group")
    if said in (REQUIRED, COMMON, ADVANCED):
        return said
    return ADVANCED if any(part in name for part in RARE) else COMMON


def grouped(status, *groups):
    """The names of the settings of these groups: what is required first, then what many use."""
    found = [name for name in properties(status) if group(status, name) in groups]
    return sorted(found, key=lambda name: (REQUIRED, COMMON, ADVANCED).index(group(status, name)))


def label(name, schema):
    """The label of a field: the title, and the range if there is one."""
    text, unit = texts.label(name, schema.get("title")), ""
    for word, short in (("percent", " %"), ("minutes", " min"), ("seconds", " s")):
        if not schema.get("title") and text.lower().endswith(f" {word}"):
            text, unit = text[: -len(word) - 1], short
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is None or high is None:
        return f"{text} ({unit.strip()})" if unit else text
    return f"{text} ({low:,}–{high:,}{unit})" if kinds(schema)[0] <= {"integer", "number"} else text


class Form:
    """The values of some settings, and what is wrong with them."""

    def __init__(self, status):
        self.status = status
        self.stored = status.settings.get("settings", {})
        self.values, self.problems, self.changes = {}, [], []

    def show(self, name):
        """Shows one field."""
        schema = properties(self.status)[name]
        default, own = schema.get("default"), texts.label(name, schema.get("title"))
        before = self.stored.get(name, default)
        try:
            value = field(name, schema, before)
        except ValueError as error:
            self.problems.append(f"{own}: {error}")
            return
        # A default is not stored, so that it follows later versions.
        self.values[name] = None if value == default else value
        if value != before and not (value in (None, "", []) and before in (None, "", [])):
            self.changes.append(f"{own} {written(before)} → {written(value)}")

    def finish(self):
        """What is wrong: also what is missing."""
        for name in required(self.status):
            if name in self.values and self.values[name] in (None, "", []):
                self.problems.append(f"{texts.label(name, properties(self.status)[name].get('title'))} is missing")
        return self.problems

    def given(self):
        """The values to store when nothing is stored yet."""
        return {name: value for name, value in self.values.items() if value is not None}


def written(value):
    """A value in a list of changes."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if value in (None, "", []):
        return UNSET
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= 40 else f"{text[:40]}…"


def field(name, schema, value):
    """Shows one field and returns its value; an empty field is None."""
    types, optional = kinds(schema)
    description = schema.get("description")
    options = {
        "label": texts.escaped(label(name, schema)),
        "help": None if description is None else texts.escaped(description.replace("`", "")),
        "key": f"setting_{name}",
    }
    found = choices(schema)
    if found is not None:
        return choice(found, value, optional=None in found or "default" not in schema, **options)
    if types == {"boolean"} and not optional:
        return compat.switch(value=bool(value), **options)
    if types == {"integer"}:
        return integer(schema, value, optional, **options)
    if types == {"array"}:
        options["label"] += ", one a line"
        return lines(st.text_area(value="\n".join(map(str, value or [])), **options), schema)
    if types == {"string"}:
        return st.text_input(value=value or "", placeholder="not set" if optional else "", **options).strip() or None
    return parse_json(st.text_input(value="" if value is None else json.dumps(value), **options).strip(), types)


def integer(schema, value, optional, **options):
    """A field for a whole number within its range."""
    low, high = (
        min(max(schema.get(end, other), -MAX_SAFE_INTEGER), MAX_SAFE_INTEGER)
        for end, other in (("minimum", -MAX_SAFE_INTEGER), ("maximum", MAX_SAFE_INTEGER))
    )
    if not optional:
        start = min(max(int(value or 0), low), high)
        return int(st.number_input(min_value=low, max_value=high, value=start, step=1, **options))
    if not compat.HAS_ROWS:
        return parse_json(st.text_input(value="" if value is None else str(value), **options).strip(), {"integer"})
    given = st.number_input(min_value=low, max_value=high, value=value, step=1, placeholder="not set", **options)
    return None if given is None else int(given)


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
