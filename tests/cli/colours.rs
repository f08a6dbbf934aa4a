//! Colours appear on terminals only.

use super::support::Program;

const ESCAPE: char = '\u{1b}';

async fn is_coloured(program: Program) -> bool {
    program.run(&["--set", "tokne=x", "check"]).await.expect(4).stderr.contains(ESCAPE)
}

#[tokio::test(flavor = "multi_thread")]
async fn output_is_coloured_only_on_a_terminal_or_when_forced() {
    assert!(!is_coloured(Program::new("github_issues").variable("TERM", "xterm-256color")).await);
    assert!(is_coloured(Program::new("github_issues").variable("CLICOLOR_FORCE", "1")).await);
    let refused = Program::new("github_issues").variable("CLICOLOR_FORCE", "1").variable("NO_COLOR", "1");
    assert!(!is_coloured(refused).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn log_and_help_have_no_colours_without_a_terminal() {
    let program = Program::github("http://127.0.0.1:1").variable("GITHUB_RETRIES", "0");
    for args in [&["-v", "ingest", "acme/gears"][..], &["--help"], &["ingst"]] {
        let ended = program.run(args).await;
        assert!(args[0] != "-v" || ended.stderr.contains("INFO"), "the log is not empty: {ended:?}");
        assert!(!ended.stdout.contains(ESCAPE) && !ended.stderr.contains(ESCAPE), "{ended:?}");
    }
}
