//! Sends requests for pages, and decides what the answers mean.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tracing::Instrument;

use super::super::errors::Action;
use super::super::fields::ElementPlan;
use super::advice::{Asked, advised, beyond_end, is_about_credentials};
use super::page::{Content, EnvelopePlan, Page};
use super::plan::StreamPlan;
use super::progress::{Next, Progress};
use super::request::Prepared;
use crate::http::{Client, Request, Response};
use crate::spans;
use crate::{Error, ErrorKind, Monitor, Result, Retry, SourceEvent};

/// The first wait for a limit of unknown length; it doubles up to the longest.
const FIRST_WAIT: Duration = Duration::from_secs(30);
const LONGEST_WAIT: Duration = Duration::from_secs(15 * 60);

/// The longest total wait of one request.
const MAX_WAIT: Duration = Duration::from_secs(65 * 60);

/// What an answer means.
#[derive(Debug)]
pub(in crate::rest) enum Answer {
    Page(Page, Next),
    /// The list is empty.
    Empty,
    /// The list is left as it is; the error says why.
    Skip(Error),
    /// What was asked for is gone.
    Gone(Error),
    /// The list has to be read from its start.
    Restart(Error),
    /// The question has too many results.
    Split(Error),
}

/// Sends the requests of one stream.
#[derive(Debug, Clone)]
pub(in crate::rest) struct Asker {
    pub(in crate::rest) client: Client,
    pub(in crate::rest) stream: Arc<StreamPlan>,
    pub(in crate::rest) monitor: Monitor,
}

/// What one attempt brings.
enum Attempt {
    Answer(Answer),
    Wait(Option<Duration>, Error),
}

impl Asker {
    /// Asks for a page.
    ///
    /// # Errors
    /// Those of the client, and those that the description calls errors.
    pub(in crate::rest) async fn page(
        &self,
        envelope: &EnvelopePlan,
        elements: &ElementPlan,
        prepared: &Prepared,
        at: Option<&Next>,
        progress: &mut Progress,
    ) -> Result<Answer> {
        let prepared = match at {
            Some(Next::Set(place, value)) => {
                let mut prepared = prepared.clone();
                prepared.set(place, value)?;
                prepared
            }
            _ => prepared.clone(),
        };
        let is_first = progress.pages == 0;
        let asked = Asked { prepared: &prepared, at };
        let mut waited = Duration::ZERO;
        let mut waits = 0;
        loop {
            let request = match at {
                Some(Next::Url(url)) => prepared.follow(&self.client, url.as_str()),
                _ => prepared.request(&self.client),
            };
            let request = self.with_limits(request, envelope);
            let read = |response: Response| {
                if response.status() >= 400 {
                    let code = envelope.code(response.body());
                    return self.rejected(&response, code, is_first, &asked);
                }
                match envelope.read(elements, &response)? {
                    Content::Code(code) => self.rejected(&response, Some(code), is_first, &asked),
                    Content::Page(mut page) => {
                        let next = progress.next(&self.stream, &mut page, &response)?;
                        Ok(Attempt::Answer(Answer::Page(page, next)))
                    }
                }
            };
            match self.send(request, read).await? {
                Attempt::Answer(answer) => return Ok(answer),
                Attempt::Wait(after, error) => {
                    let wait = after.unwrap_or_else(|| FIRST_WAIT.saturating_mul(1 << waits).min(LONGEST_WAIT));
                    waits = (waits + 1).min(8);
                    waited += wait;
                    if waited > MAX_WAIT {
                        return Err(Error::new(ErrorKind::RateLimited, error.message().to_owned())
                            .with_help("try again later, or send fewer requests: write `pace = \"10/1m\"`"));
                    }
                    self.pause(wait).await;
                }
            }
        }
    }

    /// Lets the description say what an answer of a rate limit means.
    fn with_limits(&self, request: Request, envelope: &EnvelopePlan) -> Request {
        if !self.stream.errors.may_read_limits() {
            return request;
        }
        let (stream, envelope) = (self.stream.clone(), envelope.clone());
        request.read_limits(move |status, body| {
            let code = std::str::from_utf8(body).ok().and_then(|body| envelope.code(body));
            stream.errors.reads_limit(status, code.as_deref())
        })
    }

    async fn send<T: Send>(&self, request: Request, read: impl FnMut(Response) -> Result<T> + Send) -> Result<T> {
        let name = &self.stream.name;
        request.allow_errors().send_with(&self.monitor, read).await.map_err(|error| error.with_context("stream", name))
    }

    async fn pause(&self, wait: Duration) {
        let until = Timestamp::now().saturating_add(SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX));
        let until = until.unwrap_or(Timestamp::MAX);
        self.monitor.event(SourceEvent::Waiting { reason: "rate limit".to_owned(), until });
        let waiting = self.monitor.wait();
        tokio::time::sleep(wait).instrument(spans::wait("rate limit")).await;
        drop(waiting);
        self.monitor.event(SourceEvent::Resumed);
    }

    /// What the description says about an error.
    fn rejected(
        &self,
        response: &Response,
        code: Option<String>,
        is_first: bool,
        asked: &Asked<'_>,
    ) -> Result<Attempt> {
        let error = error_of(response, code.as_deref(), self.stream.parent.is_some());
        let Some((action, by)) = self.stream.errors.action(response.status(), code.as_deref()) else {
            return Err(advised(error, code.as_deref(), &self.stream, asked));
        };
        let error = if error.help().is_none() { error.with_help("correct the request") } else { error };
        let answer = match action {
            Action::Wait => return Ok(Attempt::Wait(response.limit_wait(), error)),
            Action::Retry => {
                let retry = response.retry_after().map_or(Retry::Backoff, Retry::After);
                return Err(error.with_retry(retry));
            }
            Action::Empty if is_first => Answer::Empty,
            Action::Skip if is_first => Answer::Skip(error),
            Action::Empty | Action::Skip => {
                let action = if action == Action::Empty { "empty" } else { "skip" };
                let rule =
                    format!("`{by} = \"{action}\"` holds for the first page of a list only, and this is a later one");
                return Err(error.with_help(match beyond_end(response.status(), &self.stream, asked) {
                    Some(advice) => format!("{advice}; {rule}"),
                    None => format!("run it again: {rule}"),
                }));
            }
            Action::Gone => Answer::Gone(error),
            Action::Restart if !is_first => Answer::Restart(error),
            Action::Split => Answer::Split(error),
            Action::Restart | Action::Fail => return Err(error.with_retry(Retry::Never)),
        };
        Ok(Attempt::Answer(answer))
    }
}

/// The error that a response is: that of its status, or of a code in it.
fn error_of(response: &Response, code: Option<&str>, is_child: bool) -> Error {
    let error = match code.filter(|_| response.status() < 400) {
        Some(code) => refused(response, code, is_child),
        None => response.rejection(),
    };
    match code {
        Some(code) => error.with_code(code),
        None => error,
    }
}

/// The error of a code in a successful response. Of a parent that is not found, the engine leaves the children as they are: only the
/// description says whether a code means that.
fn refused(response: &Response, code: &str, is_child: bool) -> Error {
    let status = response.status();
    // Often the code is all that there is.
    let reason = response.server_message().filter(|message| message != code);
    let reason = reason.map(|message| format!(": {message}")).unwrap_or_default();
    let (kind, help) = if is_about_credentials(code) {
        (ErrorKind::Authentication, "check the credentials: they may be wrong, expired or revoked")
    } else if is_about_absence(code) && !is_child {
        (ErrorKind::NotFound, "check the name, and what the credentials may read")
    } else {
        (ErrorKind::InvalidData, "look the code up in the documentation of the API")
    };
    Error::new(kind, format!("the server refuses the request: it answers {status} with the code {code:?}{reason}"))
        .with_status(status)
        .with_context("url", response.url())
        .with_help(help)
}

/// Whether a code says that what was asked for does not exist, as `channel_not_found` and `NotFound` do. Tokens of pages are others.
fn is_about_absence(code: &str) -> bool {
    let letters: String = code.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
    letters.contains("notfound") && !["page", "cursor", "token", "next"].iter().any(|word| letters.contains(word))
}
