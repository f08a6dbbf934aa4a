//! A stored checkpoint: it is rejected, or it survives a round trip unchanged.
#![no_main]

use libfuzzer_sys::fuzz_target;
use snowfeed::Checkpoint;
use snowfeed::sources::github::fuzzing::rewritten;

fuzz_target!(|text: &str| {
    let Ok(checkpoint) = serde_json::from_str::<Checkpoint>(text) else { return };
    let Some(once) = rewritten(&checkpoint) else { return };
    assert_eq!(rewritten(&once), Some(once));
});
