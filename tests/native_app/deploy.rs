//! The app in an account, here a small one on loopback: see `account`.

pub(crate) mod account;
mod cli;
mod faults;
mod fresh;
mod hosts;
mod install;
mod names;
mod package;
mod privileges;
mod registry;
mod remove;
mod rules;
mod secrecy;
mod snow;
mod status;
mod types;
mod version_limits;

use account::Account;
use snowfeed::Result;
use snowfeed::native_app::deploy::{Deploy, Install, Report, Runner, Uninstall, Upgrade};
use snowfeed::native_app::{App, Bundle};

/// The app that is deployed unless a test says otherwise.
pub(crate) async fn deploy(account: &Account, app: &App, set: impl Fn(Deploy<'_>) -> Deploy<'_>) -> Result<Report> {
    let bundle = Bundle::new(app)?;
    let mut session = account.open().await;
    let report = set(Deploy::new(app, &bundle)?).run(&mut session, &Runner::new()).await;
    session.close().await.unwrap();
    report
}

pub(crate) async fn install(account: &Account, app: &App, set: impl Fn(Install) -> Install) -> Result<Report> {
    let mut session = account.open().await;
    let report = set(Install::new(app)?).run(&mut session, &Runner::new()).await;
    session.close().await.unwrap();
    report
}

pub(crate) async fn upgrade(account: &Account, app: &App, set: impl Fn(Upgrade) -> Upgrade) -> Result<Report> {
    set(Upgrade::new(app)?).run(&mut account.open().await, &Runner::new()).await
}

pub(crate) async fn uninstall(account: &Account, app: &App, set: impl Fn(Uninstall) -> Uninstall) -> Result<Report> {
    set(Uninstall::new(app)?).run(&mut account.open().await, &Runner::new()).await
}

/// The descriptions of all steps.
pub(crate) fn descriptions(report: &Report) -> Vec<&str> {
    report.steps.iter().map(|step| step.description.as_str()).collect()
}
