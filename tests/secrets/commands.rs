//! Every command, at every log level, with a secret in the environment and in a file.

use std::fs;

use github_server::GithubServer;

use crate::canary::{CANARY, assert_absent_below, assert_output_clean};
use crate::support::Program;

const LEVELS: [&[&str]; 6] = [&[], &["-q"], &["-v"], &["-vv"], &["-vvv"], &["--json"]];

/// Each command, with its expected exit status when the secret is right.
const COMMANDS: [(&[&str], i32); 15] = [
    (&["check"], 0),
    (&["discover"], 0),
    (&["configure", "page_size=50"], 0),
    (&["configure"], 0),
    (&["enable", "acme/gears"], 0),
    (&["ingest"], 0),
    (&["ingest", "--reconcile"], 0),
    (&["ingest", "acme/none"], 6),
    (&["status"], 0),
    (&["runs"], 0),
    (&["preview", "acme/gears"], 0),
    (&["reset", "acme/gears", "--yes"], 0),
    (&["disable", "acme/gears"], 0),
    (&["schema"], 0),
    (&["completions", "bash"], 0),
];

#[tokio::test(flavor = "multi_thread")]
async fn no_command_writes_the_secret_at_any_level() {
    let upstream = GithubServer::builder().token(CANARY).repository("acme/gears", 30).start().await.unwrap();
    for by_file in [false, true] {
        let mut program = Program::github(upstream.url()).variable("GITHUB_REPOSITORIES", "acme/gears");
        if by_file {
            fs::write(program.folder().join("hush"), CANARY).unwrap();
            fs::write(program.folder().join("mine.toml"), "token = \"file:hush\"").unwrap();
        } else {
            program = program.variable("GITHUB_TOKEN", CANARY);
        }
        for level in LEVELS {
            for (args, code) in COMMANDS {
                let file: &[&str] = if by_file { &["--config", "mine.toml"] } else { &[] };
                let args = [level, file, args].concat();
                assert_output_clean(&args, &program.run(&args).await.expect(code));
            }
        }
        assert!(assert_absent_below(program.folder(), &["hush"]) >= 1, "there is a database");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_secret_is_not_written_either() {
    let upstream = GithubServer::builder().token("another").repository("acme/gears", 3).start().await.unwrap();
    let program = Program::github(upstream.url()).variable("GITHUB_TOKEN", CANARY);
    for level in LEVELS {
        for args in [&["check"][..], &["discover"], &["ingest", "acme/gears"], &["runs"], &["status"]] {
            let args = [level, args].concat();
            assert_output_clean(&args, &program.run(&args).await);
        }
    }
    assert_absent_below(program.folder(), &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_misplaced_secret_is_rejected_and_not_quoted() {
    let url = format!("http://user:{}@127.0.0.1:9/", "C4n4ryBird");
    let by_value = format!("token={CANARY}");
    for setting in [by_value, format!("api_url={url}"), format!("proxy={url}"), format!("private_key={CANARY}")] {
        let program = Program::new("github_issues");
        for args in
            [&["configure", &setting][..], &["--set", &setting, "check"], &["-vvv", "--set", &setting, "status"]]
        {
            let ended = program.run(args).await.expect(4);
            // Not even the arguments, which contain it, are repeated.
            assert_output_clean(&["(arguments with a secret)"], &ended);
        }
        assert_absent_below(program.folder(), &[]);
    }
    let program = Program::new("github_issues").variable("GITHUB_PROXY", &url).variable("GITHUB_API_URL", &url);
    assert_output_clean(&["check"], &program.run(&["-vvv", "check"]).await.expect(4));
    let program = Program::new("github_issues");
    fs::write(program.folder().join("mine.toml"), format!("token = '{CANARY}'\nproxy = '{url}'\napi_url = '{url}'"))
        .unwrap();
    assert_output_clean(&["check"], &program.run(&["-vvv", "--config", "mine.toml", "check"]).await.expect(4));
    // Where the file is not valid TOML, the line with the mistake is the one with the secret.
    fs::write(program.folder().join("mine.toml"), format!("token = {CANARY}")).unwrap();
    assert_output_clean(&["check"], &program.run(&["-vvv", "--config", "mine.toml", "check"]).await.expect(4));
}

#[cfg(feature = "native-app")]
#[tokio::test(flavor = "multi_thread")]
async fn no_bundle_holds_the_secret() {
    let program = Program::new("github_issues").variable("GITHUB_TOKEN", CANARY).variable("SNOWFLAKE_PASSWORD", CANARY);
    let args = ["-vvv", "app", "build", "--out", "bundle"];
    let ended = program.run(&args).await.expect(0);
    assert_output_clean(&args, &ended);
    assert!(assert_absent_below(&program.folder().join("bundle"), &[]) > 5, "a bundle has files");
}
