//! The arguments of `app`.

mod operate;
mod package;

use std::path::PathBuf;

use clap::Subcommand;
pub(in crate::cli) use operate::{Deploy, Install, Operation, Uninstall, Upgrade};

pub(in crate::cli) use package::AppArgs;

/// The examples in `app --help`.
pub(super) const EXAMPLES: &str = "\
Examples:
  {program} app build                      sf_build/, with the image of this program
  {program} app deploy --dry-run           the statements, and the privilege that each needs
  {program} app deploy --release           package, stage, image, version
  {program} app install --released --secret SETTING=env:VARIABLE --admin ROLE
  {program} app status
  {program} app upgrade --released
  {program} app uninstall --cascade        asks before anything is dropped
";

/// The operations on the native app.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum AppCommand {
    /// Write everything that Snowflake installs
    #[command(
        after_help = "Only what has changed is written; what an earlier build wrote and this one does not is removed.\n\n\
        The image needs a program without libraries, for linux/amd64. On Linux on x86-64:\n  \
        RUSTFLAGS=\"-C target-feature=+crt-static\" cargo build --release --target x86_64-unknown-linux-gnu\n\
        On macOS, Windows and ARM machines:\n  \
        cargo zigbuild --release --target x86_64-unknown-linux-musl"
    )]
    Build {
        /// The folder: empty, or from an earlier build
        #[arg(long, value_name = "DIR", default_value = "sf_build")]
        out: PathBuf,
        /// The program for the container's image [default: this one, if it can run there]
        #[arg(long, value_name = "FILE")]
        binary: Option<PathBuf>,
        #[command(flatten)]
        app: AppArgs,
    },
    /// Check the build against Snowflake's rules, without an account
    Validate {
        /// The folder of the build; if it is missing, checks what would be built
        #[arg(long, value_name = "DIR", default_value = "sf_build")]
        out: PathBuf,
        #[command(flatten)]
        app: AppArgs,
    },
    /// Deploy the build to an application package in the account
    #[command(after_help = "Repeatable: only what has changed is uploaded, and the same files make no new patch.")]
    Deploy(Deploy),
    /// Install the app and everything that it needs
    #[command(after_help = "Repeatable: existing objects are kept. A secret is set if --secret gives its value.")]
    Install(Install),
    /// Upgrade the app the way it was installed
    Upgrade(Upgrade),
    /// Show the status of the app: package, versions, application, references, privileges
    Status {
        #[command(flatten)]
        app: AppArgs,
    },
    /// Remove the app
    #[command(
        after_help = "Keeps the app and what it owns unless you pass --cascade, and the secrets unless you pass --objects."
    )]
    Uninstall(Uninstall),
}
