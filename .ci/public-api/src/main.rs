//! Lists a crate's public items from rustdoc's JSON, one per line. An implementation that rustdoc lists under its type and its
//! trait is printed once.

use std::collections::HashSet;
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("the path of the JSON is missing")?;
    let api = public_api::Builder::from_rustdoc_json(path)
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .omit_auto_derived_impls(true)
        .build()?;
    let mut printed = HashSet::new();
    for item in api.items() {
        let line = item.to_string();
        if !printed.contains(&line) {
            println!("{line}");
            printed.insert(line);
        }
    }
    Ok(())
}
