//! The SQLite backend as a file among other programs: what it rejects, what it survives, what others see.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/environment.rs"]
mod environment;
#[path = "support/untyped.rs"]
mod untyped;
#[path = "support/views.rs"]
mod views;

use std::path::Path;
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rusqlite::Connection;
use snowfeed::backends::Sqlite;
use snowfeed::engine::{Connector, IngestRequest};
use snowfeed::{
    ColumnType, Commit, ConfigStore, Error, ErrorKind, Namespace, Record, Resource, RunId, Sink, StreamCommit,
    StreamSpec, Version,
};

fn resource(name: &str) -> Resource {
    Resource::new(name).unwrap()
}

fn issues() -> [StreamSpec; 1] {
    [StreamSpec::new("issues").column("id", "id", ColumnType::Integer).column("body", "body", ColumnType::Text)]
}

fn document(id: usize, body: &str) -> String {
    serde_json::json!({ "id": id, "body": body }).to_string()
}

fn commit(name: &str, records: Vec<Record>) -> Commit {
    Commit::new(resource(name), Timestamp::now()).part(StreamCommit::new("issues", RunId::new()).records(records))
}

/// Opens a file that must be rejected, and checks that neither it nor the files beside it have changed.
fn refused(path: &Path) -> Error {
    let contents = |path: &Path| -> Vec<(std::path::PathBuf, Vec<u8>)> {
        let mut files: Vec<_> = std::fs::read_dir(path.parent().unwrap())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| (path.clone(), std::fs::read(&path).unwrap()))
            .collect();
        files.sort();
        files
    };
    let before = contents(path);
    let error = Sqlite::open(path).expect_err("the file was taken");
    assert!(contents(path) == before, "the file or its surroundings have changed");
    assert!(error.help().is_some(), "there is no help in {error}");
    assert!(error.to_string().contains(path.file_name().unwrap().to_str().unwrap()), "the file is not named: {error}");
    error
}

#[test]
fn a_file_that_is_not_a_database_is_rejected_and_unchanged() {
    let dir = tempfile::tempdir().unwrap();
    for text in ["x", "SQLite format 3\0", &"not a database\n".repeat(1_000)] {
        let path = dir.path().join("notes.txt");
        std::fs::write(&path, text).unwrap();
        let error = refused(&path);
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.to_string().contains("not a database"), "{error}");
    }
}

#[test]
fn another_programs_database_is_rejected_and_unchanged() {
    for (mode, application) in [("delete", 0), ("wal", 0), ("delete", 42), ("wal", 42)] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("theirs.db");
        let theirs = Connection::open(&path).unwrap();
        theirs.pragma_update(None, "journal_mode", mode).unwrap();
        theirs.pragma_update(None, "application_id", application).unwrap();
        theirs.execute_batch("CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)").unwrap();
        // In WAL mode the file itself is still almost empty: the table is in the WAL.
        let error = Sqlite::open(&path).expect_err("the file was taken");
        assert!(error.to_string().contains("another program"), "{error}");
        drop(theirs);
        let error = refused(&path);
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.to_string().contains("another program"), "{error}");
    }
}

#[test]
fn a_database_of_a_newer_version_is_rejected_and_unchanged() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("newer.db");
    drop(Sqlite::open(&path).unwrap());
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let error = refused(&path);
    assert!(error.to_string().contains("newer version") && error.help().unwrap().contains("upgrade"), "{error}");
}

#[test]
fn a_read_only_database_is_rejected_and_unchanged() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fixed.db");
    drop(Sqlite::open(&path).unwrap());
    let mut permissions = std::fs::metadata(&path).unwrap().permissions();
    permissions.set_readonly(true);
    std::fs::set_permissions(&path, permissions).unwrap();
    let error = refused(&path);
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Unavailable, snowfeed::Retry::Never));
    assert!(error.to_string().contains("read-only"), "{error}");
}

#[test]
fn a_path_that_cannot_be_opened_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    for path in [dir.path().to_owned(), dir.path().join("missing").join("x.db")] {
        let error = Sqlite::open(&path).expect_err("there is no file");
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(error.to_string().contains("cannot be opened") && error.help().is_some(), "{error}");
    }
}

#[tokio::test]
async fn an_empty_file_becomes_a_database_that_keeps_what_was_stored() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("new.db");
    std::fs::write(&path, "").unwrap();
    for round in 0..3 {
        let sqlite = Sqlite::open(&path).unwrap();
        assert_eq!(sqlite.get(Namespace::Connector, "round").await.unwrap(), (round > 0).then(|| (round - 1).into()));
        sqlite.put(Namespace::Connector, "round", &round.into()).await.unwrap();
    }
    let reader = Connection::open(&path).unwrap();
    let mode: String = reader.query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
    assert_eq!(mode, "wal");
}

#[tokio::test]
async fn several_programs_may_open_a_new_file_at_once() {
    let dir = tempfile::tempdir().unwrap();
    // Which threads collide is up to chance.
    for round in 0..40 {
        let path = dir.path().join(format!("{round}.db"));
        let together = Arc::new(Barrier::new(4));
        let open = |n: i32| {
            let (path, together) = (path.clone(), together.clone());
            tokio::task::spawn_blocking(move || {
                together.wait();
                Sqlite::open(path).map(|sqlite| (n, sqlite))
            })
        };
        for opened in futures::future::join_all((0..4).map(open)).await {
            let (n, sqlite) = opened.unwrap().unwrap();
            sqlite.put(Namespace::Connector, &n.to_string(), &n.into()).await.unwrap();
        }
        assert_eq!(Sqlite::open(&path).unwrap().list(Namespace::Connector).await.unwrap().len(), 4);
    }
}

#[tokio::test]
async fn other_programs_read_the_file_during_a_commit() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("read.db");
    let sqlite = Sqlite::open(&path).unwrap();
    sqlite.ensure_streams(&resource("acme/widgets"), &issues()).await.unwrap();
    sqlite.commit(commit("acme/widgets", vec![Record::upsert("1", Version(1), document(1, "x"))])).await.unwrap();

    let count = |connection: &Connection| -> i64 {
        connection.query_row(r#"SELECT count(DISTINCT id) FROM "acme/widgets""#, [], |row| row.get(0)).unwrap()
    };
    // A writer in the middle of a transaction, as an ingestion would be.
    let writer = Connection::open(&path).unwrap();
    writer.execute_batch("BEGIN IMMEDIATE; DELETE FROM snowfeed_raw_issues").unwrap();
    let reader = Connection::open_with_flags(&path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    assert_eq!(count(&reader), 1);
    // A reader in the middle of a transaction does not stop a commit, and sees what it saw.
    reader.execute_batch("BEGIN").unwrap();
    assert_eq!(count(&reader), 1);
    writer.execute_batch("ROLLBACK").unwrap();
    sqlite.commit(commit("acme/widgets", vec![Record::upsert("2", Version(1), document(2, "x"))])).await.unwrap();
    assert_eq!(count(&reader), 1);
    reader.execute_batch("COMMIT").unwrap();
    assert_eq!(count(&reader), 2);
}

#[tokio::test]
async fn a_commit_waits_for_another_writer() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("busy.db");
    let sqlite = Sqlite::open(&path).unwrap();
    sqlite.ensure_streams(&resource("one"), &issues()).await.unwrap();
    let writer = Connection::open(&path).unwrap();
    writer.execute_batch("BEGIN IMMEDIATE").unwrap();
    let waiting =
        tokio::spawn(async move { sqlite.commit(commit("one", vec![Record::upsert("1", Version(1), "{}")])).await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!waiting.is_finished());
    writer.execute_batch("COMMIT").unwrap();
    assert_eq!(waiting.await.unwrap().unwrap().counts().inserted, 1);
}

#[tokio::test]
async fn nul_characters_and_long_bodies_are_readable_in_the_view() {
    let sqlite = Sqlite::in_memory().unwrap();
    let one = resource("one");
    sqlite.ensure_streams(&one, &issues()).await.unwrap();
    let long = "é".repeat(32_768);
    let bodies = ["a\0b", "\0", long.as_str()];
    let records = bodies.iter().enumerate();
    let records = records.map(|(id, body)| Record::upsert(format!("{id}\0"), Version(1), document(id, body))).collect();
    sqlite.commit(commit("one", records)).await.unwrap();
    let preview = sqlite.preview(&one, "issues", 9).await.unwrap();
    assert_eq!(preview.columns, ["id", "body", "deleted_at", "raw"]);
    for row in preview.rows {
        let id = usize::try_from(row[0].as_u64().unwrap()).unwrap();
        assert_eq!(row[1], bodies[id], "the body of {id}");
        assert_eq!(row[3], document(id, bodies[id]));
    }
}

#[tokio::test]
async fn a_thousand_resources_each_have_a_view() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("thousand.db");
    let odd =
        ["a-b/c", "a_b/c", "a/b_c", "vercel/next.js", "1x/ß", "A-b/c", "issues", "Issues", "sqlite_x", "^=issues"];
    let names: Vec<String> = odd.map(str::to_owned).into_iter().chain((0..990).map(|n| format!("acme/r{n}"))).collect();
    let sqlite = Sqlite::open(&path).unwrap();
    for name in &names {
        sqlite.ensure_streams(&resource(name), &issues()).await.unwrap();
        sqlite.commit(commit(name, vec![Record::upsert("1", Version(1), document(1, name))])).await.unwrap();
    }
    drop(sqlite);

    let begin = Instant::now();
    let sqlite = Sqlite::open(&path).unwrap();
    let report = sqlite.commit(commit("acme/r7", vec![Record::upsert("1", Version(1), document(1, "acme/r7"))])).await;
    assert_eq!(report.unwrap().counts().unchanged, 1);
    println!("opening and an idle commit with 1,000 resources: {:?}", begin.elapsed());

    let reader = Connection::open(&path).unwrap();
    for name in &names {
        let view = snowfeed::internals::view_name(name, "issues", true, &|view| {
            view == "issues" || view.starts_with("sqlite_")
        });
        let body: String = reader.query_row(&format!("SELECT body FROM \"{view}\""), [], |row| row.get(0)).unwrap();
        assert_eq!(body, *name);
    }
    let all: i64 = reader.query_row("SELECT count(DISTINCT resource) FROM issues", [], |row| row.get(0)).unwrap();
    assert_eq!(all, 1_000);
}

#[tokio::test]
async fn a_value_of_another_type_reads_as_null() {
    let sqlite = Sqlite::in_memory().unwrap();
    sqlite.ensure_streams(&resource("one"), &[views::spec()]).await.unwrap();
    let documents = views::cases().into_iter().map(|(document, _)| document).enumerate();
    let records = documents.map(|(number, text)| Record::upsert(number.to_string(), Version::NONE, text.to_owned()));
    sqlite.commit(commit("one", records.collect())).await.unwrap();
    views::assert_as_expected(sqlite.preview(&resource("one"), "issues", 99).await.unwrap(), &[]);
}

/// The result of a query with Python's sqlite3 on a file.
fn python(path: &Path, sql: &str) -> Option<String> {
    let program =
        "import json, sqlite3, sys; print(json.dumps(sqlite3.connect(sys.argv[1]).execute(sys.argv[2]).fetchall()))";
    let mut python = std::process::Command::new("python3");
    let Ok(output) = python.arg("-c").arg(program).arg(path).arg(sql).output() else {
        environment::skipped("there is no python3");
        return None;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}

#[tokio::test]
async fn members_of_any_name_are_columns_in_every_version_of_sqlite() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("names.db");
    let sqlite = Sqlite::open(&path).unwrap();
    let names = ["Größe", "a/b", "say \"x\"", "back\\slash", "tab\tx", "日本", "1", "\\\"", "a.b", "it's"];
    let columns = names.iter().enumerate();
    let table = columns.fold(StreamSpec::new("issues"), |table, (n, name)| {
        let step = name.replace('\\', "\\\\").replace('"', "\\\"");
        table.column(format!("c{n}"), &format!("fields.\"{step}\""), ColumnType::Integer)
    });
    sqlite.ensure_streams(&resource("one"), &[table]).await.unwrap();
    let fields: serde_json::Map<_, _> = names.iter().zip(1..).map(|(name, n)| ((*name).to_owned(), n.into())).collect();
    let plain = serde_json::json!({ "fields": fields }).to_string();
    // As servers that escape everything write it.
    let escape = |c: char| match c {
        '{' | '}' | ':' | ',' => c.to_string(),
        c => c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect(),
    };
    let members =
        names.iter().zip(1..).map(|(name, n)| format!("\"{}\": {n}", name.chars().map(escape).collect::<String>()));
    let escaped = format!("{{\"fields\": {{{}}}}}", members.collect::<Vec<_>>().join(","));
    let records = [plain, escaped].into_iter().enumerate();
    let records = records.map(|(n, text)| Record::upsert(n.to_string(), Version(1), text)).collect();
    sqlite.commit(commit("one", records)).await.unwrap();
    let cells: Vec<String> = (0..names.len()).map(|n| format!("c{n}")).collect();
    let sql = format!("SELECT json_array({}) FROM issues", cells.join(","));
    let expected = serde_json::to_string(&(1..=names.len()).collect::<Vec<_>>()).unwrap();
    if let Some(rows) = python(&path, &sql) {
        let rows: serde_json::Value = serde_json::from_str(&rows).unwrap();
        assert_eq!(rows, serde_json::json!([[expected], [expected]]));
    }
    let reader = Connection::open(&path).unwrap();
    let mut find = reader.prepare(&sql).unwrap();
    let rows: Vec<String> = find.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    assert_eq!(rows, [expected.clone(), expected]);
}

#[tokio::test]
async fn an_unpaired_surrogate_is_replaced_in_the_view_and_kept_in_the_raw_text() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("half.db");
    let sqlite = Sqlite::open(&path).unwrap();
    let table = StreamSpec::new("issues")
        .column("title", "title", ColumnType::Text)
        .column("deep", "a.b", ColumnType::Text)
        .column("json", "a", ColumnType::Json)
        .column("names", "labels[*].name", ColumnType::Json)
        .column("at", "at", ColumnType::Timestamp);
    sqlite.ensure_streams(&resource("one"), &[table]).await.unwrap();
    let documents = [
        r#"{"title":"cut \ud83d","a":{"b":"\udE00x","\ud800":[]},"labels":[{"name":"\uDBFF"},{"name":"ok"}],"at":"\ud83d"}"#,
        r#"{"title":"whole \ud83d\ude00 \\ud83d","a":{"b":"a\u0000b"},"labels":[{"name":"\u0000"}]}"#,
    ];
    let records = documents.iter().enumerate();
    let records: Vec<_> =
        records.map(|(n, text)| Record::upsert(n.to_string(), Version(1), (*text).to_owned())).collect();
    sqlite.commit(commit("one", records)).await.unwrap();
    let expected = serde_json::json!([
        ["cut \u{fffd}", "\u{fffd}x", {"b": "\u{fffd}x", "\u{fffd}": []}, ["\u{fffd}", "ok"], null, documents[0]],
        ["whole \u{1f600} \\ud83d", "a\0b", {"b": "a\0b"}, ["\0"], null, documents[1]],
    ]);
    let as_read = |rows: serde_json::Value| -> serde_json::Value {
        let parsed =
            |value: &serde_json::Value| -> serde_json::Value { serde_json::from_str(value.as_str().unwrap()).unwrap() };
        let row = |row: &serde_json::Value| {
            serde_json::json!([row[0], row[1], parsed(&row[2]), parsed(&row[3]), row[4], row[5]])
        };
        rows.as_array().unwrap().iter().map(row).collect()
    };
    for view in ["issues", "one"] {
        let sql = format!("SELECT title, deep, json, names, at, raw FROM {view} ORDER BY title");
        if let Some(rows) = python(&path, &sql) {
            // SQLite before 3.45 reads a text up to its first NUL.
            let rows = rows.replace(r#""a", "{"#, r#""a\u0000b", "{"#);
            assert_eq!(as_read(serde_json::from_str(&rows).unwrap()), expected, "{view}");
        }
        let reader = Connection::open(&path).unwrap();
        let mut find = reader.prepare(&sql).unwrap();
        let rows = find.query_map([], |row| {
            let cell = |column| row.get::<_, Option<String>>(column);
            Ok(serde_json::json!([cell(0)?, cell(1)?, cell(2)?, cell(3)?, cell(4)?, cell(5)?]))
        });
        assert_eq!(as_read(rows.unwrap().map(Result::unwrap).collect()), expected, "{view}");
    }
    let preview = sqlite.preview(&resource("one"), "issues", 9).await.unwrap();
    assert_eq!(preview.rows[1][0], "cut \u{fffd}");

    // An update removes it, and restores it.
    for (version, title) in [(2, "whole"), (3, "\\ud83d")] {
        let text = format!(r#"{{"title":"{title}"}}"#);
        sqlite.commit(commit("one", vec![Record::upsert("0", Version(version), text)])).await.unwrap();
        let sql = "SELECT title FROM issues WHERE raw NOT LIKE '%labels%'";
        let title: String = Connection::open(&path).unwrap().query_row(sql, [], |row| row.get(0)).unwrap();
        assert_eq!(title, if version == 2 { "whole" } else { "\u{fffd}" });
    }
}

#[tokio::test]
async fn columns_are_inferred_and_widen_and_old_rows_have_them() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("inferred.db");
    let source = untyped::Untyped::default();
    let ingest = async || {
        let connector = Connector::new(source.clone(), Arc::new(Sqlite::open(&path).unwrap()));
        let mut report = connector.ingest(IngestRequest::new([resource("one")])).await.unwrap();
        report.runs.remove(0).new_columns
    };
    let rows = |sql: &str| -> Vec<String> {
        let reader = Connection::open(&path).unwrap();
        let mut find = reader.prepare(sql).unwrap();
        let text = |value: rusqlite::types::Value| format!("{value:?}");
        let row = |row: &rusqlite::Row<'_>| (0..4).map(|at| row.get(at).map(text)).collect::<Result<Vec<_>, _>>();
        find.query_map([], |found| row(found)).unwrap().map(|row| row.unwrap().join(" ")).collect()
    };
    source.set([r#"{"id":1,"user":{"login":"a"},"dueDate":"2026-01-31","size":1,"raw":null,"later":null}"#]);
    assert_eq!(ingest().await, ["tickets.author", "tickets.user", "tickets.due_date", "tickets.size"]);
    let columns = "SELECT author, due_date, size, id FROM one ORDER BY id";
    assert_eq!(rows(columns), [r#"Text("a") Text("2026-01-31") Integer(1) Integer(1)"#]);
    source.set([r#"{"id":2,"user":null,"dueDate":"soon","size":1.50,"raw":7}"#, r#"{"id":3,"size":"large"}"#]);
    assert_eq!(ingest().await, ["tickets.due_date", "tickets.size", "tickets.raw_2"]);
    assert_eq!(
        rows(columns),
        [
            r#"Text("a") Text("2026-01-31") Text("1") Integer(1)"#,
            r#"Null Text("soon") Text("1.50") Integer(2)"#,
            r#"Null Null Text("large") Integer(3)"#,
        ]
    );
    assert_eq!(rows("SELECT raw_2, user, 0, 0 FROM tickets WHERE id = 2"), ["Integer(7) Null Integer(0) Integer(0)"]);
    // Nothing is new, for another process either.
    assert_eq!(ingest().await, [""; 0]);
}
