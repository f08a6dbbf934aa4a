//! The architecture: which layer may import which, and no import cycles between files. `.ci/cycles` prints both.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

#[path = "architecture/cycles.rs"]
mod cycles;
#[path = "architecture/modules.rs"]
mod modules;

use cycles::cycles;
use modules::{Imports, read, read_crate};

/// A layer's name, the files and folders of `src` in it, and the layers that it may import. The modules of one layer may
/// import each other.
type Layer = (&'static str, &'static [&'static str], &'static [&'static str]);

/// The layers, the highest first: imports point down. `core` means the six lowest ones.
const LAYERS: &[Layer] = &[
    (
        "cli",
        &["cli"],
        &[
            "metrics",
            "native_app",
            "rest",
            "github",
            "http",
            "snowflake",
            "sqlite",
            "preview",
            "connection",
            "engine",
            "net",
            "core",
        ],
    ),
    ("native_app", &["native_app"], &["snowflake", "driver", "connection", "net", "core"]),
    ("metrics", &["metrics"], &["engine", "core"]),
    ("testkit", &["testkit"], &["memory", "engine", "core"]),
    ("github", &["sources/github"], &["http", "net", "core"]),
    ("rest", &["rest"], &["http", "net", "core"]),
    ("memory", &["backends/memory"], &["merge", "core"]),
    ("sqlite", &["backends/sqlite"], &["merge", "sql", "preview", "core"]),
    ("snowflake", &["backends/snowflake"], &["driver", "connection", "merge", "sql", "preview", "net", "core"]),
    ("sql", &["backends/surrogates", "backends/concatenation"], &[]),
    ("preview", &["backends/preview"], &[]),
    ("driver", &["snowflake"], &["connection", "net", "data", "error", "spans"]),
    ("connection", &["snowflake/connection"], &["net", "data", "error"]),
    ("merge", &["sink/merge"], &["core"]),
    ("engine", &["engine"], &["core"]),
    ("http", &["http"], &["net", "monitor", "error", "spans"]),
    ("net", &["net"], &["error"]),
    ("traits", &["source", "sink"], &["data", "cost", "monitor", "error"]),
    (
        "data",
        &["record", "checkpoint", "resource", "secret", "stream", "config", "state"],
        &["cost", "monitor", "error"],
    ),
    ("cost", &["cost"], &["error"]),
    ("monitor", &["monitor"], &["error"]),
    ("error", &["error"], &[]),
    ("spans", &["spans"], &[]),
];

const CORE: &[&str] = &["traits", "data", "cost", "monitor", "error", "spans"];

/// The files that declare modules and re-export their items, and do nothing else.
const REEXPORTS: &[&str] = &["lib.rs", "backends/mod.rs", "sources/mod.rs"];

/// The import that may close a cycle: a request is sent by its client, which makes requests.
const ALLOWED: (&str, &str) = ("http/request.rs", "http/client.rs");

fn imports() -> Imports {
    read_crate(Path::new("src"))
}

/// The lowest layer that contains a file.
fn layer_of(file: &str) -> Option<&'static Layer> {
    let inside = |module: &str| file.strip_prefix(module).is_some_and(|rest| rest.starts_with('/') || rest == ".rs");
    LAYERS.iter().rev().find(|(_, modules, _)| modules.iter().any(|module| inside(module)))
}

#[test]
fn imports_point_down() {
    let imports = imports();
    let mut wrong = String::new();
    for ((from, to), import) in &imports {
        if REEXPORTS.contains(&from.as_str()) {
            if !import.used.is_empty() {
                writeln!(wrong, "{from} must only re-export, and uses {}", list(&import.used)).unwrap();
            }
            continue;
        }
        let [(layer, _, below), (target, _, _)] =
            [from, to].map(|file| layer_of(file).unwrap_or_else(|| panic!("{file} is in no layer: add it to LAYERS")));
        if layer != target && !below.contains(target) && !(below.contains(&"core") && CORE.contains(target)) {
            let names = import.used.union(&import.reexported).cloned().collect();
            writeln!(wrong, "{from} ({layer}) must not import {} from {to} ({target})", list(&names)).unwrap();
        }
    }
    assert!(imports.len() > 200, "only {} imports were found", imports.len());
    assert!(wrong.is_empty(), "imports that do not point down:\n{wrong}");
}

#[test]
fn each_layer_imports_layers_below_it_only() {
    let mut below = BTreeSet::new();
    for (name, _, imports) in LAYERS.iter().rev() {
        if CORE.iter().all(|layer| below.contains(layer)) {
            below.insert(&"core");
        }
        for import in *imports {
            assert!(below.contains(import), "{name} imports {import}, which is not below it");
        }
        below.insert(name);
    }
}

#[test]
fn files_do_not_import_each_other_in_a_cycle() {
    let imports = imports();
    let found = import_cycles(&imports);
    assert!(found.is_empty(), "import cycles:\n{}", describe_cycles(&imports, &found));
}

/// Prints the layers and the cycles: `.ci/cycles`.
#[test]
fn report() {
    let imports = imports();
    println!("{:<12} may import", "layer");
    for (name, _, below) in LAYERS {
        println!("{name:<12} {}", below.join(", "));
    }
    let found = import_cycles(&imports);
    println!("\n{} import cycles besides {} and {}", found.len(), ALLOWED.0, ALLOWED.1);
    print!("{}", describe_cycles(&imports, &found));
}

/// The groups of files that import each other. A re-export is not an import: a parent that only declares and re-exports
/// its children does not depend on them.
fn import_cycles(imports: &Imports) -> Vec<BTreeSet<&str>> {
    let used = imports.iter().filter(|(_, import)| !import.used.is_empty());
    let edges = used.map(|((from, to), _)| (from.as_str(), to.as_str()));
    cycles(edges.filter(|edge| *edge != ALLOWED))
}

fn describe_cycles(imports: &Imports, groups: &[BTreeSet<&str>]) -> String {
    let mut text = String::new();
    for group in groups {
        writeln!(text, "\n{} files", group.len()).unwrap();
        for ((from, to), import) in imports {
            let inside = group.contains(from.as_str()) && group.contains(to.as_str());
            if inside && !import.used.is_empty() && (from.as_str(), to.as_str()) != ALLOWED {
                writeln!(text, "    {from} -> {to}: {}", list(&import.used)).unwrap();
            }
        }
    }
    text
}

fn list(names: &BTreeSet<String>) -> String {
    names.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

#[test]
fn paths_are_resolved_to_the_files_that_define_their_items() {
    let files = BTreeMap::from([
        ("lib.rs", "mod a; mod b; pub use a::Exported; #[macro_export] macro_rules! at_root { () => {} }"),
        (
            "a/mod.rs",
            "mod inner; mod leaf; pub fn leaf() {} pub use inner::{Inner, Other as Renamed}; pub struct Exported; pub struct Parent;
             #[cfg(test)] mod tests { use crate::b::B; }
             #[cfg(all(test, unix))] use crate::b::B;",
        ),
        ("a/inner.rs", "use super::*; pub struct Inner(Parent); pub struct Other; fn leaf() -> super::leaf::Leaf {} pub(in crate::b) fn f() {}"),
        ("a/leaf.rs", "pub struct Leaf;"),
        (
            "b.rs",
            "use crate::{Exported, a::{self}};
             pub struct B;
             fn f() -> a::Renamed { println!(\"{}\", crate::a::Inner); $x!(); std::mem::take(&mut Unknown) }",
        ),
    ]);
    let imports = read("lib.rs", &|file| files.get(file).map(|text| text.replace("$x", "crate::at_root")));
    let found: Vec<String> = imports
        .iter()
        .map(|((from, to), import)| format!("{from} {to}: {} | {}", list(&import.used), list(&import.reexported)))
        .collect();
    assert_eq!(
        found,
        [
            "a/inner.rs a/leaf.rs: Leaf | ",
            "a/inner.rs a/mod.rs: Parent | ",
            "a/mod.rs a/inner.rs:  | Inner, Other",
            "b.rs a/inner.rs: Inner, Other | ",
            "b.rs a/mod.rs: Exported | ",
            "b.rs lib.rs: at_root | ",
            "lib.rs a/mod.rs:  | Exported",
        ]
    );
}

#[test]
fn cycles_are_found() {
    let edges = [("a", "b"), ("b", "c"), ("c", "a"), ("c", "d"), ("e", "f"), ("f", "e"), ("g", "a")];
    assert_eq!(cycles(edges), [BTreeSet::from(["a", "b", "c"]), BTreeSet::from(["e", "f"])]);
    assert!(cycles([("a", "b"), ("a", "c"), ("b", "c")]).is_empty());
}
