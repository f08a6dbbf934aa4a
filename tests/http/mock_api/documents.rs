//! The documents print the programs that this folder runs.

use std::fs;
use std::path::Path;

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

#[test]
fn the_module_shows_the_two_stream_test() {
    let documented = read("src/testkit/mock_api/mod.rs");
    let expected: String = read("tests/http/mock_api/two_streams.rs").lines().fold(String::new(), |text, line| {
        let line = if line.is_empty() { "//!".to_owned() } else { format!("//! {line}") };
        text + &line + "\n"
    });
    assert!(documented.contains(&expected), "src/testkit/mock_api/mod.rs must show tests/http/mock_api/two_streams.rs");
}

#[test]
fn the_guide_shows_the_cursor_test() {
    let guide = read("docs/guides/write-a-source.md");
    let program = read("tests/http/mock_api/guide.rs");
    assert!(guide.contains(&program), "docs/guides/write-a-source.md must show tests/http/mock_api/guide.rs");
}
