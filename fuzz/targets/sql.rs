//! A text within SQL: it is one constant expression whose value is the text, and a path's member finds the element it names.
//! SQLite itself evaluates it; for Snowflake, a parser's tokens are put together.
#![no_main]

use std::cell::OnceCell;

use libfuzzer_sys::fuzz_target;
use rusqlite::Connection;
use snowfeed::internals::snowflake;
use snowfeed::internals::sqlite;
use snowfeed::{Column, ColumnType, JsonPath};
use sqlparser::dialect::SnowflakeDialect;
use sqlparser::tokenizer::{Token, Tokenizer};

thread_local! {
    static SQLITE: OnceCell<Connection> = const { OnceCell::new() };
}

/// What Snowflake evaluates `'a' || CHR(7)` to, by the rules of its literals.
fn snowflake_value(sql: &str) -> String {
    assert!(!sql.chars().any(char::is_control) && !sql.contains('\\'), "{sql:?}");
    let mut value = String::new();
    let mut number = None;
    for token in Tokenizer::new(&SnowflakeDialect {}, sql).tokenize().expect("tokens") {
        match token {
            Token::SingleQuotedString(text) => value += &text,
            Token::Number(digits, _) => number = digits.parse::<u32>().ok().and_then(char::from_u32),
            Token::RParen => value.extend(number.take()),
            Token::LParen | Token::StringConcat | Token::Whitespace(_) => {}
            Token::Word(word) if word.value == "CHR" && word.quote_style.is_none() => {}
            token => panic!("{token:?} in {sql:?}"),
        }
    }
    value
}

fn column(path: &JsonPath) -> Column {
    Column::new("c", path.clone(), ColumnType::Integer)
}

fuzz_target!(|text: &str| {
    assert_eq!(snowflake_value(&snowflake::literal(text)), text);
    // The path of one member with this name.
    let path = format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")).parse::<JsonPath>().ok();
    if let Some(path) = &path {
        let of = |path: &str| snowflake::select_list(&[column(&path.parse().expect("a path"))]).to_string();
        let this = snowflake::select_list(&[column(path)]);
        // An ordinary name is a part of a path, and any other the argument of a function.
        let as_name = of("x").replace(":\"x\"", &format!(":\"{text}\""));
        let as_text = of("\"-\"").replace("'-'", &snowflake::literal(text));
        let is_ordinary = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        assert!(*this == *as_text || is_ordinary && *this == *as_name, "{this:?}");
    }
    SQLITE.with(|sqlite| {
        let sqlite = sqlite.get_or_init(|| Connection::open_in_memory().expect("SQLite"));
        let literal = sqlite::fuzzing::literal(text);
        let read: Vec<u8> = sqlite
            .query_row(&format!("SELECT CAST({literal} AS BLOB)"), [], |row| row.get(0))
            .unwrap_or_else(|error| panic!("{literal:?}: {error}"));
        assert_eq!(read, text.as_bytes());
        if let Some(path) = &path {
            let sql = format!("SELECT {} FROM (SELECT ?1 AS d)", sqlite::fuzzing::column(&column(path), "d"));
            let document = serde_json::json!({ text: 5 }).to_string();
            let found: Option<i64> =
                sqlite.query_row(&sql, [document], |row| row.get(0)).unwrap_or_else(|error| panic!("{sql:?}: {error}"));
            assert_eq!(found, Some(5), "{sql:?}");
        }
    });
});
