//! Mocks of a client and its sessions, and their responses: a Snowflake that accepts everything, remembers the tables that
//! were created, and has no rows.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use flate2::read::MultiGzDecoder;
use futures::future::BoxFuture;
use mockall::mock;
use serde_json::{Value, json};
use snowfeed::backends::Snowflake;
use snowfeed::internals::snowflake::{Bind, Client, QueryResult, Row, Session, StagedFile, Statement, Usage};
use snowfeed::{Error, ErrorKind, Result, StateKey, StateVersion, StreamSpec};
use tokio::sync::Notify;

mock! {
    #[derive(Debug)]
    pub(crate) Client {}

    #[async_trait]
    impl Client for Client {
        async fn open(&self) -> Result<Box<dyn Session>>;
        fn usage(&self) -> Usage;
    }
}

mock! {
    #[derive(Debug)]
    pub(crate) Session {}

    #[async_trait]
    impl Session for Session {
        async fn execute(&mut self, statement: Statement) -> Result<QueryResult>;
        async fn put(&mut self, file: StagedFile) -> Result<()>;
        fn is_idle(&self) -> bool;
        async fn close(self: Box<Self>) -> Result<()>;
    }
}

/// The mock server's memory.
#[derive(Debug, Default)]
struct Memory {
    /// Whether the connector's own tables exist.
    made: bool,
    /// The entries of the catalog, by resource and stream.
    catalog: BTreeMap<(String, String), Value>,
    /// How many rows of each round have been staged in each folder.
    staged: BTreeMap<String, Vec<u64>>,
    /// How many rows of each round the last COPY has loaded.
    loaded: Vec<u64>,
    /// The resources that are enabled, with their schedules, and ran an hour ago.
    enabled: Vec<(String, &'static str)>,
    /// The streams that ran.
    streams: Vec<String>,
    /// The newest recorded runs since then, by resource and stream.
    runs: BTreeMap<(String, String), String>,
}

/// Responses for sessions.
#[derive(Debug, Clone, Default)]
pub(crate) struct AcceptAll(Arc<Mutex<Memory>>);

/// A result with one row of these cells.
pub(crate) fn row(cells: &[Option<&str>]) -> Row {
    Row(cells.iter().map(|cell| cell.map(Into::into)).collect())
}

pub(crate) fn rows(rows: Vec<Row>) -> QueryResult {
    QueryResult { rows, ..QueryResult::default() }
}

/// The result of a COPY that has loaded this many rows of one file.
pub(crate) fn loaded(count: u64) -> QueryResult {
    let columns = ["file", "status", "rows_loaded"].map(str::to_owned).to_vec();
    let file = row(&[Some("f.json.gz"), Some("LOADED"), Some(&count.to_string())]);
    QueryResult { columns, ..rows(vec![file]) }
}

/// The result of a MERGE that has inserted this many rows, and of the statement that counts them.
pub(crate) fn merged(inserted: u64) -> QueryResult {
    let columns = ["number of rows inserted", "number of rows updated", "c", "d", "e", "f"].map(str::to_owned).to_vec();
    let inserted = inserted.to_string();
    let zero = Some("0");
    QueryResult { columns, ..rows(vec![row(&[Some(&inserted), zero, zero, zero, zero, zero])]) }
}

/// The error for an object that does not exist.
fn missing() -> Error {
    Error::new(ErrorKind::NotFound, "it does not exist or not authorized").with_code("002003")
}

impl AcceptAll {
    /// The response to a statement.
    pub(crate) fn answer(&self, statement: &Statement) -> Result<QueryResult> {
        let mut memory = self.0.lock().unwrap();
        let sql = statement.sql.as_str();
        if sql.starts_with("SELECT CAST(NULL") {
            return memory.catalog();
        }
        if sql.starts_with("SELECT s.*") || sql.starts_with("SELECT 'connector'") {
            return Ok(rows(memory.configuration(sql.starts_with("SELECT s.*"))));
        }
        if sql.starts_with("SELECT 'entry'") {
            return Ok(rows(memory.statuses()));
        }
        if sql.starts_with("SELECT GET_DDL") {
            return Err(missing());
        }
        if sql.starts_with("SELECT 1") {
            return if memory.made || sql.contains("INFORMATION_SCHEMA") { Ok(rows(vec![])) } else { Err(missing()) };
        }
        if let Some((_, from)) = sql.rsplit_once(" FROM ").filter(|_| sql.starts_with("COPY INTO ")) {
            let (location, _) = from.split_once(" FILES = (").unwrap();
            memory.loaded = memory.staged[location.trim_matches('\'').trim_matches(['@', '/'])].clone();
            return Ok(loaded(memory.loaded.iter().sum()));
        }
        if let Some((_, round)) = sql.split_once("WHERE l.\"ROUND\" = ").filter(|_| !sql.starts_with("INSERT")) {
            let round: usize = round.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap();
            return Ok(merged(memory.loaded[round]));
        }
        if sql.starts_with("SELECT") || sql.starts_with("LIST") {
            return Ok(rows(vec![]));
        }
        memory.change(statement);
        Ok(rows(vec![row(&[Some("1")])]))
    }

    /// Enables resources on these schedules, whose streams ran an hour ago.
    pub(crate) fn enable(&self, resources: Vec<(String, &'static str)>, streams: &[StreamSpec]) {
        let mut memory = self.0.lock().unwrap();
        memory.enabled = resources;
        memory.streams = streams.iter().map(|stream| stream.name.clone()).collect();
    }

    /// Accepts a file.
    pub(crate) fn take(&self, file: &StagedFile) {
        let mut text = String::new();
        let bytes = file.content.concat();
        MultiGzDecoder::new(bytes.as_slice()).read_to_string(&mut text).unwrap();
        let mut memory = self.0.lock().unwrap();
        let rounds = memory.staged.entry(file.stage.clone()).or_default();
        for line in text.lines() {
            let row: Value = serde_json::from_str(line).unwrap();
            let round = usize::try_from(row["ROUND"].as_u64().unwrap()).unwrap();
            rounds.resize(rounds.len().max(round + 1), 0);
            rounds[round] += 1;
        }
    }

    /// A session that accepts everything its mock has no expectation for.
    pub(crate) fn session(&self) -> MockSession {
        let mut session = MockSession::new();
        self.complete(&mut session);
        session
    }

    /// Makes a mock accept everything it has no expectation for.
    pub(crate) fn complete(&self, session: &mut MockSession) {
        let (accept_all, takes) = (self.clone(), self.clone());
        session.expect_execute().returning(move |statement| accept_all.answer(&statement));
        session.expect_put().returning(move |file| {
            takes.take(&file);
            Ok(())
        });
        session.expect_is_idle().return_const(true);
        session.expect_close().returning(|| Ok(()));
    }

    /// A client whose sessions accept everything.
    pub(crate) fn client(&self) -> MockClient {
        let accept_all = self.clone();
        let mut client = MockClient::new();
        client.expect_usage().returning(Usage::default);
        client.expect_open().returning(move || Ok(Box::new(accept_all.session())));
        client
    }
}

impl Memory {
    fn catalog(&self) -> Result<QueryResult> {
        if !self.made {
            return Err(missing());
        }
        let mut all = vec![row(&[None, None, Some("PUBLIC"), None, Some("3")])];
        for entry in self.catalog.values() {
            let text = |name: &str| entry[name].as_str().map(str::to_owned);
            let cells = ["resource", "stream", "name", "columns", "made_from"].map(text);
            all.push(row(&cells.each_ref().map(Option::as_deref)));
        }
        Ok(rows(all))
    }

    /// The settings of the resources, followed by the catalog if the query includes it.
    fn configuration(&self, with_catalog: bool) -> Vec<Row> {
        let empty = Row(vec![None; if with_catalog { 5 } else { 0 }]);
        let enabled = self.enabled.iter().map(|(name, schedule)| {
            let settings = json!({"enabled": true, "schedule": schedule}).to_string();
            row(&[Some("resource"), Some(name), Some(&settings)])
        });
        let mut all: Vec<Row> = enabled.map(|cells| Row([cells.0, empty.0.clone()].concat())).collect();
        if let Some(catalog) = self.catalog().ok().filter(|_| with_catalog) {
            all.extend(catalog.rows.into_iter().map(|cells| Row([vec![None; 3], cells.0].concat())));
        }
        all
    }

    fn statuses(&self) -> Vec<Row> {
        let status = |name: &str, stream: &str| {
            let change = crate::support::change_of(StateKey::new(name, stream), StateVersion::NONE);
            let mut run = change.run.unwrap();
            run.started_at -= jiff::SignedDuration::from_hours(1);
            let state = serde_json::to_string(&change.state).unwrap();
            let recorded = self.runs.get(&(name.to_owned(), stream.to_owned()));
            let run = recorded.cloned().unwrap_or_else(|| serde_json::to_string(&run).unwrap());
            let stream = Some(stream);
            [
                row(&[
                    Some("entry"),
                    Some(name),
                    Some("1"),
                    Some(&change.at.to_string()),
                    Some(&state),
                    stream,
                    None,
                    None,
                    None,
                ]),
                row(&[Some("run"), Some(name), None, None, Some(&run), stream, None, None, None]),
            ]
        };
        let of =
            |(name, _): &(String, _)| self.streams.iter().flat_map(|stream| status(name, stream)).collect::<Vec<_>>();
        self.enabled.iter().flat_map(of).collect()
    }

    fn change(&mut self, statement: &Statement) {
        let sql = statement.sql.as_str();
        if sql.contains("\"SNOWFEED_RUN\"") {
            self.record(statement);
        }
        if sql.contains("\"SNOWFEED_VERSION\" (\"VERSION\", \"SCHEMA\") SELECT") {
            self.made = true;
        } else if ["MERGE", "UPDATE"].iter().any(|verb| sql.starts_with(verb)) && sql.contains("\"SNOWFEED_TABLE\"") {
            let texts: Vec<&str> = statement.binds.iter().map(bound_text).collect();
            match texts.as_slice() {
                [entry] => self.store(serde_json::from_str(entry).unwrap()),
                [stream, name, id] => self.store(json!({
                    "resource": "", "stream": stream, "name": name, "columns": "[]", "made_from": format!("claim {id}"),
                })),
                [columns, made_from, stream, _] => {
                    let entry = self.catalog.get_mut(&(String::new(), (*stream).to_owned())).unwrap();
                    (entry["columns"], entry["made_from"]) = ((*columns).into(), (*made_from).into());
                }
                _ => panic!("{statement:?}"),
            }
        }
    }

    /// Remembers the runs that a statement records, by themselves or many in an array.
    fn record(&mut self, statement: &Statement) {
        let texts = statement.binds.iter().filter_map(|bind| match bind {
            Bind::Text(Some(text)) => Some(text.to_string()),
            _ => None,
        });
        let documents = texts.flat_map(|text| match serde_json::from_str(&text) {
            Ok(Value::Array(many)) => {
                many.iter().filter_map(|one| one["document"].as_str()).map(str::to_owned).collect()
            }
            _ => vec![text],
        });
        for document in documents {
            if let Ok(run) = serde_json::from_str::<snowfeed::RunRecord>(&document) {
                self.runs.insert((run.resource, run.stream), document);
            }
        }
    }

    fn store(&mut self, entry: Value) {
        let name = |name: &str| entry[name].as_str().unwrap().to_owned();
        self.catalog.insert((name("resource"), name("stream")), entry);
    }
}

fn bound_text(bind: &Bind) -> &str {
    match bind {
        Bind::Text(Some(text)) => text,
        _ => panic!("{bind:?}"),
    }
}

/// Tells that the process stops here, and never goes on.
pub(crate) async fn stop<T>(stopped: Arc<Notify>) -> T {
    stopped.notify_one();
    std::future::pending().await
}

/// A backend over a client, which sends up to this many bytes of rows as bound values.
pub(crate) fn backend(client: impl Client, max_bind_bytes: usize) -> Snowflake {
    snowfeed::internals::snowflake::backend_with(Arc::new(client), "DB", "PUBLIC", max_bind_bytes)
}

/// What happens to a statement on its way.
pub(crate) enum Outcome {
    /// It is run.
    Runs,
    /// It is run, but its response is lost, and the session with it.
    Unanswered,
    /// It is not run, and the session is lost.
    Lost,
    /// It is run, but the process stops before it gets the response.
    Stops(Arc<Notify>),
    /// It is not run: the answer is this error.
    Refused(Error),
}

/// Decides about each statement; may wait.
pub(crate) type Intercept = Arc<dyn Fn(&Statement) -> BoxFuture<'static, Outcome> + Send + Sync>;

/// A client that decides each statement's fate on the way to another client.
#[derive(Clone)]
pub(crate) struct InterceptingClient {
    pub(crate) client: Arc<dyn Client>,
    pub(crate) intercept: Intercept,
}

impl std::fmt::Debug for InterceptingClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Fateful")
    }
}

#[async_trait]
impl Client for InterceptingClient {
    async fn open(&self) -> Result<Box<dyn Session>> {
        let session = Some(self.client.open().await?);
        Ok(Box::new(InterceptingSession { session, intercept: self.intercept.clone() }))
    }

    fn usage(&self) -> Usage {
        self.client.usage()
    }
}

/// A session of [`Fateful`]; empty once it is lost.
struct InterceptingSession {
    session: Option<Box<dyn Session>>,
    intercept: Intercept,
}

impl std::fmt::Debug for InterceptingSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FatefulSession")
    }
}

impl InterceptingSession {
    /// Does with a statement what was decided, where `send` sends it.
    async fn intercept<T: Send>(
        &mut self,
        statement: &Statement,
        send: impl for<'s> FnOnce(&'s mut dyn Session) -> BoxFuture<'s, Result<T>> + Send,
    ) -> Result<T> {
        let outcome = (self.intercept)(statement).await;
        let Some(session) = self.session.as_deref_mut() else {
            return Err(Error::unavailable("the connection is lost"));
        };
        match outcome {
            Outcome::Runs => return send(session).await,
            Outcome::Unanswered => drop(send(session).await.unwrap()),
            Outcome::Lost => {}
            Outcome::Refused(error) => return Err(error),
            Outcome::Stops(stopped) => {
                drop(send(session).await.unwrap());
                return stop(stopped).await;
            }
        }
        self.session = None;
        Err(Error::unavailable("the connection broke"))
    }
}

#[async_trait]
impl Session for InterceptingSession {
    async fn execute(&mut self, statement: Statement) -> Result<QueryResult> {
        self.intercept(&statement.clone(), |session| session.execute(statement)).await
    }

    async fn put(&mut self, file: StagedFile) -> Result<()> {
        self.intercept(&file.put_statement()?, |session| session.put(file)).await
    }

    fn is_idle(&self) -> bool {
        self.session.as_ref().is_some_and(|session| session.is_idle())
    }

    async fn close(mut self: Box<Self>) -> Result<()> {
        match self.session.take() {
            Some(session) => session.close().await,
            None => Ok(()),
        }
    }
}
