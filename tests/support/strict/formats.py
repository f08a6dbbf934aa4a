"""Snowflake's formats of dates and times as those of `strftime`."""

import functools
import re

# The names of an expression's possible types, and the parameters for their output formats.
KINDS = {"DATE": "DATE", "TIME": "TIME", "TIMESTAMP_NTZ": "NTZ", "TIMESTAMP_LTZ": "LTZ", "TIMESTAMP_TZ": "TZ"}

PARTS = {
    "YYYY": "%Y",
    "YY": "%y",
    "MMMM": "%B",
    "MON": "%b",
    "MM": "%m",
    "DD": "%d",
    "DY": "%a",
    "HH24": "%H",
    "HH12": "%I",
    "AM": "%p",
    "PM": "%p",
    "MI": "%M",
    "SS": "%S",
    "FF9": "%n",
    "FF6": "%f",
    "FF3": "%g",
    "FF": "%n",
    "TZH:TZM": "%z",
    "TZHTZM": "%z",
    "TZH": "%z",
}
PART = re.compile('"[^"]*"|' + "|".join(PARTS), re.IGNORECASE)


@functools.cache
def strftime(wanted):
    return PART.sub(lambda found: found[0][1:-1] if found[0][0] == '"' else PARTS[found[0].upper()], wanted)
