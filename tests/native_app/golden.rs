//! Every generated file against its reviewed copy. `SNOWFEED_BLESS=1` stores the current files.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use snowfeed::native_app::{App, Bundle};

use crate::support::{custom, github};

fn golden(name: &str, app: &App) {
    let folder = Path::new("tests/native_app/golden").join(name);
    let bundle = Bundle::new(app).unwrap();
    if std::env::var_os("SNOWFEED_BLESS").is_some() {
        let _ = fs::remove_dir_all(&folder);
        for (path, bytes) in generated(&bundle) {
            let place = folder.join(path);
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            fs::write(place, bytes).unwrap();
        }
    }
    let mut kept = BTreeMap::new();
    collect(&folder, &folder, &mut kept);
    let paths: Vec<&str> = generated(&bundle).map(|(path, _)| path).collect();
    assert_eq!(kept.keys().map(String::as_str).collect::<Vec<_>>(), paths, "other files: SNOWFEED_BLESS=1 keeps them");
    for (path, bytes) in generated(&bundle) {
        let (kept, now) = (String::from_utf8_lossy(&kept[path]), String::from_utf8_lossy(bytes));
        let line = kept.lines().zip(now.lines()).position(|(kept, now)| kept != now);
        assert!(
            kept == now,
            "{name}/{path} has changed, from line {line:?}: look at it, then SNOWFEED_BLESS=1 keeps it"
        );
    }
}

/// Compares one text with the stored file.
pub(crate) fn compare(name: &str, now: &str) {
    let path = Path::new("tests/native_app/golden").join(name);
    if std::env::var_os("SNOWFEED_BLESS").is_some() {
        fs::write(&path, now).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    let line = kept.lines().zip(now.lines()).position(|(kept, now)| kept != now);
    assert!(kept == now, "{name} has changed, from line {line:?}: look at it, then SNOWFEED_BLESS=1 keeps it\n{now}");
}

/// The files that depend on the app. Code that is the same for every app is stored once, as a template.
fn generated(bundle: &Bundle) -> impl Iterator<Item = (&str, &[u8])> {
    let own = |path: &str| !path.ends_with(".py") || path.ends_with("/spec.py");
    bundle.files().filter(move |(path, _)| own(path))
}

fn collect(root: &Path, folder: &PathBuf, found: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, found);
        } else {
            found.insert(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned(), fs::read(&path).unwrap());
        }
    }
}

#[test]
fn the_github_app_matches_its_golden_files() {
    golden("github", &github());
}

#[test]
fn the_custom_source_app_matches_its_golden_files() {
    golden("custom_source", &custom());
}
