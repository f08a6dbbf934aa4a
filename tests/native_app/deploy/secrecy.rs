//! Secrets that must not be visible anywhere.

use snowfeed::native_app::Bundle;
use snowfeed::native_app::deploy::{Deploy, Install, Report, Runner};
use tracing::instrument::WithSubscriber;

use super::account::{Account, ISSUED};
use super::install::token;
use crate::image::secrets::CapturedLog;
use crate::scripted::{MASTER_TOKEN, PASSWORD, SESSION_TOKEN};
use crate::support::github;

const SECRET: &str = "hunter2-it's-a-token";

fn with_token() -> Install {
    Install::new(&github()).unwrap().secret("token", token(SECRET)).unwrap()
}

#[tokio::test]
async fn a_secret_reaches_only_snowflake() {
    let (account, captured) = (Account::start().await, CapturedLog::default());
    let bundle = Bundle::new(&github()).unwrap();
    let printed = async {
        let mut session = account.open().await;
        Deploy::new(&github(), &bundle).unwrap().run(&mut session, &Runner::new()).await.unwrap();
        let install = with_token();
        let dry = install.run(&mut session, &Runner::new().dry_run(true)).await.unwrap();
        let progress = std::sync::Mutex::new(String::new());
        let runner = Runner::new()
            .progress(|step| *progress.lock().unwrap() += &format!("{step:?}{}", step.statement().unwrap()));
        let first = install.run(&mut session, &runner).await.unwrap();
        let second = install.run(&mut session, &runner).await.unwrap();
        drop(runner);
        let printed = |report: &Report| format!("{report:?}{}", serde_json::to_string(report).unwrap());
        let reports = [&dry, &first, &second].map(printed).concat();
        assert!(reports.contains("SECRET_STRING = '***'"), "{reports}");
        reports + &progress.into_inner().unwrap() + &format!("{install:?}")
    }
    .with_subscriber(captured.clone())
    .await;
    assert!(account.contents().secrets.values().any(|secret| secret.value == SECRET));
    let log = captured.text();
    assert!(log.contains("SECRET_STRING = '***'"), "nothing was recorded: {log}");
    for text in [printed, log] {
        for secret in ["hunter2", PASSWORD, SESSION_TOKEN, MASTER_TOKEN, ISSUED] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}

#[tokio::test]
async fn an_error_that_repeats_the_statement_does_not_show_the_secret() {
    let (account, captured) = (Account::start().await, CapturedLog::default());
    super::deploy(&account, &github(), |deploy| deploy).await.unwrap();
    for (code, beginning) in [("001003", "CREATE SECRET"), ("001007", "CREATE SECRET"), ("002003", "CREATE SECRET")] {
        account.state().errors = vec![(beginning, code, "SQL compilation error: syntax error in {sql}")];
        let error = async { with_token().run(&mut account.open().await, &Runner::new()).await.unwrap_err() };
        let error = error.with_subscriber(captured.clone()).await;
        for text in [format!("{error}{error:?}{:?}", error.report()), captured.text()] {
            assert!(!text.contains("hunter2"), "{text}");
        }
        assert!(error.to_string().contains("the-query"), "the error has the statement's id: {error}");
    }
}
