//! The hosts that an app may reach: those of the source, of settings that are URLs, and explicitly requested ones.

use serde_json::json;
use snowfeed::ErrorKind;
use snowfeed::native_app::deploy::Install;

use super::account::{Account, AccountObject};
use super::{deploy, descriptions, install};
use crate::support::{custom, github};

const RULE: &str = "GITHUB_CONNECTOR_SETUP.PUBLIC.GITHUB_CONNECTOR_HOSTS";

async fn deployed() -> Account {
    let account = Account::start().await;
    deploy(&account, &github(), |deploy| deploy).await.unwrap();
    account
}

fn enterprise(install: Install) -> Install {
    let install = install.setting("api_url", &json!("https://ghe.acme.com:8443/api/v3")).unwrap();
    install.setting("concurrency", &json!(4)).unwrap().host("cdn.acme.com").unwrap()
}

#[tokio::test]
async fn the_host_of_a_url_setting_is_allowed() {
    let account = deployed().await;
    install(&account, &github(), enterprise).await.unwrap();
    assert_eq!(account.contents().rules[RULE].value, "api.github.com,ghe.acme.com:8443,cdn.acme.com");
    account.log();
    // Nothing changes, neither with nor without them.
    install(&account, &github(), enterprise).await.unwrap();
    install(&account, &github(), |install| install).await.unwrap();
    assert_eq!(account.changes(), [""; 0]);
}

#[tokio::test]
async fn a_host_added_by_the_consumer_stays() {
    let account = deployed().await;
    install(&account, &github(), |install| install).await.unwrap();
    account.state().contents.rules.get_mut(RULE).unwrap().value = "api.github.com:443,theirs.example".into();
    account.log();
    let report = install(&account, &github(), enterprise).await.unwrap();
    assert_eq!(
        account.changes(),
        [format!(
            "ALTER NETWORK RULE {RULE} SET VALUE_LIST = ('api.github.com:443', 'theirs.example', 'ghe.acme.com:8443', 'cdn.acme.com')"
        )]
    );
    assert_eq!(
        descriptions(&report),
        [format!("also allow ghe.acme.com:8443, cdn.acme.com by the network rule {RULE}")]
    );
}

#[tokio::test]
async fn consumer_additions_to_the_integration_stay() {
    let account = deployed().await;
    install(&account, &github(), |install| install).await.unwrap();
    let theirs = "[THEIRS.PUBLIC.RULE]|[THEIRS.PUBLIC.KEY]";
    {
        let contents = &mut account.state().contents;
        contents.rules.insert("THEIRS.PUBLIC.RULE".into(), AccountObject::rule("", "theirs.example"));
        contents.secrets.insert("THEIRS.PUBLIC.KEY".into(), AccountObject::secret("", "x"));
        contents.integrations.get_mut("GITHUB_CONNECTOR_ACCESS").unwrap().value = theirs.into();
    }
    let token = || super::install::token("s3cret");
    install(&account, &github(), |install| install.secret("token", token()).unwrap()).await.unwrap();
    let token = "GITHUB_CONNECTOR_SETUP.PUBLIC.GITHUB_CONNECTOR_TOKEN";
    assert_eq!(
        account.contents().integrations["GITHUB_CONNECTOR_ACCESS"].value,
        format!("[THEIRS.PUBLIC.RULE,{RULE}]|[THEIRS.PUBLIC.KEY,{token}]")
    );
}

#[tokio::test]
async fn an_unparseable_or_other_type_of_rule_is_left_unchanged() {
    let account = deployed().await;
    install(&account, &github(), |install| install).await.unwrap();
    account.log();
    account.state().contents.rules.get_mut(RULE).unwrap().value = "{not a list}".into();
    let error = install(&account, &github(), enterprise).await.unwrap_err();
    assert!(error.help().unwrap().contains("manually"), "{error:?}");
    account.state().contents.rules.get_mut(RULE).unwrap().kind = "IPV4".into();
    let error = install(&account, &github(), |install| install).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Conflict && error.message().contains("TYPE = IPV4"), "{error:?}");
    assert_eq!(account.changes(), [""; 0]);
}

#[test]
fn hosts_that_no_container_can_reach_are_rejected() {
    for host in ["https://ghe.acme.com", "ghe.acme.com/api", "*.acme.com", "ghe.acme.com:99", "ghe.acme.com:70000", ""]
    {
        let error = Install::new(&github()).unwrap().host(host).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{host}");
    }
    for url in ["ghe.acme.com", "https://user:hunter2@[::1]/api", "https://ghe.acme.com:99"] {
        let error = Install::new(&github()).unwrap().setting("api_url", &json!(url)).unwrap_err();
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
    // An app that starts no container opens no hosts.
    let outside = Install::new(&github().without_container(true)).unwrap();
    outside.setting("api_url", &json!("https://ghe.acme.com:99")).unwrap();
    Install::new(&custom()).unwrap().setting("path", &json!("https://ghe.acme.com:99")).unwrap();
}
