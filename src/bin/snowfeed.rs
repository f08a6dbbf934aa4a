//! The program `snowfeed`: runs REST APIs that a TOML file describes, and the built-in sources. See `snowfeed::cli::program`.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    snowfeed::cli::program::run().await
}
