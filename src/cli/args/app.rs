//! The arguments of `app`.

mod operate;

use std::path::PathBuf;

use clap::Subcommand;
pub(in crate::cli) use operate::{Deploy, Install, Operation, Uninstall, Upgrade};

use crate::native_app::App;
use crate::{Error, Result, SourceSpec};

/// What `app --help` shows.
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

/// What is done with the native app.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum AppCommand {
    /// Write all that Snowflake installs
    #[command(
        after_help = "Only what has changed is written; what an earlier build wrote and this one does not is removed.\n\n\
        The image needs a program without libraries, for linux/amd64. On Linux on x86-64:\n  \
        RUSTFLAGS=\"-C target-feature=+crt-static\" cargo build --release --target x86_64-unknown-linux-gnu\n\
        On macOS, Windows and ARM machines:\n  \
        cargo zigbuild --release --target x86_64-unknown-linux-musl"
    )]
    Build {
        /// The folder: empty, or one that was built before
        #[arg(long, value_name = "DIR", default_value = "sf_build")]
        out: PathBuf,
        /// The program for the container's image [default: this one, if it can run there]
        #[arg(long, value_name = "FILE")]
        binary: Option<PathBuf>,
        #[command(flatten)]
        app: AppArgs,
    },
    /// Check what was built against Snowflake's rules, without an account
    Validate {
        /// The folder that was built; where there is none, what would be built is checked
        #[arg(long, value_name = "DIR", default_value = "sf_build")]
        out: PathBuf,
        #[command(flatten)]
        app: AppArgs,
    },
    /// Bring what was built into an application package of the account
    #[command(after_help = "Repeatable: only what has changed is uploaded, and the same files make no new patch.")]
    Deploy(Deploy),
    /// Install the app, with all that it needs
    #[command(after_help = "Repeatable: what there is, is kept. A secret is set where --secret gives its value.")]
    Install(Install),
    /// Upgrade the app in the way in which it was installed
    Upgrade(Upgrade),
    /// Show how the app stands: package, versions, application, references, privileges
    Status {
        #[command(flatten)]
        app: AppArgs,
    },
    /// Remove the app
    #[command(
        after_help = "What it owns stays, and so does the app, unless --cascade is said. The secrets stay unless --objects is."
    )]
    Uninstall(Uninstall),
}

/// What the app is called, and how it is set up.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "App")]
pub(in crate::cli) struct AppArgs {
    /// What it is called where people read it
    #[arg(long)]
    title: Option<String>,
    /// What it does, in a sentence or two
    #[arg(long)]
    description: Option<String>,
    /// With what text a privilege or a reference is asked for; may be given several times
    #[arg(long, value_name = "NAME=TEXT")]
    text: Vec<String>,
    /// The application package [default: {NAME}_CONNECTOR_PKG]
    #[arg(long, value_name = "NAME")]
    package: Option<String>,
    /// The application [default: {NAME}_CONNECTOR]
    #[arg(long, value_name = "NAME")]
    application: Option<String>,
    /// The image repository, in lower case [default: /snowfeed/public/images]
    #[arg(long, value_name = "/DB/SCHEMA/REPOSITORY")]
    image_repository: Option<String>,
    /// The image's name [default: the name of this program]
    #[arg(long, value_name = "NAME")]
    image: Option<String>,
    /// The machines of the compute pool [default: CPU_X64_XS]
    #[arg(long, value_name = "FAMILY")]
    pool_family: Option<String>,
    /// How often each {kind} is ingested unless it is said otherwise [default: 30m]
    #[arg(long, value_name = "SCHEDULE")]
    default_schedule: Option<String>,
    /// An app that starts no container: this program runs elsewhere, with --to snowflake, and the app shows its tables
    #[arg(long)]
    without_container: bool,
    /// A folder with a Streamlit page of your own, started by its app.py
    #[arg(long, value_name = "DIR")]
    page: Option<PathBuf>,
}

impl AppArgs {
    /// The app of a source whose program is called `program`.
    pub(in crate::cli) fn app(&self, spec: &SourceSpec, program: &str) -> Result<App> {
        let program = self.image.as_deref().unwrap_or(program);
        let mut app = App::from(spec).program(program);
        app = app.without_container(self.without_container);
        let mut set = |value: &Option<String>, setter: fn(App, String) -> App| {
            if let Some(value) = value {
                app = setter(app.clone(), value.clone());
            }
        };
        set(&self.title, App::title);
        set(&self.description, App::description);
        set(&self.package, App::package);
        set(&self.application, App::application);
        set(&self.image_repository, App::image_repository);
        set(&self.pool_family, App::pool_family);
        set(&self.default_schedule, App::schedule);
        for argument in &self.text {
            let (of, text) = argument.split_once('=').ok_or_else(|| {
                Error::configuration(format!("{argument:?} is no text for anything")).with_help(
                    "write --text 'NAME=TEXT', such as --text 'CREATE DATABASE=Makes the database of the data.'",
                )
            })?;
            app = app.text(of, text);
        }
        Ok(match &self.page {
            Some(page) => app.page(page),
            None => app,
        })
    }
}
