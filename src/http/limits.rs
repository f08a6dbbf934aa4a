//! What an answer says about the server's limits. Pure functions; the clock is an argument.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use reqwest::header::{DATE, HeaderMap, HeaderName, RETRY_AFTER};

/// A wait longer than this is a mistake of the server, and would overflow clocks.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// The first wait for a limit that does not say how long it lasts, as GitHub advises; it doubles up to the second.
const WITHOUT_HINT: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(15 * 60)];

/// How much of the primary limit is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Quota {
    pub(super) remaining: u64,
    pub(super) limit: Option<u64>,
    /// From now until the window ends, by the server's clock.
    pub(super) reset: Option<Duration>,
}

impl Quota {
    pub(super) fn of(headers: &HeaderMap, now: Timestamp) -> Option<Self> {
        Some(Self {
            remaining: number(headers, "x-ratelimit-remaining")?,
            limit: number(headers, "x-ratelimit-limit"),
            reset: number(headers, "x-ratelimit-reset")
                .and_then(|second| Timestamp::from_second(i64::try_from(second).ok()?).ok())
                .map(|reset| until(reset, headers, now)),
        })
    }

    /// Whether `percent` of the quota is used.
    pub(super) fn spent(&self, percent: u8) -> bool {
        let used_up = |limit: u64| {
            let kept = u128::from(limit) * u128::from(100 - percent.min(100));
            u128::from(self.remaining) * 100 <= kept
        };
        self.limit.map_or(self.remaining == 0, used_up)
    }
}

/// Which limit refused a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limit {
    /// So many requests an hour.
    Primary,
    /// Too many at once, or too fast.
    Secondary,
}

/// A request that a limit refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) limit: Limit,
    /// How long to wait, where the server says so.
    told: Option<Duration>,
}

impl Refusal {
    /// Reads an answer as a refusal by a limit; `None` if it is none.
    pub(super) fn of(status: u16, headers: &HeaderMap, body: &[u8], now: Timestamp) -> Option<Self> {
        if !matches!(status, 403 | 429) {
            return None;
        }
        let body = String::from_utf8_lossy(body).to_ascii_lowercase();
        let says = |phrases: [&str; 2]| phrases.iter().any(|phrase| body.contains(phrase));
        let quota = Quota::of(headers, now).filter(|quota| quota.remaining == 0);
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
        // Each of the two is a lower bound.
        let told = after.max(quota.and_then(|quota| quota.reset));
        Some(Self { limit, told })
    }

    /// How long to wait when the same request is refused for the `nth` time, counted from one.
    pub(super) fn wait(&self, nth: u32) -> Duration {
        let doubled = |first: Duration| first.saturating_mul(2_u32.saturating_pow(nth.saturating_sub(1)));
        match self.told {
            // A server that keeps saying "now" is not asked in a tight loop.
            Some(told) if nth > 1 => told.max(doubled(Duration::from_secs(1)).min(WITHOUT_HINT[0])),
            Some(told) => told,
            None => doubled(WITHOUT_HINT[0]).min(WITHOUT_HINT[1]),
        }
    }
}

/// `Retry-After`, as seconds or as a date; anything else is as if it were absent.
pub(super) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    match value.parse::<u64>() {
        Ok(seconds) => Some(Duration::from_secs(seconds).min(LONGEST)),
        Err(_) => Some(until(date(value)?, headers, now)),
    }
}

/// The time from now until `then`, which the server's clock reads. Its `Date` is that clock; ours stands in for it. One second more,
/// because both are cut to whole seconds.
fn until(then: Timestamp, headers: &HeaderMap, now: Timestamp) -> Duration {
    let there = headers.get(DATE).and_then(|value| date(value.to_str().ok()?)).unwrap_or(now);
    let left = then.duration_since(there);
    // A time that is past is now.
    Duration::try_from(left).unwrap_or_default().saturating_add(Duration::from_secs(1)).min(LONGEST)
}

pub(super) fn date(text: &str) -> Option<Timestamp> {
    let time: SystemTime = httpdate::parse_http_date(text).ok()?;
    Timestamp::try_from(time).ok()
}

fn number(headers: &HeaderMap, name: &'static str) -> Option<u64> {
    headers.get(HeaderName::from_static(name))?.to_str().ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DENIED: &str = r#"{"message":"Must have push access to repository"}"#;
    const SECONDARY: &str = r#"{"message":"You have exceeded a secondary rate limit. Please wait a few minutes"}"#;

    fn now() -> Timestamp {
        "2026-03-01T12:00:00Z".parse().unwrap()
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    fn refusal(status: u16, pairs: &[(&'static str, &str)], body: &str) -> Option<(Limit, Option<u64>)> {
        let refusal = Refusal::of(status, &headers(pairs), body.as_bytes(), now())?;
        Some((refusal.limit, refusal.told.map(|told| told.as_secs())))
    }

    fn epoch(offset: i64) -> String {
        (now().as_second() + offset).to_string()
    }

    #[test]
    fn primary_limit_lasts_until_the_reset() {
        for status in [403, 429] {
            let pairs = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", &epoch(30))];
            assert_eq!(refusal(status, &pairs, DENIED), Some((Limit::Primary, Some(31))));
        }
    }

    #[test]
    fn the_servers_date_corrects_for_a_clock_that_is_off() {
        // The server's clock is five minutes ahead of ours, and so is its reset.
        let pairs = [
            ("date", "Sun, 01 Mar 2026 12:05:00 GMT"),
            ("x-ratelimit-remaining", "0"),
            ("x-ratelimit-reset", &epoch(330)),
        ];
        assert_eq!(refusal(403, &pairs, DENIED), Some((Limit::Primary, Some(31))));
    }

    #[test]
    fn a_reset_that_is_past_or_unreadable_does_not_wait_forever() {
        let past = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", &epoch(-30))];
        assert_eq!(refusal(403, &past, DENIED), Some((Limit::Primary, Some(1))));
        for bad in ["soon", "-1", "99999999999999999999"] {
            let pairs = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", bad)];
            assert_eq!(refusal(403, &pairs, DENIED), Some((Limit::Primary, None)), "{bad}");
        }
    }

    #[test]
    fn retry_after_is_a_secondary_limit_in_either_form() {
        let left = ("x-ratelimit-remaining", "4000");
        assert_eq!(refusal(403, &[("retry-after", "30"), left], DENIED), Some((Limit::Secondary, Some(30))));
        let date = [("retry-after", "Sun, 01 Mar 2026 12:00:08 GMT"), left];
        assert_eq!(refusal(429, &date, DENIED), Some((Limit::Secondary, Some(9))));
        let skewed = [("retry-after", "Sun, 01 Mar 2026 11:00:08 GMT"), ("date", "Sun, 01 Mar 2026 11:00:00 GMT")];
        assert_eq!(refusal(429, &skewed, DENIED), Some((Limit::Secondary, Some(9))));
    }

    #[test]
    fn a_bad_retry_after_is_ignored() {
        for bad in ["-1", "soon", "", "1.5", "Sun, 99 Mar 2026"] {
            assert_eq!(refusal(403, &[("retry-after", bad)], DENIED), None, "{bad}");
            assert_eq!(refusal(429, &[("retry-after", bad)], DENIED), Some((Limit::Secondary, None)), "{bad}");
        }
        let huge = [("retry-after", "18446744073709551615")];
        assert_eq!(refusal(403, &huge, DENIED), Some((Limit::Secondary, Some(LONGEST.as_secs()))));
    }

    #[test]
    fn a_message_is_enough_even_with_quota_left() {
        let left = [("x-ratelimit-remaining", "4000"), ("x-ratelimit-reset", &epoch(3000))];
        assert_eq!(refusal(403, &left, SECONDARY), Some((Limit::Secondary, None)));
        assert_eq!(
            refusal(403, &[], "You have triggered an abuse detection mechanism"),
            Some((Limit::Secondary, None))
        );
        assert_eq!(refusal(403, &[], "API rate limit exceeded for 1.2.3.4"), Some((Limit::Primary, None)));
    }

    #[test]
    fn a_plain_403_and_any_other_status_is_no_limit() {
        assert_eq!(refusal(403, &[("x-ratelimit-remaining", "4000")], DENIED), None);
        assert_eq!(refusal(503, &[("retry-after", "30")], SECONDARY), None);
        assert_eq!(refusal(200, &[("x-ratelimit-remaining", "0")], ""), None);
    }

    #[test]
    fn when_both_limits_speak_the_longer_wait_counts() {
        for (after, reset, longer) in [("90", 30, 90), ("10", 30, 31)] {
            let pairs = [("retry-after", after), ("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", &epoch(reset))];
            assert_eq!(refusal(403, &pairs, DENIED), Some((Limit::Primary, Some(longer))));
        }
    }

    #[test]
    fn waits_without_a_hint_grow() {
        let refusal = Refusal { limit: Limit::Secondary, told: None };
        let seconds: Vec<_> = (1..=6).map(|nth| refusal.wait(nth).as_secs()).collect();
        assert_eq!(seconds, [60, 120, 240, 480, 900, 900]);
        let now = Refusal { limit: Limit::Primary, told: Some(Duration::ZERO) };
        let seconds: Vec<_> = [1, 2, 3, 100].iter().map(|nth| now.wait(*nth).as_secs()).collect();
        assert_eq!(seconds, [0, 2, 4, 60]);
    }

    #[test]
    fn a_budget_is_spent_when_its_share_is_used() {
        let quota = |remaining, limit| Quota { remaining, limit, reset: None };
        assert!(!quota(1, Some(5000)).spent(100));
        assert!(quota(0, Some(5000)).spent(100));
        assert!(!quota(3751, Some(5000)).spent(25));
        assert!(quota(3750, Some(5000)).spent(25));
        assert!(quota(0, None).spent(25));
        assert!(!quota(1, None).spent(25));
        assert!(!quota(u64::MAX - 1, Some(u64::MAX)).spent(1));
    }
}
