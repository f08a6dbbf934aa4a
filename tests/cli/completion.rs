//! Completion in a real shell.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use github_server::GithubServer;

use crate::peers::hang_up;
use crate::support::Program;

/// Asks the script for what can be next on a line. The last word is the one that the cursor is at.
const ASK: &str = "\
compopt() { :; }
source \"$1\"
shift
COMP_WORDS=(\"$@\")
COMP_CWORD=$(($# - 1))
COMP_TYPE=9
\"$(complete -p \"$1\" | sed 's/.* -F \\([^ ]*\\) .*/\\1/')\" \"$1\" \"${!#}\"
printf '%s\\n' \"${COMPREPLY[@]}\"
";

/// What a line can go on with in bash, and how long that took.
fn complete(folder: &Path, variables: &[(&str, &str)], script: &Path, line: &[&str]) -> (Vec<String>, Duration) {
    let began = Instant::now();
    let output = Command::new("bash")
        .args(["--norc", "-c", ASK, "bash"])
        .arg(script)
        .args(line)
        .current_dir(folder)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && said.is_empty(), "{line:?}: {said}");
    let words = String::from_utf8(output.stdout).unwrap();
    (words.lines().filter(|word| !word.is_empty()).map(str::to_owned).collect(), began.elapsed())
}

#[tokio::test(flavor = "multi_thread")]
async fn bash_completes_commands_options_resources_and_streams() {
    let upstream =
        GithubServer::builder().repository("acme/gears", 3).repository("acme/nuts", 3).start().await.unwrap();
    let program = Program::github(upstream.url());
    program.run(&["enable", "acme/gears", "acme/nuts"]).await.expect(0);
    program.run(&["disable", "acme/nuts"]).await.expect(0);
    program.run(&["--db", "other.db", "enable", "acme/gears"]).await.expect(0);
    let requests = upstream.requests().len();
    let script = program.folder().join("completions");
    std::fs::write(&script, program.run(&["completions", "bash"]).await.expect(0).stdout).unwrap();
    let ask = |line: &[&str]| complete(program.folder(), &[], &script, &[&["github_issues"], line].concat()).0;
    assert_eq!(ask(&["ingest", "acme/"]), ["acme/gears", "acme/nuts"]);
    assert_eq!(ask(&["runs", "--json", "acme/n"]), ["acme/nuts"]);
    assert_eq!(ask(&["--db", "other.db", "reset", "ac"]), ["acme/gears"]);
    assert_eq!(ask(&["reset", "--db=other.db", "ac"]), ["acme/gears"]);
    assert!(ask(&["--db", "missing.db", "reset", "ac"]).is_empty() && !program.folder().join("missing.db").exists());
    assert_eq!(ask(&["ingest", "acme/gears", "--streams", "issues,mil"]), ["issues,milestones"]);
    assert_eq!(ask(&["runs", "--stream", "issue_c"]), ["issue_comments"]);
    assert_eq!(ask(&["inge"]), ["ingest"]);
    assert_eq!(ask(&["ingest", "--recon"]), ["--reconcile"]);
    assert_eq!(ask(&["completions", "ba"]), ["bash"]);
    assert_eq!(upstream.requests().len(), requests, "a completion has asked the remote");
    // A file that is none says nothing.
    std::fs::write(program.folder().join("broken.db"), "x".repeat(5_000)).unwrap();
    assert!(ask(&["--db", "broken.db", "reset", "ac"]).is_empty());
    // The program with several sources.
    let snowfeed = env!("CARGO_BIN_EXE_snowfeed");
    let made = Command::new(snowfeed).args(["github", "completions", "bash"]).output().unwrap();
    std::fs::write(&script, made.stdout).unwrap();
    let ask = |line: &[&str]| complete(program.folder(), &[], &script, &[&["snowfeed"], line].concat()).0;
    assert_eq!(ask(&["github", "ingest", "acme/n"]), ["acme/nuts"]);
    assert_eq!(ask(&["git"]), ["github"]);
    assert!(ask(&["github", "dis"]).contains(&"disable".to_owned()));
    // A resource with a stream that the source does not have any more, and so on, is no matter here: names come from the file.
    let helpdesk = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/helpdesk.toml");
    assert_eq!(ask(&["--source", helpdesk, "discov"]), ["discover"]);
    assert!(ask(&["--sour"]).contains(&"--source".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn completion_asks_no_warehouse_and_is_quick() {
    let program = Program::new("github_issues");
    let script = program.folder().join("completions");
    std::fs::write(&script, program.run(&["completions", "bash"]).await.expect(0).stdout).unwrap();
    let (url, connections) = hang_up();
    let port = url.rsplit(':').next().unwrap();
    let variables = [
        ("SNOWFEED_TO", "snowflake"),
        ("SNOWFLAKE_ACCOUNT", "a"),
        ("SNOWFLAKE_HOST", "127.0.0.1"),
        ("SNOWFLAKE_PORT", port),
        ("SNOWFLAKE_PROTOCOL", "http"),
        ("SNOWFLAKE_USER", "u"),
        ("SNOWFLAKE_PASSWORD", "p"),
        ("SNOWFLAKE_DATABASE", "D"),
    ];
    let (words, took) = complete(program.folder(), &variables, &script, &["github_issues", "reset", "ac"]);
    assert!(words.is_empty(), "{words:?}");
    // Tests are not optimized, and others run beside this one.
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!(connections.load(Ordering::SeqCst), 0);
}
