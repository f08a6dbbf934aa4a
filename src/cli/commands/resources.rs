//! Enables, disables, resets and removes resources.

use serde_json::json;

use super::session::Session;
use crate::cli::Exit;
use crate::cli::confirm::{confirm, no_terminal_error};
use crate::engine::Schedule;
use crate::{Resource, Result, Source};

pub(super) async fn enable<S: Source>(session: Session<S>, names: &[String], schedule: Option<&str>) -> Result<Exit> {
    let output = session.output;
    let schedule: Option<Schedule> = schedule.map(str::parse).transpose()?;
    if let Some(schedule) = &schedule {
        schedule.check(jiff::Timestamp::now())?;
    }
    session.refuse(names)?;
    let connector = session.open()?;
    // An invalid name is an error before any resource is enabled.
    let resources = connector.resolve(names).await?;
    for resource in &resources {
        connector.enable(resource, schedule.as_ref()).await?;
    }
    let enabled: Vec<_> = connector.resources().await?.into_iter().filter(|(r, _)| resources.contains(r)).collect();
    let document: Vec<_> = enabled
        .iter()
        .map(|(r, config)| json!({"resource": r, "enabled": config.enabled, "schedule": config.schedule}))
        .collect();
    output.result(&json!({"resources": document}), || {
        let default = Schedule::default().to_string();
        let lines = enabled
            .iter()
            .map(|(r, c)| format!("enabled {}, schedule {}", r, c.schedule.as_deref().unwrap_or(&default)));
        lines.collect::<Vec<_>>().join("\n")
    })?;
    Ok(Exit::Complete)
}

pub(super) async fn disable<S: Source>(session: Session<S>, names: &[String]) -> Result<Exit> {
    let output = session.output;
    let connector = session.open_existing()?;
    let resources = connector.resolve(names).await?;
    let known = connector.resources().await?;
    let mut lines = Vec::new();
    // An unknown resource is an error before any other is disabled.
    let (configured, unknown): (Vec<_>, Vec<_>) =
        resources.iter().partition(|r| known.iter().any(|(one, _)| one == *r));
    for resource in unknown.into_iter().chain(configured) {
        let was_enabled = connector.disable(resource).await?;
        lines
            .push(format!("{resource} {}", if was_enabled { "is disabled; its rows stay" } else { "was not enabled" }));
    }
    let schedule =
        |r: &Resource| known.iter().find(|(one, _)| one == r).and_then(|(_, config)| config.schedule.clone());
    let entry = |r: &Resource| json!({"resource": r, "enabled": false, "schedule": schedule(r)});
    let document: Vec<_> = resources.iter().map(entry).collect();
    output.result(&json!({"resources": document}), || lines.join("\n"))?;
    Ok(Exit::Complete)
}

pub(super) async fn reset<S: Source>(session: Session<S>, name: String, yes: bool) -> Result<Exit> {
    let output = session.output;
    if !yes && let Some(error) = no_terminal_error("reset") {
        output.error(&error);
        return Ok(Exit::Usage);
    }
    let connector = session.open_existing()?;
    let resource = connector.resolve([name]).await?.remove(0);
    let question = format!("Forget the checkpoint of {resource}? The next run reads it from the start; its rows stay.");
    if !yes && !confirm(&question)? {
        output.result(&json!({"resource": resource, "reset": false}), || "nothing was done".into())?;
        return Ok(Exit::Complete);
    }
    connector.reset(&resource).await?;
    output.result(&json!({"resource": resource, "reset": true}), || {
        format!("{resource} is reset: the next run reads it from the start; its rows stay")
    })?;
    Ok(Exit::Complete)
}

pub(super) async fn remove<S: Source>(session: Session<S>, names: &[String], yes: bool) -> Result<Exit> {
    let output = session.output;
    if !yes && let Some(error) = no_terminal_error("remove") {
        output.error(&error);
        return Ok(Exit::Usage);
    }
    let connector = session.open_existing()?;
    let resources = connector.resolve(names).await?;
    // An unknown resource is an error before any other is removed.
    for resource in &resources {
        connector.ensure_known(resource).await?;
    }
    let listed = resources.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let question = format!("Forget {listed} and its checkpoint? Rows and the history of runs stay.");
    if !yes && !confirm(&question)? {
        let document: Vec<_> = resources.iter().map(|r| json!({"resource": r, "removed": false})).collect();
        output.result(&json!({"resources": document}), || "nothing was done".into())?;
        return Ok(Exit::Complete);
    }
    for resource in &resources {
        connector.remove(resource).await?;
    }
    let document: Vec<_> = resources.iter().map(|r| json!({"resource": r, "removed": true})).collect();
    output.result(&json!({"resources": document}), || {
        resources.iter().map(|r| format!("{r} is removed; its rows stay")).collect::<Vec<_>>().join("\n")
    })?;
    Ok(Exit::Complete)
}
