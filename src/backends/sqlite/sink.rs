//! The sink: tables, commits, and their contents.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::{Sqlite, commit, rejects, rows, tables};
use crate::sink::{
    Commit, CommitReport, LiveRows, OutstandingRejects, RejectQuery, RowQuery, SelectedRow, Sink, StoredRecord,
    UnseenQuery,
};
use crate::{Column, Resource, Result, Sequence, StreamSpec};

#[async_trait]
impl Sink for Sqlite {
    async fn ensure_streams(&self, resource: &Resource, tables: &[StreamSpec]) -> Result<()> {
        let (resource, tables) = (resource.clone(), tables.to_vec());
        self.write(move |transaction| tables::ensure(transaction, &resource, &tables)).await
    }

    async fn columns(&self, resource: &Resource, stream: &str) -> Result<Vec<Column>> {
        let (resource, stream) = (resource.clone(), stream.to_owned());
        self.run(move |connection| {
            let ids = tables::table_ids(connection, &resource, &stream)?;
            tables::columns(connection, ids.stream_id)
        })
        .await
    }

    async fn commit(&self, commit: Commit) -> Result<CommitReport> {
        commit.validate()?;
        self.write(move |transaction| commit::commit(transaction, &commit)).await
    }

    async fn unseen(&self, query: UnseenQuery) -> Result<Vec<StoredRecord>> {
        self.run(move |connection| commit::unseen(connection, &query)).await
    }

    async fn live_rows(&self, query: UnseenQuery) -> Result<LiveRows> {
        self.run(move |connection| commit::live_rows(connection, &query)).await
    }

    async fn rejects(&self, query: RejectQuery) -> Result<OutstandingRejects> {
        self.run(move |connection| rejects::outstanding(connection, &query)).await
    }

    async fn select_rows(&self, query: RowQuery) -> Result<Vec<SelectedRow>> {
        self.run(move |connection| rows::select(connection, &query)).await
    }

    async fn sequences(&self, resource: &Resource) -> Result<BTreeMap<String, Sequence>> {
        let resource = resource.clone();
        self.run(move |connection| rows::sequences(connection, &resource)).await
    }
}
