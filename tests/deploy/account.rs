//! "Your account in 15 steps", from top to bottom on the imitation of Snowflake.

use std::fs;

use github_server::GithubServer;
use snowfeed::backends::snowflake::{ConnectionConfig, Credentials, Protocol};
use snowfeed::internals::snowflake::{Client, HttpClient};

use crate::guide::{Shell, blocks, rows, statements};
use crate::peers::{self, Server};

/// The administrator of the imitation.
pub(crate) fn administrator(server: &Server) -> HttpClient {
    let connection = ConnectionConfig::new("test", "admin", Credentials::Password("password".into()));
    HttpClient::new(connection.host("127.0.0.1").port(server.port).protocol(Protocol::Http)).unwrap()
}

const SECTION: &str = "## Your account in 15 steps";

#[test]
fn there_are_15_steps() {
    let guide = fs::read_to_string("docs/guides/deploy.md").unwrap();
    let (_, section) = guide.split_once(SECTION).unwrap();
    for step in 1..=15 {
        assert!(section.contains(&format!("\n**{step}. ")), "{step}");
    }
    assert!(!section.contains("**16. "));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_15_steps_work_from_top_to_bottom() {
    let Some(server) = peers::fakesnow() else { return };
    let upstream = GithubServer::builder().repository("rust-lang/log", 30).start().await.unwrap();
    let mut shell = Shell::new(server.port, "");
    // The reader's connection has the rest.
    for name in ["ACCOUNT", "USER", "PASSWORD", "WAREHOUSE"] {
        shell.variables.remove(format!("SNOWFLAKE_{name}").as_str());
    }
    shell.variables.insert("GITHUB_API_URL", upstream.url().to_owned());
    let install = format!("#!/bin/sh\necho \"$*\" > cargo.log\ncp {} bin/snowfeed\n", env!("CARGO_BIN_EXE_snowfeed"));
    shell.script("cargo", &install);
    let mut session = administrator(server).open().await.unwrap();

    let mut printed = Vec::new();
    for (language, text) in blocks("deploy.md", SECTION) {
        match language.as_str() {
            "sh" => {
                printed.push(shell.run(&text).await);
                // What step 7 prints is for the administrator.
                let text = printed.last().unwrap();
                for sql in text.lines().filter(|line| line.starts_with("ALTER USER")).flat_map(statements) {
                    rows(&mut session, &sql).await;
                }
            }
            "sql" => {
                for sql in statements(&text) {
                    let found = rows(&mut session, &sql).await;
                    assert!(found > 0 || !sql.starts_with("SELECT"), "{sql} finds nothing");
                }
            }
            other => panic!("a block in {other}"),
        }
    }
    assert_eq!(
        fs::read_to_string(shell.path().join("cargo.log")).unwrap().trim(),
        "install --path . --features snowflake"
    );
    let printed = printed.concat();
    assert!(printed.contains("statements") && printed.contains("credits") && printed.contains("healthy"), "{printed}");
    // Nothing is left in the account.
    for sql in ["CREATE WAREHOUSE snowfeed", "CREATE ROLE snowfeed", "CREATE DATABASE raw"] {
        rows(&mut session, sql).await;
    }
}

/// The imitation refuses what the steps leave out: they matter.
#[tokio::test(flavor = "multi_thread")]
async fn a_user_without_a_key_or_a_role_cannot_log_in() {
    let Some(server) = peers::next_fakesnow() else { return };
    let mut session = administrator(server).open().await.unwrap();
    rows(&mut session, "CREATE USER keyless TYPE = SERVICE").await;
    let connection = ConnectionConfig::new("test", "keyless", Credentials::Password("password".into()));
    let client = HttpClient::new(connection.host("127.0.0.1").port(server.port).protocol(Protocol::Http)).unwrap();
    let error = client.open().await.err().unwrap();
    assert!(format!("{error:?}").contains("JWT token is invalid"), "{error:?}");
    rows(&mut session, "DROP USER keyless").await;
}
