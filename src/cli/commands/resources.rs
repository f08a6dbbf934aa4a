//! Enables, disables, resets and removes resources.

use serde_json::json;

use super::session::Session;
use super::streams::{note_required, selection};
use crate::cli::Exit;
use crate::cli::confirm::{confirm, no_terminal_error};
use crate::engine::{EnableRequest, Schedule};
use crate::{Resource, ResourceConfig, Result, Source};

pub(super) async fn enable<S: Source>(
    session: Session<S>,
    names: &[String],
    schedule: Option<&str>,
    streams: Option<Vec<String>>,
) -> Result<Exit> {
    let (output, spec) = (session.output, session.spec.clone());
    let streams = streams.map(|names| selection(&spec, names)).transpose()?;
    streams.iter().try_for_each(|streams| note_required(&spec, streams, output))?;
    let schedule: Option<Schedule> = schedule.map(str::parse).transpose()?;
    if let Some(schedule) = &schedule {
        schedule.check(jiff::Timestamp::now())?;
    }
    session.refuse(names)?;
    let connector = session.open()?;
    // An invalid name is an error before any resource is enabled.
    let resources = connector.resolve(names).await?;
    for resource in &resources {
        let request = EnableRequest {
            schedule: schedule.clone(),
            streams: streams.clone(),
            ..EnableRequest::new(resource.clone())
        };
        connector.enable(request).await?;
    }
    let enabled: Vec<_> = connector.resources().await?.into_iter().filter(|(r, _)| resources.contains(r)).collect();
    let document: Vec<_> = enabled
        .iter()
        .map(|(r, config)| {
            json!({"resource": r, "enabled": config.enabled, "schedule": config.schedule, "streams": config.streams})
        })
        .collect();
    output.result(&json!({"resources": document}), || {
        let default = Schedule::default().to_string();
        let line = |(resource, config): &(Resource, ResourceConfig)| {
            let mut line = format!("enabled {resource}, schedule {}", config.schedule.as_deref().unwrap_or(&default));
            if spec.streams.len() > 1 || config.streams.is_some() {
                let names: Vec<_> =
                    connector.streams(Some(config)).into_iter().map(|stream| stream.name.as_str()).collect();
                let default = if config.streams.is_none() { " (default)" } else { "" };
                line.push_str(&format!(", streams {}{default}", names.join(", ")));
            }
            line
        };
        enabled.iter().map(line).collect::<Vec<_>>().join("\n")
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
    let entry = |resource: &Resource| {
        let config = known.iter().find(|(one, _)| one == resource).map(|(_, config)| config);
        let schedule = config.and_then(|config| config.schedule.as_ref());
        let streams = config.and_then(|config| config.streams.as_ref());
        json!({"resource": resource, "enabled": false, "schedule": schedule, "streams": streams})
    };
    let document: Vec<_> = resources.iter().map(entry).collect();
    output.result(&json!({"resources": document}), || lines.join("\n"))?;
    Ok(Exit::Complete)
}

pub(super) async fn reset<S: Source>(
    session: Session<S>,
    name: String,
    streams: Option<Vec<String>>,
    yes: bool,
) -> Result<Exit> {
    let output = session.output;
    let streams = streams.map(|names| selection(&session.spec, names)).transpose()?;
    // The names in the order of the declaration; `None`: all streams.
    let names = streams.as_ref().map(|streams| streams.resolve(&session.spec)).transpose()?;
    let names: Option<Vec<String>> = names.map(|names| names.into_iter().map(|stream| stream.name.clone()).collect());
    if !yes && let Some(error) = no_terminal_error("reset") {
        output.error(&error);
        return Ok(Exit::Usage);
    }
    let connector = session.open_existing()?;
    let resource = connector.resolve([name]).await?.remove(0);
    let what =
        names.as_ref().map_or_else(|| resource.to_string(), |names| format!("{resource} ({})", names.join(", ")));
    let question = format!("Forget the checkpoint of {what}? The next run reads it from the start; its rows stay.");
    let document = |reset: bool| json!({"resource": resource, "streams": names, "reset": reset});
    if !yes && !confirm(&question)? {
        output.result(&document(false), || "nothing was done".into())?;
        return Ok(Exit::Complete);
    }
    match streams {
        Some(streams) => connector.reset_streams(&resource, streams).await?,
        None => connector.reset(&resource).await?,
    }
    output
        .result(&document(true), || format!("{what} is reset: the next run reads it from the start; its rows stay"))?;
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
