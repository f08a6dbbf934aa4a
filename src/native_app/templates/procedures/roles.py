"""The app's application roles, and grants to them."""

from snowflake.snowpark.exceptions import SnowparkSQLException

from responses import error_text

ADMIN, VIEWER, READER = "APP_ADMIN", "APP_VIEWER", "APP_DATA_READER"


def grant(session, privileges, role, expected=None):
    """Grants privileges to an application role and returns a note for each that could not be granted. If `expected` lists error
    codes, others are raised."""
    notes = []
    for privilege in privileges:
        try:
            session.sql(f"GRANT {privilege} TO APPLICATION ROLE {role}").collect()
        except SnowparkSQLException as error:
            if expected and error.sql_error_code not in expected:
                raise
            notes.append(f"not granted to {role}: {privilege} ({error_text(error)})")
    return notes
