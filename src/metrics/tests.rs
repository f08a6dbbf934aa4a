use std::collections::BTreeMap;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::backends::Memory;
use crate::engine::{Connector, Failure, Health, HealthFacts, ResourceHealth, StreamHealth};
use crate::{BatchStream, ConnectContext, ReadRequest, Reader, ResourceStream, Result, Settings, Source};
use crate::{Error, ErrorKind, Mode, RunId, RunStatus, StateKey, StreamSpec};

fn spec() -> SourceSpec {
    SourceSpec::new("planets", "1.2.3").stream(StreamSpec::new("moons"))
}

fn resource(name: &str) -> Resource {
    Resource::new(name).unwrap()
}

fn started(name: &str) -> Event {
    Event::Started { run: RunId::new(), resource: resource(name), stream: "moons".to_owned(), mode: Mode::Incremental }
}

fn run(name: &str, status: RunStatus) -> RunRecord {
    let at = Timestamp::from_second(1_000).unwrap();
    let run = RunRecord::new(RunId::new(), StateKey::new(name, "moons"), Mode::Incremental, at);
    RunRecord { status, ended_at: Some(at + jiff::SignedDuration::from_secs(5)), ..run }
}

fn waiting(name: &str, second: i64) -> Event {
    let event = SourceEvent::Waiting { reason: "limit".to_owned(), until: Timestamp::from_second(second).unwrap() };
    Event::Source { resource: resource(name), stream: "moons".to_owned(), event }
}

/// The samples, by name and labels.
fn samples(metrics: &Metrics) -> BTreeMap<String, f64> {
    let text = metrics.encode();
    let samples = text.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let (name, value) = line.rsplit_once(' ').unwrap();
        (name.to_owned(), value.parse().unwrap())
    });
    samples.collect()
}

#[test]
fn a_run_is_counted_while_it_goes_on_and_only_once() {
    let metrics = Metrics::new(&spec());
    let sample = |name: &str| samples(&metrics).get(name).copied();
    let [requests, inserted] =
        ["snowfeed_requests_total{stream=\"moons\"}", "snowfeed_records_total{stream=\"moons\",outcome=\"inserted\"}"];
    let mut record = run("earth", RunStatus::Complete);
    metrics.event(&started("earth"));
    assert_eq!(sample("snowfeed_runs_in_progress"), Some(1.0));
    for requests in [3, 5] {
        record.traffic = Traffic { requests, bytes: 100 * requests, waited_ms: 250 * requests };
        let (resource, stream) = (resource("earth"), "moons".to_owned());
        metrics.event(&Event::Read { resource, stream, records: 1, traffic: record.traffic });
    }
    assert_eq!(sample(requests), Some(5.0));
    for commits in [1, 2] {
        record.counts = Counts { offered: 4 * commits, inserted: 4 * commits, ..Counts::default() };
        record.commits = commits;
        metrics.event(&Event::Committed {
            resource: resource("earth"),
            stream: "moons".to_owned(),
            run: record.id,
            counts: record.counts.clone(),
            commits,
        });
    }
    assert_eq!(sample(inserted), Some(8.0));
    record.counts.skip("draft", 2);
    record.traffic.requests = 6;
    metrics.event(&Event::Ended(Box::new(record)));
    assert_eq!((sample(requests), sample(inserted)), (Some(6.0), Some(8.0)));
    for (name, value) in [
        ("snowfeed_info{source=\"planets\",version=\"1.2.3\"}", 1.0),
        ("snowfeed_runs_in_progress", 0.0),
        ("snowfeed_runs_total{stream=\"moons\",status=\"complete\"}", 1.0),
        ("snowfeed_records_total{stream=\"moons\",outcome=\"skipped\"}", 2.0),
        ("snowfeed_commits_total{stream=\"moons\"}", 2.0),
        ("snowfeed_received_bytes_total{stream=\"moons\"}", 500.0),
        ("snowfeed_waited_seconds_total{stream=\"moons\"}", 1.25),
        ("snowfeed_run_duration_seconds_count", 1.0),
    ] {
        assert_eq!(sample(name), Some(value), "{name}");
    }
}

/// The health of resources with one stream each, of which the first ones have these words.
fn health(resources: usize, words: &[Health]) -> ConnectorHealth {
    let at = |second| Some(Timestamp::from_second(second).unwrap());
    let resource = |number: usize| {
        let health = words.get(number).copied().unwrap_or(Health::Healthy);
        let failing = (health == Health::Failing).then(|| Failure {
            since: at(1_500),
            tries: 2,
            kind: None,
            message: "down".to_owned(),
            help: None,
        });
        let (last_success_at, next_due_at) = (at(1_000), at(2_000));
        let facts = HealthFacts { last_success_at, next_due_at, failing, ..HealthFacts::new(health) };
        let streams = vec![StreamHealth { stream: "moons".to_owned(), facts: facts.clone() }];
        ResourceHealth { resource: self::resource(&format!("r{number:04}")), facts, streams }
    };
    let resources: Vec<_> = (0..resources).map(resource).collect();
    let facts = HealthFacts::roll_up(resources.iter().map(|resource| &resource.facts));
    ConnectorHealth { as_of: Timestamp::from_second(3_000).unwrap(), facts, counts: BTreeMap::new(), resources }
}

#[test]
fn each_word_of_health_has_a_series_and_each_resource_one_word() {
    let metrics = Metrics::new(&spec());
    metrics.set_health(&health(3, &[Health::Failing, Health::Late]));
    for (name, value) in [
        ("snowfeed_health{health=\"failing\"}", 1.0),
        ("snowfeed_health{health=\"healthy\"}", 0.0),
        ("snowfeed_streams{health=\"failing\"}", 1.0),
        ("snowfeed_streams{health=\"late\"}", 1.0),
        ("snowfeed_streams{health=\"healthy\"}", 1.0),
        ("snowfeed_streams{health=\"not_configured\"}", 0.0),
        ("snowfeed_resource_health{resource=\"r0000\",health=\"failing\"}", 1.0),
        ("snowfeed_oldest_success_timestamp_seconds", 1_000.0),
        ("snowfeed_next_due_timestamp_seconds", 2_000.0),
        ("snowfeed_last_success_timestamp_seconds{resource=\"r0001\",stream=\"moons\"}", 1_000.0),
        ("snowfeed_failing_since_timestamp_seconds{resource=\"r0000\",stream=\"moons\"}", 1_500.0),
    ] {
        assert_eq!(samples(&metrics).get(name), Some(&value), "{name}");
    }
    let words = samples(&metrics).into_keys().filter(|name| name.starts_with("snowfeed_streams{")).count();
    assert_eq!(words, Health::ALL.len());
    metrics.set_health(&health(3, &[]));
    let gone = samples(&metrics).into_keys().filter(|name| name.contains("r0000")).collect::<Vec<_>>();
    assert_eq!(
        gone,
        [
            "snowfeed_last_success_timestamp_seconds{resource=\"r0000\",stream=\"moons\"}",
            "snowfeed_resource_health{resource=\"r0000\",health=\"healthy\"}",
        ]
    );
}

#[test]
fn an_error_is_counted_by_its_kind() {
    let metrics = Metrics::new(&spec());
    let error = Some(Error::new(ErrorKind::Authentication, "refused").report());
    metrics.event(&Event::Ended(Box::new(RunRecord { error, ..run("earth", RunStatus::Failed) })));
    assert_eq!(samples(&metrics)["snowfeed_errors_total{kind=\"authentication\"}"], 1.0);
}

#[test]
fn a_wait_lasts_until_it_is_over_or_its_run_has_ended() {
    let metrics = Metrics::new(&spec());
    let until = || samples(&metrics)["snowfeed_waiting_until_timestamp_seconds"];
    metrics.event(&waiting("earth", 2_000));
    metrics.event(&waiting("mars", 3_000));
    assert_eq!(until(), 3_000.0);
    let event = SourceEvent::Resumed;
    metrics.event(&Event::Source { resource: resource("mars"), stream: "moons".to_owned(), event });
    assert_eq!(until(), 2_000.0);
    metrics.event(&Event::Ended(Box::new(run("earth", RunStatus::Interrupted))));
    assert_eq!(until(), 0.0);
}

#[test]
fn the_series_of_any_number_of_resources_are_bounded() {
    let metrics = Metrics::new(&spec());
    for number in 0..MAX_RESOURCES + 500 {
        metrics.event(&Event::Ended(Box::new(run(&format!("r{number}"), RunStatus::Complete))));
    }
    metrics.set_health(&health(MAX_RESOURCES + 500, &[]));
    let samples = samples(&metrics);
    assert!(samples.len() < 2 * MAX_RESOURCES + 100, "{}", samples.len());
    assert_eq!(samples["snowfeed_streams{health=\"healthy\"}"], 1_500.0, "all are counted");
    assert_eq!(samples["snowfeed_resources_without_series"], 500.0);
    assert_eq!(samples["snowfeed_runs_total{stream=\"moons\",status=\"complete\"}"], 1_500.0, "all are counted");
}

#[test]
fn each_family_is_documented() {
    let metrics = Metrics::new(&spec());
    metrics.event(&Event::Ended(Box::new(run("earth", RunStatus::Complete))));
    metrics.set_health(&health(1, &[Health::Failing]));
    let text = metrics.encode();
    let families: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    assert!(families.len() <= 20, "{families:?}");
    for family in families {
        let name = family.split(' ').next().unwrap();
        for (place, text) in [
            ("the module", include_str!("mod.rs")),
            ("the operator's guide", include_str!("../../docs/guides/operate.md")),
        ] {
            assert!(text.contains(&format!("| `{name}` |")), "{name} is not in the table of {place}");
        }
    }
}

/// A source that returns nothing.
#[derive(Debug)]
struct Planets;

#[async_trait::async_trait]
impl Source for Planets {
    fn spec(&self) -> SourceSpec {
        spec()
    }

    async fn connect(&self, _: &Settings, _: ConnectContext) -> Result<Box<dyn Reader>> {
        Ok(Box::new(Self))
    }
}

#[async_trait::async_trait]
impl Reader for Planets {
    async fn check(&self) -> Result<()> {
        Ok(())
    }

    fn discover(&self) -> ResourceStream {
        Box::pin(futures::stream::empty())
    }

    fn read(&self, _: ReadRequest) -> BatchStream {
        Box::pin(futures::stream::empty())
    }
}

async fn get(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("{request}\r\nhost: localhost\r\nconnection: close\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn the_server_answers_until_it_is_stopped() {
    let (metrics, connector) = (Metrics::new(&spec()), Connector::new(Planets, std::sync::Arc::new(Memory::new())));
    connector.enable(crate::engine::EnableRequest::new(resource("earth"))).await.unwrap();
    let listener = Listener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let (address, cancel) = (listener.address(), CancellationToken::new());
    let error = Listener::bind(address).await.unwrap_err();
    assert!(error.to_string().contains(&address.to_string()) && error.help().is_some(), "{error}");
    let unready = Listener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let unready_address = unready.address();
    let early = tokio::spawn(unready.serve(metrics.clone(), connector.clone(), cancel.clone()));
    assert!(get(unready_address, "GET /readyz HTTP/1.1").await.starts_with("HTTP/1.1 503"));
    listener.ready();
    let server = tokio::spawn(listener.serve(metrics, connector, cancel.clone()));
    for (request, status, body) in [
        ("GET /metrics HTTP/1.1", "200", "snowfeed_runs_in_progress 0\n"),
        ("GET /metrics HTTP/1.1", "200", "snowfeed_health{health=\"never_run\"} 1\n"),
        ("GET /healthz HTTP/1.1", "200", "ok\n"),
        ("GET /readyz HTTP/1.1", "200", "ready\n"),
        ("HEAD /metrics HTTP/1.1", "200", ""),
        ("GET / HTTP/1.1", "404", "/metrics"),
        ("POST /metrics HTTP/1.1", "405", "allow: GET, HEAD"),
    ] {
        let answer = get(address, request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")) && answer.contains(body), "{request}: {answer}");
    }
    cancel.cancel();
    server.await.unwrap();
    early.await.unwrap();
    assert!(TcpStream::connect(address).await.is_err(), "it no longer listens");
}
