//! A database of version 2, which had one state for all streams of a resource, is migrated to one state for each.

use std::sync::Arc;

use jiff::Timestamp;
use snowfeed::engine::{Connector, IngestRequest};
use snowfeed::internals::snowflake::{Client, QueryResult, Sql, Statement};
use snowfeed::{
    Checkpoint, ErrorKind, Mode, Reconciliation, Record, Reject, RejectQuery, RunId, RunQuery, RunRecord, RunStatus,
    Sink, Source, StalePolicy, StateKey, StateStore, StateVersion, StreamCommit, StreamState, Sweep, UnseenQuery,
    Version,
};

use crate::bad_input::{cell, edit};
use crate::migration::{created, dying, version};
use crate::streams::Planets;
use crate::support::{TestDatabase, change_of, commit_of, resource};

/// The statements that made version 2.
const SCHEMA_2: &str = include_str!("fixtures/schema-2.sql");

/// The newest version of each state.
const NEWEST: i64 = 7;

fn planets(resource: &str) -> StateKey {
    StateKey::new(resource, "planets")
}

fn moons(resource: &str) -> StateKey {
    StateKey::new(resource, "moons")
}

/// What version 2 left.
struct Version2 {
    db: TestDatabase,
    /// The reconciliation in progress of `one`, which has the stream `planets` only, and that of `two`, which has `moons`, too.
    sweeps: [RunId; 2],
    /// The state of both.
    state: StreamState,
}

impl Version2 {
    async fn new() -> Self {
        let db = created(SCHEMA_2, usize::MAX).await;
        let mut state = StreamState::new(RunStatus::Running, RunId::new());
        state.checkpoint = Some(Checkpoint::new(&2).unwrap());
        let made = Self { db, sweeps: [RunId::new(), RunId::new()], state };
        for (one, sweep, tables) in [
            ("one", made.sweeps[0], &[("planets", "one")][..]),
            ("two", made.sweeps[1], &[("planets", "two/planets"), ("moons", "two/moons")]),
        ] {
            for (stream, name) in tables {
                made.table(one, stream, name).await;
                made.insert("SNOWFEED_SEEN", &format!("'{sweep}', '{one}', '{stream}', '1'")).await;
            }
            for version in [NEWEST - 1, NEWEST] {
                made.state(one, sweep, version).await;
            }
            made.run(one).await;
        }
        made.insert("SNOWFEED_TABLE", "'', 'planets', 'PLANETS', '[]', 'of version 2'").await;
        made.insert("SNOWFEED_TABLE", "'', 'moons', 'MOONS', '[]', 'of version 2'").await;
        made.insert("SNOWFEED_VERSION", "2, 'PUBLIC'").await;
        made
    }

    async fn insert(&self, table: &str, values: &str) {
        edit(&self.db, &format!("INSERT INTO STATE.\"{table}\" SELECT {values}")).await;
    }

    /// A raw table with one row, and its entry in the catalog.
    async fn table(&self, one: &str, stream: &str, name: &str) {
        let raw = format!("\"{}\".\"PUBLIC_RAW\".\"{name}\"", self.db.database);
        for statement in [
            format!(
                "CREATE TABLE {raw} (\"KEY\" VARCHAR NOT NULL, \"VERSION\" NUMBER(38, 0) NOT NULL, \"HASH\" VARCHAR, \"RAW\" \
                 VARIANT, \"DOCUMENT\" VARCHAR(134217728), \"FIRST_SEEN\" TIMESTAMP_NTZ NOT NULL, \"CHANGED_AT\" TIMESTAMP_NTZ \
                 NOT NULL, \"DELETED_AT\" TIMESTAMP_NTZ) DEFAULT_DDL_COLLATION = ''"
            ),
            format!(
                "INSERT INTO {raw} (\"KEY\", \"VERSION\", \"HASH\", \"RAW\", \"DOCUMENT\", \"FIRST_SEEN\", \"CHANGED_AT\") SELECT '1', 1, \
                 '{hash:032x}', PARSE_JSON('{document}'), '{document}', '2026-01-02 03:04:05', '2026-01-02 03:04:05'",
                document = document(1),
                hash = twox_hash::XxHash3_128::oneshot(document(1).as_bytes())
            ),
        ] {
            edit(&self.db, &statement).await;
        }
        self.insert("SNOWFEED_TABLE", &format!("'{one}', '{stream}', '{name}', '[]', 'of version 2'")).await;
    }

    async fn state(&self, one: &str, sweep: RunId, version: i64) {
        let mut state = self.state.clone();
        state.reconcile = Some(Reconciliation::new(sweep, "2026-01-02T03:04:05Z".parse().unwrap()));
        let state = serde_json::to_string(&state).unwrap();
        let insert = format!(
            "INSERT INTO \"{}\".\"STATE\".\"APP_STATE\" (\"KEY\", \"VALUE\", \"VERSION\", \"AT\", \"DOCUMENT\") SELECT '{one}', \
             PARSE_JSON(?), {version}, '2026-01-02T03:04:05.000000000Z', ?",
            self.db.database
        );
        self.db.execute(Statement::new(Sql::assert_safe(insert)).bind(state.clone()).bind(state)).await.unwrap();
    }

    /// The record of a run that is under way.
    async fn run(&self, one: &str) {
        let record = RunRecord::new(RunId::new(), planets(one), Mode::Incremental, Timestamp::now());
        let mut document = serde_json::to_value(&record).unwrap();
        assert!(document.as_object_mut().unwrap().remove("stream").is_some());
        let insert = format!(
            "INSERT INTO \"{}\".\"STATE\".\"SNOWFEED_RUN\" (\"ID\", \"RECORDED_AT\", \"RESOURCE\", \"STATUS\", \"STARTED_AT\", \
             \"DOCUMENT\") SELECT '{}', '2026-01-02 03:04:05', '{one}', 'running', '2026-01-02 03:04:05', ?",
            self.db.database, record.id
        );
        self.db.execute(Statement::new(Sql::assert_safe(insert)).bind(document.to_string())).await.unwrap();
    }

    /// The count of the marks of each reconciliation.
    async fn marks(&self) -> [String; 2] {
        let count = |sweep: RunId| {
            format!("SELECT COUNT(*)::VARCHAR AS N FROM DB.STATE.\"SNOWFEED_SEEN\" WHERE \"RUN\" = '{sweep}'")
        };
        [cell(&self.db, &count(self.sweeps[0])).await, cell(&self.db, &count(self.sweeps[1])).await]
    }

    /// Migrates the database by storing a state of a third resource.
    async fn migrate(&self) {
        self.db.snowflake.append(change_of(planets("three"), StateVersion::NONE)).await.unwrap();
        assert_eq!(version(&self.db).await, "3");
    }

    /// Runs the statement with which version 2 stored a state of a resource on a base, in a session that holds its fence.
    async fn append_of_version_2(
        &self,
        session: &mut dyn snowfeed::internals::snowflake::Session,
        one: &str,
        base: i64,
    ) -> snowfeed::Result<QueryResult> {
        let database = &self.db.database;
        let insert = format!(
            "INSERT INTO \"{database}\".\"STATE\".\"APP_STATE\" (\"TIMESTAMP\", \"KEY\", \"VALUE\", \"VERSION\", \"AT\", \
             \"DOCUMENT\") SELECT CAST(REPLACE(REPLACE(e.\"AT\", 'T', ' '), 'Z', '') AS TIMESTAMP_NTZ), e.\"KEY\", \
             PARSE_JSON(e.\"DOCUMENT\"), e.\"BASE\" + 1, e.\"AT\", e.\"DOCUMENT\" FROM (SELECT b.\"KEY\", b.\"BASE\", b.\"DOCUMENT\", \
             b.\"AT\" FROM (SELECT CAST(? AS VARCHAR) AS \"KEY\", CAST(? AS NUMBER(38, 0)) AS \"BASE\", CAST(? AS VARCHAR) AS \"AT\", \
             CAST(? AS VARCHAR) AS \"DOCUMENT\") b LEFT JOIN (SELECT \"KEY\", MAX(\"VERSION\") AS \"VERSION\" FROM \
             \"{database}\".\"STATE\".\"APP_STATE\" GROUP BY \"KEY\") n ON n.\"KEY\" = b.\"KEY\" WHERE COALESCE(n.\"VERSION\", 0) = \
             b.\"BASE\") e WHERE EXISTS (SELECT 1 AS \"ONE\" FROM \"{database}\".\"STATE\".\"SNOWFEED_FENCE/{one}\" f WHERE f.\"TXN\" = \
             CAST(CURRENT_TRANSACTION() AS VARCHAR))"
        );
        let insert =
            Statement::new(Sql::assert_safe(insert)).bind(one).bind(base).bind("2026-01-02T03:04:06.000000000Z");
        session.execute(insert.bind(serde_json::to_string(&self.state).unwrap())).await
    }

    /// Begins a transaction as version 2 did, which holds the fence of a resource.
    async fn begin_of_version_2(&self, one: &str) -> Box<dyn snowfeed::internals::snowflake::Session> {
        let fence = format!("\"{}\".\"STATE\".\"SNOWFEED_FENCE/{one}\"", self.db.database);
        let mut session = self.db.recording.open().await.unwrap();
        for statement in [
            format!(
                "CREATE TRANSIENT TABLE IF NOT EXISTS {fence} (\"TXN\" VARCHAR, \"RUN\" VARCHAR) DATA_RETENTION_TIME_IN_DAYS = 0"
            ),
            format!(
                "INSERT INTO {fence} SELECT CAST(NULL AS VARCHAR), CAST(NULL AS VARCHAR) WHERE NOT EXISTS (SELECT 1 AS \"ONE\" FROM {fence})"
            ),
            "BEGIN TRANSACTION".to_owned(),
            format!("UPDATE {fence} SET \"TXN\" = CAST(CURRENT_TRANSACTION() AS VARCHAR), \"RUN\" = 'old'"),
        ] {
            session.execute(Statement::new(Sql::assert_safe(statement))).await.unwrap();
        }
        session
    }
}

fn document(number: i64) -> String {
    format!("{{\"id\":{number}}}")
}

#[tokio::test]
async fn the_only_stream_of_a_resource_continues_from_its_checkpoint() {
    let made = Version2::new().await;
    let key = planets("one");
    for is_migrated in [false, true] {
        if is_migrated {
            made.migrate().await;
        }
        let snowflake = made.db.another_process();
        let latest = snowflake.latest(&key).await.unwrap().unwrap();
        assert_eq!(latest.version, StateVersion(7));
        assert_eq!(latest.state.checkpoint, made.state.checkpoint);
        assert_eq!(latest.state.reconcile.as_ref().map(|reconcile| reconcile.id), Some(made.sweeps[0]));
        assert_eq!(snowflake.latest(&moons("one")).await.unwrap(), None, "a stream that is added later has no state");
        assert_eq!(snowflake.history(&key, 9).await.unwrap().len(), 2);
        let runs = snowflake.runs(RunQuery::new(9).key(&key)).await.unwrap();
        assert_eq!((runs.len(), runs[0].stream.as_str()), (1, "planets"));
        let statuses = snowflake.latest_many(&[moons("one"), key.clone()]).await.unwrap();
        assert_eq!((&statuses[0].entry, &statuses[0].run), (&None, &None));
        assert_eq!((statuses[1].entry.as_ref(), statuses[1].run.as_ref()), (Some(&latest), Some(&runs[0])));
        assert_eq!(
            version(&made.db).await,
            if is_migrated { "3" } else { "2" },
            "a program that only reads changes nothing"
        );
        assert_eq!(made.marks().await[0], "1", "the marks stay valid");
    }
    let stream =
        cell(&made.db, "SELECT \"STREAM\" AS S FROM DB.STATE.\"INGESTION_RUN\" WHERE \"RESOURCE\" = 'one'").await;
    assert_eq!(stream, "planets");
    assert_eq!(made.db.snowflake.append(change_of(key.clone(), StateVersion(7))).await.unwrap(), StateVersion(8));
    let runs = made.db.snowflake.runs(RunQuery::new(9).key(&key)).await.unwrap();
    assert_eq!(runs.iter().filter(|run| run.status == RunStatus::Interrupted).count(), 1, "{runs:?}");
}

#[tokio::test]
async fn the_streams_of_a_resource_that_had_several_start_anew_and_nothing_is_lost() {
    let made = Version2::new().await;
    for is_migrated in [false, true] {
        if is_migrated {
            made.migrate().await;
        }
        let snowflake = made.db.another_process();
        for key in [planets("two"), moons("two")] {
            assert_eq!(snowflake.latest(&key).await.unwrap(), None, "{key}");
            assert_eq!(snowflake.latest_many(std::slice::from_ref(&key)).await.unwrap()[0].entry, None, "{key}");
        }
        let runs = snowflake.runs(RunQuery::new(9).resource("two")).await.unwrap();
        assert_eq!((runs.len(), runs[0].stream.as_str()), (1, ""), "its record is not that of a stream");
    }
    assert_eq!(made.marks().await, ["1", "0"], "the marks of the reconciliation that no run continues are deleted");
    let entries = "SELECT COUNT(*)::VARCHAR AS N FROM DB.STATE.\"APP_STATE\" WHERE \"KEY\" = 'two'";
    assert_eq!(cell(&made.db, entries).await, "2");
    let stream = "SELECT COALESCE(\"STREAM\", 'none') AS S FROM DB.STATE.\"INGESTION_RUN\" WHERE \"RESOURCE\" = 'two'";
    assert_eq!(cell(&made.db, stream).await, "none");

    let source = Planets::default();
    source.set("two", "planets", [(1, 1), (2, 1)]);
    source.set("two", "moons", [(1, 1)]);
    let connector = Connector::new(source, Arc::new(made.db.another_process()));
    let report = connector.ingest(IngestRequest::new([resource("two")])).await.unwrap();
    assert_eq!(report.status(), RunStatus::Complete, "{report:?}");
    let counts: Vec<_> =
        report.runs.iter().map(|run| (&*run.stream, run.counts.inserted, run.counts.unchanged)).collect();
    assert_eq!(counts, [("moons", 0, 1), ("planets", 1, 1)], "the rows merge unchanged");
    for (name, rows) in [("two/planets", "2"), ("two/moons", "1")] {
        assert_eq!(cell(&made.db, &format!("SELECT COUNT(*)::VARCHAR AS N FROM DB.PUBLIC.\"{name}\"")).await, rows);
    }
    let runs = made.db.snowflake.runs(RunQuery::new(9).resource("two")).await.unwrap();
    let old = runs.iter().find(|run| run.stream.is_empty()).unwrap();
    assert_eq!(old.status, RunStatus::Interrupted, "no program of version 2 can end it");
}

#[tokio::test]
async fn a_migration_to_streams_that_dies_after_any_statement_is_completed_by_the_next_program() {
    for dies_after in 0.. {
        let made = Version2::new().await;
        let append = |snowflake: snowfeed::backends::Snowflake| async move {
            let base = snowflake.latest(&planets("one")).await?.unwrap().version;
            snowflake.append(change_of(planets("one"), base)).await
        };
        let dying = tokio::time::timeout(std::time::Duration::from_millis(1500), append(dying(&made.db, dies_after)));
        let is_done = matches!(dying.await, Ok(Ok(_)));
        if !is_done {
            let next = made.db.another_process();
            // Readers see what the migration will leave, however far it has come.
            let starts_anew = |state: &StreamState| state.checkpoint.is_none() && state.reconcile.is_none();
            let latest = next.latest(&moons("two")).await.unwrap();
            assert!(latest.is_none_or(|entry| starts_anew(&entry.state)), "after {dies_after} statements");
            let statuses = next.latest_many(&[planets("one"), planets("two")]).await.unwrap();
            let states: Vec<_> = statuses.into_iter().map(|status| status.entry.map(|entry| entry.state)).collect();
            assert!(states[0].as_ref().is_some_and(|state| !starts_anew(state)), "after {dies_after} statements");
            assert!(states[1].as_ref().is_none_or(starts_anew), "after {dies_after} statements");
            append(next).await.unwrap();
        }
        assert_eq!(version(&made.db).await, "3", "after {dies_after} statements");
        let history = made.db.snowflake.history(&planets("one"), 9).await.unwrap();
        let versions: Vec<u64> = history.iter().map(|entry| entry.version.0).collect();
        assert!(versions.ends_with(&[8, 7, 6]), "after {dies_after} statements: {versions:?}");
        assert_eq!(made.marks().await, ["1", "0"], "after {dies_after} statements");
        if is_done {
            assert!(dies_after > 15, "{dies_after}");
            break;
        }
    }
}

#[tokio::test]
async fn a_running_program_of_version_2_stores_no_state_after_the_migration() {
    let made = Version2::new().await;
    // It is in the middle of a commit, and has not stored the state yet.
    let mut old = made.begin_of_version_2("one").await;
    made.migrate().await;
    for one in ["one", "two"] {
        let mut later =
            if one == "two" { made.begin_of_version_2("two").await } else { made.db.recording.open().await.unwrap() };
        let session = if one == "one" { &mut old } else { &mut later };
        let refused = made.append_of_version_2(&mut **session, one, NEWEST).await.unwrap_err();
        assert!(refused.message().contains("STREAM"), "{refused}");
        session.execute(Statement::new("ROLLBACK")).await.unwrap();
        later.close().await.unwrap();
    }
    // A run of this version that had read the state before goes on.
    assert_eq!(made.db.snowflake.append(change_of(planets("one"), StateVersion(7))).await.unwrap(), StateVersion(8));
    assert_eq!(made.db.snowflake.append(change_of(moons("two"), StateVersion::NONE)).await.unwrap(), StateVersion(1));
}

/// Snowflake does not say what becomes of a transaction whose table a DDL statement changes: its entry may lack a stream.
#[tokio::test]
async fn an_entry_without_a_stream_refuses_older_runs_and_each_stream_continues_above_it() {
    let made = Version2::new().await;
    made.migrate().await;
    edit(&made.db, "ALTER TABLE STATE.\"APP_STATE\" ALTER COLUMN \"STREAM\" DROP NOT NULL").await;
    for (one, sweep) in [("one", made.sweeps[0]), ("two", made.sweeps[1])] {
        made.state(one, sweep, NEWEST + 1).await;
    }
    let snowflake = made.db.another_process();
    let newest = async |key: &StateKey| {
        let latest = snowflake.latest(key).await.unwrap().unwrap();
        let statuses = snowflake.latest_many(std::slice::from_ref(key)).await.unwrap();
        assert_eq!(statuses[0].entry.as_ref(), Some(&latest), "{key}");
        (latest.version.0, latest.state.checkpoint.is_some(), latest.state.reconcile.is_some())
    };
    for (key, base, continues) in [
        (planets("one"), StateVersion(7), true),
        (planets("two"), StateVersion::NONE, false),
        (moons("two"), StateVersion::NONE, false),
    ] {
        let refused = snowflake.append(change_of(key.clone(), base)).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Conflict, "{refused:?}");
        assert_eq!(newest(&key).await, (8, continues, continues), "{key}");
        assert_eq!(snowflake.append(change_of(key.clone(), StateVersion(8))).await.unwrap(), StateVersion(9));
        assert_eq!(newest(&key).await, (9, true, false), "its own entry is newer");
        made.db.recording.take();
        snowflake.latest_many(std::slice::from_ref(&key)).await.unwrap();
        assert_eq!(made.db.recording.statements().len(), 1, "{key}");
    }
}

#[tokio::test]
async fn a_policy_on_the_run_history_stops_the_migration_before_it_begins() {
    let made = Version2::new().await;
    let view = format!("\"{}\".\"STATE\".\"INGESTION_RUN\"", made.db.database);
    edit(&made.db, "CREATE ROW ACCESS POLICY hide AS (r VARCHAR) RETURNS BOOLEAN -> r <> 'hidden'").await;
    edit(&made.db, &format!("ALTER VIEW {view} ADD ROW ACCESS POLICY hide ON (\"RESOURCE\")")).await;
    let refused = made.db.another_process().append(change_of(planets("one"), StateVersion(7))).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Configuration, "{refused:?}");
    assert!(refused.message().contains("INGESTION_RUN") && refused.help().unwrap().contains("detach"), "{refused:?}");
    assert_eq!(version(&made.db).await, "2");
    edit(&made.db, &format!("ALTER VIEW {view} DROP ROW ACCESS POLICY hide")).await;
    made.migrate().await;
}

/// The marks and rejects of version 2 belong to a stream, and continue.
#[tokio::test]
async fn a_reconciliation_of_version_2_is_finished_by_the_new_program() {
    let made = Version2::new().await;
    let one = resource("one");
    let snowflake = made.db.another_process();
    let reject =
        |stream: &str| format!("'one', '{stream}', 'why', 'what', 'hash', NULL, NULL, '{}'", uuid::Uuid::nil());
    made.insert("REJECTED_RECORD", &reject("planets")).await;
    let streams = Planets::default().spec().streams;
    snowflake.ensure_streams(&one, &streams[..1]).await.unwrap();
    let unseen = snowflake.unseen(UnseenQuery::new(one.clone(), "planets", made.sweeps[0], 9)).await.unwrap();
    assert_eq!(unseen, [], "the only row is marked");
    let marks = StreamCommit::new("planets", RunId::new())
        .records([Record::upsert("2", Version(1), document(2))])
        .rejects([Reject::new("other", "thing")])
        .sweep(Sweep::Mark(made.sweeps[0], StalePolicy::Skip))
        .change(change_of(planets("one"), StateVersion(7)));
    snowflake.commit(commit_of(&one, marks)).await.unwrap();
    let finish = StreamCommit::new("planets", RunId::new())
        .sweep(Sweep::Finish(made.sweeps[0]))
        .change(change_of(planets("one"), StateVersion(8)));
    snowflake.commit(commit_of(&one, finish)).await.unwrap();
    assert_eq!(made.marks().await[0], "0");
    let left = snowflake.rejects(RejectQuery::new(9).resource(one)).await.unwrap();
    let reasons: Vec<&str> = left.rejects.iter().map(|reject| &*reject.reason).collect();
    assert_eq!(reasons, ["other"]);
}
