//! The error type of this crate: what failed, why, how to fix it, and whether a retry can help.

mod redact;

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

#[cfg(any(feature = "cli", feature = "http"))]
pub(crate) use redact::REDACTED;
#[cfg(feature = "http")]
pub(crate) use redact::{is_credential, redact_known, remember_authorization};
pub(crate) use redact::{redact, remember};

/// A result whose error is [`Error`] by default.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The kind of an error. Callers branch on it, never on a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorKind {
    /// A setting is unknown, missing or malformed.
    Configuration,
    /// The remote rejected the credentials.
    Authentication,
    /// The requested object does not exist, or the credentials may not see it.
    NotFound,
    /// A quota is used up, and waiting for it would take too long.
    RateLimited,
    /// The remote or the backend cannot be reached, or has failed.
    Unavailable,
    /// The remote sent invalid data.
    InvalidData,
    /// This version of the source cannot read the checkpoint.
    Checkpoint,
    /// Another run has moved on since this one started, or the object belongs to another program.
    Conflict,
    /// This implementation does not support the operation.
    Unsupported,
    /// A bug in snowfeed, or in a source or backend.
    Internal,
}

impl ErrorKind {
    /// The kind in snake case, as in reports and in JSON: `not_found`.
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

/// Whether, and when, to retry an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Retry {
    /// The same call would fail again: someone has to change something first.
    #[default]
    Never,
    /// The failure may be temporary: retry with growing delays.
    Backoff,
    /// The remote asked to wait this long before a retry.
    After(Duration),
}

/// The error of every operation in snowfeed.
///
/// An error has a [kind](ErrorKind) to branch on, a message for people, often a [help](Error::help) text that says how to fix
/// it, [context](Error::context) as name-value pairs, [retry advice](Retry), and a source. Where an HTTP
/// status or a remote's error code caused it, [`status`](Error::status) and [`code`](Error::code) return them.
///
/// No part of an error holds a secret: known secrets, texts that look like tokens, and credentials in URLs are replaced by `***` in
/// its message, help, context and causes, however they are escaped.
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
    /// The remote's own message; part of `message` as well.
    #[cfg(feature = "http")]
    server_message: Option<String>,
    context: Vec<(&'static str, String)>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of this kind with a one-line message. It is not retried unless [`with_retry`](Self::with_retry) is set.
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

    /// Invalid data.
    pub fn invalid_data(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::InvalidData, message)
    }

    /// A failure of the remote or the backend that may be temporary.
    pub fn unavailable(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Unavailable, message).with_retry(Retry::Backoff)
    }

    /// A bug.
    pub fn internal(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// Sets how to fix it, as an imperative sentence without a full stop.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<Cow<'static, str>>) -> Self {
        self.0.help = Some(redacted(help.into()));
        self
    }

    /// Adds a fact, such as the URL. It is text for people: do not branch on it.
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

    /// Marks that a person has to confirm deletions, and that the run has marked nothing deleted. `rows` is the number of rows
    /// that the source did not list.
    #[must_use]
    pub fn with_unconfirmed_deletions(mut self, rows: u64) -> Self {
        self.0.unconfirmed_deletions = Some(rows);
        self
    }

    /// Sets the remote's own message. The text of the error does not include it: the message should.
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

    /// Marks that retries have failed, so that no outer layer retries again.
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

    /// The kind.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The message alone, without context.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// How to fix it, if that is known.
    pub fn help(&self) -> Option<&str> {
        self.0.help.as_deref()
    }

    /// Whether to retry the operation.
    pub fn retry(&self) -> Retry {
        self.0.retry
    }

    /// The HTTP status that caused it, if any.
    pub fn status(&self) -> Option<u16> {
        self.0.status
    }

    /// The remote's own error code, if any.
    pub fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// The number of rows whose deletion a person has to [confirm](Self::with_unconfirmed_deletions), if any.
    pub fn unconfirmed_deletions(&self) -> Option<u64> {
        self.0.unconfirmed_deletions
    }

    /// The remote's own message, on one short line and without credentials.
    #[cfg(feature = "http")]
    #[cfg_attr(not(feature = "github"), allow(dead_code, reason = "only the GitHub source looks at it"))]
    pub(crate) fn server_message(&self) -> Option<&str> {
        self.0.server_message.as_deref()
    }

    /// The facts, in the order in which they were added.
    pub fn context(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.context.iter().map(|(name, value)| (*name, value.as_str()))
    }

    /// The error as plain data, for run histories and JSON output.
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

/// Removes credentials from a text. Literals have none.
fn redacted(text: Cow<'static, str>) -> Cow<'static, str> {
    match text {
        Cow::Owned(text) => Cow::Owned(bounded(&text)),
        fixed @ Cow::Borrowed(_) => fixed,
    }
}

/// The longest part of a text that is searched for credentials; the rest would be cut anyway.
const LONGEST_SEARCHED: usize = 16 << 10;

/// The longest text within an error, in bytes: a remote may send a header of any length, and errors are stored.
const LONGEST: usize = 4 << 10;

/// Removes credentials from a text, and cuts it to [`LONGEST`].
pub(crate) fn bounded(text: &str) -> String {
    let redacted = redact(beginning(text, LONGEST_SEARCHED));
    if redacted.len() <= LONGEST {
        return redacted.into_owned();
    }
    format!("{}…", beginning(&redacted, LONGEST))
}

/// The first `most` bytes of a text, cut at the end of a character.
fn beginning(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or_default()]
}

/// The causes of an error, outermost first.
pub(crate) fn causes(error: &dyn StdError) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    std::iter::successors(error.source(), |&cause| cause.source())
}

/// Whether the text of a cause contains one of these lower-case words: some failures cannot be recognized in any other way.
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

/// An [`Error`] as plain data, for the run history and JSON output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ErrorReport {
    /// The kind.
    pub kind: ErrorKind,
    /// One line: the message and its context.
    pub message: String,
    /// The chain of causes, outermost first.
    #[serde(default)]
    pub causes: Vec<String>,
    /// How to fix it.
    #[serde(default)]
    pub help: Option<String>,
    /// The number of rows whose deletion a person has to confirm.
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
