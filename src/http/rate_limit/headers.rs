//! The rate limits that a response reports. Pure functions; the clock is an argument.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use reqwest::header::{DATE, HeaderMap, HeaderName, RETRY_AFTER};

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
    pub(in crate::http) fn from_headers(headers: &HeaderMap, now: Timestamp) -> Option<Self> {
        Some(Self {
            remaining: number(headers, "remaining")?,
            limit: number(headers, "limit"),
            reset: reset(headers, now),
        })
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
        let told = Quota::from_headers(headers, now);
        let quota = told.filter(|quota| quota.remaining == 0);
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
        // A 429 may tell the end of a limit without what is left of it. While something is left, another limit has rejected the request.
        let end = match told {
            Some(_) => quota.and_then(|quota| quota.reset),
            None => reset(headers, now).filter(|_| status == 429),
        };
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

/// `Retry-After`, as seconds or as a date; anything else is as if it were absent.
pub(in crate::http) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    match value.parse::<u64>() {
        Ok(seconds) => Some(Duration::from_secs(seconds).min(MAX_WAIT)),
        Err(_) => Some(until(date(value)?, headers, now)),
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

/// The header of a rate limit that ends like this, whatever its beginning: `X-RateLimit-Reset`, `RateLimit-Reset`, `X-Rate-Limit-Reset`.
fn number(headers: &HeaderMap, ending: &str) -> Option<u64> {
    let exact = HeaderName::try_from(format!("x-ratelimit-{ending}")).ok().and_then(|name| headers.get(name));
    let is_meant = |name: &str| {
        name.strip_suffix(ending)
            .and_then(|rest| rest.strip_suffix('-'))
            .is_some_and(|rest| ["ratelimit", "rate-limit"].iter().any(|limit| rest.ends_with(limit)))
    };
    let other = || headers.iter().find(|(name, _)| is_meant(name.as_str())).map(|(_, value)| value);
    // A fraction of a second is rounded up by the second that `until` adds.
    let text = exact.or_else(other)?.to_str().ok()?.trim();
    text.split('.').next()?.parse().ok()
}

/// A larger reset is an instant, in seconds since 1970; a smaller one is a number of seconds from now.
const FIRST_INSTANT: u64 = 1_000_000_000;

/// The time until the window of a rate limit ends.
fn reset(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let value = number(headers, "reset")?;
    if value < FIRST_INSTANT {
        return Some(Duration::from_secs(value).saturating_add(Duration::from_secs(1)).min(MAX_WAIT));
    }
    let instant = Timestamp::from_second(i64::try_from(value).ok()?).ok()?;
    Some(until(instant, headers, now))
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
    fn a_bad_retry_after_is_ignored() {
        for bad in ["-1", "soon", "", "1.5", "Sun, 99 Mar 2026"] {
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
