//! The software bill of materials: a valid CycloneDX document that lists exactly the crates of the build.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "what fails in a test ends it")]

#[path = "support/peers.rs"]
mod peers;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// Validates standard input against the schema, including its formats.
const VALIDATE: &str = "
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(sys.stdin.read())
sys.exit(error and str(error)[:2000])
";

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO")).args(arguments).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "{arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// `None` where there is no Python.
fn write_bom(arguments: &[&str]) -> Option<Vec<u8>> {
    if Command::new("python3").arg("--version").output().is_err() {
        peers::skipped("there is no python3, which writes the bill of materials");
        return None;
    }
    let output = Command::new(".ci/sbom").args(arguments).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "{arguments:?}");
    Some(output.stdout)
}

fn validate(document: &[u8]) -> Output {
    let python = peers::python("cyclonedx").unwrap();
    let mut command = Command::new(python);
    command.args(["-c", VALIDATE]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(document).unwrap();
    child.wait_with_output().unwrap()
}

/// The crates of a bill, by name and version, with the SHA-256 of each.
fn crates(bill: &Value) -> BTreeMap<(String, String), Option<String>> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let components = bill["components"].as_array().unwrap();
    components
        .iter()
        .map(|one| {
            let (name, version) = (text(&one["name"]).unwrap(), text(&one["version"]).unwrap());
            assert_eq!(one["purl"], format!("pkg:cargo/{name}@{version}"));
            ((name, version), text(&one["hashes"][0]["content"]))
        })
        .collect()
}

#[test]
fn the_sbom_of_the_crate_is_valid_and_lists_what_is_built() {
    let Some(document) = write_bom(&[]) else { return };
    let checked = validate(&document);
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    let bill: Value = serde_json::from_slice(&document).unwrap();
    let listed = crates(&bill);

    let tree = ["tree", "--locked", "--all-features", "--edges", "normal,build", "--target", "all", "--prefix", "none"];
    let tree = cargo(&tree);
    let mut built: BTreeSet<(String, String)> = BTreeSet::new();
    for line in tree.lines() {
        let mut words = line.split(' ');
        let (name, version) = (words.next().unwrap(), words.next().unwrap().trim_start_matches('v'));
        built.insert((name.to_owned(), version.to_owned()));
    }
    assert!(built.remove(&("snowfeed".to_owned(), env!("CARGO_PKG_VERSION").to_owned())));
    assert_eq!(listed.keys().cloned().collect::<BTreeSet<_>>(), built);
    assert_eq!(bill["metadata"]["component"]["purl"], concat!("pkg:cargo/snowfeed@", env!("CARGO_PKG_VERSION")));
    assert!(!listed.keys().any(|(name, _)| name == "wiremock"), "test-only dependencies are not built in");

    // Each is the one pinned by the lock file.
    let lock = fs::read_to_string("Cargo.lock").unwrap();
    for ((name, version), hash) in &listed {
        let hash = hash.as_ref().unwrap();
        let pinned = format!("name = \"{name}\"\nversion = \"{version}\"\nsource = ");
        let at = lock.find(&pinned).unwrap_or_else(|| panic!("{name} {version} is not in the lock file"));
        assert!(lock[at..].split("\n\n").next().unwrap().contains(hash), "{name} {version}");
    }
    // Every crate is reachable from the root crate, by valid references.
    let depends: BTreeMap<&str, Vec<&str>> = bill["dependencies"].as_array().unwrap().iter().map(edges).collect();
    let (mut seen, mut ahead) = (BTreeSet::new(), vec![bill["metadata"]["component"]["bom-ref"].as_str().unwrap()]);
    while let Some(next) = ahead.pop() {
        if seen.insert(next) {
            ahead.extend(&depends[next]);
        }
    }
    assert_eq!(seen.len(), listed.len() + 1);
}

fn edges(dependency: &Value) -> (&str, Vec<&str>) {
    let on = dependency["dependsOn"].as_array().unwrap().iter().map(|on| on.as_str().unwrap()).collect();
    (dependency["ref"].as_str().unwrap(), on)
}

#[test]
fn an_invalid_sbom_is_detected() {
    let Some(document) = write_bom(&["--features", "http"]) else { return };
    assert!(validate(&document).status.success());
    let mut bill: Value = serde_json::from_slice(&document).unwrap();
    bill["components"][0]["type"] = json!("novel");
    assert!(!validate(bill.to_string().as_bytes()).status.success());
}

#[test]
fn the_sbom_of_an_image_names_the_image_and_its_layers() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = folder.path().join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    let layer = format!("sha256:{}", "a".repeat(64));
    let manifest = json!({"layers": [{"digest": layer}]}).to_string();
    let digest = format!("{:x}", Sha256::digest(&manifest));
    fs::write(blobs.join(&digest), manifest).unwrap();
    let index = json!({"manifests": [{"digest": format!("sha256:{digest}")}]});
    fs::write(folder.path().join("index.json"), index.to_string()).unwrap();
    let arguments = ["--target", "x86_64-unknown-linux-gnu", "--image", folder.path().to_str().unwrap()];
    let Some(document) = write_bom(&arguments) else { return };
    let checked = validate(&document);
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    let bill: Value = serde_json::from_slice(&document).unwrap();
    let image = &bill["metadata"]["component"];
    assert_eq!((&image["type"], &image["hashes"][0]["content"]), (&json!("container"), &json!(digest)));
    assert_eq!(image["properties"][0]["value"], layer);
    let listed = crates(&bill);
    assert!(listed.keys().any(|(name, _)| name == "snowfeed"));
    assert!(!listed.keys().any(|(name, _)| name.starts_with("windows")), "the image is for Linux");
}
