//! The same bundle, deployed by Snowflake's own command line and by us, to the same account: what each of them changes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use snowfeed::native_app::Bundle;
use snowfeed::native_app::deploy::{Install, Uninstall};
use tempfile::TempDir;

use super::account::Account;
use super::{deploy, install, uninstall, upgrade};
use crate::peers;
use crate::scripted::PASSWORD;
use crate::support::github;

/// The longest that it may take for one command. It takes seconds.
const LONG: Duration = Duration::from_secs(120);

/// Snowflake's own command line, with a configuration of its own and a bundle to work on.
struct Snow {
    program: PathBuf,
    home: TempDir,
    bundle: TempDir,
}

impl Snow {
    /// `None` where there is no Python.
    fn new(port: u16) -> Option<Self> {
        let Some(python) = peers::python("snowflake-cli", &["snowflake-cli==3.30.0"]) else {
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
        Bundle::of(&github()).unwrap().write(&bundle).unwrap();
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

/// A statement as both would write it: in lower case, on one line, without the folder that a file comes from and without what says
/// what belongs to whom.
fn normalized(sql: &str, folder: &Path) -> String {
    let line = sql.split_whitespace().collect::<Vec<_>>().join(" ");
    let line = line.replace(&format!("{}/", folder.display()), "");
    line.to_lowercase().trim_end_matches(';').to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn both_change_an_account_in_the_same_way() {
    let account = Account::start().await;
    let Some(snow) = Snow::new(account.server.port) else { return };
    let mut text = String::new();
    let mut section = |title: &str, folder: &Path, changes: Vec<String>| {
        text += &format!("-- {title}\n");
        for sql in changes {
            text += &format!("{}\n", normalized(&sql, folder));
        }
        text += "\n";
    };
    let folder = fs::canonicalize(snow.bundle.path()).unwrap();
    for arguments in [
        ["app", "deploy"].as_slice(),
        &["app", "version", "create", "--skip-git-check", "--force"],
        &["app", "run", "--version", "V0_1_0"],
        &["app", "run", "--version", "V0_1_0"],
        &["app", "teardown", "--force", "--cascade"],
    ] {
        snow.run(arguments).await;
        section(&format!("snow {}", arguments.join(" ")), &folder, account.changes());
    }
    let theirs = account.files();
    let account = Account::start().await;
    deploy(&account, &github(), |deploy| deploy).await.unwrap();
    section("app deploy", &folder, account.changes());
    assert_eq!(account.files(), theirs, "the same files in the same places");
    install(&account, &github(), |install: Install| install).await.unwrap();
    section("app install", &folder, account.changes());
    upgrade(&account, &github(), |upgrade| upgrade).await.unwrap();
    section("app upgrade", &folder, account.changes());
    uninstall(&account, &github(), |uninstall: Uninstall| uninstall.cascade(true).package(true)).await.unwrap();
    section("app uninstall --cascade --with-package", &folder, account.changes());
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
