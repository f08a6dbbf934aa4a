//! The end of an app in an account.

use serde::Serialize;

use super::access::Access;
use super::account::{Account, Found};
use super::application;
use super::plan::{Plan, Privilege, Step};
use super::runner::{Report, Runner};
use crate::native_app::{App, Name, Names};
use crate::{Error, ErrorKind, Result, SourceSpec};

/// Removes an application; with it what it owns, if that is said, and what was made for it. It can be repeated.
#[derive(Debug)]
pub struct Uninstall {
    spec: SourceSpec,
    names: Names,
    place: Option<(Name, Name)>,
    cascade: bool,
    objects: bool,
    package: bool,
    adopt: bool,
}

/// An object outside of the application that it owns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Owned {
    /// Such as `DATABASE`, `COMPUTE_POOL`.
    pub kind: String,
    /// Its name.
    pub name: String,
}

impl Uninstall {
    /// Of an app.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration): a name cannot be.
    pub fn new(app: &App) -> Result<Self> {
        Ok(Self {
            spec: app.spec.clone(),
            names: app.names()?,
            place: None,
            cascade: false,
            objects: false,
            package: false,
            adopt: false,
        })
    }

    /// Whether what the application owns goes with it: the database of the data, unless the ownership of all of it was transferred.
    /// Without it, an application that owns more than its compute pool stays. The pool, which holds nothing, always goes: it is
    /// bound to the application, and of no use to another.
    #[must_use]
    pub fn cascade(mut self, cascade: bool) -> Self {
        self.cascade = cascade;
        self
    }

    /// Whether the integration, the secrets and the network rule go that [`Install`](super::Install) made. Their database stays.
    #[must_use]
    pub fn objects(mut self, objects: bool) -> Self {
        self.objects = objects;
        self
    }

    /// Where those objects are: see [`Install::objects_in`](super::Install::objects_in).
    #[must_use]
    pub fn objects_in(mut self, database: Name, schema: Name) -> Self {
        self.place = Some((database, schema));
        self
    }

    /// Whether the application package goes, with all its versions: every other installation of it stops working.
    #[must_use]
    pub fn package(mut self, package: bool) -> Self {
        self.package = package;
        self
    }

    /// Whether what somebody else has made may be removed.
    #[must_use]
    pub fn adopt(mut self, adopt: bool) -> Self {
        self.adopt = adopt;
        self
    }

    /// What the application owns outside of itself.
    ///
    /// # Errors
    /// [`Conflict`](ErrorKind::Conflict): somebody else has installed it.
    pub async fn owned(&self, account: &mut Account) -> Result<Vec<Owned>> {
        let name = &self.names.application;
        if application::find(account, name, self.adopt).await?.is_none() {
            return Ok(Vec::new());
        }
        let rows = account.rows(format!("SHOW OBJECTS OWNED BY APPLICATION {name}")).await?;
        let kind = |row: &Found| row.text("type").or_else(|| row.text("object_type")).unwrap_or_default();
        Ok(rows.iter().map(|row| Owned { kind: kind(row), name: row.get("name").to_owned() }).collect())
    }

    /// Removes, or says what it would remove.
    ///
    /// # Errors
    /// [`Conflict`](ErrorKind::Conflict): it was made by somebody else; the application owns objects and
    /// [`cascade`](Self::cascade) is not said; or it owns what is in a database, but no longer the database; otherwise as of
    /// [`Install::run`](super::Install::run).
    pub async fn run(&self, account: &mut Account, runner: &Runner<'_>) -> Result<Report> {
        let Names { application: name, package, .. } = &self.names;
        let mut plan = Plan::default();
        let owned = self.owned(account).await?;
        let is_pool = |owned: &Owned| owned.kind.replace(['_', ' '], "").eq_ignore_ascii_case("COMPUTEPOOL");
        let kept: Vec<&Owned> = owned.iter().filter(|owned| !is_pool(owned)).collect();
        if !kept.is_empty() && !self.cascade {
            let list = kept.iter().map(|owned| format!("{} {}", owned.kind, owned.name)).collect::<Vec<_>>().join(", ");
            return Err(Error::new(ErrorKind::Conflict, format!("{name} owns {list}")).with_help(
                "say --cascade to drop that with it; to keep it, transfer the ownership of all of it before, as the app's README says",
            ));
        }
        let is = |kinds: &[&str]| owned.iter().any(|owned| kinds.contains(&owned.kind.to_ascii_uppercase().as_str()));
        if is(&["SCHEMA", "TABLE", "VIEW", "STAGE"]) && !is(&["DATABASE"]) {
            let message = format!("a database is no longer owned by {name}, and what is in it still is");
            return Err(Error::new(ErrorKind::Conflict, message).with_help(
                "transfer the ownership of its schemas, tables, views and stages, too, as the app's README says: --cascade would drop \
                 them",
            ));
        }
        let pool = application::find_pool(account, name).await?;
        let exists = application::find(account, name, self.adopt).await?.is_some();
        if exists {
            // Of what else it owns, nothing is left to be asked about.
            let cascade = if self.cascade || !owned.is_empty() { " CASCADE" } else { "" };
            plan.push(Step::run(
                format!("drop the application {name}"),
                format!("DROP APPLICATION IF EXISTS {name}{cascade}"),
                Privilege::ownership(format!("APPLICATION {name}")),
            ));
        }
        // One that a role owns, or that an earlier removal has left, is bound to this application and goes, too.
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
            Access::of(&self.spec, &[], name, self.place.as_ref())?.remove(account, &mut plan).await?;
        }
        if self.package
            && let Some(found) = account.find("APPLICATION PACKAGES", package, "").await?
        {
            found.claim("application package", package, self.adopt, "name the right one (--package)")?;
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
