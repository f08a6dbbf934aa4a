//! The same bundle, deployed by Snowflake's own command line and by us, to the same account: what each of them changes.
//!
//! `golden/statements.sql` has both. They differ, and should, in this:
//! - each marks its own objects in the comment, and refuses those of the other;
//! - ours are repeatable one by one (`IF NOT EXISTS`, `IF EXISTS`, `OVERWRITE`): the next call goes on from wherever one has stopped.
//!   Names are whole, so that no USE goes before them;
//! - our package has release channels whatever the account's default is, so that a version is registered; theirs asks the account;
//! - our label tells what is in a patch, so that nothing becomes a patch twice; an application gets a patch by its number, and one
//!   that has it already is not upgraded once more;
//! - our check of the setup script belongs to a new version, theirs to every upload;
//! - theirs sets a debug mode, which applications of manifest version 2 do not have;
//! - only ours makes what a consumer needs, and binds it.

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

/// The longest that it may take for one command. It takes seconds.
const LONG: Duration = Duration::from_secs(600);

/// Snowflake's own command line, with a configuration of its own and a bundle to work on.
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
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&said));
    }
}

/// Only its owner may read a file, as that command line wants it.
fn private(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// A statement as both would write it: in lower case, on one line; of files only where they go to, once for each folder; of a label
/// not the digest.
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

/// What changes an account, or asks Snowflake to check what does.
fn statements(account: &Account) -> Vec<String> {
    let told = |sql: &String| is_change(sql) || sql.to_lowercase().contains("system$validate");
    let mut lines: Vec<String> = account.log().iter().filter(|sql| told(sql)).map(|sql| normalized(sql)).collect();
    lines.retain(|line| !line.contains("system$bootstrap_data_request"));
    lines.dedup();
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn both_change_an_account_in_the_same_way() {
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
    assert_eq!(account.files(), theirs, "the same files in the same places");
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
    // Nothing is to be uploaded once more.
    account.log();
    deploy(&account, &github(), |deploy| deploy.adopt(true)).await.unwrap();
    let changes = account.changes();
    assert!(!changes.iter().any(|sql| sql.starts_with("PUT") || sql.starts_with("CREATE")), "{changes:#?}");
}
