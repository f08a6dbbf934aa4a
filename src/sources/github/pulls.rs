//! Pull requests and their reviews: streams below other streams.
//!
//! A pull request is an issue, and both have the same `updated_at`: whatever changes it changes the row of its issue. So does a review,
//! also one that is dismissed.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;

use super::api::Api;
use super::batches::Batches;
use super::connection::Connection;
use super::names::Name;
use super::origin::Origin;
use super::page;
use super::settings::GithubSettings;
use super::streams::Stream;
use super::whole_list::WholeList;
use crate::{Batch, Error, ErrorKind, Monitor, Parent, ReadRequest, Record, Result};

/// A read of the pull request that an issue is.
pub(super) struct PullRead {
    api: Api,
    monitor: Monitor,
    /// Its number, until it is read; `None` also for an issue that is no pull request.
    number: Option<u64>,
    created_at: Value,
}

impl PullRead {
    pub(super) async fn open(connection: Arc<Connection>, request: ReadRequest) -> Result<Self> {
        let ReadRequest { resource, incremental, parent, monitor, .. } = request;
        let name = Name::from_resource(&resource)?;
        let origin = incremental.map(|checkpoint| Origin::for_server(connection.client.base_url(), &checkpoint));
        let repository = origin.transpose()?.and_then(|origin| origin.repository);
        let [number, pull_request, created_at] = fields(parent)?;
        let number = if pull_request.is_null() { None } else { Some(whole_number(&number)?) };
        Ok(Self { api: Api::of(connection, name, repository, Stream::Pulls), monitor, number, created_at })
    }

    async fn read(&self, number: u64) -> Result<Record> {
        let path = self.api.path(&format!("pulls/{number}"));
        let request = self.api.connection.get(&path);
        let read = |response: crate::http::Response| {
            let record = page::item(Stream::Pulls, response.body())?;
            Ok((self.is_of_issue(response.body())?, record))
        };
        match request.send_with(&self.monitor, read).await {
            Ok((true, record)) => Ok(record),
            Ok((false, _)) => {
                let Name { owner, name } = &self.api.name;
                let message =
                    format!("the pull request {number} of {owner}/{name} is not the one that was stored as an issue");
                Err(Error::new(ErrorKind::NotFound, message)
                    .with_help("if another repository has this name now, `reset` the resource"))
            }
            Err(error) => Err(self.api.explain(error, &self.monitor).await),
        }
    }

    /// Whether the pull request was created when the issue was. Where the repository is known by its name only, another one may have
    /// taken over the name, and has pull requests with the same numbers.
    fn is_of_issue(&self, document: &str) -> Result<bool> {
        #[derive(serde::Deserialize)]
        struct Created {
            #[serde(default)]
            created_at: Value,
        }
        let unreadable = |error| Error::invalid_data("the answer is not a pull request").with_source(error);
        let created_at = serde_json::from_str::<Created>(document).map_err(unreadable)?.created_at;
        Ok(self.api.repository_id().is_some() || self.created_at.is_null() || self.created_at == created_at)
    }
}

#[async_trait]
impl Batches for PullRead {
    async fn next(&mut self) -> Result<Option<Batch>> {
        match self.number.take() {
            None => Ok(None),
            Some(number) => Ok(Some(Batch::new().record(self.read(number).await?))),
        }
    }
}

/// A read of the reviews of a pull request.
pub(super) struct ReviewsRead(WholeList);

impl ReviewsRead {
    pub(super) async fn open(
        connection: Arc<Connection>,
        settings: Arc<GithubSettings>,
        request: ReadRequest,
    ) -> Result<Self> {
        let ReadRequest { resource, parent, monitor, .. } = request;
        let name = Name::from_resource(&resource)?;
        let [number, repository] = fields(parent)?;
        let number = whole_number(&number)?;
        let api = Arc::new(Api::of(connection, name, repository.as_u64(), Stream::Reviews));
        let list = WholeList::new(api, settings.page_size, monitor).below(format!("pulls/{number}/reviews"));
        Ok(Self(list.with_unconfirmed_id(true)))
    }
}

#[async_trait]
impl Batches for ReviewsRead {
    async fn next(&mut self) -> Result<Option<Batch>> {
        Ok(self.0.next().await?.map(super::whole_list::ListedPage::into_batch))
    }
}

/// The declared fields of the parent.
fn fields<const N: usize>(parent: Option<Parent>) -> Result<[Value; N]> {
    let fields = parent.map(|parent| parent.fields).unwrap_or_default();
    fields.try_into().map_err(|_| Error::internal("the request lacks the parent, or fields of it"))
}

fn whole_number(number: &Value) -> Result<u64> {
    number.as_u64().ok_or_else(|| {
        Error::invalid_data("the stored record has no number").with_help("run `ingest --reconcile` to read it again")
    })
}
