//! Runs the setup blocks of both guides as printed: shell lines with the example program, SQL where the test account or the
//! simulated Snowflake supports it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use github_server::GithubServer;
use snowfeed::backends::snowflake::{ConnectionConfig, Credentials, Protocol};
use snowfeed::internals::snowflake::{Client, HttpClient, Session, Sql, Statement};
use sqlparser::dialect::SnowflakeDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, Tokenizer};
use tempfile::TempDir;

use crate::deploy::account::Account;
use crate::example::binary;
use crate::image::container::program;
use crate::image::registry::Registry;
use crate::peers;
use crate::scripted::PASSWORD;

/// The fenced blocks of a section: language and text.
fn blocks(guide: &str, heading: &str) -> Vec<(String, String)> {
    let text = fs::read_to_string(Path::new("docs/guides").join(guide)).unwrap();
    let mut lines = text.lines().skip_while(|line| *line != heading).skip(1);
    let (mut found, mut open) = (Vec::new(), None::<(String, String)>);
    for line in lines.by_ref().take_while(|line| !line.starts_with("## ")) {
        match (line.strip_prefix("```"), &mut open) {
            (Some(language), None) => open = Some((language.to_owned(), String::new())),
            (Some(_), Some(_)) => found.extend(open.take()),
            (None, Some((_, text))) => *text += &format!("{line}\n"),
            (None, None) => {}
        }
    }
    assert!(!found.is_empty() && open.is_none(), "{guide} has no blocks below {heading:?}");
    found
}

fn of<'a>(blocks: &'a [(String, String)], language: &'a str) -> impl Iterator<Item = &'a str> {
    blocks.iter().filter(move |(of, _)| of == language).map(|(_, text)| text.as_str())
}

/// The statements of a block of SQL.
fn statements(sql: &str) -> Vec<String> {
    let tokens = Tokenizer::new(&SnowflakeDialect, sql).tokenize().unwrap();
    let mut found = vec![String::new()];
    for token in tokens {
        match token {
            Token::SemiColon => found.push(String::new()),
            Token::Whitespace(_) => *found.last_mut().unwrap() += " ",
            token => *found.last_mut().unwrap() += &token.to_string(),
        }
    }
    found
        .into_iter()
        .map(|sql| sql.split_whitespace().collect::<Vec<_>>().join(" "))
        .filter(|sql| !sql.is_empty())
        .collect()
}

/// A shell with a separate folder, and programs under the guide's names.
struct Shell {
    folder: TempDir,
    variables: BTreeMap<&'static str, String>,
}

impl Shell {
    fn new(port: u16) -> Self {
        let folder = TempDir::new().unwrap();
        fs::create_dir(folder.path().join("bin")).unwrap();
        let home = folder.path().to_str().unwrap().to_owned();
        // Only the account's address and login replace the reader's.
        let variables = BTreeMap::from([
            ("PATH", format!("{home}/bin:/usr/bin:/bin")),
            ("HOME", home),
            ("SNOWFLAKE_ACCOUNT", "testorg-account".to_owned()),
            ("SNOWFLAKE_HOST", "127.0.0.1".to_owned()),
            ("SNOWFLAKE_PORT", port.to_string()),
            ("SNOWFLAKE_PROTOCOL", "http".to_owned()),
            ("SNOWFLAKE_USER", "tester".to_owned()),
            ("SNOWFLAKE_PASSWORD", PASSWORD.to_owned()),
            ("SNOWFLAKE_WAREHOUSE", "compute_wh".to_owned()),
        ]);
        Self { folder, variables }
    }

    fn script(&self, name: &str, text: &str) {
        let path = self.folder.path().join("bin").join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Runs a block; returns its output.
    async fn run(&self, block: &str) -> String {
        let mut command = Command::new("sh");
        command
            .args(["-e", "-c", block])
            .current_dir(&self.folder)
            .env_clear()
            .envs(&self.variables)
            .stdin(Stdio::null());
        let ran = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let printed = [ran.stdout, ran.stderr].map(|text| String::from_utf8(text).unwrap()).concat();
        assert!(ran.status.success(), "{block}{printed}");
        printed
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_native_app_guide_works_from_a_fresh_account() {
    let Some(registry) = Registry::open() else { return };
    let blocks = blocks("native-app.md", "## From nothing to a running app");
    let account = Account::fresh().await;
    account.state().registry = Some(format!("http://{}", registry.host()));
    let shell = Shell::new(account.server.port);
    // A release takes minutes to build; the tests' static example is equivalent.
    let built = tokio::task::spawn_blocking(program).await.unwrap();
    let target = "target/x86_64-unknown-linux-gnu/release/examples";
    shell.script(
        "cargo",
        &format!(
            "#!/bin/sh\necho \"$RUSTFLAGS|$*\" > cargo.log\nmkdir -p {target}\ncp {} {target}/github_issues\n",
            built.display()
        ),
    );
    let mut printed = String::new();
    for block in of(&blocks, "sh") {
        printed += &shell.run(block).await;
    }
    let log = fs::read_to_string(shell.folder.path().join("cargo.log")).unwrap();
    let command = snowfeed::native_app::image::build_command(format!("{target}/github_issues"));
    let (flags, arguments) = command.split_once(" cargo ").unwrap();
    let (said_flags, said_arguments) = log.trim().split_once('|').unwrap();
    assert_eq!(format!("RUSTFLAGS=\"{said_flags}\""), flags);
    assert_eq!(said_arguments.replace(" --features native-app", ""), arguments);
    assert!(!printed.contains("no image was built"), "{printed}");

    let contents = account.contents();
    let package = &contents.packages["GITHUB_CONNECTOR_PKG"];
    assert!(package.released.is_some() && contents.repositories.contains_key("SNOWFEED.PUBLIC.IMAGES"), "{contents:?}");
    let application = &contents.applications["GITHUB_CONNECTOR"];
    assert!(application.references.contains_key("token") && application.roles.iter().any(|(_, to)| to == "ANALYSTS"));
    let tag = env!("CARGO_PKG_VERSION");
    let reference = format!("{}/snowfeed/public/images/github_issues:{tag}", registry.host());
    assert_eq!(registry.inspect(&reference, false)["Os"], "linux");

    let mut session = account.server.client().open().await.unwrap();
    for sql in of(&blocks, "sql").flat_map(statements) {
        let answer = session.execute(Statement::new(Sql::assert_safe(&sql))).await.unwrap();
        let answer = answer.rows[0].text(0).unwrap();
        assert!(answer.contains("\"OK\""), "{sql}: {answer}");
    }
    assert!(account.contents().pools.contains_key("GITHUB_CONNECTOR_POOL"), "the connector is configured");
}

/// Statements that the simulation does not support; they are only parsed.
const ONLY_READ: [&str; 4] = ["CREATE WAREHOUSE", "CREATE ROLE", "GRANT", "CREATE USER"];

#[tokio::test(flavor = "multi_thread")]
async fn the_snowflake_guide_works_from_a_fresh_account() {
    let Some(server) = peers::fakesnow() else { return };
    let blocks = blocks("snowflake.md", "## From nothing to rows");
    let repository = "rust-lang/log";
    let upstream = GithubServer::builder().repository(repository, 30).start().await.unwrap();
    let mut shell = Shell::new(server.port);
    shell.variables.insert("GITHUB_API_URL", upstream.url().to_owned());
    symlink(binary("github_issues"), shell.folder.path().join("bin/connector")).unwrap();
    let connection = ConnectionConfig::new("test", "user", Credentials::Password("password".into()));
    let client = HttpClient::new(connection.host("127.0.0.1").port(server.port).protocol(Protocol::Http)).unwrap();
    let mut session = client.open().await.unwrap();
    let mut rows = 0;
    for (language, text) in &blocks {
        match language.as_str() {
            "sh" => drop(shell.run(text).await),
            "sql" => {
                for sql in statements(text) {
                    rows += run_or_read(&mut session, &sql).await;
                }
            }
            _ => {}
        }
    }
    assert!(rows > 0, "the guide ends with a query that has rows");
}

/// The number of rows of a statement's result, where the imitation understands it.
async fn run_or_read(session: &mut Box<dyn Session>, sql: &str) -> usize {
    if let Some(only_read) = ONLY_READ.iter().find(|beginning| sql.starts_with(**beginning)) {
        let read = Parser::parse_sql(&SnowflakeDialect, sql);
        println!("{only_read}: {}", if read.is_ok() { "parsed, not run" } else { "read, not run" });
        return 0;
    }
    let answer = session.execute(Statement::new(Sql::assert_safe(sql))).await;
    answer.unwrap_or_else(|error| panic!("{sql}: {error:?}")).rows.len()
}

/// Limits of Snowflake that the program cannot lift.
#[test]
fn the_guide_states_the_patch_limit_and_what_delays_an_upgrade() {
    let guide = fs::read_to_string("docs/guides/native-app.md").unwrap();
    let guide = guide.split_whitespace().collect::<Vec<_>>().join(" ");
    for claim in ["A version has at most 130 patches", "a backfill of several hours delays the end of the upgrade"] {
        assert!(guide.contains(claim), "{claim}");
    }
}
