//! Every step of the run, in order.

use crate::step::{Step, Uses};
use crate::{abort, app, backfill, fence, hostile, idle, load, login, policies};

const ALWAYS: &[&str] = &["prepare"];

macro_rules! step {
    ($name:literal, $uses:ident, $needs:expr, $run:path, $claim:literal) => {
        Step { name: $name, claim: $claim, needs: $needs, uses: Uses::$uses, run: |scene| Box::pin($run(scene)) }
    };
}

pub(crate) const STEPS: &[Step] = &[
    step!("login", Nothing, &[], login::login, "every configured kind of credential logs in"),
    step!("prepare", Nothing, &[], login::prepare, "the role can create what the run needs"),
    step!("load-bound", Warehouse, ALWAYS, load::bound, "bound rows come back byte for byte"),
    step!(
        "load-stage",
        Warehouse,
        ALWAYS,
        load::stage,
        "staged rows, and a document of 20 MB, come back byte for byte"
    ),
    step!(
        "names",
        Warehouse,
        ALWAYS,
        load::odd_names,
        "databases whose names have a blank, lower case or quotes work, with their stages"
    ),
    step!(
        "fence",
        Warehouse,
        ALWAYS,
        fence::two_writers,
        "one of two writers on one state wins, and the other leaves no row"
    ),
    step!("writers", Warehouse, ALWAYS, fence::many_writers, "40 writers of different resources commit at once"),
    step!(
        "abort-statements",
        Warehouse,
        ALWAYS,
        abort::statement_by_statement,
        "an aborted transaction stores nothing"
    ),
    step!("abort-commit", Warehouse, ALWAYS, abort::commit, "an aborted commit applies wholly or not at all"),
    step!(
        "hostile-session",
        Warehouse,
        ALWAYS,
        hostile::session,
        "session parameters of the connection change nothing"
    ),
    step!(
        "hostile-database",
        Warehouse,
        ALWAYS,
        hostile::database,
        "a default collation of the database changes nothing"
    ),
    step!("policies", Warehouse, ALWAYS, policies::survive, "policies and tags on a view survive another resource"),
    step!("idle", Warehouse, ALWAYS, idle::polls, "a poll without changes takes 2 statements"),
    step!("result-cache", Warehouse, ALWAYS, idle::result_cache, "such polls are answered without a warehouse"),
    step!("backfill", Warehouse, ALWAYS, backfill::run, "a backfill completes, and its cost is reported"),
    step!("app-deploy", Container, ALWAYS, app::deploy, "the app is deployed; deploying again changes nothing"),
    step!(
        "app-install",
        Container,
        &["app-deploy"],
        app::install,
        "the app is installed; installing again changes nothing"
    ),
    step!("app-configure", Container, &["app-install"], app::configure, "the page's call configures it"),
    step!(
        "app-enable",
        Container,
        &["app-configure"],
        app::enable,
        "the source responds from a container, and a resource is enabled"
    ),
    step!("app-job", Container, &["app-enable"], app::job, "a job in a container ingests the resource"),
    step!("app-log", Container, &["app-job"], app::log, "the job's log is in the event table"),
    step!("app-upgrade", Container, &["app-configure"], app::upgrade, "an upgrade keeps the configuration"),
    step!(
        "app-uninstall",
        Container,
        &["app-install"],
        app::uninstall,
        "the app is removed with everything that it owns"
    ),
];
