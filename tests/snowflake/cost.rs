//! A connector's cost: the number and the kinds of its statements. The golden files show them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use snowfeed::engine::{Connector, IngestRequest};
use snowfeed::internals::snowflake::{Sql, Statement};
use snowfeed::{ConfigStore, Mode, RunQuery, RunStatus, Sink, StateStore};

use crate::many_streams::ManyStreams;
use crate::mocks::{AcceptAll, backend};
use crate::recording::RecordingClient;
use crate::source::Issues;
use crate::support::{TestDatabase, key, resource};

/// Ingests all enabled resources, and returns the statements sent.
async fn ingest(db: &TestDatabase, connector: &Connector, request: IngestRequest) -> Vec<Statement> {
    db.recording.take();
    let report = connector.ingest(request).await.unwrap();
    assert_eq!(report.status(), RunStatus::Complete, "{report:?}");
    db.recording.statements()
}

fn connector(db: &TestDatabase, source: &Issues) -> Connector {
    Connector::new(source.clone(), Arc::new(db.snowflake.clone()))
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("acme/{number}")).collect()
}

#[tokio::test]
async fn an_idle_ingestion_is_two_reads_whatever_the_number_of_resources() {
    for count in [1, 12] {
        let (db, source) = (TestDatabase::new(usize::MAX), Issues::default());
        names(count).iter().for_each(|name| source.page(name, 1..2));
        let all: Vec<_> = names(count).iter().map(|name| resource(name)).collect();
        ingest(&db, &connector(&db, &source), IngestRequest::new(all)).await;
        let idle = ingest(&db, &connector(&db, &source), IngestRequest::default()).await;
        assert_eq!(idle.len(), 2, "{count} resources: {idle:?}");
        let another = Connector::new(source.clone(), Arc::new(db.another_process()));
        let first = ingest(&db, &another, IngestRequest::default()).await;
        assert_eq!(first.len(), 2, "{count} resources, in a process's first run: {first:?}");
        assert!(idle.iter().chain(&first).all(|statement| statement.sql.starts_with("SELECT ")), "{idle:?} {first:?}");
        // A text that never changes can be answered from the result cache.
        assert!(idle.iter().chain(&first).all(|statement| statement.binds.is_empty()), "{idle:?} {first:?}");
    }
}

#[tokio::test]
async fn statements_depend_on_commits_and_not_on_pages() {
    let mut counts = Vec::new();
    for pages in [10, 200] {
        let (db, source) = (TestDatabase::new(usize::MAX), Issues::default());
        let size = 400 / pages;
        source.pages("r", (0..pages).map(|page| page * size..(page + 1) * size).collect());
        counts.push(ingest(&db, &connector(&db, &source), IngestRequest::new([resource("r")])).await.len());
    }
    assert_eq!(counts[0], counts[1]);
}

/// The two of an idle ingestion, six for the rows, the state with them and the end of the run, and one that refills the result cache:
/// `golden/3-incremental-run.sql` lists them.
#[tokio::test]
async fn a_run_with_one_small_commit_is_nine_statements() {
    let (db, source) = (TestDatabase::new(usize::MAX), Issues::default());
    source.page("r", 1..3);
    ingest(&db, &connector(&db, &source), IngestRequest::new([resource("r")])).await;
    for new in 3..6 {
        source.page("r", new - 1..new + 1);
        assert_eq!(ingest(&db, &connector(&db, &source), IngestRequest::default()).await.len(), 9);
        let run = db.snowflake.runs(RunQuery::new(1)).await.unwrap().remove(0);
        assert_eq!((run.status, run.counts.inserted, run.counts.unchanged), (RunStatus::Complete, 1, 1));
        assert!(run.ended_at >= Some(run.started_at) && run.commits == 1, "{run:?}");
    }
}

/// The next ingestion without a change would otherwise wake the warehouse only to read the states.
#[tokio::test]
async fn an_ingestion_that_has_written_reads_the_states_again_for_the_result_cache() {
    let (db, source) = (TestDatabase::new(usize::MAX), Issues::default());
    source.page("r", 1..3);
    ingest(&db, &connector(&db, &source), IngestRequest::new([resource("r")])).await;
    source.page("r", 2..4);
    let sent = ingest(&db, &connector(&db, &source), IngestRequest::default()).await;
    let written = sent.iter().rposition(|statement| !statement.sql.starts_with("SELECT ")).unwrap();
    let idle = ingest(&db, &connector(&db, &source), IngestRequest::default()).await;
    assert_eq!(idle.len(), 2);
    assert_eq!(&sent[written + 1..], &idle[1..], "the states");
    assert_eq!(sent[0], idle[0], "no run writes the configuration");
}

/// A source with an inclusive `since` returns the newest record in every read.
#[tokio::test]
async fn a_read_that_returns_the_newest_record_again_is_two_reads() {
    let (db, source) = (TestDatabase::new(usize::MAX), Issues::inclusive());
    source.pages("r", vec![1..2, 2..3]);
    ingest(&db, &connector(&db, &source), IngestRequest::new([resource("r")])).await;
    for process in [db.snowflake.clone(), db.another_process()] {
        let connector = Connector::new(source.clone(), Arc::new(process));
        let sent = ingest(&db, &connector, IngestRequest::default()).await;
        assert_eq!(sent.len(), 2, "{sent:?}");
        assert!(sent.iter().all(|statement| statement.binds.is_empty()), "{sent:?}");
    }
    // A reconcile run marks the record, and remembers it.
    ingest(&db, &connector(&db, &source), IngestRequest::default().mode(Mode::Reconcile)).await;
    assert_eq!(ingest(&db, &connector(&db, &source), IngestRequest::default()).await.len(), 2);
}

/// Ten streams of one resource, each with one changed row. One after the other, each makes a commit; at once, the first one commits, and the
/// others share a commit: three statements for each, and three for all. Three are those of the ingestion.
#[tokio::test]
async fn streams_of_a_resource_share_a_commit() {
    for (concurrency, transactions, statements) in [(1, 10, 3 + 10 * 6), (10, 2, 3 + 6 + 3 + 9 * 3)] {
        let (db, source) = (TestDatabase::new(usize::MAX), ManyStreams::new(10, concurrency));
        let connector = Connector::new(source.clone(), Arc::new(db.snowflake.clone()));
        let request = |all: Vec<_>| IngestRequest::new(all).concurrency(concurrency);
        ingest(&db, &connector, request(vec![resource("r")])).await;
        source.change();
        let sent = ingest(&db, &connector, request(vec![])).await;
        let begun = sent.iter().filter(|statement| statement.sql.starts_with("BEGIN")).count();
        assert_eq!((begun, sent.len()), (transactions, statements), "{concurrency} at once: {sent:?}");
        let runs = db.snowflake.runs(RunQuery::new(10)).await.unwrap();
        assert!(runs.iter().all(|run| run.counts.updated == 1 && run.status == RunStatus::Complete), "{runs:?}");
        assert_eq!(ingest(&db, &connector, request(vec![])).await.len(), 2);
    }
}

#[tokio::test]
async fn a_thousand_resources_take_one_statement_for_settings_and_one_for_state() {
    let db = TestDatabase::new(usize::MAX);
    let one = crate::support::change(&resource("acme/7"), snowfeed::StateVersion::NONE);
    db.snowflake.append(one).await.unwrap();
    let fill = format!(
        "INSERT INTO \"{}\".\"STATE\".\"RESOURCE_CONFIGURATION\" (\"KEY\", \"VALUE\", \"DOCUMENT\") SELECT f.value::VARCHAR, \
         PARSE_JSON('{{\"enabled\":true}}'), '{{\"enabled\":true}}' FROM (SELECT PARSE_JSON(?) AS \"ALL\") b, \
         LATERAL FLATTEN(input => b.\"ALL\") f",
        db.database
    );
    db.execute(Statement::new(Sql::assert_safe(fill)).bind(json!(names(1_000)).to_string())).await.unwrap();
    db.recording.take();
    assert_eq!(db.snowflake.snapshot().await.unwrap().resources.len(), 1_000);
    assert_eq!(db.recording.statements().len(), 1);
    let keys: Vec<_> = names(1_000).iter().map(|name| key(name)).collect();
    let statuses = db.snowflake.latest_many(&keys).await.unwrap();
    assert!(statuses.len() == 1_000 && statuses[7].entry.is_some() && statuses[8].entry.is_none());
    assert_eq!(db.recording.statements().len(), 1);
}

#[tokio::test]
async fn a_reconcile_run_without_deletions_only_writes_its_marks() {
    let (db, source) = (TestDatabase::new(usize::MAX), Issues::default());
    source.pages("r", vec![1..3, 3..5]);
    ingest(&db, &connector(&db, &source), IngestRequest::new([resource("r")])).await;
    let request = IngestRequest::default().mode(Mode::Reconcile);
    let statements = ingest(&db, &connector(&db, &source), request).await;
    let count = |text: &str| statements.iter().filter(|statement| statement.sql.contains(text)).count();
    assert_eq!(count("\"PUBLIC_RAW\".\"r\" t USING"), 0, "no row is written: {statements:?}");
    assert_eq!((count("SNOWFEED_SEEN\" (\"RUN\""), count("LEFT JOIN (SELECT DISTINCT")), (1, 2), "{statements:?}");
    assert_eq!(
        count("BEGIN TRANSACTION"),
        2,
        "marks, and the end of the reconciliation with that of the run: {statements:?}"
    );
}

/// `run` for two cycles of a thousand resources that have nothing new: four statements, all of them constant texts.
/// The views over all resources are rebuilt for each of the first 32, and then once for all that come within a minute.
#[tokio::test]
async fn many_new_resources_share_a_view_over_all() {
    const COUNT: usize = 150;
    let accept_all = AcceptAll::default();
    let recording = RecordingClient::new(Arc::new(accept_all.client()));
    let connector = Connector::new(Issues::default(), Arc::new(backend(recording.clone(), usize::MAX)));
    let all = names(COUNT).iter().map(|name| resource(name)).collect::<Vec<_>>();
    let report = connector.ingest(IngestRequest::new(all)).await.unwrap();
    assert_eq!((report.status(), report.runs.len()), (RunStatus::Complete, COUNT), "{report:?}");
    let sent = recording.statements();
    let over_all: Vec<_> = sent.iter().filter(|sent| sent.sql.contains("^=all\" COPY GRANTS")).collect();
    assert!(over_all.len() <= 33, "{} times", over_all.len());
    let last = over_all.last().unwrap();
    for name in names(COUNT) {
        assert!(last.sql.contains(&format!("'{name}'")), "{name} is missing");
    }
}

#[tokio::test(start_paused = true)]
async fn two_idle_cycles_of_many_resources_are_four_statements_without_binds() {
    const COUNT: usize = 200;
    let accept_all = AcceptAll::default();
    let made = backend(accept_all.client(), usize::MAX);
    for name in names(COUNT) {
        made.ensure_streams(&resource(&name), &crate::source::tables()).await.unwrap();
    }
    made.finish().await.unwrap();
    accept_all.enable(names(COUNT).into_iter().map(|name| (name, "30m")).collect(), &crate::source::tables());
    let recording = RecordingClient::new(Arc::new(accept_all.client()));
    let ended = Arc::new(AtomicUsize::new(0));
    let (counted, began) = (ended.clone(), tokio::time::Instant::now());
    let start: jiff::Timestamp = "2100-01-01T00:00:01Z".parse().unwrap();
    let connector = Connector::new(Issues::default(), Arc::new(backend(recording.clone(), usize::MAX)))
        .clock(move || start + began.elapsed())
        // The newest recorded runs are decades old.
        .heartbeat(std::time::Duration::ZERO)
        .observer(move |event: &snowfeed::engine::Event| {
            if let snowfeed::engine::Event::Ended(run) = event {
                assert_eq!(run.status, RunStatus::Complete, "{run:?}");
                counted.fetch_add(1, Ordering::SeqCst);
            }
        });
    let cancel = tokio_util::sync::CancellationToken::new();
    let stop = cancel.clone();
    let (served, ()) = tokio::join!(connector.serve(8, cancel), async {
        while ended.load(Ordering::SeqCst) < 2 * COUNT {
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        }
        stop.cancel();
    });
    served.unwrap();
    assert!(began.elapsed() > std::time::Duration::from_secs(29 * 60), "{:?}", began.elapsed());
    let sent = recording.statements();
    assert!(sent.len() <= 4, "{} statements", sent.len());
    assert!(
        sent.iter().all(|statement| statement.binds.is_empty() && statement.sql.starts_with("SELECT ")),
        "{sent:?}"
    );
}
