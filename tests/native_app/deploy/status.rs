//! The status of an app.

use snowfeed::native_app::deploy::Status;

use super::account::Account;
use super::{deploy, install};
use crate::support::github;

#[tokio::test]
async fn status_reports_objects_and_changes_nothing() {
    let account = Account::start().await;
    assert_eq!(Status::load(&github(), &mut account.open().await).await.unwrap(), Status::default());
    deploy(&account, &github(), |deploy| deploy.release(true)).await.unwrap();
    install(&account, &github(), |i| i.secret("token", super::install::token("s3cret")).unwrap()).await.unwrap();
    let pool = super::account::Pool { owner: "GITHUB_CONNECTOR".into(), ..super::account::Pool::default() };
    account.state().contents.pools.insert("GITHUB_CONNECTOR_POOL".into(), pool);
    account.log();
    let status = Status::load(&github(), &mut account.open().await).await.unwrap();
    let (package, application) = (status.package.unwrap(), status.application.unwrap());
    assert!(package.created_by_snowfeed && package.versions.len() == 1 && package.versions[0].state == "READY");
    assert_eq!(package.released.unwrap().version, "V0_1_0");
    assert_eq!(
        (application.version.as_str(), application.patch, application.state.as_str()),
        ("V0_1_0", Some(0), "COMPLETE")
    );
    let unbound: Vec<_> =
        application.references.iter().filter(|r| r.object.is_none()).map(|r| r.name.as_str()).collect();
    assert_eq!(unbound, ["WAREHOUSE_REFERENCE", "PRIVATE_KEY"]);
    assert!(application.privileges.iter().all(|privilege| privilege.granted));
    assert_eq!(application.pools[0].state, "IDLE");
    assert_eq!(application.health, None);
    assert_eq!(account.changes(), [""; 0]);
}

#[tokio::test]
async fn status_omits_objects_hidden_from_the_role() {
    let account = Account::start().await;
    deploy(&account, &github(), |deploy| deploy).await.unwrap();
    account.state().forbidden = vec!["SHOW VERSIONS", "SHOW RELEASE"];
    let status = Status::load(&github(), &mut account.open().await).await.unwrap();
    assert!(status.package.unwrap().versions.is_empty());
}

#[tokio::test]
async fn a_version_with_active_runs_is_reported() {
    let account = Account::start().await;
    deploy(&account, &github(), |deploy| deploy).await.unwrap();
    install(&account, &github(), |install| install).await.unwrap();
    let previous =
        async || Status::load(&github(), &mut account.open().await).await.unwrap().application.unwrap().previous;
    assert_eq!(previous().await, None);
    account.state().contents.applications.get_mut("GITHUB_CONNECTOR").unwrap().previous = Some(("V0_0_9".into(), 3));
    let previous = previous().await.unwrap();
    assert_eq!((previous.version.as_str(), previous.patch, previous.state.as_str()), ("V0_0_9", 3, "FINALIZING"));
}

#[tokio::test]
async fn the_health_is_that_of_the_apps_view() {
    let account = Account::start().await;
    deploy(&account, &github(), |deploy| deploy).await.unwrap();
    install(&account, &github(), |install| install).await.unwrap();
    let health = async || Status::load(&github(), &mut account.open().await).await.unwrap().application.unwrap().health;
    account.state().health = Some(["failing", "2026-11-27 19:42:00", "TASK_MISSING", "It is gone.", "Resume.", ""]);
    let found = health().await.unwrap();
    assert_eq!((found.health.as_str(), found.since.as_str()), ("failing", "2026-11-27 19:42:00"));
    assert_eq!(
        (found.code.as_str(), found.cause.as_str(), found.help.as_str()),
        ("TASK_MISSING", "It is gone.", "Resume.")
    );
    account.state().forbidden = vec!["SELECT"];
    assert_eq!(health().await, None, "the role may not read it");
}
