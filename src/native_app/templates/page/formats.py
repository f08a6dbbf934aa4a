"""Ages, times and numbers as texts. None is a dash, never a word."""

import zoneinfo
from dataclasses import dataclass
from datetime import UTC, datetime

NOTHING = "–"
UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def moment(value):
    """A time of the database or of a response, in UTC without a zone; None for anything else."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip().replace("Z", "+00:00"))
        except ValueError:
            return None
    if not isinstance(value, datetime) or value != value:
        return None
    value = value.to_pydatetime() if hasattr(value, "to_pydatetime") else value
    return value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value


def span(seconds):
    """A span of time in one unit from 3 of it on, else in two: `12 min`, `1 h 44 min`, `5 h`."""
    seconds = max(int(seconds), 0)
    for index, (size, unit) in enumerate(UNITS):
        count = seconds // size
        if count or size == 1:
            rest = "" if count >= 3 or size == 1 else second_unit(seconds % size, index + 1)
            return f"{count} {unit}{rest}"
    return "0 s"


def second_unit(seconds, index):
    """The second unit of a span; empty if there is none of it."""
    size, unit = UNITS[index]
    return f" {seconds // size} {unit}" if seconds // size else ""


def duration(seconds):
    """How long something took, in two units: `45 s`, `3 min 20 s`."""
    if seconds is None or seconds != seconds:
        return NOTHING
    if 0 < seconds < 1:
        return "< 1 s"
    seconds = int(round(float(seconds)))
    for index, (size, unit) in enumerate(UNITS[:-1]):
        if seconds >= size:
            return f"{seconds // size} {unit}{second_unit(seconds % size, index + 1)}"
    return f"{seconds} s"


def number(value):
    """A number with separators."""
    return NOTHING if value is None or value != value else f"{int(value):,}"


def signed(value):
    """A change; nothing is a dash, never `+0`."""
    return NOTHING if value is None or value != value or not int(value) else f"{int(value):+,}"


def megabytes(count):
    """A size in MB."""
    if count is None or count != count:
        return NOTHING
    return "< 0.1 MB" if 0 < count < 100_000 else f"{float(count) / 1e6:,.1f} MB"


def credits(value, is_estimated=False):
    """Credits, with `about` if they are estimated; empty if they are unknown."""
    if value is None or value != value:
        return ""
    return f"{'about ' if is_estimated else ''}{float(value):,.1f} credits"


def count(value, noun, plural=None):
    """A number with its noun: `1 run`, `2 runs`."""
    value = int(value or 0)
    return f"{value:,} {noun if value == 1 else plural or noun + 's'}"


@dataclass(frozen=True)
class Clock:
    """The time of a page, and the zone in which it shows times."""

    now: datetime
    zone: str = "UTC"

    def seconds_since(self, value):
        """The seconds since a time; None if there is none."""
        value = moment(value)
        return None if value is None else (self.now - value).total_seconds()

    def age(self, value):
        """How long ago a time was: `5 h`."""
        seconds = self.seconds_since(value)
        return NOTHING if seconds is None else span(seconds)

    def ago(self, value):
        """`5 h ago`."""
        seconds = self.seconds_since(value)
        if seconds is None:
            return NOTHING
        return "just now" if seconds < 1 else f"{span(seconds)} ago"

    def due(self, value):
        """`in 18 min`, or `44 min overdue`."""
        seconds = self.seconds_since(value)
        if seconds is None:
            return NOTHING
        if -60 < seconds < 60:
            return "now"
        return f"in {span(-seconds)}" if seconds <= 0 else f"{span(seconds)} overdue"

    def at(self, value):
        """A time with its zone: `01:22 UTC` today, else `27 Nov 19:42 UTC`."""
        value = moment(value)
        if value is None:
            return NOTHING
        shown, today = self.shifted(value), self.shifted(self.now)
        clock = f"{shown:%H:%M} {self.zone_name(value)}"
        if shown.date() == today.date():
            return clock
        year = "" if shown.year == today.year else f" {shown.year}"
        return f"{shown.day} {shown:%b}{year} {clock}"

    def day(self, value):
        """The day of a time: `16 Nov`."""
        value = moment(value)
        return NOTHING if value is None else f"{self.shifted(value).day} {self.shifted(value):%b}"

    def shifted(self, value):
        """A time in the shown zone."""
        if self.zone == "UTC":
            return value
        return value.replace(tzinfo=UTC).astimezone(zoneinfo.ZoneInfo(self.zone)).replace(tzinfo=None)

    def zone_name(self, value):
        """The short name of the shown zone at a time."""
        if self.zone == "UTC":
            return "UTC"
        return f"{value.replace(tzinfo=UTC).astimezone(zoneinfo.ZoneInfo(self.zone)):%Z}"
