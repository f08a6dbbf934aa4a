//! The gallery's table in the guide, against the files that it lists.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use snowfeed::rest::{Api, Drift, Paging, RestSource, Stream, drift};
use snowfeed::{Source, StreamKind};

use crate::support::{file, text};

const GUIDE: &str = "docs/guides/describe-an-api.md";

/// The descriptions whose API documents, or shows, that its links hold the number of a page.
const NUMBERED_LINKS: &[&str] = &["freshdesk"];

/// A row of the table.
#[derive(Debug, Clone, PartialEq)]
struct Row {
    lines: String,
    streams: String,
    pages: String,
    drift: String,
    requests: String,
    conformance: String,
}

/// The rows of the table, by the name of the description.
fn rows() -> BTreeMap<String, Row> {
    let guide = fs::read_to_string(GUIDE).unwrap();
    let (_, section) = guide.split_once("\n## Gallery\n").expect("the guide has the heading `## Gallery`");
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter(|line| line.starts_with("| `")).map(|line| {
        let cells: Vec<String> = line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
        let [file, lines, streams, pages, drift, requests, conformance] = <[String; 7]>::try_from(cells).unwrap();
        let name = file.trim_matches('`').trim_start_matches("examples/rest/").trim_end_matches(".toml").to_owned();
        (name, Row { lines, streams, pages, drift, requests, conformance })
    });
    rows.collect()
}

/// The requests of a second run, as the table says.
pub(crate) fn requests_of_second_run(name: &str) -> usize {
    rows()[name].requests.parse().unwrap()
}

/// The names of the files.
fn names() -> BTreeSet<String> {
    let files = fs::read_dir("examples/rest").unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    files.filter_map(|file| file.strip_suffix(".toml").map(str::to_owned)).collect()
}

/// What all streams are, or of each stream its name and what it is.
fn of_each<'a>(streams: impl Iterator<Item = (&'a str, &'static str)> + Clone) -> String {
    let kinds: BTreeSet<&str> = streams.clone().map(|(_, what)| what).collect();
    match kinds.first() {
        Some(all) if kinds.len() == 1 => (*all).to_owned(),
        _ => streams.map(|(name, what)| format!("{name}: {what}")).collect::<Vec<_>>().join(", "),
    }
}

fn kind(kind: &StreamKind) -> &'static str {
    match kind {
        StreamKind::Incremental => "incremental",
        StreamKind::Snapshot => "snapshot",
        StreamKind::Append(_) => "append",
        StreamKind::Child(_) => "child",
        StreamKind::DeletionsOf(_) => "deletions",
    }
}

fn pages(api: &Api, stream: &Stream) -> &'static str {
    match stream.paginate.as_ref().or(api.paginate.as_ref()).map(|paginate| &paginate.by) {
        Some(Paging::Link) => "link",
        Some(Paging::Next(_)) => "next URL",
        Some(Paging::Token { .. }) => "token",
        Some(Paging::Last { .. }) => "keyset",
        Some(Paging::Offset(_)) => "offset",
        Some(Paging::Page(_)) => "page number",
        Some(Paging::None) => "one page",
        other => panic!("{}: {other:?}", stream.name),
    }
}

fn class(drift: Drift) -> &'static str {
    match drift {
        Drift::OnePage => "one page",
        Drift::None => "none",
        Drift::ReAnchored => "re-anchored",
        Drift::Repeats => "repeats",
        Drift::Deletions => "deletions",
        Drift::Updates => "updates",
        Drift::Links => "links",
        other => panic!("{other:?}"),
    }
}

/// What the table must say; it has the requests from a test of that API.
fn expected(name: &str, requests: &str) -> Row {
    let text = text(name);
    let is_code = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    let api = file(name).api;
    let spec = RestSource::new(api.clone()).unwrap().spec();
    let numbered = NUMBERED_LINKS.contains(&name).then_some(true);
    let of_stream = |what: &dyn Fn(&Stream) -> &'static str| {
        of_each(api.streams.iter().map(|stream| (stream.name.as_str(), what(stream))))
    };
    let module = fs::read_to_string(format!("tests/rest_gallery/{name}.rs")).unwrap();
    Row {
        lines: text.lines().filter(is_code).count().to_string(),
        streams: of_each(spec.streams.iter().map(|stream| (stream.name.as_str(), kind(&stream.kind)))),
        pages: of_stream(&|stream| pages(&api, stream)),
        drift: of_stream(&|stream| class(drift(&api, stream, numbered))),
        requests: requests.to_owned(),
        conformance: if module.contains("snowfeed::delivery_conformance!(") { "delivery" } else { "" }.to_owned(),
    }
}

#[test]
fn the_table_says_what_the_files_are() {
    let rows = rows();
    assert_eq!(rows.keys().cloned().collect::<BTreeSet<_>>(), names(), "each file of examples/rest has a row");
    for (name, row) in rows {
        assert_eq!(row, expected(&name, &row.requests), "{name}: {GUIDE} has the first, its file is the second");
    }
}

#[test]
fn each_file_says_what_it_costs_and_what_finds_its_deletions() {
    for (name, row) in rows() {
        let text = text(&name);
        let comments: Vec<&str> = text.lines().take_while(|line| line.starts_with('#')).collect();
        for word in ["# Requests: ", "# Deletions: ", "# Reconcile: "] {
            assert!(comments.iter().any(|line| line.starts_with(word)), "{name}.toml begins without {word:?}");
        }
        let drift = format!("# Drift: {}", row.drift);
        assert!(comments.contains(&drift.as_str()), "{name}.toml begins without the line {drift:?}");
    }
}
