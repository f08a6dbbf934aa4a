//! Snowflake's JSON responses: they are parsed or rejected, and nothing panics.
#![no_main]

use libfuzzer_sys::fuzz_target;
use snowfeed::internals::snowflake::fuzzing::{answer, part};

fuzz_target!(|body: &[u8]| {
    let _ = part(body, false);
    let Some(answer) = answer(body) else { return };
    let _ = answer.rows_affected();
    for row in &answer.rows {
        for column in 0..=row.0.len() {
            let _ = (row.get(column), row.text(column), row.integer(column), row.boolean(column));
        }
    }
});
