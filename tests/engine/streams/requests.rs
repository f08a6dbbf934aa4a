//! Requests that select streams.

use serde_json::json;
use snowfeed::engine::{Connector, EnableRequest, IngestReport, IngestRequest, StreamSelection};
use snowfeed::{ConfigStore, ErrorKind, Mode, Namespace, Resource, StateStore};

use super::{connector, from, reads, state, three};
use crate::support::{key, resource};

async fn stored(store: &impl ConfigStore) -> Option<serde_json::Value> {
    store.get(Namespace::Resource, "r").await.unwrap()
}

async fn ingest(connector: &Connector, streams: impl Into<StreamSelection>) -> IngestReport {
    connector.ingest(IngestRequest::new([resource("r")]).streams(streams)).await.unwrap()
}

#[tokio::test]
async fn a_selection_is_stored_until_another_one_is_given() {
    let (connector, memory) = connector(&three());
    let request = || EnableRequest::new(resource("r"));
    connector.enable(request()).await.unwrap();
    assert_eq!(stored(&memory).await, Some(json!({"enabled": true})));
    connector.enable(request().streams(["c", "a"]).schedule("1h".parse().unwrap())).await.unwrap();
    let expected = json!({"enabled": true, "schedule": "1h", "streams": ["a", "c"]});
    assert_eq!(stored(&memory).await, Some(expected.clone()), "in the order of the declaration");
    connector.enable(request()).await.unwrap();
    assert_eq!(stored(&memory).await, Some(expected));
    connector.enable(request().streams(StreamSelection::Default)).await.unwrap();
    assert_eq!(stored(&memory).await, Some(json!({"enabled": true, "schedule": "1h"})));
}

#[tokio::test]
async fn an_unknown_stream_is_refused_before_anything_is_stored() {
    let (connector, memory) = connector(&three());
    let names = || [vec!["a", "x"], vec![], vec![""]];
    for streams in names() {
        let error = connector.enable(EnableRequest::new(resource("r")).streams(streams.clone())).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{streams:?}");
        assert!(error.help().unwrap().contains("the streams are: a (default), b (default), c (default)"), "{error:?}");
        let request = IngestRequest::new([resource("r")]).streams(streams.clone());
        assert_eq!(connector.ingest(request).await.unwrap_err().kind(), ErrorKind::Configuration, "{streams:?}");
    }
    assert_eq!(stored(&memory).await, None);
    ingest(&connector, StreamSelection::Default).await;
    let before = state(&memory, "a").await;
    for streams in names() {
        let error = connector.reset_streams(&resource("r"), streams).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
    }
    assert_eq!(state(&memory, "a").await, before);
}

#[tokio::test]
async fn an_ingestion_of_named_streams_leaves_the_selection() {
    let source = three();
    let (connector, memory) = connector(&source);
    connector.enable(EnableRequest::new(resource("r")).streams(["a"])).await.unwrap();
    ingest(&connector, ["c", "b", "c"]).await;
    assert_eq!(reads(&source), from([("b", None), ("c", None)]));
    ingest(&connector, StreamSelection::Default).await;
    assert_eq!(reads(&source), from([("a", None), ("b", Some(2)), ("c", Some(2))]));
    assert_eq!(stored(&memory).await, Some(json!({"enabled": true, "streams": ["a"]})));
    let all = IngestRequest::default().streams(["b"]).mode(Mode::Reconcile);
    connector.ingest(all).await.unwrap();
    assert_eq!(reads(&source), from([("b", None)]), "of each enabled resource");
}

#[tokio::test]
async fn only_the_named_streams_are_reset_selected_or_not() {
    let source = three();
    let (connector, memory) = connector(&source);
    ingest(&connector, StreamSelection::Default).await;
    connector.enable(EnableRequest::new(resource("r")).streams(["a", "b"])).await.unwrap();
    let before = state(&memory, "a").await;
    connector.reset_streams(&resource("r"), ["b", "c"]).await.unwrap();
    assert_eq!(state(&memory, "a").await, before);
    reads(&source);
    ingest(&connector, StreamSelection::Default).await;
    assert_eq!(reads(&source), from([("a", Some(2)), ("b", None), ("c", None)]));
    connector.reset(&resource("r")).await.unwrap();
    ingest(&connector, StreamSelection::Default).await;
    assert_eq!(reads(&source), from([("a", None), ("b", None), ("c", None)]), "all, selected or not");
    let unknown: Resource = resource("x");
    assert_eq!(connector.reset_streams(&unknown, ["a"]).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(memory.latest(&key("x")).await.unwrap(), None);
}
