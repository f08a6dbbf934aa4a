//! The GitHub-like server of the tests, in a process of its own.

#[path = "server.rs"]
mod server;

use github_server::GithubServerBuilder;
use serde::{Deserialize, Serialize};
use server::ServerProcess;

use super::Outcome;

/// Requests that the server has received.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Received {
    pub(crate) requests: u64,
    /// Those that were answered with status 304.
    pub(crate) unchanged: u64,
}

/// Serves until standard input is closed. Prints the URL, and for each line of the input the requests since the line before.
pub(crate) fn serve(builder: GithubServerBuilder) -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let upstream = builder.start().await?;
        tokio::task::spawn_blocking(move || {
            let url = upstream.url().to_owned();
            server::answer(&url, |_| {
                let counts = upstream.counts();
                upstream.forget_requests();
                let received = Received { requests: counts.requests, unchanged: counts.not_modified };
                Ok(serde_json::to_string(&received)?)
            })
        })
        .await?
    })
}

/// The process of a server, which ends when this value is dropped.
pub(crate) struct Upstream {
    pub(crate) url: String,
    process: ServerProcess,
}

impl Upstream {
    /// Starts this program with arguments that make it [`serve`].
    pub(crate) fn start(arguments: &[String]) -> Outcome<Self> {
        let process = ServerProcess::start(arguments)?;
        Ok(Self { url: process.url.clone(), process })
    }

    /// The requests since the last call.
    pub(crate) fn received(&mut self) -> Outcome<Received> {
        Ok(serde_json::from_str(&self.process.ask("")?)?)
    }
}
