"""Enforces documented rules of Snowflake that fakesnow ignores. Each module is a subject of the rule book, `tests/snowflake/rules`.

`fakesnow.py` passes every statement of every session through `run`.
"""

from strict.layer import install, run

__all__ = ["install", "run"]
