//! Names that need quotes.

use snowfeed::native_app::Name;
use snowfeed::native_app::deploy::{Install, Uninstall};

use super::account::Account;
use super::{deploy, install, uninstall, upgrade};
use crate::support::github;

#[tokio::test]
async fn names_with_quotes_blanks_and_backslashes_work_everywhere() {
    let app = github().package("\"My \"\"pkg\"\" it's\"").application("my_app");
    let account = Account::start().await;
    deploy(&account, &app, |deploy| deploy.release(true)).await.unwrap();
    assert!(
        account.files().keys().any(|path| path.starts_with("My \"pkg\" it's.APP_SRC.STAGE/page/")),
        "{:?}",
        account.files().keys()
    );
    let warehouse = Some("\"my wh\"".parse().unwrap());
    let (database, schema): (Name, Name) = ("\"my \\ db\"".parse().unwrap(), "\"my \"\"schema\"\"\"".parse().unwrap());
    let there = |i: Install| i.warehouse(warehouse.clone()).objects_in(database.clone(), schema.clone());
    let secret = || super::install::token("it's \\ s3cret\nline");
    install(&account, &app, |i| there(i).secret("token", secret()).unwrap()).await.unwrap();
    let contents = account.contents();
    let application = &contents.applications["MY_APP"];
    assert_eq!(application.source, "My \"pkg\" it's");
    assert_eq!(application.references["warehouse_reference"], "my wh");
    assert_eq!(contents.secrets["my \\ db.my \"schema\".MY_APP_TOKEN"].value, "it's \\ s3cret\nline");
    account.log();
    // Again: everything is found.
    deploy(&account, &app, |deploy| deploy.release(true)).await.unwrap();
    install(&account, &app, there).await.unwrap();
    upgrade(&account, &app, |upgrade| upgrade).await.unwrap();
    assert_eq!(account.changes(), [""; 0]);
    let all = |u: Uninstall| u.objects(true).package(true).objects_in(database.clone(), schema.clone());
    uninstall(&account, &app, all).await.unwrap();
    assert!(account.contents().applications.is_empty() && account.contents().secrets.is_empty());
}
