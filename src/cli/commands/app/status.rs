//! The status of the app.

use super::operate::{CommandContext, close};
use crate::Result;
use crate::cli::Exit;
use crate::cli::output::table;
use crate::native_app::App;
use crate::native_app::deploy::{Account, AppHealth, ApplicationStatus, PackageStatus, PreviousVersion, Status};

pub(super) async fn status(app: &App, context: &CommandContext<'_>) -> Result<Exit> {
    let mut account = Account::connect(context.connection()?).await?;
    let status = Status::load(app, &mut account).await;
    let status = close(account, status).await?;
    context.output.result(&status, || {
        let package = status.package.as_ref().map_or_else(|| "no application package".to_owned(), package);
        let application = status.application.as_ref().map_or_else(|| "no application".to_owned(), application);
        format!("{package}\n\n{application}")
    })?;
    let exit = if status.package.is_none() && status.application.is_none() { Exit::NotFound } else { Exit::Complete };
    Ok(exit)
}

fn foreign_note(ours: bool) -> &'static str {
    if ours { "" } else { ", created by another owner" }
}

fn package(package: &PackageStatus) -> String {
    let rows = package.versions.iter().map(|version| {
        let is_released = package
            .released
            .as_ref()
            .is_some_and(|released| released.version == version.version && released.patch == version.patch);
        vec![
            version.version.clone(),
            version.patch.to_string(),
            version.label.clone(),
            version.state.clone(),
            version.review.clone(),
            if is_released { "released".to_owned() } else { String::new() },
        ]
    });
    let versions = table(&["version", "patch", "label", "state", "review", ""], &["patch"], rows);
    format!(
        "application package {} of {}{}\n{versions}",
        package.name,
        package.owner,
        foreign_note(package.created_by_snowfeed)
    )
}

fn previous(previous: &PreviousVersion) -> String {
    let state = if previous.state.is_empty() { String::new() } else { format!(", {}", previous.state) };
    format!("{}, patch {}{state}", previous.version, previous.patch)
}

/// The health, in the words of `status`.
fn health(found: &AppHealth) -> Vec<(&'static str, String)> {
    let since = if found.since.is_empty() { String::new() } else { format!(" since {} UTC", found.since) };
    let complete =
        if found.complete_up_to.is_empty() { String::new() } else { format!("{} UTC", found.complete_up_to) };
    vec![
        ("health", format!("{}{since}", found.health.replace('_', " "))),
        ("cause", found.cause.clone()),
        ("next step", found.help.clone()),
        ("complete up to", complete),
    ]
}

fn application(application: &ApplicationStatus) -> String {
    let patch = application.patch.map(|patch| format!(", patch {patch}")).unwrap_or_default();
    let facts = [
        ("version", format!("{}{patch}", application.version)),
        ("state", application.state.clone()),
        ("failure", application.failure.clone()),
        ("before", application.previous.as_ref().map(previous).unwrap_or_default()),
        ("disabled", application.disabled.clone()),
        ("upgraded", application.upgraded.clone()),
    ];
    let health = application.health.as_ref().map(health).unwrap_or_default();
    let facts = health.into_iter().chain(facts).filter(|(_, value)| !value.is_empty());
    let references = application.references.iter().map(|reference| {
        let object = reference.object.as_deref().unwrap_or("not bound");
        (format!("reference {}", reference.name), object.to_owned())
    });
    let privileges = application.privileges.iter().map(|privilege| {
        let granted = if privilege.granted { "granted" } else { "not granted" };
        (privilege.privilege.clone(), granted.to_owned())
    });
    let pools = application.pools.iter().map(|pool| {
        let runs = match &pool.other {
            Some(other) => format!("belongs to {other}: DROP COMPUTE POOL {} before the app can run", pool.name),
            None => format!("{}, {} services, {} jobs", pool.state, pool.services, pool.jobs),
        };
        (format!("compute pool {}", pool.name), runs)
    });
    let facts = facts.map(|(name, value)| (name.to_owned(), value));
    let rows = facts.chain(references).chain(privileges).chain(pools).map(|(name, value)| vec![name, value]);
    let head = format!(
        "application {} of {}{}",
        application.name,
        application.owner,
        foreign_note(application.created_by_snowfeed)
    );
    format!("{head}\n{}", table(&["", ""], &[], rows))
}
