//! A newer version for a consumer.

use super::account::Account;
use super::explain::absent;
use super::install::application;
use super::origin::Origin;
use super::privilege::Privilege;
use super::runner::{Report, Runner};
use super::step::{Plan, Step};
use crate::Result;
use crate::native_app::{App, Names};

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
        let found = application(account, name, self.adopt)
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
