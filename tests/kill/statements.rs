//! Kills at the statements that a process sends to Snowflake.

use std::io::Read;
use std::sync::atomic::Ordering;

use flate2::read::GzDecoder;
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::crash_points::{CrashPoint, CrashPoints, numbered};
use crate::process::{Process, Scenario};
use crate::proxy::{Proxy, Side};
use crate::snowflake::SnowflakeDatabases;

/// Kill points before or after each statement.
pub(crate) struct Statements<'a> {
    side: Side,
    proxy: &'a Proxy,
}

/// Starts a proxy in front of an account's server.
pub(crate) fn proxy(account: &SnowflakeDatabases, runtime: &Runtime) -> Proxy {
    let proxy = runtime.block_on(Proxy::start(account.url()));
    account.port.store(proxy.port, Ordering::Relaxed);
    proxy
}

impl<'a> Statements<'a> {
    pub(crate) fn new(proxy: &'a Proxy, side: Side) -> Self {
        Self { side, proxy }
    }
}

impl CrashPoints for Statements<'_> {
    fn title(&self, name: &str) -> String {
        match self.side {
            Side::Before => format!("{name}, not sent"),
            Side::After => format!("{name}, executed, no response"),
        }
    }

    fn record(&self, scenario: &Scenario<'_>, reconcile: bool) -> Vec<CrashPoint> {
        self.proxy.expect(None);
        scenario.run(reconcile);
        numbered(self.proxy.names())
    }

    fn kill_at(&self, scenario: &Scenario<'_>, reconcile: bool, step: &CrashPoint) -> bool {
        self.proxy.expect(Some((self.side, step.clone())));
        let mut process = Process::start(&mut scenario.ingest(&[], reconcile));
        let killed = process.runs_until(|| self.proxy.has_reached()) && process.kill();
        self.proxy.expect(None);
        killed
    }
}

/// A statement as sent.
#[derive(Debug, Clone)]
pub(crate) struct SentStatement {
    pub(crate) sql: String,
    pub(crate) has_binds: bool,
}

impl SentStatement {
    /// The statement of a request, if it has one.
    pub(crate) fn parse(path: &str, body: &[u8], is_compressed: bool) -> Option<Self> {
        if path != "/queries/v1/query-request" {
            return None;
        }
        let mut text = Vec::new();
        if is_compressed {
            GzDecoder::new(body).read_to_end(&mut text).unwrap();
        } else {
            text.extend_from_slice(body);
        }
        let request: Value = serde_json::from_slice(&text).unwrap();
        let binds = &request["bindings"];
        let has_binds = !binds.is_null() && binds.as_object().is_none_or(|binds| !binds.is_empty());
        Some(Self { sql: request["sqlText"].as_str().unwrap().to_owned(), has_binds })
    }
}

/// The name of a request to Snowflake: its statement's, if it has one.
pub(crate) fn name(path: &str, sent: Option<&SentStatement>) -> String {
    match (path, sent) {
        (_, Some(SentStatement { sql, .. })) => [kind(sql), object(sql).to_owned()].join(" ").trim_end().to_owned(),
        ("/session/v1/login-request", _) => "login".to_owned(),
        ("/session", _) => "logout".to_owned(),
        (other, _) => other.to_owned(),
    }
}

/// The verb of a statement, and for CREATE also the kind of object.
fn kind(sql: &str) -> String {
    const MODIFIERS: [&str; 6] = ["OR", "REPLACE", "TRANSIENT", "IF", "NOT", "EXISTS"];
    let mut words = sql.split([' ', '(']).filter(|word| !MODIFIERS.contains(word));
    match (words.next().unwrap_or_default(), words.next()) {
        ("CREATE", Some(made)) => format!("CREATE {made}"),
        (verb, _) => verb.to_owned(),
    }
}

/// The object of a statement: the last part of the first name in quotes.
fn object(sql: &str) -> &str {
    let named = if sql.starts_with("SELECT") { sql.split_once(" FROM ").map_or("", |(_, rest)| rest) } else { sql };
    // Names, and the text between them.
    let mut parts = named.split('"').skip(1);
    let mut name = parts.next().unwrap_or_default();
    while parts.next() == Some(".") {
        name = parts.next().unwrap_or_default();
    }
    match name {
        name if name.contains("^=load/") => "staged files",
        name if name.starts_with("KILL") => "",
        name => name,
    }
}
