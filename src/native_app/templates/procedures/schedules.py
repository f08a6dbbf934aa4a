"""Converts the engine's schedules (`30m`, `1h 30m`, `15 2 * * *` in UTC) to those of a Snowflake task."""

import re

from responses import ProcedureError, quote_input
from spec import SPEC

UNITS = {"h": 3600, "m": 60, "s": 1}
PART = re.compile(
    r"(\d{1,9})\s*(hours|hour|hrs|hr|h|minutes|minute|mins|min|m|seconds|second|secs|sec|s)", re.IGNORECASE
)
INTERVAL = re.compile(rf"\s*{PART.pattern}(?:[\s,]*{PART.pattern})*\s*", re.IGNORECASE)

# The shortest and the longest interval of a task, in seconds. A new schedule must meet the minimum of the connector's program; one
# that an earlier version stored stays valid.
SHORTEST = 10
LONGEST = 11520 * 60
SHORTEST_GIVEN = SPEC["shortest_schedule"]

MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
DAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]
# The name of each field, its minimum and maximum, and its words.
FIELDS = [
    ("minute", 0, 59, []),
    ("hour", 0, 23, []),
    ("day of the month", 1, 31, []),
    ("month", 1, 12, MONTHS),
    ("day of the week", 0, 6, DAYS),
]

HELP = "use an interval such as `30m` or `2h`, or a cron expression of five fields in UTC, such as `15 2 * * *`"


def to_task_schedule(text, shortest=SHORTEST_GIVEN):
    """The value of a task's SCHEDULE. Raises INVALID_SCHEDULE."""
    if not isinstance(text, str) or not text.strip():
        raise ProcedureError("INVALID_SCHEDULE", f"the schedule is empty; {HELP}")
    return interval(text, shortest) if INTERVAL.fullmatch(text) else cron(text)


def normalized(text):
    """The normalized form of a stored schedule, by which equal ones are grouped: `30 MINUTE` for `30m`. Raises INVALID_SCHEDULE."""
    return to_task_schedule(text, SHORTEST).strip("'")


def interval(text, shortest):
    """Converts an interval, to minutes if possible."""
    parts = PART.findall(text)
    seconds = sum(int(number) * UNITS[unit[0].lower()] for number, unit in parts)
    if seconds < shortest:
        raise ProcedureError(
            "INVALID_SCHEDULE", f"{text!r} is too short: use an interval of at least {shortest} seconds, such as `30m`"
        )
    if seconds > LONGEST:
        raise ProcedureError(
            "INVALID_SCHEDULE",
            f"{text!r} is too long: a task's interval is at most 11520 minutes (8 days); use a cron expression such as `0 3 1 * *`",
        )
    return f"'{seconds} SECONDS'" if seconds % 60 else f"'{seconds // 60} MINUTE'"


def cron(text):
    """Converts a cron expression, validating each field."""
    fields = text.upper().split()
    if len(fields) == 6:
        raise ProcedureError(
            "INVALID_SCHEDULE", f"{quote_input(text)} has six fields: a task does not support seconds; remove the first field"
        )
    if len(fields) != 5:
        raise ProcedureError("INVALID_SCHEDULE", f"{quote_input(text)} is not a schedule; {HELP}")
    for field, (name, least, greatest, words) in zip(fields, FIELDS, strict=True):
        if not all(part(one, least, greatest, words, name) for one in field.split(",")):
            raise ProcedureError(
                "INVALID_SCHEDULE",
                f"{quote_input(field)} is not a {name} in a task's cron expression ({least} to {greatest}); {HELP}",
            )
    return f"'USING CRON {' '.join(fields)} UTC'"


def part(text, least, greatest, words, name):
    """Whether a part of a field is valid: a number, a word, a range, a star or a last day, with or without a step."""
    if text == "L":
        return name.startswith("day")
    if name == "day of the week" and re.fullmatch(r"(?:[0-6]|SUN|MON|TUE|WED|THU|FRI|SAT)(?:L|#[1-5])", text):
        return True
    body, slash, step = text.partition("/")
    if slash and not (step.isascii() and step.isdigit() and 0 < int(step) <= greatest):
        return False
    if body == "*":
        return True
    numbers = [number(end, least, greatest, words) for end in body.split("-")]
    return None not in numbers and (len(numbers) == 1 or (len(numbers) == 2 and numbers[0] <= numbers[1]))


def number(text, least, greatest, words):
    """The value of a number or word; None if it is invalid."""
    if text in words:
        return words.index(text) + least
    value = int(text) if text.isascii() and text.isdigit() and len(text) < 3 else -1
    return value if least <= value <= greatest else None
