//! The whole command line for GitHub issues, and a demonstration that needs neither network nor token:
//!
//! ```sh
//! cargo run --release --example github_issues -- demo
//! GITHUB_TOKEN=… cargo run --release --example github_issues -- ingest rust-lang/log
//! ```

mod demo;

use std::process::ExitCode;

use snowfeed::sources::github::GithubIssues;

#[tokio::main]
async fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    match args.next().as_deref() {
        Some("demo") => demo::run(args.next().as_deref()).await,
        first => {
            let ended = snowfeed::cli::run(GithubIssues::default()).await;
            if matches!(first, None | Some("-h" | "--help" | "help")) {
                eprintln!("\nThis example has one more command, which needs neither network nor token:\n  demo [PATH]");
            }
            ended
        }
    }
}
