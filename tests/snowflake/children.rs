//! Streams of three levels in Snowflake: what a change costs, what a deletion takes with it, and crashes between any two statements.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::{FutureExt, StreamExt, stream};
use serde_json::{Value, json};
use snowfeed::backends::Snowflake;
use snowfeed::engine::{Connector, IngestReport, IngestRequest};
use snowfeed::internals::snowflake::{Sql, Statement};
use snowfeed::prelude::*;
use snowfeed::{ErrorKind, RowQuery, RowSelection, RunStatus, Sequence, Sink, VerifyRequest};
use tokio::sync::Notify;

use crate::mocks::{InterceptingClient, Outcome};
use crate::support::{TestDatabase, resource};

/// An issue with its labels, and its comments with their reactions, by key; the numbers are titles.
#[derive(Debug, Clone, Default, PartialEq)]
struct Issue {
    title: u64,
    labels: Vec<String>,
    comments: BTreeMap<String, (u64, Vec<String>)>,
}

/// What the source has, and the number of its lists that were read.
#[derive(Debug, Default)]
struct Upstream {
    issues: BTreeMap<String, Issue>,
    /// The number of the last change.
    change: u64,
    requests: usize,
    /// The comments of these issues are not found, whatever the list of issues says.
    lost: Vec<String>,
}

/// Issues with labels and comments, which have reactions.
#[derive(Debug, Clone)]
struct Tree {
    upstream: Arc<Mutex<Upstream>>,
    /// Whether the source declares the labels.
    has_labels: bool,
}

impl Tree {
    /// Three issues.
    fn full() -> Self {
        Self::of(&["1", "2", "3"])
    }

    /// These issues, with two comments each, of which the first has two reactions.
    fn of(issues: &[&str]) -> Self {
        let tree = Self { upstream: Arc::default(), has_labels: true };
        for key in issues {
            let comments = [("a", vec!["+1", "-1"]), ("b", vec![])];
            let texts = |keys: Vec<&str>| keys.into_iter().map(str::to_owned).collect::<Vec<_>>();
            let comments = comments.into_iter().map(|(key, reactions)| (key.to_owned(), (0, texts(reactions))));
            let issue = Issue { title: 0, labels: texts(vec!["bug"]), comments: comments.collect() };
            tree.change(|issues| drop(issues.insert((*key).to_owned(), issue)));
        }
        tree
    }

    /// Changes something.
    fn change(&self, change: impl FnOnce(&mut BTreeMap<String, Issue>)) {
        let mut upstream = self.upstream.lock().unwrap();
        upstream.change += 1;
        change(&mut upstream.issues);
    }

    /// The requests since the last call.
    fn requests(&self) -> usize {
        std::mem::take(&mut self.upstream.lock().unwrap().requests)
    }

    /// The paths and titles of a stream's records.
    fn expected(&self, stream: &str) -> BTreeMap<String, u64> {
        let upstream = self.upstream.lock().unwrap();
        let mut rows = BTreeMap::new();
        for (key, issue) in &upstream.issues {
            let mut add = |of: &str, path: String, title| {
                if of == stream {
                    rows.insert(path, title);
                }
            };
            add("issues", key.clone(), issue.title);
            issue.labels.iter().for_each(|label| add("labels", format!("{key}/{label}"), 0));
            for (comment, (title, reactions)) in &issue.comments {
                add("comments", format!("{key}/{comment}"), *title);
                reactions.iter().for_each(|reaction| add("reactions", format!("{key}/{comment}/{reaction}"), 0));
            }
        }
        rows
    }
}

const STREAMS: [&str; 4] = ["issues", "labels", "comments", "reactions"];

#[async_trait]
impl Source for Tree {
    fn spec(&self) -> SourceSpec {
        let title = |stream: StreamSpec| stream.column("title", "title", ColumnType::Integer).exact();
        let spec = SourceSpec::new("tree", "1").stream(title(StreamSpec::snapshot("issues")).verifiable());
        let labels = title(StreamSpec::child("labels", "issues"));
        let spec = if self.has_labels { spec.stream(labels) } else { spec };
        spec.stream(title(StreamSpec::child("comments", "issues")).parent_field("title"))
            .stream(title(StreamSpec::child("reactions", "comments")))
    }

    async fn connect(&self, _: &Settings, _: ConnectContext) -> Result<Box<dyn Reader>> {
        Ok(Box::new(self.clone()))
    }
}

fn record(key: &str, title: u64, counts: &Value) -> Record {
    // What lies below is part of the document, so that a change of it changes every ancestor.
    Record::upsert(key, 0, json!({ "title": title, "below": counts }).to_string())
}

#[async_trait]
impl Reader for Tree {
    async fn check(&self) -> Result<()> {
        Ok(())
    }

    fn discover(&self) -> ResourceStream {
        stream::empty().boxed()
    }

    fn read(&self, request: ReadRequest) -> BatchStream {
        let mut upstream = self.upstream.lock().unwrap();
        let Some(parent) = request.parent else {
            let current = Checkpoint::new(&upstream.change).unwrap();
            if request.checkpoint.as_ref() == Some(&current) {
                return stream::iter([Ok(Batch::unchanged())]).boxed();
            }
            let issues = upstream.issues.iter();
            let issues = issues.map(|(key, issue)| record(key, issue.title, &json!([issue.labels, issue.comments])));
            return stream::iter([Ok(Batch::new().records(issues).checkpoint(current))]).boxed();
        };
        upstream.requests += 1;
        let keys = parent.path.keys();
        let found = upstream.issues.get(&keys[0]).filter(|_| !upstream.lost.contains(&keys[0]));
        let not_found = || stream::iter([Err(Error::new(ErrorKind::NotFound, "there is no such issue"))]).boxed();
        let Some(issue) = found else { return not_found() };
        let records: Vec<Record> = match request.stream.as_str() {
            "labels" => issue.labels.iter().map(|label| record(label, 0, &json!(null))).collect(),
            "comments" => {
                assert_eq!(parent.fields, [json!(issue.title)]);
                let comments = issue.comments.iter();
                comments.map(|(key, (title, reactions))| record(key, *title, &json!(reactions))).collect()
            }
            _ => match issue.comments.get(&keys[1]) {
                Some((_, reactions)) => reactions.iter().map(|it| record(it, 0, &json!(null))).collect(),
                None => return not_found(),
            },
        };
        stream::iter([Ok(Batch::new().records(records))]).boxed()
    }

    async fn verify(&self, request: VerifyRequest) -> Result<Vec<Record>> {
        let upstream = self.upstream.lock().unwrap();
        let gone = request.records.iter().filter(|it| upstream.lost.contains(&it.key));
        Ok(gone.map(|it| Record::delete(&it.key, it.version)).collect())
    }
}

fn connector(snowflake: &Snowflake, tree: &Tree) -> Connector {
    Connector::new(tree.clone(), Arc::new(snowflake.clone()))
}

async fn ingest(snowflake: &Snowflake, tree: &Tree) -> IngestReport {
    connector(snowflake, tree).ingest(IngestRequest::new([resource("r")]).allow_deletions(true)).await.unwrap()
}

/// The commits of rows, by stream.
fn commits(report: &IngestReport) -> BTreeMap<&str, u64> {
    report.runs.iter().map(|run| (run.stream.as_str(), run.commits)).collect()
}

/// The live rows of a stream, by path, and their titles.
async fn live(snowflake: &Snowflake, stream: &str) -> BTreeMap<String, u64> {
    let selection = RowSelection::Changed { from: Sequence(0), after: None, until: Sequence(u64::MAX) };
    let query = RowQuery::new(resource("r"), stream, selection, usize::MAX).fields(["title".parse().unwrap()]);
    let rows = snowflake.select_rows(query).await.unwrap().into_iter().filter(|row| !row.is_deleted);
    rows.map(|row| (row.position.path.to_string(), row.fields[0].as_u64().unwrap())).collect()
}

async fn assert_complete(snowflake: &Snowflake, tree: &Tree, context: &str) {
    for stream in STREAMS.into_iter().filter(|stream| tree.has_labels || *stream != "labels") {
        assert_eq!(live(snowflake, stream).await, tree.expected(stream), "{stream} {context}");
    }
}

/// The statements of an ingestion.
async fn statements(db: &TestDatabase, snowflake: &Snowflake, tree: &Tree) -> Vec<Statement> {
    db.recording.take();
    let report = ingest(snowflake, tree).await;
    assert_eq!(report.status(), RunStatus::Complete, "{report:?}");
    db.recording.statements()
}

#[tokio::test]
async fn an_idle_ingestion_of_three_levels_is_two_reads() {
    let (db, tree) = (TestDatabase::new(usize::MAX), Tree::full());
    assert_eq!(ingest(&db.snowflake, &tree).await.status(), RunStatus::Complete);
    assert_complete(&db.snowflake, &tree, "after the first ingestion").await;
    assert_eq!(tree.requests(), 3 + 3 + 6);
    for (process, snowflake) in [("the same process", db.snowflake.clone()), ("another", db.another_process())] {
        let sent = statements(&db, &snowflake, &tree).await;
        assert!(sent.len() == 2 && sent.iter().all(|it| it.sql.starts_with("SELECT ")), "{process}: {sent:?}");
        assert!(sent.iter().all(|it| it.binds.is_empty()), "{process}: {sent:?}");
    }
    assert_eq!(tree.requests(), 0);
}

#[tokio::test]
async fn one_change_is_two_commits_and_one_request_for_each_child_stream_of_the_row() {
    let (db, tree) = (TestDatabase::new(usize::MAX), Tree::full());
    ingest(&db.snowflake, &tree).await;
    tree.requests();
    tree.change(|issues| issues.get_mut("2").unwrap().title = 7);
    let report = ingest(&db.snowflake, &tree).await;
    assert_eq!(commits(&report), BTreeMap::from([("comments", 1), ("issues", 1), ("labels", 1), ("reactions", 0)]));
    assert_eq!(tree.requests(), 2);
    // A change of the third level changes each row above it.
    tree.change(|issues| issues.get_mut("2").unwrap().comments.get_mut("a").unwrap().1.push("eyes".into()));
    let report = ingest(&db.snowflake, &tree).await;
    assert_eq!(commits(&report), BTreeMap::from([("comments", 1), ("issues", 1), ("labels", 1), ("reactions", 1)]));
    assert_eq!(tree.requests(), 3);
    assert_complete(&db.snowflake, &tree, "after two changes").await;
}

#[tokio::test]
async fn a_deletion_takes_everything_below_it_along() {
    let (db, tree) = (TestDatabase::new(0), Tree::full());
    ingest(&db.snowflake, &tree).await;
    tree.change(|issues| drop(issues.remove("2")));
    tree.change(|issues| drop(issues.get_mut("1").unwrap().comments.remove("a")));
    assert_eq!(ingest(&db.snowflake, &tree).await.status(), RunStatus::Complete);
    assert_complete(&db.snowflake, &tree, "after the deletions").await;
    tree.change(|issues| drop(issues.insert("2".into(), issues["3"].clone())));
    ingest(&db.another_process(), &tree).await;
    assert_complete(&db.snowflake, &tree, "after the revival").await;
}

/// The siblings of the stream that found a parent to be gone learn it from the number that its state records.
#[tokio::test]
async fn a_parent_that_a_child_finds_to_be_gone_takes_its_other_children_along() {
    let (db, tree) = (TestDatabase::new(usize::MAX), Tree::full());
    ingest(&db.snowflake, &tree).await;
    let before = db.snowflake.sequences(&resource("r")).await.unwrap()["issues"];
    // The comments are asked for again, and the list of issues does not say why.
    tree.change(|issues| issues.get_mut("2").unwrap().title = 1);
    tree.upstream.lock().unwrap().lost.push("2".into());
    let report = ingest(&db.snowflake, &tree).await;
    assert_eq!(report.status(), RunStatus::Complete, "{report:?}");
    let gone = db.snowflake.sequences(&resource("r")).await.unwrap()["issues"];
    assert_eq!(gone, Sequence(before.0 + 2), "one for the new title, one for the deletion");
    ingest(&db.another_process(), &tree).await;
    for stream in STREAMS {
        let rows = live(&db.snowflake, stream).await;
        assert!(!rows.is_empty() && rows.keys().all(|path| !path.starts_with('2')), "{stream}: {rows:?}");
    }
    // What the next process reads along with the states is as new as the tables.
    let another = db.another_process();
    let keys: Vec<_> = STREAMS.into_iter().map(|stream| snowfeed::StateKey::new("r", stream)).collect();
    snowfeed::StateStore::latest_many(&another, &keys).await.unwrap();
    db.recording.take();
    let known = another.sequences(&resource("r")).await.unwrap();
    assert_eq!(db.recording.statements(), []);
    another.commit(crate::support::commit(&resource("r"), "issues", vec![])).await.unwrap();
    assert_eq!(another.sequences(&resource("r")).await.unwrap(), known);
    assert!(!db.recording.statements().is_empty());
}

#[tokio::test]
async fn the_views_of_a_child_stream_show_the_key_of_the_parent() {
    let (db, tree) = (TestDatabase::new(usize::MAX), Tree::full());
    ingest(&db.snowflake, &tree).await;
    for (view, resource) in [("REACTIONS", true), ("r-reactions", false)] {
        let columns = if resource { "\"RESOURCE\", " } else { "" };
        let name = match resource {
            true => view.to_owned(),
            false => {
                let find = format!(
                    "SELECT \"NAME\" FROM \"{}\".\"STATE\".\"SNOWFEED_TABLE\" WHERE \"RESOURCE\" = 'r' AND \"STREAM\" = 'reactions'",
                    db.database
                );
                db.execute(Statement::new(Sql::assert_safe(find))).await.unwrap().rows[0].text(0).unwrap().to_string()
            }
        };
        let select = format!(
            "SELECT {columns}\"PARENT_KEY\", \"TITLE\" FROM \"{}\".\"PUBLIC\".\"{name}\" ORDER BY 1, 2",
            db.database
        );
        let rows = db.execute(Statement::new(Sql::assert_safe(select))).await.unwrap().rows;
        let parent = usize::from(resource);
        assert!(rows.len() == 6 && rows.iter().all(|row| &**row.text(parent).unwrap() == "a"), "{view}: {rows:?}");
    }
}

/// A process dies before any of the writes of a change at three levels; another one makes up for it.
#[tokio::test]
async fn a_crash_before_any_write_loses_nothing() {
    let (db, tree) = (TestDatabase::new(usize::MAX), Tree { has_labels: false, ..Tree::of(&["1"]) });
    ingest(&db.snowflake, &tree).await;
    let mut crashes = 0;
    loop {
        tree.change(|issues| {
            let comments = &mut issues.get_mut("1").unwrap().comments;
            comments.get_mut("a").unwrap().0 += 1;
            // The second comment and its reaction come and go.
            if comments.remove("b").is_none() {
                comments.insert("b".into(), (crashes, vec!["+1".into()]));
            }
        });
        let (sent, death) = (AtomicU64::new(0), Arc::new(Notify::new()));
        let dies = death.clone();
        let intercept = Arc::new(move |statement: &Statement| {
            // Nothing has happened between a read and the next write.
            let is_write = !["SELECT ", "BEGIN "].iter().any(|verb| statement.sql.starts_with(verb));
            let is_last = is_write && sent.fetch_add(1, Ordering::SeqCst) >= crashes;
            let dies = dies.clone();
            async move {
                if is_last {
                    dies.notify_one();
                    std::future::pending::<()>().await;
                }
                Outcome::Runs
            }
            .boxed()
        });
        let dying = db.over(InterceptingClient { client: Arc::new(db.recording.clone()), intercept });
        let is_dead = tokio::select! {
            report = ingest(&dying, &tree) => {
                assert_eq!(report.status(), RunStatus::Complete, "{report:?}");
                false
            }
            () = death.notified() => true,
        };
        let survivor = db.another_process();
        if is_dead {
            let report = ingest(&survivor, &tree).await;
            assert_eq!(report.status(), RunStatus::Complete, "after {crashes} writes: {report:?}");
        }
        assert_complete(&survivor, &tree, &format!("after {crashes} writes")).await;
        if !is_dead {
            break;
        }
        crashes += 1;
    }
    assert!(crashes > 10, "{crashes}");
}
