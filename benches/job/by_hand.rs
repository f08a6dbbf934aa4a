//! The lower bound: downloads the pages and inserts their issues. No resuming, no validation, no history.

use std::path::Path;

use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};
use rusqlite::{Connection, Transaction};
use serde::Deserialize;
use tokio::sync::mpsc;

use super::{Outcome, REPOSITORY};

/// Issues on a page.
const PAGE: u32 = 100;

/// Rows per transaction.
const ROWS: u64 = 1_000;

/// Downloads the pages, eight requests at a time, and drops them.
pub(super) async fn download(url: &str, issues: u32) -> Outcome<(u64, u64)> {
    let pages = pages(url, issues, 8)?;
    let requests = pages.try_fold(0, |requests, _| async move { Ok(requests + 1) }).await?;
    Ok((issues.into(), requests))
}

/// Downloads the pages with this many parallel requests, and inserts their issues meanwhile.
pub(super) async fn insert(url: &str, issues: u32, file: &Path, at_once: usize) -> Outcome<(u64, u64)> {
    let (sender, receiver) = mpsc::channel(8);
    let file = file.to_owned();
    let writer = tokio::task::spawn_blocking(move || write(&file, receiver));
    let mut pages = pages(url, issues, at_once)?;
    let mut requests = 0;
    while let Some(page) = pages.try_next().await? {
        requests += 1;
        sender.send(page).await?;
    }
    drop(sender);
    Ok((writer.await??, requests))
}

fn pages(
    url: &str,
    issues: u32,
    at_once: usize,
) -> Outcome<impl futures::Stream<Item = Outcome<Bytes>> + Unpin + use<>> {
    let client = reqwest::Client::builder().user_agent("bench").build()?;
    let list = format!("{url}/repos/{REPOSITORY}/issues?state=all&sort=created&direction=asc&per_page={PAGE}&page=");
    let pages = stream::iter(1..=issues.div_ceil(PAGE)).map(move |page| {
        let request = client.get(format!("{list}{page}")).send();
        Box::pin(async move { Ok(request.await?.error_for_status()?.bytes().await?) })
    });
    Ok(pages.buffered(at_once))
}

/// The fields that are read from an issue.
#[derive(Deserialize)]
struct Issue<'a> {
    id: i64,
    #[serde(borrow)]
    updated_at: &'a str,
}

fn write(file: &Path, mut pages: mpsc::Receiver<Bytes>) -> Outcome<u64> {
    let mut connection = Connection::open(file)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection
        .execute_batch("CREATE TABLE issues (id INTEGER PRIMARY KEY, updated_at TEXT NOT NULL, raw TEXT NOT NULL)")?;
    let mut rows = 0;
    while let Some(page) = pages.blocking_recv() {
        let transaction = connection.transaction()?;
        let mut page = Some(page);
        let end = rows + ROWS;
        while let Some(these) = page {
            rows += upsert(&transaction, std::str::from_utf8(&these)?)?;
            page = if rows < end { pages.blocking_recv() } else { None };
        }
        transaction.commit()?;
    }
    connection.close().map_err(|(_, error)| error)?;
    Ok(rows)
}

/// Inserts the issues of a page while parsing its text once.
fn upsert(transaction: &Transaction<'_>, page: &str) -> Outcome<u64> {
    let mut upsert = transaction.prepare_cached(
        "INSERT INTO issues (id, updated_at, raw) VALUES (?1, ?2, ?3) \
         ON CONFLICT DO UPDATE SET updated_at = excluded.updated_at, raw = excluded.raw",
    )?;
    let (mut rest, mut rows) = (page, 0);
    loop {
        rest = rest.trim_start_matches(['[', ',', ']', ' ', '\n']);
        let mut issues = serde_json::Deserializer::from_str(rest).into_iter::<Issue<'_>>();
        let Some(issue) = issues.next().transpose()? else { return Ok(rows) };
        let (raw, after) = rest.split_at(issues.byte_offset());
        upsert.execute((issue.id, issue.updated_at, raw))?;
        (rest, rows) = (after, rows + 1);
    }
}
