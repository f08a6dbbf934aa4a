//! The run's credit budget.
//!
//! An account's bill is known only hours later. So the run adds up the highest possible cost of its steps, and ends before that
//! reaches the limit.

use std::sync::Mutex;
use std::time::Duration;

use crate::step::Uses;

/// Credits per hour of an X-Small warehouse.
const WAREHOUSE: f64 = 1.0;

/// Credits per hour of a serverless task of the size XSMALL and a `CPU_X64_XS` node, in addition to the warehouse.
const CONTAINER: f64 = 0.9 + 0.06;

/// The part of the limit that is reserved for the clean-up and for the time until the warehouse is suspended.
const RESERVE: f64 = 0.1;

/// Starting a warehouse is billed as at least a minute, and it stays awake for as long after the last statement.
const AWAKE: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(crate) struct Budget {
    limit: f64,
    spent: Mutex<f64>,
}

impl Uses {
    /// Credits per hour, at most.
    fn rate(self) -> f64 {
        match self {
            Self::Nothing => 0.0,
            Self::Warehouse => WAREHOUSE,
            Self::Container => WAREHOUSE + CONTAINER,
        }
    }
}

impl Budget {
    pub(crate) fn new(limit: f64) -> Self {
        Self { limit, spent: Mutex::new(0.0) }
    }

    pub(crate) fn limit(&self) -> f64 {
        self.limit
    }

    /// How long a step may take. `None`: it costs nothing.
    pub(crate) fn time_left(&self, uses: Uses) -> Option<Duration> {
        let rate = uses.rate();
        if rate == 0.0 {
            return None;
        }
        let left = (self.limit * (1.0 - RESERVE) - *self.spent.lock().unwrap()).max(0.0);
        Some(Duration::from_secs_f64(left / rate * 3600.0))
    }

    /// Counts a step.
    pub(crate) fn spend(&self, uses: Uses, took: Duration) {
        *self.spent.lock().unwrap() += uses.rate() * took.as_secs_f64() / 3600.0;
    }

    /// The credits spent, at most.
    pub(crate) fn spent(&self) -> f64 {
        let spent = *self.spent.lock().unwrap();
        if spent == 0.0 { 0.0 } else { spent + WAREHOUSE * AWAKE.as_secs_f64() / 3600.0 }
    }
}
