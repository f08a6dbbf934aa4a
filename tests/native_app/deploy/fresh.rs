//! An empty account.

use snowfeed::native_app::Bundle;
use snowfeed::native_app::deploy::{Deploy, Runner};

use super::account::Account;
use super::deploy;
use crate::support::github;

const CREATED: [&str; 2] = [
    "CREATE DATABASE IF NOT EXISTS SNOWFEED COMMENT = 'Made by snowfeed'",
    "CREATE IMAGE REPOSITORY IF NOT EXISTS SNOWFEED.PUBLIC.IMAGES COMMENT = 'Made by snowfeed'",
];

#[tokio::test]
async fn deploy_creates_the_repository_and_its_database() {
    let account = Account::fresh().await;
    deploy(&account, &github(), |deploy| deploy.release(true)).await.unwrap();
    let changes = account.changes();
    let at = |sql: &str| changes.iter().position(|change| change == sql).unwrap_or_else(|| panic!("{changes:#?}"));
    assert_eq!(at(CREATED[0]) + 1, at(CREATED[1]));
    deploy(&account, &github(), |deploy| deploy.release(true)).await.unwrap();
    assert_eq!(account.changes(), [""; 0]);
}

#[tokio::test]
async fn a_dry_run_lists_statements_and_privileges() {
    let account = Account::fresh().await;
    let (app, bundle) = (github().image_repository("/images/apps/github"), Bundle::new(&github()).unwrap());
    let dry = Runner::new().dry_run(true);
    let report = Deploy::new(&app, &bundle).unwrap().run(&mut account.open().await, &dry).await.unwrap();
    let steps: Vec<(&str, &str)> =
        report.steps.iter().map(|step| (step.statement.as_str(), step.privilege.as_str())).collect();
    for step in [
        ("CREATE DATABASE IF NOT EXISTS IMAGES COMMENT = 'Made by snowfeed'", "CREATE DATABASE on ACCOUNT"),
        ("CREATE SCHEMA IF NOT EXISTS IMAGES.APPS COMMENT = 'Made by snowfeed'", "CREATE SCHEMA on DATABASE IMAGES"),
        (
            "CREATE IMAGE REPOSITORY IF NOT EXISTS IMAGES.APPS.GITHUB COMMENT = 'Made by snowfeed'",
            "CREATE IMAGE REPOSITORY on SCHEMA IMAGES.APPS",
        ),
    ] {
        assert!(steps.contains(&step), "{steps:#?}");
    }
    assert_eq!((account.changes().len(), account.contents().databases.len()), (0, 0));
}

#[tokio::test]
async fn only_missing_objects_are_created() {
    let account = Account::fresh().await;
    account.state().contents.databases.insert("SNOWFEED".into());
    deploy(&account, &github(), |deploy| deploy).await.unwrap();
    let changes = account.changes();
    assert!(changes.iter().any(|sql| sql.starts_with("CREATE SCHEMA IF NOT EXISTS SNOWFEED.PUBLIC ")), "{changes:#?}");
    assert!(!changes.iter().any(|sql| sql.starts_with("CREATE DATABASE")), "{changes:#?}");
}
