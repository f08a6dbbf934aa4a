"""The roles that a consumer grants, and what the app lets them do."""

from snowflake.snowpark.exceptions import SnowparkSQLException

from answers import sentence

ADMIN, VIEWER, READER = "APP_ADMIN", "APP_VIEWER", "APP_DATA_READER"


def grant(session, privileges, role, expected=None):
    """Grants these to one of the roles, and gives back which could not be granted, and why. Where codes of errors are expected,
    others are raised."""
    notes = []
    for privilege in privileges:
        try:
            session.sql(f"GRANT {privilege} TO APPLICATION ROLE {role}").collect()
        except SnowparkSQLException as error:
            if expected and error.sql_error_code not in expected:
                raise
            notes.append(f"not granted to {role}: {privilege} ({sentence(error)})")
    return notes
