//! The statements that `run` sends to Snowflake while nothing is new, counted between the program and the server.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::Command;
use std::time::{Duration, Instant};

use github_server::GithubServer;
use serde_json::json;
use snowfeed::internals::snowflake::{Sql, Statement};

use crate::example::binary;
use crate::process::Process;
use crate::snowflake::{SnowflakeDatabases, select_rows};
use crate::statements::{self, SentStatement};
use crate::target::KillTarget;

const COUNT: usize = 1_000;

/// Longer than the 15 seconds for which the configuration is cached.
const SCHEDULE: &str = "1m";

/// A shorter schedule than `enable` accepts, stored directly so that the test is fast.
const STORED_SCHEDULE: &str = "20s";

/// The interval of [`STORED_SCHEDULE`].
const BEAT: Duration = Duration::from_secs(20);

const DATABASE: u32 = 0;

fn name(number: usize) -> String {
    format!("acme/r{number:04}")
}

fn program(account: &SnowflakeDatabases, upstream: &GithubServer, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary("github_issues"));
    command.env_clear().env("GITHUB_API_URL", upstream.url());
    account.use_database(&mut command, DATABASE);
    command.args(arguments);
    command
}

/// A digest as the catalog of tables stores it for each view's definition.
fn digest(text: &str) -> String {
    format!("{:032x}", twox_hash::XxHash3_128::oneshot(text.as_bytes()))
}

/// The digest of the view over a raw table that has the columns for the numbers of commits.
fn numbered(text: &str) -> String {
    format!("{} numbered", digest(text))
}

/// The query of the view that the program created last in a schema.
fn query_of_view(sent: &[SentStatement], view: &str) -> String {
    let head = format!("CREATE OR REPLACE VIEW {view} ");
    let created = sent.iter().rev().find(|sent| sent.sql.starts_with(&head)).unwrap();
    created.sql.split_once(" AS SELECT ").map(|(_, query)| format!("SELECT {query}")).unwrap()
}

/// Copies the program's state of the first repository to all others. `sent` are the program's statements.
fn copy_state(account: &SnowflakeDatabases, upstream: &GithubServer, sent: &[SentStatement]) {
    let database = format!("\"{}\"", account.database(DATABASE));
    let first = name(0);
    let view = query_of_view(sent, &format!("{database}.\"PUBLIC\".\"{first}\""));
    let union = query_of_view(sent, &format!("{database}.\"PUBLIC_RAW\".\"ISSUES^=all\"")).replace(&first, "");
    let table = |name: &str| format!("{database}.\"STATE\".\"{name}\"");
    let catalog = table("SNOWFEED_TABLE");
    account.with_session(async |session| {
        session.execute(Statement::new(Sql::assert_safe(format!("USE DATABASE {database}")))).await.unwrap();
        let mut one = async |select: String| -> Vec<String> {
            let rows = select_rows(session, Statement::new(Sql::assert_safe(select))).await;
            let row = rows.first().expect("the program stored a row");
            (0..).map_while(|column| row.text(column).ok()).map(ToString::to_string).collect()
        };
        let state = one(format!(
            "SELECT CAST(\"VERSION\" AS VARCHAR) AS \"V\", \"AT\", \"DOCUMENT\" FROM {} ORDER BY \"VERSION\" DESC LIMIT 1",
            table("APP_STATE")
        ))
        .await;
        let config = one(format!("SELECT \"DOCUMENT\" FROM {}", table("RESOURCE_CONFIGURATION"))).await;
        let config = config[0].replace(SCHEDULE, STORED_SCHEDULE);
        assert!(config.contains(STORED_SCHEDULE), "{config}");
        let created = one(format!(
            "SELECT \"STREAM\", \"COLUMNS\", \"MADE_FROM\" FROM {catalog} WHERE \"RESOURCE\" = '{first}'"
        ))
        .await;
        let joined = one(format!(
            "SELECT \"MADE_FROM\" FROM {catalog} WHERE \"RESOURCE\" = '' AND \"STREAM\" = '{}'",
            created[0]
        ))
        .await;
        let listed = |number| format!("{0}:{1}{0}:{1}", name(number).len(), name(number));
        assert_eq!((&created[2], &joined[0]), (&numbered(&view), &digest(&format!("{union}{}", listed(0)))));

        let id = |number| upstream.repository_id(&name(number)).to_string();
        let copies: Vec<_> = (1..COUNT)
            .map(|number| {
                let name = name(number);
                json!({
                    "state": state[2].replace(&id(0), &id(number)),
                    "made_from": numbered(&view.replace(&first, &name)),
                    "name": name,
                })
            })
            .collect();
        let copies = json!(copies).to_string();
        let member = |member: &str| format!("f.value:{member}::VARCHAR");
        for (into, columns, values) in [
            (
                table("APP_STATE"),
                "\"KEY\", \"STREAM\", \"VALUE\", \"VERSION\", \"AT\", \"DOCUMENT\"",
                format!(
                    "{}, '{4}', PARSE_JSON({1}), {2}, '{3}', {1}",
                    member("name"),
                    member("state"),
                    state[0],
                    state[1],
                    created[0]
                ),
            ),
            (
                table("RESOURCE_CONFIGURATION"),
                "\"KEY\", \"VALUE\", \"DOCUMENT\"",
                format!("{}, PARSE_JSON('{1}'), '{1}'", member("name"), config),
            ),
            (
                catalog.clone(),
                "\"RESOURCE\", \"STREAM\", \"NAME\", \"COLUMNS\", \"MADE_FROM\"",
                format!("{0}, '{1}', {0}, '{2}', {3}", member("name"), created[0], created[1], member("made_from")),
            ),
        ] {
            let insert = format!(
                "INSERT INTO {into} ({columns}) SELECT {values} FROM (SELECT PARSE_JSON(?) AS \"ALL\") b, \
                 LATERAL FLATTEN(input => b.\"ALL\") f"
            );
            session.execute(Statement::new(Sql::assert_safe(insert)).bind(copies.clone())).await.unwrap();
        }
        let update = format!(
            "UPDATE {} SET \"VALUE\" = PARSE_JSON('{config}'), \"DOCUMENT\" = '{config}' WHERE \"KEY\" = '{first}'",
            table("RESOURCE_CONFIGURATION")
        );
        session.execute(Statement::new(Sql::assert_safe(update))).await.unwrap();
        let members: String = (0..COUNT).map(listed).collect();
        let update = format!(
            "UPDATE {catalog} SET \"MADE_FROM\" = ? WHERE \"RESOURCE\" = '' AND \"STREAM\" = '{}'",
            created[0]
        );
        session.execute(Statement::new(Sql::assert_safe(update)).bind(digest(&format!("{union}{members}")))).await.unwrap();
    });
}

/// Whether the issues of every repository were requested at least this often.
fn polled(upstream: &GithubServer, times: usize) -> bool {
    let mut polls = HashMap::new();
    for request in upstream.requests().iter().filter(|request| request.path().ends_with("/issues")) {
        *polls.entry(request.path().to_owned()).or_insert(0) += 1;
    }
    polls.len() == COUNT && polls.values().all(|polls| *polls >= times)
}

#[test]
fn each_beat_of_a_thousand_idle_resources_is_two_statements_without_binds() {
    let Some(account) = SnowflakeDatabases::new() else { return };
    let runtime = crate::runtime();
    let upstream = (0..COUNT).fold(GithubServer::builder(), |upstream, number| upstream.repository(name(number), 0));
    let upstream = runtime.block_on(upstream.start()).unwrap();
    let proxy = statements::proxy(&account, &runtime);
    let first = name(0);
    let succeed = |arguments: &[&str]| assert!(Process::start(&mut program(&account, &upstream, arguments)).ends());
    succeed(&["enable", &first, "--schedule", SCHEDULE]);
    succeed(&["ingest"]);
    copy_state(&account, &upstream, &proxy.sent());

    upstream.forget_requests();
    proxy.expect(None);
    let mut run = Process::start(&mut program(&account, &upstream, &["run", "--concurrency", "16"]));
    let mut cycle = |times: usize| {
        let ended = run.runs_until(|| {
            std::thread::sleep(Duration::from_millis(500));
            polled(&upstream, times)
        });
        assert!(ended, "`run` ended early");
        // The consequences of a poll follow its response.
        std::thread::sleep(Duration::from_secs(2));
    };
    cycle(1);
    let in_first_cycle = proxy.sent().len();
    assert!(in_first_cycle < 10, "the first cycle is not idle: {:?}", proxy.names());
    proxy.expect(None);
    let began = Instant::now();
    cycle(3);
    let sent = proxy.sent();
    run.kill();
    // The polls of one beat may still run at the next one.
    let beats = began.elapsed().as_secs() / BEAT.as_secs() + 1;

    let mut report = format!(
        "{COUNT} idle resources: {in_first_cycle} statements in the first cycle, {} in the next {beats} beats\n",
        sent.len()
    );
    sent.iter().for_each(|sent| writeln!(report, "  {} (binds: {})", sent.sql, sent.has_binds).unwrap());
    // Bypasses the test's own capture: this output is the purpose of the test.
    std::io::stderr().write_all(report.as_bytes()).unwrap();
    assert!(!sent.is_empty(), "the proxy saw no statement, not even a read of the configuration");
    assert!(sent.len() as u64 <= 2 * beats, "{} statements in {beats} beats", sent.len());
    assert!(sent.iter().all(|sent| !sent.has_binds && sent.sql.starts_with("SELECT ")), "{sent:?}");
}
