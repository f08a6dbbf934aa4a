//! Secrets of the wrong type, and compute pools of other applications.

use snowfeed::ErrorKind;
use snowfeed::native_app::deploy::Status;

use super::account::{Account, AccountObject, Pool};
use super::{deploy, install, uninstall};
use crate::support::github;

const TOKEN: &str = "GITHUB_CONNECTOR_SETUP.PUBLIC.GITHUB_CONNECTOR_TOKEN";
const POOL: &str = "GITHUB_CONNECTOR_POOL";

async fn with_secret(kind: &str, comment: &str) -> Account {
    let account = Account::start().await;
    deploy(&account, &github(), |deploy| deploy).await.unwrap();
    {
        let contents = &mut account.state().contents;
        contents.databases.insert("GITHUB_CONNECTOR_SETUP".into());
        contents.schemas.insert("GITHUB_CONNECTOR_SETUP.PUBLIC".into());
        let secret = AccountObject { kind: kind.into(), ..AccountObject::secret(comment, "") };
        contents.secrets.insert(TOKEN.into(), secret);
    }
    account
}

fn pool(owner: &str, application: &str) -> Pool {
    let application = (!application.is_empty()).then(|| application.to_owned());
    Pool { owner: owner.into(), application, ..Pool::default() }
}

#[tokio::test]
async fn a_secret_type_without_a_value_is_rejected_before_any_change() {
    let account = with_secret("PASSWORD", "Made by snowfeed").await;
    account.log();
    let given = |i: snowfeed::native_app::deploy::Install| i.secret("token", super::install::token("s3cret")).unwrap();
    let error = install(&account, &github(), given).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.message().contains("TYPE = PASSWORD, not GENERIC_STRING"), "{error}");
    assert!(error.help().unwrap().contains("--objects-in"), "{error:?}");
    assert_eq!(account.changes(), [""; 0]);
}

#[tokio::test]
async fn a_secret_the_app_cannot_read_is_not_adopted() {
    let account = with_secret("SYMMETRIC_KEY", "theirs").await;
    account.log();
    let error = install(&account, &github(), |install| install.adopt(true)).await.unwrap_err();
    assert!(error.message().contains("TYPE = SYMMETRIC_KEY"), "{error}");
    assert_eq!(account.changes(), [""; 0]);
    let account = with_secret("PASSWORD", "theirs").await;
    install(&account, &github(), |install| install.adopt(true)).await.unwrap();
    assert_eq!(account.contents().applications["GITHUB_CONNECTOR"].references["token"], TOKEN);
}

#[tokio::test]
async fn install_fails_when_the_app_could_not_use_its_pool() {
    for (application, why) in [
        ("GITHUB_CONNECTOR", "was dropped"),
        ("OTHER_APP", "belongs to the application OTHER_APP"),
        ("", "already exists"),
    ] {
        let account = Account::start().await;
        deploy(&account, &github(), |deploy| deploy).await.unwrap();
        account.state().contents.pools.insert(POOL.into(), pool("TESTER", application));
        account.log();
        let error = install(&account, &github(), |install| install).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(error.message().contains(why), "{error}");
        assert!(error.help().unwrap().contains("DROP COMPUTE POOL GITHUB_CONNECTOR_POOL"), "{error:?}");
        assert_eq!(account.changes(), [""; 0]);
        // An app without a container needs none.
        let outside = github().without_container(true).package("OUTSIDE_PKG");
        deploy(&account, &outside, |deploy| deploy).await.unwrap();
        install(&account, &outside, |install| install).await.unwrap();
    }
}

#[tokio::test]
async fn status_names_the_pools_owner_and_omits_foreign_pools() {
    let account = Account::start().await;
    deploy(&account, &github(), |deploy| deploy).await.unwrap();
    install(&account, &github(), |install| install).await.unwrap();
    account.state().contents.pools.extend([
        (POOL.to_owned(), pool("OTHER_APP", "OTHER_APP")),
        ("GITHUB_CONNECTOR_2_POOL".to_owned(), pool("GITHUB_CONNECTOR_2", "GITHUB_CONNECTOR_2")),
    ]);
    let status = Status::load(&github(), &mut account.open().await).await.unwrap();
    let pools = status.application.unwrap().pools;
    assert_eq!(pools.len(), 1, "{pools:?}");
    assert_eq!((pools[0].name.as_str(), pools[0].other.as_deref()), (POOL, Some("OTHER_APP")));
    // Installation fails there too.
    let error = install(&account, &github(), |install| install).await.unwrap_err();
    assert!(error.message().contains("OTHER_APP"), "{error}");
}

#[tokio::test]
async fn the_pool_is_dropped_with_the_application_when_data_is_kept() {
    let account = Account::start().await;
    deploy(&account, &github(), |deploy| deploy).await.unwrap();
    install(&account, &github(), |install| install).await.unwrap();
    account.state().contents.applications.get_mut("GITHUB_CONNECTOR").unwrap().owned =
        vec![("COMPUTE_POOL".into(), POOL.into())];
    account.state().contents.pools.insert(POOL.into(), pool("GITHUB_CONNECTOR", "GITHUB_CONNECTOR"));
    account.log();
    uninstall(&account, &github(), |uninstall| uninstall).await.unwrap();
    assert_eq!(account.changes(), ["DROP APPLICATION IF EXISTS GITHUB_CONNECTOR CASCADE"]);
    assert!(account.contents().pools.is_empty());
    install(&account, &github(), |install| install).await.unwrap();
}

#[tokio::test]
async fn a_pool_owned_by_a_role_is_dropped_with_or_after_the_application() {
    for is_installed in [true, false] {
        let account = Account::start().await;
        deploy(&account, &github(), |deploy| deploy).await.unwrap();
        if is_installed {
            install(&account, &github(), |install| install).await.unwrap();
        }
        account.state().contents.pools.extend([
            (POOL.to_owned(), pool("TESTER", "GITHUB_CONNECTOR")),
            ("OTHER".to_owned(), pool("TESTER", "OTHER_APP")),
        ]);
        account.log();
        uninstall(&account, &github(), |uninstall| uninstall).await.unwrap();
        let changes = account.changes();
        assert_eq!(changes.last().unwrap(), "DROP COMPUTE POOL IF EXISTS GITHUB_CONNECTOR_POOL");
        assert_eq!(changes.len(), 1 + usize::from(is_installed));
        assert_eq!(account.contents().pools.len(), 1);
        install(&account, &github(), |install| install).await.unwrap();
    }
}
