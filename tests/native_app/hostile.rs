//! Hostile texts in generated files, read back by the parsers of those files.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::Value;
use snowfeed::native_app::{App, Bundle};
use snowfeed::{SourceSpec, StreamSpec};
use sqlparser::dialect::SnowflakeDialect;
use sqlparser::tokenizer::{Token, Tokenizer};

use crate::peers;

/// Reads bundles from standard input, and reports what YAML and Python understand.
const READER: &str = r#"
import ast, json, sys, yaml

def spec(text):
    tree = ast.parse(text)
    assert [type(node).__name__ for node in tree.body] == ["Expr", "Assign"], text
    return ast.literal_eval(tree.body[1].value)

for line in sys.stdin:
    files = json.loads(line)
    manifest = yaml.safe_load(files["manifest.yml"])
    project = yaml.safe_load(files["snowflake.yml"])
    described = spec(files["procedures/spec.py"])
    privileges = {name: value["description"] for entry in manifest["privileges"] for name, value in entry.items()}
    print(json.dumps([
        described["title"], described["description"], described["resource_kind"], privileges["CREATE DATABASE"],
        sorted(manifest), sorted(described), sorted(project["entities"]),
    ]), flush=True)
"#;

fn app(text: &str) -> App {
    let spec =
        SourceSpec::new("planets", "1").resource_kind(text).host("api.example.com").stream(StreamSpec::new("planets"));
    App::from(&spec).title(text).description(text).text("CREATE DATABASE", text)
}

/// Texts made of the delimiters of these languages.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        prop::sample::select(vec![
            "'",
            "''",
            "'''",
            "\"",
            "\"\"\"",
            "\\",
            "\\'",
            "\n",
            "\r\n",
            "$$",
            ";",
            "--",
            "/*",
            "*/",
            ": ",
            " #",
            "- ",
            "{{",
            "}}",
            "{%",
            "<<",
            ">>",
            "\"<<",
            ">>\"",
            "'<<",
            ">>'",
            "#%",
            "--%",
            "<!--",
            "%-->",
            "```",
            "`",
            "|",
            "&a",
            "*a",
            "!!x",
            "%",
            "\u{0}",
            "\u{85}",
            "\u{2028}",
            "\u{feff}",
            "\u{202e}",
            "é",
            "😀",
            "\t",
            "<% ctx %>",
            "&{x}",
            "\n---\n",
            "\n# x\n",
        ])
        .prop_map(str::to_owned),
        "[ -~]{0,4}",
        any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

/// The kinds of tokens that SQL is made of, and the texts in it.
fn shape(sql: &str) -> (Vec<std::mem::Discriminant<Token>>, Vec<String>) {
    let dialect = SnowflakeDialect;
    let tokens = Tokenizer::new(&dialect, sql).tokenize().unwrap();
    let texts = tokens.iter().filter_map(|token| match token {
        Token::SingleQuotedString(text) => Some(text.clone()),
        _ => None,
    });
    (tokens.iter().map(std::mem::discriminant).collect(), texts.collect())
}

proptest! {
    #[test]
    fn no_text_escapes_its_sql_literal(text in hostile()) {
        let setup = |text: &str| Bundle::new(&app(text)).unwrap().text("setup.sql").unwrap().to_owned();
        let (plain, hostile) = (shape(&setup("x")), shape(&setup(&text)));
        prop_assert_eq!(plain.0, hostile.0);
        prop_assert_eq!(plain.1.len(), hostile.1.len());
        prop_assert!(Bundle::new(&app(&text)).unwrap().findings().is_empty());
    }

    #[test]
    fn no_text_adds_a_markdown_line_or_heading(text in hostile()) {
        let readme = |text: &str| Bundle::new(&app(text)).unwrap().text("README.md").unwrap().to_owned();
        let (plain, hostile) = (readme("x"), readme(&text));
        prop_assert_eq!(plain.lines().count(), hostile.lines().count());
        let cells = |readme: &str| readme.lines().filter(|line| line.starts_with('|')).count();
        prop_assert_eq!(cells(&plain), cells(&hostile));
        // A backslash escapes the character after it.
        let marks = |readme: &str| {
            let mut characters = readme.chars();
            let mut count = 0;
            while let Some(c) = characters.next() {
                match c {
                    '\\' => drop(characters.next()),
                    c => count += usize::from("[]<>`*_#!|".contains(c)),
                }
            }
            count
        };
        prop_assert_eq!(marks(&plain), marks(&hostile));
    }
}

#[test]
fn yaml_and_python_read_every_text_unchanged() {
    let Some(python) = peers::python("yaml") else {
        return peers::skipped("there is no python3, which reads the files");
    };
    let mut reader = Command::new(python)
        .args(["-c", READER])
        .env("PYTHONUTF8", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = reader.stdin.take().unwrap();
    let mut output = BufReader::new(reader.stdout.take().unwrap());
    let mut ask = |text: &str| {
        let bundle = Bundle::new(&app(text)).unwrap();
        let file = |path: &str| (path.to_owned(), bundle.text(path).unwrap().to_owned());
        let files = ["manifest.yml", "snowflake.yml", "procedures/spec.py"].map(file);
        writeln!(input, "{}", serde_json::to_string(&BTreeMap::from(files)).unwrap()).unwrap();
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let mut texts: Vec<Value> = serde_json::from_str(&line).unwrap();
        let keys = texts.split_off(4);
        (texts, keys)
    };
    let (_, expected) = ask("x");
    let mut runner = TestRunner::default();
    for _ in 0..300 {
        let text = hostile().new_tree(&mut runner).unwrap().current();
        let (texts, keys) = ask(&text);
        assert!(texts.iter().all(|read| *read == text.as_str()), "{text:?}: {texts:?}");
        assert_eq!(keys, expected, "{text:?}");
    }
    drop(input);
    assert!(reader.wait().unwrap().success());
}
