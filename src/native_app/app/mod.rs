//! The description of an app: its source and its names.

mod image;
mod name;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

pub(crate) use image::ImageReference;
use jiff::SignedDuration;
pub use name::Name;

use super::hosts::check_declared;
use crate::config::SHORTEST_SCHEDULE;
use crate::{Error, Result, SourceSpec};

/// Describes an app: its source, and names that differ from the defaults.
///
/// | | default, for a source `github` |
/// |---|---|
/// | [`title`](Self::title) | `Github connector` |
/// | [`package`](Self::package) | `GITHUB_CONNECTOR_PKG` |
/// | [`application`](Self::application) | `GITHUB_CONNECTOR` |
/// | [`program`](Self::program) | `github` |
/// | [`image_repository`](Self::image_repository) | `/snowfeed/public/images` |
/// | [`pool_family`](Self::pool_family) | `CPU_X64_XS` |
/// | [`schedule`](Self::schedule) | `30m` |
///
/// # Errors
/// The setters accept any value; [`Bundle::new`](super::Bundle::new) validates them.
#[derive(Debug, Clone)]
pub struct App {
    pub(super) spec: SourceSpec,
    pub(super) title: String,
    pub(super) description: String,
    pub(super) texts: BTreeMap<String, String>,
    pub(super) pool_family: String,
    pub(super) schedule: String,
    pub(super) container: bool,
    pub(super) page: Option<PathBuf>,
    package: String,
    application: String,
    program: String,
    image_repository: String,
}

/// The validated names of an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Names {
    /// The application package in the provider's account.
    pub(crate) package: Name,
    /// The application in the consumer's account.
    pub(crate) application: Name,
    /// The version in the application package: `V1_2_0`.
    pub(crate) version: Name,
    /// The container's image.
    pub(crate) image: ImageReference,
}

impl From<&SourceSpec> for App {
    /// An app with the default names.
    fn from(spec: &SourceSpec) -> Self {
        let upper = spec.name.to_ascii_uppercase();
        let mut letters = spec.name.chars();
        let capital: String =
            letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect();
        Self {
            title: format!("{} connector", capital.replace('_', " ")),
            description: format!(
                "Keeps every {} that you enable from {} in sync with tables of your own account.",
                spec.resource_kind, spec.name
            ),
            texts: BTreeMap::new(),
            pool_family: "CPU_X64_XS".into(),
            schedule: "30m".into(),
            container: true,
            page: None,
            package: format!("{upper}_CONNECTOR_PKG"),
            application: format!("{upper}_CONNECTOR"),
            program: spec.name.clone(),
            image_repository: "/snowfeed/public/images".into(),
            spec: spec.clone(),
        }
    }
}

impl App {
    /// The app's title for people.
    #[must_use]
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    /// A description of the app in one or two sentences.
    #[must_use]
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }

    /// The text that explains a privilege (`CREATE DATABASE`) or a reference (`token`) to the consumer.
    #[must_use]
    pub fn text(mut self, name: impl Into<String>, text: impl Into<String>) -> Self {
        self.texts.insert(name.into(), text.into());
        self
    }

    /// The name of the application package.
    #[must_use]
    pub fn package(mut self, package: impl Into<String>) -> Self {
        self.package = package.into();
        self
    }

    /// The name of the application.
    #[must_use]
    pub fn application(mut self, application: impl Into<String>) -> Self {
        self.application = application.into();
        self
    }

    /// The name of the connector's program and of its image.
    #[must_use]
    pub fn program(mut self, program: impl Into<String>) -> Self {
        self.program = program.into();
        self
    }

    /// The image repository: `/database/schema/repository`, in lower case.
    #[must_use]
    pub fn image_repository(mut self, path: impl Into<String>) -> Self {
        self.image_repository = path.into();
        self
    }

    /// The instance family of the app's compute pool.
    #[must_use]
    pub fn pool_family(mut self, family: impl Into<String>) -> Self {
        self.pool_family = family.into();
        self
    }

    /// The default schedule of a resource: an interval such as `30m`, or a cron expression of five fields in UTC.
    #[must_use]
    pub fn schedule(mut self, schedule: impl Into<String>) -> Self {
        self.schedule = schedule.into();
        self
    }

    /// Whether the app starts no containers, for accounts without container services or external access. The connector's program then
    /// runs elsewhere, with `--to snowflake`. The app requests neither a compute pool nor tasks, secrets or external access.
    #[must_use]
    pub fn without_container(mut self, without: bool) -> Self {
        self.container = !without;
        self
    }

    /// A folder whose files replace those of the page; its main file is `app.py`.
    #[must_use]
    pub fn page(mut self, folder: impl AsRef<Path>) -> Self {
        self.page = Some(folder.as_ref().to_owned());
        self
    }

    /// Returns the validated names.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration): a name is invalid; the help says what is allowed.
    pub(crate) fn names(&self) -> Result<Names> {
        check_source(&self.spec)?;
        let application: Name = self.application.parse()?;
        if !application.is_plain() {
            return Err(Error::configuration(format!("{application} is not a valid name for an application"))
                .with_help(
                    "use letters, digits and _: the names of its compute pool and its jobs must not need quotes",
                ));
        }
        let package: Name = self.package.parse()?;
        if package == application {
            return Err(Error::configuration(format!("the package and the application have the same name {package}"))
                .with_help("rename one of them: both are objects of the account"));
        }
        let image = ImageReference::new(&self.image_repository, &self.program, &self.spec.version)?;
        Ok(Names { package, application, version: version_name(&self.spec.version)?, image })
    }

    /// Validates everything except names.
    pub(super) fn check_settings(&self) -> Result<()> {
        let family = &self.pool_family;
        if family.is_empty() || !family.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(Error::configuration(format!("{family:?} is not an instance family"))
                .with_help("use a family of CREATE COMPUTE POOL, such as CPU_X64_XS"));
        }
        check_declared(&self.spec, self.container)?;
        check_schedule(&self.schedule)
    }
}

/// Validates the source's name, which becomes part of identifiers, and its secrets, which become references.
fn check_source(spec: &SourceSpec) -> Result<()> {
    let plain = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.chars().all(|c| matches!(c, 'a'..='z' | '0'..='9' | '_'))
    };
    if !plain(&spec.name) {
        return Err(Error::configuration(format!("{:?} is not a valid name for a source", spec.name))
            .with_help("use lower-case letters, digits and _"));
    }
    match spec.settings.names().find(|name| spec.settings.is_secret(name) && !plain(name)) {
        None => Ok(()),
        Some(name) => {
            Err(Error::configuration(format!("the secret {name:?} is not a valid name for a reference of an app"))
                .with_help("name the setting with lower-case letters, digits and _"))
        }
    }
}

/// The name of a version in an application package.
fn version_name(version: &str) -> Result<Name> {
    /// Snowflake's limit.
    const LONGEST: usize = 30;
    let name: String = version.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if name.is_empty() || name.len() >= LONGEST {
        return Err(Error::configuration(format!("{version:?} is not a valid version for an app"))
            .with_help("give the source a version such as 1.2.0, with fewer than 30 characters"));
    }
    format!("V{name}").parse()
}

/// Validates a schedule: an interval from one minute to eight days, or a cron expression of five fields.
fn check_schedule(schedule: &str) -> Result<()> {
    let sound = match schedule.parse::<SignedDuration>() {
        Ok(interval) => (SHORTEST_SCHEDULE..=SignedDuration::from_hours(8 * 24)).contains(&interval),
        Err(_) => schedule.split_whitespace().count() == 5 && croner::Cron::from_str(schedule).is_ok(),
    };
    if sound {
        return Ok(());
    }
    Err(Error::configuration(format!("{schedule:?} is not a valid schedule for a task")).with_help(
        "give an interval from `1m` to `192h`, or a cron expression of five fields (UTC) such as `15 2 * * *`",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app() -> App {
        App::from(&SourceSpec::new("github", "1.2.0").host("api.github.com"))
    }

    #[test]
    fn names_follow_from_the_source() {
        let names = app().names().unwrap();
        assert_eq!(names.package.as_str(), "GITHUB_CONNECTOR_PKG");
        assert_eq!(names.application.as_str(), "GITHUB_CONNECTOR");
        assert_eq!(names.version.as_str(), "V1_2_0");
        assert_eq!(names.image.to_string(), "/snowfeed/public/images/github:1.2.0");
        app().check_settings().unwrap();
    }

    #[test]
    fn the_package_name_may_need_quotes() {
        let names = app().package("\"My \"\"package\"\"\"").names().unwrap();
        assert_eq!(names.package.as_str(), "My \"package\"");
    }

    #[test]
    fn invalid_options_are_rejected_with_help() {
        let refused = [
            app().package("github_connector"),
            app().application(""),
            app().application("My app"),
            app().application("\"my_app\""),
            app().image_repository("/DB/x/y"),
            app().program("Github Issues"),
            App::from(&SourceSpec::new("GitHub", "1")),
            App::from(&SourceSpec::new("github", "")),
            App::from(&SourceSpec::new("github", "1.0.0-alpha.with.a.very.long.tail.to.it")),
        ];
        for app in refused {
            let error = app.names().unwrap_err();
            assert!(error.kind() == crate::ErrorKind::Configuration && error.help().is_some(), "{error}");
        }
        let refused = [
            app().pool_family("XS; DROP"),
            app().schedule("30s"),
            app().schedule("* * * * * *"),
            app().schedule("often"),
            App::from(&SourceSpec::new("github", "1").host("https://api.github.com")),
            App::from(&SourceSpec::new("github", "1").host("api.github.com:0")),
            App::from(&SourceSpec::new("github", "1").host("a'b")),
            App::from(&SourceSpec::new("github", "1").host("*.example.com")),
            App::from(&SourceSpec::new("github", "1").host("api.example.com:81")),
        ];
        for app in refused {
            let error = app.check_settings().unwrap_err();
            assert!(error.kind() == crate::ErrorKind::Configuration && error.help().is_some(), "{error}");
        }
    }

    #[test]
    fn valid_schedules_and_hosts_are_accepted() {
        for schedule in ["1m", "30m", "2h", "192h", "15 2 * * *"] {
            app().schedule(schedule).check_settings().unwrap();
        }
        for host in ["api.example.com:8443", "api.example.com:80", "localhost"] {
            App::from(&SourceSpec::new("github", "1").host(host)).check_settings().unwrap();
        }
        App::from(&SourceSpec::new("github", "1").host("*.example.com"))
            .without_container(true)
            .check_settings()
            .unwrap();
    }
}
