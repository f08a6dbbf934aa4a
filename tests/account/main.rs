//! The acceptance run: tests on a Snowflake account everything that only an account can show.
//!
//! `SNOWFEED_ACCOUNT=CONNECTION cargo test --release --all-features --test account -- --nocapture` runs it on the account that the
//! connection names; `docs/unverified.md` says what it needs, what it costs and what it verifies. Without the variable, the same
//! steps are rehearsed against an imitation of Snowflake, so that the run itself is tested.
#![cfg(all(feature = "native-app", feature = "cli", feature = "github"))]
#![allow(clippy::unwrap_used, reason = "a failure ends the test")]

#[path = "../support/peers.rs"]
mod peers;
#[path = "../support/scripted.rs"]
mod scripted;
#[path = "../native_app/deploy/account.rs"]
#[allow(dead_code, reason = "other tests use the rest of it")]
mod small_account;

mod abort;
mod app;
mod app_run;
mod backfill;
mod budget;
mod endpoints;
mod fence;
mod hostile;
mod idle;
mod ledger;
mod load;
mod login;
mod objects;
mod options;
mod policies;
mod rehearsal;
mod report;
mod run;
mod scene;
mod source;
mod step;
mod steps;
mod unverified;

use std::sync::Arc;

/// The acceptance run on the account that `SNOWFEED_ACCOUNT` names.
#[test]
fn acceptance_run_on_an_account() {
    let Ok(connection) = std::env::var("SNOWFEED_ACCOUNT") else {
        eprintln!(
            "skipped: SNOWFEED_ACCOUNT names no connection to run on; docs/unverified.md says what the run needs"
        );
        return;
    };
    let options = options::Options::from_environment().unwrap_or_else(|problem| panic!("{problem}"));
    let endpoints = endpoints::Account::load(&connection).unwrap_or_else(|error| panic!("{error:?}"));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let report = runtime.block_on(run::Run::new(Arc::new(endpoints), options).perform());
    println!("{}", report.text);
    assert!(report.is_good(), "{}", report.summary());
}
