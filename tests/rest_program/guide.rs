//! The first steps of the guide, as the program prints them.

use std::io::Read;
use std::path::Path;

use regex_lite::Regex;
use serde_json::json;
use snowfeed::testkit::mock_api::{MockApi, Paging};

use super::Program;

const GUIDE: &str = "docs/guides/describe-an-api.md";

/// Where the API of the guide is.
const ADDRESS: &str = "https://api.example.com";

/// A helpdesk with three tickets, and comments on two of them.
fn helpdesk() -> MockApi {
    let api = MockApi::start();
    api.require_bearer("secret-token-1");
    let tickets = api.list("/v1/tickets").since("changed_since", "updated_at").sort_by("updated_at");
    let tickets = tickets.paging(Paging::cursor("cursor", "/next_cursor").size(2).size_parameter("limit")).lookup();
    let comments = api.child_list("/v1/tickets/{ticket}/comments", &tickets).records_at("/comments");
    for (id, subject, updated) in [(1, "Printer on fire", 3), (2, "Password reset", 4), (3, "Where is my order?", 5)] {
        tickets.insert(json!({
            "id": id,
            "subject": subject,
            "status": "open",
            "created_at": format!("2026-11-0{id}T09:00:00Z"),
            "updated_at": format!("2026-11-0{updated}T10:00:00Z"),
        }));
    }
    comments.of(1).insert(json!({"id": 11, "text": "Smoke everywhere"}));
    comments.of(3).insert(json!({"id": 31, "text": "It left today"}));
    api
}

/// Runs a command line of the guide, and returns what a terminal would show.
fn shown(program: &Program, line: &str) -> String {
    let words = line.strip_prefix("snowfeed ").expect("a command of the program").split_whitespace();
    let (mut reader, writer) = std::io::pipe().unwrap();
    let mut command = program.command(&words.collect::<Vec<_>>());
    command.stdout(writer.try_clone().unwrap()).stderr(writer);
    let mut child = command.spawn().unwrap();
    // The pipe ends when nothing holds its other end.
    drop(command);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert!(child.wait().unwrap().success(), "{line}: {text}");
    text
}

/// Text without what differs between two runs.
fn steady(text: &str) -> String {
    let text =
        Regex::new(r"\d\d\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC").unwrap().replace_all(text, "2026-11-30 12:00:00 UTC");
    let text = Regex::new(r"\d+\.\d s").unwrap().replace_all(&text, "0.1 s").into_owned();
    // Ages, and the widths of their columns.
    let text = [
        (r"oldest success \d+ s ago \(\d\d:\d\d UTC\)", "oldest success 2 s ago (12:00 UTC)"),
        (
            r"(?m)^health +resource +last success +last change +next due +tries *$",
            "health     resource  last success         last change  next due         tries",
        ),
        (
            r"(?m)^(✓ healthy +helpdesk) +\d+ s ago \(\d\d:\d\d UTC\) +\d+ s ago +in [^(]+ \(30m\) +–",
            "$1  2 s ago (12:00 UTC)  2 s ago      in 16 min (30m)  –",
        ),
    ]
    .into_iter()
    .fold(text, |text, (pattern, steady)| Regex::new(pattern).unwrap().replace_all(&text, steady).into_owned());
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// Runs what the section says, and returns the section with what the program prints.
fn performed(section: &str) -> String {
    let api = helpdesk();
    let program = Program::new().variable("HELPDESK_TOKEN", "secret-token-1");
    let there = |text: &str| text.replace(ADDRESS, api.url());
    let here = |text: &str| steady(&text.replace(api.url(), ADDRESS));
    let mut description = String::new();
    let mut result = String::new();
    for (number, part) in section.split("```").enumerate() {
        // Every other part is a block.
        let (language, text) = part.split_once('\n').unwrap_or((part, ""));
        let block = match language {
            _ if number % 2 == 0 => part.to_owned(),
            "console" => {
                let commands = text.lines().filter_map(|line| line.strip_prefix("$ "));
                let blocks =
                    commands.map(|command| format!("$ {command}\n{}\n", here(&shown(&program, &there(command)))));
                format!("console\n{}", blocks.collect::<String>())
            }
            "toml new" => format!("toml new\n{}\n", here(&program.read("helpdesk.toml"))),
            "toml" => {
                description = if text.starts_with("name = ") { text.to_owned() } else { description + text };
                std::fs::write(program.path("helpdesk.toml"), there(&description)).unwrap();
                part.to_owned()
            }
            _ => part.to_owned(),
        };
        result += if number > 0 { "```" } else { "" };
        result += &block;
    }
    result
}

#[test]
fn the_first_steps_print_what_the_guide_shows() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(GUIDE);
    let guide = std::fs::read_to_string(&path).unwrap();
    let start = guide.find("## Five minutes to the first rows\n").unwrap();
    let end = start + guide[start..].find("\n### ").unwrap();
    let performed = performed(&guide[start..end]);
    if std::env::var_os("SNOWFEED_BLESS").is_some() {
        std::fs::write(&path, format!("{}{performed}{}", &guide[..start], &guide[end..])).unwrap();
    }
    assert_eq!(guide[start..end], performed, "run the test with SNOWFEED_BLESS=1, and read what changes in {GUIDE}");
}
