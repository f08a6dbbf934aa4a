//! What a checkpoint of the GitHub source claims, for tests that compare it with the rows.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use jiff::Timestamp;
use serde_json::Value;

/// What a checkpoint claims as delivered, read as its format (`v` 1) is documented and not as the program reads it.
pub(crate) struct CheckpointClaims {
    /// The parts of the time line that are still unread: from (inclusive), to (exclusive).
    open: Vec<(Timestamp, Timestamp)>,
    /// Everything from here on will be requested again.
    again: Timestamp,
}

impl CheckpointClaims {
    /// Without a checkpoint, nothing.
    pub(crate) fn parse(checkpoint: Option<&Value>) -> Self {
        let nothing = Self { open: Vec::new(), again: Timestamp::MIN };
        let Some(checkpoint) = checkpoint.filter(|checkpoint| checkpoint.is_object()) else { return nothing };
        assert_eq!(checkpoint["v"], 1, "{checkpoint}");
        let time = |value: &Value| value.as_str().map(|text| text.parse::<Timestamp>().unwrap());
        let ranges = checkpoint["ranges"].as_array().unwrap();
        if ranges.is_empty() {
            return Self { again: time(&checkpoint["anchor"]).unwrap_or(Timestamp::MIN), ..nothing };
        }
        let open = ranges.iter().map(|range| {
            let from = time(&range["at"]).or(time(&range["from"])).unwrap_or(Timestamp::MIN);
            (from, time(&range["to"]).unwrap_or(Timestamp::MAX))
        });
        Self { open: open.collect(), again: time(&checkpoint["hwm"]).unwrap_or(Timestamp::MAX) }
    }

    /// Whether records with this update time are claimed as delivered.
    pub(crate) fn cover(&self, updated: Timestamp) -> bool {
        // One second before it is requested again, because a server may leave out the exact second of `since`.
        let second = jiff::SignedDuration::from_secs(1);
        updated.saturating_add(second).unwrap_or(updated) < self.again
            && !self.open.iter().any(|(from, to)| *from <= updated && updated < *to)
    }
}
