"""When schedules are due, as numbers that SQL can compute with: SQL cannot read a cron expression.

An interval is due at its multiples since 1970-01-01T00:00:00Z, as in the connector's program. A cron expression becomes the days on which it
is due, as numbers since 1970-01-01, and the seconds of such a day.
"""

import calendar
from datetime import UTC, date, datetime, timedelta

import schedules
from responses import ProcedureError

EPOCH = date(1970, 1, 1)

# How many days are listed before and after today, and the least number of days on which a schedule is due that are listed after today: the
# 29th of February is rare.
DAYS_BEFORE, DAYS_AFTER, LEAST_DUE_DAYS = 400, 800, 3

# The days are listed anew when fewer than this many are left.
FEWEST_DAYS_LEFT = 400

# No expression is due for the first time later than this. The 29th of February may be eight years away.
FARTHEST = 366 * 40


def described(stored, known, today):
    """The description of each of these stored schedules, by its text. What is `known` and still suffices on this day is kept."""
    return {text: known[text] if is_sufficient(known.get(text), today) else describe(text, today) for text in sorted(stored)}


def today():
    """The number of the current day in UTC."""
    return (datetime.now(UTC).date() - EPOCH).days


def is_sufficient(description, today):
    """Whether a stored description need not be made anew."""
    if not isinstance(description, dict):
        return False
    until = description.get("until")
    return "every" in description or isinstance(until, int) and until >= today + FEWEST_DAYS_LEFT


def describe(text, today):
    """The description of a stored schedule. One that cannot be used has neither an interval nor days."""
    try:
        kind, _, rest = schedules.normalized(text).partition(" ")
    except ProcedureError:
        return {"until": today + DAYS_AFTER}
    if kind != "USING":
        return {"every": int(kind) * (60 if rest == "MINUTE" else 1)}
    fields = rest.split()[1:-1]
    minutes, hours = (sorted(values(field, *schedules.FIELDS[index][1:])) for index, field in enumerate(fields[:2]))
    days, day, after = [], today - DAYS_BEFORE, 0
    while day <= today + DAYS_AFTER or after < LEAST_DUE_DAYS and day <= today + FARTHEST:
        if is_due_on(fields[2:], EPOCH + timedelta(days=day)):
            days.append(day)
            after += day > today
        day += 1
    return {"seconds": [hour * 3600 + minute * 60 for hour in hours for minute in minutes], "days": days, "until": day - 1}


def is_due_on(fields, day):
    """Whether a cron expression is due on a day. If it restricts both the day of the month and the day of the week, either suffices."""
    of_month, month, of_week = fields
    if day.month not in values(month, *schedules.FIELDS[3][1:]):
        return False
    matches = [matches_day_of_month(of_month, day), matches_day_of_week(of_week, day)]
    is_restricted = [not field.startswith("*") for field in (of_month, of_week)]
    return any(matches) if all(is_restricted) else all(matches)


def matches_day_of_month(field, day):
    """Whether a day is in the field for days of the month. `L` is the last one."""
    last = calendar.monthrange(day.year, day.month)[1]
    parts = field.split(",")
    return "L" in parts and day.day == last or day.day in values(",".join(part for part in parts if part != "L"), 1, 31, [])


def matches_day_of_week(field, day):
    """Whether a day is in the field for days of the week. `FRIL` is the last Friday of a month, `FRI#2` the second."""
    weekday, last = day.isoweekday() % 7, calendar.monthrange(day.year, day.month)[1]
    for part in field.split(","):
        name, mark, number = part.partition("#")
        if not mark and len(part) > 1 and part.endswith("L"):
            name, mark = part[:-1], "L"
        if part == "L":
            # Alone it is Saturday, the last day of a week.
            is_match = weekday == 6
        elif mark:
            is_last = day.day + 7 > last
            is_match = weekday == schedules.number(name, 0, 6, schedules.DAYS) and (
                is_last if mark == "L" else (day.day - 1) // 7 + 1 == int(number)
            )
        else:
            is_match = weekday in values(part, 0, 6, schedules.DAYS)
        if is_match:
            return True
    return False


def values(field, least, greatest, words):
    """The numbers of a field of a cron expression, which is valid."""
    found = set()
    for part in filter(None, field.split(",")):
        body, _, step = part.partition("/")
        ends = [least, greatest] if body == "*" else [schedules.number(end, least, greatest, words) for end in body.split("-")]
        # With a step, a number alone is where the steps begin.
        last = ends[-1] if len(ends) == 2 or not step else greatest
        found.update(range(ends[0], last + 1, int(step or 1)))
    return found
