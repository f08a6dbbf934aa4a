//! Removes an app from an account.

use serde::Serialize;

use super::account::{Account, ShowRow};
use super::application;
use super::external_access::ExternalAccess;
use super::plan::{Plan, Privilege, Step};
use super::runner::{Report, Runner};
use crate::native_app::{App, Name, Names};
use crate::{Error, ErrorKind, Result, SourceSpec};

/// Removes an application and, on request, the objects that it owns and those created for it. It is idempotent.
#[derive(Debug)]
pub struct Uninstall {
    spec: SourceSpec,
    names: Names,
    objects_schema: Option<(Name, Name)>,
    cascade: bool,
    objects: bool,
    package: bool,
    adopt: bool,
}

/// An object outside the application that the application owns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct OwnedObject {
    /// Such as `DATABASE`, `COMPUTE_POOL`.
    pub kind: String,
    /// Its name.
    pub name: String,
}

impl Uninstall {
    /// Removes `app`.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration): a name is invalid.
    pub fn new(app: &App) -> Result<Self> {
        Ok(Self {
            spec: app.spec.clone(),
            names: app.names()?,
            objects_schema: None,
            cascade: false,
            objects: false,
            package: false,
            adopt: false,
        })
    }

    /// Whether to drop the objects that the application owns: the destination database, unless its ownership was transferred. Without
    /// it, an application that owns more than its compute pool is an error. The pool is always dropped: no other application can
    /// use it.
    #[must_use]
    pub fn cascade(mut self, cascade: bool) -> Self {
        self.cascade = cascade;
        self
    }

    /// Whether to drop the integration, the secrets and the network rule that [`Install`](super::Install) created. Their database stays.
    #[must_use]
    pub fn objects(mut self, objects: bool) -> Self {
        self.objects = objects;
        self
    }

    /// The schema of those objects: see [`Install::objects_in`](super::Install::objects_in).
    #[must_use]
    pub fn objects_in(mut self, database: Name, schema: Name) -> Self {
        self.objects_schema = Some((database, schema));
        self
    }

    /// Whether to drop the application package with all its versions. Every other installation stops working.
    #[must_use]
    pub fn package(mut self, package: bool) -> Self {
        self.package = package;
        self
    }

    /// Whether objects that snowfeed did not create may be removed.
    #[must_use]
    pub fn adopt(mut self, adopt: bool) -> Self {
        self.adopt = adopt;
        self
    }

    /// Lists the objects outside the application that it owns.
    ///
    /// # Errors
    /// [`Conflict`](ErrorKind::Conflict): snowfeed did not install it.
    pub async fn owned_objects(&self, account: &mut Account) -> Result<Vec<OwnedObject>> {
        let name = &self.names.application;
        if application::find(account, name, self.adopt).await?.is_none() {
            return Ok(Vec::new());
        }
        let rows = account.rows(format!("SHOW OBJECTS OWNED BY APPLICATION {name}")).await?;
        let kind = |row: &ShowRow| row.text("type").or_else(|| row.text("object_type")).unwrap_or_default();
        Ok(rows.iter().map(|row| OwnedObject { kind: kind(row), name: row.get("name").to_owned() }).collect())
    }

    /// Executes the removal.
    ///
    /// # Errors
    /// [`Conflict`](ErrorKind::Conflict): snowfeed did not create it; the application owns objects and
    /// [`cascade`](Self::cascade) is not set; or it owns objects in a database, but no longer the database. Other errors are those of
    /// [`Install::run`](super::Install::run).
    pub async fn run(&self, account: &mut Account, runner: &Runner<'_>) -> Result<Report> {
        let Names { application: name, package, .. } = &self.names;
        let mut plan = Plan::default();
        let owned = self.owned_objects(account).await?;
        let is_pool = |owned: &OwnedObject| owned.kind.replace(['_', ' '], "").eq_ignore_ascii_case("COMPUTEPOOL");
        let kept: Vec<&OwnedObject> = owned.iter().filter(|owned| !is_pool(owned)).collect();
        if !kept.is_empty() && !self.cascade {
            let list = kept.iter().map(|owned| format!("{} {}", owned.kind, owned.name)).collect::<Vec<_>>().join(", ");
            return Err(Error::new(ErrorKind::Conflict, format!("{name} owns {list}")).with_help(
                "pass --cascade to drop them too; to keep them, first transfer the ownership of all of them, as the app's README describes",
            ));
        }
        let is = |kinds: &[&str]| owned.iter().any(|owned| kinds.contains(&owned.kind.to_ascii_uppercase().as_str()));
        if is(&["SCHEMA", "TABLE", "VIEW", "STAGE"]) && !is(&["DATABASE"]) {
            let message = format!("{name} owns objects in a database, but no longer the database");
            return Err(Error::new(ErrorKind::Conflict, message).with_help(
                "also transfer the ownership of its schemas, tables, views and stages, as the app's README describes: --cascade would \
                 drop them",
            ));
        }
        let pool = application::find_pool(account, name).await?;
        let exists = application::find(account, name, self.adopt).await?.is_some();
        if exists {
            // Without --cascade, the only objects left are compute pools.
            let cascade = if self.cascade || !owned.is_empty() { " CASCADE" } else { "" };
            plan.push(Step::run(
                format!("drop the application {name}"),
                format!("DROP APPLICATION IF EXISTS {name}{cascade}"),
                Privilege::ownership(format!("APPLICATION {name}")),
            ));
        }
        // A pool that a role owns, or that an earlier removal left, still belongs to this application.
        let is_bound = pool.is_some_and(|pool| pool.get("application") == name.as_str());
        if is_bound && !owned.iter().any(is_pool) {
            let pool = application::pool_name(name)?;
            plan.push(Step::run(
                format!("drop the compute pool {pool}, which no other application can use"),
                format!("DROP COMPUTE POOL IF EXISTS {pool}"),
                Privilege::ownership(format!("COMPUTE POOL {pool}")),
            ));
        }
        if self.objects {
            ExternalAccess::new(&self.spec, Vec::new(), name, self.objects_schema.as_ref())?
                .remove(account, &mut plan)
                .await?;
        }
        if self.package
            && let Some(found) = account.find("APPLICATION PACKAGES", package, "").await?
        {
            found.check_marker("application package", package, self.adopt, "pass the right one with --package")?;
            plan.push(Step::run(
                format!("drop the application package {package}"),
                format!("DROP APPLICATION PACKAGE IF EXISTS {package}"),
                Privilege::ownership(format!("APPLICATION PACKAGE {package}")),
            ));
        }
        let mut report = Report::default();
        runner.run(account, plan, &mut report).await?;
        Ok(report)
    }
}
