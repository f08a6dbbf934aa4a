"""Names of objects, and text within statements. Nothing else writes a name or a text of somebody else's into a statement."""

import hashlib
import re

# Snowflake's longest name is 255 characters.
LONGEST = 200


def quoted(name):
    """A name in double quotes, whatever characters it has."""
    return '"' + name.replace('"', '""') + '"'


def qualified(*names):
    """The whole name of an object."""
    return ".".join(quoted(name) for name in names)


def resolve(given):
    """A name as a person gives it, as Snowflake reads it: without quotes it means upper case; in double quotes, or with other
    characters than letters, digits, `_` and `$`, it means itself."""
    if len(given) > 2 and given.startswith('"') and given.endswith('"'):
        return given[1:-1].replace('""', '"')
    if re.fullmatch(r"[A-Za-z0-9_$]+", given):
        return given.upper()
    return given


def literal(text):
    """A text as a constant, for where no value can be bound. A text in which a backslash or a control character would have to be
    escaped is refused by `resource_name`, and cannot come here."""
    if "\\" in text or not text.isprintable():
        raise ValueError("this text cannot be written as a constant")
    return "'" + text.replace("'", "''") + "'"


def json_text(document):
    """JSON as a constant between pairs of dollar signs, which it cannot leave: `$` is within strings only, and escaped there."""
    return "$$" + document.replace("$", "\\u0024") + "$$"


def plain(name):
    """A name made of upper-case letters, digits and `_`, which needs no quotes. No two names share one.

    `a` to `z` become upper case and digits stay; anything else becomes its code point between underscores, as in `A_2F_B` for
    `a/b`. What is too long is cut and told apart by its hash: it is longer than any name that is not cut.
    """
    kept = "".join(
        c.upper() if c in "abcdefghijklmnopqrstuvwxyz" else c if c in "0123456789" else f"_{ord(c):X}_" for c in name
    )
    if len(kept) <= LONGEST:
        return kept
    return kept[: LONGEST - 50] + "__" + hashlib.sha256(name.encode()).hexdigest().upper()


def is_plain(name):
    """Whether a name needs no quotes, which are not allowed in the name of a compute pool, or of a job and its database."""
    return re.fullmatch(r"[A-Z_][A-Z0-9_$]*", name) is not None


def task(schedule):
    """The name of the task of a schedule, which is given as tasks write it: `30 MINUTE`."""
    return "SCHEDULE_" + plain(schedule.lower())
