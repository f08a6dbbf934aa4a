//! The memory of the response bodies that are being received.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Mutex, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};

use crate::{Error, Result};

/// The memory for the bodies of all requests under way, except the one that may exceed it, in bytes.
const TOTAL: usize = 8 << 20;

/// The unit of memory, in bytes.
const UNIT: usize = 1 << 10;

/// The memory with which a request is sent at least, in bytes.
const MINIMUM: usize = 16 << 10;

/// The expected size of a body before any has arrived, in bytes.
const UNKNOWN: usize = 1 << 20;

/// Bounds the memory for response bodies, across all requests of a client.
///
/// A request is sent only once there is memory for a body of the usual size. A larger body gets what is free, and otherwise
/// waits for its turn: one body at a time may grow beyond the total, so that a server whose responses never end does not take
/// the maximum size many times over.
#[derive(Debug)]
pub(super) struct BodyMemory {
    units: Arc<Semaphore>,
    /// The size that the next body is expected to have, in bytes.
    expected: AtomicUsize,
    oversized: Arc<Mutex<()>>,
}

/// The memory of one body, returned when it is dropped.
#[derive(Debug)]
pub(super) struct MemoryPermit {
    memory: Arc<BodyMemory>,
    units: OwnedSemaphorePermit,
    oversized: Option<OwnedMutexGuard<()>>,
}

impl BodyMemory {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            units: Arc::new(Semaphore::new(TOTAL / UNIT)),
            expected: AtomicUsize::new(UNKNOWN),
            oversized: Arc::new(Mutex::new(())),
        })
    }

    /// Waits for the memory of a body of the expected size.
    pub(super) async fn acquire(self: &Arc<Self>) -> Result<MemoryPermit> {
        let units = units(self.expected.load(Ordering::Relaxed).clamp(MINIMUM, TOTAL));
        let units = self.units.clone().acquire_many_owned(units).await;
        let units = units.map_err(|error| Error::internal("the memory for bodies is closed").with_source(error))?;
        Ok(MemoryPermit { memory: self.clone(), units, oversized: None })
    }

    /// Records a body's size: a larger one counts at once, smaller ones gradually.
    fn received(&self, bytes: usize) {
        let adapted = |expected: usize| Some(bytes.max(expected - expected / 8));
        // The closure always returns a value.
        let _ = self.expected.fetch_update(Ordering::Relaxed, Ordering::Relaxed, adapted);
    }
}

impl MemoryPermit {
    /// Waits until the body may grow to this many bytes.
    pub(super) async fn grow(&mut self, bytes: usize) {
        let wanted = bytes.div_ceil(UNIT);
        let held = self.units.num_permits();
        if self.oversized.is_some() || wanted <= held {
            return;
        }
        // More than is needed now: a body arrives in many small pieces.
        let more = (wanted - held).max(MINIMUM / UNIT);
        match self.memory.units.clone().try_acquire_many_owned(u32::try_from(more).unwrap_or(u32::MAX)) {
            Ok(more) => self.units.merge(more),
            Err(_) => self.oversized = Some(self.memory.oversized.clone().lock_owned().await),
        }
    }

    /// Records the length of the complete body.
    pub(super) fn complete(self, bytes: usize) {
        self.memory.received(bytes);
    }
}

fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    /// Acquires memory for as many bodies as possible.
    fn acquire_all(memory: &Arc<BodyMemory>) -> Vec<MemoryPermit> {
        // Tokio would make a task yield that acquires this much at once.
        let permit = || tokio::task::unconstrained(memory.acquire()).now_or_never();
        std::iter::from_fn(permit).map(Result::unwrap).collect()
    }

    #[tokio::test]
    async fn memory_is_acquired_for_bodies_of_the_usual_size() {
        let memory = BodyMemory::new();
        let mut under_way = acquire_all(&memory);
        assert_eq!(under_way.len(), TOTAL / UNKNOWN);
        under_way.pop().unwrap().complete(100);
        drop(under_way);
        // After small bodies, more and more requests get memory.
        for _ in 0..100 {
            memory.acquire().await.unwrap().complete(100);
        }
        assert_eq!(acquire_all(&memory).len(), TOTAL / MINIMUM);
    }

    #[tokio::test]
    async fn only_one_body_at_a_time_exceeds_the_memory() {
        let memory = BodyMemory::new();
        let mut under_way = acquire_all(&memory);
        let (mut first, mut second) = (under_way.pop().unwrap(), under_way.pop().unwrap());
        first.grow(64 << 20).await;
        assert!(second.grow(2 << 20).now_or_never().is_none());
        first.complete(64 << 20);
        // The memory of the first one is free again.
        second.grow(2 << 20).await;
        assert!(second.oversized.is_none());
    }
}
