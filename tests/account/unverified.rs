//! `docs/unverified.md` and the steps of the run name each other, and every other note points to it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::steps::STEPS;

/// The names in the first column of the list's table, and the steps in the last one.
fn entries() -> Vec<(String, Vec<String>)> {
    let text = fs::read_to_string("docs/unverified.md").unwrap();
    let list = text.split("\n## The list\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let lines = list.lines().filter(|line| line.starts_with("| <a id="));
    lines
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
            assert_eq!(cells.len(), 4, "{line}");
            let name = cells[0].split('"').nth(1).unwrap().to_owned();
            let steps = cells[3].trim_end_matches('|').split(',').map(|step| step.trim().trim_matches('`').to_owned());
            (name, steps.collect())
        })
        .collect()
}

#[test]
fn every_entry_names_steps_that_exist_and_every_step_verifies_an_entry() {
    let known: BTreeSet<&str> = STEPS.iter().map(|step| step.name).collect();
    let (mut named, mut names) = (BTreeSet::new(), BTreeSet::new());
    for (name, steps) in entries() {
        assert!(names.insert(name.clone()), "{name} is there twice");
        for step in steps.into_iter().filter(|step| step != "by hand") {
            assert!(known.contains(step.as_str()), "{name} names the step {step:?}, which the run does not have");
            named.insert(step);
        }
    }
    assert!(names.len() > 20, "only {} entries found: this test no longer parses the list", names.len());
    let unnamed: Vec<&&str> = known.iter().filter(|step| !named.contains(**step)).collect();
    assert!(unnamed.is_empty(), "no entry names the steps {unnamed:?}");
}

/// The hand-written files of a folder.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path
            .extension()
            .is_some_and(|extension| ["rs", "md", "py", "sql", "yml", "yaml"].iter().any(|known| extension == *known))
        {
            found.push(path);
        }
    }
}

#[test]
fn every_unverified_note_has_an_entry() {
    let names: BTreeSet<String> = entries().into_iter().map(|(name, _)| name).collect();
    let mut found = vec![PathBuf::from("README.md")];
    ["src", "docs", "examples"].iter().for_each(|folder| files(Path::new(folder), &mut found));
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for path in found.iter().filter(|path| !path.ends_with("docs/unverified.md")) {
        let text = fs::read_to_string(path).unwrap();
        // The architecture's drawing has an arrow.
        if text.contains('▲') && !path.ends_with("docs/architecture.md") {
            wrong.push(format!("{}: write `Unverified:` and a link instead of ▲", path.display()));
        }
        // In backticks it is the word itself.
        for (at, _) in text.match_indices("Unverified:").filter(|(at, _)| !text[..*at].ends_with('`')) {
            seen += 1;
            let note = text[at..].chars().take(240).collect::<String>();
            let entry = note
                .split_once("unverified.md#")
                .map(|(_, rest)| rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '-').collect::<String>());
            if !entry.as_ref().is_some_and(|entry| names.contains(entry)) {
                wrong.push(format!("{}: {entry:?} is not in docs/unverified.md: {note}", path.display()));
            }
        }
    }
    assert!(seen > 10, "only {seen} notes found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
