//! The messages about Snowflake of a program built without the feature.

use super::support::Program;

#[tokio::test(flavor = "multi_thread")]
async fn snowflake_options_name_the_missing_feature() {
    let program = Program::new("github_issues");
    let help =
        program.run(&["--help"]).await.expect(0).stdout + &program.run(&["ingest", "--help"]).await.expect(0).stdout;
    let completions = program.run(&["completions", "bash"]).await.expect(0).stdout;
    for flag in ["--to", "--connection", "--warehouse", "--cost"] {
        assert!(!help.contains(&format!("{flag} ")) && !completions.contains(&format!("{flag} ")), "{flag}");
    }
    for args in [
        &["--to", "snowflake", "check"][..],
        &["check", "--to=snowflake"],
        &["--connection", "x", "check"],
        &["ingest", "--cost"],
    ] {
        let ended = program.run(args).await.expect(2);
        assert!(ended.stderr.contains("feature `snowflake`") && ended.stdout.is_empty(), "{args:?}: {}", ended.stderr);
    }
    let program = program.variable("SNOWFEED_TO", "snowflake");
    let ended = program.run(&["status"]).await.expect(1);
    assert!(ended.stderr.contains("feature `snowflake`"), "{}", ended.stderr);
}
