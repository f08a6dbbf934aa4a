//! Deploys, installs, upgrades and removes the app in a Snowflake account.
//!
//! [`Deploy`], [`Install`], [`Upgrade`] and [`Uninstall`] read the account, plan the missing [`Step`]s, and have a [`Runner`] execute or
//! print them. Each is idempotent and continues where an earlier call stopped. Every step names the privilege that it needs; an
//! error's help names the GRANT to run. Objects of the same name that snowfeed did not create are rejected unless adopted.
//!
//! Unverified: see docs/unverified.md#deployment. Statements and results follow Snowflake's documentation and Snowflake CLI, and were
//! tested against a simulated account.
//!
//! ```no_run
//! use snowfeed::backends::snowflake::ConnectionConfig;
//! use snowfeed::native_app::deploy::{Account, Deploy, Runner};
//! use snowfeed::native_app::{App, Bundle};
//! # use snowfeed::prelude::*;
//!
//! # async fn example(spec: &SourceSpec) -> Result<()> {
//! let app = App::from(spec);
//! let bundle = Bundle::read("sf_build")?;
//! let mut account = Account::connect(ConnectionConfig::load(None)?).await?;
//! let report = Deploy::new(&app, &bundle)?.run(&mut account, &Runner::new().dry_run(true)).await?;
//! for step in &report.steps {
//!     println!("{} -- needs {}", step.statement, step.privilege);
//! }
//! account.close().await
//! # }
//! ```

mod account;
mod application;
mod external_access;
mod grants;
mod image_repository;
mod install;
mod package;
mod plan;
mod runner;
mod stage;
mod status;
mod uninstall;
mod version;

pub use account::Account;
#[cfg(any(feature = "testkit", fuzzing))]
#[doc(hidden)]
pub use account::app_account;
pub use application::InstallSource;
pub use grants::ApplicationRole;
pub use install::{Install, Upgrade};
pub use package::Deploy;
pub use plan::Step;
pub use runner::{Report, Runner, StepReport};
pub use status::{
    AppHealth, ApplicationStatus, PackageStatus, PoolStatus, PreviousVersion, PrivilegeStatus, ReferenceStatus,
    ReleasedVersion, Status, VersionStatus,
};
pub use uninstall::{OwnedObject, Uninstall};
