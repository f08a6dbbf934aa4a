"""What the connector costs: a view over the account's usage. To read it, the app needs a privilege that it does not ask for by itself."""

from snowflake.snowpark.exceptions import SnowparkSQLException

import roles
from app_database import app_name, app_object
from names import literal, qualified
from responses import MISSING, NOT_ALLOWED, ProcedureError, ok
from spec import SPEC

VIEW = "CONNECTOR_COST"


def create_view(session, database):
    """Creates the view, and grants it to administrators. Calling it again replaces the view."""
    view = app_object(session, "VIEWS", VIEW)
    try:
        session.sql(f"CREATE OR REPLACE VIEW {view} COPY GRANTS AS {select(app_name(session), database)}").collect()
    except SnowparkSQLException as error:
        if error.sql_error_code not in (NOT_ALLOWED, *MISSING):
            raise
        grant = f"GRANT IMPORTED PRIVILEGES ON DATABASE SNOWFLAKE TO APPLICATION {qualified(app_name(session))}"
        message = f"the app may not read the account's usage: run `{grant}`, then call this procedure again"
        raise ProcedureError("REQUIRED_PRIVILEGES_MISSING", message) from None
    session.sql(f"GRANT SELECT ON VIEW {view} TO APPLICATION ROLE {roles.ADMIN}").collect()
    return ok("the view VIEWS.CONNECTOR_COST shows what the connector costs, a day later at most")


def select(app, database):
    """The cost by day, resource and stream: of the engine's statements, which name the destination in their tags, and of what the app
    itself uses, such as its compute pool."""
    of_app = (
        'SELECT u."USAGE_DATE", NULL, NULL, LOWER(CAST(GET(f."VALUE", \'serviceType\') AS VARCHAR)), NULL, '
        'CAST(CAST(GET(f."VALUE", \'credits\') AS VARCHAR) AS FLOAT) FROM "SNOWFLAKE"."ACCOUNT_USAGE"."APPLICATION_DAILY_USAGE_HISTORY" '
        f'u, LATERAL FLATTEN(input => u."CREDITS_USED_BREAKDOWN") f WHERE u."APPLICATION_NAME" = {literal(app)}'
    )
    return f"{SPEC['usage_sql'].replace('{database}', literal(database))} UNION ALL {of_app}"
