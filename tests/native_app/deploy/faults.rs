//! A failure at every statement, after which the next call resumes.

use snowfeed::Result;
use snowfeed::native_app::deploy::Report;

use super::account::{Account, AccountContents, InjectedFault};
use super::install::all_options;
use super::{deploy, install, uninstall, upgrade};
use crate::support::github;

/// An operation on an account, and its preconditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Deploy,
    Patch,
    Install,
    Upgrade,
    Uninstall,
}

async fn prepare(account: &Account, act: Operation) {
    if act != Operation::Deploy {
        deploy(account, &github(), |deploy| deploy.release(true)).await.unwrap();
    }
    if matches!(act, Operation::Upgrade | Operation::Uninstall) {
        install(account, &github(), all_options).await.unwrap();
        deploy(account, &github().title("Newer"), |deploy| deploy).await.unwrap();
    }
    if act == Operation::Install {
        account.state().grants_at_installation = false;
    }
    account.log();
}

async fn perform(account: &Account, act: Operation) -> Result<Report> {
    match act {
        Operation::Deploy => deploy(account, &github(), |deploy| deploy.release(true)).await,
        Operation::Patch => deploy(account, &github().title("Newer"), |deploy| deploy.release(true)).await,
        Operation::Install => install(account, &github(), all_options).await,
        Operation::Upgrade => upgrade(account, &github(), |upgrade| upgrade).await,
        Operation::Uninstall => uninstall(account, &github(), |uninstall| uninstall.objects(true).package(true)).await,
    }
}

/// The account after an undisturbed operation, and the number of its statements.
async fn expected(act: Operation) -> (AccountContents, Vec<String>, usize) {
    let account = Account::start().await;
    prepare(&account, act).await;
    perform(&account, act).await.unwrap();
    let count = account.log().len();
    (account.contents(), account.files().into_keys().collect(), count)
}

async fn converges(act: Operation) {
    let (contents, files, count) = expected(act).await;
    assert!(count >= 2, "{act:?}");
    for fault in [InjectedFault::Fails, InjectedFault::LostResponse] {
        for at in 0..count {
            let account = Account::start().await;
            prepare(&account, act).await;
            account.state().fault = Some((at, fault));
            perform(&account, act).await.expect_err("the injected fault must be an error");
            account.clear_fault();
            perform(&account, act).await.unwrap_or_else(|error| panic!("{act:?}, {fault:?} at {at}: {error:?}"));
            assert_eq!(account.contents(), contents, "{act:?}, {fault:?} at {at}");
            assert_eq!(account.files().into_keys().collect::<Vec<_>>(), files, "{act:?}, {fault:?} at {at}");
            let log = account.log();
            if act != Operation::Uninstall {
                assert!(!log.iter().any(|sql| sql.starts_with("DROP") || sql.contains("OR REPLACE")), "{log:#?}");
            }
            perform(&account, act).await.ok();
            let again = account.changes();
            assert!(again.iter().all(|sql| sql.starts_with("ALTER SECRET")), "{act:?}, {fault:?} at {at}: {again:#?}");
        }
    }
}

#[tokio::test]
async fn the_next_deploy_completes_one_that_failed_at_any_step() {
    converges(Operation::Deploy).await;
}

#[tokio::test]
async fn the_next_deploy_completes_a_patch_and_creates_it_once() {
    converges(Operation::Patch).await;
}

#[tokio::test]
async fn the_next_install_completes_one_that_failed_at_any_step() {
    converges(Operation::Install).await;
}

#[tokio::test]
async fn the_next_upgrade_completes_one_that_failed_at_any_step() {
    converges(Operation::Upgrade).await;
}

#[tokio::test]
async fn the_next_uninstall_completes_one_that_failed_at_any_step() {
    converges(Operation::Uninstall).await;
}

#[tokio::test]
async fn a_run_stopped_between_steps_reports_it_and_the_next_continues() {
    use snowfeed::native_app::Bundle;
    use snowfeed::native_app::deploy::{Deploy, Runner};
    use tokio_util::sync::CancellationToken;

    let account = Account::start().await;
    let (app, stop) = (github(), CancellationToken::new());
    let bundle = Bundle::new(&app).unwrap();
    let stops = stop.clone();
    let runner = Runner::new().stop(stop).progress(move |_| stops.cancel());
    let report = Deploy::new(&app, &bundle).unwrap().run(&mut account.open().await, &runner).await.unwrap();
    assert!(report.stopped && report.steps.len() == 1, "{report:?}");
    let report = deploy(&account, &app, |deploy| deploy).await.unwrap();
    assert!(!report.stopped && !report.steps.iter().any(|step| step.description.contains("application package")));
}
