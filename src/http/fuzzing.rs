//! The parsers of what a server says, for the fuzz targets: what they hold to, whatever the bytes.

use std::time::Duration;

use bytestring::ByteString;
use jiff::Timestamp;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

use super::limits::{Quota, Refusal, retry_after};
use super::{Response, links};

/// An answer, as if it had come from this place.
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

/// The longest wait that the server at this moment asks for by these headers, over all ways of asking.
pub fn longest_wait(status: u16, headers: &[(&'static str, &[u8])], body: &[u8], now: Timestamp) -> Duration {
    let headers = header_map(headers);
    let refused = Refusal::of(status, &headers, body, now).map(|refusal| {
        assert!(
            (1..20).all(|nth| refusal.wait(nth) <= refusal.wait(nth + 1)),
            "{refusal:?} waits less for more refusals"
        );
        refusal.wait(20)
    });
    let reset = Quota::of(&headers, now).and_then(|quota| {
        assert!(quota.spent(0) || !quota.spent(100), "{quota:?} is used up and has no share that is");
        quota.reset
    });
    [refused, reset, retry_after(&headers, now)].into_iter().flatten().max().unwrap_or_default()
}

/// Where a reference that a server sent leads to, from its answer at `current`.
pub fn follow(base: &Url, current: &Url, reference: &str) -> Option<Url> {
    links::follow(base, current, reference).ok()
}

/// What a caller's path or URL leads to.
pub fn resolve(base: &Url, path_or_url: &str) -> Option<Url> {
    links::resolve(base, path_or_url).ok()
}

/// The target of a link; `None` also where the header cannot be read.
pub fn link<'a>(header: &'a str, relation: &str) -> Option<&'a str> {
    links::target(header, relation).ok().flatten()
}
