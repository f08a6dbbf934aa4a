//! The crate's one error: what went wrong, why, what to do about it, and whether trying again can help.

mod redact;

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

#[cfg(any(feature = "cli", feature = "http"))]
pub(crate) use redact::STAND_IN;
#[cfg(feature = "http")]
pub(crate) use redact::{is_credential, redact_known, remember_authorization};
pub(crate) use redact::{redact, remember};

/// A result whose error is snowfeed's [`Error`] unless said otherwise.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of thing went wrong. Callers branch on this, never on a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorKind {
    /// A setting is unknown, missing or malformed.
    Configuration,
    /// The remote refused who we say we are.
    Authentication,
    /// What was asked for does not exist, or is hidden from us.
    NotFound,
    /// A quota is used up, and waiting for it would take longer than allowed.
    RateLimited,
    /// The remote or the backend cannot be reached, or fails on its side.
    Unavailable,
    /// Data came that cannot be what it claims to be.
    InvalidData,
    /// A checkpoint cannot be read by this version of its source.
    Checkpoint,
    /// Another run has moved on since this one started, or what is there belongs to somebody else.
    Conflict,
    /// The operation does not exist here.
    Unsupported,
    /// A bug of ours, or of a source or backend built on us.
    Internal,
}

impl ErrorKind {
    /// The kind as it is written in reports and in JSON, such as `not_found`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Authentication => "authentication",
            Self::NotFound => "not_found",
            Self::RateLimited => "rate_limited",
            Self::Unavailable => "unavailable",
            Self::InvalidData => "invalid_data",
            Self::Checkpoint => "checkpoint",
            Self::Conflict => "conflict",
            Self::Unsupported => "unsupported",
            Self::Internal => "internal",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether, and when, the same operation is worth another try.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Retry {
    /// The same call will fail the same way; somebody has to change something.
    #[default]
    Never,
    /// The fault may pass: try again, waiting a little longer each time.
    Backoff,
    /// The remote said when: not before this much time has passed.
    After(Duration),
}

/// Everything that can go wrong in snowfeed.
///
/// An error has a [kind](ErrorKind) to branch on, a message for a person, often a [help](Error::help) text that says
/// what to do, [context](Error::context) as name-value pairs, [retry advice](Retry), and a source. Where an HTTP
/// status or a remote's error code caused it, [`status`](Error::status) and [`code`](Error::code) give them as values.
///
/// No part of an error ever holds a secret: what is known to be one, looks like a token or is a credential in a URL is replaced by
/// `***` in its message, help, context and causes, however it is escaped.
///
/// ```
/// use snowfeed::{Error, ErrorKind};
///
/// let error = Error::new(ErrorKind::NotFound, "repository acme/widgets was not found")
///     .with_status(404)
///     .with_help("check its name, and that the token may read it");
/// assert_eq!((error.kind(), error.status()), (ErrorKind::NotFound, Some(404)));
/// assert_eq!(error.to_string(), "repository acme/widgets was not found (status: 404)");
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: Cow<'static, str>,
    help: Option<Cow<'static, str>>,
    retry: Retry,
    status: Option<u16>,
    code: Option<String>,
    unconfirmed_deletions: Option<u64>,
    /// What the remote said for itself; part of the message as well.
    #[cfg(feature = "http")]
    server_message: Option<String>,
    context: Vec<(&'static str, String)>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of `kind` with a one-line message that names what went wrong; it is not worth a retry until
    /// [`with_retry`](Self::with_retry) says so.
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: redacted(message.into()),
            help: None,
            retry: Retry::Never,
            status: None,
            code: None,
            unconfirmed_deletions: None,
            #[cfg(feature = "http")]
            server_message: None,
            context: Vec::new(),
            source: None,
        }))
    }

    /// A malformed or missing setting.
    pub fn configuration(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Configuration, message)
    }

    /// Data that cannot be what it claims to be.
    pub fn invalid_data(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::InvalidData, message)
    }

    /// A fault of the remote or the backend that may pass.
    pub fn unavailable(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Unavailable, message).with_retry(Retry::Backoff)
    }

    /// A bug.
    pub fn internal(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// Says what the reader can do about it, as an imperative sentence without a full stop.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<Cow<'static, str>>) -> Self {
        self.0.help = Some(redacted(help.into()));
        self
    }

    /// Adds a fact, such as the URL. Never branch on it: it is text for people.
    #[must_use]
    pub fn with_context(mut self, name: &'static str, value: impl ToString) -> Self {
        self.0.context.push((name, bounded(&value.to_string())));
        self
    }

    /// Sets the HTTP status that the error is about, and adds it to the context as `status`.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.0.status = Some(status);
        self.with_context("status", status)
    }

    /// Sets the remote's own error code, such as Snowflake's `002003`, and adds it to the context as `code`.
    #[must_use]
    pub fn with_code(mut self, code: impl Into<String>) -> Self {
        let code = bounded(&code.into());
        self.0.code = Some(code.clone());
        self.with_context("code", code)
    }

    /// Marks that a person has to confirm deletions: the run asks, and has marked nothing deleted. `rows` are those that were not listed,
    /// and may be marked deleted once that is confirmed.
    #[must_use]
    pub fn with_unconfirmed_deletions(mut self, rows: u64) -> Self {
        self.0.unconfirmed_deletions = Some(rows);
        self
    }

    /// Records what the remote said for itself. It does not appear in the text by itself: the message should hold it.
    #[cfg(feature = "http")]
    pub(crate) fn with_server_message(mut self, message: Option<String>) -> Self {
        self.0.server_message = message;
        self
    }

    /// Sets the retry advice.
    #[must_use]
    pub fn with_retry(mut self, retry: Retry) -> Self {
        self.0.retry = retry;
        self
    }

    /// Marks that retrying was tried and did not help, so that no outer layer tries again.
    #[must_use]
    pub fn exhausted(self) -> Self {
        self.with_retry(Retry::Never)
    }

    /// Attaches the underlying error.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// What kind of thing went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The message alone, without context.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// What to do about it, where that is known.
    pub fn help(&self) -> Option<&str> {
        self.0.help.as_deref()
    }

    /// Whether the same operation is worth another try.
    pub fn retry(&self) -> Retry {
        self.0.retry
    }

    /// The HTTP status that the error is about, where there is one.
    pub fn status(&self) -> Option<u16> {
        self.0.status
    }

    /// The remote's own error code, where it gave one.
    pub fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// How many rows may be marked deleted once a person [confirms](Self::with_unconfirmed_deletions) it, where one is asked to.
    pub fn unconfirmed_deletions(&self) -> Option<u64> {
        self.0.unconfirmed_deletions
    }

    /// What the remote said for itself, on one short line and without credentials.
    #[cfg(feature = "http")]
    #[cfg_attr(not(feature = "github"), allow(dead_code, reason = "only the GitHub source looks at it"))]
    pub(crate) fn server_message(&self) -> Option<&str> {
        self.0.server_message.as_deref()
    }

    /// The facts that were recorded, in the order in which they were added.
    pub fn context(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.context.iter().map(|(name, value)| (*name, value.as_str()))
    }

    /// The whole error as plain data, for run histories and JSON output.
    pub fn report(&self) -> ErrorReport {
        let causes = causes(self).map(|cause| bounded(&cause.to_string())).collect();
        ErrorReport {
            kind: self.kind(),
            message: self.to_string(),
            causes,
            help: self.help().map(str::to_owned),
            unconfirmed_deletions: self.unconfirmed_deletions(),
        }
    }
}

/// A text without credentials; what is part of the program has none.
fn redacted(text: Cow<'static, str>) -> Cow<'static, str> {
    match text {
        Cow::Owned(text) => Cow::Owned(bounded(&text)),
        fixed @ Cow::Borrowed(_) => fixed,
    }
}

/// As much of a text as is searched for credentials. The rest is left out, as it would be anyway.
const LONGEST_SEARCHED: usize = 16 << 10;

/// The longest text within an error: a remote may send a header of any length, and errors are stored. In bytes.
const LONGEST: usize = 4 << 10;

/// A text without credentials, of at most [`LONGEST`].
pub(crate) fn bounded(text: &str) -> String {
    let redacted = redact(beginning(text, LONGEST_SEARCHED));
    if redacted.len() <= LONGEST {
        return redacted.into_owned();
    }
    format!("{}…", beginning(&redacted, LONGEST))
}

/// The beginning of a text: at most `most` bytes, up to the end of a character.
fn beginning(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or_default()]
}

/// What an error was caused by, outermost first.
pub(crate) fn causes(error: &dyn StdError) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    std::iter::successors(error.source(), |&cause| cause.source())
}

/// Whether a cause of an error has one of these words, all in lower case, in its text: some faults show in no other way.
#[cfg(any(feature = "http", feature = "snowflake"))]
pub(crate) fn is_caused_by(error: &dyn StdError, words: &[&str]) -> bool {
    causes(error).map(|cause| cause.to_string().to_lowercase()).any(|text| words.iter().any(|word| text.contains(word)))
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        for (index, (name, value)) in self.0.context.iter().enumerate() {
            f.write_str(if index == 0 { " (" } else { ", " })?;
            write!(f, "{name}: {value}")?;
        }
        if self.0.context.is_empty() { Ok(()) } else { f.write_str(")") }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("message", &self.0.message)
            .field("context", &self.0.context)
            .field("retry", &self.0.retry)
            .field("source", &format_args!("{}", redact(&format!("{:?}", self.0.source))))
            .finish_non_exhaustive()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

/// An [`Error`] as plain data: what is written into the run history and printed as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorReport {
    /// What kind of thing went wrong.
    pub kind: ErrorKind,
    /// One line: the message and its context.
    pub message: String,
    /// The chain of causes, outermost first.
    #[serde(default)]
    pub causes: Vec<String>,
    /// What to do about it.
    #[serde(default)]
    pub help: Option<String>,
    /// How many rows may be marked deleted once a person confirms it, where the run asks for that.
    #[serde(default)]
    pub unconfirmed_deletions: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn report_lists_the_causes_in_order() {
        let io = std::io::Error::other("disk on fire");
        let error = Error::internal("outer").with_source(Error::internal("inner").with_source(io));
        assert_eq!(error.report().causes, ["inner", "disk on fire"]);
    }

    #[test]
    fn exhausted_errors_are_not_retried_again() {
        assert_eq!(Error::unavailable("down").retry(), Retry::Backoff);
        assert_eq!(Error::unavailable("down").exhausted().retry(), Retry::Never);
    }

    #[test]
    fn status_and_code_are_values_and_part_of_the_text() {
        let error = Error::unavailable("down").with_context("url", "u").with_status(503).with_code("390112");
        assert_eq!((error.status(), error.code()), (Some(503), Some("390112")));
        assert_eq!(error.to_string(), "down (url: u, status: 503, code: 390112)");
        let plain = Error::unavailable("down").with_context("status", 404).with_context("code", "x");
        assert_eq!((plain.status(), plain.code()), (None, None));
    }

    #[test]
    fn kinds_are_written_the_same_in_text_and_json() {
        let json = serde_json::to_string(&ErrorKind::RateLimited).unwrap();
        assert_eq!(json, format!("\"{}\"", ErrorKind::RateLimited));
    }
}
