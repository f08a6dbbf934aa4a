//! One request, and what its answer suggests.

use std::path::Path;
use std::sync::Arc;

use secrecy::SecretString;
use serde_json::{Value, json};

use super::args::Probe;
use super::files;
use super::request::{ArgValue, RequestOptions};
use crate::cli::output::{Output, table};
use crate::http::{Bearer, Client, Response, Url, basic};
use crate::rest::{Finding, Proposal, Sample, propose};
use crate::{Error, Monitor, Result};

pub(super) async fn try_url(probe: &Probe, output: Output) -> Result<()> {
    let (proposal, _) = ask(&probe.url, &probe.options).await?;
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
pub(super) async fn ask(url: &str, options: &RequestOptions) -> Result<(Proposal, String)> {
    let response = send(url, options).await?;
    let next = response.next()?;
    Ok((proposal(url, response.json()?, next, options)?, response.body().to_string()))
}

async fn send(url: &str, options: &RequestOptions) -> Result<Response> {
    let start = url.find("://").map_or(0, |at| at + 3);
    let host_end = url[start..].find(['/', '?', '#']).map_or(url.len(), |at| start + at);
    let mut client = Client::builder(&url[..host_end]).without_retry();
    if let Some(token) = options.bearer()? {
        client = client.authorization(Arc::new(Bearer::new(&token.resolve()?)));
    }
    if let Some([user, password]) = options.basic()? {
        client = client.credential_header("authorization", basic(&value(user)?, &value(password)?));
    }
    for (name, header) in options.headers()? {
        client = match header {
            ArgValue::Secret(secret) => client.credential_header(name, secret.resolve()?),
            ArgValue::Text(value) => client.header(name, value),
        };
    }
    let body = options.body()?;
    let client = client.build()?;
    let request = match &body {
        Some(body) => client.post(url).json(body),
        None => client.get(url),
    };
    request.send(&Monitor::detached()).await.map_err(|error| match error.help() {
        Some(_) => error,
        None => error.with_help(
            "check the URL; `--bearer env:NAME`, `--basic USER env:NAME` or `--header 'NAME: VALUE'` signs in, and `--body JSON` makes it a POST",
        ),
    })
}

fn value(value: ArgValue<'_>) -> Result<SecretString> {
    match value {
        ArgValue::Text(text) => Ok(text.into()),
        ArgValue::Secret(secret) => secret.resolve(),
    }
}

/// What an answer suggests, and how the request was sent, without its secrets.
fn proposal(url: &str, body: Value, next: Option<Url>, options: &RequestOptions) -> Result<Proposal> {
    let mut sample = Sample::new(url, body);
    if let Some(next) = next {
        sample = sample.link(next);
    }
    if let Some(body) = options.body()? {
        sample = sample.posted(body);
    }
    let mut proposal = propose(&sample);
    if options.bearer()?.is_some() {
        proposal = proposal.bearer();
    }
    if let Some(pair) = options.basic()? {
        let [user, password] = pair.map(|part| match part {
            ArgValue::Text(text) => Some(text),
            ArgValue::Secret(_) => None,
        });
        proposal = proposal.basic(user, password);
    }
    for (name, header) in options.headers()? {
        proposal = match header {
            ArgValue::Secret(_) => proposal.secret_header(name),
            ArgValue::Text(value) => proposal.header(name, value),
        };
    }
    Ok(proposal)
}

/// Proposes what an answer in a file suggests. Returns the text, too.
pub(super) fn read(path: &Path, url: &str, options: &RequestOptions) -> Result<(Proposal, String)> {
    let text = files::text(path, "sample")?;
    let body = serde_json::from_str(&text).map_err(|error| {
        Error::configuration(format!("the sample {} is not JSON", path.display()))
            .with_source(error)
            .with_help("save the body of one answer, without its headers")
    })?;
    Ok((proposal(url, body, None, options)?, text))
}
