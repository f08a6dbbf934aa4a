"""What every procedure answers: `{"response_code": …, "message": …}`, whatever happens."""

import functools
import logging
import re

from snowflake.snowpark.exceptions import SnowparkSQLException

from spec import SPEC

log = logging.getLogger("connector")

# Every code, and what it means. The page has a text for each that says what to do.
CODES = {
    "OK": "done",
    "INVALID_INPUT": "an argument is missing, unknown or malformed",
    "INVALID_IDENTIFIER": "a name cannot be the name of a resource or a database",
    "INVALID_SCHEDULE": "a schedule cannot be read, or Snowflake has no such schedule",
    "INVALID_CONNECTOR_STATUS": "the connector's status does not allow this",
    "INVALID_APPLICATION_NAME": "the application's name needs quotes, with which it can run no container",
    "INVALID_REFERENCE": "the app has no such reference",
    "CONNECTOR_CONFIGURATION_NOT_FOUND": "the connector has not been configured yet",
    "CONFIGURE_CONNECTOR_FAILED": "a statement of the configuration failed",
    "DESTINATION_UNREADABLE": "the destination database is missing, or the app may not read it",
    "DESTINATION_IN_USE": "the destination cannot be changed, or belongs to something else",
    "REQUIRED_PRIVILEGES_MISSING": "a privilege has not been granted to the app",
    "EAI_UNAVAILABLE": "the external access integration is not bound",
    "SECRET_UNAVAILABLE": "a secret that is needed is not bound",
    "INACCESSIBLE_WAREHOUSE": "the warehouse is not bound",
    "COMPUTE_POOL_UNAVAILABLE": "the compute pool is missing or does not start",
    "JOB_NOT_STARTED": "the container was not started: an object that it needs is gone",
    "TEST_CONNECTION_FAILED": "the source cannot be reached with these settings",
    "RESOURCE_NOT_FOUND": "the resource is not configured",
    "RESOURCE_NOT_ENABLED": "the resource is disabled",
    "ENABLE_RESOURCE_ERROR": "a resource could not be enabled",
    "DISABLE_RESOURCE_ERROR": "a resource could not be disabled",
    "UPDATE_RESOURCE_ERROR": "a resource could not be changed",
    "DELETE_RESOURCE_ERROR": "a resource could not be deleted",
    "ALREADY_RUNNING": "a container ingests the resource already",
    "FAILED_TO_CREATE_TASK": "a task could not be made or resumed",
    "INGESTION_FAILED": "the run failed",
    "INGESTION_PARTIAL": "the run left something out",
    "JOB_FAILED": "the container failed, and left nothing in the run history",
    "PAUSE_CONNECTOR_FAILED": "a task could not be suspended",
    "RESUME_CONNECTOR_FAILED": "a task could not be resumed",
    "UNKNOWN_SQL_ERROR": "a statement failed",
    "INTERNAL_ERROR": "a bug",
}

# Snowflake's own codes: not allowed; missing, or hidden.
NOT_ALLOWED = 3001
MISSING = (2003, 2043)
# There is one of this name, whether or not the app may see it.
EXISTS = 2002


class Refusal(Exception):
    """Why a procedure does not do what it was asked to: a code, a sentence, and further members of the answer."""

    def __init__(self, code, message, **details):
        super().__init__(message)
        self.code = code
        self.details = details


class CallFailed(Exception):
    """Ends a call as failed where Snowflake itself is the caller, which does not read answers."""


def ok(message="", **details):
    """The answer when all is done."""
    return {"response_code": "OK", "message": message, **details}


def enveloped(handler):
    """Makes an answer of whatever a handler does: its own answer, a refusal, or a failure."""

    @functools.wraps(handler)
    def answering(session, *arguments):
        try:
            return handler(session, *arguments)
        except Refusal as refusal:
            return {"response_code": refusal.code, "message": str(refusal), **refusal.details}
        except SnowparkSQLException as error:
            log.error("%s: %s", handler.__name__, error)
            code = "REQUIRED_PRIVILEGES_MISSING" if error.sql_error_code == NOT_ALLOWED else "UNKNOWN_SQL_ERROR"
            return {"response_code": code, "message": sentence(error)}
        except Exception as error:
            log.exception("%s failed", handler.__name__)
            return {"response_code": "INTERNAL_ERROR", "message": sentence(error)}

    return answering


def raising(handler):
    """Makes an error of an answer that is not OK: for what Snowflake calls, as a task or a callback."""

    @functools.wraps(handler)
    def calling(session, *arguments):
        answer = enveloped(handler)(session, *arguments)
        if answer["response_code"] != "OK":
            raise CallFailed(f"{answer['response_code']}: {answer['message']}")
        return answer

    return calling


def sentence(error):
    """What went wrong, in one line; of a statement that failed, what Snowflake says, without the statement's place."""
    text = getattr(error, "raw_message", None) or str(error)
    expected = isinstance(error, (SnowparkSQLException, Refusal))
    return " ".join(str(text if expected else f"{type(error).__name__}: {text}").split())


# Tokens and keys of well-known kinds, as the connector's program knows them, and a user or a password within an address.
TOKEN = re.compile(SPEC["token_pattern"] + r"|//[^/?#\s]*@")

# What may be a secret beside that: the beginning of a token, or a long text of letters and digits.
SECRET = re.compile(
    r"gh[oprsu]_|github_pat_|glpat-|-----BEGIN|:[/\\]*[^/\s]*@|(?=[A-Za-z0-9_+=-]*[0-9])(?=[A-Za-z0-9_+=-]*[A-Za-z])[A-Za-z0-9_+=-]{20,}",
    re.IGNORECASE,
)


def shown(given):
    """What was given, as an error repeats it: not where it is long, or may be a secret."""
    if not isinstance(given, str):
        return f"a value of the type {type(given).__name__}"
    is_secret = len(given) > 200 or TOKEN.search(given) or SECRET.search(given)
    return "what was given" if is_secret else repr(given)


def attempt(step, *arguments):
    """Runs a step that takes something back, and says whether it could: what has failed before it counts more."""
    try:
        step(*arguments)
    except Exception:
        log.exception("what was done could not be taken back")
        return False
    return True


def sql_failures(code, what):
    """Makes refusals of statements that fail within: `with sql_failures(code, what): …`."""
    return _Failures(code, what)


class _Failures:
    def __init__(self, code, what):
        self.code = code
        self.what = what

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if isinstance(error, SnowparkSQLException):
            code = "REQUIRED_PRIVILEGES_MISSING" if error.sql_error_code == NOT_ALLOWED else self.code
            raise Refusal(code, f"{self.what}: {sentence(error)}") from error
        return False
