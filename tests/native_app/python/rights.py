"""The statements allowed in an owner's-rights procedure (stored-procedures-rights), and so in a page."""

import re

from snowflake.snowpark.exceptions import SnowparkSQLException

# SELECT, DML, DDL, grants, SHOW, DESCRIBE and LIST. Separate documentation pages allow EXECUTE and transactions.
ALLOWED = re.compile(
    r"\s*(?:SELECT|WITH|INSERT|UPDATE|DELETE|MERGE|TRUNCATE|COPY|CREATE|ALTER|DROP|UNDROP|COMMENT|GRANT|REVOKE|DESC|DESCRIBE|SHOW|"
    r"LIST|LS|CALL|EXECUTE TASK|EXECUTE JOB SERVICE|EXECUTE IMMEDIATE|BEGIN|COMMIT|ROLLBACK)\b",
    re.IGNORECASE,
)
# Statements that depend on the caller's session or user, or change either.
REFUSED = re.compile(
    r"\s*(?:ALTER\s+SESSION\b|ALTER\s+USER\s+(?:IF\s+EXISTS\s+)?(?:SET|UNSET)\b|SHOW\s+PARAMETERS\s*(?:$|(?:IN|FOR)\s+SESSION)|"
    r"SHOW\s+(?:VARIABLES|LOCKS|TRANSACTIONS|DELEGATED\s+AUTHORIZATIONS)\b|SHOW\s+GRANTS\s*$)|.*\bGET_DDL\s*\(",
    re.IGNORECASE | re.DOTALL,
)


def check(text):
    """Raises Snowflake's error if a statement is not allowed."""
    if not ALLOWED.match(text) or REFUSED.match(text):
        words = " ".join(text.split()[:2])
        message = f"Stored procedure execution error: Unsupported statement type '{words}'."
        raise SnowparkSQLException(message, sql_error_code=90236)
