//! The statements of a standard run, in files for readers who want to know a connector's cost.
//!
//! `SNOWFEED_BLESS=1` rewrites the files.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use snowfeed::Mode;
use snowfeed::engine::{Connector, IngestRequest};
use snowfeed::internals::snowflake::{Bind, Statement};
use sqlparser::dialect::SnowflakeDialect;
use sqlparser::tokenizer::{Token, Tokenizer};

use crate::recording::{Call, Operation};
use crate::source::Issues;
use crate::support::{TestDatabase, resource, without_ids};

/// How a statement is billed.
fn kind(statement: &Statement) -> &'static str {
    match statement.sql.split(' ').next().unwrap_or_default() {
        "SELECT" | "LIST" => "read",
        "INSERT" | "MERGE" | "UPDATE" | "DELETE" | "COPY" => "write",
        "CREATE" | "DROP" => "make or drop something",
        "BEGIN" | "COMMIT" | "ROLLBACK" => "begin or end a transaction",
        "PUT" | "REMOVE" => "store or remove files",
        other => panic!("{other} is new: add its kind"),
    }
}

/// Words that begin a line.
const CLAUSES: [&str; 14] = [
    "FROM", "WHERE", "USING", "WHEN", "ON", "UNION", "QUALIFY", "ORDER", "GROUP", "VALUES", "LEFT", "JOIN", "LATERAL",
    "CROSS",
];

/// The statement split into lines, readable and with short diffs.
fn lines(sql: &str) -> String {
    let (mut text, mut line) = (String::new(), 0);
    // How many parentheses and CASEs are open.
    let (mut depth, mut cases) = (0_usize, 0_usize);
    for token in Tokenizer::new(&SnowflakeDialect {}, sql).tokenize().unwrap() {
        let word = match &token {
            Token::Word(word) if word.quote_style.is_none() => word.value.as_str(),
            _ => "",
        };
        match &token {
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            _ => {}
        }
        cases = (cases + usize::from(word == "CASE")).saturating_sub(usize::from(word == "END"));
        let joined = word == "JOIN" && (text.ends_with("LEFT ") || text.ends_with("CROSS "));
        let is_clause = CLAUSES.contains(&word) && cases == 0 && !joined && text.ends_with(' ');
        let is_full = line > 90 && text.ends_with(", ") && !matches!(token, Token::Number(..));
        if is_clause || is_full {
            text.truncate(text.trim_end().len());
            text += &format!("\n{}", "    ".repeat(depth + 1));
            line = 4 * depth;
        }
        match token {
            Token::Whitespace(_) if text.ends_with([' ', '\n']) => {}
            Token::Whitespace(_) => text.push(' '),
            token => {
                let part = token.to_string();
                line += part.len();
                text += &part;
            }
        }
    }
    text
}

/// A bound value, as far as it is the same in every run.
fn bound(bind: &Bind) -> String {
    match bind {
        Bind::Integer(number) => number.to_string(),
        Bind::Text(None) => "null".to_owned(),
        Bind::Text(Some(text)) if text.starts_with(['{', '[']) => {
            format!("{}…{}", &text[..1], &text[text.len() - 1..])
        }
        Bind::Text(Some(text)) if text.len() > 26 && text.starts_with("20") => "the time".to_owned(),
        Bind::Text(Some(text)) => format!("'{}'", without_ids(text)),
    }
}

/// The file for these calls.
fn file(title: &str, database: &str, calls: &[Call]) -> String {
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut body, mut number) = (String::new(), 0);
    let logins = calls.iter().filter(|call| call.operation == Operation::Login).count();
    for call in calls {
        let (Operation::Statement(statement) | Operation::Put(statement)) = &call.operation else { continue };
        number += 1;
        *kinds.entry(kind(statement)).or_default() += 1;
        // Lines are broken by length, so text that differs in each run is replaced first.
        let sql = lines(&without_ids(&statement.sql.replace(database, "DB")));
        body += &format!("\n{sql};\n");
        if !statement.binds.is_empty() {
            let binds: Vec<String> = statement.binds.iter().map(bound).collect();
            body += &format!("-- bound: {}\n", binds.join(", "));
        }
    }
    let kinds: Vec<String> = kinds.into_iter().map(|(kind, count)| format!("--   {count:3} {kind}\n")).collect();
    let logins = match logins {
        0 => String::new(),
        1 => ", 1 login".to_owned(),
        logins => format!(", {logins} logins"),
    };
    format!("-- {title}\n-- {number} statements{logins}:\n{}{body}", kinds.concat())
}

/// How many matching lines are shown around the different ones.
const CONTEXT: usize = 2;

/// The different lines, `-` before the expected and `+` before the actual ones, with their context.
fn difference(wanted: &str, found: &str) -> String {
    let (wanted, found): (Vec<&str>, Vec<&str>) = (wanted.lines().collect(), found.lines().collect());
    // The length of the longest common subsequence after each pair of positions.
    let mut common = vec![vec![0_usize; found.len() + 1]; wanted.len() + 1];
    for (i, line) in wanted.iter().enumerate().rev() {
        for (j, other) in found.iter().enumerate().rev() {
            common[i][j] = match line == other {
                true => common[i + 1][j + 1] + 1,
                false => common[i + 1][j].max(common[i][j + 1]),
            };
        }
    }
    let (mut i, mut j, mut all) = (0, 0, Vec::new());
    while i < wanted.len() || j < found.len() {
        if i < wanted.len() && j < found.len() && wanted[i] == found[j] {
            all.push((' ', wanted[i]));
            (i, j) = (i + 1, j + 1);
        } else if i < wanted.len() && (j == found.len() || common[i + 1][j] >= common[i][j + 1]) {
            all.push(('-', wanted[i]));
            i += 1;
        } else {
            all.push(('+', found[j]));
            j += 1;
        }
    }
    let differs = |at: usize| {
        all[at.saturating_sub(CONTEXT)..all.len().min(at + CONTEXT + 1)].iter().any(|(mark, _)| *mark != ' ')
    };
    (0..all.len()).filter(|at| differs(*at)).map(|at| format!("{} {}\n", all[at].0, all[at].1)).collect()
}

/// Compares the statements sent since the last call with a file, or writes the file.
fn compare(db: &TestDatabase, name: &str, title: &str) -> Option<String> {
    let found = file(title, &db.database, &db.recording.take());
    let path = Path::new("tests/snowflake/golden").join(name);
    if std::env::var_os("SNOWFEED_BLESS").is_some() {
        std::fs::write(&path, &found).unwrap();
        return None;
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    (wanted != found).then(|| format!("{name}:\n{}", difference(&wanted, &found)))
}

async fn ingest(connector: &Connector, request: IngestRequest) {
    let report = connector.ingest(request).await.unwrap();
    assert_eq!(report.status(), snowfeed::RunStatus::Complete, "{report:?}");
}

#[tokio::test]
async fn a_standard_run_matches_the_golden_files() {
    let db = TestDatabase::new(usize::MAX);
    let source = Issues::default();
    let connector = Connector::new(source.clone(), Arc::new(db.snowflake.clone()));
    let of = |name: &str| IngestRequest::new([resource(name)]);
    let mut wrong = Vec::new();
    let mut compare = |name, title| wrong.extend(compare(&db, name, title));

    source.page("acme/widgets", 1..3);
    ingest(&connector, of("acme/widgets")).await;
    compare("1-first-run.sql", "The first run: an empty database, one resource, one small commit.");
    source.page("acme/gadgets", 1..3);
    ingest(&connector, of("acme/gadgets")).await;
    compare("2-second-resource.sql", "The first run of a second resource, in the same process.");
    source.page("acme/widgets", 2..4);
    ingest(&connector, of("acme/widgets")).await;
    compare("3-incremental-run.sql", "A run that finds something new: one small commit.");
    ingest(&connector, IngestRequest::default()).await;
    compare("4-idle-run.sql", "An ingestion of both resources that finds nothing new.");
    let another = Connector::new(source.clone(), Arc::new(db.another_process()));
    ingest(&another, IngestRequest::default()).await;
    compare("5-idle-run-of-a-new-process.sql", "The same, as the first ingestion of a process.");
    source.pages("acme/widgets", vec![1..2, 2..3]);
    ingest(&connector, of("acme/widgets").mode(Mode::Reconcile)).await;
    compare("6-reconcile.sql", "A reconcile run: one issue of three is gone.");

    assert!(wrong.is_empty(), "SNOWFEED_BLESS=1 writes the golden files anew\n{}", wrong.join("\n"));
}

#[tokio::test]
async fn large_commits_match_their_golden_files() {
    let db = TestDatabase::new(0);
    let source = Issues::default();
    let connector = Connector::new(source.clone(), Arc::new(db.snowflake.clone()));
    source.page("acme/widgets", 1..3);
    ingest(&connector, IngestRequest::new([resource("acme/widgets")])).await;
    db.recording.take();
    source.page("acme/widgets", 3..5);
    ingest(&connector, IngestRequest::default()).await;
    let title = "A run with one large commit, whose rows travel through the stage.";
    let mut wrong: Vec<String> = compare(&db, "7-large-commit.sql", title).into_iter().collect();
    source.page("acme/gadgets", 1..3);
    ingest(&connector, IngestRequest::new([resource("acme/gadgets")])).await;
    let title = "The first run of a second resource, with one large commit into the empty table.";
    wrong.extend(compare(&db, "8-first-large-commit.sql", title));
    assert!(wrong.is_empty(), "SNOWFEED_BLESS=1 writes the golden files anew\n{}", wrong.join("\n"));
}

#[test]
fn a_difference_shows_both_versions() {
    let said = difference("1\n2\n3\na\nb\nc\nd\n5\n6\n7\n8\n9\n", "1\n2\n3\na\nb\nx\ny\nd\n5\n6\n7\n8\n");
    assert_eq!(said, "  a\n  b\n- c\n+ x\n+ y\n  d\n  5\n  7\n  8\n- 9\n");
    assert_eq!(difference("a\na\n", "a\na\n"), "");
}
