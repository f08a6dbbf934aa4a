"""Tests that the simulated account enforces the rules for owner's-rights procedures."""

import pytest
from snowflake.snowpark.exceptions import SnowparkSQLException


@pytest.mark.parametrize(
    "text",
    [
        "USE WAREHOUSE w",
        "use schema STATE",
        "ALTER SESSION SET TIMEZONE = 'UTC'",
        "SET x = 1",
        "UNSET x",
        "PUT file:///etc/passwd @s",
        "SHOW PARAMETERS",
        "SHOW PARAMETERS IN SESSION",
        "SHOW VARIABLES",
        "SHOW TRANSACTIONS",
        "SHOW LOCKS",
        "SHOW GRANTS",
        "ALTER USER SET PASSWORD = 'x'",
        "SELECT GET_DDL('PROCEDURE', 'PUBLIC.RUN_ALL()')",
    ],
)
def test_session_dependent_statements_are_rejected(app, text):
    with pytest.raises(SnowparkSQLException, match="Unsupported statement type") as error:
        app.session.sql(text).collect()
    assert error.value.sql_error_code == 90236


@pytest.mark.parametrize("text", ['SELECT 1 AS "ONE"', "SHOW TABLES", "BEGIN", "ROLLBACK", "SHOW PARAMETERS IN DATABASE"])
def test_statements_of_the_procedures_are_allowed(app, text):
    import rights

    rights.check(text)
    if text.startswith("SELECT"):
        assert app.session.sql(text).collect()[0]["ONE"] == 1
