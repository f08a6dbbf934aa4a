//! Stores with one fault each.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use serde_json::Value;
use snowfeed::backends::Memory;
use snowfeed::testkit::conformance::suite::{Fresh, config_store, state_store};
use snowfeed::{
    ConfigSnapshot, ConfigStore, Error, Namespace, Result, RunId, RunQuery, RunRecord, RunStatus, StateChange,
    StateEntry, StateKey, StateStore, StateVersion, StreamState, StreamStatus,
};

use super::failing;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    AppendReturnsTheBase,
    TimesStepBack,
    RefusedRunsAreStored,
    RunsAreNotReplaced,
    HistoryIgnoresTheLimit,
    RunsAreOrderedById,
    RunsIgnoreTheStream,
    RunsAreLimitedBeforeTheyAreSelected,
    PruneMiscounts,
    PruneTakesAllStreams,
    KeysIgnoreCase,
    KeysIgnoreTheStream,
    KeysAreJoinedByASlash,
    TimesLoseTheirFraction,
    RemoveDoesNothing,
    RemoveAlwaysReturnsTrue,
    NamespacesAreShared,
    ListIsUnordered,
    KeysAreTrimmed,
    NullIsTreatedAsMissing,
    LatestManyIsReversed,
    SupersededRunsStayRunning,
    RunsOfOtherStreamsAreSuperseded,
    SnapshotSwapsNamespaces,
    OnlyOneRunIsAppended,
    AppendedRunsMakeStates,
}

/// An in-memory store with a fault.
#[derive(Debug)]
struct FaultyStore {
    fault: Fault,
    memory: Memory,
    times: Mutex<BTreeMap<(StateKey, StateVersion), jiff::Timestamp>>,
}

impl FaultyStore {
    fn new(fault: Fault) -> Self {
        Self { fault, memory: Memory::new(), times: Mutex::default() }
    }

    fn is(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    fn key(&self, key: &str) -> String {
        match self.fault {
            Fault::KeysIgnoreCase => key.to_lowercase(),
            Fault::KeysAreTrimmed => key.trim().to_owned(),
            _ => key.to_owned(),
        }
    }

    fn state_key(&self, key: &StateKey) -> StateKey {
        match self.fault {
            Fault::KeysIgnoreTheStream => StateKey::new(&key.resource, "issues"),
            Fault::KeysAreJoinedByASlash => {
                let joined = format!("{}/{}", key.resource, key.stream);
                let (resource, stream) = joined.rsplit_once('/').unwrap();
                StateKey::new(resource, stream)
            }
            _ => StateKey::new(self.key(&key.resource), &key.stream),
        }
    }

    fn namespace(&self, namespace: Namespace) -> Namespace {
        if self.is(Fault::NamespacesAreShared) { Namespace::Connector } else { namespace }
    }
}

#[async_trait]
impl StateStore for FaultyStore {
    async fn append(&self, mut change: StateChange) -> Result<StateVersion> {
        change.key = self.state_key(&change.key);
        let (key, base, at) = (change.key.clone(), change.base, change.at);
        if self.is(Fault::RunsAreNotReplaced)
            && let Some(run) = &mut change.run
            && self.memory.runs(RunQuery::new(100)).await?.iter().any(|known| known.id == run.id)
        {
            run.id = RunId::new();
        }
        let mut only_run = change.clone();
        only_run.state = None;
        let before = self.memory.runs(RunQuery::new(100)).await?;
        match self.memory.append(change).await {
            Ok(version) => {
                let running = before.into_iter().filter(|run| run.status == RunStatus::Running);
                for run in running.filter(|_| self.is(Fault::SupersededRunsStayRunning)) {
                    self.memory.append(only_run.clone().run(run)).await?;
                }
                let of_resource = RunQuery::new(100).resource(&key.resource);
                let siblings = self.memory.runs(of_resource).await?.into_iter().filter(|run| run.stream != key.stream);
                for mut run in siblings.filter(|run| run.status == RunStatus::Running) {
                    if self.is(Fault::RunsOfOtherStreamsAreSuperseded) {
                        run.status = RunStatus::Interrupted;
                        self.memory.append(only_run.clone().run(run)).await?;
                    }
                }
                self.times.lock().unwrap().insert((key, version), at);
                Ok(if self.is(Fault::AppendReturnsTheBase) { base } else { version })
            }
            Err(error) => {
                if self.is(Fault::RefusedRunsAreStored) {
                    self.memory.append(only_run).await?;
                }
                Err::<_, Error>(error)
            }
        }
    }

    async fn append_runs(&self, runs: Vec<RunRecord>) -> Result<()> {
        let kept = if self.is(Fault::OnlyOneRunIsAppended) { 1 } else { runs.len() };
        for run in runs.into_iter().take(kept) {
            let key = StateKey::new(&*run.resource, &*run.stream);
            let base = self.latest(&key).await?.map_or(StateVersion::NONE, |entry| entry.version);
            let state = self.is(Fault::AppendedRunsMakeStates).then(|| StreamState::new(run.status, run.id));
            let mut change = StateChange::new(key, base, run.started_at).run(run);
            change.state = state;
            self.append(change).await?;
        }
        Ok(())
    }

    async fn latest(&self, key: &StateKey) -> Result<Option<StateEntry>> {
        let mut latest = self.memory.latest(&self.state_key(key)).await?;
        if let Some(entry) = &mut latest {
            match self.fault {
                Fault::TimesStepBack => entry.at = self.times.lock().unwrap()[&(self.state_key(key), entry.version)],
                Fault::TimesLoseTheirFraction => entry.at = jiff::Timestamp::from_second(entry.at.as_second()).unwrap(),
                _ => {}
            }
        }
        Ok(latest)
    }

    async fn history(&self, key: &StateKey, limit: usize) -> Result<Vec<StateEntry>> {
        let limit = if self.is(Fault::HistoryIgnoresTheLimit) { usize::MAX } else { limit };
        self.memory.history(&self.state_key(key), limit).await
    }

    async fn runs(&self, mut query: RunQuery) -> Result<Vec<RunRecord>> {
        if self.is(Fault::RunsIgnoreTheStream) {
            query.stream = None;
        }
        if self.is(Fault::RunsAreLimitedBeforeTheyAreSelected) {
            let mut runs = self.memory.runs(RunQuery::new(query.limit)).await?;
            runs.retain(|run| query.selects(run));
            return Ok(runs);
        }
        let mut runs = self.memory.runs(query).await?;
        if self.is(Fault::RunsAreOrderedById) {
            runs.sort_by_key(|run| std::cmp::Reverse(run.id));
        }
        Ok(runs)
    }

    async fn prune(&self, key: &StateKey, keep: usize) -> Result<u64> {
        let removed = self.memory.prune(&self.state_key(key), keep).await?;
        if self.is(Fault::PruneTakesAllStreams) {
            let runs = self.memory.runs(RunQuery::new(100).resource(&key.resource)).await?;
            for stream in runs.into_iter().map(|run| run.stream).filter(|stream| *stream != key.stream) {
                self.memory.prune(&StateKey::new(&key.resource, stream), keep).await?;
            }
        }
        Ok(if self.is(Fault::PruneMiscounts) { 0 } else { removed })
    }

    async fn latest_many(&self, keys: &[StateKey]) -> Result<Vec<StreamStatus>> {
        let mut statuses = Vec::new();
        for key in keys {
            let (entry, run) = (self.latest(key).await?, self.runs(RunQuery::new(1).key(key)).await?.pop());
            statuses.push(StreamStatus::new(entry, run));
        }
        if self.is(Fault::LatestManyIsReversed) {
            statuses.reverse();
        }
        Ok(statuses)
    }
}

#[async_trait]
impl ConfigStore for FaultyStore {
    async fn get(&self, namespace: Namespace, key: &str) -> Result<Option<Value>> {
        let value = self.memory.get(self.namespace(namespace), &self.key(key)).await?;
        Ok(value.filter(|value| !(self.is(Fault::NullIsTreatedAsMissing) && value.is_null())))
    }

    async fn put(&self, namespace: Namespace, key: &str, value: &Value) -> Result<()> {
        self.memory.put(self.namespace(namespace), &self.key(key), value).await
    }

    async fn remove(&self, namespace: Namespace, key: &str) -> Result<bool> {
        if self.is(Fault::RemoveDoesNothing) {
            return Ok(self.get(namespace, key).await?.is_some());
        }
        let removed = self.memory.remove(self.namespace(namespace), &self.key(key)).await?;
        Ok(removed || self.is(Fault::RemoveAlwaysReturnsTrue))
    }

    async fn list(&self, namespace: Namespace) -> Result<Vec<(String, Value)>> {
        let mut list = self.memory.list(self.namespace(namespace)).await?;
        if self.is(Fault::ListIsUnordered) {
            list.reverse();
        }
        Ok(list)
    }

    async fn snapshot(&self) -> Result<ConfigSnapshot> {
        let (connector, resources) = (self.list(Namespace::Connector).await?, self.list(Namespace::Resource).await?);
        Ok(match self.fault {
            Fault::SnapshotSwapsNamespaces => ConfigSnapshot::new(resources, connector),
            _ => ConfigSnapshot::new(connector, resources),
        })
    }
}

#[test]
fn a_state_store_with_one_fault_fails_the_checks_of_that_fault() {
    let expected: [(Fault, &[&str]); 20] = [
        (Fault::None, &[]),
        (Fault::OnlyOneRunIsAppended, &["clause_10_append_runs_stores_records_and_nothing_else"]),
        (Fault::AppendedRunsMakeStates, &["clause_10_append_runs_stores_records_and_nothing_else"]),
        (
            Fault::AppendReturnsTheBase,
            &[
                "clause_1_append_adds_and_latest_returns",
                "clause_1_versions_increase",
                "clause_4_a_record_replaces_the_one_of_the_same_run",
            ],
        ),
        (Fault::TimesStepBack, &["clause_2_entries_stay_ordered_when_the_clock_steps_back"]),
        (Fault::RefusedRunsAreStored, &["clause_3_a_stale_base_is_refused_and_stores_nothing"]),
        (
            Fault::RunsAreNotReplaced,
            &[
                "clause_4_a_record_replaces_the_one_of_the_same_run",
                "clause_9_a_new_entry_ends_the_runs_that_it_supersedes",
            ],
        ),
        (Fault::HistoryIgnoresTheLimit, &["clause_5_history_returns_the_newest_first"]),
        (Fault::RunsAreOrderedById, &["clause_5_runs_are_ordered_by_start_then_id"]),
        (
            Fault::RunsIgnoreTheStream,
            &[
                "clause_5_runs_are_selected_by_resource_and_stream",
                "clause_6_prune_keeps_the_newest",
                "clause_7_streams_of_a_resource_do_not_share_entries",
                "clause_9_a_new_entry_ends_no_run_of_another_stream",
                "clause_10_append_runs_stores_records_and_nothing_else",
            ],
        ),
        (
            Fault::RunsAreLimitedBeforeTheyAreSelected,
            &[
                "clause_5_runs_are_selected_by_resource_and_stream",
                "clause_7_any_text_is_a_legal_key_and_keys_do_not_share_entries",
                "clause_7_streams_of_a_resource_do_not_share_entries",
                "clause_10_append_runs_stores_records_and_nothing_else",
            ],
        ),
        (Fault::PruneMiscounts, &["clause_6_prune_keeps_the_newest"]),
        (Fault::PruneTakesAllStreams, &["clause_6_prune_keeps_the_newest"]),
        (Fault::KeysIgnoreCase, &["clause_7_any_text_is_a_legal_key_and_keys_do_not_share_entries"]),
        (
            Fault::KeysIgnoreTheStream,
            &[
                "clause_6_prune_keeps_the_newest",
                "clause_7_streams_of_a_resource_do_not_share_entries",
                "clause_9_a_new_entry_ends_no_run_of_another_stream",
                "clause_10_append_runs_stores_records_and_nothing_else",
            ],
        ),
        (Fault::KeysAreJoinedByASlash, &["clause_7_streams_of_a_resource_do_not_share_entries"]),
        (Fault::TimesLoseTheirFraction, &["clause_7_values_come_back_equal"]),
        (Fault::LatestManyIsReversed, &["clause_8_latest_many_is_what_latest_and_runs_return"]),
        (
            Fault::SupersededRunsStayRunning,
            &[
                "clause_9_a_new_entry_ends_the_runs_that_it_supersedes",
                "clause_9_a_new_entry_ends_no_run_of_another_stream",
            ],
        ),
        (
            Fault::RunsOfOtherStreamsAreSuperseded,
            &[
                "clause_9_a_new_entry_ends_no_run_of_another_stream",
                "clause_10_append_runs_stores_records_and_nothing_else",
            ],
        ),
    ];
    for (fault, checks) in expected {
        let fresh: Fresh<dyn StateStore> =
            Fresh::new(move || async move { Arc::new(FaultyStore::new(fault)) as Arc<dyn StateStore> });
        assert_eq!(failing(state_store(), &fresh), checks, "{fault:?}");
    }
}

#[test]
fn a_config_store_with_one_fault_fails_the_checks_of_that_fault() {
    let expected: [(Fault, &[&str]); 8] = [
        (Fault::None, &[]),
        (Fault::RemoveDoesNothing, &["clause_1_a_removed_key_is_gone", "clause_4_put_and_remove_are_idempotent"]),
        (Fault::RemoveAlwaysReturnsTrue, &["clause_4_put_and_remove_are_idempotent"]),
        (Fault::NamespacesAreShared, &["clause_2_namespaces_do_not_share_keys"]),
        (Fault::ListIsUnordered, &["clause_3_list_returns_every_entry_ordered_by_key"]),
        (Fault::KeysAreTrimmed, &["clause_5_any_text_is_a_legal_key"]),
        (Fault::NullIsTreatedAsMissing, &["clause_5_values_come_back_equal"]),
        (Fault::SnapshotSwapsNamespaces, &["clause_6_a_snapshot_is_what_list_returns"]),
    ];
    for (fault, checks) in expected {
        let fresh: Fresh<dyn ConfigStore> =
            Fresh::new(move || async move { Arc::new(FaultyStore::new(fault)) as Arc<dyn ConfigStore> });
        assert_eq!(failing(config_store(), &fresh), checks, "{fault:?}");
    }
}
