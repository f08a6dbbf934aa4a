//! Names that need quotes.

use super::account::Account;
use super::{deploy, install, uninstall, upgrade};
use crate::support::github;

#[tokio::test]
async fn names_with_quotes_blanks_and_backslashes_are_kept_everywhere() {
    let app = github().package("\"My \"\"pkg\"\" it's\"").application("\"My \\app\"");
    let account = Account::start().await;
    deploy(&account, &app, |deploy| deploy.release(true)).await.unwrap();
    assert!(
        account.files().keys().any(|path| path.starts_with("My \"pkg\" it's.APP_SRC.STAGE/page/")),
        "{:?}",
        account.files().keys()
    );
    let warehouse = Some("\"my wh\"".parse().unwrap());
    let with = |i: snowfeed::native_app::deploy::Install| {
        i.secret("token", super::install::token("it's \\ s3cret\nline")).unwrap().warehouse(warehouse.clone())
    };
    install(&account, &app, with).await.unwrap();
    let world = account.world();
    let application = &world.applications["My \\app"];
    assert_eq!(application.source, "My \"pkg\" it's");
    assert_eq!(application.references["warehouse_reference"], "my wh");
    assert_eq!(world.secrets["My \\app_SETUP.PUBLIC.My \\app_TOKEN"].value, "it's \\ s3cret\nline");
    account.log();
    // Again: everything is found.
    deploy(&account, &app, |deploy| deploy.release(true)).await.unwrap();
    install(&account, &app, |i| i.warehouse(warehouse.clone())).await.unwrap();
    upgrade(&account, &app, |upgrade| upgrade).await.unwrap();
    assert_eq!(account.changes(), [""; 0]);
    uninstall(&account, &app, |uninstall| uninstall.objects(true).package(true)).await.unwrap();
    assert!(account.world().applications.is_empty() && account.world().secrets.is_empty());
}
