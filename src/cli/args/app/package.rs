//! The arguments that name and describe the app.

use std::path::PathBuf;

use crate::native_app::App;
use crate::{Error, Result, SourceSpec};

/// The names of the app, and its setup.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "App")]
pub(in crate::cli) struct AppArgs {
    /// The title of the app, for people
    #[arg(long)]
    title: Option<String>,
    /// A description of the app in one or two sentences
    #[arg(long)]
    description: Option<String>,
    /// The text that explains a privilege or a reference; may be repeated
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
    /// The instance family of the compute pool [default: CPU_X64_XS]
    #[arg(long, value_name = "FAMILY")]
    pool_family: Option<String>,
    /// The schedule of each {kind} without one of its own [default: 30m]
    #[arg(long, value_name = "SCHEDULE")]
    default_schedule: Option<String>,
    /// Build an app without a container: this program runs elsewhere, with --to snowflake, and the app shows its tables
    #[arg(long)]
    without_container: bool,
    /// A folder with your own Streamlit page, started by its app.py
    #[arg(long, value_name = "DIR")]
    page: Option<PathBuf>,
}

impl AppArgs {
    /// Returns the app of a source whose program is named `program`.
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
            let (name, text) = argument.split_once('=').ok_or_else(|| {
                Error::configuration(format!("{argument:?} is not NAME=TEXT"))
                    .with_help("write, for example, --text 'CREATE DATABASE=Makes the database of the data.'")
            })?;
            app = app.text(name, text);
        }
        Ok(match &self.page {
            Some(page) => app.page(page),
            None => app,
        })
    }
}
