//! Missing privileges of a role.

use snowfeed::ErrorKind;
use snowfeed::native_app::deploy::Install;

use super::account::Account;
use super::install::token;
use super::{deploy, install};
use crate::support::github;

#[tokio::test]
async fn a_denied_deploy_step_names_the_privilege_and_the_grant() {
    for (beginning, grant) in [
        ("CREATE APPLICATION PACKAGE", "GRANT CREATE APPLICATION PACKAGE ON ACCOUNT TO ROLE TESTER"),
        ("CREATE SCHEMA", "GRANT OWNERSHIP ON APPLICATION PACKAGE GITHUB_CONNECTOR_PKG TO ROLE TESTER"),
        ("CREATE STAGE", "GRANT CREATE STAGE ON SCHEMA GITHUB_CONNECTOR_PKG.APP_SRC TO ROLE TESTER"),
        ("PUT", "GRANT WRITE ON STAGE GITHUB_CONNECTOR_PKG.APP_SRC.STAGE TO ROLE TESTER"),
        ("CREATE IMAGE REPOSITORY", "GRANT CREATE IMAGE REPOSITORY ON SCHEMA SNOWFEED.PUBLIC TO ROLE TESTER"),
        ("CALL SYSTEM$VALIDATE", "GRANT READ ON STAGE GITHUB_CONNECTOR_PKG.APP_SRC.STAGE TO ROLE TESTER"),
        ("ALTER APPLICATION PACKAGE", "GRANT OWNERSHIP ON APPLICATION PACKAGE GITHUB_CONNECTOR_PKG TO ROLE TESTER"),
    ] {
        let account = Account::start().await;
        account.state().contents.repositories.clear();
        account.state().forbidden = vec![beginning];
        let error = deploy(&account, &github(), |deploy| deploy).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{beginning}: {error:?}");
        assert!(error.help().unwrap().contains(grant), "{beginning}: {:?}", error.help());
        assert!(error.to_string().contains("role: TESTER"), "{error}");
    }
}

#[tokio::test]
async fn a_denied_install_step_names_the_privilege_and_the_grant() {
    let place = "GITHUB_CONNECTOR_SETUP.PUBLIC";
    for (beginning, grant) in [
        ("CREATE DATABASE", "GRANT CREATE DATABASE ON ACCOUNT TO ROLE TESTER".to_owned()),
        ("CREATE SECRET", format!("GRANT CREATE SECRET ON SCHEMA {place} TO ROLE TESTER")),
        ("CREATE OR ALTER NETWORK RULE", format!("GRANT CREATE NETWORK RULE ON SCHEMA {place} TO ROLE TESTER")),
        (
            "CREATE EXTERNAL ACCESS INTEGRATION",
            "GRANT CREATE EXTERNAL ACCESS INTEGRATION ON ACCOUNT TO ROLE TESTER".to_owned(),
        ),
        ("CREATE APPLICATION", "GRANT CREATE APPLICATION ON ACCOUNT TO ROLE TESTER".to_owned()),
        (
            "GRANT CREATE COMPUTE POOL",
            "GRANT CREATE COMPUTE POOL ON ACCOUNT TO ROLE TESTER WITH GRANT OPTION".to_owned(),
        ),
        ("CALL", format!("GRANT READ ON SECRET {place}.GITHUB_CONNECTOR_TOKEN TO ROLE TESTER")),
    ] {
        let account = Account::start().await;
        deploy(&account, &github(), |deploy| deploy).await.unwrap();
        account.state().forbidden = vec![beginning];
        account.state().grants_at_installation = false;
        let with_token = |install: Install| install.secret("token", token("s3cret")).unwrap();
        let error = install(&account, &github(), with_token).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{beginning}: {error:?}");
        assert!(error.help().unwrap().contains(&grant), "{beginning}: {:?}", error.help());
        // With the privilege, the next call continues.
        account.state().forbidden.clear();
        install(&account, &github(), with_token).await.unwrap();
    }
}
