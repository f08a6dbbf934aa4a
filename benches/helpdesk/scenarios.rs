//! What happens to the helpdesk, and what each way makes of it.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use tempfile::TempDir;

use super::process::{Running, Usage};
use super::server::{Command, Failure};
use super::server_process::ServerProcess;
use super::ways::{Errors, Extent, Way};
use super::{Outcome, Plan};

/// The most runs after each other that may fail.
const MAX_RUNS: u32 = 3;

/// The longest time until a run that is to be killed has sent its requests.
const KILL_TIMEOUT: Duration = Duration::from_secs(600);

/// A run of a program until its end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    pub(crate) usage: Usage,
    pub(crate) requests: u64,
    pub(crate) is_success: bool,
}

/// Runs until one succeeds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Failing {
    pub(crate) failure: Failure,
    pub(crate) runs: u32,
    pub(crate) is_success: bool,
    pub(crate) requests: u64,
    pub(crate) wall: f64,
    pub(crate) errors: Errors,
}

/// A first read that was killed, and the run after it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Killed {
    /// The requests until then.
    pub(crate) before: u64,
    pub(crate) rerun: u64,
    pub(crate) errors: Errors,
}

/// All that is measured of a way.
#[derive(Debug)]
pub(crate) struct Figures {
    pub(crate) lines: usize,
    pub(crate) characters: usize,
    pub(crate) first: Run,
    /// The same over a network.
    pub(crate) slow: Run,
    pub(crate) idle: Run,
    /// After changes and deletions.
    pub(crate) news: (Run, Errors),
    /// Then everything once more.
    pub(crate) all: (Run, Errors),
    /// Whether there are columns for a field that no ticket of the first page has, and for one of a later run.
    pub(crate) new_columns: [bool; 2],
    pub(crate) killed: Vec<Killed>,
    pub(crate) failing: Vec<Failing>,
    /// After a first read during changes, and another run.
    pub(crate) busy: Errors,
}

/// Measures a way.
pub(crate) fn measure(way: &Way, plan: &Plan) -> Outcome<Figures> {
    let mut firsts = Vec::new();
    for _ in 1..plan.repeats {
        firsts.push(Site::start(way, plan.tickets, 0)?.successful(Extent::News)?);
    }
    let mut site = Site::start(way, plan.tickets, 0)?;
    firsts.push(site.successful(Extent::News)?);
    site.expect_no_errors()?;
    let idle = site.successful(Extent::News)?;
    let has_first_field = way.stored(site.folder.path())?.has("priority");
    site.tell(&Command::Change)?;
    let news = (site.successful(Extent::News)?, site.errors()?);
    let has_later_field = way.stored(site.folder.path())?.has("satisfaction");
    let all = (site.successful(Extent::All)?, site.errors()?);
    let first = median(&firsts);
    let kills = [1, 2, 3].map(|quarters| kill(way, plan, first.requests * quarters / 4));
    let failures = [Failure::Statuses, Failure::Disconnects, Failure::Truncated];
    Ok(Figures {
        lines: way.lines().count(),
        characters: way.lines().map(|line| line.chars().count()).sum(),
        first,
        slow: Site::start(way, plan.tickets, plan.latency)?.successful(Extent::News)?,
        idle,
        news,
        all,
        new_columns: [has_first_field, has_later_field],
        killed: kills.into_iter().collect::<Outcome<_>>()?,
        failing: failures.into_iter().map(|failure| fail(way, plan, failure)).collect::<Outcome<_>>()?,
        busy: busy(way, plan)?,
    })
}

/// The median of each figure.
fn median(runs: &[Run]) -> Run {
    let of = |figure: fn(&Usage) -> f64| {
        let mut values: Vec<f64> = runs.iter().map(|run| figure(&run.usage)).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    Run { usage: Usage { wall: of(|u| u.wall), cpu: of(|u| u.cpu), peak: of(|u| u.peak) }, ..runs[0] }
}

fn kill(way: &Way, plan: &Plan, after: u64) -> Outcome<Killed> {
    let mut site = Site::start(way, plan.tickets, plan.latency)?;
    let running = site.spawn(Extent::News)?;
    let began = Instant::now();
    while site.requests()? < after {
        if began.elapsed() > KILL_TIMEOUT {
            return Err(format!("{}: no {after} requests: {}", way.title(), site.output()).into());
        }
        thread::sleep(Duration::from_micros(200));
    }
    if !running.kill()? {
        return Err(format!("{}: it ended before it was killed: {}", way.title(), site.output()).into());
    }
    let before = site.take_requests()?;
    let rerun = site.successful(Extent::News)?.requests;
    Ok(Killed { before, rerun, errors: site.errors()? })
}

fn fail(way: &Way, plan: &Plan, failure: Failure) -> Outcome<Failing> {
    let mut site = Site::start(way, plan.tickets, 0)?;
    site.tell(&Command::Fail(failure))?;
    let (mut runs, mut requests, mut wall, mut is_success) = (0, 0, 0.0, false);
    while !is_success && runs < MAX_RUNS {
        let run = site.run(Extent::News)?;
        (runs, requests, wall) = (runs + 1, requests + run.requests, wall + run.usage.wall);
        is_success = run.is_success;
    }
    Ok(Failing { failure, runs, is_success, requests, wall, errors: site.errors()? })
}

fn busy(way: &Way, plan: &Plan) -> Outcome<Errors> {
    let mut site = Site::start(way, plan.tickets, plan.latency)?;
    site.tell(&Command::Busy(true))?;
    let run = site.run(Extent::News);
    site.tell(&Command::Busy(false))?;
    site.expect_success(run?)?;
    site.successful(Extent::News)?;
    site.errors()
}

/// A helpdesk, and the folder of a way that loads it.
struct Site {
    way: Way,
    server: ServerProcess,
    folder: TempDir,
    /// The requests of the runs that have ended.
    counted: u64,
}

impl Site {
    fn start(way: &Way, tickets: u64, latency: u32) -> Outcome<Self> {
        let server = ServerProcess::start(&["server".to_owned(), tickets.to_string(), latency.to_string()])?;
        Ok(Self { way: way.clone(), server, folder: TempDir::new()?, counted: 0 })
    }

    fn ask<T: DeserializeOwned>(&mut self, command: &Command) -> Outcome<T> {
        Ok(serde_json::from_str(&self.server.ask(&serde_json::to_string(command)?)?)?)
    }

    fn tell(&mut self, command: &Command) -> Outcome<()> {
        self.ask::<serde_json::Value>(command).map(drop)
    }

    /// The requests since the last run ended.
    fn requests(&mut self) -> Outcome<u64> {
        Ok(self.ask::<u64>(&Command::Requests)? - self.counted)
    }

    fn take_requests(&mut self) -> Outcome<u64> {
        let requests = self.requests()?;
        self.counted += requests;
        Ok(requests)
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("output")
    }

    /// What the last run has written.
    fn output(&self) -> String {
        fs::read_to_string(self.log()).unwrap_or_default()
    }

    fn spawn(&self, extent: Extent) -> Outcome<Running> {
        Running::start(self.way.command(&self.server.url, self.folder.path(), extent), &self.log())
    }

    fn run(&mut self, extent: Extent) -> Outcome<Run> {
        let (status, usage) = self.spawn(extent)?.wait()?;
        Ok(Run { usage, requests: self.take_requests()?, is_success: status.success() })
    }

    fn expect_success(&self, run: Run) -> Outcome<Run> {
        match run.is_success {
            true => Ok(run),
            false => Err(format!("{} failed: {}", self.way.title(), self.output()).into()),
        }
    }

    fn successful(&mut self, extent: Extent) -> Outcome<Run> {
        let run = self.run(extent)?;
        self.expect_success(run)
    }

    fn errors(&mut self) -> Outcome<Errors> {
        let records = self.ask(&Command::Records)?;
        self.way.stored(self.folder.path())?.compare(&records)
    }

    fn expect_no_errors(&mut self) -> Outcome<()> {
        match self.errors()? {
            errors if errors == Errors::default() => Ok(()),
            errors => Err(format!("{}: {errors:?} after the first read", self.way.title()).into()),
        }
    }
}
