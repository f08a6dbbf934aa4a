//! The GitHub-like server of the tests, in a process of its own.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use github_server::GithubServerBuilder;
use serde::{Deserialize, Serialize};

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
        print_line(upstream.url())?;
        tokio::task::spawn_blocking(move || {
            for line in std::io::stdin().lines() {
                line?;
                let counts = upstream.counts();
                upstream.forget_requests();
                let received = Received { requests: counts.requests, unchanged: counts.not_modified };
                print_line(&serde_json::to_string(&received)?)?;
            }
            Ok(())
        })
        .await?
    })
}

fn print_line(line: &str) -> Outcome<()> {
    println!("{line}");
    Ok(std::io::stdout().flush()?)
}

/// The process of a server, which ends when this value is dropped.
pub(crate) struct Upstream {
    pub(crate) url: String,
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Upstream {
    /// Starts this program with arguments that make it [`serve`].
    pub(crate) fn start(arguments: &[String]) -> Outcome<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut child = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().ok_or("the upstream has no output")?);
        let mut upstream = Self { url: String::new(), child, stdin, stdout };
        upstream.url = upstream.line()?;
        Ok(upstream)
    }

    /// The requests since the last call.
    pub(crate) fn received(&mut self) -> Outcome<Received> {
        writeln!(self.stdin.as_mut().ok_or("the upstream has no input")?)?;
        Ok(serde_json::from_str(&self.line()?)?)
    }

    fn line(&mut self) -> Outcome<String> {
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.child.wait();
    }
}
