//! Installs and upgrades, as a consumer.

use secrecy::SecretString;
use snowfeed::ErrorKind;
use snowfeed::native_app::deploy::{ApplicationRole, Install, InstallSource};

use super::account::Account;
use super::{deploy, descriptions, install, upgrade};
use crate::support::{custom, github};

pub(super) fn token(value: &str) -> SecretString {
    value.to_owned().into()
}

/// Sets every option of an installation.
pub(super) fn all_options(install: Install) -> Install {
    let warehouse = Some("COMPUTE_WH".parse().unwrap());
    install
        .secret("token", token("s3cret"))
        .unwrap()
        .warehouse(warehouse)
        .grant(ApplicationRole::Admin, "ops".parse().unwrap())
}

#[tokio::test]
async fn everything_the_app_needs_is_created_and_bound() {
    let account = Account::start().await;
    deploy(&account, &github(), |deploy| deploy).await.unwrap();
    install(&account, &github(), all_options).await.unwrap();
    let contents = account.contents();
    let place = "GITHUB_CONNECTOR_SETUP.PUBLIC";
    assert_eq!(contents.rules[&format!("{place}.GITHUB_CONNECTOR_HOSTS")].value, "api.github.com");
    assert_eq!(contents.secrets[&format!("{place}.GITHUB_CONNECTOR_TOKEN")].value, "s3cret");
    assert_eq!(
        contents.integrations["GITHUB_CONNECTOR_ACCESS"].value,
        format!("[{place}.GITHUB_CONNECTOR_HOSTS]|[{place}.GITHUB_CONNECTOR_TOKEN]")
    );
    let app = &contents.applications["GITHUB_CONNECTOR"];
    assert_eq!((app.version.as_str(), app.patch), ("V0_1_0", 0));
    assert_eq!(app.references["token"], format!("{place}.GITHUB_CONNECTOR_TOKEN"));
    assert_eq!(app.references["github_external_access"], "GITHUB_CONNECTOR_ACCESS");
    assert_eq!(app.references["warehouse_reference"], "COMPUTE_WH");
    assert!(!app.references.contains_key("private_key"), "no value was given for it");
    assert!(app.roles.contains(&("APP_ADMIN".to_owned(), "OPS".to_owned())));
}

#[tokio::test]
async fn a_second_installation_only_reads() {
    let account = Account::start().await;
    deploy(&account, &github(), |deploy| deploy).await.unwrap();
    install(&account, &github(), all_options).await.unwrap();
    account.log();
    let before = account.contents();
    // The secret's value cannot be compared: it is set whenever it is passed.
    let again = |install: Install| {
        install.warehouse(Some("COMPUTE_WH".parse().unwrap())).grant(ApplicationRole::Admin, "ops".parse().unwrap())
    };
    let report = install(&account, &github(), again).await.unwrap();
    assert_eq!((report.steps.as_slice(), account.changes().as_slice()), ([].as_slice(), [].as_slice()));
    assert!(!report.notes.iter().any(|note| note.contains("stays bound")), "{report:?}");
    assert_eq!(account.contents(), before);
    install(&account, &github(), |i| again(i).secret("token", token("newer")).unwrap()).await.unwrap();
    let changes = account.changes();
    assert_eq!(
        changes,
        ["ALTER SECRET GITHUB_CONNECTOR_SETUP.PUBLIC.GITHUB_CONNECTOR_TOKEN SET SECRET_STRING = 'newer'"]
    );
}

#[tokio::test]
async fn a_removed_reference_is_bound_again() {
    let account = Account::start().await;
    deploy(&account, &github(), |deploy| deploy).await.unwrap();
    install(&account, &github(), all_options).await.unwrap();
    account.state().contents.applications.get_mut("GITHUB_CONNECTOR").unwrap().references.remove("token");
    let report = install(&account, &github(), |install| install).await.unwrap();
    assert_eq!(
        descriptions(&report),
        ["bind token to the secret GITHUB_CONNECTOR_SETUP.PUBLIC.GITHUB_CONNECTOR_TOKEN"]
    );
}

#[tokio::test]
async fn a_reference_bound_by_the_consumer_stays_bound() {
    let account = Account::start().await;
    deploy(&account, &github(), |deploy| deploy).await.unwrap();
    install(&account, &github(), all_options).await.unwrap();
    let other = "THEIRS.PUBLIC.OTHER_TOKEN".to_owned();
    account
        .state()
        .contents
        .applications
        .get_mut("GITHUB_CONNECTOR")
        .unwrap()
        .references
        .insert("token".into(), other.clone());
    let report = install(&account, &github(), |install| install).await.unwrap();
    assert!(report.steps.is_empty() && report.notes.iter().any(|note| note.contains("OTHER_TOKEN")), "{report:?}");
    assert_eq!(account.contents().applications["GITHUB_CONNECTOR"].references["token"], other);
}

#[tokio::test]
async fn missing_privileges_are_granted() {
    let account = Account::start().await;
    account.state().grants_at_installation = false;
    deploy(&account, &github(), |deploy| deploy).await.unwrap();
    install(&account, &github(), all_options).await.unwrap();
    assert!(account.contents().applications["GITHUB_CONNECTOR"].privileges.values().all(|granted| *granted));
}

#[tokio::test]
async fn changed_hosts_and_a_new_secret_are_allowed() {
    let account = Account::start().await;
    deploy(&account, &github(), |deploy| deploy).await.unwrap();
    install(&account, &github(), |install| install).await.unwrap();
    account.state().contents.rules.values_mut().for_each(|rule| rule.value = "old.example".into());
    account.log();
    install(&account, &github(), |i| i.secret("token", token("s3cret")).unwrap()).await.unwrap();
    let contents = account.contents();
    assert_eq!(
        contents.rules["GITHUB_CONNECTOR_SETUP.PUBLIC.GITHUB_CONNECTOR_HOSTS"].value,
        "old.example,api.github.com"
    );
    assert!(contents.integrations["GITHUB_CONNECTOR_ACCESS"].value.contains("GITHUB_CONNECTOR_TOKEN"));
    assert!(account.changes().iter().all(|sql| !sql.contains("DROP") && !sql.contains("REPLACE")));
}

#[tokio::test]
async fn a_source_without_hosts_needs_no_objects() {
    let account = Account::start().await;
    account.state().references = vec!["warehouse_reference".into()];
    deploy(&account, &custom(), |deploy| deploy).await.unwrap();
    account.log();
    install(&account, &custom(), |install| install).await.unwrap();
    assert_eq!(account.changes().len(), 1, "the application alone");
}

#[tokio::test]
async fn existing_foreign_names_are_rejected_with_help() {
    let account = Account::start().await;
    deploy(&account, &github(), |deploy| deploy).await.unwrap();
    // Another tool's application.
    install(&account, &github(), |install| install).await.unwrap();
    account.state().contents.applications.get_mut("GITHUB_CONNECTOR").unwrap().comment =
        "GENERATED_BY_SNOWFLAKECLI".into();
    account.log();
    let error = install(&account, &github(), |install| install).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Conflict && error.help().unwrap().contains("--application"), "{error:?}");
    assert_eq!(account.changes(), [""; 0]);
    // A database.
    account.state().contents.databases.insert("OTHER".into());
    let error = install(&account, &github().application("other"), |install| install).await.unwrap_err();
    assert!(error.help().unwrap().contains("--application"), "{error:?}");
    // Another user's secret.
    account.state().contents.secrets.values_mut().for_each(|secret| secret.comment.clear());
    account.state().contents.applications.get_mut("GITHUB_CONNECTOR").unwrap().comment = "Made by snowfeed".into();
    let rule = account.contents().rules["GITHUB_CONNECTOR_SETUP.PUBLIC.GITHUB_CONNECTOR_HOSTS"].clone();
    account.state().contents.secrets.insert(
        "GITHUB_CONNECTOR_SETUP.PUBLIC.GITHUB_CONNECTOR_TOKEN".into(),
        super::account::AccountObject::secret("", &rule.value),
    );
    let error = install(&account, &github(), |i| i.secret("token", token("s3cret")).unwrap()).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Conflict, "{error:?}");
}

/// An account without containers or external access cannot create their objects.
#[tokio::test]
async fn an_app_without_a_container_needs_neither_image_nor_access() {
    let account = Account::start().await;
    account.state().contents.repositories.clear();
    let app = github().without_container(true);
    deploy(&account, &app, |deploy| deploy).await.unwrap();
    let warehouse = Some("COMPUTE_WH".parse().unwrap());
    install(&account, &app, |install| install.warehouse(warehouse.clone())).await.unwrap();
    let contents = account.contents();
    assert!(
        contents.rules.is_empty() && contents.integrations.is_empty() && contents.secrets.is_empty(),
        "{contents:?}"
    );
    assert_eq!(contents.applications["GITHUB_CONNECTOR"].references["warehouse_reference"], "COMPUTE_WH");
    let error = Install::new(&app).unwrap().secret("token", token("s3cret")).unwrap_err();
    assert!(error.help().unwrap().contains("outside Snowflake"), "{error:?}");
}

#[tokio::test]
async fn a_foreign_secret_is_not_given_to_the_app() {
    let account = Account::start().await;
    deploy(&account, &github(), |deploy| deploy).await.unwrap();
    let path = "GITHUB_CONNECTOR_SETUP.PUBLIC.GITHUB_CONNECTOR_TOKEN";
    account.state().contents.databases.insert("GITHUB_CONNECTOR_SETUP".into());
    account.state().contents.schemas.insert("GITHUB_CONNECTOR_SETUP.PUBLIC".into());
    account.state().contents.secrets.insert(path.into(), super::account::AccountObject::secret("", "theirs"));
    let report = install(&account, &github(), |install| install).await.unwrap();
    assert!(report.notes.iter().any(|note| note.contains(path) && note.contains("--adopt")), "{report:?}");
    assert!(!account.contents().applications["GITHUB_CONNECTOR"].references.contains_key("token"));
    assert!(!account.contents().integrations["GITHUB_CONNECTOR_ACCESS"].value.contains(path));
    install(&account, &github(), |install| install.adopt(true)).await.unwrap();
    assert_eq!(account.contents().applications["GITHUB_CONNECTOR"].references["token"], path);
}

#[tokio::test]
async fn a_missing_version_has_help() {
    let account = Account::start().await;
    let error = install(&account, &github(), |install| install).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.help().unwrap().contains("app deploy"), "{error:?}");
    deploy(&account, &github(), |deploy| deploy).await.unwrap();
    account.state().contents.packages.get_mut("GITHUB_CONNECTOR_PKG").unwrap().versions.clear();
    let error = install(&account, &github(), |install| install).await.unwrap_err();
    assert!(error.help().unwrap().contains("app deploy"), "{error:?}");
    account.log();
    let error =
        install(&account, &github(), |install| install.source(InstallSource::ReleaseDirective)).await.unwrap_err();
    assert!(error.help().unwrap().contains("--release"), "{error:?}");
}

#[tokio::test]
async fn install_from_a_listing_needs_no_package() {
    let account = Account::start().await;
    install(&account, &github(), |install| install.source(InstallSource::Listing("GZ'1".into()))).await.unwrap();
    let changes = account.changes();
    assert!(
        changes.iter().any(|sql| sql.starts_with("CREATE APPLICATION GITHUB_CONNECTOR FROM LISTING 'GZ''1' COMMENT")),
        "{changes:#?}"
    );
}

#[tokio::test]
async fn an_upgrade_goes_to_the_newest_patch_once() {
    let account = Account::start().await;
    deploy(&account, &github(), |deploy| deploy).await.unwrap();
    install(&account, &github(), all_options).await.unwrap();
    let bound = account.contents().applications["GITHUB_CONNECTOR"].references.clone();
    deploy(&account, &github().title("Another title"), |deploy| deploy).await.unwrap();
    account.log();
    upgrade(&account, &github(), |upgrade| upgrade).await.unwrap();
    assert_eq!(account.changes(), ["ALTER APPLICATION GITHUB_CONNECTOR UPGRADE USING VERSION V0_1_0 PATCH 1"]);
    let app = account.contents().applications["GITHUB_CONNECTOR"].clone();
    assert_eq!((app.patch, app.references), (1, bound));
    let report = upgrade(&account, &github(), |upgrade| upgrade).await.unwrap();
    assert!(report.steps.is_empty() && account.changes().is_empty(), "{report:?}");
}

#[tokio::test]
async fn an_impossible_upgrade_has_help_and_drops_nothing() {
    let account = Account::start().await;
    deploy(&account, &github(), |deploy| deploy).await.unwrap();
    install(&account, &github(), all_options).await.unwrap();
    deploy(&account, &github().title("Another title"), |deploy| deploy).await.unwrap();
    let before = account.contents();
    for code in ["093044", "093045", "093046", "093055", "093079"] {
        account.state().errors = vec![("ALTER APPLICATION GITHUB_CONNECTOR UPGRADE", code, "not so")];
        let error = upgrade(&account, &github(), |upgrade| upgrade).await.unwrap_err();
        assert!(error.help().unwrap().contains("app uninstall"), "{code}: {error:?}");
        assert_eq!(account.contents(), before);
    }
}

#[tokio::test]
async fn only_the_sources_secrets_are_accepted() {
    let install = Install::new(&github()).unwrap();
    let error = install.secret("tokne", token("s3cret")).unwrap_err();
    assert!(error.help().unwrap().contains("token") && !format!("{error:?}").contains("s3cret"), "{error:?}");
}
