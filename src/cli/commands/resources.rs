//! Which resources there are, and where they stand.

use serde_json::json;

use super::{Session, resources};
use crate::cli::Exit;
use crate::cli::confirm::{confirmed, unanswerable};
use crate::engine::Schedule;
use crate::{Resource, Result, Source};

pub(super) async fn enable<S: Source>(session: Session<S>, names: &[String], schedule: Option<&str>) -> Result<Exit> {
    let output = session.output;
    let resources = resources(names)?;
    let schedule: Option<Schedule> = schedule.map(str::parse).transpose()?;
    let connector = session.open()?;
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
    let resources = resources(names)?;
    let connector = session.look()?;
    let known = connector.resources().await?;
    let mut lines = Vec::new();
    // One that nobody knows is an error, before any other is disabled.
    let (there, unknown): (Vec<_>, Vec<_>) = resources.iter().partition(|r| known.iter().any(|(one, _)| one == *r));
    for resource in unknown.into_iter().chain(there) {
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
    let resource = Resource::new(name)?;
    if !yes && let Some(error) = unanswerable("reset") {
        output.error(&error);
        return Ok(Exit::Usage);
    }
    let connector = session.look()?;
    let question = format!("Forget where {resource} stands? The next run reads it from the start; its rows stay.");
    if !yes && !confirmed(&question)? {
        output.result(&json!({"resource": resource, "reset": false}), || "nothing was done".into())?;
        return Ok(Exit::Complete);
    }
    connector.reset(&resource).await?;
    output.result(&json!({"resource": resource, "reset": true}), || {
        format!("{resource} is reset: the next run reads it from the start; its rows stay")
    })?;
    Ok(Exit::Complete)
}
