//! What a program adds to a description.

use std::sync::Arc;

use async_trait::async_trait;
use futures::{StreamExt, stream};
use secrecy::SecretString;
use serde_json::json;
use snowfeed::backends::Memory;
use snowfeed::engine::{Connector, IngestRequest};
use snowfeed::http::{Authorize, Response};
use snowfeed::prelude::*;
use snowfeed::rest::{NextPage, Paginator, RestSource, Stream};
use snowfeed::testkit::mock_api::{MockApi, MockResponse};

use crate::support::{api, fast};

/// The number of the next page is in a header.
#[derive(Debug)]
struct NextPageHeader;

impl Paginator for NextPageHeader {
    fn next(&self, response: &Response, records: usize) -> Result<NextPage> {
        assert!(records > 0, "no page of the test is empty");
        Ok(match response.header("x-next-page") {
            Some(page) => NextPage::Set { to: "page".into(), value: page.into() },
            None => NextPage::End,
        })
    }
}

/// A credential that is made by the program.
#[derive(Debug)]
struct Signature;

#[async_trait]
impl Authorize for Signature {
    async fn header(&self) -> Result<Option<SecretString>> {
        Ok(Some("Signed by-the-program-itself".to_owned().into()))
    }
}

/// A stream that no description reads.
#[derive(Debug)]
struct ByHand;

#[async_trait]
impl Reader for ByHand {
    async fn check(&self) -> Result<()> {
        Ok(())
    }

    fn discover(&self) -> ResourceStream {
        stream::empty().boxed()
    }

    fn read(&self, request: ReadRequest) -> BatchStream {
        assert_eq!(request.stream, "exports");
        let record = Record::upsert("x", Version::NONE, r#"{"id":"x"}"#);
        stream::iter([Ok(Batch::new().record(record))]).boxed()
    }
}

#[tokio::test]
async fn a_program_adds_a_paginator_a_credential_and_a_stream() {
    let (mock, memory) = (MockApi::start(), Memory::new());
    mock.route("/tickets", |request| {
        if request.header("authorization") != Some("Signed by-the-program-itself") {
            return MockResponse::new(401);
        }
        match request.query("page") {
            None => MockResponse::json(&json!([{"id": 1}])).with_header("X-Next-Page", "b"),
            Some(_) => MockResponse::json(&json!([{"id": 2}])),
        }
    });
    let source = RestSource::new(api(&mock).stream(Stream::new("tickets", "/tickets"))).unwrap().retry(fast());
    assert!(source.clone().with_paginator("other", Arc::new(NextPageHeader)).is_err());
    assert!(source.clone().with_stream(StreamSpec::snapshot("tickets"), Arc::new(ByHand)).is_err());
    let source = source
        .with_authorization(Arc::new(Signature))
        .with_paginator("tickets", Arc::new(NextPageHeader))
        .unwrap()
        .with_stream(StreamSpec::snapshot("exports"), Arc::new(ByHand))
        .unwrap();
    let resource = Resource::new("helpdesk").unwrap();
    let connector = Connector::new(source, Arc::new(memory.clone()));
    let report = connector.ingest(IngestRequest::new([resource.clone()])).await.unwrap();
    assert!(report.runs.iter().all(|run| run.error.is_none()), "{report:?}");
    assert_eq!((memory.rows(&resource, "tickets").len(), memory.rows(&resource, "exports").len()), (2, 1));
}
