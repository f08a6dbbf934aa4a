//! The program `snowfeed`. Only as an example does it share the build of the tests, and only then a test can link it in another way.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    snowfeed::cli::program::run().await
}
