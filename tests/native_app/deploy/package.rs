//! Deploys, as a provider.

use serde_json::json;
use snowfeed::ErrorKind;
use snowfeed::native_app::Bundle;

use super::account::Account;
use super::{deploy, descriptions};
use crate::support::{custom, github};

#[tokio::test]
async fn the_bundle_is_uploaded_unchanged_and_becomes_a_version() {
    let account = Account::start().await;
    let report = deploy(&account, &github(), |deploy| deploy.release(true)).await.unwrap();
    let bundle = Bundle::new(&github()).unwrap();
    let files = account.files();
    for (path, bytes) in bundle.files().filter(|(path, _)| *path != "snowflake.yml") {
        assert_eq!(files[&format!("GITHUB_CONNECTOR_PKG.APP_SRC.STAGE/{path}")], bytes, "{path}");
    }
    assert_eq!(files.len(), bundle.files().count() - 1);
    let package = &account.contents().packages["GITHUB_CONNECTOR_PKG"];
    assert_eq!(package.released, Some(("V0_1_0".to_owned(), 0)));
    let [(version, 0, label)] = package.versions.as_slice() else { panic!("{package:?}") };
    assert!(version == "V0_1_0" && label.starts_with("0.1.0+"), "{label}");
    let steps = descriptions(&report);
    assert_eq!(
        steps[..2],
        ["create the application package GITHUB_CONNECTOR_PKG", "create the schema GITHUB_CONNECTOR_PKG.APP_SRC"]
    );
    assert!(report.notes.iter().any(|note| note.contains("no image was built")), "{report:?}");
}

#[tokio::test]
async fn a_second_deploy_only_reads() {
    let account = Account::start().await;
    deploy(&account, &github(), |deploy| deploy.release(true)).await.unwrap();
    account.log();
    let (before, files) = (account.contents(), account.files());
    let report = deploy(&account, &github(), |deploy| deploy.release(true)).await.unwrap();
    assert_eq!((report.steps.as_slice(), account.changes().as_slice()), ([].as_slice(), [].as_slice()));
    assert_eq!((account.contents(), account.files()), (before, files));
}

#[tokio::test]
async fn only_changed_files_are_uploaded_and_stale_ones_removed() {
    let account = Account::start().await;
    deploy(&account, &github(), |deploy| deploy).await.unwrap();
    account.log();
    // The viewer's page comes with the generated page, and not with a custom one.
    let page = tempfile::tempdir().unwrap();
    std::fs::write(page.path().join("app.py"), "import streamlit\n").unwrap();
    let report = deploy(&account, &github().page(page.path()), |deploy| deploy).await.unwrap();
    let changes = account.changes();
    assert!(
        changes.iter().any(|sql| sql == "REMOVE '@GITHUB_CONNECTOR_PKG.APP_SRC.STAGE/page/viewer.py'"),
        "{changes:#?}"
    );
    assert!(!changes.iter().any(|sql| sql.contains("procedures/")), "{changes:#?}");
    assert!(descriptions(&report).ends_with(&["validate the setup script", "add patch 1 of V0_1_0"]), "{report:#?}");
    assert!(!account.files().keys().any(|path| path.ends_with("viewer.py")));
}

#[tokio::test]
async fn removing_a_stale_file_keeps_files_with_the_same_prefix() {
    let account = Account::start().await;
    deploy(&account, &github(), |deploy| deploy).await.unwrap();
    let stage = "GITHUB_CONNECTOR_PKG.APP_SRC.STAGE";
    account.put_file(&format!("{stage}/job"), b"stale");
    deploy(&account, &github(), |deploy| deploy).await.unwrap();
    let files = account.files();
    assert!(files.contains_key(&format!("{stage}/job.yaml")) && !files.contains_key(&format!("{stage}/job")));
}

#[tokio::test]
async fn a_foreign_package_is_left_unchanged_unless_adopted() {
    let account = Account::start().await;
    deploy(&account, &github(), |deploy| deploy).await.unwrap();
    account.state().contents.packages.get_mut("GITHUB_CONNECTOR_PKG").unwrap().comment =
        "GENERATED_BY_SNOWFLAKECLI".into();
    account.log();
    let error = deploy(&account, &custom_named(), |deploy| deploy).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.help().unwrap().contains("--package") && error.help().unwrap().contains("--adopt"), "{error:?}");
    assert!(error.to_string().contains("GENERATED_BY_SNOWFLAKECLI"), "{error}");
    assert_eq!(account.changes(), [""; 0]);
    deploy(&account, &custom_named(), |deploy| deploy.adopt(true)).await.unwrap();
}

/// Another app in a package of the same name.
fn custom_named() -> snowfeed::native_app::App {
    custom().package("GITHUB_CONNECTOR_PKG")
}

#[tokio::test]
async fn a_missing_image_repository_is_named_with_its_create_statement() {
    let account = Account::start().await;
    account.state().contents.repositories.clear();
    let error = deploy(&account, &github(), |deploy| deploy.create_repository(false)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(
        error.help().unwrap().contains("CREATE IMAGE REPOSITORY IF NOT EXISTS SNOWFEED.PUBLIC.IMAGES"),
        "{error:?}"
    );
    assert!(!error.help().unwrap().contains("CREATE DATABASE"), "{error:?}");
    assert_eq!(account.changes(), [""; 0]);
    deploy(&account, &github(), |deploy| deploy).await.unwrap();
    assert!(account.contents().repositories.contains_key("SNOWFEED.PUBLIC.IMAGES"));
}

#[tokio::test]
async fn setup_script_errors_are_reported_and_create_no_version() {
    let account = Account::start().await;
    account.state().validation = Some(json!({
        "status": "FAIL", "warnings": [], "errors": [{ "message": "Syntax error", "cause": "near X", "fileName": "setup.sql", "line": 7 }]
    }));
    let error = deploy(&account, &github(), |deploy| deploy).await.unwrap_err();
    assert!(error.to_string().contains("setup.sql, line 7: Syntax error: near X"), "{error}");
    assert!(account.contents().packages["GITHUB_CONNECTOR_PKG"].versions.is_empty());
    account.state().validation = Some(
        json!({ "status": "SUCCESS", "errors": [], "warnings": [{ "message": "old", "fileName": "setup.sql", "line": 1 }] }),
    );
    let report = deploy(&account, &github(), |deploy| deploy).await.unwrap();
    assert!(report.notes.contains(&"setup.sql, line 1: old".to_owned()), "{report:?}");
}

#[tokio::test]
async fn a_package_without_release_channels_uses_add_version() {
    let account = Account::start().await;
    deploy(&account, &github(), |deploy| deploy).await.unwrap();
    let mut package = account.contents().packages["GITHUB_CONNECTOR_PKG"].clone();
    (package.channels, package.versions) = (false, Vec::new());
    account.state().contents.packages.insert("GITHUB_CONNECTOR_PKG".into(), package);
    account.log();
    deploy(&account, &github(), |deploy| deploy.release(true)).await.unwrap();
    let changes = account.changes();
    assert!(
        changes[0].starts_with("ALTER APPLICATION PACKAGE GITHUB_CONNECTOR_PKG ADD VERSION V0_1_0 USING '@"),
        "{changes:#?}"
    );
    assert_eq!(
        changes[1],
        "ALTER APPLICATION PACKAGE GITHUB_CONNECTOR_PKG SET DEFAULT RELEASE DIRECTIVE VERSION = V0_1_0 PATCH = 0"
    );
}

#[tokio::test]
async fn an_invalid_bundle_is_rejected_before_any_statement() {
    let folder = tempfile::tempdir().unwrap();
    Bundle::new(&github()).unwrap().write(&folder).unwrap();
    std::fs::write(folder.path().join("setup.sql"), "USE ROLE ACCOUNTADMIN;").unwrap();
    let bundle = Bundle::read(&folder).unwrap();
    let error = snowfeed::native_app::deploy::Deploy::new(&github(), &bundle).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
}
