//! The parsers of server data, for the fuzz targets.

use std::time::Duration;

use bytestring::ByteString;
use jiff::Timestamp;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

use super::rate_limit::{Quota, Throttled, retry_after};
use super::{Response, links};

/// A response from this URL.
pub fn response(url: &Url, headers: &[(&'static str, &[u8])], body: ByteString) -> Response {
    let base = Url::parse(&url.origin().ascii_serialization()).unwrap_or_else(|_| url.clone());
    Response { status: 200, headers: header_map(headers), url: url.clone(), redirected: false, body, base }
}

fn header_map(headers: &[(&'static str, &[u8])]) -> HeaderMap {
    let pair = |(name, value): &(&'static str, &[u8])| {
        Some((HeaderName::from_static(name), HeaderValue::from_bytes(value).ok()?))
    };
    headers.iter().filter_map(pair).collect()
}

/// The longest wait that these headers demand, over all kinds of headers.
pub fn longest_wait(status: u16, headers: &[(&'static str, &[u8])], body: &[u8], now: Timestamp) -> Duration {
    let headers = header_map(headers);
    let throttled = Throttled::from_response(status, &headers, body, now).map(|throttled| {
        assert!(
            (1..20).all(|nth| throttled.wait(nth) <= throttled.wait(nth + 1)),
            "{throttled:?} waits less after more rejections"
        );
        throttled.wait(20)
    });
    let reset = Quota::from_headers(&headers, now).and_then(|quota| {
        assert!(quota.is_spent(0) || !quota.is_spent(100), "{quota:?} is spent, and no share of it is");
        quota.reset
    });
    [throttled, reset, retry_after(&headers, now)].into_iter().flatten().max().unwrap_or_default()
}

/// Resolves a reference in the response to `current`.
pub fn follow(base: &Url, current: &Url, reference: &str) -> Option<Url> {
    links::follow(base, current, reference).ok()
}

/// Resolves a caller's path or URL.
pub fn resolve(base: &Url, path_or_url: &str) -> Option<Url> {
    links::resolve(base, path_or_url).ok()
}

/// The target of a link; `None` also where the header is malformed.
pub fn link<'a>(header: &'a str, relation: &str) -> Option<&'a str> {
    links::target(header, relation).ok().flatten()
}
