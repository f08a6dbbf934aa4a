"""Tests the view of what the connector costs."""

import json

USAGE = '"SNOWFLAKE"."ACCOUNT_USAGE"'
TAGS = "QUERY_ATTRIBUTION_HISTORY"
DAYS = "APPLICATION_DAILY_USAGE_HISTORY"


def create_usage(app):
    """Creates the account's usage, with the columns that Snowflake documents."""
    for statement in (
        "CREATE DATABASE SNOWFLAKE",
        "CREATE SCHEMA SNOWFLAKE.ACCOUNT_USAGE",
        f'CREATE TABLE {USAGE}."{TAGS}" ("QUERY_TAG" VARCHAR, "START_TIME" TIMESTAMP_TZ, "CREDITS_ATTRIBUTED_COMPUTE" FLOAT, '
        '"CREDITS_USED_QUERY_ACCELERATION" FLOAT)',
        f'CREATE TABLE {USAGE}."{DAYS}" ("APPLICATION_NAME" VARCHAR, "USAGE_DATE" DATE, "CREDITS_USED_BREAKDOWN" VARIANT)',
        f"USE DATABASE {app.name}",
    ):
        app.real.sql(statement).collect()


def test_the_cost_is_shown_by_stream_and_by_service(configured):
    answer = configured.call("create_cost_view")
    assert answer["response_code"] == "REQUIRED_PRIVILEGES_MISSING"
    assert f'GRANT IMPORTED PRIVILEGES ON DATABASE SNOWFLAKE TO APPLICATION "{configured.name}"' in answer["message"]
    create_usage(configured)
    own = {"app": "snowfeed", "database": configured.data, "resource": "a/b", "stream": "issues"}
    for tag in (json.dumps(own, separators=(",", ":")), '{"app":"snowfeed","database":"OTHER"}', "not JSON", None):
        values = "CAST('2026-11-28 23:30:00 +00:00' AS TIMESTAMP_TZ), 0.25, NULL"
        configured.real.sql(f'INSERT INTO {USAGE}."{TAGS}" SELECT ?, {values}', params=[tag]).collect()
    spent = json.dumps([{"serviceType": "SNOWPARK_CONTAINER_SERVICES", "credits": 6.5}])
    for name in (configured.name, "OTHER"):
        days = f"INSERT INTO {USAGE}.\"{DAYS}\" SELECT ?, CAST('2026-11-28' AS DATE), PARSE_JSON(?)"
        configured.real.sql(days, params=[name, spent]).collect()
    for _ in range(2):
        configured.ok("create_cost_view")
    view = f'"{configured.name}"."VIEWS"."CONNECTOR_COST"'
    columns = 'CAST("DAY" AS VARCHAR) AS "DAY", "RESOURCE", "STREAM", "SERVICE", "STATEMENTS", "CREDITS"'
    rows = configured.rows(f'SELECT {columns} FROM {view} ORDER BY "SERVICE"')
    assert [tuple(row.values()) for row in rows] == [
        ("2026-11-28", None, None, "snowpark_container_services", None, 6.5),
        ("2026-11-28", "a/b", "issues", "warehouse", 1, 0.25),
    ]
