//! The memory of the bodies that are being received.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Mutex, MutexGuard, Semaphore, SemaphorePermit};

use crate::{Error, Result};

/// What the bodies of all requests under way take at most, but for the one whose turn it is to be larger, in bytes.
pub(super) const TOTAL: usize = 8 << 20;

/// The unit in which room is given, in bytes.
const UNIT: usize = 1 << 10;

/// The least room with which a request is sent, in bytes.
const LEAST: usize = 16 << 10;

/// What a body is taken for before any has come.
const UNKNOWN: usize = 1 << 20;

/// Room for bodies, of all requests of a client.
///
/// However many requests may be under way, only as many set out as have room for a body of the usual size. A body that turns
/// out larger gets what is free, and otherwise waits for its turn: one body at a time may grow without room, so that a server
/// whose answers never end does not take the longest body's memory many times over.
#[derive(Debug)]
pub(super) struct Bodies {
    units: Semaphore,
    /// The size that the next body is expected to have, in bytes.
    expected: AtomicUsize,
    turn: Mutex<()>,
}

/// One body's room; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Room<'a> {
    bodies: &'a Bodies,
    units: SemaphorePermit<'a>,
    turn: Option<MutexGuard<'a, ()>>,
}

impl Bodies {
    pub(super) fn new() -> Self {
        Self { units: Semaphore::new(TOTAL / UNIT), expected: AtomicUsize::new(UNKNOWN), turn: Mutex::new(()) }
    }

    /// Waits for room for a body of the expected size.
    pub(super) async fn enter(&self) -> Result<Room<'_>> {
        let units = units(self.expected.load(Ordering::Relaxed).clamp(LEAST, TOTAL));
        let units = self.units.acquire_many(units).await;
        let units = units.map_err(|error| Error::internal("the room for bodies is closed").with_source(error))?;
        Ok(Room { bodies: self, units, turn: None })
    }

    /// Takes note of a body's size: larger ones count at once, smaller ones little by little.
    fn received(&self, bytes: usize) {
        let adapted = |expected: usize| Some(bytes.max(expected - expected / 8));
        // It always gives a value.
        let _ = self.expected.fetch_update(Ordering::Relaxed, Ordering::Relaxed, adapted);
    }
}

impl Room<'_> {
    /// Waits until the body may grow to this many bytes.
    pub(super) async fn grow(&mut self, bytes: usize) {
        let wanted = bytes.div_ceil(UNIT);
        let held = self.units.num_permits();
        if self.turn.is_some() || wanted <= held {
            return;
        }
        // More than is needed now: a body comes in many small pieces.
        let more = (wanted - held).max(LEAST / UNIT);
        match self.bodies.units.try_acquire_many(u32::try_from(more).unwrap_or(u32::MAX)) {
            Ok(more) => self.units.merge(more),
            Err(_) => self.turn = Some(self.bodies.turn.lock().await),
        }
    }

    /// The body is complete; `bytes` is its length.
    pub(super) fn done(self, bytes: usize) {
        self.bodies.received(bytes);
    }
}

fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    /// Sets out as often as there is room at once.
    fn set_out(bodies: &Bodies) -> Vec<Room<'_>> {
        // Tokio would make a task wait that gets so much at once.
        let room = || tokio::task::unconstrained(bodies.enter()).now_or_never();
        std::iter::from_fn(room).map(Result::unwrap).collect()
    }

    #[tokio::test]
    async fn as_many_set_out_as_have_room_for_the_usual_body() {
        let bodies = Bodies::new();
        let mut under_way = set_out(&bodies);
        assert_eq!(under_way.len(), TOTAL / UNKNOWN);
        under_way.pop().unwrap().done(100);
        drop(under_way);
        // Small bodies let more and more requests set out.
        for _ in 0..100 {
            bodies.enter().await.unwrap().done(100);
        }
        assert_eq!(set_out(&bodies).len(), TOTAL / LEAST);
    }

    #[tokio::test]
    async fn a_body_that_finds_no_room_waits_for_its_turn_and_only_one_has_it() {
        let bodies = Bodies::new();
        let mut under_way = set_out(&bodies);
        let (mut first, mut second) = (under_way.pop().unwrap(), under_way.pop().unwrap());
        first.grow(64 << 20).await;
        assert!(second.grow(2 << 20).now_or_never().is_none());
        first.done(64 << 20);
        // What the first one had is free again.
        second.grow(2 << 20).await;
        assert!(second.turn.is_none());
    }
}
