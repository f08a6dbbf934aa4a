"""JSON as in a VARIANT: no duplicate keys, no spaces, sorted keys.

Snowflake does not promise an order; it is alphabetical in all of its examples, and here. A number keeps the digits that it was
written with, unless it has more than a NUMBER holds.
"""

import json

import pyarrow
from sqlglot import exp
from sqlglot.dialects.duckdb import DuckDB
from sqlglot.dialects.snowflake import Snowflake

from strict.errors import marked

# Bytes of a VARIANT.
VARIANT = 134_217_728
DIGITS = 38


class Number(str):
    """A number with its original text."""


class Duplicate(Exception):
    pass


def unique(pairs):
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise Duplicate(next(name for name in names if names.count(name) > 1))
    return found


# Writes what `write` writes, many times faster, but knows no `Number`.
FAST = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), check_circular=False)


class Reader:
    """Reads JSON texts, each with a decoder of its own thread."""

    def __init__(self):
        hooks = {"parse_int": self.integer, "parse_float": self.number}
        self.strict = json.JSONDecoder(object_pairs_hook=unique, **hooks)
        self.last_wins = json.JSONDecoder(**hooks)
        # Whether a number is only right with its original text.
        self.original = False

    def integer(self, text):
        # Python reads "-0" as 0.
        return int(text) if len(text) < DIGITS and text != "-0" else self.number(text)

    def number(self, text):
        digits = text.lstrip("-").replace(".", "")
        if "e" in text.lower() or len(digits) > DIGITS:
            return float(text)
        self.original = True
        return Number(text)

    def variant(self, text, flags):
        """The text of the VARIANT that this text becomes."""
        self.original = False
        value = (self.last_wins if "d" in (flags or "") else self.strict).decode(text)
        return write(value) if self.original else FAST.encode(value)


def write(value):
    """The JSON text of a value; numbers keep their original text."""
    match value:
        case Number():
            return str(value)
        case dict():
            return "{" + ",".join(f"{quoted(name)}:{write(value[name])}" for name in sorted(value)) + "}"
        case list():
            return "[" + ",".join(map(write, value)) + "]"
        case str():
            return quoted(value)
    return json.dumps(value)


def quoted(text):
    return json.dumps(text, ensure_ascii=False)


def parse(reader, text, flags, tries):
    if text is None or not text.strip():
        return None
    try:
        if len(text) > VARIANT:
            raise marked(100082, "22000", f"The text is larger than a VARIANT can be: {VARIANT} bytes")
        return reader.variant(text, flags).encode("utf-8", "replace").decode()
    except Duplicate as duplicate:
        error = marked(100069, "22P02", f'Error parsing JSON: duplicate object attribute "{duplicate}"')
    except (json.JSONDecodeError, RecursionError):
        error = marked(100069, "22P02", "Error parsing JSON: the text is no JSON")
    except ValueError as given:
        error = given
    if tries:
        return None
    raise error


def parse_all(texts, flags, tries):
    reader = Reader()
    rows = zip(texts.to_pylist(), flags.to_pylist(), tries.to_pylist())
    return pyarrow.array([parse(reader, *row) for row in rows], pyarrow.string())


def install(duck):
    duck.create_function(
        "_strict_parse_json",
        parse_all,
        ["VARCHAR", "VARCHAR", "BOOLEAN"],
        "VARCHAR",
        type="arrow",
        null_handling="special",
    )


def parse_json(generator, expression):
    text = generator.sql(expression, "this")
    flags = generator.sql(expression, "expression") or "'s'"
    tries = "TRUE" if expression.args.get("safe") else "FALSE"
    return f"CAST(_strict_parse_json({text}, {flags}, {tries}) AS JSON)"


def parsed_with_flags(safe):
    def build(args):
        return exp.ParseJSON(this=args[0], expression=args[1] if len(args) > 1 else None, safe=safe)

    return build


DuckDB.Generator.TRANSFORMS[exp.ParseJSON] = parse_json
# The parser drops the second argument.
Snowflake.Parser.FUNCTIONS["PARSE_JSON"] = parsed_with_flags(False)
Snowflake.Parser.FUNCTIONS["TRY_PARSE_JSON"] = parsed_with_flags(True)
