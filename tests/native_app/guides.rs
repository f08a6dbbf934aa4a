//! Runs the setup blocks of both guides as printed: shell lines with the example program, SQL where the test account or the
//! simulated Snowflake supports it.

use std::fs;
use std::os::unix::fs::symlink;

use github_server::GithubServer;
use snowfeed::backends::snowflake::{ConnectionConfig, Credentials, Protocol};
use snowfeed::internals::snowflake::{Client, HttpClient, Sql, Statement};

use crate::deploy::account::Account;
use crate::example::binary;
use crate::guide::{Shell, blocks, of, rows, statements};
use crate::image::container::program;
use crate::image::registry::Registry;
use crate::peers;
use crate::scripted::PASSWORD;

#[tokio::test(flavor = "multi_thread")]
async fn the_native_app_guide_works_from_a_fresh_account() {
    let Some(registry) = Registry::open() else { return };
    let blocks = blocks("native-app.md", "## From nothing to a running app");
    let account = Account::fresh().await;
    account.state().registry = Some(format!("http://{}", registry.host()));
    let shell = Shell::new(account.server.port, PASSWORD);
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
    let log = fs::read_to_string(shell.path().join("cargo.log")).unwrap();
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

#[tokio::test(flavor = "multi_thread")]
async fn the_snowflake_guide_works_from_a_fresh_account() {
    let Some(server) = peers::fakesnow() else { return };
    let blocks = blocks("snowflake.md", "## From nothing to rows");
    let repository = "rust-lang/log";
    let upstream = GithubServer::builder().repository(repository, 30).start().await.unwrap();
    let mut shell = Shell::new(server.port, PASSWORD);
    shell.variables.insert("GITHUB_API_URL", upstream.url().to_owned());
    symlink(binary("github_issues"), shell.path().join("bin/connector")).unwrap();
    let connection = ConnectionConfig::new("test", "user", Credentials::Password("password".into()));
    let client = HttpClient::new(connection.host("127.0.0.1").port(server.port).protocol(Protocol::Http)).unwrap();
    let mut session = client.open().await.unwrap();
    let mut count = 0;
    for (language, text) in &blocks {
        match language.as_str() {
            "sh" => drop(shell.run(text).await),
            "sql" => {
                for sql in statements(text) {
                    count += rows(&mut session, &sql).await;
                }
            }
            _ => {}
        }
    }
    assert!(count > 0, "the guide ends with a query that has rows");
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
