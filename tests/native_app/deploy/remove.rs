//! Removing an app.

use snowfeed::ErrorKind;

use super::account::Account;
use super::{deploy, install, uninstall};
use crate::support::github;

async fn installed() -> Account {
    let account = Account::start().await;
    deploy(&account, &github(), |deploy| deploy).await.unwrap();
    install(&account, &github(), |i| i.secret("token", super::install::token("s3cret")).unwrap()).await.unwrap();
    account.log();
    account
}

#[tokio::test]
async fn owned_objects_are_dropped_only_with_cascade() {
    let account = installed().await;
    let owned = ("DATABASE".to_owned(), "GITHUB_CONNECTOR_DATA".to_owned());
    account.state().contents.applications.get_mut("GITHUB_CONNECTOR").unwrap().owned = vec![owned];
    let error = uninstall(&account, &github(), |uninstall| uninstall).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.to_string().contains("DATABASE GITHUB_CONNECTOR_DATA"), "{error}");
    assert!(error.help().unwrap().contains("--cascade"));
    assert_eq!(account.changes(), [""; 0]);
    uninstall(&account, &github(), |uninstall| uninstall.cascade(true)).await.unwrap();
    assert_eq!(account.changes(), ["DROP APPLICATION IF EXISTS GITHUB_CONNECTOR CASCADE"]);
}

#[tokio::test]
async fn data_is_not_dropped_when_only_its_database_was_transferred() {
    let account = installed().await;
    let owned = [("COMPUTE_POOL", "GITHUB_CONNECTOR_POOL"), ("SCHEMA", "PUBLIC_RAW")];
    account.state().contents.applications.get_mut("GITHUB_CONNECTOR").unwrap().owned =
        owned.map(|(kind, name)| (kind.to_owned(), name.to_owned())).to_vec();
    let error = uninstall(&account, &github(), |uninstall| uninstall.cascade(true)).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Conflict && error.help().unwrap().contains("schemas"), "{error}");
    assert_eq!(account.changes(), [""; 0]);
}

#[tokio::test]
async fn secrets_package_and_database_stay_by_default() {
    let account = installed().await;
    let before = account.contents();
    uninstall(&account, &github(), |uninstall| uninstall).await.unwrap();
    let after = account.contents();
    assert!(after.applications.is_empty());
    assert_eq!(
        (after.secrets, after.packages, after.integrations),
        (before.secrets, before.packages, before.integrations)
    );
    uninstall(&account, &github(), |uninstall| uninstall.objects(true).package(true)).await.unwrap();
    let after = account.contents();
    assert!(
        after.secrets.is_empty()
            && after.rules.is_empty()
            && after.integrations.is_empty()
            && after.packages.is_empty()
    );
    assert!(after.databases.contains("GITHUB_CONNECTOR_SETUP"), "a database is never dropped");
}

#[tokio::test]
async fn foreign_objects_are_not_removed() {
    let account = installed().await;
    account.state().contents.secrets.values_mut().for_each(|secret| secret.comment = "mine".into());
    uninstall(&account, &github(), |uninstall| uninstall.objects(true)).await.unwrap();
    assert_eq!(account.contents().secrets.len(), 1);
    account.state().contents.packages.get_mut("GITHUB_CONNECTOR_PKG").unwrap().comment = "theirs".into();
    let error = uninstall(&account, &github(), |uninstall| uninstall.package(true)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
}

#[tokio::test]
async fn uninstall_skips_objects_that_are_gone() {
    let account = installed().await;
    uninstall(&account, &github(), |uninstall| uninstall).await.unwrap();
    account.log();
    let report = uninstall(&account, &github(), |uninstall| uninstall).await.unwrap();
    assert!(report.steps.is_empty() && account.changes().is_empty());
}
