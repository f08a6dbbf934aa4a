//! The descriptions in the documents are complete, and nothing is wrong with them.

use snowfeed::rest::{ApiFile, RestSource};

#[path = "../../examples/helpdesk.rs"]
#[allow(dead_code, unreachable_pub, reason = "its `main` is not called")]
mod example;

/// The TOML files in a document.
fn descriptions(document: &str) -> Vec<&str> {
    let blocks = document.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.filter(|block| block.starts_with("name = ")).collect()
}

#[test]
fn the_descriptions_in_the_documents_are_valid() {
    let documents = [include_str!("../../README.md"), include_str!("../../docs/guides/describe-an-api.md")];
    for document in documents {
        let found = descriptions(document);
        assert!(found.contains(&HELPDESK), "the document has another helpdesk than the example");
        for text in found {
            ApiFile::parse(text, "document.toml").unwrap();
        }
    }
}

const HELPDESK: &str = include_str!("../../examples/helpdesk.toml");

#[test]
fn the_example_is_the_same_as_a_file_and_through_the_builder() {
    let file = ApiFile::parse(HELPDESK, "helpdesk.toml").unwrap();
    assert_eq!(file.warnings, [], "it is right on the first check");
    assert_eq!(file.api, example::helpdesk());
    RestSource::new(file.api).unwrap();
}

#[test]
fn neither_example_has_more_than_25_lines_that_count() {
    let code = |line: &&str| !line.trim().is_empty() && !line.starts_with("//") && !line.starts_with("# ");
    for text in [HELPDESK, include_str!("../../examples/helpdesk.rs")] {
        let lines = text.lines().filter(code).count();
        assert!(lines <= 25, "{lines} lines: {text}");
    }
}
