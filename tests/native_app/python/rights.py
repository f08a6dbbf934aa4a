"""What a procedure with its owner's rights may send (stored-procedures-rights): a page has the same rights."""

import re

from snowflake.snowpark.exceptions import SnowparkSQLException

# SELECT, DML, DDL, grants, SHOW, DESCRIBE and LIST. EXECUTE and transactions have pages of their own that allow them in procedures.
ALLOWED = re.compile(
    r"\s*(?:SELECT|WITH|INSERT|UPDATE|DELETE|MERGE|TRUNCATE|COPY|CREATE|ALTER|DROP|UNDROP|COMMENT|GRANT|REVOKE|DESC|DESCRIBE|SHOW|"
    r"LIST|LS|CALL|EXECUTE TASK|EXECUTE JOB SERVICE|EXECUTE IMMEDIATE|BEGIN|COMMIT|ROLLBACK)\b",
    re.IGNORECASE,
)
# What depends on the caller's session or on its user, or changes either.
REFUSED = re.compile(
    r"\s*(?:ALTER\s+SESSION\b|ALTER\s+USER\s+(?:IF\s+EXISTS\s+)?(?:SET|UNSET)\b|SHOW\s+PARAMETERS\s*(?:$|(?:IN|FOR)\s+SESSION)|"
    r"SHOW\s+(?:VARIABLES|LOCKS|TRANSACTIONS|DELEGATED\s+AUTHORIZATIONS)\b|SHOW\s+GRANTS\s*$)|.*\bGET_DDL\s*\(",
    re.IGNORECASE | re.DOTALL,
)


def check(text):
    """Raises what Snowflake raises where a statement is not allowed."""
    if not ALLOWED.match(text) or REFUSED.match(text):
        words = " ".join(text.split()[:2])
        message = f"Stored procedure execution error: Unsupported statement type '{words}'."
        raise SnowparkSQLException(message, sql_error_code=90236)
