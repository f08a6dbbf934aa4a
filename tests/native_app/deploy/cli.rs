//! The `app` commands, run as processes.

use std::collections::BTreeMap;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::account::Account;
use crate::example::binary;
use crate::image::ImageFolder;
use crate::image::registry::Registry;
use crate::json_schema::violations;
use crate::scripted::PASSWORD;

const TOKEN: &str = "hunter2-token";

/// The example program, in a separate folder, and the account that it talks to.
struct CliScenario {
    account: Account,
    folder: TempDir,
    variables: BTreeMap<&'static str, String>,
}

/// The result of a program.
struct ProgramOutput {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl CliScenario {
    async fn new() -> Self {
        Self::of(Account::start().await)
    }

    fn of(account: Account) -> Self {
        let folder = TempDir::new().unwrap();
        let variables = BTreeMap::from([
            ("HOME", folder.path().to_str().unwrap().to_owned()),
            ("SNOWFLAKE_ACCOUNT", "testorg-account".to_owned()),
            ("SNOWFLAKE_HOST", "127.0.0.1".to_owned()),
            ("SNOWFLAKE_PORT", account.server.port.to_string()),
            ("SNOWFLAKE_PROTOCOL", "http".to_owned()),
            ("SNOWFLAKE_USER", "tester".to_owned()),
            ("SNOWFLAKE_PASSWORD", PASSWORD.to_owned()),
            ("SNOWFLAKE_WAREHOUSE", "compute_wh".to_owned()),
            // The app's objects have fully qualified names: it does not matter if the connection's database is missing.
            ("SNOWFLAKE_DATABASE", "missing".to_owned()),
            ("MY_TOKEN", TOKEN.to_owned()),
        ]);
        Self { account, folder, variables }
    }

    async fn run(&self, arguments: &[&str]) -> ProgramOutput {
        let mut command = Command::new(binary("github_issues"));
        command.args(arguments).current_dir(&self.folder).env_clear().envs(&self.variables).stdin(Stdio::null());
        let Output { status, stdout, stderr } =
            tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let ended = ProgramOutput { code: status.code(), stdout: text(stdout), stderr: text(stderr) };
        for text in [&ended.stdout, &ended.stderr] {
            assert!(!text.contains("hunter2"), "{text}");
        }
        ended
    }

    #[track_caller]
    fn expect(&self, ended: ProgramOutput, code: i32) -> ProgramOutput {
        assert_eq!(ended.code, Some(code), "{}{}", ended.stdout, ended.stderr);
        ended
    }

    async fn succeed(&self, arguments: &[&str]) -> ProgramOutput {
        let ended = self.run(arguments).await;
        self.expect(ended, 0)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deploy_install_upgrade_and_uninstall() {
    let contents = CliScenario::new().await;
    contents.succeed(&["app", "build"]).await;
    let deployed = contents.succeed(&["app", "deploy", "--release"]).await;
    assert!(deployed.stderr.contains("create the application package GITHUB_CONNECTOR_PKG\n"), "{}", deployed.stderr);
    assert!(deployed.stdout.ends_with("changes made\n"), "{}", deployed.stdout);
    assert_eq!(contents.succeed(&["app", "deploy", "--release"]).await.stdout, "nothing to change\n");
    contents.succeed(&["-vvv", "app", "install", "--secret", "token=env:MY_TOKEN", "--admin", "ops"]).await;
    assert_eq!(contents.succeed(&["app", "upgrade"]).await.stdout, "nothing to change\n");
    let status = contents.succeed(&["app", "status"]).await.stdout;
    for line in [
        "application package GITHUB_CONNECTOR_PKG of TESTER",
        "released",
        "reference TOKEN",
        "EXECUTE TASK",
        "granted",
        "COMPUTE_WH",
    ] {
        assert!(status.contains(line), "{status}");
    }
    let status: Value = serde_json::from_str(&contents.succeed(&["--json", "app", "status"]).await.stdout).unwrap();
    assert_eq!(status["application"]["references"][1]["object"], "GITHUB_CONNECTOR_ACCESS");
    contents.succeed(&["app", "uninstall", "--yes", "--objects", "--with-package"]).await;
    let left = contents.account.contents();
    assert!(left.applications.is_empty() && left.packages.is_empty() && left.secrets.is_empty());
    let gone = contents.run(&["app", "status"]).await;
    contents.expect(gone, 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn json_output_matches_the_schema() {
    let schema: Value = serde_json::from_str(include_str!("../../../docs/json-schema.json")).unwrap();
    let contents = CliScenario::new().await;
    for (definition, args, code) in [
        ("app_validate", &["app", "validate"][..], 0),
        ("error", &["app", "deploy"], 6),
        ("app_build", &["app", "build"], 0),
        ("app_build", &["app", "build", "--title", "Other"], 0),
        ("app_validate", &["app", "validate"], 0),
        ("app_build", &["app", "build"], 0),
        ("app_steps", &["app", "deploy", "--dry-run"], 0),
        ("app_steps", &["app", "deploy"], 0),
        ("app_status", &["app", "status"], 0),
        ("app_steps", &["app", "install", "--secret", "token=env:MY_TOKEN", "--admin", "ops"], 0),
        ("app_status", &["app", "status"], 0),
        ("app_steps", &["app", "upgrade"], 0),
        ("app_steps", &["app", "uninstall", "--dry-run"], 0),
        ("app_steps", &["app", "uninstall", "--yes", "--objects", "--with-package"], 0),
        ("app_status", &["app", "status"], 6),
    ] {
        let ended = contents.run(&[&["--json"], args].concat()).await;
        let document: Value = serde_json::from_str(&contents.expect(ended, code).stdout).unwrap();
        assert_eq!(violations(&schema, definition, &document), [""; 0], "{args:?}: {document:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_prints_the_statements_and_changes_nothing() {
    let contents = CliScenario::new().await;
    contents.succeed(&["app", "build"]).await;
    let before = contents.account.contents();
    let deploy = contents.succeed(&["app", "deploy", "--dry-run", "--release"]).await.stdout;
    for line in [
        "-- create the application package GITHUB_CONNECTOR_PKG; needs CREATE APPLICATION PACKAGE on ACCOUNT\n",
        "CREATE SCHEMA IF NOT EXISTS GITHUB_CONNECTOR_PKG.APP_SRC;\n",
        "PUT 'file://setup.sql' @GITHUB_CONNECTOR_PKG.APP_SRC.STAGE OVERWRITE = TRUE AUTO_COMPRESS = FALSE",
        "CALL SYSTEM$VALIDATE_NATIVE_APP_SETUP('@GITHUB_CONNECTOR_PKG.APP_SRC.STAGE');\n",
        "MODIFY RELEASE CHANNEL DEFAULT SET DEFAULT RELEASE DIRECTIVE VERSION = V0_1_0 PATCH = 0;\n",
    ] {
        assert!(deploy.contains(line), "{line}: {deploy}");
    }
    assert_eq!((contents.account.contents(), contents.account.changes()), (before, Vec::new()));
    contents.succeed(&["app", "deploy"]).await;
    let before = contents.account.contents();
    contents.account.log();
    let secret = ["--secret", "token=env:MY_TOKEN"];
    let install = contents.succeed(&[["app", "install", "--dry-run"].as_slice(), &secret].concat()).await.stdout;
    for line in [
        "TYPE = GENERIC_STRING SECRET_STRING = '***' COMMENT = 'Made by snowfeed';\n",
        "CREATE APPLICATION GITHUB_CONNECTOR FROM APPLICATION PACKAGE GITHUB_CONNECTOR_PKG USING VERSION V0_1_0 PATCH 0",
        "CALL GITHUB_CONNECTOR.PUBLIC.REGISTER_REFERENCE('token', 'ADD', SYSTEM$REFERENCE('SECRET', ",
    ] {
        assert!(install.contains(line), "{line}: {install}");
    }
    let json = contents.succeed(&[["--json", "app", "install", "--dry-run"].as_slice(), &secret].concat()).await.stdout;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (&json["dry_run"], &json["steps"][0]["privilege"]),
        (&true.into(), &"CREATE DATABASE on ACCOUNT".into())
    );
    assert_eq!((contents.account.contents(), contents.account.changes()), (before, Vec::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_removed_without_confirmation() {
    let contents = CliScenario::new().await;
    contents.succeed(&["app", "build"]).await;
    contents.succeed(&["app", "deploy"]).await;
    contents.succeed(&["app", "install"]).await;
    contents.account.log();
    let refused = contents.run(&["app", "uninstall"]).await;
    let refused = contents.expect(refused, 2);
    assert!(refused.stderr.contains("--yes"), "{}", refused.stderr);
    assert_eq!(contents.account.log(), [""; 0]);
    let dry = contents.succeed(&["app", "uninstall", "--dry-run"]).await.stdout;
    assert!(dry.contains("DROP APPLICATION IF EXISTS GITHUB_CONNECTOR;"), "{dry}");
    assert_eq!(contents.account.changes(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_have_help_and_are_json_on_request() {
    let contents = CliScenario::new().await;
    let unbuilt = contents.run(&["app", "deploy"]).await;
    let unbuilt = contents.expect(unbuilt, 6);
    assert!(unbuilt.stderr.contains("app build"), "{}", unbuilt.stderr);
    contents.succeed(&["app", "build"]).await;
    contents.account.state().forbidden = vec!["CREATE APPLICATION PACKAGE"];
    let refused = contents.run(&["--json", "app", "deploy"]).await;
    let refused: Value = serde_json::from_str(&contents.expect(refused, 4).stdout).unwrap();
    let help = refused["error"]["help"].as_str().unwrap();
    assert!(help.contains("GRANT CREATE APPLICATION PACKAGE ON ACCOUNT TO ROLE TESTER"), "{help}");
    // The secret itself is rejected as an argument, and not repeated.
    let secret = contents.run(&["app", "install", "--secret", TOKEN]).await;
    contents.expect(secret, 4);
    let secret = contents.run(&["app", "install", "--secret", &format!("token={TOKEN}")]).await;
    contents.expect(secret, 4);
    let unknown = contents.run(&["app", "install", "--secret", "tokne=env:MY_TOKEN"]).await;
    assert!(contents.expect(unknown, 4).stderr.contains("private_key, token"));
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_since_the_build_are_reported() {
    let contents = CliScenario::new().await;
    contents.succeed(&["app", "build", "--title", "Old"]).await;
    let deployed = contents.succeed(&["app", "deploy"]).await;
    assert!(deployed.stderr.contains("`app build` would change"), "{}", deployed.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_has_help() {
    let contents = CliScenario::new().await;
    for command in ["deploy", "install", "upgrade", "status", "uninstall"] {
        let help = contents.succeed(&["app", command, "--help"]).await.stdout;
        assert!(help.contains("--application") && !help.contains("{kind}") && !help.contains("{name}"), "{help}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_built_image_is_pushed() {
    let Some(registry) = Registry::open() else { return };
    let contents = CliScenario::new().await;
    contents.succeed(&["app", "build"]).await;
    let image = ImageFolder::new().builder().write(contents.folder.path().join("sf_build/image")).unwrap();
    let url = format!("http://{}/snowfeed/public/images", registry.host());
    contents.account.state().contents.repositories.insert("SNOWFEED.PUBLIC.IMAGES".into(), url);
    let deployed: Value = serde_json::from_str(&contents.succeed(&["--json", "app", "deploy"]).await.stdout).unwrap();
    assert_eq!(deployed["notes"], Value::Array(Vec::new()));
    let reference = format!("{}/snowfeed/public/images/github_issues:0.1.0", registry.host());
    assert_eq!(registry.inspect(&reference, false)["Digest"], image.digest());
    // No file of the image is on the stage.
    assert!(!contents.account.files().keys().any(|path| path.contains("blobs")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_shows_how_the_image_database_is_created() {
    let contents = CliScenario::of(Account::fresh().await);
    contents.succeed(&["app", "build"]).await;
    let script = contents.succeed(&["app", "deploy", "--dry-run"]).await.stdout;
    for line in [
        "-- create the database SNOWFEED; needs CREATE DATABASE on ACCOUNT\nCREATE DATABASE IF NOT EXISTS SNOWFEED COMMENT = 'Made by snowfeed';\n",
        "-- create the image repository SNOWFEED.PUBLIC.IMAGES; needs CREATE IMAGE REPOSITORY on SCHEMA SNOWFEED.PUBLIC\n",
    ] {
        assert!(script.contains(line), "{script}");
    }
    // A newly made object cannot have anything in it.
    assert!(!script.contains("already"), "{script}");
    assert_eq!(contents.account.changes(), [""; 0]);
    let refused = contents.run(&["app", "deploy", "--no-create-repository"]).await;
    let printed = contents.expect(refused, 6).stderr;
    for part in [
        "the database SNOWFEED, the image repository SNOWFEED.PUBLIC.IMAGES are missing",
        "CREATE DATABASE IF NOT EXISTS SNOWFEED",
        "CREATE IMAGE REPOSITORY IF NOT EXISTS SNOWFEED.PUBLIC.IMAGES",
        "without --no-create-repository",
    ] {
        assert!(printed.contains(part), "{part}: {printed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_come_from_arguments_and_every_source_of_settings() {
    let mut contents = CliScenario::new().await;
    contents.succeed(&["app", "build"]).await;
    contents.succeed(&["app", "deploy"]).await;
    contents.variables.insert("GITHUB_PROXY", "http://proxy.acme.com:3128".to_owned());
    let set = ["--set", "api_url=https://ghe.acme.com/api/v3", "app", "install", "--host", "cdn.acme.com:8443"];
    contents.succeed(&set).await;
    let rule = "GITHUB_CONNECTOR_SETUP.PUBLIC.GITHUB_CONNECTOR_HOSTS";
    let value = contents.account.contents().rules[rule].value.clone();
    assert_eq!(value, "api.github.com,ghe.acme.com,proxy.acme.com:3128,cdn.acme.com:8443");
    let refused = contents.run(&["app", "install", "--host", "https://ghe.acme.com"]).await;
    assert!(contents.expect(refused, 4).stderr.contains("without a scheme"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_argument_names_the_version_to_drop() {
    let contents = CliScenario::new().await;
    contents.succeed(&["app", "build"]).await;
    let name = format!("V{}", env!("CARGO_PKG_VERSION").replace('.', "_"));
    let refused = contents.run(&["app", "deploy", "--drop-version", &name]).await;
    assert!(contents.expect(refused, 4).stderr.contains("the version to deploy"));
    contents.succeed(&["app", "deploy", "--drop-version", "v0"]).await;
}
