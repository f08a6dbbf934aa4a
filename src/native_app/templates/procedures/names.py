"""Identifiers and literals in SQL. No other module writes an untrusted name or text into a statement."""

import hashlib
import re

# Snowflake allows 255 characters.
MAX_LENGTH = 200


def quoted(name):
    """A name as a quoted identifier."""
    return '"' + name.replace('"', '""') + '"'


def qualified(*names):
    """The qualified name of an object."""
    return ".".join(quoted(name) for name in names)


def resolve(given):
    """Resolves a name as Snowflake does: an unquoted name becomes upper case; a name in double quotes, or with characters other than
    letters, digits, `_` and `$`, is kept as it is."""
    if len(given) > 2 and given.startswith('"') and given.endswith('"'):
        return given[1:-1].replace('""', '"')
    if re.fullmatch(r"[A-Za-z0-9_$]+", given):
        return given.upper()
    return given


def literal(text):
    """A text as a literal, where no value can be bound. `resource_names.canonical` rejects backslashes and control characters
    before."""
    if "\\" in text or not text.isprintable():
        raise ValueError("this text cannot be written as a literal")
    return "'" + text.replace("'", "''") + "'"


def json_text(document):
    """JSON as a dollar-quoted literal. It cannot end the literal: JSON has `$` only in strings, where it is escaped."""
    return "$$" + document.replace("$", "\\u0024") + "$$"


def plain(name):
    """An identifier of upper-case letters, digits and `_`, which needs no quotes. Distinct names have distinct identifiers.

    `a` to `z` become upper case and digits stay; anything else becomes its code point between underscores, as in `A_2F_B` for
    `a/b`. An identifier that is too long is truncated and ends with a hash; it is longer than any identifier that is not truncated.
    """
    kept = "".join(
        c.upper() if c in "abcdefghijklmnopqrstuvwxyz" else c if c in "0123456789" else f"_{ord(c):X}_" for c in name
    )
    if len(kept) <= MAX_LENGTH:
        return kept
    return kept[: MAX_LENGTH - 50] + "__" + hashlib.sha256(name.encode()).hexdigest().upper()


def is_plain(name):
    """Whether a name needs no quotes. The names of a compute pool, of a job and of its database must not need them."""
    return re.fullmatch(r"[A-Z_][A-Z0-9_$]*", name) is not None


def task(schedule):
    """The name of the task of a normalized schedule, such as `30 MINUTE`."""
    return "SCHEDULE_" + plain(schedule.lower())
