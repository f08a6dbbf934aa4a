//! The arguments of the commands that read a source, and of `status`.

use std::num::NonZeroUsize;
use std::time::Duration;

use jiff::SignedDuration;

/// The arguments of `status`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Status {
    /// Exit with code 9 if an enabled {kind} was not completely read for this long, such as 2h, or never
    #[arg(long, value_name = "AGE", value_parser = duration, conflicts_with = "watch")]
    pub(in crate::cli) fail_if_stale: Option<SignedDuration>,
    /// Show the status again every 2 seconds, until Ctrl-C
    #[arg(long, conflicts_with = "json")]
    pub(in crate::cli) watch: bool,
    /// How often the program that reads records that a {kind} has nothing new, in Snowflake [default: 24h]
    #[cfg(feature = "snowflake")]
    #[arg(long, value_name = "AGE", value_parser = heartbeat)]
    heartbeat: Option<Duration>,
    /// Show what the statements of the last 30 days have cost, which Snowflake knows after up to eight hours
    #[cfg(feature = "snowflake")]
    #[arg(long)]
    cost: bool,
}

impl Status {
    /// How often idle runs are recorded in a metered store, if that is given.
    pub(in crate::cli) fn heartbeat(&self) -> Option<Duration> {
        #[cfg(feature = "snowflake")]
        return self.heartbeat;
        #[cfg(not(feature = "snowflake"))]
        return None;
    }

    /// Whether to show the cost.
    pub(in crate::cli) fn cost(&self) -> bool {
        #[cfg(feature = "snowflake")]
        return self.cost;
        #[cfg(not(feature = "snowflake"))]
        return false;
    }
}

/// The argument of the commands that record runs.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(in crate::cli) struct Heartbeat {
    /// Record that a {kind} has nothing new at this rate, in Snowflake, where each record wakes the warehouse; 0: never [default: 24h]
    #[cfg(feature = "snowflake")]
    #[arg(long, value_name = "AGE", value_parser = heartbeat)]
    heartbeat: Option<Duration>,
}

impl Heartbeat {
    /// How often to record idle runs in a metered store, if that is given.
    pub(in crate::cli) fn get(&self) -> Option<Duration> {
        #[cfg(feature = "snowflake")]
        return self.heartbeat;
        #[cfg(not(feature = "snowflake"))]
        return None;
    }
}

/// Who is told about changes of health.
#[derive(Debug, Clone, Default, clap::Args)]
pub(in crate::cli) struct NotifyArgs {
    /// POST each change of the health of a {kind} as JSON to the URL in this variable or file: env:NAME or file:PATH
    // A text: what is not a reference may be the URL itself, which clap would repeat.
    #[cfg(feature = "http")]
    #[arg(long, value_name = "REFERENCE")]
    pub(in crate::cli) notify_url: Option<String>,
    /// Run this program on each change of the health of a {kind}, with the same JSON on its standard input
    #[arg(long, value_name = "PROGRAM")]
    pub(in crate::cli) notify_command: Option<std::path::PathBuf>,
}

/// The arguments of `run`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Run {
    /// How many to read in parallel
    #[arg(long, value_name = "N", default_value = "4")]
    pub(in crate::cli) concurrency: NonZeroUsize,
    #[command(flatten)]
    pub(in crate::cli) heartbeat: Heartbeat,
    #[command(flatten)]
    pub(in crate::cli) notify: NotifyArgs,
    /// Serve /metrics (Prometheus), /healthz and /readyz at this address, such as 127.0.0.1:9464
    #[cfg(feature = "metrics")]
    #[arg(long, value_name = "ADDRESS")]
    pub(in crate::cli) listen: Option<std::net::SocketAddr>,
}

/// The arguments of `ingest`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Ingest {
    /// Each {kind} to ingest, enabling it if necessary; by default, all that are enabled
    #[arg(value_name = "{KIND}")]
    pub(in crate::cli) resources: Vec<String>,
    /// Read only these streams this time, separated by commas; what `enable --streams` selected stays
    #[arg(long, value_name = "STREAMS", value_delimiter = ',')]
    pub(in crate::cli) streams: Option<Vec<String>>,
    /// Read everything, and mark missing rows deleted
    #[arg(long)]
    pub(in crate::cli) reconcile: bool,
    /// Mark missing rows deleted even if they are most of a table; first check that they are really gone
    #[arg(long)]
    pub(in crate::cli) allow_deletions: bool,
    /// Stop before marking more than this share of a table's rows deleted; 100 never stops [default: 10]
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    pub(in crate::cli) max_deletions: Option<u8>,
    /// How many to read in parallel
    #[arg(long, value_name = "N", default_value = "4")]
    pub(in crate::cli) concurrency: NonZeroUsize,
    #[command(flatten)]
    pub(in crate::cli) heartbeat: Heartbeat,
    #[command(flatten)]
    pub(in crate::cli) notify: NotifyArgs,
    /// Only estimate what it would take: reads the beginning of each stream, and stores nothing
    #[arg(long, conflicts_with = "allow_deletions")]
    pub(in crate::cli) estimate: bool,
    /// Report how long Snowflake's warehouse ran; takes one more statement
    #[cfg(feature = "snowflake")]
    #[arg(long)]
    cost: bool,
}

impl Ingest {
    /// Whether to report the cost of the destination's work.
    pub(in crate::cli) fn cost(&self) -> bool {
        #[cfg(feature = "snowflake")]
        return self.cost;
        #[cfg(not(feature = "snowflake"))]
        return false;
    }
}

/// An age such as `2h` or `90m`.
fn duration(text: &str) -> Result<SignedDuration, String> {
    let parsed = text.parse::<SignedDuration>().ok().filter(|age| age.is_positive());
    parsed.ok_or_else(|| "give hours, minutes and seconds, such as 2h or 90m".to_owned())
}

/// The same, or `0`.
#[cfg(feature = "snowflake")]
fn heartbeat(text: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    Ok(duration(text)?.unsigned_abs())
}
