//! Spans and points in time as people read them: `1 h 44 min`, `5 h ago`, `01:22 UTC`.

use jiff::{SignedDuration, Timestamp};

/// The units of ages, in seconds, the largest first.
const UNITS: [(i64, &str); 4] = [(24 * 60 * 60, "d"), (60 * 60, "h"), (60, "min"), (1, "s")];

/// A span of time: one unit from three of it on, else two. Never negative.
pub(super) fn span(span: SignedDuration) -> String {
    let seconds = span.as_secs().max(0);
    let index = UNITS.iter().position(|(unit, _)| seconds >= *unit).unwrap_or(UNITS.len() - 1);
    let (unit, name) = UNITS[index];
    let first = format!("{} {name}", seconds / unit);
    match UNITS.get(index + 1) {
        Some((smaller, name)) if seconds / unit < 3 && seconds % unit >= *smaller => {
            format!("{first} {} {name}", seconds % unit / smaller)
        }
        _ => first,
    }
}

/// How long ago a time of the past is.
pub(super) fn ago(time: Timestamp, now: Timestamp) -> String {
    format!("{} ago", span(now.duration_since(time)))
}

/// When something is due: `in 12 min`, `now`, or `overdue 5 h`.
pub(super) fn due(time: Timestamp, now: Timestamp) -> String {
    let left = time.duration_since(now);
    match left.as_secs() {
        0 => "now".to_owned(),
        1.. => format!("in {}", span(left)),
        _ => format!("overdue {}", span(-left)),
    }
}

/// A point in time: `01:22 UTC` today, else with the day.
pub(super) fn point(time: Timestamp, now: Timestamp) -> String {
    let day = |time: Timestamp| time.strftime("%Y-%m-%d").to_string();
    let year = |time: Timestamp| time.strftime("%Y").to_string();
    let format = if day(time) == day(now) {
        "%H:%M UTC"
    } else if year(time) == year(now) {
        "%-d %b %H:%M UTC"
    } else {
        "%-d %b %Y %H:%M UTC"
    };
    time.strftime(format).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_has_one_unit_from_three_on() {
        for (seconds, expected) in [
            (-5, "0 s"),
            (40, "40 s"),
            (60, "1 min"),
            (125, "2 min 5 s"),
            (12 * 60 + 59, "12 min"),
            (104 * 60, "1 h 44 min"),
            (2 * 3_600 + 5, "2 h"),
            (5 * 3_600 + 59 * 60, "5 h"),
            (27 * 3_600, "1 d 3 h"),
            (12 * 24 * 3_600 + 3_600, "12 d"),
        ] {
            assert_eq!(span(SignedDuration::from_secs(seconds)), expected, "{seconds}");
        }
    }

    #[test]
    fn a_time_is_named_with_its_zone_and_its_day_if_that_is_not_today() {
        let now: Timestamp = "2026-11-28T03:06:00Z".parse().unwrap();
        for (time, expected, relative) in [
            ("2026-11-28T01:22:00Z", "01:22 UTC", "1 h 44 min ago"),
            ("2026-11-27T19:42:00Z", "27 Nov 19:42 UTC", "7 h ago"),
            ("2025-12-01T19:42:00Z", "1 Dec 2025 19:42 UTC", "361 d ago"),
        ] {
            let time: Timestamp = time.parse().unwrap();
            assert_eq!((point(time, now), ago(time, now)), (expected.to_owned(), relative.to_owned()));
        }
        let later = |seconds| due(now + SignedDuration::from_secs(seconds), now);
        assert_eq!((later(720), later(0), later(-18_000)), ("in 12 min".into(), "now".into(), "overdue 5 h".into()));
    }
}
