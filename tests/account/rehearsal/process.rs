//! The run as a user starts it: a process, configured by the environment, with a connection from a file.

use std::process::{Command, Output};

use super::small_app;
use crate::scripted::QUERY;

/// Whether the run on an account was requested.
fn is_on_an_account() -> bool {
    std::env::var_os("SNOWFEED_ACCOUNT").is_some()
}

/// Runs the test of the acceptance run in a separate process.
async fn start(environment: Vec<(&'static str, String)>) -> Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["acceptance_run_on_an_account", "--exact", "--nocapture"]);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("SNOWF")) {
        command.env_remove(name);
    }
    command.envs(environment);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Connections to a server on this machine, with a password and with a token.
fn connections(port: u16) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let common =
        format!("account = \"test\"\nuser = \"rehearsal\"\nhost = \"127.0.0.1\"\nport = {port}\nprotocol = \"http\"\n");
    let file = folder.path().join("connections.toml");
    let content = format!(
        "[first]\n{common}password = \"hunter2-password-of-a-file\"\n\n[second]\n{common}authenticator = \
         \"PROGRAMMATIC_ACCESS_TOKEN\"\ntoken = \"hunter2-token-of-a-file\"\n"
    );
    std::fs::write(&file, content).unwrap();
    #[cfg(unix)]
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    folder
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_without_a_connection_is_skipped_with_one_message() {
    let output = start(Vec::new()).await;
    assert!(output.status.success());
    assert_eq!(text(&output).matches("skipped: SNOWFEED_ACCOUNT names no connection").count(), 1, "{}", text(&output));
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_come_from_files_and_a_report_is_written() {
    if is_on_an_account() {
        return;
    }
    let account = small_app::start().await;
    let home = connections(account.server.port);
    let report = home.path().join("reports").join("acceptance.md");
    let environment = |steps: &str, credits: &str| {
        vec![
            ("SNOWFEED_ACCOUNT", "first".to_owned()),
            ("SNOWFEED_ACCOUNT_LOGINS", "second".to_owned()),
            ("SNOWFEED_ACCOUNT_STEPS", steps.to_owned()),
            ("SNOWFEED_ACCOUNT_CREDITS", credits.to_owned()),
            ("SNOWFEED_ACCOUNT_REPORT", report.to_str().unwrap().to_owned()),
            ("SNOWFLAKE_HOME", home.path().to_str().unwrap().to_owned()),
        ]
    };
    let before = account.contents();
    let output = start(environment("login,app", "0.5")).await;
    let (output_text, written) = (text(&output), std::fs::read_to_string(&report).unwrap());
    assert!(output.status.success(), "{output_text}");
    for line in [
        "| `login` | held",
        "| `app-configure` | held",
        "| `app-uninstall` | held",
        "`second` (programmatic access token) logs in",
    ] {
        assert!(output_text.contains(line) && written.contains(line), "{line}: {output_text}");
    }
    let is_built = output_text.contains("| `app-job` | held");
    assert!(is_built || output_text.contains("| `app-job` | skipped"), "{output_text}");
    assert!(
        output_text.contains("limit: 0.5 credits") && !output_text.contains("hunter2") && !written.contains("hunter2"),
        "{output_text}"
    );
    assert_eq!(account.contents(), before, "objects are left");

    // The process fails where a step fails.
    account.state().forbidden = vec!["CREATE APPLICATION PACKAGE"];
    let output = start(environment("app-deploy", "0.5")).await;
    assert!(!output.status.success() && text(&output).contains("did not hold: [\"app-deploy\"]"), "{}", text(&output));
    for (steps, credits, refused) in
        [("lode", "1", "there is no step \"lode\""), ("login", "-1", "must be a number above 0")]
    {
        let output = start(environment(steps, credits)).await;
        assert!(!output.status.success() && text(&output).contains(refused), "{}", text(&output));
    }
}

/// Ctrl-C, as a terminal sends it.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_ends_the_run_and_removes_everything() {
    if is_on_an_account() {
        return;
    }
    let hangs = "ALTER APPLICATION PACKAGE";
    let account = small_app::start_hanging(Some(hangs)).await;
    let home = connections(account.server.port);
    let before = account.contents();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["acceptance_run_on_an_account", "--exact", "--nocapture"]);
    command.envs([
        ("SNOWFEED_ACCOUNT", "first"),
        ("SNOWFEED_ACCOUNT_STEPS", "app"),
        ("SNOWFLAKE_HOME", home.path().to_str().unwrap()),
    ]);
    command.env("SNOWFEED_ACCOUNT_REPORT", home.path().join("report.md"));
    let process = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    while !account.server.requests(QUERY).iter().any(|asked| asked.sql().starts_with(hangs)) {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let killed = Command::new("kill").args(["-INT", &process.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let output = tokio::task::spawn_blocking(move || process.wait_with_output().unwrap()).await.unwrap();
    let output_text = text(&output);
    assert!(
        !output.status.success() && output_text.contains("| `app-deploy` | stopped | by a signal"),
        "{output_text}"
    );
    assert_eq!(account.contents(), before, "objects are left: {output_text}");
}
