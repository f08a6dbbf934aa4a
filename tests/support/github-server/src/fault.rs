//! Every wrong answer of the server, and when it is sent.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::time::Duration;

use crate::log::ReceivedRequest;

/// One bad answer.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Fault {
    /// A status with the body that GitHub sends with it: 401, 404, 409, 410, 451, 500, 502, 503, …
    Status {
        /// The status code.
        code: u16,
        /// The `Retry-After` header, if any.
        retry_after: Option<RetryAfter>,
    },
    /// A status with this body, such as a gateway's, or that of another issue.
    Body {
        /// The status code.
        code: u16,
        /// The body.
        body: String,
    },
    /// 301 to this address.
    Moved(String),
    /// 403 with `x-ratelimit-remaining: 0` and a reset in the future.
    PrimaryLimit {
        /// Time until the quota is full again, on the wire's clock; sent as whole seconds, rounded up.
        reset_in: Duration,
    },
    /// 403 or 429 in the words of the secondary limit, while quota remains.
    SecondaryLimit {
        /// 403 or 429.
        code: u16,
        /// The `Retry-After` header, if any.
        retry_after: Option<RetryAfter>,
    },
    /// The right `Content-Length`, then half of the body, then the connection is cut.
    TruncatedBody,
    /// Half of the JSON, with status 200 and a `Content-Length` that fits the half.
    TruncatedJson,
    /// An HTML page, with status 200.
    Html,
    /// Status 200 and an empty body.
    EmptyBody,
    /// `[]` with a `Link` to a next page.
    EmptyPage,
    /// The connection is reset before any answer.
    Reset,
    /// No answer, ever; the connection stays open.
    Stall,
    /// The right answer, 256 bytes at a time, with this pause between.
    Drip(Duration),
    /// A gzip body that unpacks to this many bytes of spaces (rounded up to whole MiB).
    GzipBomb(u64),
    /// 302 to the same path and query on another origin, such as `http://127.0.0.1:9`.
    RedirectTo(String),
    /// 302 to the request's own address.
    RedirectLoop,
    /// The right answer with one byte of a string replaced by an invalid UTF-8 byte.
    InvalidUtf8,
    /// The right record, or the right list, whose last record lacks this key.
    MissingKey(String),
    /// The right list with one more element, this JSON text, in its middle.
    BadElement(String),
    /// The right answer with an additional header, or another value of one.
    Header(&'static str, String),
    /// Exactly this answer.
    Response {
        /// The status code.
        code: u16,
        /// The `Content-Type`.
        content_type: &'static str,
        /// The body.
        body: String,
    },
    /// The right answer with a `Date` header that is wrong by this many seconds.
    ClockSkew(i64),
}

impl Fault {
    /// A bare status, without `Retry-After`.
    pub fn status(code: u16) -> Self {
        Self::Status { code, retry_after: None }
    }
}

/// How a `Retry-After` header is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryAfter {
    /// `Retry-After: 30`.
    Seconds(u64),
    /// `Retry-After: Fri, 10 Jan 2020 21:24:25 GMT`, this many seconds ahead on the wire's clock.
    Date(u64),
}

type Condition = Box<dyn Fn(&ReceivedRequest) -> bool + Send + Sync>;

/// Which request gets which fault.
#[derive(Default)]
pub(crate) struct Faults {
    next: VecDeque<Fault>,
    numbered: BTreeMap<u64, Fault>,
    once: Vec<(Condition, Fault)>,
    always: Vec<(Condition, Fault)>,
    random: Option<(f64, Vec<Fault>, fastrand::Rng)>,
}

impl Faults {
    pub(crate) fn push(&mut self, fault: Fault) {
        self.next.push_back(fault);
    }

    pub(crate) fn at(&mut self, number: u64, fault: Fault) {
        self.numbered.insert(number, fault);
    }

    pub(crate) fn once(&mut self, condition: Condition, fault: Fault) {
        self.once.push((condition, fault));
    }

    pub(crate) fn always(&mut self, condition: Condition, fault: Fault) {
        self.always.push((condition, fault));
    }

    pub(crate) fn random(&mut self, rate: f64, faults: Vec<Fault>, seed: u64) {
        self.random = (!faults.is_empty()).then(|| (rate, faults, fastrand::Rng::with_seed(seed)));
    }

    /// The fault for this request; each one-shot fault is handed out once.
    pub(crate) fn take(&mut self, request: &ReceivedRequest) -> Option<Fault> {
        if let Some(fault) = self.numbered.remove(&request.number()) {
            return Some(fault);
        }
        if let Some(index) = self.once.iter().position(|(condition, _)| condition(request)) {
            return Some(self.once.remove(index).1);
        }
        if let Some((_, fault)) = self.always.iter().find(|(condition, _)| condition(request)) {
            return Some(fault.clone());
        }
        if let Some(fault) = self.next.pop_front() {
            return Some(fault);
        }
        let (rate, faults, rng) = self.random.as_mut()?;
        (rng.f64() < *rate).then(|| faults[rng.usize(..faults.len())].clone())
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faults").field("next", &self.next).field("numbered", &self.numbered).finish_non_exhaustive()
    }
}
