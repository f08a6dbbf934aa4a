//! Names of resources, one per line: no two share a view or a table, and a quoted name reads back unchanged.
#![no_main]

use libfuzzer_sys::fuzz_target;
use snowfeed::JsonPath;
use snowfeed::Resource;
use snowfeed::internals::snowflake::{identifier, normalize, resource_name};
use snowfeed::internals::sqlite;
use snowfeed::internals::view_name;
use sqlparser::dialect::{Dialect, SQLiteDialect, SnowflakeDialect};
use sqlparser::tokenizer::{Token, Tokenizer};

const LONGEST: usize = 255;

fn reserved(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["issues", "app_state", "sqlite_schema"].contains(&name.as_str()) || name.starts_with("sqlite_")
}

/// The only name that SQL reads in these quotes.
fn read(dialect: &dyn Dialect, sql: &str) -> String {
    let tokens = Tokenizer::new(dialect, sql).tokenize().expect("tokens");
    match tokens.as_slice() {
        [Token::Word(word)] if word.quote_style == Some('"') => word.value.clone(),
        tokens => panic!("{tokens:?}"),
    }
}

fuzz_target!(|text: &str| {
    let resources: Vec<&str> = text.split('\n').take(4).filter(|name| Resource::new(*name).is_ok()).collect();
    for (index, name) in resources.iter().enumerate() {
        for sole in [true, false] {
            let shown = view_name(name, "issues", sole, &reserved);
            let stored = resource_name(name, "issues", sole, &reserved);
            assert!(stored.chars().count() <= LONGEST, "{stored}");
            assert!(!reserved(&shown), "{shown}");
            assert_eq!(read(&SnowflakeDialect, &identifier(&stored)), stored);
            assert_eq!(read(&SQLiteDialect {}, &sqlite::fuzzing::identifier(&shown)), shown);
            assert_eq!(normalize(&identifier(&stored)), stored);
            for other in resources[..index].iter().filter(|other| *other != name) {
                let theirs = view_name(other, "issues", sole, &reserved);
                assert!(!theirs.eq_ignore_ascii_case(&shown), "{name:?} and {other:?} share {shown:?}");
                let theirs = resource_name(other, "issues", sole, &reserved);
                assert_ne!(theirs, stored, "{name:?} and {other:?}");
            }
        }
        if let Ok(path) = name.parse::<JsonPath>() {
            assert_eq!(path.to_string().parse::<JsonPath>().as_ref().ok(), Some(&path));
        }
    }
});
