//! The same commands with `--to snowflake`, against a server that imitates Snowflake.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use github_server::GithubServer;
use serde_json::Value;
use snowfeed::backends::snowflake::{ConnectionConfig, Credentials, Protocol};
use snowfeed::internals::snowflake::{Client, HttpClient, Sql, Statement};

use super::support::{Ended, Program, end, signal, until};
use crate::peers::{self, Server};

#[path = "snowflake/cost.rs"]
mod cost;

const PASSWORD: &str = "correct-horse-battery-staple";

/// The example over a separate database, which does not exist yet, and a session to inspect it.
struct Scenario {
    program: Program,
    server: &'static Server,
    database: String,
}

impl Scenario {
    /// `None` where there is no server.
    fn new(program: Program) -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let server = peers::fakesnow()?;
        let database = format!("CLI{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let program = program.snowflake(server.port, PASSWORD, &database);
        Some(Self { program, server, database })
    }

    fn client(&self) -> HttpClient {
        let connection = ConnectionConfig::new("testorg-account", "tester", Credentials::Password(PASSWORD.into()));
        HttpClient::new(connection.host("127.0.0.1").port(self.server.port).protocol(Protocol::Http)).unwrap()
    }

    /// The number that a statement returns; `{db}` is the placeholder for the database.
    async fn number(&self, select: &str) -> i64 {
        let mut session = self.client().open().await.unwrap();
        let select = Statement::new(Sql::assert_safe(select.replace("{db}", &self.database)));
        let number = session.execute(select).await.unwrap().rows[0].integer(0).unwrap();
        session.close().await.unwrap();
        number
    }

    /// The live rows of a resource, and their number of distinct keys.
    async fn rows(&self, resource: &str) -> (i64, i64) {
        let count = |what: &str| {
            format!("SELECT COUNT({what}) AS N FROM {{db}}.PUBLIC_RAW.\"{resource}\" WHERE DELETED_AT IS NULL")
        };
        (self.number(&count("*")).await, self.number(&count("DISTINCT KEY")).await)
    }

    async fn json(&self, args: &[&str]) -> Value {
        self.program.json(args).await
    }
}

async fn upstream() -> GithubServer {
    GithubServer::builder().seed(7).repository("acme/gears", 30).start().await.unwrap()
}

#[track_caller]
fn assert_stderr(ended: &Ended, parts: &[&str]) {
    for part in parts {
        assert!(ended.stderr.contains(part), "{part:?} is not in {}", ended.stderr);
    }
    assert!(ended.stderr.lines().filter(|line| line.starts_with("error: ")).count() == 1, "{}", ended.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_works_on_snowflake_as_on_a_file() {
    let upstream = upstream().await;
    let Some(scenario) = Scenario::new(Program::github(upstream.url())) else { return };
    let program = &scenario.program;
    let check = program.run(&["check"]).await.expect(0).stdout;
    let lines = [
        "connection  ok      account testorg-account at http://127.0.0.1:",
        "login       ok      as TESTER",
        "role        ok      ACCOUNTADMIN",
        "warehouse   ok      \"COMPUTE_WH\"",
        "not created yet; the first `enable` or `ingest` creates it",
        "settings    ok",
        "remote      ok",
    ];
    assert!(lines.iter().all(|line| check.contains(line)), "{check}");
    for (args, code) in
        [(&["status"][..], 0), (&["runs"], 0), (&["configure"], 0), (&["preview", "acme/gears"], 6), (&["ingest"], 4)]
    {
        program.run(args).await.expect(code);
    }
    let check = program.run(&["check"]).await.expect(0).stdout;
    assert!(check.contains("not created yet"), "read commands create nothing: {check}");

    let ended = program.run(&["ingest", "acme/gears"]).await.expect(0);
    assert!(ended.stdout.contains("acme/gears  complete        30"), "{}", ended.stdout);
    let spent = ended.stderr.lines().find(|line| line.starts_with("Snowflake: ")).unwrap_or_default();
    assert!(spent.contains(" statements, 0 B staged, ") && spent.ends_with(" credits (XSMALL)"), "{}", ended.stderr);
    let check = program.run(&["check"]).await.expect(0).stdout;
    assert!(check.contains("tables      ok      created, in "), "{check}");

    let status = scenario.json(&["status"]).await;
    assert_eq!(
        (&status["resources"][0]["state"], &status["resources"][0]["enabled"]),
        (&"complete".into(), &true.into())
    );
    assert_eq!(scenario.json(&["preview", "acme/gears", "--limit", "50"]).await["rows"].as_array().unwrap().len(), 30);
    assert_eq!(scenario.json(&["runs"]).await["runs"][0]["counts"]["inserted"], 30);

    let idle = scenario.json(&["ingest"]).await;
    assert_eq!((&idle["status"], &idle["counts"]["inserted"]), (&"complete".into(), &0.into()));
    assert_eq!(idle["destination"]["statements"], 2, "{idle}");

    program.run(&["configure", "page_size=50"]).await.expect(0);
    let settings = program.run(&["configure"]).await.expect(0).stdout;
    assert!(settings.lines().any(|line| line.contains("page_size") && line.contains("the database")), "{settings}");
    assert_eq!(scenario.json(&["discover", "--set", "repositories=acme/*"]).await["resources"][0], "acme/gears");

    program.run(&["reset", "acme/gears", "--yes"]).await.expect(0);
    assert_eq!(scenario.json(&["ingest"]).await["counts"]["unchanged"], 30);
    assert_eq!(scenario.rows("acme/gears").await, (30, 30), "none lost, none double");

    program.run(&["disable", "acme/gears"]).await.expect(0);
    program.run(&["enable", "acme/gears", "--schedule", "1h"]).await.expect(0);
    assert_eq!(scenario.json(&["status"]).await["resources"][0]["schedule"], "1h");
    // None of this was stored in a file.
    assert!(program.folder().read_dir().unwrap().next().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reconcile_run_finds_deleted_rows() {
    let upstream = upstream().await;
    let Some(scenario) = Scenario::new(Program::github(upstream.url())) else { return };
    scenario.program.run(&["ingest", "acme/gears"]).await.expect(0);
    upstream.delete("acme/gears", 3);
    assert_eq!(scenario.json(&["ingest", "--reconcile"]).await["counts"]["deleted"], 1);
    assert_eq!(scenario.rows("acme/gears").await, (29, 29));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_ingestion_keeps_what_it_read_and_the_next_one_completes_it() {
    const ISSUES: u32 = 600;
    let builder = GithubServer::builder().seed(7).repository("acme/widgets", ISSUES);
    let upstream = builder.latency(Duration::from_millis(60)).start().await.unwrap();
    let Some(scenario) = Scenario::new(Program::github(upstream.url())) else { return };
    let slowly = ["ingest", "acme/widgets", "--set", "concurrency=1", "--set", "page_size=20", "--json"];
    let child = scenario.program.start(&slowly);
    until("pages are read", || upstream.requests().len() >= 10).await;
    signal(&child, "INT");
    let report = end(child).await.expect(130).json();
    assert_eq!(report["status"], "interrupted");
    let kept = report["counts"]["inserted"].as_i64().unwrap();
    assert!(kept > 0 && kept < i64::from(ISSUES), "{kept}");
    assert_eq!(scenario.rows("acme/widgets").await, (kept, kept));

    let rest = scenario.json(&["ingest"]).await;
    assert_eq!(rest["counts"]["inserted"].as_i64().unwrap() + kept, i64::from(ISSUES), "{rest}");
    assert_eq!(scenario.rows("acme/widgets").await, (i64::from(ISSUES), i64::from(ISSUES)));
}

#[tokio::test(flavor = "multi_thread")]
async fn run_reports_usage_with_each_run() {
    use tokio::io::{AsyncBufReadExt, BufReader};

    let upstream = upstream().await;
    let Some(scenario) = Scenario::new(Program::github(upstream.url())) else { return };
    scenario.program.run(&["enable", "acme/gears", "--schedule", "1m"]).await.expect(0);
    let mut child = scenario.program.start(&["run", "--json"]);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = tokio::time::timeout(super::support::LONG, lines.next_line()).await.expect("no run finished in time");
    let run: Value = serde_json::from_str(&line.unwrap().unwrap()).unwrap();
    assert_eq!((&run["counts"]["inserted"], &run["destination"]["kind"]), (&30.into(), &"snowflake".into()));
    assert!(run["destination"]["statements"].as_u64().unwrap() > 3, "{run}");
    signal(&child, "TERM");
    end(child).await.expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn run_announces_when_it_checks_for_enabled_resources() {
    use tokio::io::{AsyncBufReadExt, BufReader};

    let Some(scenario) = Scenario::new(Program::new("github_issues")) else { return };
    let file = Program::new("github_issues");
    for (program, time) in [(&scenario.program, "30m"), (&file, "15s")] {
        let mut child = program.start(&["run"]);
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut line = String::new();
        while !line.contains("checking again every") {
            let next = tokio::time::timeout(super::support::LONG, lines.next_line())
                .await
                .expect("no message within the time limit");
            line = next.unwrap().expect("the process ended early");
        }
        assert!(line.ends_with(time), "{line}");
        signal(&child, "TERM");
        end(child).await.expect(0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn flags_override_a_named_connection() {
    let Some(scenario) = Scenario::new(Program::new("github_issues")) else { return };
    let folder = scenario.program.folder().join(".snowflake");
    std::fs::create_dir(&folder).unwrap();
    let port = scenario.server.port;
    let section = |name: &str, rest: &str| {
        format!(
            "[{name}]\naccount = 'testorg-{name}'\nuser = 'loader'\npassword = '{PASSWORD}'\nhost = '127.0.0.1'\n\
             port = {port}\nprotocol = 'http'\ndatabase = '{}'\n{rest}\n",
            scenario.database
        )
    };
    let file = folder.join("connections.toml");
    std::fs::write(&file, section("first", "") + &section("second", "warehouse = 'SLEEPING'")).unwrap();
    let check = scenario.program.run(&["--connection", "second", "check"]).await.stdout;
    assert!(check.contains("account testorg-second at") && check.contains("as LOADER"), "{check}");
    assert!(check.contains("\"SLEEPING\", suspended; it resumes automatically"), "{check}");
    let check = scenario.program.run(&["check", "--connection", "second", "--warehouse", "compute_wh"]).await.stdout;
    assert!(check.contains("warehouse   ok      \"COMPUTE_WH\"\n"), "{check}");
    let ended = scenario.program.run(&["--connection", "third", "status"]).await.expect(4);
    assert_stderr(&ended, &["no Snowflake connection \"third\"", "first, second"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_problem_has_one_line_and_a_fix() {
    let Some(scenario) = Scenario::new(Program::new("github_issues")) else { return };
    let program = &scenario.program;
    program.run(&["enable", "acme/gears"]).await.expect(0);
    for (args, code, parts) in [
        (
            &["--role", "absent", "check"][..],
            4,
            &["'ABSENT' specified in the connect string", "GRANT ROLE … TO USER …"][..],
        ),
        (
            &["--warehouse", "nowhere", "check"],
            4,
            &[
                "the warehouse \"NOWHERE\" does not exist",
                "GRANT USAGE ON WAREHOUSE \"NOWHERE\" TO ROLE \"ACCOUNTADMIN\"",
            ],
        ),
        (&["--warehouse", "stopped", "check"], 4, &["\"STOPPED\" is suspended", "SET AUTO_RESUME = TRUE"]),
        (&["--role", "nobody", "check"], 4, &["the session has no warehouse", "SET DEFAULT_WAREHOUSE", "--warehouse"]),
        (&["--role", "nobody", "ingest", "acme/gears"], 4, &["No active warehouse", "SET DEFAULT_WAREHOUSE"]),
        (
            &["--role", "reader", "--database", "never_made", "check"],
            6,
            &[
                "the database \"NEVER_MADE\" does not exist",
                "CREATE SCHEMA ON DATABASE \"NEVER_MADE\" TO ROLE \"READER\"",
            ],
        ),
        (
            &["--role", "reader", "--database", "never_made", "enable", "acme/gears"],
            4,
            &["the database \"NEVER_MADE\" does not exist", "CREATE SCHEMA ON DATABASE \"NEVER_MADE\" TO ROLE"],
        ),
    ] {
        assert_stderr(&program.run(args).await.expect(code), parts);
    }
    // None of this affects a user who has the required rights.
    program.run(&["--database", "never_made", "enable", "acme/gears"]).await.expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn options_come_from_arguments_and_from_the_environment() {
    let Some(mut scenario) = Scenario::new(Program::new("github_issues")) else { return };
    for (args, code, parts) in [
        (
            &["--retention-days", "91", "check"][..],
            4,
            &["retention_days is 91, and must be from 0 to 90", "0 to 90"][..],
        ),
        (&["--transient", "--retention-days=2", "check"], 4, &["transient tables keep at most 1 day", "write 0 or 1"]),
        (&["--commit-mib", "0", "status"], 4, &["commit_mib is 0, and must be from 64 to 250", "MiB"]),
        (&["--commit-seconds=0", "status"], 4, &["commit_seconds is 0", "10 to 3600"]),
        (&["--load-warehouse", " ", "status"], 4, &["load_warehouse is empty"]),
        (&["--commit-mib", "-1", "status"], 2, &["'-1'"]),
        (&["--commit-mib=all", "status"], 2, &["invalid value 'all' for '--commit-mib <MIB>'"]),
        (&["--transient=maybe", "status"], 2, &["invalid value 'maybe' for '--transient"]),
        (&["--keep-documents=2", "status"], 2, &["invalid value '2' for '--keep-documents"]),
        (&["--to", "sqlite", "--keep-documents=false", "status"], 4, &["--keep-documents is for Snowflake"]),
        (&["--to", "sqlite", "--retention-days", "1", "status"], 4, &["--retention-days is for Snowflake"]),
    ] {
        assert_stderr(&scenario.program.run(args).await.expect(code), parts);
    }
    scenario.program.run(&["enable", "acme/gears", "--transient"]).await.expect(0);
    let check = scenario.program.run(&["check", "--load-warehouse", "sleeping", "--transient"]).await.stdout;
    assert!(check.contains("load warehouse  ok      \"SLEEPING\", suspended; it resumes automatically"), "{check}");
    assert!(check.lines().any(|line| line.starts_with("raw tables") && line.contains(" ok ")), "{check}");
    scenario.program = scenario.program.variable("SNOWFEED_COMMIT_MIB", "1");
    assert_stderr(&scenario.program.run(&["status"]).await.expect(4), &["commit_mib is 1"]);
    scenario.program.run(&["status", "--commit-mib", "100"]).await.expect(0);
    scenario.program = scenario.program.variable("SNOWFEED_RETENTION_DAYS", "a week");
    assert_stderr(
        &scenario.program.run(&["status", "--commit-mib", "100"]).await.expect(4),
        &["SNOWFEED_RETENTION_DAYS is \"a week\", which it cannot be", "number of days"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_login_has_a_reason_and_no_secret() {
    for (variables, code, parts) in [
        (&[("SNOWFLAKE_PASSWORD", "wrong-password")][..], 5, &["Incorrect username or password", "key pair"][..]),
        (
            &[("SNOWFLAKE_AUTHENTICATOR", "oauth"), ("SNOWFLAKE_TOKEN", "expired-token")],
            5,
            &["OAuth access token expired", "get a new OAuth token"],
        ),
        (&[("SNOWFLAKE_PRIVATE_KEY_PATH", "none.p8")], 4, &["none.p8"]),
        (
            &[("SNOWFLAKE_HOST", "nothing.invalid"), ("SNOWFLAKE_PROTOCOL", "https")],
            7,
            &["the host nothing.invalid cannot be found", "check the account identifier"],
        ),
        (&[("SNOWFLAKE_ACCOUNT", "no account!")], 4, &["not an account identifier", "ORGANISATION-ACCOUNT"]),
    ] {
        for command in ["check", "status"] {
            let Some(mut scenario) = Scenario::new(Program::new("github_issues")) else { return };
            for (name, value) in variables {
                scenario.program = scenario.program.variable(name, value);
            }
            let ended = scenario.program.run(&["-vvv", command]).await.expect(code);
            assert_stderr(&ended, parts);
            let written = ended.stdout + &ended.stderr;
            assert!(!written.contains("wrong-password") && !written.contains("expired-token"), "{written}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_account_is_named() {
    let answer = wiremock::ResponseTemplate::new(403).set_body_string("<html>");
    let server = wiremock::MockServer::start().await;
    wiremock::Mock::given(wiremock::matchers::any()).respond_with(answer).mount(&server).await;
    let Some(scenario) = Scenario::new(Program::new("github_issues")) else { return };
    let program = scenario.program.variable("SNOWFLAKE_PORT", &server.address().port().to_string());
    assert_stderr(&program.run(&["check"]).await.expect(4), &["no Snowflake account exists at", "ORG-ACCOUNT"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_requires_credentials_is_reported_at_once() {
    let server = wiremock::MockServer::start().await;
    wiremock::Mock::given(wiremock::matchers::any())
        .respond_with(wiremock::ResponseTemplate::new(407))
        .expect(1)
        .mount(&server)
        .await;
    let program = Program::new("github_issues").snowflake(443, PASSWORD, "db");
    let program = program.variable("SNOWFLAKE_PROTOCOL", "https").variable("SNOWFLAKE_HOST", "account.invalid");
    let ended = program.variable("HTTPS_PROXY", &server.uri()).run(&["check"]).await.expect(5);
    assert_stderr(&ended, &["the proxy asks for credentials", "HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_another_connector_is_left_unchanged() {
    let Some(scenario) = Scenario::new(Program::new("github_issues")) else { return };
    let mut session = scenario.client().open().await.unwrap();
    for make in ["DATABASE {db}", "SCHEMA {db}.STATE", "TABLE {db}.STATE.APP_STATE (THEIRS INT)"] {
        session
            .execute(Statement::new(Sql::assert_safe(format!("CREATE {make}").replace("{db}", &scenario.database))))
            .await
            .unwrap();
    }
    for args in [&["check"][..], &["enable", "acme/gears"]] {
        assert_stderr(
            &scenario.program.run(args).await.expect(4),
            &["APP_STATE\" exists and is not this program's", "choose another database"],
        );
    }
    let tables = "SELECT COUNT(*) AS N FROM {db}.information_schema.tables WHERE table_schema = 'STATE'";
    assert_eq!(scenario.number(tables).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_other_than_that_of_the_views_is_rejected() {
    let Some(scenario) = Scenario::new(Program::new("github_issues")) else { return };
    scenario.program.run(&["enable", "acme/gears"]).await.expect(0);
    for args in [&["--schema", "Other", "enable", "acme/gears"][..], &["--schema", "Other", "check"]] {
        let parts = ["are in the schema \"PUBLIC\", not in \"OTHER\"", "give `--schema '\"PUBLIC\"'`"];
        assert_stderr(&scenario.program.run(args).await.expect(4), &parts);
    }
    let schemas = "SELECT COUNT(*) AS N FROM {db}.information_schema.schemata WHERE schema_name LIKE 'OTHER%'";
    assert_eq!(scenario.number(schemas).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn flags_of_the_other_destination_are_rejected() {
    let program = Program::new("github_issues");
    for (args, parts) in [
        (&["--role", "x", "status"][..], "--role is for Snowflake"),
        (&["status", "--connection", "x"], "--connection is for Snowflake"),
        (&["ingest", "--cost"], "--cost needs Snowflake"),
        (&["--to", "snowflake", "--db", "x.db", "status"], "--db names a file"),
    ] {
        assert_stderr(&program.run(args).await.expect(4), &[parts]);
    }
    let unknown = Program::new("github_issues").variable("SNOWFEED_TO", "postgres");
    assert_stderr(&unknown.run(&["status"]).await.expect(4), &["SNOWFEED_TO"]);
    program.run(&["--to", "postgres", "status"]).await.expect(2);
    // The flag takes precedence over the environment.
    let elsewhere = Program::new("github_issues").variable("SNOWFEED_TO", "snowflake");
    elsewhere.run(&["--to", "sqlite", "enable", "acme/gears"]).await.expect(0);
    assert!(elsewhere.folder().join("github.db").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_closed_and_statements_are_tagged() {
    let server = wiremock::MockServer::start().await;
    let answer = |body: Value| wiremock::ResponseTemplate::new(200).set_body_json(body);
    let path = |path: &str| wiremock::Mock::given(wiremock::matchers::path(path.to_owned()));
    let tokens = serde_json::json!({"success": true, "data": {"token": "t", "masterToken": "m", "sessionId": 7}});
    path("/session/v1/login-request").respond_with(answer(tokens)).mount(&server).await;
    let missing = serde_json::json!({"success": false, "code": "002003", "message": "does not exist", "data": {}});
    path("/queries/v1/query-request").respond_with(answer(missing)).mount(&server).await;
    path("/session").respond_with(answer(serde_json::json!({"success": true}))).mount(&server).await;
    let Some(scenario) = Scenario::new(Program::new("github_issues")) else { return };
    let program = scenario.program.variable("SNOWFLAKE_PORT", &server.address().port().to_string());
    program.run(&["status"]).await.expect(0);
    let requests = server.received_requests().await.unwrap();
    let login: Value = requests.iter().find(|r| r.url.path().ends_with("login-request")).unwrap().body_json().unwrap();
    let tag = login["data"]["SESSION_PARAMETERS"]["QUERY_TAG"].as_str().unwrap();
    assert_eq!(tag, concat!("snowfeed github/", env!("CARGO_PKG_VERSION")));
    let closed =
        requests.iter().filter(|r| r.url.path() == "/session" && r.url.query().unwrap().contains("delete=true"));
    assert_eq!(closed.count(), requests.iter().filter(|r| r.url.path().ends_with("login-request")).count());
}
