//! A package holds two versions, a version 130 patches, and a patch keeps the privileges.

use std::time::Duration;

use snowfeed::native_app::deploy::{Deploy, Report, Runner};
use snowfeed::native_app::{App, Bundle};
use snowfeed::{ErrorKind, Result, Source};

use super::account::Account;
use super::{deploy, descriptions, install, upgrade};
use crate::support::github;

/// The app in a version of the source.
fn version(version: &str) -> App {
    let mut spec = snowfeed::sources::github::GithubIssues::default().spec();
    spec.version = version.into();
    App::from(&spec).title("GitHub issues").program("github_issues")
}

/// Two versions, of which the second is released.
async fn full() -> Account {
    let account = Account::start().await;
    for number in ["1.0.0", "2.0.0"] {
        deploy(&account, &version(number), |deploy| deploy.release(true)).await.unwrap();
    }
    account.log();
    account
}

/// With a short timeout.
async fn deploy_soon(account: &Account, app: &App, set: impl Fn(Deploy<'_>) -> Deploy<'_>) -> Result<Report> {
    let bundle = Bundle::new(app).unwrap();
    let runner = Runner::new().wait(Duration::from_millis(300));
    set(Deploy::new(app, &bundle).unwrap()).run(&mut account.open().await, &runner).await
}

#[tokio::test]
async fn a_third_version_is_rejected_until_another_is_dropped() {
    let account = full().await;
    let error = deploy(&account, &version("3.0.0"), |deploy| deploy.release(true)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.help().unwrap().contains("--drop-version V1_0_0;"), "{error:?}");
    assert_eq!(account.changes(), [""; 0]);
    account.state().removal_polls = 2;
    let report = deploy(&account, &version("3.0.0"), |deploy| {
        deploy.release(true).drop_version(Some("V1_0_0".parse().unwrap()))
    })
    .await
    .unwrap();
    let steps = descriptions(&report);
    let at = |what: &str| steps.iter().position(|step| step.starts_with(what)).unwrap_or_else(|| panic!("{steps:?}"));
    assert!(at("drop V1_0_0 from") < at("wait until") && at("deregister") < at("add the version"), "{steps:?}");
    let package = &account.contents().packages["GITHUB_CONNECTOR_PKG"];
    assert_eq!(package.channel, ["V2_0_0", "V3_0_0"]);
    assert_eq!(package.released, Some(("V3_0_0".to_owned(), 0)));
}

#[tokio::test]
async fn deploy_waits_for_an_installed_version_and_the_next_one_continues() {
    let account = Account::start().await;
    deploy(&account, &version("1.0.0"), |deploy| deploy.release(true)).await.unwrap();
    let released = snowfeed::native_app::deploy::InstallSource::ReleaseDirective;
    install(&account, &version("1.0.0"), |install| install.source(released.clone())).await.unwrap();
    deploy(&account, &version("2.0.0"), |deploy| deploy.release(true)).await.unwrap();
    let app = version("3.0.0");
    let third = || deploy_soon(&account, &app, |d| d.release(true).drop_version(Some("V1_0_0".parse().unwrap())));
    let error = third().await.unwrap_err();
    assert!(error.kind() == ErrorKind::Conflict && error.help().unwrap().contains("again later"), "{error:?}");
    upgrade(&account, &version("2.0.0"), |upgrade| upgrade.source(released.clone())).await.unwrap();
    third().await.unwrap();
    assert_eq!(account.contents().packages["GITHUB_CONNECTOR_PKG"].released, Some(("V3_0_0".to_owned(), 0)));
    // A removed version is not dropped again.
    let report = third().await.unwrap();
    assert!(
        report.steps.is_empty() && report.notes.iter().any(|note| note.contains("no version V1_0_0")),
        "{report:?}"
    );
}

#[tokio::test]
async fn a_released_or_deployed_version_is_not_dropped() {
    let account = full().await;
    for (app, dropped, help) in [("3.0.0", "V2_0_0", "--release"), ("2.0.0", "V2_0_0", "another version")] {
        let error =
            deploy(&account, &version(app), |d| d.drop_version(Some(dropped.parse().unwrap()))).await.unwrap_err();
        assert!(error.help().unwrap().contains(help), "{error:?}");
    }
    assert_eq!(account.changes(), [""; 0]);
}

/// Snowflake's pages disagree on whether versions in a channel count: its own response decides what to do.
#[tokio::test]
async fn snowflakes_version_limit_error_names_what_to_drop() {
    let account = full().await;
    let error = deploy(&account, &version("3.0.0"), |deploy| deploy).await.unwrap_err();
    assert!(error.to_string().contains("093037") && error.help().unwrap().contains("--drop-version"), "{error:?}");
    for code in ["512004", "512021", "512023"] {
        account.state().errors = vec![("ALTER APPLICATION PACKAGE", code, "not so")];
        let error = deploy(&account, &version("3.0.0"), |deploy| deploy).await.unwrap_err();
        assert!(error.help().unwrap().contains("--drop-version"), "{code}: {error:?}");
    }
}

#[tokio::test]
async fn a_package_without_channels_uses_drop_version() {
    let account = full().await;
    {
        let mut state = account.state();
        let package = state.contents.packages.get_mut("GITHUB_CONNECTOR_PKG").unwrap();
        (package.channels, package.channel) = (false, Vec::new());
    }
    let error = deploy(&account, &version("3.0.0"), |deploy| deploy).await.unwrap_err();
    assert!(error.help().unwrap().contains("--drop-version"), "{error:?}");
    deploy(&account, &version("3.0.0"), |d| d.drop_version(Some("V1_0_0".parse().unwrap()))).await.unwrap();
    let changes = account.changes();
    assert!(changes.iter().any(|sql| sql.ends_with("GITHUB_CONNECTOR_PKG DROP VERSION V1_0_0")), "{changes:#?}");
}

#[tokio::test]
async fn a_patch_that_changes_privileges_is_rejected_before_any_change() {
    let account = Account::start().await;
    deploy(&account, &github(), |deploy| deploy).await.unwrap();
    account.log();
    let error = deploy(&account, &github().without_container(true), |deploy| deploy).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.message().contains("a patch cannot change them"), "{error}");
    assert!(error.help().unwrap().contains("increase the source's version"), "{error:?}");
    assert_eq!(account.changes(), [""; 0]);
    // Another text for a privilege is not another privilege, and another version may request others.
    deploy(&account, &github().text("CREATE DATABASE", "For the data."), |deploy| deploy).await.unwrap();
    deploy(&account, &version("2.0.0").without_container(true), |deploy| deploy).await.unwrap();
    let versions = &account.contents().packages["GITHUB_CONNECTOR_PKG"].versions;
    assert_eq!(versions.len(), 3, "{versions:?}");
}

#[tokio::test]
async fn the_last_patches_are_announced_and_the_131st_is_rejected() {
    let account = Account::start().await;
    deploy(&account, &github(), |deploy| deploy).await.unwrap();
    let newest = |number| {
        account.state().contents.packages.get_mut("GITHUB_CONNECTOR_PKG").unwrap().versions[0].1 = number;
    };
    newest(128);
    let report = deploy(&account, &github().title("One more"), |deploy| deploy).await.unwrap();
    assert!(report.notes.iter().any(|note| note.contains("130 of at most 130 patches")), "{report:?}");
    account.log();
    let error = deploy(&account, &github().title("Too many"), |deploy| deploy).await.unwrap_err();
    assert!(error.help().unwrap().contains("increase the source's version"), "{error:?}");
    assert_eq!(account.changes(), [""; 0]);
    // The same files are not a new patch.
    deploy(&account, &github().title("One more"), |deploy| deploy).await.unwrap();
}
