//! The contract of [`StateStore`].

use futures::future::join_all;
use serde_json::value::RawValue;

use super::fixture::{ODD_TEXTS, assert_refused, at, change, key, must, run_record};
use super::{Clause, Fresh, dropped_after};
use crate::cost::{Credits, Spending};
use crate::state::{NewestRecords, Reconciliation, StreamState};
use crate::{
    Checkpoint, ErrorKind, RunId, RunQuery, RunRecord, RunStatus, StateChange, StateKey, StateStore, StateVersion,
};

/// Tests a [`StateStore`] against its contract: one `#[test]` for each clause, over the store that the expression returns.
///
/// ```
/// mod states {
///     snowfeed::state_store_conformance!(snowfeed::backends::Memory::new());
/// }
/// ```
#[macro_export]
macro_rules! state_store_conformance {
    ($make:expr) => {
        $crate::__state_store_clauses! { __conformance_tests (state_store, dyn $crate::StateStore, $make) }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __state_store_clauses {
    ($then:ident $with:tt) => {
        $crate::$then! { $with
            clause_1_append_adds_and_latest_returns
            clause_1_versions_increase
            clause_2_entries_stay_ordered_when_the_clock_steps_back
            clause_3_a_stale_base_is_refused_and_stores_nothing
            clause_3_of_two_appends_on_one_base_exactly_one_succeeds
            clause_3_a_change_without_state_is_not_compared
            clause_4_entry_and_run_are_stored_together
            clause_4_a_dropped_append_is_applied_entirely_or_not_at_all
            clause_4_a_record_replaces_the_one_of_the_same_run
            clause_5_history_returns_the_newest_first
            clause_5_runs_are_ordered_by_start_then_id
            clause_5_runs_are_selected_by_resource_and_stream
            clause_6_prune_keeps_the_newest
            clause_6_prune_never_changes_the_next_version
            clause_7_any_text_is_a_legal_key_and_keys_do_not_share_entries
            clause_7_streams_of_a_resource_do_not_share_entries
            clause_7_values_come_back_equal
            clause_8_latest_many_is_what_latest_and_runs_return
            clause_9_a_new_entry_ends_the_runs_that_it_supersedes
            clause_9_a_new_entry_ends_no_run_of_another_stream
            clause_10_append_runs_stores_records_and_nothing_else
        }
    };
}

/// All checks.
pub fn clauses() -> Vec<Clause<dyn StateStore>> {
    crate::__state_store_clauses! { __conformance_list () }
}

/// The key that most checks write.
fn widgets() -> StateKey {
    key("acme/widgets")
}

/// Another stream of the same resource.
fn comments() -> StateKey {
    StateKey::new("acme/widgets", "comments")
}

/// Appends to the newest version, whatever it is.
async fn push(store: &dyn StateStore, key: &StateKey, seconds: i64, message: &str) -> StateVersion {
    let base = must(store.latest(key).await).map_or(StateVersion::NONE, |entry| entry.version);
    must(store.append(change(key, base, seconds, message)).await)
}

/// The messages of a key's entries, newest first.
async fn messages(store: &dyn StateStore, key: &StateKey) -> Vec<String> {
    must(store.history(key, 1_000).await).into_iter().filter_map(|entry| entry.state.message).collect()
}

/// `append` adds an entry, and `latest` returns it.
async fn clause_1_append_adds_and_latest_returns(fresh: Fresh<dyn StateStore>) {
    let store = fresh.make().await;
    assert_eq!(must(store.latest(&widgets()).await), None);
    for message in ["one", "two"] {
        let version = push(&*store, &widgets(), 0, message).await;
        let latest = must(store.latest(&widgets()).await).expect("the appended entry");
        assert_eq!((latest.version, latest.state.message.as_deref()), (version, Some(message)));
        assert_eq!(latest.at, at(0));
    }
}

/// Each version is higher than all earlier ones.
async fn clause_1_versions_increase(fresh: Fresh<dyn StateStore>) {
    let store = fresh.make().await;
    let mut last = StateVersion::NONE;
    for n in 0..5 {
        let version = push(&*store, &widgets(), n, "x").await;
        assert!(version > last, "{version:?} after {last:?}");
        last = version;
    }
}

/// An entry with an earlier time is still newer, and its stored time is not earlier.
async fn clause_2_entries_stay_ordered_when_the_clock_steps_back(fresh: Fresh<dyn StateStore>) {
    let store = fresh.make().await;
    push(&*store, &widgets(), 100, "before").await;
    push(&*store, &widgets(), 50, "after").await;
    assert_eq!(messages(&*store, &widgets()).await, ["after", "before"]);
    let latest = must(store.latest(&widgets()).await).expect("an entry is stored");
    assert_eq!((latest.state.message.as_deref(), latest.at), (Some("after"), at(100)));
    push(&*store, &widgets(), 60, "last").await;
    assert_eq!(must(store.latest(&widgets()).await).expect("an entry is stored").at, at(100));
}

/// A base that is not the newest version is refused; neither entry nor run record is stored.
async fn clause_3_a_stale_base_is_refused_and_stores_nothing(fresh: Fresh<dyn StateStore>) {
    let store = fresh.make().await;
    let first = push(&*store, &widgets(), 0, "one").await;
    push(&*store, &widgets(), 0, "two").await;
    let runs = must(store.runs(RunQuery::new(10)).await);
    for base in [StateVersion::NONE, first, StateVersion(99)] {
        assert_refused(store.append(change(&widgets(), base, 5, "stale")).await, ErrorKind::Conflict);
    }
    assert_eq!(messages(&*store, &widgets()).await, ["two", "one"]);
    assert_eq!(must(store.runs(RunQuery::new(10)).await), runs, "a refused change stored its run");
}

/// Of several concurrent changes on the same base, one succeeds and the others are refused.
async fn clause_3_of_two_appends_on_one_base_exactly_one_succeeds(fresh: Fresh<dyn StateStore>) {
    let store = fresh.make().await;
    for round in 0..5 {
        let base = must(store.latest(&widgets()).await).map_or(StateVersion::NONE, |entry| entry.version);
        let tasks = (0..8).map(|n| {
            let store = std::sync::Arc::clone(&store);
            tokio::spawn(async move { store.append(change(&widgets(), base, round, &n.to_string())).await })
        });
        let results: Vec<_> =
            join_all(tasks).await.into_iter().map(|joined| joined.expect("the task panicked")).collect();
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "{results:?}");
        for refused in results.into_iter().filter(Result::is_err) {
            assert_refused(refused, ErrorKind::Conflict);
        }
    }
    assert_eq!(must(store.history(&widgets(), 100).await).len(), 5);
}

/// A change that only records a run is stored whatever its base is, and adds no entry.
async fn clause_3_a_change_without_state_is_not_compared(fresh: Fresh<dyn StateStore>) {
    let store = fresh.make().await;
    push(&*store, &widgets(), 0, "one").await;
    let run = RunId::new();
    let record = run_record(&widgets(), run, 9);
    let change =
        StateChange { key: widgets(), base: StateVersion::NONE, at: at(9), state: None, run: Some(record.clone()) };
    assert_eq!(must(store.append(change).await), StateVersion::NONE);
    assert_eq!(messages(&*store, &widgets()).await, ["one"]);
    assert_eq!(must(store.runs(RunQuery::new(1).key(&widgets())).await), [record]);
}

/// After an append, both the entry and the run are stored.
async fn clause_4_entry_and_run_are_stored_together(fresh: Fresh<dyn StateStore>) {
    let store = fresh.make().await;
    let change = change(&widgets(), StateVersion::NONE, 0, "one");
    must(store.append(change.clone()).await);
    assert_eq!(must(store.latest(&widgets()).await).map(|entry| entry.state), change.state);
    assert_eq!(
        must(store.runs(RunQuery::new(10).key(&widgets())).await).into_iter().map(Some).collect::<Vec<_>>(),
        [change.run]
    );
}

/// A dropped future has stored both entry and run, or neither.
async fn clause_4_a_dropped_append_is_applied_entirely_or_not_at_all(fresh: Fresh<dyn StateStore>) {
    for polls in 0..6 {
        let store = fresh.make().await;
        push(&*store, &widgets(), 0, "one").await;
        let base = must(store.latest(&widgets()).await).expect("an entry is stored").version;
        let change = change(&widgets(), base, 1, "two");
        dropped_after(polls, store.append(change.clone())).await;
        // A retry with the same base reveals whether the first call succeeded.
        let again = store.append(change.clone()).await;
        if let Err(error) = again {
            assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
        }
        assert_eq!(messages(&*store, &widgets()).await, ["two", "one"], "dropped after {polls} polls");
        let runs = must(store.runs(RunQuery::new(10).key(&widgets())).await);
        assert_eq!(runs.len(), 2, "dropped after {polls} polls");
        assert_eq!(runs.first(), change.run.as_ref());
    }
}

/// A run appears once, however often its record is stored.
async fn clause_4_a_record_replaces_the_one_of_the_same_run(fresh: Fresh<dyn StateStore>) {
    let store = fresh.make().await;
    let mut change = change(&widgets(), StateVersion::NONE, 0, "one");
    change.base = must(store.append(change.clone()).await);
    change.run.as_mut().expect("the change has a run").commits = 7;
    must(store.append(change.clone()).await);
    assert_eq!(
        must(store.runs(RunQuery::new(10).key(&widgets())).await).into_iter().map(Some).collect::<Vec<_>>(),
        [change.run]
    );
}

/// `history` returns the newest first, and at most `limit`.
async fn clause_5_history_returns_the_newest_first(fresh: Fresh<dyn StateStore>) {
    let store = fresh.make().await;
    for message in ["one", "two", "three"] {
        push(&*store, &widgets(), 0, message).await;
    }
    assert_eq!(messages(&*store, &widgets()).await, ["three", "two", "one"]);
    let limited = must(store.history(&widgets(), 2).await);
    assert_eq!(limited.iter().filter_map(|entry| entry.state.message.as_deref()).collect::<Vec<_>>(), ["three", "two"]);
    assert!(must(store.history(&widgets(), 0).await).is_empty());
}

/// `runs` returns the most recently started first; of two with the same start, the one with the higher id.
async fn clause_5_runs_are_ordered_by_start_then_id(fresh: Fresh<dyn StateStore>) {
    let store = fresh.make().await;
    let ids = [RunId::new(), RunId::new(), RunId::new(), RunId::new()];
    let (widgets, gadgets) = (widgets(), key("acme/gadgets"));
    for (key, id, started) in
        [(&widgets, ids[2], 5), (&gadgets, ids[0], 9), (&widgets, ids[3], 5), (&widgets, ids[1], 1)]
    {
        let change = StateChange::new(key.clone(), StateVersion::NONE, at(0)).run(run_record(key, id, started));
        must(store.append(change).await);
    }
    let all = async |query| -> Vec<RunId> { must(store.runs(query).await).into_iter().map(|run| run.id).collect() };
    assert_eq!(all(RunQuery::new(10)).await, [ids[0], ids[3], ids[2], ids[1]]);
    assert_eq!(all(RunQuery::new(10).key(&widgets)).await, [ids[3], ids[2], ids[1]]);
    assert_eq!(all(RunQuery::new(2)).await, [ids[0], ids[3]]);
}

/// A resource, a stream, both or neither select runs, before the limit applies.
async fn clause_5_runs_are_selected_by_resource_and_stream(fresh: Fresh<dyn StateStore>) {
    let store = fresh.make().await;
    let keys = [widgets(), comments(), key("acme/gadgets"), StateKey::new("acme/gadgets", "comments")];
    for (seconds, key) in (0..).zip(&keys) {
        push(&*store, key, seconds, "x").await;
    }
    let selected = async |query| -> Vec<StateKey> {
        let runs = must(store.runs(query).await).into_iter();
        runs.map(|run| StateKey::new(run.resource, run.stream)).collect()
    };
    let [widgets, comments, gadgets, other_comments] = keys;
    let found = selected(RunQuery::new(9).resource("acme/widgets")).await;
    assert_eq!(found, [comments.clone(), widgets.clone()]);
    let found = selected(RunQuery::new(9).stream("comments")).await;
    assert_eq!(found, [other_comments.clone(), comments.clone()]);
    assert_eq!(
        selected(RunQuery::new(1).key(&widgets)).await,
        std::slice::from_ref(&widgets),
        "the limit applies to selected runs"
    );
    assert_eq!(selected(RunQuery::new(9)).await, [other_comments, gadgets, comments, widgets]);
    assert_eq!(selected(RunQuery::new(9).resource("comments").stream("acme/widgets")).await, []);
}

/// `prune` keeps the requested number, and always the newest; it returns the number of removed rows.
async fn clause_6_prune_keeps_the_newest(fresh: Fresh<dyn StateStore>) {
    let store = fresh.make().await;
    for (n, message) in ["one", "two", "three", "four"].into_iter().enumerate() {
        push(&*store, &widgets(), i64::try_from(n).unwrap_or(0), message).await;
        push(&*store, &key("other"), 0, message).await;
        push(&*store, &comments(), 0, message).await;
    }
    assert_eq!(must(store.prune(&widgets(), 3).await), 2);
    assert_eq!(messages(&*store, &widgets()).await, ["four", "three", "two"]);
    assert_eq!(must(store.prune(&widgets(), 0).await), 4, "at least one entry and one run are kept");
    assert_eq!(messages(&*store, &widgets()).await, ["four"]);
    assert_eq!(must(store.runs(RunQuery::new(10).key(&widgets())).await).len(), 1);
    assert_eq!(must(store.runs(RunQuery::new(10).key(&widgets())).await)[0].started_at, at(3));
    assert_eq!(must(store.prune(&widgets(), 1).await), 0);
    for other in [key("other"), comments()] {
        assert_eq!(messages(&*store, &other).await.len(), 4, "the entries of {other} were pruned");
        let runs = must(store.runs(RunQuery::new(10).key(&other)).await);
        assert_eq!(runs.len(), 4, "the runs of {other} were pruned");
    }
}

/// `prune` does not change the next version.
async fn clause_6_prune_never_changes_the_next_version(fresh: Fresh<dyn StateStore>) {
    let (pruned, whole) = (fresh.make().await, fresh.make().await);
    for store in [&pruned, &whole] {
        for n in 0..3 {
            push(&**store, &widgets(), n, "x").await;
        }
    }
    must(pruned.prune(&widgets(), 1).await);
    assert_eq!(push(&*pruned, &widgets(), 9, "x").await, push(&*whole, &widgets(), 9, "x").await);
}

/// Similar keys have separate entries and runs.
async fn clause_7_any_text_is_a_legal_key_and_keys_do_not_share_entries(fresh: Fresh<dyn StateStore>) {
    let store = fresh.make().await;
    for text in ODD_TEXTS {
        push(&*store, &key(text), 0, text).await;
    }
    for text in ODD_TEXTS {
        assert_eq!(messages(&*store, &key(text)).await, [*text], "the entries of {text:?}");
        let runs = must(store.runs(RunQuery::new(10).key(&key(text))).await);
        assert_eq!(runs.iter().map(|run| run.resource.as_str()).collect::<Vec<_>>(), [*text], "the runs of {text:?}");
    }
}

/// Streams of one resource have separate versions, entries and runs, however resource and stream are written together.
async fn clause_7_streams_of_a_resource_do_not_share_entries(fresh: Fresh<dyn StateStore>) {
    const SIMILAR: [(&str, &str); 10] = [
        ("acme/widgets", "issues"),
        ("acme", "widgets/issues"),
        ("acme/widgets/issues", "acme/widgets"),
        ("acme/widgets", "Issues"),
        ("acme/widgets", " issues"),
        ("acme/widget", "sissues"),
        ("acme/widgets\0issues", "x"),
        ("acme/widgets", "issues\0x"),
        ("acme/widgets (issues)", "issues"),
        ("issues", "acme/widgets"),
    ];
    let store = fresh.make().await;
    let mut keys: Vec<StateKey> =
        SIMILAR.into_iter().map(|(resource, stream)| StateKey::new(resource, stream)).collect();
    keys.extend(ODD_TEXTS.iter().map(|text| StateKey::new("one resource", *text)));
    for key in &keys {
        // The first version of a key builds on none, whatever its sibling has.
        must(store.append(change(key, StateVersion::NONE, 0, &format!("first of {key:?}"))).await);
    }
    push(&*store, &keys[0], 1, "second").await;
    for (n, key) in keys.iter().enumerate() {
        let mut expected = vec![format!("first of {key:?}")];
        expected.splice(0..0, (n == 0).then(|| "second".to_owned()));
        assert_eq!(messages(&*store, key).await, expected, "the entries of {key:?}");
        let runs = must(store.runs(RunQuery::new(10).key(key)).await);
        assert_eq!(runs.len(), expected.len(), "the runs of {key:?}");
        assert!(runs.iter().all(|run| run.resource == key.resource && run.stream == key.stream), "{runs:?}");
    }
    // A sibling that has moved on does not make a base stale.
    let base = must(store.latest(&keys[1]).await).expect("an entry is stored").version;
    must(store.append(change(&keys[1], base, 2, "third")).await);
    assert_refused(store.append(change(&keys[0], base, 2, "stale")).await, ErrorKind::Conflict);
}

/// Checkpoints, texts and times come back unchanged.
async fn clause_7_values_come_back_equal(fresh: Fresh<dyn StateStore>) {
    let store = fresh.make().await;
    let text = r#"{ "b":1.0,"a" : [ 0.30000000000000004, 18446744073709551615, "\u0000é🦀'\"" ] }"#;
    let raw = RawValue::from_string(text.to_owned()).expect("valid JSON");
    let checkpoint = Checkpoint::new(&raw).expect("a checkpoint");
    let run = RunId::new();
    let mut spending = Spending::default();
    spending.add(Credits::from_micros(16_667), at(1));
    let state = StreamState {
        status: RunStatus::Failed,
        run,
        checkpoint: Some(checkpoint.clone()),
        reconcile: Some(Reconciliation { checkpoint: Some(checkpoint), ..Reconciliation::new(RunId::new(), at(1)) }),
        message: Some(ODD_TEXTS.join("\n")),
        claim: None,
        has_rejects: true,
        newest: Some(NewestRecords {
            version: i64::MIN.into(),
            hashes: ODD_TEXTS.iter().map(|text| ((*text).to_owned(), "0f".to_owned())).collect(),
            others: [("others".to_owned(), StateVersion(u64::MAX))].into(),
        }),
        spending,
    };
    let record = run_record(&widgets(), run, 1);
    let (key, at) = (widgets(), at(1) + jiff::SignedDuration::from_nanos(123_456_789));
    let change =
        StateChange { key, base: StateVersion::NONE, at, state: Some(state.clone()), run: Some(record.clone()) };
    must(store.append(change).await);
    let latest = must(store.latest(&widgets()).await).expect("an entry is stored");
    assert_eq!((latest.state, latest.at), (state, at));
    assert_eq!(must(store.runs(RunQuery::new(1).key(&widgets())).await), [record]);
}

/// `latest_many` returns all keys at once, in order, including a key without entries.
async fn clause_8_latest_many_is_what_latest_and_runs_return(fresh: Fresh<dyn StateStore>) {
    let store = fresh.make().await;
    for n in 0..3 {
        push(&*store, &widgets(), n, "widgets").await;
        push(&*store, &key("A\0b"), n, "odd").await;
        push(&*store, &comments(), 10 * n, "comments").await;
    }
    push(&*store, &comments(), 99, "comments").await;
    let nothing = StateKey::new("acme/widgets", "nothing");
    let keys = [key("A\0b"), nothing, comments(), key("nothing"), widgets()];
    let statuses = must(store.latest_many(&keys).await);
    assert_eq!(statuses.len(), keys.len());
    for (key, status) in keys.iter().zip(statuses) {
        assert_eq!(status.entry, must(store.latest(key).await), "the entry of {key:?}");
        assert_eq!(status.run, must(store.runs(RunQuery::new(1).key(key)).await).pop(), "the run of {key:?}");
    }
    assert_eq!(must(store.latest_many(&[]).await), []);
}

/// Only other runs of the key that are recorded as running become interrupted; one that is still alive may record its own end.
async fn clause_9_a_new_entry_ends_the_runs_that_it_supersedes(fresh: Fresh<dyn StateStore>) {
    let store = fresh.make().await;
    let (dead, alive, ended, elsewhere) = (RunId::new(), RunId::new(), RunId::new(), RunId::new());
    let (widgets, other) = (widgets(), key("other"));
    let only_run = |key: &StateKey, id, status, seconds| {
        let run = RunRecord { status, ended_at: None, error: None, ..run_record(key, id, seconds) };
        StateChange::new(key.clone(), StateVersion::NONE, at(seconds)).run(run)
    };
    for (key, id, status, seconds) in [
        (&widgets, dead, RunStatus::Running, 0),
        (&widgets, alive, RunStatus::Running, 1),
        (&widgets, ended, RunStatus::Failed, 2),
        (&other, elsewhere, RunStatus::Running, 3),
    ] {
        must(store.append(only_run(key, id, status, seconds)).await);
    }
    let mut own = change(&widgets, StateVersion::NONE, 4, "x");
    own.run.as_mut().expect("the change has a run").status = RunStatus::Running;
    let own_id = own.run.as_ref().expect("the change has a run").id;
    must(store.append(own.clone()).await);
    let statuses = async || -> Vec<(RunId, RunStatus)> {
        must(store.runs(RunQuery::new(9)).await).into_iter().map(|run| (run.id, run.status)).collect()
    };
    let expected = [
        (own_id, RunStatus::Running),
        (elsewhere, RunStatus::Running),
        (ended, RunStatus::Failed),
        (alive, RunStatus::Interrupted),
        (dead, RunStatus::Interrupted),
    ];
    assert_eq!(statuses().await, expected);
    let status = must(store.latest_many(std::slice::from_ref(&widgets)).await).remove(0);
    assert_eq!(status.run.map(|run| run.status), Some(RunStatus::Running), "the latest run is not the new entry's run");
    must(store.append(only_run(&widgets, alive, RunStatus::Partial, 1)).await);
    assert_eq!(statuses().await[3], (alive, RunStatus::Partial), "a live run could not record its own end");
    // A refused change ends no run; a change without a run ends all.
    assert_refused(store.append(change(&widgets, StateVersion::NONE, 5, "stale")).await, ErrorKind::Conflict);
    assert!(statuses().await.contains(&(own_id, RunStatus::Running)), "a refused change ended a run");
    let base = must(store.latest(&widgets).await).expect("the appended entry").version;
    must(store.append(StateChange { base, run: None, ..own }).await);
    assert!(
        statuses().await.contains(&(own_id, RunStatus::Interrupted)),
        "a change without a run did not end the running one"
    );
}

/// Runs of the resource's other streams, and of the same stream of other resources, can still commit.
async fn clause_9_a_new_entry_ends_no_run_of_another_stream(fresh: Fresh<dyn StateStore>) {
    let store = fresh.make().await;
    let running = |key: &StateKey, seconds| {
        let mut change = change(key, StateVersion::NONE, seconds, "x");
        let run = change.run.as_mut().expect("the change has a run");
        (run.status, run.ended_at, run.error) = (RunStatus::Running, None, None);
        change
    };
    let keys = [comments(), key("acme/gadgets"), widgets()];
    for (seconds, key) in (0..).zip(&keys) {
        must(store.append(running(key, seconds)).await);
    }
    let base = must(store.latest(&widgets()).await).expect("an entry is stored").version;
    must(store.append(StateChange { base, ..running(&widgets(), 9) }).await);
    let statuses = async |key| -> Vec<RunStatus> {
        must(store.runs(RunQuery::new(9).key(key)).await).into_iter().map(|run| run.status).collect()
    };
    assert_eq!(statuses(&keys[0]).await, [RunStatus::Running], "a run of another stream ended");
    assert_eq!(statuses(&keys[1]).await, [RunStatus::Running], "a run of another resource ended");
    assert_eq!(statuses(&keys[2]).await, [RunStatus::Running, RunStatus::Interrupted]);
    // A run of the other stream commits as if nothing had happened.
    let base = must(store.latest(&keys[0]).await).expect("an entry is stored").version;
    must(store.append(StateChange { base, ..running(&keys[0], 10) }).await);
}

/// The records of several streams are stored at once; entries and other runs stay as they are.
async fn clause_10_append_runs_stores_records_and_nothing_else(fresh: Fresh<dyn StateStore>) {
    let store = fresh.make().await;
    let mut before = change(&widgets(), StateVersion::NONE, 0, "x");
    let running = before.run.as_mut().expect("the change has a run");
    (running.status, running.ended_at, running.error) = (RunStatus::Running, None, None);
    must(store.append(before.clone()).await);
    let keys = [widgets(), comments(), key("A\0b")];
    let runs: Vec<RunRecord> = keys.iter().map(|key| run_record(key, RunId::new(), 10)).collect();
    must(store.append_runs(runs.clone()).await);
    for (key, run) in keys.iter().zip(&runs) {
        let newest = must(store.runs(RunQuery::new(1).key(key)).await);
        assert_eq!(newest, std::slice::from_ref(run), "the newest run of {key:?}");
    }
    assert_eq!(messages(&*store, &widgets()).await, ["x"], "records of runs changed a state");
    assert_eq!(must(store.latest(&comments()).await), None, "the record of a run made a state");
    let found = must(store.runs(RunQuery::new(9).key(&widgets())).await);
    assert_eq!(found.last(), before.run.as_ref(), "the record of another run ended a running one");
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_check_is_listed() {
        super::super::assert_complete(include_str!("state_store.rs"), &super::clauses());
    }
}
