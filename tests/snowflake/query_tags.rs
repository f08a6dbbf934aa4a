//! The query tags of the backend's statements, by which their cost is attributed.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};
use snowfeed::engine::{Connector, IngestRequest};
use snowfeed::internals::snowflake::Statement;

use crate::recording::{Call, Operation};
use crate::source::Issues;
use crate::support::{TestDatabase, resource};

fn tag(call: &Call) -> Value {
    serde_json::from_str(call.tag.as_deref().expect("a tag")).unwrap()
}

/// The statements and files among the calls.
fn sent(calls: Vec<Call>) -> impl Iterator<Item = (Statement, Value)> {
    calls.into_iter().filter_map(|call| match &call.operation {
        Operation::Statement(statement) | Operation::Put(statement) => Some((statement.clone(), tag(&call))),
        Operation::Login => None,
    })
}

#[tokio::test]
async fn a_statement_that_writes_rows_or_state_names_resource_stream_and_run() {
    for max_bind_bytes in [usize::MAX, 0] {
        let (db, source) = (TestDatabase::new(max_bind_bytes), Issues::default());
        source.page("acme/widgets", 1..3);
        let connector = Connector::new(source, Arc::new(db.snowflake.clone()));
        connector.ingest(IngestRequest::new([resource("acme/widgets")])).await.unwrap();
        let run = connector.runs(snowfeed::RunQuery::new(1)).await.unwrap().remove(0).id;
        let writes = ["PUT", "COPY INTO", "MERGE INTO", "INSERT INTO", "INSERT ALL"];
        let tables = ["PUBLIC_RAW", "APP_STATE", "SNOWFEED_STAGE"];
        let mut count = 0;
        for (statement, tag) in sent(db.recording.take()) {
            assert_eq!((&tag["app"], &tag["database"]), (&json!("snowfeed"), &json!(db.database)), "{statement:?}");
            let begins = |starts: &[&str]| starts.iter().any(|start| statement.sql.starts_with(start));
            if begins(&writes) && tables.iter().any(|table| statement.sql.contains(table)) {
                let named =
                    [&tag["resource"], &tag["stream"], &tag["run"]].map(|name| name.as_str().unwrap_or_default());
                assert_eq!(named, ["acme/widgets", "issues", &run.to_string()], "{statement:?}");
                count += 1;
            }
        }
        assert!(count >= 2, "{count}");
    }
}

/// A text and a tag that never change can be answered from the result cache.
#[tokio::test]
async fn the_reads_of_an_idle_cycle_share_one_constant_tag() {
    let (db, source) = (TestDatabase::new(usize::MAX), Issues::default());
    ["a", "b"].iter().for_each(|name| source.page(name, 1..2));
    let connector = Connector::new(source, Arc::new(db.snowflake.clone()));
    connector.ingest(IngestRequest::new([resource("a"), resource("b")])).await.unwrap();
    db.recording.take();
    let mut tags = BTreeSet::new();
    for _ in 0..2 {
        connector.ingest(IngestRequest::default()).await.unwrap();
        tags.extend(sent(db.recording.take()).map(|(_, tag)| tag.to_string()));
    }
    assert_eq!(tags, BTreeSet::from([json!({ "app": "snowfeed", "database": db.database }).to_string()]));
}
