//! The credits that a connector has used of its budget.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde_json::Value;

use crate::cost::{Budget, BudgetUse, Credits, Spending};
use crate::{Error, Result};

/// The key in the connector's configuration under which the budget is stored.
pub(super) const BUDGET_KEY: &str = "budget";

/// What this process knows of the credits that are used: what the states said, and its own commits since. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct BudgetMeter(Arc<Mutex<Option<Metered>>>);

#[derive(Debug)]
struct Metered {
    budget: Budget,
    /// That of each stream, as the states said.
    stored: Vec<Spending>,
    /// That of this process's commits since.
    own: Spending,
    /// The pause that was reported.
    reported: Option<Timestamp>,
}

impl BudgetMeter {
    fn lock(&self) -> MutexGuard<'_, Option<Metered>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins with what the states of all streams say; `None`: there is no budget.
    pub(super) fn set(&self, found: Option<(Budget, Vec<Spending>)>) {
        let mut metered = self.lock();
        let reported = metered.as_ref().and_then(|metered| metered.reported);
        *metered = found.map(|(budget, stored)| Metered { budget, stored, own: Spending::default(), reported });
    }

    /// Adds what a commit has used.
    pub(super) fn add(&self, credits: Credits, at: Timestamp) {
        if let Some(metered) = &mut *self.lock() {
            metered.own.add(credits, at);
        }
    }

    /// How much of the budget is used.
    pub(super) fn used(&self, at: Timestamp) -> Option<BudgetUse> {
        let metered = self.lock();
        let Metered { budget, stored, own, .. } = metered.as_ref()?;
        match BudgetUse::new(*budget, stored.iter().chain([own]), at) {
            Ok(used) => Some(used),
            Err(error) => {
                tracing::error!(%error, "the budget is not checked");
                None
            }
        }
    }

    /// Notes that a pause is reported. Returns whether it was not.
    pub(super) fn note_pause(&self, paused_until: Timestamp) -> bool {
        self.lock().as_mut().is_some_and(|metered| metered.reported.replace(paused_until) != Some(paused_until))
    }
}

/// Reads a stored budget.
pub(super) fn parse_budget(stored: Option<Value>) -> Result<Option<Budget>> {
    let Some(stored) = stored else { return Ok(None) };
    serde_json::from_value(stored).map(Some).map_err(|error| {
        Error::configuration(format!("the stored budget is invalid: {error}"))
            .with_help("store another one: `configure --budget 1.5/day`, or `configure --budget none`")
    })
}
