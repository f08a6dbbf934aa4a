"""Errors with Snowflake's wording."""

import re

from snowflake.connector.errors import ProgrammingError

# Marks an error of one of our functions within DuckDB, which shows only its text.
MARK = "snowflake-error"


def refused(code, state, message):
    return ProgrammingError(msg=message, errno=code, sqlstate=state)


def compilation(code, message, state="42601"):
    return refused(code, state, f"SQL compilation error:\n{message}")


def marked(code, state, message):
    """The same, for a function that DuckDB calls."""
    return ValueError(f"{MARK}|{code}|{state}|{message}|")


def unmarked(text):
    """The error, if one of our functions raised it within DuckDB."""
    found = re.search(rf"{MARK}\|(\d+)\|(\w+)\|(.*?)\|", text, re.DOTALL)
    return found and refused(int(found[1]), found[2], found[3])
