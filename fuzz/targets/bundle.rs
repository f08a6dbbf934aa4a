//! The texts of a native app: whatever they are, the setup script has the same statements and the readme the same lines.
#![no_main]

use std::mem::Discriminant;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use snowfeed::native_app::{App, Bundle};
use snowfeed::{SourceSpec, StreamSpec};
use sqlparser::dialect::SnowflakeDialect;
use sqlparser::tokenizer::{Token, Tokenizer};

fn bundle(text: &str) -> Bundle {
    let spec =
        SourceSpec::new("planets", "1").resource_kind(text).host("api.example.com").stream(StreamSpec::new("planets"));
    let app = App::from(&spec).title(text).description(text).text("CREATE DATABASE", text);
    Bundle::new(&app).expect("a bundle")
}

fn shape(bundle: &Bundle) -> (Vec<Discriminant<Token>>, usize) {
    let setup = bundle.text("setup.sql").expect("a setup script");
    let tokens = Tokenizer::new(&SnowflakeDialect {}, setup).tokenize().expect("tokens");
    let lines = bundle.text("README.md").expect("a readme").lines().count();
    (tokens.iter().map(std::mem::discriminant).collect(), lines)
}

static PLAIN: LazyLock<(Vec<Discriminant<Token>>, usize)> = LazyLock::new(|| shape(&bundle("x")));

fuzz_target!(|text: &str| {
    let bundle = bundle(text);
    assert!(shape(&bundle) == *PLAIN, "{text:?} changes the structure");
    assert!(bundle.findings().is_empty());
});
