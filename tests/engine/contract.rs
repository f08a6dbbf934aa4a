//! The engine detects violations of the source contract, and its errors address the source's author.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::{StreamExt, stream};
use snowfeed::backends::Memory;
use snowfeed::engine::{Connector, IngestRequest};
use snowfeed::engine::{EnableRequest, Event};
use snowfeed::prelude::*;
use snowfeed::{RunQuery, RunRecord, RunStatus, SourceEvent};

use crate::support::{Scripted, Step, batch, connector, ingest, keys, live, resource};

async fn run(records: impl IntoIterator<Item = Record>) -> (RunRecord, Memory) {
    let source = Scripted::new(vec![Step::Raw(batch(&["good"], 1).records(records)), Step::Batch(&["after"], 1)]);
    let (connector, memory) = connector(&source);
    (ingest(&connector, Mode::Incremental).await, memory)
}

#[tokio::test]
async fn a_record_with_an_invalid_key_is_rejected_and_the_others_arrive() {
    let (long, longest) = ("k".repeat(256), "k".repeat(255));
    for (record, reason) in [
        (Record::upsert("", Version(1), r#"{"title":"no key"}"#), "the key is empty"),
        (Record::delete("", Version(1)), "the key is empty"),
        (Record::upsert(&long, Version(1), "{}"), "256 bytes"),
        (Record::upsert("ß".repeat(128), Version(1), "{}"), "256 bytes"),
        (Record::delete(&long, Version(1)), "256 bytes"),
    ] {
        let (run, memory) = run([record.clone(), Record::upsert(&longest, Version(1), "{}")]).await;
        assert_eq!((run.status, run.counts.rejected, run.counts.inserted), (RunStatus::Partial, 1, 3), "{record:?}");
        assert_eq!(live(&memory), keys(&[("good", 1), ("after", 1), (&longest, 1)]));
        let rejects = memory.rejects(&resource("r"), "t");
        assert!(rejects[0].reason.contains(reason), "{rejects:?}");
        let expected = record.json().map_or(record.key.as_str(), |json| json);
        assert_eq!(&rejects[0].raw[..], expected);
    }
}

#[tokio::test]
async fn a_document_that_is_not_json_is_rejected_by_its_key_and_the_others_arrive() {
    for text in ["", " ", "{", r#"{"a":1} x"#, "{'a':1}", "nul", "NaN", "01", "\u{feff}{}", "\"\u{1}\"", r#""\x""#] {
        let (run, memory) = run([Record::upsert("bad", Version(1), text)]).await;
        assert_eq!((run.status, run.counts.rejected, run.counts.inserted), (RunStatus::Partial, 1, 2), "{text:?}");
        let rejects = memory.rejects(&resource("r"), "t");
        assert!(rejects[0].reason.contains(r#""bad" is not JSON"#), "{rejects:?}");
        assert_eq!(&rejects[0].raw[..], text);
    }
    for text in ["1", "null", " [] ", "\"\\ud83d\"", "1e999"] {
        let (run, _) = run([Record::upsert("also good", Version(1), text)]).await;
        assert_eq!((run.status, run.counts.inserted), (RunStatus::Complete, 3), "{text:?}");
    }
}

#[tokio::test]
async fn documents_from_verify_are_checked_too() {
    let first = batch(&["a", "c"], 1).record(Record::upsert("b\"", Version(1), "{}"));
    let source = Scripted::new(vec![Step::Raw(first)]);
    let (connector, memory) = connector(&source);
    ingest(&connector, Mode::Incremental).await;
    source.script("r", vec![Step::Batch(&["a"], 1)]);
    // The scripted source does not escape keys in its documents, so a quote makes one invalid.
    source.truth.lock().unwrap().extend([("b\"".to_owned(), Some(2)), ("c".to_owned(), None)]);
    let run = ingest(&connector, Mode::Reconcile).await;
    assert_eq!((run.status, run.counts.rejected, run.counts.deleted), (RunStatus::Partial, 1, 1), "{run:?}");
    assert_eq!(live(&memory).get("c"), None);
}

/// A source with this spec and no data.
#[derive(Debug, Clone)]
struct DeclaredSource(SourceSpec);

#[async_trait]
impl Source for DeclaredSource {
    fn spec(&self) -> SourceSpec {
        self.0.clone()
    }

    async fn connect(&self, _: &Settings, _: ConnectContext) -> Result<Box<dyn Reader>> {
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl Reader for DeclaredSource {
    async fn check(&self) -> Result<()> {
        Ok(())
    }

    fn discover(&self) -> ResourceStream {
        stream::empty().boxed()
    }

    fn read(&self, _: ReadRequest) -> BatchStream {
        stream::empty().boxed()
    }
}

fn table(name: &str, columns: &[&str]) -> StreamSpec {
    let mut table = StreamSpec::new("t");
    table.name = name.to_owned();
    for column in columns {
        table = table.column("placeholder", "a", ColumnType::Text);
        table.columns.last_mut().unwrap().name = (*column).to_owned();
    }
    table
}

#[tokio::test]
async fn an_invalid_declaration_fails_before_anything_is_read() {
    let with =
        |name: &str, tables: &[StreamSpec]| tables.iter().cloned().fold(SourceSpec::new(name, "1"), SourceSpec::stream);
    let valid = StreamSpec::new("t");
    for (spec, part) in [
        (with("Help-Desk", std::slice::from_ref(&valid)), "\"Help-Desk\""),
        (with("", std::slice::from_ref(&valid)), "\"\""),
        (with("1st", std::slice::from_ref(&valid)), "\"1st\""),
        (with("hélp", std::slice::from_ref(&valid)), "\"hélp\""),
        (with("help", &[]), "no stream"),
        (with("help", &[valid.clone(), valid.clone()]), "\"t\""),
        (with("help", &[valid.clone(), table("T", &[])]), "\"T\""),
        (with("help", &[table("two words", &[])]), "\"two words\""),
        (with("help", &[table(&"t".repeat(300), &[])]), "128"),
        (with("help", &[table("app_state", &[])]), "\"app_state\""),
        (with("help", &[table("snowfeed_raw_x", &[])]), "\"snowfeed_raw_x\""),
        (with("help", &[table("sqlite_x", &[])]), "\"sqlite_x\""),
        (with("help", &[table("t", &["a", "a"])]), "\"a\""),
        (with("help", &[table("t", &["a", "A"])]), "\"A\""),
        (with("help", &[table("t", &["raw"])]), "\"raw\""),
        (with("help", &[table("t", &["deleted_at"])]), "\"deleted_at\""),
        (with("help", &[table("t", &["a-b"])]), "\"a-b\""),
        (with("help", &[valid.clone().optional()]), "no stream by default"),
        (with("help", &[StreamSpec::child("c", "t"), valid.clone()]), "\"c\" depends on the table \"t\""),
        (
            with("help", &[valid.clone(), StreamSpec::deletions_of("d", "t"), StreamSpec::child("c", "d")]),
            "table \"d\"",
        ),
        (
            with("help", &[valid.clone(), StreamSpec::child("c", "t").source_wide()]),
            "is source-wide, and the other is not",
        ),
    ] {
        let memory = Memory::new();
        let connector = Connector::new(DeclaredSource(spec), Arc::new(memory.clone()));
        let one = resource("r");
        let errors = [
            connector.check().await.unwrap_err(),
            connector.discover().await.unwrap_err(),
            connector.enable(EnableRequest::new(one.clone())).await.unwrap_err(),
            connector.provision([]).await.unwrap_err(),
            connector.ingest(IngestRequest::new([one.clone()])).await.unwrap_err(),
        ];
        for error in errors {
            assert_eq!(error.kind(), ErrorKind::Internal, "{error}");
            let text = format!("{error}; {}", error.help().unwrap());
            assert!(text.contains(part), "{text} lacks {part}");
        }
        assert!(connector.resources().await.unwrap().is_empty());
    }
    let valid = with("help_desk2", &[table("t", &["a", "b"]), StreamSpec::new("t_2")]);
    let connector = Connector::new(DeclaredSource(valid), Arc::new(Memory::new()));
    connector.ingest(IngestRequest::new([resource("r")])).await.unwrap();
}

/// A source with these columns and 30 records.
#[derive(Debug, Clone)]
struct Columns(&'static [(&'static str, &'static str, ColumnType)], u32);

#[async_trait]
impl Source for Columns {
    fn spec(&self) -> SourceSpec {
        let columns =
            self.0.iter().fold(StreamSpec::new("t"), |table, (name, path, kind)| table.column(*name, path, *kind));
        SourceSpec::new("columns", "1").stream(columns)
    }

    async fn connect(&self, _: &Settings, _: ConnectContext) -> Result<Box<dyn Reader>> {
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl Reader for Columns {
    async fn check(&self) -> Result<()> {
        Ok(())
    }

    fn discover(&self) -> ResourceStream {
        stream::empty().boxed()
    }

    fn read(&self, _: ReadRequest) -> BatchStream {
        let records =
            (0..self.1).map(|n| Record::upsert(n.to_string(), Version(1), format!(r#"{{"id":{n},"name":"x"}}"#)));
        stream::iter([Ok(Batch::new().records(records))]).boxed()
    }
}

#[tokio::test]
async fn unmatched_columns_are_reported_at_the_end_of_a_run() {
    use ColumnType::{Integer, Present, Text};
    let columns: &[_] = &[
        ("id", "id", Integer),
        ("wrong_type", "id", Text),
        ("mistyped", "nmae", Text),
        ("name", "name", Text),
        ("has_more", "more", Present),
    ];
    for (count, expected) in [(30, vec!["t.wrong_type".to_owned(), "t.mistyped".to_owned()]), (5, vec![])] {
        let warnings = Arc::new(Mutex::new(Vec::new()));
        let log = warnings.clone();
        let observer = move |event: &Event| {
            if let Event::Source { event: SourceEvent::Warning(warning), .. } = event {
                log.lock().unwrap().push(warning.clone());
            }
        };
        let connector = Connector::new(Columns(columns, count), Arc::new(Memory::new())).observer(observer);
        let run = ingest(&connector, Mode::Incremental).await;
        assert_eq!((run.status, &run.empty_columns), (RunStatus::Complete, &expected));
        let stored = connector.runs(RunQuery::new(1)).await.unwrap();
        assert_eq!(stored[0].empty_columns, expected);
        let warnings = warnings.lock().unwrap();
        assert_eq!(warnings.len(), usize::from(count == 30), "{warnings:?}");
        assert!(warnings.iter().all(|warning| expected.iter().all(|column| warning.contains(column))), "{warnings:?}");
    }
}
