//! The app in an account: deployed by its provider, installed, upgraded and removed by its consumer.
//!
//! Each of [`Deploy`], [`Install`], [`Upgrade`] and [`Uninstall`] looks at what there is, makes a list of [`Step`]s that are missing,
//! and lets a [`Runner`] do them, or say what they would be. So each can be repeated, and goes on from wherever an earlier call
//! has stopped; where nothing is missing, nothing is changed. Every step says which [`Privilege`] it needs, and an error
//! which GRANT would help. What somebody else has made under the same name is refused.
//!
//! Unverified: see docs/unverified.md#deployment. Statements and answers are those of Snowflake's documentation and of its own command
//! line, tried with a server on loopback.
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

mod access;
mod account;
mod application;
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
pub use application::Origin;
pub use grants::ApplicationRole;
pub use install::{Install, Upgrade};
pub use package::Deploy;
pub use plan::{Privilege, Step};
pub use runner::{Done, Report, Runner};
pub use status::{
    ApplicationStatus, Granted, PackageStatus, Pool, Previous, Reference, Release, Status, VersionStatus,
};
pub use uninstall::{Owned, Uninstall};
