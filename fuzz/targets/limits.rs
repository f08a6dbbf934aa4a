//! A response's rate limits: lines `name: value`, an empty line, and the body. The status is the header `status`, our
//! clock the header `now`, in seconds. No response makes the client wait for more than a year and a day.
#![no_main]

use std::time::Duration;

use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use snowfeed::http::fuzzing::longest_wait;

const HEADERS: [&str; 5] = ["date", "retry-after", "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"];
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

fuzz_target!(|text: &str| {
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let lines = || head.lines().filter_map(|line| line.split_once(": "));
    let number =
        |wanted: &str| lines().find(|(name, _)| *name == wanted).and_then(|(_, value)| value.parse::<i64>().ok());
    let status = number("status").and_then(|status| u16::try_from(status).ok()).unwrap_or(403);
    let now = number("now").and_then(|now| Timestamp::from_second(now).ok()).unwrap_or(Timestamp::UNIX_EPOCH);
    let headers: Vec<(&'static str, &[u8])> = lines()
        .filter_map(|(name, value)| Some((*HEADERS.iter().find(|known| **known == name)?, value.as_bytes())))
        .collect();
    let wait = longest_wait(status, &headers, body.as_bytes(), now);
    assert!(wait <= LONGEST, "{wait:?}");
});
