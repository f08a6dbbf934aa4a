//! The arguments that name and describe the app.

use std::path::PathBuf;

use crate::native_app::App;
use crate::{Error, Result, SourceSpec};

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
