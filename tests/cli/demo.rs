//! The examples succeed, whatever the user's environment holds.

use std::path::Path;

use super::support::Program;

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_ignores_the_environment() {
    let program = Program::new("github_issues")
        .variable("GITHUB_API_URL", "http://127.0.0.1:1")
        .variable("GITHUB_TOKEN", "hush")
        .variable("GITHUB_PAGE_SIZE", "nonsense")
        .variable("HTTP_PROXY", "http://127.0.0.1:1");
    let path = program.folder().join("story.db");
    let output = program.run(&["demo", path.to_str().unwrap()]).await.expect(0).stdout;
    for part in [
        "2000 inserted, 0 updated, 0 deleted",
        "0 inserted, 0 updated, 0 deleted, 0 unchanged; requests: 1;",
        "5 inserted, 35 updated, 0 deleted",
        "2 deleted",
        "sqlite3 ",
    ] {
        assert!(output.contains(part), "{part:?} is not in:\n{output}");
    }
    assert!(path.exists());
    program.run(&["demo", path.to_str().unwrap()]).await.expect(1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_embedded_engine_reports_progress() {
    let output = Program::new("embed").run(&[]).await.expect(0).stdout;
    for line in ["first: 600 inserted", "again: north (orders): 0 inserted", "again: north (refunds): 20 inserted"] {
        assert!(output.contains(line), "{line}: {output}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_custom_source_has_the_whole_command_line() {
    let program = Program::new("custom_source");
    let data = format!("path={}", Path::new("examples/data").canonicalize().unwrap().display());
    let report = program.json(&["--set", &data, "ingest", "planets"]).await;
    assert_eq!((&report["counts"]["inserted"], &report["counts"]["updated"]), (&8.into(), &1.into()));
    let help = program.run(&["--help"]).await.expect(0).stdout;
    assert!(help.contains("List each file"), "{help}");
    let missing = program.run(&["ingest"]).await.expect(4);
    assert!(missing.stderr.contains("path"), "{}", missing.stderr);
}
