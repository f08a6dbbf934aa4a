//! Compares the rows before and after runs.

use super::*;

/// An unfinished reconcile run, and the issues that it has listed.
type Unfinished = Option<(RunId, BTreeSet<u64>)>;

/// The state before a run.
pub(super) struct Before {
    snapshots: [Snapshot; 2],
    from_start: [[bool; 2]; 2],
    /// The unfinished reconcile runs.
    reconciles: [[Unfinished; 2]; 2],
    /// Issues that once existed and are gone.
    gone: [BTreeSet<u64>; 2],
    rows: [[Vec<FoundRow>; 2]; 2],
    states: [[Option<StateEntry>; 2]; 2],
}

impl Trial {
    /// The initial state of each stream: the upstream, the rows, and whether a reset is pending.
    pub(super) async fn begin(&self, destination: &Destination) -> Before {
        let snapshots = self.scenario.snapshots();
        let (mut from_start, mut rows) = ([[false; 2]; 2], <[[Vec<FoundRow>; 2]; 2]>::default());
        let mut states = <[[Option<StateEntry>; 2]; 2]>::default();
        for (which, stream) in all_streams() {
            rows[which][stream] = destination.rows(&resource(which), STREAMS[stream]).await;
            rows[which][stream].sort();
            let entry = destination.backend().latest(&key(which, stream)).await.unwrap();
            states[which][stream] = entry.clone();
            let state = entry.map(|entry| entry.state);
            // After a reset, an ordinary run continues the read that the reset has begun.
            let resumes = |state: snowfeed::StreamState| match state.reconcile {
                Some(reconcile) if reconcile.is_reset => reconcile.checkpoint,
                _ => state.checkpoint,
            };
            from_start[which][stream] = state.and_then(resumes).is_none();
        }
        let reconciles = [0, 1].map(|which| {
            self.scenario
                .reference(which, |reference| reference.streams.each_ref().map(|stream| stream.reconcile.clone()))
        });
        let gone = [0, 1].map(|which| self.scenario.reference(which, |reference| reference.gone(&snapshots[which])));
        Before { snapshots, from_start, reconciles, gone, rows, states }
    }

    /// Streams that were not read have the same rows and the same state, and of the failing stream, nothing was deleted.
    pub(super) async fn assert_untouched(
        &self,
        destination: &Destination,
        before: &Before,
        read: &[(RepositoryIndex, StreamIndex)],
        failing: Option<StreamIndex>,
    ) {
        for which in [0, 1] {
            let Some(stream) = failing else { break };
            let rows = destination.rows(&resource(which), STREAMS[stream]).await;
            assert_none_deleted(&before.rows[which][stream], &rows);
        }
        for (which, stream) in all_streams().filter(|one| !read.contains(one)) {
            let mut rows = destination.rows(&resource(which), STREAMS[stream]).await;
            rows.sort();
            assert_eq!(rows, before.rows[which][stream], "{} was not read", key(which, stream));
            let state = destination.backend().latest(&key(which, stream)).await.unwrap();
            assert_eq!(state, before.states[which][stream], "{} was not read", key(which, stream));
        }
    }

    /// Checks what complete runs have stored.
    pub(super) async fn end(&self, destination: &Destination, before: &Before, runs: &[RunRecord]) {
        let rows = self.assert_invariants(destination).await;
        let now = self.scenario.snapshots();
        for run in runs.iter().filter(|run| run.status == RunStatus::Complete) {
            let (which, stream) = indexes(run);
            let snapshot = &before.snapshots[which];
            let resumed = before.reconciles[which][stream].as_ref();
            let everything = match run.mode {
                Mode::Incremental => before.from_start[which][stream],
                _ => resumed.is_none(),
            };
            let coverage = if everything { Coverage::Everything } else { Coverage::Changes };
            self.scenario.reference(which, |reference| {
                reference.assert_complete_run(snapshot, &now[which], &rows[which][stream], coverage);
                if run.mode == Mode::Reconcile {
                    let gone = resumed.map_or(&before.gone[which], |(_, gone)| gone);
                    reference.assert_swept(stream, gone);
                }
            });
        }
    }
}

/// No row that was live is marked deleted.
fn assert_none_deleted(before: &[FoundRow], after: &[FoundRow]) {
    let deleted = |rows: &[FoundRow]| rows.iter().filter(|row| row.deleted).count();
    assert!(deleted(after) <= deleted(before), "a failing stream deleted rows");
}
