//! The ways of doing the job, each measured by the process that does it.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use serde_json::Value;
use snowfeed::backends::Sqlite;
use snowfeed::engine::{Connector, IngestRequest};
use snowfeed::rest::{Api, RestSource};
use snowfeed::sources::github::GithubIssues;
use snowfeed::{Resource, RunStatus, Source};

use super::measure::{peak, processor_time};
use super::{Figures, Outcome, REPOSITORY, by_hand};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Only downloads the pages, eight requests at a time.
    Download,
    /// Downloads the pages, eight requests at a time, and inserts them by hand.
    LowerBound,
    /// The same, one page after another.
    PageAfterPage,
    /// This crate, with its source of GitHub, which is written by hand.
    Snowfeed,
    /// This crate, with a description of the same list.
    Described,
    /// This crate again, when nothing has changed.
    Idle,
}

impl Way {
    pub(super) const ALL: [Self; 6] =
        [Self::Download, Self::LowerBound, Self::PageAfterPage, Self::Snowfeed, Self::Described, Self::Idle];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Download => "download",
            Self::LowerBound => "lower-bound",
            Self::PageAfterPage => "page-after-page",
            Self::Snowfeed => "snowfeed",
            Self::Described => "described",
            Self::Idle => "idle",
        }
    }

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Download => "download only, 8 at once",
            Self::LowerBound => "lower bound: 8 at once, inserted by hand",
            Self::PageAfterPage => "one page after another, inserted by hand",
            Self::Snowfeed => "**snowfeed**",
            Self::Described => "**snowfeed**, described in TOML",
            Self::Idle => "snowfeed, idle second run",
        }
    }

    pub(super) fn named(name: &str) -> Outcome<Self> {
        Self::ALL.into_iter().find(|way| way.name() == name).ok_or_else(|| format!("there is no way {name:?}").into())
    }
}

/// Does the job and prints the figures.
pub(super) fn measure(way: Way, issues: u32, url: &str, file: &Path) -> Outcome<()> {
    let began = Instant::now();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let (rows, requests) = runtime.block_on(async {
        match way {
            Way::Download => by_hand::download(url, issues).await,
            Way::LowerBound => by_hand::insert(url, issues, file, 8).await,
            Way::PageAfterPage => by_hand::insert(url, issues, file, 1).await,
            Way::Snowfeed | Way::Idle => ingest(GithubIssues::default(), REPOSITORY, ("api_url", url), file).await,
            Way::Described => {
                let api = Api::from_toml(include_str!("issues.toml"), "issues.toml")?;
                ingest(RestSource::new(api)?, "github", ("url", url), file).await
            }
        }
    })?;
    drop(runtime);
    let (cpu, wall) = (processor_time(), began.elapsed());
    let figures = Figures { rows, requests, cpu: cpu.as_secs_f64(), wall: wall.as_secs_f64(), peak: peak()? };
    println!("{}", serde_json::to_string(&figures)?);
    Ok(())
}

async fn ingest(source: impl Source, resource: &str, url: (&str, &str), file: &Path) -> Outcome<(u64, u64)> {
    let connector =
        Connector::new(source, Arc::new(Sqlite::open(file)?)).with_settings([(url.0.to_owned(), Value::from(url.1))]);
    let report = connector.ingest(IngestRequest::new([Resource::new(resource)?])).await?;
    if report.status() != RunStatus::Complete {
        return Err(format!("{:?}", report.runs).into());
    }
    if std::env::var_os("SNOWFEED_BENCH_REPORT").is_some() {
        eprintln!("{:?}", report.runs);
    }
    let requests = report.runs.iter().map(|run| run.traffic.requests).sum();
    Ok((report.counts().inserted, requests))
}
