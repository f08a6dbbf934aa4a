//! Records that a full pass did not come across: each is asked for by its number before it counts as deleted.

use std::sync::Arc;

use futures::stream::{self, StreamExt, TryStreamExt};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::api::{Api, Connection, Route};
use super::checkpoint::Position;
use super::settings::{GithubSettings, Name};
use crate::{Monitor, Record, Result, SourceEvent, StoredRecord, VerifyRequest, Version};

pub(super) async fn verify(connection: Arc<Connection>, request: VerifyRequest) -> Result<Vec<Record>> {
    let VerifyRequest { resource, config, checkpoint, records, monitor, .. } = request;
    let settings = GithubSettings::of(&config)?;
    let name = Name::of(&resource)?;
    let server = connection.client.base_url();
    let position = checkpoint.as_ref().map(|checkpoint| Position::of(server, checkpoint)).transpose()?;
    let api = match position {
        None => Api::find(connection, name, &monitor).await?,
        Some(Position { repository: Some(id), .. }) => Api { connection, name, route: Route::Id(id) },
        Some(_) => {
            let route = Route::Name(name.path());
            Api { connection, name, route }
        }
    };
    let outcomes = stream::iter(records)
        .map(|record| look(&api, record, settings.pull_requests, &monitor))
        .buffer_unordered(settings.concurrency.into())
        .try_collect::<Vec<_>>()
        .await?;
    let records: Vec<Record> = outcomes.into_iter().flatten().collect();
    // Lost access, or issues that were switched off, must not look like a repository full of deletions.
    if records.iter().any(|record| record.json().is_none()) {
        api.must_exist(&monitor).await?;
    }
    Ok(records)
}

async fn look(api: &Api, stored: StoredRecord, pull_requests: bool, monitor: &Monitor) -> Result<Option<Record>> {
    #[derive(Deserialize)]
    struct Numbered {
        number: u64,
        #[serde(default)]
        pull_request: Option<IgnoredAny>,
    }
    let Ok(Numbered { number, pull_request }) = serde_json::from_str(&stored.json) else {
        let key = &stored.key;
        monitor.event(SourceEvent::Warning(format!(
            "the issue with the id {key} has no number: whether it still exists cannot be found out, so it is kept"
        )));
        return Ok(None);
    };
    // The pass has left it out, and so says nothing of it.
    if pull_request.is_some() && !pull_requests {
        return Ok(None);
    }
    Ok(Some(match api.item(number, monitor).await? {
        Some(fresh) if fresh.key == stored.key => fresh,
        _ => Record::delete(stored.key, stored.version.max(Version::NONE)),
    }))
}
