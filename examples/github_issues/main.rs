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
        Some("demo") => match args.next() {
            Some(option) if option.starts_with('-') => {
                eprintln!("demo [PATH]: shows what snowfeed does, and leaves its database at PATH");
                if matches!(&*option, "-h" | "--help") { ExitCode::SUCCESS } else { ExitCode::from(2) }
            }
            path => demo::run(path.as_deref()).await,
        },
        first => {
            let ended = snowfeed::cli::run(GithubIssues::default()).await;
            if matches!(first, None | Some("-h" | "--help" | "help")) {
                eprintln!("\nThis example has one more command, which needs neither network nor token:\n  demo [PATH]");
            }
            ended
        }
    }
}
