"""The response of every procedure: `{"response_code": …, "message": …}`, also for errors."""

import functools
import logging
import re

from snowflake.snowpark.exceptions import SnowparkSQLException

from spec import SPEC

log = logging.getLogger("connector")

# Every response code and its meaning. The page has a text for each that says what to do.
CODES = {
    "OK": "done",
    "INVALID_INPUT": "an argument is missing, unknown or malformed",
    "INVALID_IDENTIFIER": "a name is not valid for a resource or a database",
    "INVALID_SCHEDULE": "a schedule is malformed, or Snowflake does not support it",
    "INVALID_CONNECTOR_STATUS": "the connector's status does not allow this",
    "INVALID_APPLICATION_NAME": "the application cannot run containers, because its name needs quotes",
    "INVALID_REFERENCE": "the app has no such reference",
    "CONNECTOR_CONFIGURATION_NOT_FOUND": "the connector is not configured yet",
    "CONFIGURE_CONNECTOR_FAILED": "a statement of the configuration failed",
    "DESTINATION_UNREADABLE": "the destination database is missing, or the app may not read it",
    "DESTINATION_IN_USE": "the destination cannot be changed, or belongs to another program",
    "REQUIRED_PRIVILEGES_MISSING": "a privilege has not been granted to the app",
    "EAI_UNAVAILABLE": "the external access integration is not bound",
    "SECRET_UNAVAILABLE": "a required secret is not bound",
    "INACCESSIBLE_WAREHOUSE": "the warehouse is not bound",
    "COMPUTE_POOL_UNAVAILABLE": "the compute pool is missing or does not start",
    "JOB_NOT_STARTED": "the container did not start: an object that it needs is missing",
    "TEST_CONNECTION_FAILED": "the source cannot be reached with these settings",
    "RESOURCE_NOT_FOUND": "the resource is not configured",
    "RESOURCE_NOT_ENABLED": "the resource is disabled",
    "ENABLE_RESOURCE_ERROR": "a resource could not be enabled",
    "DISABLE_RESOURCE_ERROR": "a resource could not be disabled",
    "UPDATE_RESOURCE_ERROR": "a resource could not be changed",
    "DELETE_RESOURCE_ERROR": "a resource could not be deleted",
    "ALREADY_RUNNING": "a container is already ingesting the resource",
    "FAILED_TO_CREATE_TASK": "a task could not be created or resumed",
    "INGESTION_FAILED": "the run failed",
    "INGESTION_PARTIAL": "the run is incomplete",
    "INGESTION_PAUSED": "the budget is used up",
    "JOB_FAILED": "the container failed without a record in the run history",
    "PAUSE_CONNECTOR_FAILED": "a task could not be suspended",
    "RESUME_CONNECTOR_FAILED": "a task could not be resumed",
    "UNKNOWN_SQL_ERROR": "a statement failed",
    "INTERNAL_ERROR": "a bug",
}

# Snowflake's error codes: insufficient privileges; object missing or not visible; no such column.
NOT_ALLOWED = 3001
MISSING = (2003, 2043)
UNKNOWN_COLUMN = 904
# An object of this name exists; the app may not see it.
EXISTS = 2002


class ProcedureError(Exception):
    """An error that a procedure reports: a code, a message, and further members of the response."""

    def __init__(self, code, message, **details):
        super().__init__(message)
        self.code = code
        self.details = details


class CallFailed(Exception):
    """Fails a call from Snowflake itself, which does not read responses."""


def ok(message="", **details):
    """The response of a successful call."""
    return {"response_code": "OK", "message": message, **details}


def returns_response(handler):
    """Turns the result of a handler, or its exception, into a response."""

    @functools.wraps(handler)
    def respond(session, *arguments):
        try:
            return handler(session, *arguments)
        except ProcedureError as error:
            return {"response_code": error.code, "message": str(error), **error.details}
        except SnowparkSQLException as error:
            log.error("%s: %s", handler.__name__, error)
            code = "REQUIRED_PRIVILEGES_MISSING" if error.sql_error_code == NOT_ALLOWED else "UNKNOWN_SQL_ERROR"
            return {"response_code": code, "message": error_text(error)}
        except Exception as error:
            log.exception("%s failed", handler.__name__)
            return {"response_code": "INTERNAL_ERROR", "message": error_text(error)}

    return respond


def raises_on_failure(handler):
    """Raises an error for a response that is not OK: for handlers that Snowflake calls, as a task or a callback."""

    @functools.wraps(handler)
    def call(session, *arguments):
        response = returns_response(handler)(session, *arguments)
        if response["response_code"] != "OK":
            raise CallFailed(f"{response['response_code']}: {response['message']}")
        return response

    return call


def error_text(error):
    """An error's message on one line; for a SQL error, Snowflake's message without the position in the statement."""
    text = getattr(error, "raw_message", None) or str(error)
    expected = isinstance(error, (SnowparkSQLException, ProcedureError))
    return " ".join(str(text if expected else f"{type(error).__name__}: {text}").split())


# Well-known tokens and keys, by the same pattern as in the connector's program, and a user or a password in a URL.
TOKEN = re.compile(SPEC["token_pattern"] + r"|//[^/?#\s]*@")

# The whole of such a token or key.
CREDENTIAL = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)|" + SPEC["token_pattern"] + r"[A-Za-z0-9_.+/=-]*|//[^/?#\s]*@",
    re.DOTALL,
)

# Other possible secrets: the beginning of a token, or a long text of letters and digits.
SECRET = re.compile(
    r"gh[oprsu]_|github_pat_|glpat-|-----BEGIN|:[/\\]*[^/\s]*@|(?=[A-Za-z0-9_+=-]*[0-9])(?=[A-Za-z0-9_+=-]*[A-Za-z])[A-Za-z0-9_+=-]{20,}",
    re.IGNORECASE,
)


def quote_input(given):
    """User input for an error message, withheld if it is long or may be a secret."""
    if not isinstance(given, str):
        return f"a value of type {type(given).__name__}"
    is_secret = len(given) > 200 or TOKEN.search(given) or SECRET.search(given)
    return "the value" if is_secret else repr(given)


def redact(text):
    """A text of another program without well-known tokens and keys."""
    return CREDENTIAL.sub(lambda found: f"{found[1] or ''}***", text)


def attempt(step, *arguments):
    """Runs a rollback step and returns whether it succeeded. Its error is only logged: the caller raises the original one."""
    try:
        step(*arguments)
    except Exception:
        log.exception("a change could not be rolled back")
        return False
    return True


def wrap_sql_errors(code, what):
    """Turns SQL errors in its block into ProcedureErrors: `with wrap_sql_errors(code, what): …`."""
    return _SqlErrors(code, what)


class _SqlErrors:
    def __init__(self, code, what):
        self.code = code
        self.what = what

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if isinstance(error, SnowparkSQLException):
            code = "REQUIRED_PRIVILEGES_MISSING" if error.sql_error_code == NOT_ALLOWED else self.code
            raise ProcedureError(code, f"{self.what}: {error_text(error)}") from error
        return False
