//! Which resources there are, and where they stand.

use std::io::{self, IsTerminal, Write};

use serde_json::json;

use super::{Session, resources};
use crate::cli::Exit;
use crate::engine::Schedule;
use crate::{Error, Resource, Result, Source};

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
    let mut lines = Vec::new();
    for resource in &resources {
        let was_enabled = connector.disable(resource).await?;
        lines
            .push(format!("{resource} {}", if was_enabled { "is disabled; its rows stay" } else { "was not enabled" }));
    }
    let document: Vec<_> = resources.iter().map(|r| json!({"resource": r, "enabled": false})).collect();
    output.result(&json!({"resources": document}), || lines.join("\n"))?;
    Ok(Exit::Complete)
}

pub(super) async fn reset<S: Source>(session: Session<S>, name: String, yes: bool) -> Result<Exit> {
    let output = session.output;
    let resource = Resource::new(name)?;
    if !yes && !io::stdin().is_terminal() {
        output.error(
            &Error::configuration("there is no terminal to ask whether to reset")
                .with_help("add --yes to reset without being asked"),
        );
        return Ok(Exit::Usage);
    }
    let connector = session.look()?;
    if !yes && !confirmed(&resource)? {
        output.result(&json!({"resource": resource, "reset": false}), || "nothing was done".into())?;
        return Ok(Exit::Complete);
    }
    connector.reset(&resource).await?;
    output.result(&json!({"resource": resource, "reset": true}), || {
        format!("{resource} is reset: the next run reads it from the start; its rows stay")
    })?;
    Ok(Exit::Complete)
}

fn confirmed(resource: &Resource) -> Result<bool> {
    let failed = |error: io::Error| Error::unavailable("the answer cannot be read").with_source(error);
    let mut stderr = io::stderr();
    write!(stderr, "Forget where {resource} stands? The next run reads it from the start; its rows stay. [y/N] ")
        .and_then(|()| stderr.flush())
        .map_err(failed)?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).map_err(failed)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}
