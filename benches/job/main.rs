//! The whole job beside its lower bound: a repository's issues from a loopback upstream into an SQLite file.
//!
//! Each measurement is a separate process: this program starts itself once more as the upstream, and once for each way of
//! doing the job, so that CPU and memory are those of the client alone. See `docs/benchmarks.md`.

mod by_hand;
#[path = "../measure/mod.rs"]
mod measure;
#[path = "../measure/upstream.rs"]
mod upstream;
mod ways;

use std::error::Error;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use github_server::GithubServer;
use serde::{Deserialize, Serialize};
use upstream::Upstream;
use ways::Way;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// The only repository.
const REPOSITORY: &str = "acme/widgets";

/// A child process's own measurements.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Figures {
    rows: u64,
    requests: u64,
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
        ["upstream", issues, millis] => {
            let builder = GithubServer::builder().oddities(false).latency(Duration::from_millis(millis.parse()?));
            upstream::serve(builder.repository(REPOSITORY, issues.parse()?))
        }
        ["way", way, issues, url, file] => ways::measure(Way::named(way)?, issues.parse()?, url, Path::new(file)),
        words if words.contains(&"--test") => table(&Plan { issues: 300, latencies: vec![0, 5], repeats: 1 }),
        words => {
            let number = |name: &str, default: u32| match words.iter().position(|word| *word == name) {
                Some(at) => words.get(at + 1).ok_or("a number is missing")?.parse().map_err(Into::into),
                None => Outcome::Ok(default),
            };
            let latencies = if words.contains(&"--latency") { vec![number("--latency", 0)?] } else { vec![0, 50, 200] };
            let (issues, repeats) = (number("--issues", 10_000)?, number("--repeats", 3)?);
            table(&Plan { issues, latencies, repeats })
        }
    }
}

/// What to measure.
struct Plan {
    issues: u32,
    latencies: Vec<u32>,
    repeats: u32,
}

fn table(plan: &Plan) -> Outcome<()> {
    println!("{} issues, the median of {} runs", plan.issues, plan.repeats);
    println!("| latency | way | rows | requests | CPU s | CPU ratio | wall s | wall ratio | peak MiB |");
    println!("|---|---|---|---|---|---|---|---|---|");
    for &latency in &plan.latencies {
        let mut upstream = Upstream::start(&["upstream".to_owned(), plan.issues.to_string(), latency.to_string()])?;
        let mut bound: Option<Figures> = None;
        let mut runs: Vec<Vec<Figures>> = vec![Vec::new(); Way::ALL.len()];
        // Alternates, so that a temporary slowdown of the machine affects every way.
        for _ in 0..plan.repeats.max(1) {
            let directory = tempfile::tempdir()?;
            for (way, runs) in Way::ALL.into_iter().zip(&mut runs) {
                // One page after another takes long and varies little.
                if way == Way::PageAfterPage && !runs.is_empty() && latency > 0 {
                    continue;
                }
                let figures = client(way, plan.issues, &upstream.url, directory.path())?;
                let received = upstream.received()?.requests;
                if received != figures.requests {
                    return Err(format!("{}: {received} requests instead of {}", way.name(), figures.requests).into());
                }
                runs.push(figures);
            }
        }
        for (way, runs) in Way::ALL.into_iter().zip(runs) {
            let figures = median(&runs);
            let Figures { rows, requests, cpu, wall, peak } = figures;
            let (cpus, walls) = match &bound {
                Some(bound) if way != Way::Idle => {
                    (format!("{:.2}", cpu / bound.cpu), format!("{:.2}", wall / bound.wall))
                }
                _ => Default::default(),
            };
            let name = way.title();
            println!(
                "| {latency} ms | {name} | {rows} | {requests} | {cpu:.3} | {cpus} | {wall:.2} | {walls} | {peak:.0} |"
            );
            if way == Way::LowerBound {
                bound = Some(figures);
            }
        }
    }
    Ok(())
}

/// The median of each figure.
fn median(runs: &[Figures]) -> Figures {
    let of = |figure: fn(&Figures) -> f64| {
        let mut values: Vec<f64> = runs.iter().map(figure).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    Figures { cpu: of(|f| f.cpu), wall: of(|f| f.wall), peak: of(|f| f.peak), ..runs[0].clone() }
}

/// Does the job one way, in a separate process.
fn client(way: Way, issues: u32, url: &str, directory: &Path) -> Outcome<Figures> {
    // The second run continues in the first one's file.
    let file = directory.join(if way == Way::Idle { Way::Snowfeed.name() } else { way.name() });
    let child = Command::new(std::env::current_exe()?)
        .args(["way", way.name(), &issues.to_string(), url])
        .arg(file)
        .stderr(Stdio::inherit())
        .output()?;
    if !child.status.success() {
        return Err(format!("{} ended with {}", way.name(), child.status).into());
    }
    let figures: Figures = serde_json::from_slice(&child.stdout)?;
    let expected = if way == Way::Idle { 0 } else { u64::from(issues) };
    if figures.rows != expected {
        return Err(format!("{}: {} rows instead of {expected}", way.name(), figures.rows).into());
    }
    Ok(figures)
}
