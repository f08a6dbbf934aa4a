//! Who is told: a webhook, or a command.

use std::fmt;
use std::path::PathBuf;
use std::process::Stdio;

#[cfg(feature = "http")]
use secrecy::ExposeSecret;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use super::message::Message;
use crate::cli::args::NotifyArgs;
use crate::{Error, Result};
#[cfg(feature = "http")]
use crate::{Monitor, SecretRef, http::Client};

/// The variables of this process that a command gets. The others may be credentials.
const INHERITED: [&str; 7] = ["PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR"];

/// The most that is read of what a failed command says, in bytes.
const LONGEST_COMPLAINT: u64 = 1 << 10;

/// Who is told.
#[derive(Debug)]
pub(super) enum Target {
    /// An HTTP server gets the JSON. The URL is a secret: who knows it can write there.
    #[cfg(feature = "http")]
    Webhook(SecretRef),
    /// A program gets it on standard input.
    Command(PathBuf),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            #[cfg(feature = "http")]
            Self::Webhook(url) => write!(f, "the webhook {url}"),
            Self::Command(program) => write!(f, "the command {}", program.display()),
        }
    }
}

impl Target {
    /// What kind of target it is. What was told is kept under this name.
    pub(super) fn name(&self) -> &'static str {
        match self {
            #[cfg(feature = "http")]
            Self::Webhook(_) => "webhook",
            Self::Command(_) => "command",
        }
    }

    pub(super) fn of_args(args: &NotifyArgs) -> Result<Vec<Self>> {
        let mut targets = Vec::new();
        #[cfg(feature = "http")]
        if let Some(reference) = &args.notify_url {
            let url: SecretRef = reference.parse().map_err(|error: Error| {
                Error::configuration("the URL for notifications must be a reference").with_source(error).with_help(
                    "put the URL into an environment variable or a file, and write `--notify-url env:NAME` or \
                     `--notify-url file:PATH`",
                )
            })?;
            // A reference that leads nowhere is found now, not at the first failure at night.
            webhook_url(&url)?;
            targets.push(Self::Webhook(url));
        }
        targets.extend(args.notify_command.clone().map(Self::Command));
        Ok(targets)
    }

    /// Makes one attempt.
    pub(super) async fn deliver(&self, message: &Message) -> Result<()> {
        match self {
            #[cfg(feature = "http")]
            Self::Webhook(url) => post(url, message).await,
            Self::Command(program) => {
                let run = run(program, message).await;
                run.map_err(|error| Error::unavailable(format!("{self} failed")).with_source(error))
            }
        }
    }
}

/// Reads the URL of a webhook. Its path is remembered as a secret; its host may be that of other things.
#[cfg(feature = "http")]
fn webhook_url(reference: &SecretRef) -> Result<url::Url> {
    let refused = |why| {
        Error::configuration(format!("the URL for notifications in {reference} {why}"))
            .with_help("give one that begins with https://, or with http:// for this machine")
    };
    let secret = reference.read()?;
    let url = url::Url::parse(secret.expose_secret().trim()).map_err(|_| refused("is not a URL"))?;
    crate::error::remember(&url[url::Position::BeforePath..]);
    if let Some(password) = url.password() {
        crate::error::remember(password);
    }
    if url.scheme() == "https" || url.scheme() == "http" && crate::net::is_loopback_url(&url) {
        Ok(url)
    } else {
        Err(refused("is not encrypted"))
    }
}

#[cfg(feature = "http")]
async fn post(reference: &SecretRef, message: &Message) -> Result<()> {
    let url = webhook_url(reference)?;
    // The caller retries, and most servers answer with nothing or with "ok".
    let client = Client::builder(&url[..url::Position::BeforePath]).without_retry().without_rate_limit().build()?;
    let body = message.json();
    let document = serde_json::value::RawValue::from_string(body)
        .map_err(|error| Error::internal("the notification is not JSON").with_source(error))?;
    client
        .post(url.as_str())
        .json(&document)
        .allow_status(&[200, 201, 202])
        .send(&Monitor::detached())
        .await
        .map(drop)
        .map_err(|error| {
            let help = "check that the webhook still exists, and that this machine reaches it";
            Error::new(error.kind(), format!("the webhook {reference} could not be called"))
                .with_source(error)
                .with_help(help)
        })
}

async fn run(program: &PathBuf, message: &Message) -> std::io::Result<()> {
    let inherited = INHERITED.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
    let mut child = Command::new(program)
        .env_clear()
        .envs(inherited)
        .env("SNOWFEED_SOURCE", &message.source)
        .env("SNOWFEED_HEALTH", message.health.as_str())
        .env("SNOWFEED_TEXT", crate::error::redact(&message.text).as_ref())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let (stdin, stderr) = (child.stdin.take(), child.stderr.take());
    let write = async {
        let Some(mut stdin) = stdin else { return };
        // A program need not read it.
        let _ = stdin.write_all(message.json().as_bytes()).await;
    };
    let read = async {
        let mut complaint = Vec::new();
        if let Some(mut stderr) = stderr {
            let _ = (&mut stderr).take(LONGEST_COMPLAINT).read_to_end(&mut complaint).await;
            // The rest must not block it.
            let _ = tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await;
        }
        complaint
    };
    let ((), complaint, status) = tokio::join!(write, read, child.wait());
    let status = status?;
    if status.success() {
        return Ok(());
    }
    let complaint = String::from_utf8_lossy(&complaint).trim().to_owned();
    Err(std::io::Error::other(if complaint.is_empty() { status.to_string() } else { format!("{status}: {complaint}") }))
}
