//! The house: who may import whom. Read from the `use` lines and paths of the sources themselves.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// For each room, the rooms that it may import besides itself. A room is a file or a folder directly in `src`, or in
/// `src/backends` and `src/sources`.
const DATA: &[&str] = &["error", "monitor", "record", "checkpoint", "resource", "secret", "table", "config", "state"];
const TRAITS: &[&str] = &["source", "sink"];

fn allowed(room: &str) -> BTreeSet<&'static str> {
    let parts: &[&[&str]] = match room {
        "error" => &[],
        "monitor" => &[&["error"]],
        room if DATA.contains(&room) => &[DATA],
        room if TRAITS.contains(&room) => &[DATA, TRAITS],
        "engine" => &[DATA, TRAITS],
        // A source is tested behind the engine, too.
        "testkit" => &[DATA, TRAITS, &["engine", "backends/memory"]],
        "retries" => &[&["error"]],
        "http" => &[&["error", "monitor", "retries"]],
        "backends/merge" => &[DATA, TRAITS],
        // A form and a shape, which know nothing of any backend.
        "backends/concatenation" | "backends/preview" | "backends/surrogates" => &[],
        "backends/memory" => &[DATA, TRAITS, &["backends/merge"]],
        "backends/sqlite" => {
            &[DATA, TRAITS, &["backends/concatenation", "backends/merge", "backends/preview", "backends/surrogates"]]
        }
        "backends/snowflake" => {
            let below =
                &["backends/concatenation", "backends/merge", "backends/preview", "backends/surrogates", "retries"];
            &[DATA, TRAITS, below]
        }
        room if room.starts_with("sources/") => &[DATA, TRAITS, &["http", "retries"]],
        "native_app" => &[DATA, TRAITS, &["backends/snowflake"]],
        "cli" => {
            let below =
                &["engine", "backends/preview", "backends/snowflake", "backends/sqlite", "native_app", "retries"];
            &[DATA, TRAITS, below]
        }
        _ => panic!("the room {room:?} is new: say in this test who it may import"),
    };
    parts.concat().into_iter().collect()
}

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The code of a file without its comments.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// The parts of `a, b::{c, d}, e` that are separated by commas outside of braces.
fn split_group(group: &str) -> Vec<String> {
    let (mut depth, mut parts) = (0, vec![String::new()]);
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        parts.last_mut().unwrap().push(c);
    }
    parts.into_iter().map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

/// The text of a brace group that `text` begins with.
fn braced(text: &str) -> &str {
    let mut depth = 0;
    for (index, c) in text.char_indices() {
        depth += i32::from(c == '{') - i32::from(c == '}');
        if depth == 0 {
            return &text[1..index];
        }
    }
    panic!("an open brace: {text}")
}

/// Every path below `crate::` that the code names. What a macro names by `$crate::` is its caller's import.
fn crate_paths(code: &str) -> Vec<String> {
    let mut paths = Vec::new();
    for (index, _) in code.match_indices("crate::").filter(|(index, _)| !code[..*index].ends_with('$')) {
        let rest = &code[index + "crate::".len()..];
        if rest.starts_with('{') {
            paths.extend(split_group(braced(rest)));
        } else {
            let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).unwrap_or(rest.len());
            // Exported macros live at the root, whatever room they were written in.
            if !rest[end..].starts_with('!') {
                paths.push(rest[..end].to_owned());
            }
        }
    }
    paths
}

/// The names that `lib.rs` re-exports, with the rooms they come from.
fn reexports(lib: &str) -> BTreeMap<String, String> {
    let mut names = BTreeMap::new();
    for line in lib.split(';').map(str::trim).filter_map(|line| line.rsplit("pub use ").next()) {
        let Some((room, items)) = line.split_once("::") else { continue };
        let items = items.trim();
        let items = if items.starts_with('{') { split_group(braced(items)) } else { vec![items.to_owned()] };
        names.extend(items.into_iter().map(|item| (item, room.to_owned())));
    }
    names
}

/// The room that a path below `crate::` leads to.
fn room_of(path: &str, reexports: &BTreeMap<String, String>) -> String {
    let mut steps = path.split("::").map(|step| step.trim().trim_end_matches(['{', ' ']));
    let first = steps.next().unwrap_or_default();
    match first {
        "backends" => match steps.next() {
            Some(next @ ("concatenation" | "memory" | "merge" | "preview" | "snowflake" | "sqlite" | "surrogates")) => {
                format!("backends/{next}")
            }
            Some(next @ ("Memory" | "Preview" | "Snowflake" | "Sqlite")) => format!("backends/{}", next.to_lowercase()),
            next => panic!("{path:?} names no backend ({next:?})"),
        },
        "sources" => format!("sources/{}", steps.next().unwrap_or_default()),
        name => reexports.get(name).cloned().unwrap_or_else(|| name.to_owned()),
    }
}

#[test]
fn imports_point_one_way() {
    let src = Path::new("src");
    let lib = code(&src.join("lib.rs"));
    let reexports = reexports(lib.split("pub mod prelude").next().unwrap());
    let mut files = Vec::new();
    sources(src, &mut files);
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for file in &files {
        let relative = file.strip_prefix(src).unwrap().with_extension("");
        let steps: Vec<&str> = relative.iter().map(|step| step.to_str().unwrap()).collect();
        let room = match steps.as_slice() {
            ["lib"] | ["backends" | "sources", "mod"] => continue,
            [outer @ ("backends" | "sources"), inner, ..] => format!("{outer}/{inner}"),
            [room, ..] => (*room).to_owned(),
            [] => unreachable!(),
        };
        let text = code(file);
        // Tests inside a module may use the test kit.
        let text = text.split("#[cfg(test)]").next().unwrap();
        if relative.ends_with("tests") {
            continue;
        }
        let allowed = allowed(&room);
        for path in crate_paths(text) {
            let target = room_of(&path, &reexports);
            seen += 1;
            if target != room && !allowed.contains(target.as_str()) {
                wrong.push(format!("{} imports {path}, which is in {target}", relative.display()));
            }
        }
    }
    assert!(seen > 50, "only {seen} imports were found: this test no longer reads them");
    assert!(wrong.is_empty(), "imports against the house:\n{}", wrong.join("\n"));
}

#[test]
fn the_reader_of_this_test_sees_through_groups_and_reexports() {
    let names = reexports("pub use a::{B, C};\npub use d::E;");
    assert_eq!(names["C"], "a");
    let paths = crate_paths(
        "use crate::{C, x::{Y, Z}, E};\nlet q = crate::backends::sqlite::open();\nuse crate::backends::Snowflake;",
    );
    assert_eq!(paths, ["C", "x::{Y, Z}", "E", "backends::sqlite::open", "backends::Snowflake"]);
    let rooms: Vec<String> = paths.iter().map(|path| room_of(path, &names)).collect();
    assert_eq!(rooms, ["a", "x", "d", "backends/sqlite", "backends/snowflake"]);
}
