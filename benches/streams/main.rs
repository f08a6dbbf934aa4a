//! All ten streams of a repository from a loopback upstream into an SQLite file: the requests of a first read and of an idle
//! run, each beside its bound, and the sizes of the states.
//!
//! Each run is a separate process, and so is the upstream, which counts the requests. See `docs/benchmarks.md`.

#[path = "../measure/mod.rs"]
mod measure;
mod runs;
#[path = "../measure/upstream.rs"]
mod upstream;

use std::error::Error;
use std::path::Path;
use std::process::{Command, Stdio};

use github_server::{GithubServer, RecordKind};
use runs::{Figures, StreamFigures};
use upstream::{Received, Upstream};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// The only repository.
const REPOSITORY: &str = "acme/widgets";

/// Records on a page.
const PAGE: u64 = 100;

/// An idle run sends at most this many requests…
const IDLE_REQUESTS: u64 = 10;

/// … and should take at most this many seconds of processor time.
const IDLE_CPU: f64 = 0.060;

/// A state holds at most this many bytes.
const STATE_SIZE: usize = 4_096;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["upstream", divisor] => upstream::serve(Size::divided_by(divisor.parse()?).builder()),
        ["run", url, file] => runs::measure(url, Path::new(file)),
        words if words.contains(&"--test") => table(40),
        _ => table(1),
    }
}

/// The records of the repository.
#[derive(Debug, Clone, Copy)]
struct Size {
    issues: u32,
    /// Those of the issues that are pull requests.
    pulls: u32,
    divisor: u32,
}

impl Size {
    /// The full size, or a small one.
    fn divided_by(divisor: u32) -> Self {
        Self { issues: 10_000 / divisor, pulls: 2_000 / divisor, divisor }
    }

    /// How many records of a kind there are.
    fn of(self, kind: RecordKind) -> u32 {
        let full = match kind {
            RecordKind::IssueComment => 30_000,
            RecordKind::IssueEvent => 10_000,
            RecordKind::Review => 6_000,
            RecordKind::ReviewComment => 3_000,
            RecordKind::Commit => 2_000,
            // The lists that are read whole keep more than one page.
            RecordKind::Label => return 200,
            _ => return 50,
        };
        full / self.divisor
    }

    fn builder(self) -> github_server::GithubServerBuilder {
        let builder = GithubServer::builder().oddities(false).repository(REPOSITORY, self.issues).pulls(self.pulls);
        RecordKind::STREAMS.into_iter().fold(builder, |builder, (_, kind)| builder.records(kind, self.of(kind)))
    }

    /// How many records a stream has, and the fewest requests that return them: pages, and parents that have a list or a
    /// document of their own.
    fn least(self, stream: &str) -> (u64, u64) {
        let (issues, pulls) = (u64::from(self.issues), u64::from(self.pulls));
        let kind = RecordKind::STREAMS.into_iter().find(|(name, _)| *name == stream);
        match kind.map(|(_, kind)| kind) {
            None if stream == "pulls" => (pulls, pulls),
            None => (issues, issues.div_ceil(PAGE)),
            // Their pull requests have a few each.
            Some(RecordKind::Review) => (self.of(RecordKind::Review).into(), pulls),
            Some(kind) => (self.of(kind).into(), u64::from(self.of(kind)).div_ceil(PAGE)),
        }
    }
}

const STREAMS: [&str; 10] = [
    "issues",
    "issue_comments",
    "review_comments",
    "labels",
    "milestones",
    "releases",
    "issue_events",
    "pulls",
    "reviews",
    "commits",
];

/// Prints the figures of each stream and those of the runs, and fails if a number of requests or the size of a state exceeds
/// its bound.
fn table(divisor: u32) -> Outcome<()> {
    let size = Size::divided_by(divisor);
    let mut upstream = Upstream::start(&["upstream".to_owned(), divisor.to_string()])?;
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("streams.db");
    let first = run(&upstream.url, &file)?;
    let of_first = upstream.received()?;
    let idle = run(&upstream.url, &file)?;
    let of_idle = upstream.received()?;

    println!("| stream | rows | pages and parents | requests | idle run | checkpoint, bytes | state, bytes |");
    println!("|---|--:|--:|--:|--:|--:|--:|");
    let mut least = 0;
    for stream in STREAMS {
        let (expected, pages) = size.least(stream);
        let (first, idle) = (first.stream(stream)?, idle.stream(stream)?);
        let StreamFigures { rows, requests, .. } = first;
        if (*rows, idle.rows) != (expected, 0) {
            return Err(
                format!("{}: {rows} rows and {} when idle instead of {expected} and 0", stream, idle.rows).into()
            );
        }
        println!(
            "| {} | {rows} | {pages} | {requests} | {} | {} | {} |",
            stream, idle.requests, first.checkpoint, first.state
        );
        least += pages;
    }
    print_runs(least, (&first, of_first), (&idle, of_idle));
    check(least, of_first, of_idle, &first, &idle)
}

fn print_runs(least: u64, first: (&Figures, Received), idle: (&Figures, Received)) {
    println!("\n| run | requests | bound | of these 304 | CPU s | bound | wall s | peak MiB |");
    println!("|---|--:|--:|--:|--:|--:|--:|--:|");
    for (title, (figures, received), requests, cpu) in [
        ("first read", first, most(least), String::new()),
        ("idle second run", idle, IDLE_REQUESTS, format!("{IDLE_CPU:.3}")),
    ] {
        println!(
            "| {title} | {} | {requests} | {} | {:.3} | {cpu} | {:.2} | {:.0} |",
            received.requests, received.unchanged, figures.cpu, figures.wall, figures.peak
        );
    }
}

/// The most requests of a first read: 1.05 for each page and parent, and 20 more.
fn most(least: u64) -> u64 {
    least * 105 / 100 + 20
}

fn check(least: u64, of_first: Received, of_idle: Received, first: &Figures, idle: &Figures) -> Outcome<()> {
    for (figures, received) in [(first, of_first), (idle, of_idle)] {
        let counted: u64 = figures.streams.values().map(|stream| stream.requests).sum();
        if counted != received.requests {
            return Err(format!("the runs count {counted} requests, the server {}", received.requests).into());
        }
    }
    let is_within = of_first.requests <= most(least) && of_idle.requests <= IDLE_REQUESTS;
    let largest = first.streams.values().map(|stream| stream.state).max().unwrap_or_default();
    match is_within && largest <= STATE_SIZE {
        true => Ok(()),
        false => Err(format!("a bound is exceeded; the largest state has {largest} bytes").into()),
    }
}

/// Reads all streams in a separate process.
fn run(url: &str, file: &Path) -> Outcome<Figures> {
    let mut command = Command::new(std::env::current_exe()?);
    let child = command.args(["run", url]).arg(file).stderr(Stdio::inherit()).output()?;
    if !child.status.success() {
        return Err(format!("the run ended with {}", child.status).into());
    }
    Ok(serde_json::from_slice(&child.stdout)?)
}
