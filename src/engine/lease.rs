//! The lease of a run: until when its record can be believed that it is running.

use std::pin::pin;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::sleep;

use super::Connector;
use crate::{RunRecord, RunStatus, StateChange, StateVersion};

/// How often a run that waits renews its lease, where that is free.
const RENEW_EVERY: Duration = Duration::from_secs(30);

/// The length of a lease that is renewed by time: several renewals may fail or be late.
const LEASE: SignedDuration = SignedDuration::from_mins(3);

/// The length in a metered store, where only commits renew it: longer than the longest wait of a healthy run, which is that for the next
/// hour of a remote's limit.
const LEASE_METERED: SignedDuration = SignedDuration::from_hours(2);

/// The record of a run as it was last stored, or is to be stored first. Locked while a commit stores another one, so that a renewal
/// does not replace that by an older one.
#[derive(Debug)]
pub(super) struct Lease(Mutex<RunRecord>);

impl Lease {
    pub(super) fn new(record: RunRecord) -> Self {
        Self(Mutex::new(record))
    }

    /// Waits until no renewal is under way. The caller stores the record that it leaves.
    pub(super) async fn lock(&self) -> MutexGuard<'_, RunRecord> {
        self.0.lock().await
    }

    /// Renews the lease while `work` goes on. No renewal is under way when it returns.
    pub(super) async fn keep<T>(&self, connector: &Connector, work: impl Future<Output = T>) -> T {
        if connector.state.is_metered() {
            return work.await;
        }
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = sleep(RENEW_EVERY) => {}
            }
            let mut renewal = pin!(self.renew(connector));
            tokio::select! {
                biased;
                done = &mut work => {
                    renewal.await;
                    return done;
                }
                () = &mut renewal => {}
            }
        }
    }

    async fn renew(&self, connector: &Connector) {
        let mut record = self.lock().await;
        if record.status != RunStatus::Running {
            return;
        }
        let now = connector.now();
        record.lease_until = Some(connector.lease_until(now));
        let key = record.key();
        let change = StateChange::new(key, StateVersion::NONE, now).run(record.clone());
        if let Err(error) = connector.state.append(change).await {
            tracing::warn!(resource = %record.resource, %error, "the lease of a run could not be renewed");
        }
    }
}

impl Connector {
    /// The end of a lease that begins now.
    pub(super) fn lease_until(&self, now: Timestamp) -> Timestamp {
        let length = if self.state.is_metered() {
            let commit_after = SignedDuration::try_from(self.limits.commit_after).unwrap_or(SignedDuration::MAX);
            LEASE_METERED.saturating_add(commit_after)
        } else {
            LEASE
        };
        now.saturating_add(length).unwrap_or(Timestamp::MAX)
    }
}
