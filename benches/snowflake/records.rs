//! Records of 3 kB, made on demand, and a source that has nothing else.

use std::sync::Arc;

use async_trait::async_trait;
use futures::{StreamExt, stream};
use snowfeed::prelude::*;

/// Texts that documents are put together from; no two are alike within a compressor's window.
const TEXTS: usize = 64;

/// Records in a batch.
const BATCH: u32 = 100;

/// Makes records.
#[derive(Debug, Clone)]
pub(crate) struct Records(Arc<Vec<String>>);

impl Records {
    pub(crate) fn new() -> Self {
        let mut chance = fastrand::Rng::with_seed(3);
        let words: Vec<String> =
            (0..3_000).map(|_| (0..chance.usize(2..10)).map(|_| chance.lowercase()).collect()).collect();
        let mut text = || {
            let mut text = String::new();
            while text.len() < 2_850 {
                text.push_str(&words[chance.usize(..words.len())]);
                text.push(if chance.u8(..12) == 0 { '"' } else { ' ' });
            }
            text.replace('"', "\\\"")
        };
        Self(Arc::new((0..TEXTS).map(|_| text()).collect()))
    }

    /// The record with this number.
    pub(crate) fn record(&self, number: u32) -> Record {
        let text = &self.0[number as usize % TEXTS];
        let json = format!(
            r#"{{"id":{number},"number":{number},"title":"Record {number}","state":"open","labels":[{{"name":"bug"}}],"body":"{text}"}}"#
        );
        Record::upsert(number.to_string(), Version(i64::from(number)), json)
    }
}

/// Returns this many records, in batches.
#[derive(Debug, Clone)]
pub(crate) struct Source(pub(crate) u32);

pub(crate) const TABLE: &str = "records";

#[async_trait]
impl snowfeed::Source for Source {
    fn spec(&self) -> SourceSpec {
        SourceSpec::new("bench", "1").stream(StreamSpec::new(TABLE).column("title", "title", ColumnType::Text))
    }

    async fn connect(&self, _: &Settings, _: ConnectContext) -> Result<Box<dyn Reader>> {
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl snowfeed::Reader for Source {
    async fn check(&self) -> Result<()> {
        Ok(())
    }

    fn discover(&self) -> ResourceStream {
        stream::empty().boxed()
    }

    fn read(&self, _: ReadRequest) -> BatchStream {
        let (records, all) = (Records::new(), self.0);
        let batches = stream::iter((0..all).step_by(BATCH as usize)).map(move |from| {
            let to = all.min(from + BATCH);
            let batch = Batch::new().records((from..to).map(|number| records.record(number)));
            Ok(batch.checkpoint(Checkpoint::new(&to)?))
        });
        batches.boxed()
    }
}
