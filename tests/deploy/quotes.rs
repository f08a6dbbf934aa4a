//! What the guide quotes: the files of the recipes, and the program's messages.

use std::fs;
use std::path::Path;

fn guide() -> String {
    fs::read_to_string("docs/guides/deploy.md").unwrap()
}

/// The texts of the files below a folder.
fn texts(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            texts(&path, found);
        } else if let Ok(text) = fs::read_to_string(&path) {
            found.push((path.display().to_string(), text));
        }
    }
}

/// The fenced blocks.
fn blocks(guide: &str) -> Vec<&str> {
    guide.split("\n```").skip(1).step_by(2).map(|block| block.split_once('\n').unwrap().1).collect()
}

#[test]
fn the_files_of_the_recipes_are_quoted_or_named() {
    let (guide, mut files) = (guide(), Vec::new());
    texts(Path::new("examples/deploy"), &mut files);
    assert!(files.len() >= 10);
    let blocks = blocks(&guide);
    let mut quoted = 0;
    for (path, text) in &files {
        let name = path.strip_prefix("examples/deploy/").unwrap();
        let text = text.trim_end();
        let first = text.lines().find(|line| line.starts_with("# ") || line.starts_with("FROM")).unwrap();
        if let Some(block) = blocks.iter().find(|block| block.contains(first)) {
            assert_eq!(*block, text, "{path} is not what the guide quotes");
            quoted += 1;
        } else {
            assert!(
                guide.contains(&format!("`{name}`")) || guide.contains(&format!("`{path}`")),
                "{path} is not in the guide"
            );
        }
    }
    assert!(quoted >= 6, "{quoted}");
}

/// The messages of the first table of a section, as the parts between what differs from run to run.
fn messages(guide: &str) -> Vec<Vec<&str>> {
    let (_, section) = guide.split_once("\n## When something is wrong\n").unwrap();
    let rows =
        section.lines().skip_while(|line| !line.starts_with("| message")).take_while(|line| line.starts_with('|'));
    let messages = rows.skip(2).map(|row| row.split('`').nth(1).unwrap());
    messages.map(|message| message.split('…').map(str::trim).filter(|part| !part.is_empty()).collect()).collect()
}

#[test]
fn the_messages_exist() {
    let mut files = Vec::new();
    texts(Path::new("src"), &mut files);
    // A text of several lines is one text.
    let source = files.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join("\n");
    let source = regex_lite::Regex::new(r"\\\n\s*").unwrap().replace_all(&source, "").into_owned();
    let guide = guide();
    let messages = messages(&guide);
    assert!(messages.len() >= 20, "{}", messages.len());
    for message in &messages {
        for part in message {
            assert!(source.contains(part), "no message has {part:?}");
        }
    }
}
