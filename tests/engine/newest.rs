//! What an incremental read returns again, unchanged, is not committed again, and nothing else is left out.

use std::sync::Arc;

use async_trait::async_trait;
use proptest::prelude::*;
use snowfeed::backends::Memory;
use snowfeed::engine::{Connector, IngestRequest};
use snowfeed::prelude::*;
use snowfeed::{Mode, RunStatus, StateStore};

use crate::backend::Store;
use crate::support::{Scripted, Step, batch, connector, document, ingest, key, keys, limits, live, resource};

/// A script of one batch, which every read returns.
fn always(batch: Batch) -> Vec<Step> {
    vec![Step::Raw(batch.checkpoint(Checkpoint::new(&0).unwrap()))]
}

/// A connector that has read `a` at version 1, and its source, which returns it in every read.
async fn read_once() -> (Scripted, Connector, Memory) {
    let source = Scripted::new(always(batch(&["a"], 1)));
    let (connector, memory) = connector(&source);
    assert_eq!(ingest(&connector, Mode::Incremental).await.commits, 1);
    (source, connector, memory)
}

/// Whether the stream's state remembers any record.
async fn remembers(memory: &Memory) -> bool {
    let state = memory.latest(&key("r")).await.unwrap().unwrap().state;
    serde_json::to_value(state).unwrap().get("newest").is_some()
}

#[tokio::test]
async fn a_record_that_comes_again_is_counted_and_makes_no_commit() {
    let (source, connector, memory) = read_once().await;
    let before = memory.latest(&key("r")).await.unwrap();
    let run = ingest(&connector, Mode::Incremental).await;
    assert_eq!((run.status, run.commits), (RunStatus::Complete, 0));
    assert_eq!((run.counts.offered, run.counts.unchanged), (1, 1));
    assert_eq!(memory.latest(&key("r")).await.unwrap(), before);

    // With another record, everything is committed, and remembered.
    source.script("r", always(batch(&["a", "b"], 1)));
    let run = ingest(&connector, Mode::Incremental).await;
    assert_eq!((run.commits, run.counts.inserted, run.counts.unchanged), (1, 1, 1));
    let run = ingest(&connector, Mode::Incremental).await;
    assert_eq!((run.commits, run.counts.unchanged), (0, 2));

    // Progress is stored without the record.
    source.script("r", vec![Step::Raw(batch(&["b"], 1).checkpoint(Checkpoint::new(&1).unwrap()))]);
    let run = ingest(&connector, Mode::Incremental).await;
    assert_eq!((run.commits, run.counts.unchanged), (1, 1));
    let state = memory.latest(&key("r")).await.unwrap().unwrap().state;
    assert_eq!(state.checkpoint, Some(Checkpoint::new(&1).unwrap()));
}

#[tokio::test]
async fn another_text_at_the_same_version_is_stored() {
    let (source, connector, memory) = read_once().await;
    for text in [r#"{"key":"a","other":1}"#, "{}", &document("a", 1)] {
        source.script("r", always(Batch::new().record(Record::upsert("a", Version(1), text))));
        let run = ingest(&connector, Mode::Incremental).await;
        assert_eq!((run.commits, run.counts.updated), (1, 1), "{text}");
        assert_eq!(memory.rows(&resource("r"), "t")[0].json.as_deref(), Some(text));
        assert_eq!(ingest(&connector, Mode::Incremental).await.commits, 0, "{text}");
    }
}

#[tokio::test]
async fn a_record_that_was_deleted_since_is_revived() {
    let deletion = Batch::new().record(Record::delete("a", Version(1)));
    for mode in [Mode::Incremental, Mode::Reconcile] {
        for is_other_run in [false, true] {
            let (source, own, memory) = read_once().await;
            let other = Connector::new(source.clone(), Arc::new(memory.clone()));
            let deleter = if is_other_run { &other } else { &own };
            match mode {
                Mode::Incremental => source.script("r", always(deletion.clone())),
                _ => source.script("r", always(Batch::new())),
            }
            source.truth.lock().unwrap().insert("a".into(), None);
            assert_eq!(ingest(deleter, mode).await.counts.deleted, 1);
            assert_eq!(live(&memory), keys(&[]));
            source.script("r", always(batch(&["a"], 1)));
            let run = ingest(&own, Mode::Incremental).await;
            assert_eq!((run.counts.updated, live(&memory)), (1, keys(&[("a", 1)])), "{mode:?} {is_other_run}");
        }
    }
}

/// A source whose contacts are deleted by the runs of another stream.
#[derive(Debug, Clone)]
struct Contacts {
    is_deleted: bool,
}

#[async_trait]
impl Source for Contacts {
    fn spec(&self) -> SourceSpec {
        SourceSpec::new("contacts", "1")
            .stream(StreamSpec::new("contacts"))
            .stream(StreamSpec::deletions_of("deleted", "contacts"))
    }

    async fn connect(&self, _: &Settings, _: ConnectContext) -> Result<Box<dyn Reader>> {
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl Reader for Contacts {
    async fn check(&self) -> Result<()> {
        Ok(())
    }

    fn discover(&self) -> ResourceStream {
        futures::StreamExt::boxed(futures::stream::empty())
    }

    fn read(&self, request: ReadRequest) -> BatchStream {
        let record = match (request.stream.as_str(), self.is_deleted) {
            ("contacts", _) => Some(Record::upsert("1", Version(1), "{}")),
            (_, true) => Some(Record::delete("1", Version(1))),
            _ => None,
        };
        // The list of deletions makes no progress by them.
        let batch = Batch::new().records(record).checkpoint(Checkpoint::new(&0).unwrap());
        futures::StreamExt::boxed(futures::stream::iter([Ok(batch)]))
    }
}

#[tokio::test]
async fn a_record_that_a_run_of_another_stream_has_deleted_is_revived() {
    for is_metered in [false, true] {
        let store = Store { is_metered, ..Store::default() };
        let run = async |is_deleted, stream: &str| {
            let connector = Connector::new(Contacts { is_deleted }, Arc::new(store.clone()));
            let request = IngestRequest::new([resource("r")]).streams([stream.to_owned()]);
            // A list of deletions is read together with its target.
            let runs = connector.ingest(request).await.unwrap().runs;
            runs.into_iter().find(|run| run.stream == stream).unwrap()
        };
        run(false, "contacts").await;
        run(false, "deleted").await;
        let again = run(false, "contacts").await;
        assert_eq!((again.counts.unchanged, again.commits), (1, 1), "the other stream may have changed it");
        assert_eq!(run(false, "contacts").await.commits == 0, is_metered, "the record has been confirmed");
        assert_eq!(run(true, "deleted").await.counts.deleted, 1);
        assert_eq!(run(false, "contacts").await.counts.updated, 1);
        assert!(store.memory.rows(&resource("r"), "contacts")[0].deleted_at.is_none());
    }
}

#[tokio::test]
async fn a_reconcile_run_and_the_read_after_a_reset_mark_what_they_meet() {
    let (source, connector, memory) = read_once().await;
    // Were it not marked, it would be verified, and deleted.
    source.truth.lock().unwrap().insert("a".into(), None);
    let run = ingest(&connector, Mode::Reconcile).await;
    assert_eq!((run.status, run.counts.unchanged, run.counts.deleted), (RunStatus::Complete, 1, 0));
    assert_eq!(ingest(&connector, Mode::Incremental).await.commits, 0, "a reconcile run without deletions remembers");
    connector.reset(&resource("r")).await.unwrap();
    assert!(!remembers(&memory).await);
    let run = ingest(&connector, Mode::Reconcile).await;
    assert_eq!((run.counts.unchanged, run.counts.deleted), (1, 0));
    connector.reset(&resource("r")).await.unwrap();
    assert!(ingest(&connector, Mode::Incremental).await.commits > 0);
    assert_eq!(live(&memory), keys(&[("a", 1)]));
}

#[tokio::test]
async fn a_record_that_corrects_a_reject_is_not_left_out_silently() {
    let about = |text: &str| Batch::new().record(Record::upsert("a", Version(1), text.to_owned()));
    let text = r#"{"about":"7"}"#;
    let source = Scripted::new(always(about(text)));
    let (connector, memory) = connector(&source);
    ingest(&connector, Mode::Incremental).await;
    source.script("r", always(Batch::new().reject("no id", text)));
    assert_eq!(ingest(&connector, Mode::Incremental).await.counts.rejected, 1);
    source.script("r", always(about(text)));
    ingest(&connector, Mode::Incremental).await;
    assert!(memory.rejects(&resource("r"), "t").is_empty());
}

#[tokio::test]
async fn at_most_32_records_are_remembered() {
    for (count, is_remembered) in [(32, true), (33, false)] {
        let records = |version: i64| {
            Batch::new().records((0..count).map(|key| Record::upsert(key.to_string(), Version(version), "{}")))
        };
        let source = Scripted::new(always(records(1)));
        let (connector, memory) = connector(&source);
        ingest(&connector, Mode::Incremental).await;
        assert_eq!(remembers(&memory).await, is_remembered);
        let run = ingest(&connector, Mode::Incremental).await;
        assert_eq!((run.counts.unchanged, run.commits == 0), (count, is_remembered));
        // Only those of the newest version count.
        source.script("r", always(records(2).record(Record::upsert("new", Version(3), "{}"))));
        ingest(&connector, Mode::Incremental).await;
        assert!(remembers(&memory).await);
    }
}

/// The first read after an upgrade finds what is stored, and remembers it where a commit costs money.
#[tokio::test]
async fn records_that_are_found_unchanged_are_remembered_in_a_metered_store() {
    for is_metered in [false, true] {
        let source = Scripted::new(always(batch(&["a"], 1)));
        let mut store = Store { forgets: true, is_metered, ..Store::default() };
        let commits = async |store: &Store| {
            let connector = Connector::new(source.clone(), Arc::new(store.clone())).limits(limits());
            ingest(&connector, Mode::Incremental).await.commits
        };
        assert_eq!((commits(&store).await, commits(&store).await), (1, 1));
        assert!(!remembers(&store.memory).await);
        store.forgets = false;
        assert_eq!(commits(&store).await, 1);
        assert_eq!(remembers(&store.memory).await, is_metered);
        assert_eq!(commits(&store).await == 0, is_metered);
        let entries = store.memory.history(&key("r"), 9).await.unwrap().len();
        commits(&store).await;
        assert_eq!(store.memory.history(&key("r"), 9).await.unwrap().len(), entries);
    }
}

/// One run of the property test.
#[derive(Debug, Clone)]
enum Move {
    /// A read that returns these records, each with a key, a version, and a text or a deletion. The checkpoint may move.
    Read(Vec<(u8, i64, Option<bool>)>, bool),
    /// A reconcile run that lists these, while the source has those.
    Reconcile(Vec<(u8, i64, Option<bool>)>, Vec<u8>),
    Reset,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    // Texts are mostly the same.
    let text = prop_oneof![6 => Just(Some(true)), 1 => Just(Some(false)), 1 => Just(None)];
    let records = || proptest::collection::vec((0..3_u8, 1..4_i64, text.clone()), 0..4);
    let one = prop_oneof![
        6 => (records(), proptest::bool::weighted(0.2)).prop_map(|(records, moves)| Move::Read(records, moves)),
        1 => (records(), proptest::collection::vec(0..3_u8, 0..3)).prop_map(|(list, has)| Move::Reconcile(list, has)),
        1 => Just(Move::Reset),
    ];
    // Most reads are repeated.
    let repeated = (one, 1..4_usize).prop_map(|(one, times)| vec![one; times]);
    proptest::collection::vec(repeated, 1..12).prop_map(|moves| moves.concat())
}

fn list(records: &[(u8, i64, Option<bool>)], checkpoint: usize) -> Batch {
    let record = |(key, version, text): &(u8, i64, Option<bool>)| {
        let (key, version) = (key.to_string(), Version(*version));
        match text {
            Some(is_usual) => {
                let text = if *is_usual { document(&key, version.0) } else { "{}".to_owned() };
                Record::upsert(key, version, text)
            }
            None => Record::delete(key, version),
        }
    };
    Batch::new().records(records.iter().map(record)).checkpoint(Checkpoint::new(&checkpoint).unwrap())
}

/// The rows after each move, what each run has counted, and the number of commits.
async fn play(moves: &[Move], store: Store) -> (Vec<String>, u64) {
    let source = Scripted::new(vec![]);
    let connector = Connector::new(source.clone(), Arc::new(store.clone())).max_deleted_percent(100);
    let (mut seen, mut commits, mut checkpoint) = (Vec::new(), 0, 0);
    for one in moves {
        let mode = match one {
            Move::Reset => {
                drop(connector.reset(&resource("r")).await);
                checkpoint = 0;
                continue;
            }
            Move::Read(records, moves) => {
                let next = checkpoint + usize::from(*moves);
                let mut steps = vec![Step::Raw(Batch::new()); checkpoint];
                steps.push(Step::Raw(list(records, next)));
                source.script("r", steps);
                checkpoint = next;
                Mode::Incremental
            }
            Move::Reconcile(records, has) => {
                source.script("r", vec![Step::Raw(list(records, checkpoint))]);
                let truth = (0..3).map(|key| (key.to_string(), has.contains(&key).then_some(1)));
                *source.truth.lock().unwrap() = truth.collect();
                Mode::Reconcile
            }
        };
        let run = ingest(&connector, mode).await;
        commits += run.commits;
        let rows = store.memory.rows(&resource("r"), "t");
        let rows: Vec<_> =
            rows.iter().map(|row| (&row.key, row.version, &row.json, row.deleted_at.is_some())).collect();
        seen.push(format!("{:?} {:?} {rows:?}", run.status, run.counts));
    }
    (seen, commits)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// The same runs with a program that remembers nothing give the same rows and counts, with at least as many commits.
    #[test]
    fn remembering_changes_neither_rows_nor_counts(moves in moves(), is_metered: bool) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let play = |forgets| runtime.block_on(play(&moves, Store { forgets, is_metered, ..Store::default() }));
        let ((with, few), (without, many)) = (play(false), play(true));
        prop_assert_eq!(with, without);
        prop_assert!(few <= many);
    }
}
