//! The descriptions in the documents are complete, and nothing is wrong with them.

use snowfeed::rest::{ApiFile, RestSource};

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
        assert_eq!(found.len(), 1);
        for text in found {
            let file = ApiFile::parse(text, "document.toml").unwrap();
            RestSource::new(file.api).unwrap();
        }
    }
}
