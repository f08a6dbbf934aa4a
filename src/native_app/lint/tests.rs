//! Each rule with an example that breaks it.

use super::*;
use crate::native_app::App;
use crate::{SourceSpec, StreamSpec};

/// Returns the findings in a setup script that has these statements after its schemas and role.
fn rules(statements: &str) -> Vec<Rule> {
    findings(statements).into_iter().map(|finding| finding.rule).collect()
}

fn findings(statements: &str) -> Vec<Finding> {
    let script = format!(
        "CREATE APPLICATION ROLE IF NOT EXISTS APP; CREATE SCHEMA IF NOT EXISTS STATE; CREATE OR ALTER VERSIONED SCHEMA PUBLIC;\n\
        {statements}"
    );
    let spec = SourceSpec::new("planets", "1").stream(StreamSpec::new("planets"));
    let mut bundle = Bundle::new(&App::from(&spec)).unwrap();
    bundle.files.insert("setup.sql".into(), script.into());
    bundle.files.insert("procedures/m.py".into(), b"def f(session):\n    pass\n".to_vec());
    lint(&bundle)
}

const PROCEDURE: &str = "CREATE OR REPLACE PROCEDURE PUBLIC.P() RETURNS VARIANT LANGUAGE PYTHON RUNTIME_VERSION = '3.11' \
    PACKAGES = ('snowflake-snowpark-python') IMPORTS = ('/procedures/m.py') HANDLER = 'm.f' EXECUTE AS OWNER;";

#[test]
fn a_valid_script_has_no_findings() {
    let script = format!(
        "{PROCEDURE}
        GRANT USAGE ON PROCEDURE PUBLIC.P() TO APPLICATION ROLE APP;
        GRANT USAGE ON SCHEMA PUBLIC TO APPLICATION ROLE APP;
        CREATE TABLE IF NOT EXISTS STATE.T (A VARCHAR); -- USE DATABASE x;
        ALTER TABLE STATE.T ADD COLUMN IF NOT EXISTS B VARCHAR DEFAULT 'USE ROLE x; reference(''y'')';
        CREATE OR REPLACE VIEW PUBLIC.V AS SELECT * FROM STATE.T;
        CREATE OR REPLACE PROCEDURE PUBLIC.Q() RETURNS STRING LANGUAGE SQL EXECUTE AS OWNER AS $$ BEGIN
            CREATE TEMPORARY TABLE x AS SELECT reference('warehouse_reference'); RETURN 'USE ROLE'; END $$;
        CREATE TASK IF NOT EXISTS STATE.N SCHEDULE = '1 MINUTE' AS CALL PUBLIC.P();
        DROP PROCEDURE IF EXISTS PUBLIC.OLD();
        CREATE OR REPLACE STREAMLIT PUBLIC.S FROM '/page' MAIN_FILE = '/app.py';
        EXECUTE IMMEDIATE $$ BEGIN RETURN 1; END $$;"
    );
    assert_eq!(findings(&script), []);
}

#[test]
fn each_rule_finds_its_example() {
    for (statement, rule) in [
        ("USE DATABASE x;", Rule::NoUse),
        ("use schema public;", Rule::NoUse),
        ("USE ROLE x;", Rule::NoUse),
        ("USE SECONDARY ROLES ALL;", Rule::NoUse),
        (
            "CREATE OR REPLACE PROCEDURE PUBLIC.P() RETURNS STRING LANGUAGE SQL EXECUTE AS CALLER AS 'x';",
            Rule::OwnersRights,
        ),
        (
            "CREATE OR REPLACE PROCEDURE PUBLIC.P() RETURNS STRING LANGUAGE SQL EXECUTE AS RESTRICTED CALLER AS 'x';",
            Rule::OwnersRights,
        ),
        ("CREATE TABLE STATE.T (A VARCHAR);", Rule::Repeatable),
        ("CREATE PROCEDURE PUBLIC.P() RETURNS STRING LANGUAGE SQL AS 'x';", Rule::Repeatable),
        ("CREATE APPLICATION ROLE OTHER;", Rule::Repeatable),
        ("DROP VIEW PUBLIC.V;", Rule::Repeatable),
        ("CREATE OR REPLACE TABLE STATE.T (A VARCHAR);", Rule::KeepsState),
        ("CREATE OR REPLACE SCHEMA OTHER;", Rule::KeepsState),
        ("CREATE OR REPLACE TASK STATE.T SCHEDULE = '1 MINUTE' AS SELECT 1;", Rule::KeepsState),
        ("CREATE OR REPLACE DYNAMIC TABLE STATE.T AS SELECT 1;", Rule::KeepsState),
        ("DROP TABLE IF EXISTS STATE.T;", Rule::KeepsState),
        ("DROP SCHEMA IF EXISTS STATE;", Rule::KeepsState),
        ("CREATE TEMPORARY TABLE IF NOT EXISTS STATE.T (A VARCHAR);", Rule::NoTemporary),
        ("CREATE TEMP STAGE IF NOT EXISTS STATE.S;", Rule::NoTemporary),
        ("CREATE TASK IF NOT EXISTS PUBLIC.T SCHEDULE = '1 MINUTE' AS SELECT 1;", Rule::VersionedSchemas),
        (
            "CREATE SERVICE IF NOT EXISTS PUBLIC.S IN COMPUTE POOL P FROM SPECIFICATION_FILE = '/job.yaml';",
            Rule::VersionedSchemas,
        ),
        (
            "EXECUTE JOB SERVICE IN COMPUTE POOL P NAME = PUBLIC.J FROM SPECIFICATION_FILE = '/job.yaml';",
            Rule::VersionedSchemas,
        ),
        ("CREATE TABLE IF NOT EXISTS PUBLIC.T (A VARCHAR);", Rule::VersionedSchemas),
        ("CREATE VERSIONED SCHEMA IF NOT EXISTS OTHER;", Rule::VersionedSchemas),
        ("CREATE TABLE IF NOT EXISTS T (A VARCHAR);", Rule::Qualified),
        ("CREATE TABLE IF NOT EXISTS NOWHERE.T (A VARCHAR);", Rule::Qualified),
        (&PROCEDURE.replace("/procedures/m.py", "@stage/m.py"), Rule::Imports),
        (&PROCEDURE.replace("/procedures/m.py", "/procedures/n/m.py"), Rule::Imports),
        (&PROCEDURE.replace("PUBLIC.P", "STATE.P"), Rule::Imports),
        ("CREATE OR REPLACE STREAMLIT PUBLIC.S FROM '/page' MAIN_FILE = '/other.py';", Rule::Imports),
        (&PROCEDURE.replace("m.f", "m.g"), Rule::Handlers),
        (&PROCEDURE.replace("m.f", "n.f"), Rule::Handlers),
        (&PROCEDURE.replace("m.f", "f"), Rule::Handlers),
        (&PROCEDURE.replace("3.11", "3.8"), Rule::PythonRuntime),
        (&PROCEDURE.replace("RUNTIME_VERSION = '3.11'", ""), Rule::PythonRuntime),
        (
            "CREATE TASK IF NOT EXISTS STATE.T WAREHOUSE = reference('warehouse_reference') AS SELECT 1;",
            Rule::References,
        ),
        ("CREATE ROLE IF NOT EXISTS R;", Rule::ApplicationRoles),
        ("CREATE DATABASE ROLE IF NOT EXISTS R;", Rule::ApplicationRoles),
        ("GRANT USAGE ON SCHEMA PUBLIC TO ROLE PUBLIC;", Rule::ApplicationRoles),
        ("GRANT USAGE ON SCHEMA PUBLIC TO APPLICATION ROLE NOBODY;", Rule::ApplicationRoles),
        ("GRANT USAGE ON PROCEDURE PUBLIC.P() TO APPLICATION ROLE APP;", Rule::GrantsLast),
        ("CRATE TABLE STATE.T (A VARCHAR);", Rule::Readable),
        ("BEGIN SELECT 1; END;", Rule::Readable),
        ("SELECT 'a", Rule::Readable),
        ("CREATE OR REPLACE PROCEDURE PUBLIC.P() RETURNS STRING LANGUAGE SQL AS $$ x", Rule::Readable),
        ("CREATE OR REPLACE THING STATE.X;", Rule::Readable),
    ] {
        let found = rules(statement);
        assert!(!found.is_empty() && found.iter().all(|found| *found == rule), "{statement}: {found:?}");
    }
}

#[test]
fn missing_files_are_found() {
    let findings = lint(&Bundle { files: Default::default() });
    assert!(
        findings.len() == FILES.len() && findings.iter().all(|finding| finding.rule == Rule::Complete),
        "{findings:?}"
    );
}

#[test]
fn a_finding_has_a_line_and_a_message() {
    let found = &findings("SELECT 1;\n\nUSE ROLE x;")[0];
    assert_eq!(found.to_string(), "setup.sql:4: a setup script cannot USE anything: name objects with their schema");
}
