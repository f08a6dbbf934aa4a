//! Tables that exceed Snowflake's limits: each ends with the right tables, or with one error before anything is written.

use snowfeed::internals::snowflake::{Sql, Statement};
use snowfeed::{ColumnType, Error, ErrorKind, Record, Sink, StreamSpec, Version};

use crate::support::{TestDatabase, commit, resource};
use crate::warnings::Warnings;

/// Creates the tables of a resource in a new database, and returns the error. Nothing may have been written.
async fn refused(tables: &[StreamSpec]) -> Error {
    let db = TestDatabase::new(usize::MAX);
    let error = db.snowflake.ensure_streams(&resource("r"), tables).await.unwrap_err();
    let written = db.recording.statements().into_iter().map(|statement| String::from(statement.sql));
    let written: Vec<String> = written.filter(|sql| !sql.starts_with("SELECT ")).collect();
    assert_eq!(written, [""; 0], "{error}");
    assert_eq!(error.kind(), ErrorKind::Internal, "{error}");
    assert!(error.help().is_some_and(|help| help.contains("source")), "{error}");
    error
}

fn wide(name: &str, column: impl Into<String>) -> StreamSpec {
    StreamSpec::new(name).column("id", "id", ColumnType::Integer).column(column, "a", ColumnType::Text)
}

/// The longest names that a table and a column may have.
#[tokio::test]
async fn the_longest_names_leave_room_for_views() {
    let (db, name) = (TestDatabase::new(usize::MAX), "x".repeat(128));
    let one = resource("r");
    let tables = [wide("issues", &name), wide(&"t".repeat(128), "a")];
    db.snowflake.ensure_streams(&one, &tables).await.unwrap();
    let records = vec![Record::upsert("1", Version(1), r#"{"a":"A"}"#)];
    db.snowflake.commit(commit(&one, "issues", records)).await.unwrap();
    for view in ["ISSUES", "r/issues"] {
        let select = format!("SELECT {name} AS A FROM \"{}\".PUBLIC.\"{view}\"", db.database);
        let found = db.execute(Statement::new(Sql::assert_safe(select))).await.unwrap();
        assert_eq!(found.rows[0].text(0).unwrap().to_string(), "A", "{view}");
    }
}

#[tokio::test]
async fn a_view_with_more_than_1_mb_of_columns_is_refused_before_anything_is_written() {
    let columns = (0..10_000).map(|number| format!("{}{number}", "c".repeat(120)));
    let table = columns.fold(StreamSpec::new("issues"), |table, name| table.column(name, "a", ColumnType::Text));
    let error = refused(&[table]).await;
    assert!(error.to_string().contains("1 MB"), "{error}");
}

#[tokio::test]
async fn beyond_1_mb_the_stream_view_is_kept_and_the_resource_views_are_complete() {
    let (db, warnings) = (TestDatabase::new(usize::MAX), Warnings::default());
    let _here = tracing::subscriber::set_default(warnings.clone());
    let tables = [wide("issues", "a")];
    // The view over all resources contains the full name of each.
    let all: Vec<_> = (0..6).map(|number| resource(&format!("{number}{}", "n".repeat(180_000)))).collect();
    for (number, one) in all.iter().enumerate() {
        db.snowflake.ensure_streams(one, &tables).await.unwrap();
        let record = Record::upsert(number.to_string(), Version(1), r#"{"a":"A"}"#);
        db.snowflake.commit(commit(one, "issues", vec![record])).await.unwrap();
    }
    let said = warnings.lines();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("1 MB") && said[0].contains("resources=6"), "{said:?}");
    let longest = db.recording.statements().into_iter().map(|statement| statement.sql.len()).max();
    assert!(longest < Some(1_000_000), "{longest:?}");

    let count = |view: &str| {
        let select = Statement::new(Sql::assert_safe(format!("SELECT COUNT(*) AS N FROM \"{}\".{view}", db.database)));
        async { db.execute(select).await.unwrap().rows[0].integer(0).unwrap() }
    };
    assert_eq!(count("PUBLIC.ISSUES").await, 5);
    for one in &all {
        assert_eq!(db.snowflake.preview(one, "issues", 9).await.unwrap().rows.len(), 1);
    }
    // Another process finds the same, and reports it again.
    let process = db.another_process();
    for one in &all {
        process.ensure_streams(one, &tables).await.unwrap();
    }
    assert_eq!(warnings.lines().len(), 2);
    assert_eq!(count("PUBLIC.ISSUES").await, 5);
}
