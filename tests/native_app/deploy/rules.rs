//! The rules of `tests/snowflake/rules/deploy.toml`: here a separate statement breaks each one, and the account rejects it.

use std::fs;

use serde_json::Value;
use snowfeed::internals::snowflake::{Client, Session, Sql, Statement};

use super::account::{Account, Pool};
use super::{deploy, install};
use crate::support::github;

/// An account, and statements in it.
struct Rule {
    account: Account,
    session: Box<dyn Session>,
}

impl Rule {
    async fn of(account: Account) -> Self {
        let session = account.server.client().open().await.unwrap();
        Self { account, session }
    }

    /// In an account where the app is deployed.
    async fn deployed() -> Self {
        let account = Account::start().await;
        deploy(&account, &github(), |deploy| deploy).await.unwrap();
        Self::of(account).await
    }

    #[track_caller]
    fn code(answer: snowfeed::Result<snowfeed::internals::snowflake::QueryResult>, sql: &str) -> String {
        let error = answer.err().unwrap_or_else(|| panic!("accepted: {sql}"));
        let code = error.code().map(str::to_owned);
        code.unwrap_or_else(|| panic!("{sql}: {error:?}"))
    }

    async fn rejected(&mut self, code: &str, sql: &str) -> &mut Self {
        let answer = self.session.execute(Statement::new(Sql::assert_safe(sql))).await;
        assert_eq!(Self::code(answer, sql), code, "{sql}");
        self
    }

    async fn fine(&mut self, sql: &str) -> &mut Self {
        self.session
            .execute(Statement::new(Sql::assert_safe(sql)))
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        self
    }

    /// A change of the package, and whether it is rejected.
    async fn package(&mut self, refused: Option<&str>, how: &str) -> &mut Self {
        let sql = format!("ALTER APPLICATION PACKAGE GITHUB_CONNECTOR_PKG {how}");
        match refused {
            Some(code) => self.rejected(code, &sql).await,
            None => self.fine(&sql).await,
        }
    }
}

const STAGE: &str = "USING '@GITHUB_CONNECTOR_PKG.APP_SRC.STAGE'";
const INVALID: &str = "001008";

#[tokio::test]
async fn an_image_repository_needs_its_database_and_schema() {
    let mut rule = Rule::of(Account::fresh().await).await;
    let create = "CREATE IMAGE REPOSITORY IF NOT EXISTS SNOWFEED.PUBLIC.IMAGES";
    rule.rejected("002003", create).await;
    rule.rejected("002003", "CREATE SCHEMA IF NOT EXISTS SNOWFEED.OTHER").await;
    rule.rejected("002043", "SHOW IMAGE REPOSITORIES LIKE 'IMAGES' IN SCHEMA SNOWFEED.PUBLIC").await;
    rule.fine("CREATE DATABASE IF NOT EXISTS SNOWFEED").await.fine(create).await;
}

#[tokio::test]
async fn an_image_repository_has_no_quotes_in_its_path() {
    let mut rule = Rule::of(Account::start().await).await;
    rule.rejected(INVALID, "CREATE IMAGE REPOSITORY SNOWFEED.PUBLIC.\"images\"").await;
}

#[tokio::test]
async fn or_replace_and_if_not_exists_exclude_each_other() {
    let mut rule = Rule::of(Account::start().await).await;
    rule.rejected("001003", "CREATE OR REPLACE DATABASE IF NOT EXISTS OTHER").await;
}

#[tokio::test]
async fn create_fails_on_an_existing_object_without_if_not_exists() {
    let mut rule = Rule::of(Account::start().await).await;
    rule.rejected("002002", "CREATE DATABASE SNOWFEED").await.fine("CREATE DATABASE IF NOT EXISTS SNOWFEED").await;
}

#[tokio::test]
async fn a_statement_has_at_most_a_megabyte_and_a_name_at_most_255_characters() {
    let mut rule = Rule::of(Account::start().await).await;
    let statement = |length| format!("CREATE DATABASE OTHER COMMENT = '{}'", "x".repeat(length));
    rule.rejected("000603", &statement(1 << 20)).await.fine(&statement(1 << 19)).await;
    rule.rejected("001003", &format!("CREATE DATABASE {}", "X".repeat(256))).await;
    rule.fine(&format!("CREATE DATABASE {}", "X".repeat(255))).await;
}

#[tokio::test]
async fn a_version_has_at_most_30_characters() {
    let mut rule = Rule::deployed().await;
    rule.package(Some("093035"), &format!("REGISTER VERSION {} {STAGE}", "V".repeat(31))).await;
    rule.package(None, &format!("REGISTER VERSION {} {STAGE}", "V".repeat(30))).await;
}

#[tokio::test]
async fn a_package_holds_two_versions() {
    let mut rule = Rule::deployed().await;
    rule.package(None, "MODIFY RELEASE CHANNEL DEFAULT ADD VERSION V0_1_0").await;
    rule.package(None, &format!("REGISTER VERSION V2 {STAGE}")).await;
    rule.package(Some("093037"), &format!("REGISTER VERSION V3 {STAGE}")).await;
}

#[tokio::test]
async fn two_versions_may_be_in_no_channel_and_two_in_one() {
    let mut rule = Rule::deployed().await;
    rule.package(None, &format!("REGISTER VERSION V2 {STAGE}")).await;
    rule.package(Some("512023"), &format!("REGISTER VERSION V3 {STAGE}")).await;
    rule.package(None, "MODIFY RELEASE CHANNEL DEFAULT ADD VERSION V2").await;
    rule.package(Some("512005"), "MODIFY RELEASE CHANNEL DEFAULT ADD VERSION V2").await;
    rule.package(None, "MODIFY RELEASE CHANNEL DEFAULT ADD VERSION V0_1_0").await;
    // A state that the package cannot reach: a third registered version.
    let third = ("V3".to_owned(), 0, String::new());
    rule.account.state().contents.packages.get_mut("GITHUB_CONNECTOR_PKG").unwrap().versions.push(third);
    rule.package(Some("512004"), "MODIFY RELEASE CHANNEL DEFAULT ADD VERSION V3").await;
}

#[tokio::test]
async fn a_released_version_is_in_the_channel() {
    let mut rule = Rule::deployed().await;
    let release = "MODIFY RELEASE CHANNEL DEFAULT SET DEFAULT RELEASE DIRECTIVE VERSION = V0_1_0 PATCH = ";
    rule.package(Some("093036"), &format!("{release}7")).await;
    rule.package(Some("512008"), &format!("{release}0")).await;
    rule.package(None, "MODIFY RELEASE CHANNEL DEFAULT ADD VERSION V0_1_0")
        .await
        .package(None, &format!("{release}0"))
        .await;
}

#[tokio::test]
async fn a_version_leaves_its_channel_before_it_is_deregistered() {
    let mut rule = Rule::deployed().await;
    rule.package(Some("512010"), "MODIFY RELEASE CHANNEL DEFAULT DROP VERSION V0_1_0").await;
    rule.package(None, "MODIFY RELEASE CHANNEL DEFAULT ADD VERSION V0_1_0").await;
    rule.package(Some("512021"), "DEREGISTER VERSION V0_1_0").await;
    let release = "MODIFY RELEASE CHANNEL DEFAULT SET DEFAULT RELEASE DIRECTIVE VERSION = V0_1_0 PATCH = 0";
    rule.package(None, release).await;
    rule.package(Some("512020"), "MODIFY RELEASE CHANNEL DEFAULT DROP VERSION V0_1_0").await;
}

#[tokio::test]
async fn a_version_leaves_its_channel_when_no_installation_uses_it() {
    let mut rule = Rule::deployed().await;
    rule.package(None, "MODIFY RELEASE CHANNEL DEFAULT ADD VERSION V0_1_0").await;
    rule.account.state().removal_polls = 1;
    rule.package(None, "MODIFY RELEASE CHANNEL DEFAULT DROP VERSION V0_1_0").await;
    for left in [false, true] {
        rule.fine("SHOW RELEASE CHANNELS IN APPLICATION PACKAGE GITHUB_CONNECTOR_PKG").await;
        rule.package((!left).then_some("512021"), "DEREGISTER VERSION V0_1_0").await;
    }
}

#[tokio::test]
async fn an_installed_version_is_not_deregistered() {
    let mut rule = Rule::deployed().await;
    rule.fine("CREATE APPLICATION A FROM APPLICATION PACKAGE GITHUB_CONNECTOR_PKG USING VERSION V0_1_0").await;
    rule.package(Some(INVALID), "DEREGISTER VERSION V0_1_0").await;
    rule.fine("DROP APPLICATION A").await.package(None, "DEREGISTER VERSION V0_1_0").await;
}

#[tokio::test]
async fn a_version_has_at_most_130_patches() {
    let mut rule = Rule::deployed().await;
    rule.account.state().contents.packages.get_mut("GITHUB_CONNECTOR_PKG").unwrap().versions[0].1 = 128;
    rule.package(None, &format!("ADD PATCH FOR VERSION V0_1_0 {STAGE}")).await;
    rule.package(Some(INVALID), &format!("ADD PATCH FOR VERSION V0_1_0 {STAGE}")).await;
}

#[tokio::test]
async fn a_patch_has_the_next_number() {
    let mut rule = Rule::deployed().await;
    rule.package(Some("093168"), &format!("ADD PATCH 3 FOR VERSION V0_1_0 {STAGE}")).await;
    rule.package(None, &format!("ADD PATCH 1 FOR VERSION V0_1_0 {STAGE}")).await;
    rule.package(Some("093031"), &format!("ADD PATCH FOR VERSION V9 {STAGE}")).await;
}

#[tokio::test]
async fn a_patch_does_not_change_the_privileges() {
    let mut rule = Rule::deployed().await;
    let path = "GITHUB_CONNECTOR_PKG.APP_SRC.STAGE/manifest.yml";
    let manifest = String::from_utf8(rule.account.files()[path].clone()).unwrap();
    let other = manifest.replace("  - \"EXECUTE TASK\":\n", "  - \"CREATE WAREHOUSE\":\n");
    assert_ne!(manifest, other);
    rule.account.put_file(path, other.as_bytes());
    rule.package(Some(INVALID), &format!("ADD PATCH FOR VERSION V0_1_0 {STAGE}")).await;
    rule.account.put_file(path, manifest.as_bytes());
    rule.package(None, &format!("ADD PATCH FOR VERSION V0_1_0 {STAGE}")).await;
}

#[tokio::test]
async fn release_channels_decide_between_register_and_add() {
    let mut rule = Rule::deployed().await;
    rule.package(Some("512002"), &format!("ADD VERSION V2 {STAGE}")).await;
    rule.account.state().contents.packages.get_mut("GITHUB_CONNECTOR_PKG").unwrap().channels = false;
    rule.package(Some("512001"), &format!("REGISTER VERSION V2 {STAGE}")).await;
    rule.package(None, &format!("ADD VERSION V2 {STAGE}")).await;
}

#[tokio::test]
async fn hosts_are_domains_with_ports() {
    let mut rule = Rule::of(Account::start().await).await;
    let create = |hosts: &str| {
        format!("CREATE OR ALTER NETWORK RULE SNOWFEED.PUBLIC.R TYPE = HOST_PORT VALUE_LIST = ({hosts}) MODE = EGRESS")
    };
    for host in ["https://a.example", "a.example/api", "a.example:70000", "*.b.*.example", "a_b.example", "localhost"] {
        rule.rejected(INVALID, &create(&format!("'{host}'"))).await;
    }
    rule.fine(&create("'a.example', 'a.example:8443', '*.example.com', 'b.example:1-9', '0.0.0.0:443'")).await;
    rule.rejected(INVALID, "ALTER NETWORK RULE SNOWFEED.PUBLIC.R SET VALUE_LIST = ('a b')").await;
}

#[tokio::test]
async fn a_network_rule_keeps_its_type_and_mode() {
    let mut rule = Rule::of(Account::start().await).await;
    let create = |kind: &str, mode: &str| {
        format!("CREATE OR ALTER NETWORK RULE SNOWFEED.PUBLIC.R TYPE = {kind} VALUE_LIST = ('a.example') MODE = {mode}")
    };
    rule.rejected(INVALID, &create("HOST_PORT", "INGRESS")).await;
    rule.fine(&create("IPV4", "INGRESS")).await.rejected(INVALID, &create("HOST_PORT", "EGRESS")).await;
}

#[tokio::test]
async fn an_integration_needs_the_rules_and_secrets_it_names() {
    let mut rule = Rule::of(Account::start().await).await;
    let create = |secrets: &str| {
        format!(
            "CREATE EXTERNAL ACCESS INTEGRATION E ALLOWED_NETWORK_RULES = (SNOWFEED.PUBLIC.R) \
             ALLOWED_AUTHENTICATION_SECRETS = {secrets} ENABLED = TRUE"
        )
    };
    let network = |kind: &str, mode: &str| {
        format!(
            "CREATE OR REPLACE NETWORK RULE SNOWFEED.PUBLIC.R TYPE = {kind} VALUE_LIST = ('a.example') MODE = {mode}"
        )
    };
    rule.rejected("002003", &create("none")).await;
    rule.fine(&network("IPV4", "INGRESS")).await.rejected(INVALID, &create("none")).await;
    rule.fine(&network("HOST_PORT", "EGRESS")).await.rejected("002003", &create("(SNOWFEED.PUBLIC.S)")).await;
    rule.fine("CREATE SECRET SNOWFEED.PUBLIC.S TYPE = GENERIC_STRING SECRET_STRING = 'x'").await;
    rule.fine(&create("(SNOWFEED.PUBLIC.S)")).await.rejected("002002", &create("none")).await;
}

#[tokio::test]
async fn each_type_of_secret_has_properties_of_its_own() {
    let mut rule = Rule::of(Account::start().await).await;
    let create = |what: &str| format!("CREATE SECRET SNOWFEED.PUBLIC.S TYPE = {what}");
    rule.rejected(INVALID, &create("GENERIC_STRING"))
        .await
        .rejected(INVALID, &create("TOKEN SECRET_STRING = 'x'"))
        .await;
    rule.fine(&create("PASSWORD USERNAME = 'u' PASSWORD = 'p'")).await;
    rule.rejected(INVALID, "ALTER SECRET SNOWFEED.PUBLIC.S SET SECRET_STRING = 'x'").await;
}

#[tokio::test]
async fn a_reference_is_persistent_and_has_the_privileges_of_its_kind() {
    let account = Account::start().await;
    deploy(&account, &github(), |deploy| deploy).await.unwrap();
    install(&account, &github(), |install| install).await.unwrap();
    let mut rule = Rule::of(account).await;
    let bind = |kind: &str, lifetime: &str, privilege: &str| {
        format!(
            "CALL GITHUB_CONNECTOR.PUBLIC.REGISTER_REFERENCE('warehouse_reference', 'ADD', \
             SYSTEM$REFERENCE('{kind}', 'WH', '{lifetime}', '{privilege}'))"
        )
    };
    rule.rejected(INVALID, &bind("COMPUTE_POOL", "PERSISTENT", "USAGE")).await;
    rule.rejected(INVALID, &bind("WAREHOUSE", "PERSISTENT", "SELECT")).await;
    rule.rejected(INVALID, &bind("WAREHOUSE", "SESSION", "USAGE")).await;
    rule.fine(&bind("WAREHOUSE", "PERSISTENT", "USAGE")).await;
}

#[tokio::test]
async fn an_application_is_upgraded_from_the_source_it_was_installed_from() {
    let account = Account::start().await;
    deploy(&account, &github(), |deploy| deploy.release(true)).await.unwrap();
    let mut rule = Rule::of(account).await;
    rule.fine("CREATE APPLICATION A FROM APPLICATION PACKAGE GITHUB_CONNECTOR_PKG USING VERSION V0_1_0").await;
    rule.rejected("093055", "ALTER APPLICATION A UPGRADE").await;
    rule.fine("CREATE APPLICATION B FROM APPLICATION PACKAGE GITHUB_CONNECTOR_PKG").await;
    rule.rejected("093046", "ALTER APPLICATION B UPGRADE USING VERSION V0_1_0").await;
    rule.fine("ALTER APPLICATION B UPGRADE").await;
    rule.account.state().contents.packages.clear();
    rule.rejected("093079", "ALTER APPLICATION B UPGRADE").await;
}

#[tokio::test]
async fn an_application_without_a_version_needs_a_release() {
    let mut rule = Rule::deployed().await;
    rule.rejected("093054", "CREATE APPLICATION A FROM APPLICATION PACKAGE GITHUB_CONNECTOR_PKG").await;
}

#[tokio::test]
async fn an_application_that_owns_objects_is_dropped_with_them_or_not_at_all() {
    let account = Account::start().await;
    deploy(&account, &github(), |deploy| deploy).await.unwrap();
    install(&account, &github(), |install| install).await.unwrap();
    let mut rule = Rule::of(account).await;
    rule.fine("CALL GITHUB_CONNECTOR.PUBLIC.PROVISION_CONNECTOR(OBJECT_CONSTRUCT()::VARIANT)").await;
    rule.rejected("093128", "DROP APPLICATION GITHUB_CONNECTOR").await;
    // While the application owns it, no other role can drop its pool.
    rule.rejected("003001", "DROP COMPUTE POOL GITHUB_CONNECTOR_POOL").await;
    rule.fine("DROP APPLICATION GITHUB_CONNECTOR CASCADE").await;
    let contents = rule.account.contents();
    assert!(contents.pools.is_empty() && !contents.databases.contains("GITHUB_CONNECTOR_DATA"), "{contents:?}");
}

#[tokio::test]
async fn a_pool_of_a_dropped_application_cannot_be_reused() {
    let account = Account::start().await;
    deploy(&account, &github(), |deploy| deploy).await.unwrap();
    install(&account, &github(), |install| install).await.unwrap();
    let orphan = Pool { owner: "TESTER".into(), application: Some("GITHUB_CONNECTOR".into()), ..Pool::default() };
    account.state().contents.pools.insert("GITHUB_CONNECTOR_POOL".into(), orphan);
    let mut rule = Rule::of(account).await;
    let call = "CALL GITHUB_CONNECTOR.PUBLIC.PROVISION_CONNECTOR(OBJECT_CONSTRUCT()::VARIANT)";
    let answer = rule.session.execute(Statement::new(Sql::assert_safe(call))).await.unwrap();
    let answer: Value = serde_json::from_str(answer.rows[0].text(0).unwrap().as_ref()).unwrap();
    assert_eq!(answer["response_code"], "COMPUTE_POOL_UNAVAILABLE");
}

#[tokio::test]
async fn a_pool_with_services_is_not_dropped() {
    let account = Account::start().await;
    let busy = Pool { owner: "TESTER".into(), services: 1, ..Pool::default() };
    account.state().contents.pools.insert("P".into(), busy);
    let mut rule = Rule::of(account).await;
    rule.rejected(INVALID, "DROP COMPUTE POOL P").await;
    rule.account.state().contents.pools.get_mut("P").unwrap().services = 0;
    rule.fine("DROP COMPUTE POOL P").await.fine("DROP COMPUTE POOL IF EXISTS P").await;
}

#[tokio::test]
async fn a_text_is_no_variant_argument() {
    let account = Account::start().await;
    deploy(&account, &github(), |deploy| deploy).await.unwrap();
    install(&account, &github(), |install| install).await.unwrap();
    let mut rule = Rule::of(account).await;
    rule.rejected("001044", "CALL GITHUB_CONNECTOR.PUBLIC.PROVISION_CONNECTOR('{}')").await;
}

/// The rule book's entries of this file, and the tests of this file, are the same.
#[test]
fn every_test_here_is_a_rule_of_the_book() {
    let book = fs::read_to_string("tests/snowflake/rules/deploy.toml").unwrap();
    let this = include_str!("rules.rs");
    let tests = this.lines().filter_map(|line| line.strip_prefix("async fn ")?.split('(').next());
    let missing: Vec<&str> = tests.filter(|name| !book.contains(&format!("rules.rs::{name}\""))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
