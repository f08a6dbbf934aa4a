-- Makes what the application consists of, and makes it again at every upgrade: each statement can be repeated.
-- Generated: change the connector, or the options of `app build`.

-- Roles that the consumer grants.
CREATE APPLICATION ROLE IF NOT EXISTS APP_ADMIN
    COMMENT = 'Configures the connector, enables and runs what it ingests';
CREATE APPLICATION ROLE IF NOT EXISTS APP_VIEWER
    COMMENT = 'Sees the page, and how the connector stands';
CREATE APPLICATION ROLE IF NOT EXISTS APP_DATA_READER
    COMMENT = 'Reads what was ingested';
GRANT APPLICATION ROLE APP_VIEWER TO APPLICATION ROLE APP_ADMIN;
GRANT APPLICATION ROLE APP_DATA_READER TO APPLICATION ROLE APP_ADMIN;

-- What lives as long as the application does. Tables that are there already stay as they are: PUBLIC.APPLY_VERSION widens their
-- texts. A collation that they have from the account does no harm: no two keys that the app gives differ only by case.
CREATE SCHEMA IF NOT EXISTS STATE;

CREATE TABLE IF NOT EXISTS STATE.APP_CONFIGURATION (
    "KEY" VARCHAR NOT NULL PRIMARY KEY,
    "VALUE" VARIANT,
    "DOCUMENT" VARCHAR('<<longest_text>>')
)
    DEFAULT_DDL_COLLATION = '';

-- Every container that was started, from before its start until long after its end.
CREATE TABLE IF NOT EXISTS STATE.INGESTION_JOB (
    "KEY" VARCHAR NOT NULL PRIMARY KEY,
    "VALUE" VARIANT,
    "DOCUMENT" VARCHAR('<<longest_text>>')
)
    DEFAULT_DDL_COLLATION = '';

-- Tasks, one for each schedule in use.
CREATE SCHEMA IF NOT EXISTS TASKS;
GRANT USAGE ON SCHEMA TASKS TO APPLICATION ROLE APP_ADMIN;

-- Containers.
CREATE SCHEMA IF NOT EXISTS JOBS;
GRANT USAGE ON SCHEMA JOBS TO APPLICATION ROLE APP_ADMIN;

-- Views over the database of the data, made once the consumer has named it.
CREATE SCHEMA IF NOT EXISTS VIEWS;
GRANT USAGE ON SCHEMA VIEWS TO APPLICATION ROLE APP_ADMIN;
GRANT USAGE ON SCHEMA VIEWS TO APPLICATION ROLE APP_VIEWER;

-- Code, which belongs to one version of the application.
CREATE OR ALTER VERSIONED SCHEMA PUBLIC;
GRANT USAGE ON SCHEMA PUBLIC TO APPLICATION ROLE APP_ADMIN;
GRANT USAGE ON SCHEMA PUBLIC TO APPLICATION ROLE APP_VIEWER;

-- Stores the configuration, and makes the database of the data and what belongs in it.
CREATE OR REPLACE PROCEDURE PUBLIC.PROVISION_CONNECTOR(CONFIG VARIANT)
    RETURNS VARIANT
    LANGUAGE PYTHON
    RUNTIME_VERSION = '3.11'
    PACKAGES = ('snowflake-snowpark-python')
    IMPORTS = ('<<imports>>')
    HANDLER = 'connector.provision_connector'
    EXECUTE AS OWNER;
GRANT USAGE ON PROCEDURE PUBLIC.PROVISION_CONNECTOR(VARIANT) TO APPLICATION ROLE APP_ADMIN;

-- Changes settings of the source.
CREATE OR REPLACE PROCEDURE PUBLIC.UPDATE_SETTINGS(SETTINGS VARIANT)
    RETURNS VARIANT
    LANGUAGE PYTHON
    RUNTIME_VERSION = '3.11'
    PACKAGES = ('snowflake-snowpark-python')
    IMPORTS = ('<<imports>>')
    HANDLER = 'connector.update_settings'
    EXECUTE AS OWNER;
GRANT USAGE ON PROCEDURE PUBLIC.UPDATE_SETTINGS(VARIANT) TO APPLICATION ROLE APP_ADMIN;

-- Checks the settings, and that the source answers.
CREATE OR REPLACE PROCEDURE PUBLIC.TEST_CONNECTION()
    RETURNS VARIANT
    LANGUAGE PYTHON
    RUNTIME_VERSION = '3.11'
    PACKAGES = ('snowflake-snowpark-python')
    IMPORTS = ('<<imports>>')
    HANDLER = 'connector.test_connection'
    EXECUTE AS OWNER;
GRANT USAGE ON PROCEDURE PUBLIC.TEST_CONNECTION() TO APPLICATION ROLE APP_ADMIN;

-- How the connector stands, with its settings.
CREATE OR REPLACE PROCEDURE PUBLIC.GET_CONNECTOR_STATUS()
    RETURNS VARIANT
    LANGUAGE PYTHON
    RUNTIME_VERSION = '3.11'
    PACKAGES = ('snowflake-snowpark-python')
    IMPORTS = ('<<imports>>')
    HANDLER = 'connector.get_connector_status'
    EXECUTE AS OWNER;
GRANT USAGE ON PROCEDURE PUBLIC.GET_CONNECTOR_STATUS() TO APPLICATION ROLE APP_ADMIN;

-- How the connector stands, without its settings.
CREATE OR REPLACE PROCEDURE PUBLIC.GET_VIEWER_STATUS()
    RETURNS VARIANT
    LANGUAGE PYTHON
    RUNTIME_VERSION = '3.11'
    PACKAGES = ('snowflake-snowpark-python')
    IMPORTS = ('<<imports>>')
    HANDLER = 'connector.get_viewer_status'
    EXECUTE AS OWNER;
GRANT USAGE ON PROCEDURE PUBLIC.GET_VIEWER_STATUS() TO APPLICATION ROLE APP_ADMIN;
GRANT USAGE ON PROCEDURE PUBLIC.GET_VIEWER_STATUS() TO APPLICATION ROLE APP_VIEWER;

-- Suspends every task.
CREATE OR REPLACE PROCEDURE PUBLIC.PAUSE_CONNECTOR()
    RETURNS VARIANT
    LANGUAGE PYTHON
    RUNTIME_VERSION = '3.11'
    PACKAGES = ('snowflake-snowpark-python')
    IMPORTS = ('<<imports>>')
    HANDLER = 'connector.pause_connector'
    EXECUTE AS OWNER;
GRANT USAGE ON PROCEDURE PUBLIC.PAUSE_CONNECTOR() TO APPLICATION ROLE APP_ADMIN;

-- Resumes every task.
CREATE OR REPLACE PROCEDURE PUBLIC.RESUME_CONNECTOR()
    RETURNS VARIANT
    LANGUAGE PYTHON
    RUNTIME_VERSION = '3.11'
    PACKAGES = ('snowflake-snowpark-python')
    IMPORTS = ('<<imports>>')
    HANDLER = 'connector.resume_connector'
    EXECUTE AS OWNER;
GRANT USAGE ON PROCEDURE PUBLIC.RESUME_CONNECTOR() TO APPLICATION ROLE APP_ADMIN;

-- Ingests a resource from now on, on schedule.
CREATE OR REPLACE PROCEDURE PUBLIC.ENABLE_RESOURCE(NAME STRING)
    RETURNS VARIANT
    LANGUAGE PYTHON
    RUNTIME_VERSION = '3.11'
    PACKAGES = ('snowflake-snowpark-python')
    IMPORTS = ('<<imports>>')
    HANDLER = 'connector.enable_resource'
    EXECUTE AS OWNER;
GRANT USAGE ON PROCEDURE PUBLIC.ENABLE_RESOURCE(STRING) TO APPLICATION ROLE APP_ADMIN;

-- Stops ingesting a resource; its rows and its state stay.
CREATE OR REPLACE PROCEDURE PUBLIC.DISABLE_RESOURCE(NAME STRING)
    RETURNS VARIANT
    LANGUAGE PYTHON
    RUNTIME_VERSION = '3.11'
    PACKAGES = ('snowflake-snowpark-python')
    IMPORTS = ('<<imports>>')
    HANDLER = 'connector.disable_resource'
    EXECUTE AS OWNER;
GRANT USAGE ON PROCEDURE PUBLIC.DISABLE_RESOURCE(STRING) TO APPLICATION ROLE APP_ADMIN;

-- Changes how often a resource is ingested.
CREATE OR REPLACE PROCEDURE PUBLIC.UPDATE_RESOURCE(NAME STRING, SCHEDULE STRING)
    RETURNS VARIANT
    LANGUAGE PYTHON
    RUNTIME_VERSION = '3.11'
    PACKAGES = ('snowflake-snowpark-python')
    IMPORTS = ('<<imports>>')
    HANDLER = 'connector.update_resource'
    EXECUTE AS OWNER;
GRANT USAGE ON PROCEDURE PUBLIC.UPDATE_RESOURCE(STRING, STRING) TO APPLICATION ROLE APP_ADMIN;

-- Forgets a resource, and drops its rows where that is asked for.
CREATE OR REPLACE PROCEDURE PUBLIC.DELETE_RESOURCE(NAME STRING, DROP_DATA BOOLEAN DEFAULT FALSE)
    RETURNS VARIANT
    LANGUAGE PYTHON
    RUNTIME_VERSION = '3.11'
    PACKAGES = ('snowflake-snowpark-python')
    IMPORTS = ('<<imports>>')
    HANDLER = 'connector.delete_resource'
    EXECUTE AS OWNER;
GRANT USAGE ON PROCEDURE PUBLIC.DELETE_RESOURCE(STRING, BOOLEAN) TO APPLICATION ROLE APP_ADMIN;

-- Starts a run of a resource, in a container of its own.
CREATE OR REPLACE PROCEDURE PUBLIC.INGEST_DATA(NAME STRING)
    RETURNS VARIANT
    LANGUAGE PYTHON
    RUNTIME_VERSION = '3.11'
    PACKAGES = ('snowflake-snowpark-python')
    IMPORTS = ('<<imports>>')
    HANDLER = 'connector.ingest_data'
    EXECUTE AS OWNER;
GRANT USAGE ON PROCEDURE PUBLIC.INGEST_DATA(STRING) TO APPLICATION ROLE APP_ADMIN;

-- Starts a run that reads all of a resource, and marks deleted what is gone; ALLOW_DELETIONS confirms that this may
-- be most of a table.
CREATE OR REPLACE PROCEDURE PUBLIC.RECONCILE_RESOURCE(NAME STRING, ALLOW_DELETIONS BOOLEAN DEFAULT FALSE)
    RETURNS VARIANT
    LANGUAGE PYTHON
    RUNTIME_VERSION = '3.11'
    PACKAGES = ('snowflake-snowpark-python')
    IMPORTS = ('<<imports>>')
    HANDLER = 'connector.reconcile_resource'
    EXECUTE AS OWNER;
GRANT USAGE ON PROCEDURE PUBLIC.RECONCILE_RESOURCE(STRING, BOOLEAN) TO APPLICATION ROLE APP_ADMIN;

-- Forgets where a resource stands, so that the next run reads it from the start.
CREATE OR REPLACE PROCEDURE PUBLIC.RESET_RESOURCE(NAME STRING)
    RETURNS VARIANT
    LANGUAGE PYTHON
    RUNTIME_VERSION = '3.11'
    PACKAGES = ('snowflake-snowpark-python')
    IMPORTS = ('<<imports>>')
    HANDLER = 'connector.reset_resource'
    EXECUTE AS OWNER;
GRANT USAGE ON PROCEDURE PUBLIC.RESET_RESOURCE(STRING) TO APPLICATION ROLE APP_ADMIN;

-- Starts a run of everything that is enabled.
CREATE OR REPLACE PROCEDURE PUBLIC.RUN_ALL()
    RETURNS VARIANT
    LANGUAGE PYTHON
    RUNTIME_VERSION = '3.11'
    PACKAGES = ('snowflake-snowpark-python')
    IMPORTS = ('<<imports>>')
    HANDLER = 'connector.run_all'
    EXECUTE AS OWNER;
GRANT USAGE ON PROCEDURE PUBLIC.RUN_ALL() TO APPLICATION ROLE APP_ADMIN;

-- Starts what is due, and looks at how containers have ended. Tasks call this; no role may.
CREATE OR REPLACE PROCEDURE PUBLIC.RUN_SCHEDULE(SCHEDULE STRING)
    RETURNS VARIANT
    LANGUAGE PYTHON
    RUNTIME_VERSION = '3.11'
    PACKAGES = ('snowflake-snowpark-python')
    IMPORTS = ('<<imports>>')
    HANDLER = 'connector.run_schedule'
    EXECUTE AS OWNER;

-- Binds an object of the account, or takes it away. Snowflake calls this.
CREATE OR REPLACE PROCEDURE PUBLIC.REGISTER_REFERENCE(REF_NAME STRING, OPERATION STRING, REF_OR_ALIAS STRING)
    RETURNS VARIANT
    LANGUAGE PYTHON
    RUNTIME_VERSION = '3.11'
    PACKAGES = ('snowflake-snowpark-python')
    IMPORTS = ('<<imports>>')
    HANDLER = 'connector.register_reference'
    EXECUTE AS OWNER;
GRANT USAGE ON PROCEDURE PUBLIC.REGISTER_REFERENCE(STRING, STRING, STRING) TO APPLICATION ROLE APP_ADMIN;

-- What an object must be like to be bound. Snowflake calls this.
CREATE OR REPLACE PROCEDURE PUBLIC.GET_REFERENCE_CONFIG(REF_NAME STRING)
    RETURNS STRING
    LANGUAGE PYTHON
    RUNTIME_VERSION = '3.11'
    PACKAGES = ('snowflake-snowpark-python')
    IMPORTS = ('<<imports>>')
    HANDLER = 'connector.get_reference_config'
    EXECUTE AS OWNER;
GRANT USAGE ON PROCEDURE PUBLIC.GET_REFERENCE_CONFIG(STRING) TO APPLICATION ROLE APP_ADMIN;

-- Makes the compute pool once it may. Snowflake calls this.
CREATE OR REPLACE PROCEDURE PUBLIC.GRANT_CALLBACK(PRIVILEGES ARRAY)
    RETURNS VARIANT
    LANGUAGE PYTHON
    RUNTIME_VERSION = '3.11'
    PACKAGES = ('snowflake-snowpark-python')
    IMPORTS = ('<<imports>>')
    HANDLER = 'connector.grant_callback'
    EXECUTE AS OWNER;
GRANT USAGE ON PROCEDURE PUBLIC.GRANT_CALLBACK(ARRAY) TO APPLICATION ROLE APP_ADMIN;

-- The page. Whoever may open it may press its buttons, so that viewers have one of their own.
CREATE OR REPLACE STREAMLIT PUBLIC.APP_PAGE
    FROM '/page'
    MAIN_FILE = '/app.py'
    TITLE = '<<title>>'
    COMMENT = '<<description>>';
GRANT USAGE ON STREAMLIT PUBLIC.APP_PAGE TO APPLICATION ROLE APP_ADMIN;

--% if 'page/viewer.py' in artifacts
-- The page of those who only look.
CREATE OR REPLACE STREAMLIT PUBLIC.VIEWER_PAGE
    FROM '/page'
    MAIN_FILE = '/viewer.py'
    TITLE = '<<title>>'
    COMMENT = '<<description>>';
GRANT USAGE ON STREAMLIT PUBLIC.VIEWER_PAGE TO APPLICATION ROLE APP_ADMIN;
GRANT USAGE ON STREAMLIT PUBLIC.VIEWER_PAGE TO APPLICATION ROLE APP_VIEWER;
--% endif

-- Applies this version to what an earlier one has made.
CREATE OR REPLACE PROCEDURE PUBLIC.APPLY_VERSION()
    RETURNS VARIANT
    LANGUAGE PYTHON
    RUNTIME_VERSION = '3.11'
    PACKAGES = ('snowflake-snowpark-python')
    IMPORTS = ('<<imports>>')
    HANDLER = 'connector.apply_version'
    EXECUTE AS OWNER;

-- The same, whatever happens: without a warehouse, for one, no Python runs, which must end neither an installation nor an upgrade.
CREATE OR REPLACE PROCEDURE PUBLIC.INITIALIZE_VERSION()
    RETURNS STRING
    LANGUAGE SQL
    EXECUTE AS OWNER
    AS $$
BEGIN
    CALL PUBLIC.APPLY_VERSION();
    RETURN 'done';
EXCEPTION
    WHEN OTHER THEN
        RETURN SQLERRM;
END
$$;

-- Last of all. At installation it makes the compute pool where that has been granted. Snowflake calls the same after an upgrade.
CALL PUBLIC.INITIALIZE_VERSION();
