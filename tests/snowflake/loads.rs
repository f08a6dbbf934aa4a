//! Files on a stage, as the imitation of Snowflake lists, removes and loads them.

use std::io::Write;

use serde_json::json;
use snowfeed::Error;
use snowfeed::internals::snowflake::{Client, Session, Sql, StagedFile, Statement};

use crate::hostile::{client, code, run};

/// A session in a separate database with the stage FILES, and the name of the stage.
async fn stage() -> (Box<dyn Session>, String) {
    let (client, _) = client().await;
    let mut session = client.open().await.unwrap();
    run(&mut session, "CREATE STAGE files ENCRYPTION = (TYPE = 'SNOWFLAKE_SSE')").await;
    let database = text(&mut session, "SELECT CURRENT_DATABASE() AS d").await;
    (session, format!("\"{database}\".\"PUBLIC\".\"FILES\""))
}

/// Stores lines as a compressed file of the stage.
async fn put(session: &mut Box<dyn Session>, stage: &str, path: &str, lines: &[String]) {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    for line in lines {
        writeln!(gzip, "{line}").unwrap();
    }
    let (folder, name) = path.rsplit_once('/').unwrap();
    let (stage, name) = (format!("{stage}/{folder}"), name.to_owned());
    session.put(StagedFile { stage, name, content: vec![gzip.finish().unwrap().into()] }).await.unwrap();
}

/// The text in the first column of the only row, `NULL` if it has none.
async fn text(session: &mut Box<dyn Session>, sql: &str) -> String {
    let all = column(session, sql, 0).await;
    assert_eq!(all.len(), 1, "{sql}: {all:?}");
    all[0].clone()
}

/// A column of the result.
async fn column(session: &mut Box<dyn Session>, sql: &str, index: usize) -> Vec<String> {
    let rows = run(session, sql).await.rows;
    rows.iter().map(|row| row.get(index).unwrap().map_or_else(|| "NULL".to_owned(), ToString::to_string)).collect()
}

async fn refused(session: &mut Box<dyn Session>, sql: &str) -> Error {
    match session.execute(Statement::new(Sql::assert_safe(sql))).await {
        Ok(_) => panic!("this is accepted: {sql}"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn a_path_is_a_prefix_of_the_files_that_are_listed_and_removed() {
    let (mut session, stage) = stage().await;
    for path in ["run/a/1.gz", "run/a/2.gz", "run/ab/3.gz", "other/4.gz"] {
        put(&mut session, &stage, path, &["{}".to_owned()]).await;
    }
    let list = format!("LIST @{stage}");
    let all = ["files/other/4.gz", "files/run/a/1.gz", "files/run/a/2.gz", "files/run/ab/3.gz"];
    assert_eq!(column(&mut session, &list, 0).await, all);
    assert_eq!(column(&mut session, "LIST @files/run/a", 0).await, all[1..]);
    assert_eq!(column(&mut session, "ls '@files/run/a/'", 0).await, all[1..3]);
    assert_eq!(column(&mut session, "LIST @files/r PATTERN = '.*[23].gz'", 0).await, all[2..]);
    assert_eq!(column(&mut session, "LIST @files/a", 0).await, [""; 0]);
    let listed = run(&mut session, "LIST @files/other/").await;
    assert_eq!(listed.columns, ["name", "size", "md5", "sha1", "last_modified"]);
    assert!(listed.rows[0].integer(1).unwrap() > 10);
    assert_eq!(listed.rows[0].text(2).unwrap().len(), 32, "an MD5");
    assert_eq!(listed.rows[0].get(3).unwrap(), None);
    let removed = run(&mut session, &format!("REMOVE @{stage}/run/a/")).await;
    assert_eq!(removed.columns, ["name", "result"]);
    assert_eq!(removed.rows.len(), 2);
    assert_eq!(&**removed.rows[0].text(1).unwrap(), "removed");
    assert_eq!(column(&mut session, &list, 0).await, [all[0], all[3]]);
    run(&mut session, "rm @files/run/a").await;
    assert_eq!(column(&mut session, &list, 0).await, [all[0]]);
    for sql in ["LIST @unknown", "REMOVE @unknown/run/"] {
        let error = refused(&mut session, sql).await;
        assert_eq!(code(&error), "002003", "{sql}: {error}");
    }
}

/// A COPY of these files of the folder `x` into the table T.
fn copy(files: &str, format: &str, options: &str) -> String {
    format!(
        "COPY INTO t FROM @files/x/ FILES = ({files}) FILE_FORMAT = (TYPE = JSON COMPRESSION = GZIP {format} \
         MULTI_LINE = FALSE) MATCH_BY_COLUMN_NAME = CASE_SENSITIVE ON_ERROR = ABORT_STATEMENT {options}"
    )
}

/// With `NULL_IF = ()` and `FORCE = TRUE`.
fn exact(files: &str) -> String {
    copy(files, "NULL_IF = ()", "FORCE = TRUE")
}

#[tokio::test]
async fn members_are_loaded_into_columns_of_the_same_name() {
    let (mut session, stage) = stage().await;
    run(&mut session, "CREATE TABLE t (id NUMBER(38,0), \"Text\" VARCHAR, v VARIANT, w TIMESTAMP_TZ, b BOOLEAN)").await;
    let odd = "quotes \" ' \\ \\N, lines \r\n\u{2028}, \0, ü \u{1d11e}, the text \\ud800";
    let rows = [
        json!({ "ID": 1, "Text": odd, "V": { "b": [1.5], "a": null }, "W": "2024-01-02T03:04:05.5Z", "B": true, "X": 1 }),
        json!({ "id": 2, "TEXT": "another column", "V": null }),
        json!({ "ID": "3", "Text": "x".repeat(5 << 20) }),
    ];
    put(&mut session, &stage, "x/a.gz", &rows.map(|row| row.to_string())).await;
    put(&mut session, &stage, "x/b.gz", &[json!({ "ID": 4, "Text": 1.0 }).to_string()]).await;
    put(&mut session, &stage, "x/not-named.gz", &["{}".to_owned()]).await;
    let loaded = run(&mut session, &exact("'a.gz', 'b.gz'")).await;
    let columns = ["file", "status", "rows_parsed", "rows_loaded", "error_limit", "errors_seen", "first_error"];
    assert_eq!(loaded.columns[..7], columns);
    let files: Vec<_> = loaded.rows.iter().map(|row| (&**row.text(0).unwrap(), row.integer(3).unwrap())).collect();
    assert_eq!(files, [("files/x/a.gz", 3), ("files/x/b.gz", 1)]);
    let all = "SELECT id, \"Text\", v, IFF(w = CAST('2024-01-02 03:04:05.5 +00:00' AS TIMESTAMP_TZ), 'same', 'other') AS s, b FROM t ORDER BY id NULLS FIRST";
    assert_eq!(column(&mut session, all, 0).await, ["NULL", "1", "3", "4"]);
    assert_eq!(
        column(&mut session, all, 1).await,
        ["NULL".to_owned(), odd.to_owned(), "x".repeat(5 << 20), "1.0".into()]
    );
    let variants = column(&mut session, all, 2).await.join(" ").split_whitespace().collect::<String>();
    assert_eq!(variants, r#"null{"a":null,"b":[1.5]}NULLNULL"#);
    assert_eq!(column(&mut session, all, 3).await, ["other", "same", "other", "other"]);
}

#[tokio::test]
async fn a_load_is_part_of_its_transaction() {
    let (mut session, stage) = stage().await;
    run(&mut session, "CREATE TABLE t (id INT)").await;
    run(&mut session, "CREATE TABLE u (id INT)").await;
    put(&mut session, &stage, "x/a.gz", &["{\"ID\": 1}".to_owned(), "{\"ID\": 2}".to_owned()]).await;
    put(&mut session, &stage, "x/bad.gz", &["{\"ID\": 3}".to_owned(), "{\"ID\": \"three\"}".to_owned()]).await;
    let count = "SELECT COUNT(*) AS n FROM t";
    for (end, rows) in [("ROLLBACK", "0"), ("COMMIT", "3")] {
        run(&mut session, "BEGIN").await;
        run(&mut session, "INSERT INTO t VALUES (0)").await;
        // Without FORCE: what is rolled back is not remembered either.
        assert_eq!(column(&mut session, &copy("'a.gz'", "", ""), 3).await, ["2"]);
        // The statement is undone, not the transaction. What it loaded before is loaded again, from a file that is gone.
        run(&mut session, "REMOVE @files/x/a").await;
        let error = refused(&mut session, &exact("'bad.gz'")).await;
        assert_eq!(code(&error), "100038", "{error}");
        assert!(error.to_string().contains("'files/x/bad.gz', line 2"), "{error}");
        assert_eq!(text(&mut session, count).await, "3");
        run(&mut session, end).await;
        assert_eq!(text(&mut session, count).await, rows, "{end}");
        put(&mut session, &stage, "x/a.gz", &["{\"ID\": 1}".to_owned(), "{\"ID\": 2}".to_owned()]).await;
    }
}

#[tokio::test]
async fn a_named_file_that_was_loaded_is_skipped() {
    let (mut session, stage) = stage().await;
    run(&mut session, "CREATE TABLE t (id INT)").await;
    let once = copy("'a.gz'", "", "");
    for (line, sql, status) in [
        (1, &once, "LOADED"),
        (1, &once, "LOAD_SKIPPED"),
        (1, &copy("'a.gz'", "", "FORCE = TRUE"), "LOADED"),
        (2, &once, "LOADED"),
        (2, &once, "LOAD_SKIPPED"),
    ] {
        put(&mut session, &stage, "x/a.gz", &[json!({ "ID": line }).to_string()]).await;
        assert_eq!(column(&mut session, sql, 1).await, [status], "{line}: {sql}");
    }
    assert_eq!(column(&mut session, "SELECT id FROM t ORDER BY id", 0).await, ["1", "1", "2"]);
}

#[tokio::test]
async fn a_missing_file_ends_the_load() {
    let (mut session, stage) = stage().await;
    run(&mut session, "CREATE TABLE t (id INT)").await;
    put(&mut session, &stage, "x/a.gz", &["{\"ID\": 1}".to_owned()]).await;
    let error = refused(&mut session, &exact("'a.gz', 'b.gz'")).await;
    assert!(error.to_string().contains("'x/b.gz' was not found"), "{error}");
    assert_eq!(text(&mut session, "SELECT COUNT(*) AS n FROM t").await, "0");
}

#[tokio::test]
async fn the_text_that_stands_for_null_is_loaded_only_without_null_if() {
    let (mut session, stage) = stage().await;
    run(&mut session, "CREATE TABLE t (d VARCHAR)").await;
    put(&mut session, &stage, "x/a.gz", &[r#"{"D": "\\N"}"#.to_owned()]).await;
    run(&mut session, &copy("'a.gz'", "", "FORCE = TRUE")).await;
    run(&mut session, &exact("'a.gz'")).await;
    assert_eq!(column(&mut session, "SELECT d FROM t ORDER BY d NULLS FIRST", 0).await, ["NULL", "\\N"]);
}

#[tokio::test]
async fn a_line_that_is_no_document_ends_the_load() {
    let (mut session, stage) = stage().await;
    run(&mut session, "CREATE TABLE t (d VARCHAR NOT NULL)").await;
    for (number, (line, expected)) in [
        ("{\"D\":\n\"a\"}", "100069"),
        ("{\"D\": \"a\"} {\"D\": \"a\"}", "100069"),
        ("{\"D\": \"a\", \"D\": \"b\"}", "100069"),
        ("{\"D\": \"\\ud800\"}", "100144"),
        ("{\"E\": 1}", "100072"),
    ]
    .into_iter()
    .enumerate()
    {
        put(&mut session, &stage, &format!("x/{number}.gz"), &["{\"D\": \"fine\"}".to_owned(), line.to_owned()]).await;
        let error = refused(&mut session, &exact(&format!("'{number}.gz'"))).await;
        assert_eq!(code(&error), expected, "{line}: {error}");
    }
    assert_eq!(text(&mut session, "SELECT COUNT(*) AS n FROM t").await, "0");
}
