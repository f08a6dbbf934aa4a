//! One request, and what its answer suggests.

use std::path::Path;
use std::sync::Arc;

use secrecy::ExposeSecret;
use serde_json::json;

use super::args::{Credentials, HeaderValue, Probe};
use crate::cli::output::{Output, table};
use crate::http::{Bearer, Client, Response};
use crate::rest::{Finding, Proposal, Sample, propose};
use crate::{Error, Monitor, Result};

/// The longest sample in a file, in bytes.
const LONGEST: usize = 64 << 20;

pub(super) async fn try_url(probe: &Probe, output: Output) -> Result<()> {
    let (proposal, _) = ask(&probe.url, &probe.credentials).await?;
    let stream = proposal.stream_toml();
    output.result(&json!({"findings": proposal.findings, "stream": stream}), || {
        format!("{}\n\n{}", findings(&proposal), stream.trim_end())
    })
}

/// The findings as a table.
pub(super) fn findings(proposal: &Proposal) -> String {
    let row = |finding: &Finding| vec![finding.key.to_owned(), finding.found.clone()];
    table(&["key", "found"], &[], proposal.findings.iter().map(row))
}

/// Sends one request, and proposes what its answer suggests. Returns the body, too.
pub(super) async fn ask(url: &str, credentials: &Credentials) -> Result<(Proposal, String)> {
    let response = send(url, credentials).await?;
    let body = response.json()?;
    let mut sample = Sample::new(url, body);
    if let Some(next) = response.next()? {
        sample = sample.link(next);
    }
    Ok((signed(propose(&sample), credentials)?, response.body().to_string()))
}

async fn send(url: &str, credentials: &Credentials) -> Result<Response> {
    let start = url.find("://").map_or(0, |at| at + 3);
    let host_end = url[start..].find(['/', '?', '#']).map_or(url.len(), |at| start + at);
    let mut client = Client::builder(&url[..host_end]).without_retry();
    if let Some(token) = credentials.bearer()? {
        client = client.authorization(Arc::new(Bearer::new(&token.resolve()?)));
    }
    for (name, value) in credentials.headers()? {
        client = match value {
            HeaderValue::Secret(secret) => client.header(name, secret.resolve()?.expose_secret()),
            HeaderValue::Text(value) => client.header(name, value),
        };
    }
    let client = client.build()?;
    client.get(url).send(&Monitor::detached()).await.map_err(|error| match error.help() {
        Some(_) => error,
        None => error.with_help("check the URL; `--bearer env:NAME` or `--header 'NAME: VALUE'` signs in"),
    })
}

/// Adds how the request signed in, without the secrets.
pub(super) fn signed(mut proposal: Proposal, credentials: &Credentials) -> Result<Proposal> {
    if credentials.bearer()?.is_some() {
        proposal = proposal.bearer();
    }
    for (name, value) in credentials.headers()? {
        proposal = match value {
            HeaderValue::Secret(_) => proposal.secret_header(name),
            HeaderValue::Text(value) => proposal.header(name, value),
        };
    }
    Ok(proposal)
}

/// Reads an answer from a file. Returns the text, too.
pub(super) fn read(path: &Path, url: &str) -> Result<(Proposal, String)> {
    let text = text(path)?;
    let body = serde_json::from_str(&text).map_err(|error| {
        Error::configuration(format!("the sample {} is not JSON", path.display()))
            .with_source(error)
            .with_help("save the body of one answer, without its headers")
    })?;
    Ok((propose(&Sample::new(url, body)), text))
}

/// Reads the text of an answer from a file.
pub(super) fn text(path: &Path) -> Result<String> {
    let name = path.display();
    let unreadable = |error: std::io::Error| {
        Error::configuration(format!("the sample {name} cannot be read"))
            .with_source(error)
            .with_help("name a file with one answer of the API")
    };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    crate::secret::read_text(&file, LONGEST).map_err(unreadable)
}
