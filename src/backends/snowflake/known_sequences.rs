//! Remembers sequences between a query of states and the runs that continue from them.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::Sequence;

/// How long sequences that `latest_many` has read serve later calls.
const KNOWN_FOR: Duration = Duration::from_secs(300);

/// The sequences that `latest_many` has read along with the states, so that an idle ingestion needs no further statement.
///
/// They are those of the same snapshot as the states that runs continue from. A run that continues from one of them and meets older
/// sequences than the tables have reads less; if another run has committed to its stream meanwhile, it is refused. Every commit of this
/// backend, and every single state that it reads, makes it forget those of the resource.
#[derive(Debug, Default)]
pub(super) struct KnownSequences(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    by_resource: HashMap<String, BTreeMap<String, Sequence>>,
    read_at: Option<Instant>,
    /// The number of calls of [`KnownSequences::forget`].
    forgotten: u64,
}

impl KnownSequences {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// To be called before the sequences are read; returns what [`keep`](Self::keep) needs.
    pub(super) fn begin(&self) -> u64 {
        self.known().forgotten
    }

    /// Keeps sequences, unless some were forgotten since `begun`.
    pub(super) fn keep(&self, begun: u64, by_resource: HashMap<String, BTreeMap<String, Sequence>>) {
        let mut known = self.known();
        known.by_resource = if known.forgotten == begun { by_resource } else { HashMap::new() };
        known.read_at = Some(Instant::now());
    }

    pub(super) fn forget(&self, resource: &str) {
        let mut known = self.known();
        known.by_resource.remove(resource);
        known.forgotten += 1;
    }

    pub(super) fn get(&self, resource: &str) -> Option<BTreeMap<String, Sequence>> {
        let known = self.known();
        known.read_at.filter(|read_at| read_at.elapsed() < KNOWN_FOR)?;
        known.by_resource.get(resource).cloned()
    }
}
