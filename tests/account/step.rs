//! A step of the run, and how it can end.

use std::time::Duration;

use futures::future::BoxFuture;
use snowfeed::Error;

use crate::scene::Scene;

/// A part of the run that is tested and reported separately.
pub(crate) struct Step {
    /// Its name in `SNOWFEED_ACCOUNT_STEPS`, in the report, and in `docs/unverified.md`.
    pub(crate) name: &'static str,
    /// The claim that it verifies.
    pub(crate) claim: &'static str,
    /// The steps that it depends on.
    pub(crate) needs: &'static [&'static str],
    /// What it keeps awake.
    pub(crate) uses: Uses,
    pub(crate) run: for<'a> fn(&'a Scene<'a>) -> BoxFuture<'a, Ended>,
}

/// The billed resources while a step runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Uses {
    Nothing,
    /// An X-Small warehouse.
    Warehouse,
    /// The warehouse, serverless tasks, and a node of a compute pool.
    Container,
}

/// A step's extra findings, or why it failed.
pub(crate) type Ended = Result<Vec<String>, Stop>;

/// Why a step ended early.
#[derive(Debug)]
pub(crate) enum Stop {
    /// A claim does not hold.
    NotHeld(String),
    /// The account lacks a feature or an input.
    Skipped(String),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        let report = error.report();
        Self::NotHeld([report.message].into_iter().chain(report.causes).collect::<Vec<_>>().join(": "))
    }
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Held,
    NotHeld(String),
    Skipped(String),
    /// The credit limit or a signal stopped it, or kept it from starting.
    Stopped(String),
}

impl Outcome {
    /// Its name in the report.
    pub(crate) fn label(&self) -> (&'static str, &str) {
        match self {
            Self::Held => ("held", ""),
            Self::NotHeld(why) => ("**not held**", why),
            Self::Skipped(why) => ("skipped", why),
            Self::Stopped(why) => ("stopped", why),
        }
    }
}

impl From<Stop> for Outcome {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::NotHeld(why) => Self::NotHeld(why),
            Stop::Skipped(why) => Self::Skipped(why),
        }
    }
}

/// The outcome of a step.
#[derive(Debug, Clone)]
pub(crate) struct Done {
    pub(crate) name: &'static str,
    pub(crate) claim: &'static str,
    pub(crate) outcome: Outcome,
    pub(crate) notes: Vec<String>,
    pub(crate) took: Duration,
}

/// Ends the step as failed unless a condition is true.
macro_rules! ensure {
    ($condition:expr, $($text:tt)+) => {
        if !$condition {
            return Err($crate::step::Stop::NotHeld(format!($($text)+)));
        }
    };
}

pub(crate) use ensure;
