//! Installs and upgrades the application for a consumer.

use std::collections::BTreeMap;

use secrecy::SecretString;
use serde_json::{Map, Value};

use super::account::{Account, MARKER, not_found, text_literal};
use super::application::{self, InstallSource};
use super::external_access::{BoundSecrets, ExternalAccess};
use super::grants::{ApplicationRole, Grants};
use super::plan::{Plan, Privilege, Step};
use super::runner::{Report, Runner};
use crate::native_app::bundle::context::{external_access, privileges};
use crate::native_app::hosts::{self, Configured, check_container_host, check_host};
use crate::native_app::{App, Name, Names};
use crate::{Error, Result, SourceSpec};

/// Installs an app for a consumer: creates the network rule, the secrets, the external access integration and the application, grants
/// missing privileges, and binds the references.
///
/// It is idempotent and can be stopped at any time. Existing objects are kept: it does not upgrade an application, sets a secret only
/// if its value is given, and does not rebind a reference.
#[derive(Debug)]
pub struct Install {
    spec: SourceSpec,
    /// The account privileges that the app requests.
    privileges: Vec<&'static str>,
    /// Whether the app runs the connector itself, and so needs external access and secrets.
    container: bool,
    names: Names,
    origin: InstallSource,
    objects_schema: Option<(Name, Name)>,
    secrets: BTreeMap<String, SecretString>,
    /// The settings of the source with which the app will be configured.
    settings: Map<String, Value>,
    /// Hosts besides those of the source.
    hosts: Vec<String>,
    warehouse: Option<Name>,
    roles: Vec<(ApplicationRole, Name)>,
    adopt: bool,
}

impl Install {
    /// Installs `app`.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration): a name is invalid.
    pub fn new(app: &App) -> Result<Self> {
        Ok(Self {
            spec: app.spec.clone(),
            privileges: privileges(app).map(|(name, _)| name).collect(),
            container: app.container,
            names: app.names()?,
            origin: InstallSource::default(),
            objects_schema: None,
            secrets: BTreeMap::new(),
            settings: Map::new(),
            hosts: Vec::new(),
            warehouse: None,
            roles: Vec::new(),
            adopt: false,
        })
    }

    /// The source of the installation.
    #[must_use]
    pub fn source(mut self, origin: InstallSource) -> Self {
        self.origin = origin;
        self
    }

    /// The schema of the secrets and the network rule; `<application>_SETUP.PUBLIC` by default.
    #[must_use]
    pub fn objects_in(mut self, database: Name, schema: Name) -> Self {
        self.objects_schema = Some((database, schema));
        self
    }

    /// The value of a secret setting, such as `token`. It is never printed or logged.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration): the source has no such secret, or the app has none because it runs
    /// without a container.
    pub fn secret(mut self, setting: impl Into<String>, value: SecretString) -> Result<Self> {
        let setting = setting.into();
        if !self.container {
            return Err(Error::configuration(format!("an app without a container has no secret {setting:?}"))
                .with_help("pass it to the program that runs outside Snowflake"));
        }
        if !self.spec.settings.is_secret(&setting) {
            let known: Vec<&str> =
                self.spec.settings.names().filter(|name| self.spec.settings.is_secret(name)).collect();
            let help = if known.is_empty() {
                "it has no secrets".to_owned()
            } else {
                format!("its secrets: {}", known.join(", "))
            };
            return Err(Error::configuration(format!("{} has no secret {setting:?}", self.spec.name)).with_help(help));
        }
        self.secrets.insert(setting, value);
        Ok(self)
    }

    /// A host that the app may reach in addition to those of its source: `HOST` or `HOST:PORT`. Existing hosts are kept.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration): a container in Snowflake cannot reach such a host.
    pub fn host(mut self, host: impl Into<String>) -> Result<Self> {
        let host = host.into();
        check_host(&host)?;
        check_container_host(&host)?;
        if !self.hosts.contains(&host) {
            self.hosts.push(host);
        }
        Ok(self)
    }

    /// A setting of the source with which the app will be configured. The app may reach its host if it is a URL (`"format": "uri"` in the
    /// schema of the settings), and the hosts in which it stands. Other settings, and settings of an app without a container, have no effect.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration): it is not a URL, or a container cannot reach its host.
    pub fn setting(mut self, name: &str, value: &Value) -> Result<Self> {
        self.settings.insert(name.to_owned(), value.clone());
        if self.container {
            hosts::configured(&self.spec, &self.settings).map_err(|error| error.with_context("setting", name))?;
        }
        Ok(self)
    }

    /// The warehouse that the app may use. Without it, bind one on the app's page.
    #[must_use]
    pub fn warehouse(mut self, warehouse: Option<Name>) -> Self {
        self.warehouse = warehouse;
        self
    }

    /// Grants an application role to a role of the account.
    #[must_use]
    pub fn grant(mut self, role: ApplicationRole, to: Name) -> Self {
        self.roles.push((role, to));
        self
    }

    /// Whether objects that snowfeed did not create may be changed.
    #[must_use]
    pub fn adopt(mut self, adopt: bool) -> Self {
        self.adopt = adopt;
        self
    }

    /// Reads the account and executes the missing steps. An installed application lists its own requests; a dry run takes them from the
    /// source.
    ///
    /// # Cancellation
    /// As of [`Deploy::run`](super::Deploy::run).
    ///
    /// # Errors
    /// [`Conflict`](crate::ErrorKind::Conflict): snowfeed did not create an object of this name, a secret or a network rule has
    /// another type, or the compute pool belongs to another application;
    /// [`NotFound`](crate::ErrorKind::NotFound): there is no such version;
    /// [`Configuration`](crate::ErrorKind::Configuration): the role lacks a privilege, which the help names; or a host depends on a
    /// [setting](Self::setting) that is missing; others as Snowflake reports them.
    pub async fn run(&self, account: &mut Account, runner: &Runner<'_>) -> Result<Report> {
        let mut report = Report::default();
        let access =
            ExternalAccess::new(&self.spec, self.all_hosts()?, &self.names.application, self.objects_schema.as_ref())?;
        let mut plan = Plan::default();
        // First, so that nothing is created for an application that cannot be created.
        let found = application::find(account, &self.names.application, self.adopt).await?;
        if self.container {
            application::check_pool(account, &self.names.application, found.is_some()).await?;
        }
        let create = if found.is_none() { Some(self.create(account).await?) } else { None };
        let bound = match self.container {
            true => access.plan(account, &self.secrets, self.adopt, &mut plan).await?,
            false => BoundSecrets::new(),
        };
        plan.steps.extend(create);
        runner.run(account, plan, &mut report).await?;
        if report.stopped {
            return Ok(report);
        }
        let exists = found.is_some() || !runner.is_dry();
        let plan = self.grants(&access, &bound).plan(account, exists).await?;
        runner.run(account, plan, &mut report).await?;
        Ok(report)
    }

    /// The hosts that the app may reach.
    fn all_hosts(&self) -> Result<Vec<String>> {
        if !self.container {
            return Ok(Vec::new());
        }
        let Configured { mut hosts, missing } = hosts::configured(&self.spec, &self.settings)?;
        match missing {
            Some(error) if self.hosts.is_empty() => return Err(error),
            _ => {}
        }
        let more: Vec<String> = self.hosts.iter().filter(|host| !hosts.contains(host)).cloned().collect();
        hosts.extend(more);
        Ok(hosts)
    }

    async fn create(&self, account: &mut Account) -> Result<Step> {
        let application = &self.names.application;
        let target = self.origin.target(account, &self.names).await?;
        let from = self.origin.source_clause(&self.names, target.as_ref());
        Ok(Step::run(
            format!("create the application {application}"),
            format!("CREATE APPLICATION {application} {from} COMMENT = {}", text_literal(MARKER)),
            Privilege::account("CREATE APPLICATION"),
        ))
    }

    fn grants<'a>(&'a self, access: &'a ExternalAccess, bound: &'a BoundSecrets) -> Grants<'a> {
        Grants {
            privileges: &self.privileges,
            external_access: external_access(&self.spec).filter(|_| self.container),
            application: &self.names.application,
            access,
            bound,
            warehouse: self.warehouse.as_ref(),
            roles: &self.roles,
        }
    }
}

/// Upgrades an application from the kind of source that it was installed from. State, data and tasks are kept. It is idempotent.
#[derive(Debug)]
pub struct Upgrade {
    names: Names,
    origin: InstallSource,
    adopt: bool,
}

impl Upgrade {
    /// Upgrades the installed `app`.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration): a name is invalid.
    pub fn new(app: &App) -> Result<Self> {
        Ok(Self { names: app.names()?, origin: InstallSource::default(), adopt: false })
    }

    /// The source of the installation.
    #[must_use]
    pub fn source(mut self, origin: InstallSource) -> Self {
        self.origin = origin;
        self
    }

    /// Whether an application that snowfeed did not install may be upgraded.
    #[must_use]
    pub fn adopt(mut self, adopt: bool) -> Self {
        self.adopt = adopt;
        self
    }

    /// Upgrades the application, unless it already has the version and patch.
    ///
    /// # Cancellation
    /// Dropping the future cancels the upgrade if Snowflake can be reached; [`Status`](super::Status) shows whether it happened.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound): there is no such application or version; otherwise as of
    /// [`Install::run`](super::Install::run). If only a reinstallation can help, the help says so; it is never automatic.
    pub async fn run(&self, account: &mut Account, runner: &Runner<'_>) -> Result<Report> {
        let name = &self.names.application;
        let found = application::find(account, name, self.adopt)
            .await?
            .ok_or_else(|| not_found(format!("the application {name}"), "run `app install`"))?;
        let target = self.origin.target(account, &self.names).await?;
        let mut plan = Plan::default();
        if target.as_ref().is_some_and(|target| target.is_version_of(&found)) {
            plan.note(format!("{name} has {}, patch {}, which is current", found.get("version"), found.get("patch")));
        } else {
            plan.push(Step::run(
                format!("upgrade {name} from {}, patch {}", found.get("version"), found.get("patch")),
                format!("ALTER APPLICATION {name} UPGRADE{}", self.origin.using_clause(target.as_ref())),
                Privilege::ownership(format!("APPLICATION {name}")),
            ));
        }
        let mut report = Report::default();
        runner.run(account, plan, &mut report).await?;
        Ok(report)
    }
}
