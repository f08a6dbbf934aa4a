//! Packages that the tests and `.ci` install from registries are pinned by hash, including their dependencies.

#![allow(clippy::unwrap_used, reason = "what fails in a test ends it")]

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

const PACKAGES: &str = "tests/support/packages";

/// The requirements of a file for pip, each on one line with its hashes.
fn requirements(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap().replace("\\\n", " ");
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

#[test]
fn every_requirement_of_python_has_a_version_and_hashes() {
    let mut paths: Vec<PathBuf> = fs::read_dir(PACKAGES).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    assert!(paths.len() >= 7, "{paths:?}");
    paths.push(".ci/tools.txt".into());
    for path in &paths {
        let pinned = requirements(path);
        assert!(!pinned.is_empty(), "{}", path.display());
        for requirement in &pinned {
            let is_pinned = requirement.contains("==") && requirement.contains("--hash=sha256:");
            assert!(is_pinned, "{}: {requirement}", path.display());
        }
        // The requested packages are the pinned ones.
        let wanted = path.with_extension("in");
        let wanted = if wanted.exists() { requirements(&wanted) } else { Vec::new() };
        for wanted in wanted {
            // The dependencies of an extra are pinned beside it.
            let (name, version) = wanted.split_once("==").unwrap();
            let wanted = format!("{}=={version} ", name.split('[').next().unwrap());
            let is_met = pinned.iter().any(|pinned| pinned.starts_with(&wanted));
            assert!(is_met, "{} lacks {wanted}", path.display());
        }
    }
}

#[test]
fn every_package_of_npm_has_a_hash() {
    for name in ["azurite", "prism"] {
        let folder = Path::new(PACKAGES).join(name);
        let read = |file: &str| -> Value { serde_json::from_slice(&fs::read(folder.join(file)).unwrap()).unwrap() };
        let (manifest, lock) = (read("package.json"), read("package-lock.json"));
        assert_eq!(lock["packages"][""]["dependencies"], manifest["dependencies"], "{name}");
        let packages = lock["packages"].as_object().unwrap();
        assert!(packages.len() > 100);
        for (path, package) in packages.iter().filter(|(path, _)| !path.is_empty()) {
            let integrity = package["integrity"].as_str().unwrap_or_default();
            assert!(integrity.starts_with("sha512-"), "{name}: {path}");
            // Whatever registry npm is configured to use, the hash decides.
            assert_eq!(package.get("resolved"), None, "{name}: {path}");
        }
    }
}

/// Installers are called in two places, which accept pinned packages only.
#[test]
fn nothing_else_installs_packages() {
    let mut paths = Vec::new();
    for folder in ["tests", ".ci", "benches", "fuzz/targets", "examples"] {
        files(Path::new(folder), &mut paths);
    }
    let mut installers = Vec::new();
    for path in paths {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let calls = ["\"pip\"", "bin/pip", "pip install", "pip3", "\"npm\"", "npm install", "\"npx\""];
        let is_text = path.extension().is_none_or(|extension| extension == "rs" || extension == "py");
        if is_text && !path.ends_with("tests/pins.rs") && calls.iter().any(|call| text.contains(call)) {
            installers.push((path, text));
        }
    }
    installers.sort();
    let names: Vec<&Path> = installers.iter().map(|(path, _)| path.as_path()).collect();
    let (tools, peers) = (Path::new(".ci/tools"), Path::new("tests/support/peers.rs"));
    // One is an expected help text.
    assert_eq!(names, [tools, Path::new("tests/native_app/image/foreign.rs"), peers]);
    for (path, text) in installers.iter().filter(|(path, _)| !path.ends_with("foreign.rs")) {
        assert!(text.contains("--require-hashes") && text.contains("--only-binary"), "{}", path.display());
    }
    let (_, text) = &installers[2];
    assert!(text.contains(r#"npm.args(["ci","#) && !text.contains("\"install\", \"--no-audit\""));
}
