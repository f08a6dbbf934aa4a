//! Applies faults to answers.

use std::convert::Infallible;
use std::io::{self, Write as _};
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::stream::{self, Stream, StreamExt};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::answer::Answer;
use crate::clock::http_date;
use crate::fault::{Fault, RetryAfter};
use crate::log::ReceivedRequest;
use crate::routes::next_page;
use crate::server::{Body, Shared, with_quota};

const MIB: u64 = 1 << 20;
static SPACES: [u8; 1 << 20] = [b' '; 1 << 20];

/// The answer of a fault that replaces the right one.
pub(crate) fn replacement(fault: &Fault, shared: &Shared, request: &ReceivedRequest) -> Option<Answer> {
    let answer = match fault {
        Fault::Status { code, retry_after } => {
            with_retry_after(Answer::error(*code, message(*code)), *retry_after, shared)
        }
        Fault::Body { code, body } => Answer { status: *code, ..Answer::json(body.clone()) },
        Fault::Moved(address) => Answer::moved(301, address),
        Fault::PrimaryLimit { reset_in } => {
            let reset = shared.clock.wire().as_millisecond() + i64::try_from(reset_in.as_millis()).unwrap_or(i64::MAX / 2);
            Answer::primary_limit()
                .with("x-ratelimit-remaining", "0")
                .with("x-ratelimit-reset", (reset + 999).div_euclid(1_000).to_string())
        }
        Fault::SecondaryLimit { code, retry_after } => {
            with_retry_after(Answer::secondary_limit(*code), *retry_after, shared)
        }
        Fault::Html => Answer::json("<!DOCTYPE html>\n<html><head><title>Unicorn! &middot; GitHub</title></head><body><p>This page is taking too long to load.</p></body></html>\n")
            .with("content-type", "text/html; charset=utf-8"),
        Fault::EmptyBody => Answer::json(""),
        Fault::Response { code, content_type, body } => {
            Answer { status: *code, ..Answer::json(body.clone()).with("content-type", content_type) }
        }
        Fault::EmptyPage => {
            let path = own_path(request, shared);
            let address = format!("{}{}", shared.base_url(), path.split('?').next().unwrap_or_default());
            Answer::json("[]").with("link", next_page(&address, request))
        }
        Fault::GzipBomb(_) => Answer::json("").with("content-encoding", "gzip"),
        Fault::RedirectTo(origin) => Answer::moved(302, &format!("{origin}{}", request.target())),
        Fault::RedirectLoop => {
            Answer::moved(302, &format!("{}{}", shared.base_url(), own_path(request, shared)))
        }
        _ => return None,
    };
    Some(with_quota(answer, shared, request))
}

/// The request's target below the path prefix.
fn own_path(request: &ReceivedRequest, shared: &Shared) -> String {
    let target = request.target();
    target.strip_prefix(&shared.settings.path_prefix).map(str::to_owned).unwrap_or(target)
}

fn with_retry_after(answer: Answer, retry_after: Option<RetryAfter>, shared: &Shared) -> Answer {
    match retry_after {
        None => answer,
        Some(RetryAfter::Seconds(seconds)) => answer.with("retry-after", seconds.to_string()),
        Some(RetryAfter::Date(seconds)) => {
            let ahead = SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
            let date = shared.clock.wire().saturating_add(ahead).unwrap_or(Timestamp::MAX);
            answer.with("retry-after", http_date(date))
        }
    }
}

/// GitHub's message for a status.
fn message(code: u16) -> &'static str {
    match code {
        401 => "Bad credentials",
        403 => "Resource not accessible by personal access token",
        404 => "Not Found",
        409 => "Git Repository is empty.",
        410 => "Issues are disabled for this repo",
        422 => "Validation Failed",
        451 => "Repository access blocked",
        502 => "Server Error",
        503 => "Service unavailable",
        _ => "Server Error",
    }
}

/// The right answer, damaged.
pub(crate) fn corrupt(fault: &Fault, mut answer: Answer, shared: &Shared) -> Answer {
    match fault {
        Fault::TruncatedJson => answer.body = answer.body.slice(..answer.body.len() / 2),
        Fault::TruncatedBody => {
            answer = {
                let length = answer.body.len();
                answer.with("content-length", length.to_string())
            }
        }
        Fault::InvalidUtf8 => {
            let mut bytes = answer.body.to_vec();
            // Inside the first string value, so that the rest is still JSON.
            if let Some(position) = bytes.windows(3).position(|window| window == b"\":\"") {
                bytes[position + 3] = 0xff;
            }
            answer.body = bytes.into();
        }
        Fault::MissingKey(key) => {
            if let Ok(mut body) = serde_json::from_slice::<Value>(&answer.body) {
                let record =
                    if body.is_array() { body.as_array_mut().and_then(|all| all.last_mut()) } else { Some(&mut body) };
                if let Some(record) = record.and_then(Value::as_object_mut) {
                    record.remove(key);
                }
                answer.body = body.to_string().into();
            }
        }
        Fault::BadElement(element) => {
            if let Ok(mut elements) = serde_json::from_slice::<Vec<&RawValue>>(&answer.body) {
                let mut texts: Vec<&str> = elements.drain(..).map(RawValue::get).collect();
                texts.insert(texts.len() / 2, element);
                answer.body = format!("[{}]", texts.join(",")).into();
            }
        }
        Fault::Header(name, value) => answer = answer.with(name, value),
        Fault::ClockSkew(seconds) => {
            let date = shared.clock.wire().saturating_add(SignedDuration::from_secs(*seconds));
            answer = answer.with("date", http_date(date.unwrap_or(Timestamp::MAX)));
        }
        _ => {}
    }
    answer
}

/// The body as it is sent.
pub(crate) fn body(fault: Option<&Fault>, bytes: Bytes) -> Body {
    match fault {
        Some(Fault::TruncatedBody) => {
            let half = bytes.slice(..bytes.len() / 2);
            let cut = stream::iter([Ok(Frame::data(half))]).chain(stream::once(async {
                // Leaves time to send the half before the connection is closed.
                tokio::time::sleep(Duration::from_millis(20)).await;
                Err(io::Error::from(io::ErrorKind::ConnectionAborted))
            }));
            StreamBody::new(cut).boxed_unsync()
        }
        Some(Fault::Drip(pause)) => {
            let pause = *pause;
            let drops: Vec<Bytes> = bytes.chunks(256).map(|drop| bytes.slice_ref(drop)).collect();
            let drip = stream::iter(drops).then(move |drop| async move {
                tokio::time::sleep(pause).await;
                Ok(Frame::data(drop))
            });
            StreamBody::new(drip).boxed_unsync()
        }
        Some(Fault::GzipBomb(size)) => StreamBody::new(bomb(*size)).boxed_unsync(),
        _ => Full::new(bytes).map_err(|never: Infallible| match never {}).boxed_unsync(),
    }
}

/// Gzip that expands about a thousandfold, compressed while it is read: a client that stops early costs nothing more.
fn bomb(bytes: u64) -> impl Stream<Item = io::Result<Frame<Bytes>>> {
    let encoder = GzEncoder::new(Vec::new(), Compression::default());
    stream::unfold((Some(encoder), bytes.div_ceil(MIB)), |(encoder, left)| async move {
        let mut encoder = encoder?;
        if left == 0 {
            return Some((encoder.finish().map(|rest| Frame::data(rest.into())), (None, 0)));
        }
        let packed = encoder.write_all(&SPACES).map(|()| Frame::data(std::mem::take(encoder.get_mut()).into()));
        Some((packed, (Some(encoder), left - 1)))
    })
}
