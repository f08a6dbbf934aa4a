"""What Snowflake documents and fakesnow does not enforce: each module is a subject of the rule book, `tests/snowflake/rules`.

`fakesnow.py` passes every statement of every session through `run`.
"""

from strict.layer import install, run

__all__ = ["install", "run"]
