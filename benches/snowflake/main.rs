//! Rows into Snowflake beside their lower bound: the same bytes in files of 100 MB, one COPY and one MERGE, by hand.
//!
//! The server is an imitation of Snowflake on this machine, so its own time does not matter; only the client's CPU and
//! memory count. Each measurement is a separate process. See `docs/benchmarks.md`.

#![allow(clippy::unwrap_used, reason = "a bench that cannot be set up has nothing to measure")]

mod latency;
#[path = "../measure/mod.rs"]
mod measure;
#[path = "../../tests/support/peers.rs"]
mod peers;
mod records;
mod ways;

use std::error::Error;
use std::process::{Command, Stdio};
use std::time::Duration;

use latency::Proxy;
use serde::{Deserialize, Serialize};
use ways::Way;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// A child process's own measurements.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Figures {
    rows: u64,
    commits: u64,
    statements: u64,
    /// Bytes stored on the stage.
    staged: u64,
    /// User and system time, in seconds.
    cpu: f64,
    wall: f64,
    /// The largest resident set, in MiB.
    peak: f64,
}

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["way", way, rows, port] => ways::measure(Way::named(way)?, rows.parse()?, port.parse()?),
        words if words.contains(&"--test") => table(2_000, 0, &Way::ALL),
        words => table(number(words, "--rows", 100_000)?, number(words, "--latency", 0)?, &named_ways(words)?),
    }
}

/// The number after a word; without the word, the default.
fn number(words: &[&str], name: &str, default: u32) -> Outcome<u32> {
    Ok(value(words, name)?.map_or(Ok(default), str::parse)?)
}

/// The word after an option; `None` without the option.
fn value<'a>(words: &[&'a str], name: &str) -> Outcome<Option<&'a str>> {
    let Some(at) = words.iter().position(|word| *word == name) else { return Ok(None) };
    Ok(Some(*words.get(at + 1).ok_or_else(|| format!("{name} needs a value"))?))
}

/// The ways that `--ways lower-bound,stage` names; without it, all.
fn named_ways(words: &[&str]) -> Outcome<Vec<Way>> {
    value(words, "--ways")?.map_or_else(|| Ok(Way::ALL.to_vec()), |names| names.split(',').map(Way::named).collect())
}

/// Measures these ways; each request to the server takes this many milliseconds longer.
fn table(rows: u32, latency: u32, ways: &[Way]) -> Outcome<()> {
    let Some(server) = peers::fakesnow() else { return Ok(()) };
    let proxy = Proxy::start(server.port, Duration::from_millis(latency.into()))?;
    let port = if latency == 0 { server.port } else { proxy.port };
    println!("{rows} records of 5.5 kB, {latency} ms of latency");
    println!(
        "| way | commits | statements | staged MB | client CPU s | µs a record | to the bound | wall s | of which the server | rows/s | commits/s | peak MiB |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|");
    let make = client(Way::Make, rows, port)?;
    let mut bound = None;
    for way in ways.iter().copied() {
        let before = proxy.busy();
        let figures = if way == Way::Make { make.clone() } else { client(way, rows, port)? };
        let server = (proxy.busy() - before).as_secs_f64();
        let server = if latency == 0 { String::new() } else { format!("{server:.1}") };
        let Figures { commits, statements, staged, cpu, wall, peak, .. } = figures;
        // Making the records is not part of the measured work.
        let own = cpu - make.cpu;
        let ratio = match (way, bound) {
            (Way::LowerBound, _) => {
                bound = Some(own);
                "1".to_owned()
            }
            (Way::Make, _) | (_, None) => String::new(),
            (_, Some(bound)) => format!("{:.2}", own / bound),
        };
        let each = cpu * 1e6 / f64::from(rows);
        #[allow(clippy::cast_precision_loss, reason = "printed with two digits")]
        let (staged, per_second) = (staged as f64 / 1e6, commits as f64 / wall);
        println!(
            "| {} | {commits} | {statements} | {staged:.1} | {cpu:.2} | {each:.1} | {ratio} | {wall:.1} | {server} | {:.0} | {per_second:.2} | {peak:.0} |",
            way.title(),
            f64::from(rows) / wall,
        );
    }
    Ok(())
}

/// Does the job one way, in a separate process.
fn client(way: Way, rows: u32, port: u16) -> Outcome<Figures> {
    let child = Command::new(std::env::current_exe()?)
        .args(["way", way.name(), &rows.to_string(), &port.to_string()])
        .stderr(Stdio::inherit())
        .output()?;
    if !child.status.success() {
        return Err(format!("{} ended with {}", way.name(), child.status).into());
    }
    let figures: Figures = serde_json::from_slice(&child.stdout)?;
    if figures.rows != u64::from(rows) {
        return Err(format!("{}: {} rows instead of {rows}", way.name(), figures.rows).into());
    }
    Ok(figures)
}
