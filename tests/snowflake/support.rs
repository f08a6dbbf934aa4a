//! A backend whose statements are recorded.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::json;
use snowfeed::backends::Snowflake;
use snowfeed::internals::snowflake::{Client, HttpClient, QueryResult, Statement};
use snowfeed::{
    Checkpoint, ColumnType, Commit, ConfigStore, Mode, Namespace, Record, Reject, RejectQuery, Resource, RunId,
    RunQuery, RunRecord, RunStatus, Sink, StalePolicy, StateChange, StateKey, StateStore, StateVersion, StreamCommit,
    StreamSpec, StreamState, Sweep, UnseenQuery, Version,
};

use crate::peers;
use crate::probes::snowflake::{connection, fresh_database};
use crate::recording::RecordingClient;

/// A separate database, empty at first.
pub(crate) struct TestDatabase {
    pub(crate) snowflake: Snowflake,
    pub(crate) recording: RecordingClient,
    pub(crate) database: String,
    /// A client without recording.
    client: Arc<dyn Client>,
}

impl TestDatabase {
    /// A backend that sends up to this many bytes of rows as bound values, and larger batches through the stage.
    pub(crate) fn new(max_bind_bytes: usize) -> Self {
        Self::in_database(fresh_database(), max_bind_bytes)
    }

    /// The same in a database of this name, which is created.
    pub(crate) fn in_database(database: String, max_bind_bytes: usize) -> Self {
        let server = peers::next_fakesnow().expect("python3, which the Snowflake server of the tests needs");
        let connection = connection(server).database(&database).schema("PUBLIC");
        let client: Arc<dyn Client> = Arc::new(HttpClient::new(connection).unwrap());
        let recording = RecordingClient::new(client.clone());
        let snowflake = snowfeed::internals::snowflake::backend_with(
            Arc::new(recording.clone()),
            &database,
            "PUBLIC",
            max_bind_bytes,
        );
        Self { snowflake, recording, database, client }
    }

    /// The same database as another process would see it: with empty caches.
    pub(crate) fn another_process(&self) -> Snowflake {
        self.over(self.recording.clone())
    }

    /// The same database through another client.
    pub(crate) fn over(&self, client: impl Client) -> Snowflake {
        snowfeed::internals::snowflake::backend(Arc::new(client), &self.database, "PUBLIC")
    }

    /// Runs a statement without recording it.
    pub(crate) async fn execute(&self, statement: Statement) -> snowfeed::Result<QueryResult> {
        self.client.open().await?.execute(statement).await
    }
}

pub(crate) fn resource(name: &str) -> Resource {
    Resource::new(name).unwrap()
}

/// The key of the issues of a resource.
pub(crate) fn key(resource: &str) -> StateKey {
    StateKey::new(resource, "issues")
}

/// A commit of this part.
pub(crate) fn commit_of(resource: &Resource, part: StreamCommit) -> Commit {
    Commit::new(resource.clone(), Timestamp::now()).part(part)
}

/// A commit of these rows that changes no state.
pub(crate) fn commit(resource: &Resource, stream: &str, records: Vec<Record>) -> Commit {
    commit_of(resource, StreamCommit::new(stream, RunId::new()).records(records))
}

/// A change of the state of the issues of this resource.
pub(crate) fn change(resource: &Resource, base: StateVersion) -> StateChange {
    change_of(key(resource.name()), base)
}

/// A change of the state of a stream.
pub(crate) fn change_of(key: StateKey, base: StateVersion) -> StateChange {
    let run = RunId::new();
    let mut state = StreamState::new(RunStatus::Complete, run);
    state.checkpoint = Some(Checkpoint::new(&1).unwrap());
    let now = Timestamp::now();
    let mut record = RunRecord::new(run, key.clone(), Mode::Incremental, now);
    (record.status, record.ended_at, record.commits) = (RunStatus::Complete, Some(now), 1);
    StateChange::new(key, base, now).state(state).run(record)
}

/// The texts that a test wants to see in a database; all backend operations are run with them.
pub(crate) struct TestStrings<'a> {
    /// The name of the resource.
    pub(crate) resource: &'a str,
    /// A key of a record, and of the connector's configuration.
    pub(crate) key: &'a str,
    /// A member of a document.
    pub(crate) member: &'a str,
    /// A value of the configuration, the text of a document, the reason of a reject.
    pub(crate) text: &'a str,
}

impl TestStrings<'_> {
    fn path(&self) -> String {
        format!("\"{}\"", self.member.replace('\\', "\\\\").replace('"', "\\\""))
    }

    /// Tables with columns of every type, with and without an array in the path.
    pub(crate) fn tables(&self) -> [StreamSpec; 2] {
        let path = self.path();
        let kinds = [
            ColumnType::Text,
            ColumnType::Integer,
            ColumnType::Decimal,
            ColumnType::Float,
            ColumnType::Boolean,
            ColumnType::Timestamp,
            ColumnType::Date,
            ColumnType::Json,
            ColumnType::Any,
            ColumnType::Present,
        ];
        let issues = kinds.into_iter().enumerate().fold(StreamSpec::new("issues"), |table, (number, kind)| {
            let each = format!("{path}[*].{path}");
            table.column(format!("c{number}"), &path, kind).column(format!("e{number}"), &each, kind)
        });
        [issues, StreamSpec::new("events").column("whole", &format!("{path}[*]"), ColumnType::Json)]
    }

    fn record(&self, version: i64) -> Record {
        let document = json!({ self.member: [{ self.member: self.text }, version] }).to_string();
        Record::upsert(self.key, Version(version), document)
    }
}

/// A text in which every id is replaced by `id`.
pub(crate) fn without_ids(text: &str) -> String {
    let is_id = |part: &str| matches!(part.len(), 32 | 36) && part.parse::<uuid::Uuid>().is_ok();
    let mut rest = text;
    let mut without = String::new();
    while let Some(c) = rest.chars().next() {
        let id = [36, 32].into_iter().find(|length| rest.get(..*length).is_some_and(is_id));
        match id {
            Some(_) => without.push_str("id"),
            None => without.push(c),
        }
        rest = &rest[id.unwrap_or(c.len_utf8())..];
    }
    without
}

/// Runs every operation of a backend; other tests check the results.
pub(crate) async fn run_all_operations(snowflake: &Snowflake, strings: &TestStrings<'_>) {
    let resource = resource(strings.resource);
    let tables = strings.tables();
    snowflake.ensure_streams(&resource, &tables[..1]).await.unwrap();
    snowflake.ensure_streams(&resource, &tables).await.unwrap();
    configure(snowflake, strings).await;

    let issues = StreamCommit::new("issues", RunId::new())
        .records([strings.record(1), Record::delete("gone", Version(1))])
        .rejects([Reject::new(strings.text, strings.text)])
        .change(change(&resource, StateVersion::NONE));
    let events = StreamCommit::new("events", RunId::new())
        .records([strings.record(1)])
        .change(change_of(StateKey::new(resource.name(), "events"), StateVersion::NONE));
    snowflake.commit(commit_of(&resource, issues).part(events)).await.unwrap();
    reconcile(snowflake, strings, &resource).await;

    snowflake.append(change(&resource, StateVersion(1))).await.unwrap();
    let mut only_run = change(&resource, StateVersion(2));
    only_run.state = None;
    snowflake.append(only_run).await.unwrap();
    // Rejected, where the server checks the base.
    let _ = snowflake.append(change(&resource, StateVersion(1))).await;
    let key = key(resource.name());
    snowflake.latest(&key).await.unwrap();
    snowflake.history(&key, 9).await.unwrap();
    for query in [RunQuery::new(9).key(&key), RunQuery::new(9).resource(resource.name()), RunQuery::new(9)] {
        snowflake.runs(query).await.unwrap();
    }
    for query in [RejectQuery::new(9).resource(resource.clone()).stream("issues"), RejectQuery::new(9).max_raw(9)] {
        snowflake.rejects(query).await.unwrap();
    }
    snowflake.latest_many(std::slice::from_ref(&key)).await.unwrap();
    snowflake.prune(&key, 1).await.unwrap();
    snowflake.preview(&resource, "issues", 9).await.unwrap();
    snowflake.preview(&resource, "events", 9).await.unwrap();
}

async fn configure(snowflake: &Snowflake, strings: &TestStrings<'_>) {
    for domain in [Namespace::Connector, Namespace::Resource] {
        snowflake.put(domain, strings.key, &json!({ strings.member: strings.text })).await.unwrap();
        snowflake.get(domain, strings.key).await.unwrap();
        snowflake.list(domain).await.unwrap();
    }
    snowflake.snapshot().await.unwrap();
    snowflake.remove(Namespace::Connector, strings.key).await.unwrap();
}

async fn reconcile(snowflake: &Snowflake, strings: &TestStrings<'_>, resource: &Resource) {
    let sweep = RunId::new();
    let marks = StreamCommit::new("events", sweep).records([strings.record(2)]);
    let marks = marks.sweep(Sweep::Mark(sweep, StalePolicy::Verify));
    snowflake.commit(commit_of(resource, marks)).await.unwrap();
    for after in [None, Some(strings.key.to_owned())] {
        let mut query = UnseenQuery::new(resource.clone(), "issues", sweep, 9);
        query.after = after;
        snowflake.unseen(query.clone()).await.unwrap();
        // Where the response is empty, there is no count.
        let _ = snowflake.live_rows(query).await;
    }
    let gone = vec![Record::delete(strings.key, Version(2)), Record::delete("gone", Version(3))];
    snowflake.commit(commit(resource, "issues", gone)).await.unwrap();
    let finish = StreamCommit::new("issues", sweep).sweep(Sweep::Finish(sweep));
    snowflake.commit(commit_of(resource, finish)).await.unwrap();
}
