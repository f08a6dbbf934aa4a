//! A source that declares no columns, and returns given documents.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses a part of it, and a test may panic")]

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::{StreamExt, stream};
use snowfeed::prelude::*;

/// Documents, which each read returns in one batch, whatever its checkpoint. Their columns are inferred.
#[derive(Debug, Clone, Default)]
pub(crate) struct Untyped(Arc<Mutex<Vec<String>>>);

impl Untyped {
    /// Replaces the documents.
    pub(crate) fn set<const N: usize>(&self, documents: [&str; N]) {
        *self.0.lock().unwrap() = documents.map(str::to_owned).to_vec();
    }
}

#[async_trait]
impl Source for Untyped {
    fn spec(&self) -> SourceSpec {
        let tickets = StreamSpec::new("tickets").column("id", "id", ColumnType::Integer);
        SourceSpec::new("untyped", "1").stream(tickets.infer_column("author", "user.login").infer_columns())
    }

    async fn connect(&self, _: &Settings, _: ConnectContext) -> Result<Box<dyn Reader>> {
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl Reader for Untyped {
    async fn check(&self) -> Result<()> {
        Ok(())
    }

    fn discover(&self) -> ResourceStream {
        stream::empty().boxed()
    }

    fn read(&self, _: ReadRequest) -> BatchStream {
        let documents = self.0.lock().unwrap().clone();
        let key = |text: &String| serde_json::from_str::<serde_json::Value>(text).unwrap()["id"].to_string();
        let records = documents.into_iter().map(|text| Record::upsert(key(&text), 1, text));
        stream::iter([Ok(Batch::new().records(records).checkpoint(Checkpoint::new(&1).unwrap()))]).boxed()
    }
}
