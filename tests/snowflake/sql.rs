//! The SQL that is sent: valid for a parser that knows Snowflake's dialect, and the same whatever the values are.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;
use snowfeed::internals::snowflake::{Bind, Statement};
use sqlparser::dialect::SnowflakeDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, Tokenizer, Whitespace, Word};

use crate::mocks::{AcceptAll, backend};
use crate::recording::RecordingClient;
use crate::support::{TestDatabase, TestStrings, run_all_operations, without_ids};

/// Names that break many systems.
const ODD: [&str; 5] = [
    r#"it's "quoted" \' \" -- /* $$ ; DROP TABLE x; ? :a {{b}} 🦀 ß"#,
    "acme/widgets",
    "Issues\u{0}\n\t\u{85}.",
    "$$;drop schema \"STATE\"",
    "'",
];

fn parse(sql: &str) -> Result<(), String> {
    // Documented, but unknown to the parser.
    let known = sql.replacen(" COPY GRANTS COPY TAGS AS SELECT ", " COPY GRANTS AS SELECT ", 1);
    match Parser::parse_sql(&SnowflakeDialect {}, &known) {
        Ok(statements) if statements.len() == 1 => Ok(()),
        Ok(statements) => Err(format!("{} statements", statements.len())),
        Err(error) => Err(error.to_string()),
    }
}

/// The statements of all backend operations, sent to a server that accepts them.
async fn sent(strings: &TestStrings<'_>) -> Vec<Statement> {
    let mut sent = Vec::new();
    for max_bind_bytes in [usize::MAX, 0] {
        let db = TestDatabase::new(max_bind_bytes);
        run_all_operations(&db.snowflake, strings).await;
        sent.extend(db.recording.statements());
    }
    sent
}

/// The same, sent to a server that accepts everything.
async fn sent_to_mock(strings: &TestStrings<'_>) -> Vec<Statement> {
    let mut sent = Vec::new();
    for max_bind_bytes in [usize::MAX, 0] {
        let recording = RecordingClient::new(Arc::new(AcceptAll::default().client()));
        run_all_operations(&backend(recording.clone(), max_bind_bytes), strings).await;
        sent.extend(recording.statements());
    }
    sent
}

/// No statement is exempt: the parser also reads PUT, COPY, LIST, REMOVE, COPY GRANTS and lambdas.
#[tokio::test]
async fn every_statement_parses_in_the_snowflake_dialect() {
    let long = "x".repeat(300);
    let mut verbs = BTreeSet::new();
    for odd in ODD.into_iter().chain([long.as_str()]) {
        for Statement { sql, binds, .. } in sent(&TestStrings { resource: odd, key: odd, member: odd, text: odd }).await
        {
            if let Err(why) = parse(&sql) {
                panic!("{why}\n{sql}");
            }
            let placeholders = tokens(&sql).into_iter().filter(|token| matches!(token, Token::Placeholder(_))).count();
            assert_eq!(placeholders, binds.len(), "{sql}");
            verbs.extend(sql.split(' ').next().map(str::to_owned));
        }
    }
    let all = "BEGIN COMMIT COPY CREATE DELETE INSERT LIST MERGE PUT REMOVE ROLLBACK SELECT UPDATE";
    assert_eq!(verbs.into_iter().collect::<Vec<_>>().join(" "), all, "a statement is new, or no longer sent");
}

#[tokio::test]
async fn the_parser_refuses_a_statement_that_is_cut_short() {
    // The parser is lenient about a list of options, which is all that follows the names in a COPY.
    let cut = |sql: &str| sql.rsplit_once(')').filter(|(_, rest)| !rest.is_empty()).map(|(cut, _)| cut.to_owned());
    let cut: Vec<String> = sent_to_mock(&HARMLESS)
        .await
        .iter()
        .filter(|sent| !sent.sql.starts_with("COPY"))
        .filter_map(|sent| cut(&sent.sql))
        .collect();
    let read: Vec<&String> = cut.iter().filter(|cut| parse(cut).is_ok()).collect();
    assert!(cut.len() > 50 && read.is_empty(), "{read:?}");
}

const HARMLESS: TestStrings<'_> = TestStrings { resource: "resource", key: "key", member: "member", text: "text" };

/// A member whose name is a part of a path has other SQL than one of any text.
const HARMLESS_TEXT: TestStrings<'_> = TestStrings { member: "a member", ..HARMLESS };

fn is_part_of_a_path(member: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    member.chars().all(is_plain) && !member.starts_with(|c: char| c.is_ascii_digit())
}

/// A statement's content, without the white space.
fn tokens(sql: &str) -> Vec<Token> {
    let tokens = Tokenizer::new(&SnowflakeDialect {}, sql).tokenize().unwrap_or_else(|error| panic!("{error}: {sql}"));
    let plain =
        |token: &Token| matches!(token, Token::Whitespace(Whitespace::Space | Whitespace::Newline | Whitespace::Tab));
    tokens.into_iter().filter(|token| !plain(token)).collect()
}

/// The shape of a statement: everything except the contents of names and literals. A text composed of literals and
/// character codes is one literal.
fn shape(sql: &str) -> String {
    let parts = tokens(sql).into_iter().map(|token| match token {
        Token::SingleQuotedString(_) => "'…'".to_owned(),
        Token::Word(Word { quote_style: Some(_), .. }) => "\"…\"".to_owned(),
        token => token.to_string(),
    });
    let shape = collapse_numbers(&parts.collect::<Vec<_>>().join(" "));
    let mut shape = shape.replace("CHR ( n )", "'…'");
    while shape.contains("'…' || '…'") {
        shape = shape.replace("'…' || '…'", "'…'");
    }
    shape.replace("( '…' )", "'…'")
}

/// Makes all character codes alike.
fn collapse_numbers(shape: &str) -> String {
    let mut parts = shape.split("CHR ( ");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + "CHR ( n" + part.trim_start_matches(|c: char| c.is_ascii_digit()))
}

fn shapes(sent: &[Statement]) -> Vec<String> {
    sent.iter().map(|statement| shape(&without_ids(&statement.sql))).collect()
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(work)
}

/// Texts that may end a literal or a name, begin a comment, or be truncated.
fn texts() -> impl Strategy<Value = String> {
    let text =
        prop_oneof!["['\"\\\\;?$:{}/*. \\-a]{1,8}", ".{1,12}", "\\PC{1,3}|[\u{0}\n\r\u{1b}]{1,3}", "[a\"']{200,300}"];
    text.prop_map(|text| text.trim().to_owned()).prop_filter("a name is not empty", |text| !text.is_empty())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_value_leaves_its_literal(resource in texts(), key in texts(), member in texts(), text in texts()) {
        let strings = TestStrings { resource: &resource, key: &key, member: &member, text: &text };
        let harmless = if is_part_of_a_path(&member) { HARMLESS } else { HARMLESS_TEXT };
        let (odd, harmless) = block_on(async { (sent_to_mock(&strings).await, sent_to_mock(&harmless).await) });
        prop_assert_eq!(odd.len(), harmless.len());
        for ((odd, harmless), sql) in shapes(&odd).into_iter().zip(shapes(&harmless)).zip(&odd) {
            prop_assert_eq!(odd, harmless, "{}", sql.sql);
        }
    }
}

/// Where a text was found.
#[derive(Debug, Default)]
struct Found {
    bound: bool,
    literal: bool,
    name: bool,
}

#[tokio::test]
async fn values_are_bound_and_names_are_quoted() {
    let strings = TestStrings { resource: "zresource", key: "zkey", member: "zmember", text: "ztext" };
    let find = |sent: &[Statement], marker: &str| {
        let mut found = Found::default();
        for statement in sent {
            found.bound |= statement.binds.iter().any(|bind| matches!(bind, Bind::Text(Some(t)) if t.contains(marker)));
            for token in tokens(&without_ids(&statement.sql)) {
                match token {
                    Token::SingleQuotedString(text) => found.literal |= text.contains(marker),
                    Token::Word(Word { quote_style: Some('"'), value, .. }) => found.name |= value.contains(marker),
                    token => assert!(!token.to_string().contains(marker), "{marker} is in the text: {}", statement.sql),
                }
            }
        }
        found
    };
    let sent = sent_to_mock(&strings).await;
    assert!(matches!(find(&sent, "zkey"), Found { bound: true, literal: false, name: false }));
    assert!(matches!(find(&sent, "ztext"), Found { bound: true, literal: false, name: false }));
    // Views cannot have bound values.
    assert!(matches!(find(&sent, "zmember"), Found { bound: true, literal: true, name: true }));
    assert!(matches!(find(&sent, "zresource"), Found { bound: true, literal: true, name: true }));
    let literal: Vec<&str> =
        sent.iter().map(|sent| sent.sql.as_str()).filter(|sql| sql.contains("'zresource'")).collect();
    assert!(literal.iter().all(|sql| sql.starts_with("CREATE OR REPLACE VIEW")), "{literal:?}");
}

/// A cast uses the format that the reader's session or account has set.
#[tokio::test]
async fn no_view_depends_on_the_timestamp_format_of_the_session() {
    let sent = sent_to_mock(&HARMLESS).await;
    let views = sent.iter().map(|sent| sent.sql.as_str()).filter(|sql| sql.starts_with("CREATE OR REPLACE VIEW"));
    let with_times: Vec<&str> = views.filter(|sql| sql.contains("TIMESTAMP")).collect();
    let casts = |sql: &&str| sql.contains("AS TIMESTAMP") || !sql.contains(", 'AUTO')");
    assert!(!with_times.is_empty() && !with_times.iter().any(casts), "{with_times:?}");
}
