//! The app: deployed, installed, configured, run, upgraded and removed.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use snowfeed::native_app::Bundle;
use snowfeed::native_app::deploy::{ApplicationRole, Deploy, Install, Report, Runner, Status, Uninstall, Upgrade};

use crate::app_run::Argument;
use crate::scene::{Scene, ask, cell, is_not_offered};
use crate::step::{Ended, Stop, ensure};

const FIRST: &str = "The app of an acceptance run.";
const SECOND: &str = "The app of an acceptance run, upgraded.";

/// How long the first job may take, including the start of its pool.
const JOB: Duration = Duration::from_secs(20 * 60);

/// How long a log may take to reach the event table.
const LOG: Duration = Duration::from_secs(5 * 60);

/// How often it is queried.
const PAUSE: Duration = Duration::from_secs(10);

fn notes(report: &Report) -> Vec<String> {
    let mut notes = vec![format!("{} steps", report.steps.len())];
    notes.extend(report.notes.iter().cloned());
    notes
}

/// A feature that the account lacks is not a failure.
fn skipped_if_not_offered(error: snowfeed::Error) -> Stop {
    match is_not_offered(&error) {
        true => Stop::Skipped(format!("the account does not offer this: {}", error.message())),
        false => error.into(),
    }
}

async fn deploy_as(scene: &Scene<'_>, description: &str) -> Result<Report, Stop> {
    let app = scene.app(description);
    let bundle = Bundle::new(&app)?;
    let image = scene.image()?;
    let deploy =
        Deploy::new(&app, &bundle)?.image(image.as_ref().map(|(image, _)| image.clone())).create_repository(true);
    let mut account = scene.app_account().await?;
    let report = deploy.run(&mut account, &Runner::new()).await.map_err(skipped_if_not_offered)?;
    account.close().await?;
    Ok(report)
}

pub(crate) async fn deploy(scene: &Scene<'_>) -> Ended {
    let mut session = scene.app_session().await?;
    let create = format!("CREATE DATABASE {} COMMENT = '{}'", scene.name("OBJECTS"), scene.run.id.comment());
    ask(&mut *session, create).await?;
    session.close().await?;
    let report = deploy_as(scene, FIRST).await?;
    let again = deploy_as(scene, FIRST).await?;
    let changed: Vec<&str> =
        again.steps.iter().filter(|step| step.changed).map(|step| step.description.as_str()).collect();
    ensure!(changed.is_empty(), "deploying again changed: {}", changed.join(", "));
    Ok(notes(&report))
}

pub(crate) async fn install(scene: &Scene<'_>) -> Ended {
    let mut session = scene.app_session().await?;
    let role = cell(&ask(&mut *session, "SELECT CURRENT_ROLE()").await?)?;
    session.close().await?;
    let (database, schema) = scene.objects()?;
    let role = snowfeed::native_app::Name::stored(role)?;
    let warehouse = snowfeed::native_app::Name::stored(scene.warehouse())?;
    let mut install = Install::new(&scene.app(FIRST))?
        .objects_in(database, schema)
        .warehouse(Some(warehouse))
        .grant(ApplicationRole::Admin, role);
    if let (Some(token), Ok(())) = (&scene.run.options.token, scene.needs_container()) {
        install = install.secret("token", token.clone())?;
    }
    let mut account = scene.app_account().await?;
    let report = install.run(&mut account, &Runner::new()).await.map_err(skipped_if_not_offered)?;
    let again = install.run(&mut account, &Runner::new()).await?;
    account.close().await?;
    // A secret is set each time a value for it is passed.
    let changed = again.steps.iter().filter(|step| step.changed && !step.description.contains("secret"));
    let changed: Vec<&str> = changed.map(|step| step.description.as_str()).collect();
    ensure!(changed.is_empty(), "installing again changed: {}", changed.join(", "));
    Ok(notes(&report))
}

pub(crate) async fn configure(scene: &Scene<'_>) -> Ended {
    // The page fills its form with the defaults of the status.
    let before = scene.call("GET_CONNECTOR_STATUS", Vec::new()).await?;
    let scheduler = &before["default_scheduler"];
    let config = json!({ "schedule": "8h", "scheduler": scheduler, "settings": {} });
    let answer = scene.call("PROVISION_CONNECTOR", vec![Argument::Json(config)]).await?;
    let status = scene.call("GET_CONNECTOR_STATUS", Vec::new()).await?;
    let (given, stored) = (&answer["configuration"], &status["configuration"]);
    ensure!(given == stored && !stored.is_null(), "configured {given}, but {stored} is effective");
    let notes = answer["notes"].as_array().into_iter().flatten();
    Ok(notes.filter_map(Value::as_str).map(str::to_owned).collect())
}

pub(crate) async fn enable(scene: &Scene<'_>) -> Ended {
    scene.needs_container()?;
    let checked = scene.call("TEST_CONNECTION", Vec::new()).await?;
    let name = Argument::Text(scene.run.options.repository.clone());
    scene.call("ENABLE_RESOURCE", vec![name]).await?;
    let entry = entry(scene).await?;
    ensure!(entry["enabled"] == true, "the resource is not enabled: {entry}");
    Ok(vec![format!("the container checked the source in the job {}", checked["job"])])
}

/// The resource's status.
async fn entry(scene: &Scene<'_>) -> Result<Value, Stop> {
    let status = scene.call("GET_CONNECTOR_STATUS", Vec::new()).await?;
    let mut resources = status["resources"].as_array().into_iter().flatten();
    let entry = resources.find(|resource| resource["name"] == scene.run.options.repository.as_str());
    entry.cloned().ok_or_else(|| Stop::NotHeld("the status does not list the resource".into()))
}

/// Enabling starts a run, which ends with rows; another run, started by hand, reports no problem.
pub(crate) async fn job(scene: &Scene<'_>) -> Ended {
    let began = Instant::now();
    let run = loop {
        let run = entry(scene).await?["last_run"].take();
        match run["status"].as_str() {
            Some("complete") => break run,
            Some("failed" | "partial") => return Err(Stop::NotHeld(format!("the first run ended as: {run}"))),
            _ => {}
        }
        ensure!(began.elapsed() < JOB, "the first run did not finish within {JOB:?}");
        tokio::time::sleep(PAUSE).await;
    };
    let waited = began.elapsed().as_secs();
    let inserted = run["counts"]["inserted"].as_u64().unwrap_or_default();
    ensure!(inserted > 0, "the first run inserted nothing: {run}");
    let mut session = scene.app_session().await?;
    let view = scene.run.options.repository.replace('"', "\"\"");
    let count = format!("SELECT COUNT(*) AS N FROM \"{}_DATA\".\"PUBLIC\".\"{view}\"", scene.application());
    let found = cell(&ask(&mut *session, count).await?)?;
    ensure!(found == inserted.to_string(), "the run inserted {inserted} rows, but {found} exist");
    let answer = scene.call("INGEST_DATA", vec![Argument::Text(scene.run.options.repository.clone())]).await?;
    *scene.run.app.job.lock().unwrap() = answer["job"].as_str().map(str::to_owned);
    Ok(vec![format!("{inserted} rows; the first run had ended {waited} s after it was enabled")])
}

/// A container's output is in the event table, even after its job was dropped.
pub(crate) async fn log(scene: &Scene<'_>) -> Ended {
    let job = scene.run.app.job.lock().unwrap().clone();
    let job = job.ok_or_else(|| Stop::Skipped("no job was named".into()))?;
    let service = job.rsplit('.').next().unwrap_or_default().to_uppercase();
    let mut session = scene.app_session().await?;
    let setting = ask(&mut *session, "SHOW PARAMETERS LIKE 'EVENT_TABLE' IN ACCOUNT").await?;
    let value = setting.columns.iter().position(|name| name.eq_ignore_ascii_case("value"));
    let table = match (setting.rows.first(), value) {
        (Some(row), Some(value)) => row.get(value)?.map(|text| text.to_string()).unwrap_or_default(),
        _ => String::new(),
    };
    if table.is_empty() {
        return Err(Stop::Skipped("the account has no event table".into()));
    }
    let select = format!(
        "SELECT COUNT(*) AS N FROM {table} WHERE RECORD_TYPE = 'LOG' AND TIMESTAMP > DATEADD(hour, -2, SYSDATE()) AND \
         UPPER(RESOURCE_ATTRIBUTES:\"snow.service.name\"::VARCHAR) = ?"
    );
    let began = Instant::now();
    loop {
        let counted = session.execute(
            snowfeed::internals::snowflake::Statement::new(snowfeed::internals::snowflake::Sql::assert_safe(&select))
                .bind(service.as_str()),
        );
        let lines = match counted.await {
            Ok(answer) => answer.rows[0].integer(0)?,
            Err(error) => return Err(Stop::Skipped(format!("the role cannot read {table}: {}", error.message()))),
        };
        if lines > 0 {
            return Ok(vec![format!("{lines} lines in {table} after {} s", began.elapsed().as_secs())]);
        }
        ensure!(began.elapsed() < LOG, "{table} has no row of the job after {LOG:?}");
        tokio::time::sleep(PAUSE).await;
    }
}

pub(crate) async fn upgrade(scene: &Scene<'_>) -> Ended {
    let before = scene.call("GET_CONNECTOR_STATUS", Vec::new()).await?;
    let report = deploy_as(scene, SECOND).await?;
    let app = scene.app(SECOND);
    let mut account = scene.app_account().await?;
    Upgrade::new(&app)?.run(&mut account, &Runner::new()).await?;
    let status = Status::load(&app, &mut account).await?;
    account.close().await?;
    let patch = status.application.as_ref().and_then(|application| application.patch);
    ensure!(patch == Some(1), "after the upgrade the application is at patch {patch:?}");
    let after = scene.call("GET_CONNECTOR_STATUS", Vec::new()).await?;
    let (was, is) = (&before["configuration"], &after["configuration"]);
    ensure!(was == is, "the upgrade changed the configuration from {was} to {is}");
    Ok(notes(&report))
}

pub(crate) async fn uninstall(scene: &Scene<'_>) -> Ended {
    let (database, schema) = scene.objects()?;
    let app = scene.app(SECOND);
    let uninstall = Uninstall::new(&app)?.cascade(true).objects(true).package(true).objects_in(database, schema);
    let mut account = scene.app_account().await?;
    let owned: Vec<String> = uninstall
        .owned_objects(&mut account)
        .await?
        .iter()
        .map(|owned| format!("{} {}", owned.kind, owned.name))
        .collect();
    uninstall.run(&mut account, &Runner::new()).await?;
    let status = Status::load(&app, &mut account).await;
    account.close().await?;
    if let Ok(Status { package, application, .. }) = status {
        ensure!(package.is_none() && application.is_none(), "the package or the application is still there");
    }
    let mut session = scene.app_session().await?;
    for kind in ["COMPUTE POOLS", "DATABASES"] {
        let left = ask(&mut *session, format!("SHOW {kind} LIKE '{}%'", scene.application())).await?;
        ensure!(left.rows.is_empty(), "{} {kind} of the application are left", left.rows.len());
    }
    Ok(vec![format!("the application owned {}", owned.join(", "))])
}
