//! The consumer's side: the application, and all that it needs.

use std::collections::BTreeMap;

use secrecy::SecretString;
use serde_json::Value;

use super::access::{Access, Bound};
use super::account::{Account, MARKER, absent, text_literal};
use super::application::{self, Origin};
use super::grants::{ApplicationRole, Consent};
use super::plan::{Plan, Privilege, Step};
use super::runner::{Report, Runner};
use crate::native_app::bundle::context::{external_access, privileges};
use crate::native_app::hosts::{self, check_host, check_host_of_a_container};
use crate::native_app::{App, Name, Names};
use crate::{Error, Result, SourceSpec};

/// Installs an app for a consumer: makes the network rule, the secrets and the external access integration, creates the
/// application, grants it the privileges that it was not granted by its installation, and binds its references.
///
/// It can be repeated, and stopped at any moment. What there is, is kept: an application is not upgraded, a secret is
/// set only where its value is given, a reference that is bound is not bound anew.
#[derive(Debug)]
pub struct Install {
    spec: SourceSpec,
    /// The account's privileges that the app asks for.
    privileges: Vec<&'static str>,
    /// Whether the app runs the connector itself, and so needs a way to the source and its secrets.
    container: bool,
    names: Names,
    origin: Origin,
    place: Option<(Name, Name)>,
    secrets: BTreeMap<String, SecretString>,
    /// Hosts besides those of the source.
    hosts: Vec<String>,
    warehouse: Option<Name>,
    roles: Vec<(ApplicationRole, Name)>,
    adopt: bool,
}

impl Install {
    /// Of an app.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration): a name cannot be.
    pub fn new(app: &App) -> Result<Self> {
        Ok(Self {
            spec: app.spec.clone(),
            privileges: privileges(app).map(|(name, _)| name).collect(),
            container: app.container,
            names: app.names()?,
            origin: Origin::default(),
            place: None,
            secrets: BTreeMap::new(),
            hosts: Vec::new(),
            warehouse: None,
            roles: Vec::new(),
            adopt: false,
        })
    }

    /// Where it is installed from.
    #[must_use]
    pub fn origin(mut self, origin: Origin) -> Self {
        self.origin = origin;
        self
    }

    /// The database and the schema of the secrets and the network rule; a database of their own, `<application>_SETUP`, unless
    /// given.
    #[must_use]
    pub fn objects_in(mut self, database: Name, schema: Name) -> Self {
        self.place = Some((database, schema));
        self
    }

    /// The value of a secret setting, such as `token`. It is part of no statement that is printed or logged.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration): the source has no such secret, or the app asks for none, because it runs
    /// without a container.
    pub fn secret(mut self, setting: impl Into<String>, value: SecretString) -> Result<Self> {
        let setting = setting.into();
        if !self.container {
            return Err(Error::configuration(format!("an app without a container asks for no secret {setting:?}"))
                .with_help("give it to the program that runs outside of Snowflake"));
        }
        if !self.spec.settings.is_secret(&setting) {
            let known: Vec<&str> =
                self.spec.settings.names().filter(|name| self.spec.settings.is_secret(name)).collect();
            let help = if known.is_empty() { "it has none".to_owned() } else { format!("it has {}", known.join(", ")) };
            return Err(Error::configuration(format!("{} has no secret {setting:?}", self.spec.name)).with_help(help));
        }
        self.secrets.insert(setting, value);
        Ok(self)
    }

    /// A host that the app may reach besides those of its source: `HOST` or `HOST:PORT`. Hosts are only ever added.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration): it is not a host that a container in Snowflake can reach.
    pub fn host(mut self, host: impl Into<String>) -> Result<Self> {
        let host = host.into();
        check_host(&host)?;
        check_host_of_a_container(&host)?;
        if !self.hosts.contains(&host) {
            self.hosts.push(host);
        }
        Ok(self)
    }

    /// A setting of the source that the app will be configured with. Where it is a URL (`"format": "uri"` in the schema of the
    /// settings), its host is one that the app may reach; of an app without a container, and of other settings, nothing follows.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration): it is not a URL, or not of a host that a container can reach.
    pub fn setting(self, name: &str, value: &Value) -> Result<Self> {
        match hosts::of_setting(&self.spec, name, value)? {
            Some(host) if self.container && !self.spec.hosts.contains(&host) => {
                self.host(host).map_err(|error| error.with_context("setting", name))
            }
            _ => Ok(self),
        }
    }

    /// The warehouse that the app may use. Without one, it is bound on the app's page.
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

    /// Whether objects that somebody else has made may be changed.
    #[must_use]
    pub fn adopt(mut self, adopt: bool) -> Self {
        self.adopt = adopt;
        self
    }

    /// Looks at what there is, and does what is missing. What the application asks for is known once it is there, so that it is
    /// looked at again then; a dry run takes it from the source.
    ///
    /// # Cancellation
    /// As of [`Deploy::run`](super::Deploy::run).
    ///
    /// # Errors
    /// [`Conflict`](crate::ErrorKind::Conflict): an object of this name was made by somebody else, a secret or a network rule is of
    /// another type, or the compute pool belongs to another application;
    /// [`NotFound`](crate::ErrorKind::NotFound): there is no such version;
    /// [`Configuration`](crate::ErrorKind::Configuration): the role lacks a privilege, which the help names; others as
    /// Snowflake reports them.
    pub async fn run(&self, account: &mut Account, runner: &Runner<'_>) -> Result<Report> {
        let mut report = Report::default();
        let access = Access::of(&self.spec, &self.hosts, &self.names.application, self.place.as_ref())?;
        let mut plan = Plan::default();
        // First of all: nothing is made for an application that may not be made.
        let found = application::find(account, &self.names.application, self.adopt).await?;
        if self.container {
            application::check_pool(account, &self.names.application, found.is_some()).await?;
        }
        let create = if found.is_none() { Some(self.create(account).await?) } else { None };
        let bound = match self.container {
            true => access.plan(account, &self.secrets, self.adopt, &mut plan).await?,
            false => Bound::new(),
        };
        plan.steps.extend(create);
        runner.run(account, plan, &mut report).await?;
        if report.stopped {
            return Ok(report);
        }
        let exists = found.is_some() || !runner.is_dry();
        let plan = self.consent(&access, &bound).plan(account, exists).await?;
        runner.run(account, plan, &mut report).await?;
        Ok(report)
    }

    async fn create(&self, account: &mut Account) -> Result<Step> {
        let application = &self.names.application;
        let target = self.origin.target(account, &self.names).await?;
        let from = self.origin.clause(&self.names, target.as_ref());
        Ok(Step::run(
            format!("create the application {application}"),
            format!("CREATE APPLICATION {application} {from} COMMENT = {}", text_literal(MARKER)),
            Privilege::account("CREATE APPLICATION"),
        ))
    }

    fn consent<'a>(&'a self, access: &'a Access, bound: &'a Bound) -> Consent<'a> {
        Consent {
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

/// Upgrades an application in the way in which it was installed. State, data and tasks stay. It can be repeated.
#[derive(Debug)]
pub struct Upgrade {
    names: Names,
    origin: Origin,
    adopt: bool,
}

impl Upgrade {
    /// Of an app.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration): a name cannot be.
    pub fn new(app: &App) -> Result<Self> {
        Ok(Self { names: app.names()?, origin: Origin::default(), adopt: false })
    }

    /// Where it was installed from.
    #[must_use]
    pub fn origin(mut self, origin: Origin) -> Self {
        self.origin = origin;
        self
    }

    /// Whether an application that somebody else has installed may be upgraded.
    #[must_use]
    pub fn adopt(mut self, adopt: bool) -> Self {
        self.adopt = adopt;
        self
    }

    /// Upgrades, unless the application has that version and patch already.
    ///
    /// # Cancellation
    /// Dropping the future cancels the upgrade as far as Snowflake can be reached; whether it took place is then told by
    /// [`Status`](super::Status).
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound): there is no such application or version; otherwise as of
    /// [`Install::run`](super::Install::run). Where only a new installation helps, the help says so; it is never done by itself.
    pub async fn run(&self, account: &mut Account, runner: &Runner<'_>) -> Result<Report> {
        let name = &self.names.application;
        let found = application::find(account, name, self.adopt)
            .await?
            .ok_or_else(|| absent(format!("the application {name}"), "run `app install`"))?;
        let target = self.origin.target(account, &self.names).await?;
        let mut plan = Plan::default();
        if target.as_ref().is_some_and(|target| target.is_that_of(&found)) {
            plan.note(format!("{name} has {}, patch {} already", found.get("version"), found.get("patch")));
        } else {
            plan.push(Step::run(
                format!("upgrade {name} from {}, patch {}", found.get("version"), found.get("patch")),
                format!("ALTER APPLICATION {name} UPGRADE{}", self.origin.using(target.as_ref())),
                Privilege::ownership(format!("APPLICATION {name}")),
            ));
        }
        let mut report = Report::default();
        runner.run(account, plan, &mut report).await?;
        Ok(report)
    }
}
