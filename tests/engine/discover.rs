//! The resources that a source discovers.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::StreamExt;
use snowfeed::SourceEvent;
use snowfeed::backends::Memory;
use snowfeed::engine::{Connector, EnableRequest, Event};
use snowfeed::prelude::*;

/// A source that discovers these names.
#[derive(Debug, Clone)]
struct ListingSource {
    names: Vec<String>,
    /// Whether the list starts again at its end.
    is_endless: bool,
}

#[async_trait]
impl Source for ListingSource {
    fn spec(&self) -> SourceSpec {
        SourceSpec::new("lists", "1").stream(StreamSpec::new("t"))
    }

    async fn connect(&self, _: &Settings, _: ConnectContext) -> Result<Box<dyn Reader>> {
        Ok(Box::new(self.clone()))
    }

    fn resource(&self, _: &Settings, name: &str) -> Result<Resource> {
        if name.contains("..") { Err(Error::configuration("not a name")) } else { Resource::new(name) }
    }
}

#[async_trait]
impl Reader for ListingSource {
    async fn check(&self) -> Result<()> {
        Ok(())
    }

    fn discover(&self) -> ResourceStream {
        let names = futures::stream::iter(self.names.clone());
        if self.is_endless { names.cycle().map(Resource::new).boxed() } else { names.map(Resource::new).boxed() }
    }

    fn read(&self, _: ReadRequest) -> BatchStream {
        futures::stream::empty().boxed()
    }
}

async fn discovered(names: Vec<String>) -> (Vec<String>, Vec<String>) {
    discovered_by(ListingSource { names, is_endless: false }).await
}

async fn discovered_by(source: ListingSource) -> (Vec<String>, Vec<String>) {
    let warnings: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = warnings.clone();
    let connector = Connector::new(source, Arc::new(Memory::new())).observer(move |event: &Event| {
        if let Event::Remote(SourceEvent::Warning(warning)) = event {
            log.lock().unwrap().push(warning.clone());
        }
    });
    let found = connector.discover().await.unwrap().into_iter().map(String::from).collect();
    let warnings = warnings.lock().unwrap().clone();
    (found, warnings)
}

#[tokio::test]
async fn names_unsafe_for_a_command_line_or_terminal_are_skipped() {
    let names = ["good", "--set x=y", "-v", "../../etc/passwd", "a\u{1b}[31m", "a\nb", "a\u{9b}", "good", "fine one"];
    let (found, warnings) = discovered(names.map(str::to_owned).to_vec()).await;
    assert_eq!(found, ["good", "fine one"]);
    assert_eq!(warnings.len(), 6, "{warnings:?}");
    assert!(warnings.iter().all(|warning| !warning.contains(char::is_control)), "{warnings:?}");
}

#[tokio::test]
async fn a_known_resource_has_the_title_that_the_source_lists() {
    #[derive(Debug)]
    struct Channels;
    #[async_trait]
    impl Source for Channels {
        fn spec(&self) -> SourceSpec {
            SourceSpec::new("channels", "1").stream(StreamSpec::new("t"))
        }
        async fn connect(&self, _: &Settings, _: ConnectContext) -> Result<Box<dyn Reader>> {
            Ok(Box::new(Self))
        }
    }
    #[async_trait]
    impl Reader for Channels {
        async fn check(&self) -> Result<()> {
            Ok(())
        }
        fn discover(&self) -> ResourceStream {
            let listed = ["C1", "C2"].map(Resource::new);
            futures::stream::iter(listed.map(|one| Ok(one?.with_title("general")))).boxed()
        }
        fn read(&self, _: ReadRequest) -> BatchStream {
            futures::stream::empty().boxed()
        }
    }
    let connector = Connector::new(Channels, Arc::new(Memory::new()));
    connector.enable(EnableRequest::new(Resource::new("C1").unwrap())).await.unwrap();
    let found = connector.discover().await.unwrap();
    let found: Vec<_> = found.iter().map(|resource| (resource.name(), resource.title())).collect();
    assert_eq!(found, [("C1", Some("general")), ("C2", Some("general"))]);
}

#[tokio::test]
async fn the_number_of_discovered_resources_is_limited() {
    let (found, warnings) = discovered((0..100_010).map(|n| format!("r{n}")).collect()).await;
    assert_eq!(found.len(), 100_000);
    assert!(warnings.len() == 1 && warnings[0].contains("100000"), "{warnings:?}");
}

#[tokio::test]
async fn a_list_that_starts_again_ends() {
    let names = vec!["a".to_owned(), "-b".to_owned()];
    let (found, warnings) = discovered_by(ListingSource { names, is_endless: true }).await;
    assert_eq!(found, ["a"]);
    assert!(warnings.iter().any(|warning| warning.contains("100000")), "{warnings:?}");
}

#[tokio::test]
async fn only_the_first_skipped_names_are_reported() {
    let (found, warnings) = discovered((0..1_000).map(|n| format!("-{n}")).collect()).await;
    assert!(found.is_empty());
    assert!(warnings.len() == 11 && warnings[10].starts_with("990 more"), "{warnings:?}");
}
