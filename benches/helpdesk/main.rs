//! The helpdesk of the README, loaded by the program `snowfeed` and by dlt: lines, time, requests, and what is wrong with the rows
//! after deletions, kills and faults.
//!
//! The server is a process of its own, and so is each run, as a user starts it. `cargo bench` builds the program as it builds the
//! bench; the first run installs dlt among the build artefacts. See `docs/benchmarks.md`.

#[path = "../../tests/support/peers.rs"]
mod peers;
mod process;
mod scenarios;
mod server;
#[path = "../measure/server.rs"]
mod server_process;
mod table;
mod ways;

use std::error::Error;
use std::time::Duration;

use scenarios::Figures;
use ways::{Errors, Way};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// The lines that describe the helpdesk are at most this many.
const MAX_LINES: usize = 25;

/// How many requests snowfeed has in flight, and how many seconds it reads until it commits, with time to spare for a busy machine.
const CONCURRENCY: u32 = 8;
const COMMIT_SECONDS: u32 = 2;

/// What to measure.
#[derive(Debug)]
struct Plan {
    tickets: u64,
    /// The latency of reads over a network, in milliseconds.
    latency: u32,
    repeats: u32,
}

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["server", tickets, millis] => server::serve(tickets.parse()?, Duration::from_millis(millis.parse()?)),
        words if words.contains(&"--test") => {
            println!("skipped: dlt, which `--test` does not install");
            compare(&["snowfeed"], &Plan { tickets: 120, latency: 5, repeats: 1 })
        }
        words => {
            let names: Vec<&str> = value(words, "--ways")?.unwrap_or("snowfeed,dlt").split(',').collect();
            let latency = value(words, "--latency")?.map_or(Ok(50), str::parse)?;
            let repeats = value(words, "--repeats")?.map_or(Ok(3), str::parse)?;
            compare(&names, &Plan { tickets: 1_200, latency, repeats })
        }
    }
}

/// The word after an option; `None` without the option.
fn value<'a>(words: &[&'a str], name: &str) -> Outcome<Option<&'a str>> {
    let Some(at) = words.iter().position(|word| *word == name) else { return Ok(None) };
    Ok(Some(*words.get(at + 1).ok_or_else(|| format!("{name} needs a value"))?))
}

/// Prints the figures of each way, and fails if snowfeed's are worse than they may be.
fn compare(names: &[&str], plan: &Plan) -> Outcome<()> {
    let mut ways = Vec::new();
    for name in names {
        match Way::named(name)? {
            Some(way) => ways.push(way),
            None => println!("skipped: {name}, which needs python3"),
        }
    }
    let mut measured = Vec::new();
    for way in &ways {
        measured.push((way, scenarios::measure(way, plan)?));
    }
    table::print(&measured, plan.latency);
    measured
        .iter()
        .filter(|(way, _)| matches!(way, Way::Snowfeed))
        .try_for_each(|(_, figures)| check(figures, plan.latency))
}

fn check(figures: &Figures, latency: u32) -> Outcome<()> {
    let Figures { lines, first, news, all, new_columns, killed, failing, busy, .. } = figures;
    // An incremental run finds the deletions only among the comments of changed tickets.
    let without_deletions = |errors: Errors| Errors { extra: (0, 0), ..errors } == Errors::default();
    // Those since the last commit, and a first page.
    let most = first.requests + u64::from(CONCURRENCY * (COMMIT_SECONDS * 1_000 / latency.max(1) + 1));
    let wrong = [
        ("too many lines", *lines > MAX_LINES),
        ("rows are missing or stale after changes", !without_deletions(news.1)),
        ("deletions are not found", all.1 != Errors::default()),
        ("a new field has no column", new_columns.contains(&false)),
        ("a kill loses or duplicates rows", killed.iter().any(|killed| killed.errors != Errors::default())),
        ("a kill repeats too many requests", killed.iter().any(|killed| killed.before + killed.rerun > most)),
        ("a fault fails a run", failing.iter().any(|failing| failing.runs > 1 || !failing.is_success)),
        ("a fault loses rows", failing.iter().any(|failing| failing.errors != Errors::default())),
        ("rows are missing or stale after changes while they were read", !without_deletions(*busy)),
    ];
    let wrong: Vec<&str> = wrong.into_iter().filter_map(|(what, is_wrong)| is_wrong.then_some(what)).collect();
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(format!("{wrong:?}: {figures:?}").into()),
    }
}
