//! The same bundle, deployed by Snowflake's own command line and by us, to the same account: the changes that each makes.
//!
//! `golden/statements.sql` has both. These differences are intended:
//! - each marks its own objects in the comment, and rejects those of the other;
//! - each of our statements is repeatable (`IF NOT EXISTS`, `IF EXISTS`, `OVERWRITE`): the next call resumes where one stopped.
//!   Names are fully qualified, so they need no USE;
//! - our package has release channels whatever the account's default is, so a version is registered; theirs uses the default;
//! - our label identifies the contents of a patch, so nothing becomes a patch twice; an application gets a patch by number, and
//!   one that already has it is not upgraded again;
//! - we check the setup script for a new version, they check it at every upload;
//! - theirs sets a debug mode, which applications of manifest version 2 do not have;
//! - only ours makes and binds the objects that a consumer needs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use snowfeed::native_app::Bundle;
use snowfeed::native_app::deploy::{Install, Uninstall};
use tempfile::TempDir;

use super::account::{Account, is_change};
use super::{deploy, install, uninstall, upgrade};
use crate::peers;
use crate::scripted::PASSWORD;
use crate::support::github;

/// The time limit for one command, which takes seconds.
const LONG: Duration = Duration::from_secs(600);

/// Snowflake's own command line, with a separate configuration and a bundle to work on.
struct Snow {
    program: PathBuf,
    home: TempDir,
    bundle: TempDir,
}

impl Snow {
    /// `None` where there is no Python.
    fn new(port: u16) -> Option<Self> {
        let Some(python) = peers::python("snowflake-cli") else {
            peers::skipped("there is no python3, which Snowflake's own command line needs");
            return None;
        };
        let (home, bundle) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let config = format!(
            "default_connection_name = \"loopback\"\n[cli.logs]\nsave_logs = false\n[connections.loopback]\naccount = \"testorg-account\"\n\
             user = \"tester\"\npassword = \"{PASSWORD}\"\nhost = \"127.0.0.1\"\nport = {port}\nprotocol = \"http\"\nrole = \"TESTER\"\nwarehouse = \"COMPUTE_WH\"\n"
        );
        let path = home.path().join("config.toml");
        fs::write(&path, config).unwrap();
        private(&path);
        Bundle::new(&github()).unwrap().write(&bundle).unwrap();
        Some(Self { program: python.with_file_name("snow"), home, bundle })
    }

    async fn run(&self, arguments: &[&str]) {
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .current_dir(&self.bundle)
            .env("HOME", self.home.path())
            .env("SNOWFLAKE_HOME", self.home.path())
            .env("NO_PROXY", "*");
        let mut command = tokio::process::Command::from(command);
        let output = tokio::time::timeout(LONG, command.kill_on_drop(true).output());
        let output = output.await.expect("Snowflake's own command line hangs").unwrap();
        let printed = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&printed));
    }
}

/// The command line requires that only its owner may read the file.
fn private(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// A statement in a form common to both: in lower case, on one line; for files only their target, once per folder; a label
/// without the digest.
fn normalized(sql: &str) -> String {
    let line = sql.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    if let Some((_, to)) = line.split_once(" @").filter(|_| line.starts_with("put ")) {
        let folder = to.split(' ').next().unwrap_or_default();
        return format!("put each file to @{folder}");
    }
    match line.split_once("'0.1.0+") {
        Some((before, _)) => format!("{before}'0.1.0+<digest>'"),
        None => line.trim_end_matches(';').to_owned(),
    }
}

/// Statements that change an account, or make Snowflake check a change.
fn statements(account: &Account) -> Vec<String> {
    let is_relevant = |sql: &String| is_change(sql) || sql.to_lowercase().contains("system$validate");
    let mut lines: Vec<String> =
        account.log().iter().filter(|sql| is_relevant(sql)).map(|sql| normalized(sql)).collect();
    lines.retain(|line| !line.contains("system$bootstrap_data_request"));
    lines.dedup();
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn snow_and_the_imitation_change_an_account_equally() {
    let account = Account::start().await;
    let Some(snow) = Snow::new(account.server.port) else { return };
    let mut text = String::new();
    let mut section = |title: &str, lines: Vec<String>| {
        text += &format!("-- {title}\n{}\n\n", lines.join("\n"));
    };
    for arguments in [
        ["app", "deploy"].as_slice(),
        &["app", "version", "create", "--skip-git-check", "--force"],
        &["app", "run", "--version", "V0_1_0"],
        &["app", "run", "--version", "V0_1_0"],
        &["app", "teardown", "--force", "--cascade"],
    ] {
        snow.run(arguments).await;
        section(&format!("snow {}", arguments.join(" ")), statements(&account));
    }
    let theirs = account.files();
    let account = Account::start().await;
    deploy(&account, &github(), |deploy| deploy).await.unwrap();
    section("app deploy", statements(&account));
    assert_eq!(account.files(), theirs, "the same files at the same paths");
    install(&account, &github(), |install: Install| install).await.unwrap();
    section("app install", statements(&account));
    upgrade(&account, &github(), |upgrade| upgrade).await.unwrap();
    section("app upgrade", statements(&account));
    uninstall(&account, &github(), |uninstall: Uninstall| uninstall.cascade(true).package(true)).await.unwrap();
    section("app uninstall --cascade --with-package", statements(&account));
    crate::golden::compare("statements.sql", &text);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_has_made_the_other_leaves_alone() {
    let account = Account::start().await;
    let Some(snow) = Snow::new(account.server.port) else { return };
    snow.run(&["app", "deploy"]).await;
    let error = deploy(&account, &github(), |deploy| deploy).await.unwrap_err();
    assert_eq!(error.kind(), snowfeed::ErrorKind::Conflict);
    // Nothing needs to be uploaded again.
    account.log();
    deploy(&account, &github(), |deploy| deploy.adopt(true)).await.unwrap();
    let changes = account.changes();
    assert!(!changes.iter().any(|sql| sql.starts_with("PUT") || sql.starts_with("CREATE")), "{changes:#?}");
}
