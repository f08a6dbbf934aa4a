//! The families of the metrics.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;

use jiff::Timestamp;
use prometheus_client::encoding::prometheus_text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::engine::{ConnectorHealth, Health, ResourceHealth};
use crate::{Counts, RunRecord, SourceSpec, Traffic};

/// The upper bounds of the histogram of durations, in seconds: from an idle run to a backfill.
const DURATIONS: [f64; 11] = [0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0];

type Labels<const N: usize> = [(&'static str, String); N];
type FloatCounter = Counter<f64, AtomicU64>;
type FloatGauge = Gauge<f64, AtomicU64>;

pub(super) struct Families {
    registry: Registry,
    running: Gauge,
    runs: Family<Labels<2>, Counter>,
    durations: Histogram,
    errors: Family<Labels<1>, Counter>,
    records: Family<Labels<2>, Counter>,
    commits: Family<Labels<1>, Counter>,
    requests: Family<Labels<1>, Counter>,
    bytes: Family<Labels<1>, Counter>,
    waited: Family<Labels<1>, FloatCounter>,
    waiting_until: FloatGauge,
    credits: FloatCounter,
    health: Family<Labels<1>, Gauge>,
    streams: Family<Labels<1>, Gauge>,
    resource_health: Family<Labels<2>, Gauge>,
    oldest_success: FloatGauge,
    next_due: FloatGauge,
    last_success: Family<Labels<2>, FloatGauge>,
    failing_since: Family<Labels<2>, FloatGauge>,
    without_series: Gauge,
}

impl Families {
    pub(super) fn new(spec: &SourceSpec) -> Self {
        let families = Self {
            registry: Registry::with_prefix("snowfeed"),
            running: Gauge::default(),
            runs: Family::default(),
            durations: Histogram::new(DURATIONS),
            errors: Family::default(),
            records: Family::default(),
            commits: Family::default(),
            requests: Family::default(),
            bytes: Family::default(),
            waited: Family::default(),
            waiting_until: FloatGauge::default(),
            credits: FloatCounter::default(),
            health: Family::default(),
            streams: Family::default(),
            resource_health: Family::default(),
            oldest_success: FloatGauge::default(),
            next_due: FloatGauge::default(),
            last_success: Family::default(),
            failing_since: Family::default(),
            without_series: Gauge::default(),
        };
        for stream in &spec.streams {
            // From zero, so that the first record of an outcome is an increase.
            families.add_counts(&stream.name, &Counts::default(), &Counts::default());
        }
        families.register(spec)
    }

    fn register(mut self, spec: &SourceSpec) -> Self {
        let info = Family::<Labels<2>, Gauge>::default();
        info.get_or_create(&[("source", spec.name.clone()), ("version", spec.version.clone())]).set(1);
        let registry = &mut self.registry;
        registry.register("info", "The source and its version", info);
        registry.register("runs_in_progress", "Runs that have started and not ended", self.running.clone());
        registry.register("runs", "Runs that have ended", self.runs.clone());
        let durations = self.durations.clone();
        registry.register_with_unit("run_duration", "The time from start to end of a run", Unit::Seconds, durations);
        registry.register("errors", "Runs that have ended with an error", self.errors.clone());
        registry.register("records", "Records that the source has returned", self.records.clone());
        registry.register("commits", "Commits", self.commits.clone());
        registry.register("requests", "Requests to the source, retries included", self.requests.clone());
        let bytes = self.bytes.clone();
        registry.register_with_unit("received", "Response bodies, after decompression", Unit::Bytes, bytes);
        let waited = self.waited.clone();
        registry.register_with_unit("waited", "Time in which a run waited for a limit", Unit::Seconds, waited);
        let until = self.waiting_until.clone();
        let help = "The end of the longest wait for a limit, 0 without one";
        registry.register_with_unit("waiting_until_timestamp", help, Unit::Seconds, until);
        registry.register("credits", "Estimated credits that commits have used", self.credits.clone());
        registry.register("health", "The health of the connector: 1 for the word that holds", self.health.clone());
        registry.register("streams", "The streams of all resources, by health", self.streams.clone());
        let help = "The health of each resource: 1 for the word that holds";
        registry.register("resource_health", help, self.resource_health.clone());
        let help = "Up to when everything that is enabled was read completely, 0 if something never was";
        registry.register_with_unit("oldest_success_timestamp", help, Unit::Seconds, self.oldest_success.clone());
        let help = "When the next run is due, in the past if it is overdue, 0 if none ever is";
        registry.register_with_unit("next_due_timestamp", help, Unit::Seconds, self.next_due.clone());
        let help = "The end of the newest complete run";
        registry.register_with_unit("last_success_timestamp", help, Unit::Seconds, self.last_success.clone());
        let help = "The end of the first failed run since the last complete one, of a stream that is failing";
        registry.register_with_unit("failing_since_timestamp", help, Unit::Seconds, self.failing_since.clone());
        let help = "Resources that have no series of their own";
        registry.register("resources_without_series", help, self.without_series.clone());
        self
    }

    pub(super) fn encode(&self) -> String {
        let mut text = String::new();
        // Writing into a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    pub(super) fn set_running(&self, runs: usize) {
        self.running.set(i64::try_from(runs).unwrap_or(i64::MAX));
    }

    pub(super) fn set_waiting(&self, until: Option<Timestamp>) {
        self.waiting_until.set(until.map_or(0.0, seconds));
    }

    /// Adds what a run has received since it was counted last.
    pub(super) fn add_traffic(&self, stream: &str, before: &Traffic, now: &Traffic) {
        let labels = [("stream", stream.to_owned())];
        self.requests.get_or_create(&labels).inc_by(now.requests.saturating_sub(before.requests));
        self.bytes.get_or_create(&labels).inc_by(now.bytes.saturating_sub(before.bytes));
        let waited = std::time::Duration::from_millis(now.waited_ms.saturating_sub(before.waited_ms));
        self.waited.get_or_create(&labels).inc_by(waited.as_secs_f64());
    }

    /// Adds the records of a run since it was counted last.
    pub(super) fn add_counts(&self, stream: &str, before: &Counts, now: &Counts) {
        for (outcome, before, now) in [
            ("inserted", before.inserted, now.inserted),
            ("updated", before.updated, now.updated),
            ("unchanged", before.unchanged, now.unchanged),
            ("deleted", before.deleted, now.deleted),
            ("skipped", before.skipped_total(), now.skipped_total()),
            ("rejected", before.rejected, now.rejected),
        ] {
            let labels = [("stream", stream.to_owned()), ("outcome", outcome.to_owned())];
            self.records.get_or_create(&labels).inc_by(now.saturating_sub(before));
        }
    }

    pub(super) fn add_commits(&self, stream: &str, commits: u64) {
        self.commits.get_or_create(&[("stream", stream.to_owned())]).inc_by(commits);
    }

    /// Counts a run that has ended.
    pub(super) fn ended(&self, run: &RunRecord) {
        let labels = [("stream", run.stream.clone()), ("status", run.status.to_string())];
        self.runs.get_or_create(&labels).inc();
        self.durations.observe(std::time::Duration::from_millis(run.timings.total_ms).as_secs_f64());
        if let Some(error) = &run.error {
            self.errors.get_or_create(&[("kind", error.kind.to_string())]).inc();
        }
        self.credits.inc_by(f64::from(run.credits));
    }

    /// Shows this health. The first `most` resources get series of their own.
    pub(super) fn set_health(&self, health: &ConnectorHealth, most: usize) {
        let mut streams: BTreeMap<Health, i64> = BTreeMap::new();
        for resource in &health.resources {
            resource.streams.iter().for_each(|stream| *streams.entry(stream.facts.health).or_default() += 1);
        }
        for word in Health::ALL {
            let labels = [("health", word.as_str().to_owned())];
            self.health.get_or_create(&labels).set(i64::from(word == health.facts.health));
            self.streams.get_or_create(&labels).set(streams.get(&word).copied().unwrap_or(0));
        }
        self.oldest_success.set(health.facts.last_success_at.map_or(0.0, seconds));
        self.next_due.set(health.facts.next_due_at.map_or(0.0, seconds));
        self.resource_health.clear();
        self.last_success.clear();
        self.failing_since.clear();
        for resource in health.resources.iter().take(most) {
            self.set_resource(resource);
        }
        let without = health.resources.len().saturating_sub(most);
        self.without_series.set(i64::try_from(without).unwrap_or(i64::MAX));
    }

    fn set_resource(&self, resource: &ResourceHealth) {
        let name = resource.resource.name();
        let labels = [("resource", name.to_owned()), ("health", resource.facts.health.as_str().to_owned())];
        self.resource_health.get_or_create(&labels).set(1);
        for stream in &resource.streams {
            let labels = [("resource", name.to_owned()), ("stream", stream.stream.clone())];
            if let Some(at) = stream.facts.last_success_at {
                self.last_success.get_or_create(&labels).set(seconds(at));
            }
            if let Some(since) = stream.facts.failing.as_ref().and_then(|failing| failing.since) {
                self.failing_since.get_or_create(&labels).set(seconds(since));
            }
        }
    }
}

fn seconds(at: Timestamp) -> f64 {
    at.as_duration().as_secs_f64()
}
