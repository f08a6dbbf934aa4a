//! The rate limits that a response reports. Pure functions; the clock is an argument.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use reqwest::header::{DATE, HeaderMap, HeaderName, RETRY_AFTER};

use super::combined::{CombinedLimit, combined};

/// A longer wait is a mistake of the server, and would overflow clocks.
const MAX_WAIT: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// The first wait for a limit of unknown length, as GitHub advises; it doubles up to the second.
const DEFAULT_WAIT: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(15 * 60)];

/// How much of the primary limit is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) struct Quota {
    pub(in crate::http) remaining: u64,
    pub(in crate::http) limit: Option<u64>,
    /// The time until the window ends, by the server's clock.
    pub(in crate::http) reset: Option<Duration>,
}

impl Quota {
    /// Reads the limit of which the least is left, where a server tells several.
    pub(in crate::http) fn from_headers(headers: &HeaderMap, now: Timestamp) -> Option<Self> {
        let of = |limit: &&str| {
            Some(Self {
                remaining: number(headers, limit, "remaining")?,
                limit: number(headers, limit, "limit"),
                reset: reset(headers, limit, now),
            })
        };
        let combined = combined(headers).into_iter().map(|CombinedLimit { remaining, limit, reset }| {
            let reset = reset.and_then(|reset| window_end(reset, headers, now));
            Self { remaining, limit, reset }
        });
        Self::limits(headers).iter().filter_map(of).chain(combined).min_by_key(Self::share)
    }

    /// The names of the limits that headers tell; only the one without a name, if there is one.
    fn limits(headers: &HeaderMap) -> Vec<&str> {
        let of = |name| ["remaining", "reset"].into_iter().find_map(|ending| limit_of(name, ending));
        let mut limits: Vec<&str> = headers.keys().filter_map(|name| of(name.as_str())).collect();
        if limits.contains(&"") {
            limits.retain(|limit| limit.is_empty());
        }
        limits
    }

    /// The share that is left, in millionths; all of it where the limit is not known, unless nothing is left.
    fn share(&self) -> u128 {
        match self.limit {
            Some(limit) if limit > 0 => u128::from(self.remaining) * 1_000_000 / u128::from(limit),
            _ if self.remaining == 0 => 0,
            _ => 1_000_000,
        }
    }

    /// Whether `percent` of the quota is used.
    pub(in crate::http) fn is_spent(&self, percent: u8) -> bool {
        let is_used_up = |limit: u64| {
            let kept = u128::from(limit) * u128::from(100 - percent.min(100));
            u128::from(self.remaining) * 100 <= kept
        };
        self.limit.map_or(self.remaining == 0, is_used_up)
    }
}

/// The limit that rejected a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Limit {
    /// Too many requests within an hour.
    Primary,
    /// Too many at once, or in too short a time.
    Secondary,
}

/// A rate limit's rejection of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) struct Throttled {
    pub(in crate::http) limit: Limit,
    /// How long to wait, if the server reports it.
    wait: Option<Duration>,
}

impl Throttled {
    /// Recognizes a response of a rate limit.
    pub(in crate::http) fn from_response(
        status: u16,
        headers: &HeaderMap,
        body: &[u8],
        now: Timestamp,
    ) -> Option<Self> {
        if !matches!(status, 403 | 429) {
            return None;
        }
        let body = String::from_utf8_lossy(body).to_ascii_lowercase();
        let says = |phrases: [&str; 2]| phrases.iter().any(|phrase| body.contains(phrase));
        let quota = Quota::from_headers(headers, now).filter(|quota| quota.remaining == 0);
        let after = retry_after(headers, now);
        let limit = if says(["secondary rate limit", "abuse"]) {
            Limit::Secondary
        } else if quota.is_some() || says(["api rate limit exceeded", "quota exceeded"]) {
            Limit::Primary
        } else if after.is_some() || status == 429 {
            Limit::Secondary
        } else {
            return None;
        };
        let end = end_of_limit(headers, now).filter(|_| quota.is_some() || status == 429);
        // Each of the two is a lower bound.
        let wait = after.max(end);
        Some(Self { limit, wait })
    }

    /// How long to wait after the `nth` rejection of the same request, counted from one.
    pub(in crate::http) fn wait(&self, nth: u32) -> Duration {
        let doubled = |first: Duration| first.saturating_mul(2_u32.saturating_pow(nth.saturating_sub(1)));
        match self.wait {
            // Prevents a tight loop if a server keeps reporting a zero wait.
            Some(wait) if nth > 1 => wait.max(doubled(Duration::from_secs(1)).min(DEFAULT_WAIT[0])),
            Some(wait) => wait,
            None => doubled(DEFAULT_WAIT[0]).min(DEFAULT_WAIT[1]),
        }
    }
}

/// `Retry-After`, as seconds or as a date. Servers also send fractions of seconds and instants; anything else is as if it were absent.
pub(in crate::http) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    match seconds(value) {
        Some(seconds) if seconds < FIRST_INSTANT => Some(Duration::from_secs(seconds).min(MAX_WAIT)),
        Some(instant) => Some(epoch(instant).map_or(MAX_WAIT, |instant| until(instant, headers, now))),
        None => Some(until(date(value).or_else(|| value.parse().ok())?, headers, now)),
    }
}

/// A number of seconds, rounded up.
fn seconds(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_number =
        [whole, fraction].iter().all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
    let whole: u64 = whole.parse().ok().filter(|_| is_number)?;
    Some(whole.saturating_add(u64::from(fraction.bytes().any(|digit| digit != b'0'))))
}

/// The instant that a large number is, in seconds or milliseconds since 1970.
fn epoch(value: u64) -> Option<Timestamp> {
    let instant = i64::try_from(value).ok()?;
    if value < FIRST_MILLISECONDS {
        Timestamp::from_second(instant).ok()
    } else {
        Timestamp::from_millisecond(instant).ok()
    }
}

/// The time from now until `then` by the server's clock: its `Date` header, or else our own clock. Adds one second, because both are
/// cut to whole seconds.
fn until(then: Timestamp, headers: &HeaderMap, now: Timestamp) -> Duration {
    let there = headers.get(DATE).and_then(|value| date(value.to_str().ok()?)).unwrap_or(now);
    let left = then.duration_since(there);
    // A time in the past means now.
    Duration::try_from(left).unwrap_or_default().saturating_add(Duration::from_secs(1)).min(MAX_WAIT)
}

/// Parses an HTTP date.
pub(in crate::http) fn date(text: &str) -> Option<Timestamp> {
    let time: SystemTime = httpdate::parse_http_date(text).ok()?;
    Timestamp::try_from(time).ok()
}

/// The time until the limit ends that has rejected a request, if the response tells: a lower bound.
#[cfg(any(feature = "rest", test))]
pub(in crate::http) fn limit_wait(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    retry_after(headers, now).max(end_of_limit(headers, now))
}

/// The end of the limit that is used up. A response may tell it without what is left. While something is left, another limit has rejected
/// the request.
fn end_of_limit(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    match Quota::from_headers(headers, now) {
        Some(quota) => quota.reset.filter(|_| quota.remaining == 0),
        None => Quota::limits(headers).first().and_then(|limit| reset(headers, limit, now)),
    }
}

/// What the name of a header has between the words for a rate limit and its ending: nothing in `X-RateLimit-Reset`, `RateLimit-Reset` and
/// `X-Rate-Limit-Reset`, and `requests` in `X-RateLimit-Requests-Reset`.
fn limit_of<'a>(name: &'a str, ending: &str) -> Option<&'a str> {
    let rest = name.strip_suffix(ending)?.strip_suffix('-')?;
    let after = |words: &str| rest.find(words).map(|at| &rest[at + words.len()..]);
    after("ratelimit").or_else(|| after("rate-limit")).map(|kind| kind.trim_start_matches('-'))
}

/// The number in the header of a limit that ends like this.
fn number(headers: &HeaderMap, limit: &str, ending: &str) -> Option<u64> {
    // A fraction of a second is rounded up by the second that `until` adds. Behind the number, older drafts of `RateLimit-Limit` repeat the
    // policy.
    text(headers, limit, ending)?.split(['.', ',', ';']).next()?.trim_end().parse().ok()
}

/// The text in the header of a limit that ends like this.
fn text<'a>(headers: &'a HeaderMap, limit: &str, ending: &str) -> Option<&'a str> {
    let exact = || headers.get(HeaderName::try_from(format!("x-ratelimit-{ending}")).ok()?);
    let is_meant = |name: &HeaderName| limit_of(name.as_str(), ending) == Some(limit);
    let other = || headers.iter().find(|(name, _)| is_meant(name)).map(|(_, value)| value);
    let found = if limit.is_empty() { exact().or_else(other) } else { other() };
    Some(found?.to_str().ok()?.trim())
}

/// A larger reset is an instant, in seconds since 1970; a smaller one is a number of seconds from now.
const FIRST_INSTANT: u64 = 1_000_000_000;

/// A larger instant is in milliseconds.
const FIRST_MILLISECONDS: u64 = 1_000_000_000_000;

/// The time until the window of a rate limit ends.
fn reset(headers: &HeaderMap, limit: &str, now: Timestamp) -> Option<Duration> {
    let Some(value) = number(headers, limit, "reset") else {
        let text = text(headers, limit, "reset")?;
        return Some(until(date(text).or_else(|| text.parse().ok())?, headers, now));
    };
    window_end(value, headers, now)
}

/// The time until the window ends of which a server tells this number.
fn window_end(value: u64, headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    if value < FIRST_INSTANT {
        return Some(Duration::from_secs(value).saturating_add(Duration::from_secs(1)).min(MAX_WAIT));
    }
    Some(until(epoch(value)?, headers, now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_limit_is_a_count_or_an_instant_under_any_name() {
        let instant = now().as_second() + 30;
        for (name, value, seconds) in [
            ("x-ratelimit-reset", "7".to_owned(), 8),
            ("ratelimit-reset", "7".to_owned(), 8),
            ("x-rate-limit-reset", "7.5".to_owned(), 8),
            ("x-shop-ratelimit-reset", instant.to_string(), 31),
            ("x-ratelimit-reset", "2026-03-01T12:00:30Z".to_owned(), 31),
            ("x-ratelimit-reset", "Sun, 01 Mar 2026 12:00:30 GMT".to_owned(), 31),
        ] {
            assert_eq!(
                throttled(429, &[(name, &value)], ""),
                Some((Limit::Secondary, Some(seconds))),
                "{name}: {value}"
            );
        }
        assert_eq!(throttled(429, &[("x-reset", "7")], ""), Some((Limit::Secondary, None)));
        let left = [("x-ratelimit-remaining", "4990"), ("x-ratelimit-reset", "3600"), ("retry-after", "1")];
        assert_eq!(throttled(429, &left, ""), Some((Limit::Secondary, Some(1))));
        assert_eq!(throttled(403, &[("ratelimit-reset", "7")], DENIED), None);
        let used = [("ratelimit-remaining", "0"), ("ratelimit-limit", "10"), ("ratelimit-reset", "7")];
        assert_eq!(throttled(403, &used, DENIED), Some((Limit::Primary, Some(8))));
    }

    #[test]
    fn a_server_may_tell_several_limits_and_write_milliseconds() {
        let end = format!("{}250", now().as_second() + 30);
        let of = |requests: &'static str, complexity: &'static str| {
            let quota = Quota::from_headers(
                &headers(&[
                    ("x-ratelimit-requests-remaining", requests),
                    ("x-ratelimit-requests-limit", "2500"),
                    ("x-ratelimit-requests-reset", &end),
                    ("x-ratelimit-complexity-remaining", complexity),
                    ("x-ratelimit-complexity-limit", "3000000"),
                    ("x-ratelimit-complexity-reset", "7"),
                ]),
                now(),
            );
            let quota = quota.unwrap();
            (quota.remaining, quota.limit, quota.reset.map(|reset| reset.as_secs()))
        };
        assert_eq!(of("0", "2999000"), (0, Some(2_500), Some(31)), "the one with the least left");
        assert_eq!(of("2499", "0"), (0, Some(3_000_000), Some(8)));
        assert_eq!(of("1250", "3000000"), (1_250, Some(2_500), Some(31)));
        // One of a kind of its own tells nothing about the others.
        let plain = [("x-ratelimit-search-remaining", "0"), ("x-ratelimit-remaining", "9")];
        assert_eq!(Quota::from_headers(&headers(&plain), now()).unwrap().remaining, 9);
    }

    #[test]
    fn the_wait_of_a_limit_is_that_of_the_header_or_of_what_is_used_up() {
        let wait = |pairs: &[(&'static str, &str)]| limit_wait(&headers(pairs), now()).map(|wait| wait.as_secs());
        assert_eq!(wait(&[]), None);
        assert_eq!(wait(&[("retry-after", "5")]), Some(5));
        let used = [("x-ratelimit-requests-remaining", "0"), ("x-ratelimit-requests-reset", "7")];
        assert_eq!(wait(&used), Some(8));
        assert_eq!(wait(&[used[0], used[1], ("retry-after", "20")]), Some(20));
        assert_eq!(wait(&[("x-ratelimit-remaining", "3"), ("x-ratelimit-reset", "7")]), None, "another limit");
        assert_eq!(wait(&[("x-ratelimit-reset", "7")]), Some(8), "nothing tells what is left");
    }

    #[test]
    fn one_header_may_tell_a_whole_limit() {
        let of = |pairs: &[(&'static str, &str)]| {
            let quota = Quota::from_headers(&headers(pairs), now())?;
            Some((quota.remaining, quota.limit, quota.reset.map(|reset| reset.as_secs())))
        };
        let policy = ("ratelimit-policy", r#""default";q=100;w=60, "burst";q=10;w=1"#);
        assert_eq!(of(&[("ratelimit", r#""default";r=50;t=30"#)]), Some((50, None, Some(31))));
        assert_eq!(of(&[("ratelimit", r#""default";r=50;t=30"#), policy]), Some((50, Some(100), Some(31))));
        assert_eq!(
            of(&[("ratelimit", r#""default";r=50;t=30, "burst";r=1;t=1"#), policy]),
            Some((1, Some(10), Some(2)))
        );
        assert_eq!(of(&[("ratelimit", r#""a,b;r=0";r=7"#)]), Some((7, None, None)), "a name in quotes");
        assert_eq!(of(&[("ratelimit", "default; r=0; t=9")]), Some((0, None, Some(10))));
        assert_eq!(of(&[("ratelimit", "limit=100, remaining=50, reset=30")]), Some((50, Some(100), Some(31))));
        assert_eq!(of(&[("ratelimit", "limit=100,remaining=0,reset=7"), policy]), Some((0, Some(100), Some(8))));
        assert_eq!(of(&[("ratelimit", "remaining=0; reset=7")]), Some((0, None, Some(8))));
        // The one with the least left, wherever it is told.
        let plain = [("x-ratelimit-remaining", "90"), ("x-ratelimit-limit", "100"), ("x-ratelimit-reset", "5")];
        assert_eq!(
            of(&[plain[0], plain[1], plain[2], ("ratelimit", "limit=10, remaining=1, reset=2")]),
            Some((1, Some(10), Some(3)))
        );
        for nothing in
            ["", "default", r#""default""#, r#""default";r=x"#, r#""default;r=1"#, "limit=5", ";;,,=", "r=", "50"]
        {
            assert_eq!(of(&[("ratelimit", nothing)]), None, "{nothing}");
        }
        // Older drafts put the policy behind the number.
        let older =
            [("ratelimit-limit", "10, 10;w=1, 50;w=60"), ("ratelimit-remaining", "9"), ("ratelimit-reset", "1")];
        assert_eq!(of(&older), Some((9, Some(10), Some(2))));
        assert_eq!(throttled(429, &[("ratelimit", r#""default";r=0;t=30"#)], ""), Some((Limit::Primary, Some(31))));
        assert_eq!(throttled(403, &[("ratelimit", r#""default";r=0;t=30"#)], DENIED), Some((Limit::Primary, Some(31))));
        assert_eq!(throttled(403, &[("ratelimit", r#""default";r=3;t=30"#)], DENIED), None);
    }

    const DENIED: &str = r#"{"message":"Must have push access to repository"}"#;
    const SECONDARY: &str = r#"{"message":"You have exceeded a secondary rate limit. Please wait a few minutes"}"#;

    fn now() -> Timestamp {
        "2026-03-01T12:00:00Z".parse().unwrap()
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    fn throttled(status: u16, pairs: &[(&'static str, &str)], body: &str) -> Option<(Limit, Option<u64>)> {
        let throttled = Throttled::from_response(status, &headers(pairs), body.as_bytes(), now())?;
        Some((throttled.limit, throttled.wait.map(|wait| wait.as_secs())))
    }

    fn epoch(offset: i64) -> String {
        (now().as_second() + offset).to_string()
    }

    #[test]
    fn primary_limit_lasts_until_the_reset() {
        for status in [403, 429] {
            let pairs = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", &epoch(30))];
            assert_eq!(throttled(status, &pairs, DENIED), Some((Limit::Primary, Some(31))));
        }
    }

    #[test]
    fn the_servers_date_corrects_for_a_clock_that_is_off() {
        // The server's clock is five minutes ahead, and so is its reset.
        let pairs = [
            ("date", "Sun, 01 Mar 2026 12:05:00 GMT"),
            ("x-ratelimit-remaining", "0"),
            ("x-ratelimit-reset", &epoch(330)),
        ];
        assert_eq!(throttled(403, &pairs, DENIED), Some((Limit::Primary, Some(31))));
    }

    #[test]
    fn a_reset_that_is_past_or_unreadable_does_not_wait_forever() {
        let past = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", &epoch(-30))];
        assert_eq!(throttled(403, &past, DENIED), Some((Limit::Primary, Some(1))));
        for bad in ["soon", "-1", "99999999999999999999"] {
            let pairs = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", bad)];
            assert_eq!(throttled(403, &pairs, DENIED), Some((Limit::Primary, None)), "{bad}");
        }
    }

    #[test]
    fn retry_after_is_a_secondary_limit_in_either_form() {
        let left = ("x-ratelimit-remaining", "4000");
        assert_eq!(throttled(403, &[("retry-after", "30"), left], DENIED), Some((Limit::Secondary, Some(30))));
        let date = [("retry-after", "Sun, 01 Mar 2026 12:00:08 GMT"), left];
        assert_eq!(throttled(429, &date, DENIED), Some((Limit::Secondary, Some(9))));
        let skewed = [("retry-after", "Sun, 01 Mar 2026 11:00:08 GMT"), ("date", "Sun, 01 Mar 2026 11:00:00 GMT")];
        assert_eq!(throttled(429, &skewed, DENIED), Some((Limit::Secondary, Some(9))));
    }

    #[test]
    fn retry_after_may_be_a_fraction_or_an_instant() {
        for (value, seconds) in [("2.0", 2), ("0.493", 1), ("292.052427053", 293), ("0.0", 0)] {
            assert_eq!(
                throttled(429, &[("retry-after", value)], DENIED),
                Some((Limit::Secondary, Some(seconds))),
                "{value}"
            );
            assert_eq!(limit_wait(&headers(&[("retry-after", value)]), now()).unwrap().as_secs(), seconds, "{value}");
        }
        for value in [epoch(8), format!("{}500", epoch(7)), "2026-03-01T12:00:08Z".to_owned()] {
            let Some((_, Some(wait))) = throttled(429, &[("retry-after", &value)], DENIED) else { panic!("{value}") };
            assert!((8..=9).contains(&wait), "{value}: {wait}");
        }
    }

    #[test]
    fn a_bad_retry_after_is_ignored() {
        for bad in ["-1", "soon", "", "1.5.5", ".", "1.", "1e3", "inf", "-1.5", "Sun, 99 Mar 2026"] {
            assert_eq!(throttled(403, &[("retry-after", bad)], DENIED), None, "{bad}");
            assert_eq!(throttled(429, &[("retry-after", bad)], DENIED), Some((Limit::Secondary, None)), "{bad}");
        }
        let huge = [("retry-after", "18446744073709551615")];
        assert_eq!(throttled(403, &huge, DENIED), Some((Limit::Secondary, Some(MAX_WAIT.as_secs()))));
    }

    #[test]
    fn a_message_is_enough_even_with_quota_left() {
        let left = [("x-ratelimit-remaining", "4000"), ("x-ratelimit-reset", &epoch(3000))];
        assert_eq!(throttled(403, &left, SECONDARY), Some((Limit::Secondary, None)));
        assert_eq!(
            throttled(403, &[], "You have triggered an abuse detection mechanism"),
            Some((Limit::Secondary, None))
        );
        assert_eq!(throttled(403, &[], "API rate limit exceeded for 1.2.3.4"), Some((Limit::Primary, None)));
    }

    #[test]
    fn a_plain_403_and_any_other_status_are_not_limits() {
        assert_eq!(throttled(403, &[("x-ratelimit-remaining", "4000")], DENIED), None);
        assert_eq!(throttled(503, &[("retry-after", "30")], SECONDARY), None);
        assert_eq!(throttled(200, &[("x-ratelimit-remaining", "0")], ""), None);
    }

    #[test]
    fn when_both_limits_speak_the_longer_wait_counts() {
        for (after, reset, longer) in [("90", 30, 90), ("10", 30, 31)] {
            let pairs = [("retry-after", after), ("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", &epoch(reset))];
            assert_eq!(throttled(403, &pairs, DENIED), Some((Limit::Primary, Some(longer))));
        }
    }

    #[test]
    fn waits_without_a_hint_grow() {
        let throttled = Throttled { limit: Limit::Secondary, wait: None };
        let seconds: Vec<_> = (1..=6).map(|nth| throttled.wait(nth).as_secs()).collect();
        assert_eq!(seconds, [60, 120, 240, 480, 900, 900]);
        let now = Throttled { limit: Limit::Primary, wait: Some(Duration::ZERO) };
        let seconds: Vec<_> = [1, 2, 3, 100].iter().map(|nth| now.wait(*nth).as_secs()).collect();
        assert_eq!(seconds, [0, 2, 4, 60]);
    }

    #[test]
    fn a_budget_is_spent_when_its_share_is_used() {
        let quota = |remaining, limit| Quota { remaining, limit, reset: None };
        assert!(!quota(1, Some(5000)).is_spent(100));
        assert!(quota(0, Some(5000)).is_spent(100));
        assert!(!quota(3751, Some(5000)).is_spent(25));
        assert!(quota(3750, Some(5000)).is_spent(25));
        assert!(quota(0, None).is_spent(25));
        assert!(!quota(1, None).is_spent(25));
        assert!(!quota(u64::MAX - 1, Some(u64::MAX)).is_spent(1));
    }
}
