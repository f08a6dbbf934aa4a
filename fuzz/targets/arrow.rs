//! Rows in Arrow's format, as they are stored: they are parsed or rejected, and nothing panics.
#![no_main]

use std::panic;

use libfuzzer_sys::fuzz_target;
use snowfeed::internals::snowflake::fuzzing::part;

// A panic that the library catches and treats as garbage is not a finding; one that escapes still ends the process.
fuzz_target!(init: panic::set_hook(Box::new(|_| {})), |bytes: &[u8]| {
    let Some(rows) = part(bytes, true) else { return };
    assert!(rows.iter().all(|row| row.0.len() == rows[0].0.len()), "rows of different widths");
});
