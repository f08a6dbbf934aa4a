//! `cli::run_with`: the command line over a custom backend.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use futures::{StreamExt, stream};
use snowfeed::backends::Memory;
use snowfeed::cli::{Exit, run_with_from};
use snowfeed::prelude::*;
use snowfeed::{RunQuery, RunStatus, StateStore};

const PLANETS: [&str; 3] = ["mars", "venus", "earth"];

#[derive(Debug, Clone)]
struct Planets;

#[async_trait]
impl Source for Planets {
    fn spec(&self) -> SourceSpec {
        SourceSpec::new("planets", "1").resource_kind("star").stream(StreamSpec::new("planets"))
    }

    async fn connect(&self, _: &Settings, _: ConnectContext) -> Result<Box<dyn Reader>> {
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl Reader for Planets {
    async fn check(&self) -> Result<()> {
        Ok(())
    }

    fn discover(&self) -> ResourceStream {
        stream::iter([Resource::new("sun")]).boxed()
    }

    fn read(&self, _: ReadRequest) -> BatchStream {
        let records = PLANETS.map(|name| Record::upsert(name, Version(1), format!(r#"{{"name": "{name}"}}"#)));
        stream::iter([Ok(Batch::new().records(records))]).boxed()
    }
}

/// An in-memory backend that counts how often the command line opens it.
#[derive(Clone, Default)]
struct Opened {
    memory: Memory,
    times: Arc<AtomicUsize>,
}

impl Opened {
    async fn run(&self, args: &[&str]) -> Exit {
        let opened = self.clone();
        let open = move || {
            opened.times.fetch_add(1, Ordering::Relaxed);
            Ok(opened.memory.clone())
        };
        run_with_from(Planets, open, std::iter::once("planets").chain(args.iter().copied())).await
    }

    fn times(&self) -> usize {
        self.times.load(Ordering::Relaxed)
    }
}

#[tokio::test]
async fn commands_run_on_a_custom_backend() {
    let opened = Opened::default();
    for args in [
        &["check"][..],
        &["configure", "--json"],
        &["enable", "sun"],
        &["ingest"],
        &["ingest", "sun", "--reconcile"],
        &["status"],
        &["runs", "sun"],
        &["rejects"],
    ] {
        assert_eq!(opened.run(args).await, Exit::Complete, "{args:?}");
    }
    let sun = Resource::new("sun").unwrap();
    assert_eq!(opened.memory.rows(&sun, "planets").len(), PLANETS.len());
    let runs = StateStore::runs(&opened.memory, RunQuery::new(10).resource("sun")).await.unwrap();
    assert_eq!(runs.iter().map(|run| run.status).collect::<Vec<_>>(), [RunStatus::Complete; 2]);
    assert_eq!(opened.run(&["remove", "sun", "--yes"]).await, Exit::Complete);
    assert_eq!(opened.run(&["preview", "sun"]).await, Exit::NotFound);
    opened.run(&["enable", "sun"]).await;
    assert_eq!(opened.run(&["preview", "sun"]).await, Exit::Failed, "previews are not supported");
}

#[tokio::test]
async fn a_custom_backend_is_opened_only_when_needed() {
    let opened = Opened::default();
    for args in [&["--help"][..], &["completions", "bash"], &["schema"]] {
        assert_eq!(opened.run(args).await, Exit::Complete, "{args:?}");
    }
    for args in [&["--db", "x.db", "status"][..], &["--to", "sqlite", "status"], &["status", "--warehouse", "x"]] {
        assert_eq!(opened.run(args).await, Exit::Usage, "{args:?}");
    }
    assert_eq!(opened.times(), 0);
    assert_eq!(opened.run(&["configure"]).await, Exit::Complete);
    assert_eq!(opened.times(), 1);
}

#[tokio::test]
async fn a_custom_backend_that_fails_to_open_ends_the_command() {
    let open = || Err::<Memory, _>(Error::unavailable("the warehouse is closed"));
    for command in ["check", "status", "ingest"] {
        assert_eq!(run_with_from(Planets, open, ["planets", command]).await, Exit::Unavailable, "{command}");
    }
}
