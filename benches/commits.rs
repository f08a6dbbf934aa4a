//! SQLite commits, beside bare upserts of the same rows in transactions of the same size.

#![allow(clippy::unwrap_used, reason = "a bench that cannot be set up has nothing to measure")]

#[path = "data/mod.rs"]
mod data;

use divan::Bencher;
use divan::counter::ItemsCount;
use jiff::Timestamp;
use rusqlite::{Connection, params};
use snowfeed::backends::Sqlite;
use snowfeed::{Commit, Record, Resource, RunId, Sink, StreamCommit, StreamSpec, Version};
use tempfile::TempDir;

const ROWS: u32 = 10_000;
const COMMIT: usize = 1_000;
const TABLE: &str = "issues";

fn main() {
    divan::main();
}

/// The state of the table before the commit.
#[derive(Debug, Clone, Copy)]
enum Before {
    Nothing,
    Themselves,
    Older,
}

const ALL: [Before; 3] = [Before::Nothing, Before::Themselves, Before::Older];

/// The same issues, one second older.
fn older(issues: &[data::Issue]) -> Vec<data::Issue> {
    let before = |(id, version, text): &data::Issue| {
        (*id, version - 1_000_000, text.replacen("\"title\":\"", "\"title\":\"Once: ", 1))
    };
    issues.iter().map(before).collect()
}

fn stored(before: Before, issues: &[data::Issue]) -> Vec<data::Issue> {
    match before {
        Before::Nothing => Vec::new(),
        Before::Themselves => issues.to_vec(),
        Before::Older => older(issues),
    }
}

fn commits(issues: &[data::Issue]) -> Vec<Commit> {
    let commit = |issues: &[data::Issue]| {
        let record =
            |(id, version, text): &data::Issue| Record::upsert(id.to_string(), Version(*version), text.as_str());
        let resource = Resource::new("acme/widgets").unwrap();
        let part = StreamCommit::new(TABLE, RunId::new()).records(issues.iter().map(record));
        Commit::new(resource, Timestamp::UNIX_EPOCH).part(part)
    };
    issues.chunks(COMMIT).map(commit).collect()
}

#[divan::bench(args = ALL, sample_count = 10, sample_size = 1)]
fn snowfeed(bencher: Bencher<'_, '_>, before: Before) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let issues = data::issues(ROWS);
    let stored = commits(&stored(before, &issues));
    let new = commits(&issues);
    let commit = |sqlite: &Sqlite, commits: Vec<Commit>| {
        runtime.block_on(async {
            for commit in commits {
                sqlite.commit(commit).await.unwrap();
            }
        });
    };
    let prepare = || {
        let directory = TempDir::new().unwrap();
        let sqlite = Sqlite::open(directory.path().join("new.db")).unwrap();
        let resource = Resource::new("acme/widgets").unwrap();
        runtime.block_on(sqlite.ensure_streams(&resource, &[StreamSpec::new(TABLE)])).unwrap();
        commit(&sqlite, stored.clone());
        (directory, sqlite, new.clone())
    };
    bencher.counter(ItemsCount::new(ROWS)).with_inputs(prepare).bench_local_values(|(directory, sqlite, new)| {
        commit(&sqlite, new);
        (directory, sqlite)
    });
}

#[divan::bench(args = ALL, sample_count = 10, sample_size = 1)]
fn bound_upsert(bencher: Bencher<'_, '_>, before: Before) {
    let issues = data::issues(ROWS);
    let stored = stored(before, &issues);
    let prepare = || {
        let directory = TempDir::new().unwrap();
        let mut connection = Connection::open(directory.path().join("new.db")).unwrap();
        connection.pragma_update(None, "journal_mode", "wal").unwrap();
        connection
            .execute_batch(
                "CREATE TABLE issues (id INTEGER PRIMARY KEY, updated_at INTEGER NOT NULL, raw TEXT NOT NULL)",
            )
            .unwrap();
        upsert(&mut connection, &stored);
        (directory, connection)
    };
    bencher.counter(ItemsCount::new(ROWS)).with_inputs(prepare).bench_local_values(|(directory, mut connection)| {
        upsert(&mut connection, &issues);
        (directory, connection)
    });
}

fn upsert(connection: &mut Connection, issues: &[data::Issue]) {
    for issues in issues.chunks(COMMIT) {
        let transaction = connection.transaction().unwrap();
        let mut upsert = transaction
            .prepare_cached(
                "INSERT INTO issues (id, updated_at, raw) VALUES (?1, ?2, ?3) \
                 ON CONFLICT DO UPDATE SET updated_at = excluded.updated_at, raw = excluded.raw",
            )
            .unwrap();
        for (id, version, text) in issues {
            upsert.execute(params![id, version, text]).unwrap();
        }
        drop(upsert);
        transaction.commit().unwrap();
    }
}
