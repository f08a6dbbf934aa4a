//! The bundle as input of Snowflake's own command line.

use std::fs;
use std::process::Command;

use snowfeed::native_app::{App, Bundle};
use tempfile::tempdir;

use crate::peers;
use crate::support::{custom, github};

/// `snow app bundle` over a bundle; returns the files that it would deploy.
fn deployed(app: &App) -> Option<Vec<String>> {
    let Some(python) = peers::python("snowflake-cli") else {
        peers::skipped("there is no python3, which Snowflake's own command line needs");
        return None;
    };
    let (folder, home) = (tempdir().unwrap(), tempdir().unwrap());
    Bundle::new(app).unwrap().write(&folder).unwrap();
    let answer = Command::new(python.with_file_name("snow"))
        .args(["app", "bundle"])
        .current_dir(&folder)
        // No user configuration, and no network requests.
        .env("HOME", home.path())
        .env("SNOWFLAKE_HOME", home.path())
        .env("SNOWFLAKE_CLI_FEATURES_ENABLE_SNOWFLAKE_PROJECTS", "false")
        .output()
        .unwrap();
    let printed = format!("{}{}", String::from_utf8_lossy(&answer.stdout), String::from_utf8_lossy(&answer.stderr));
    assert!(answer.status.success(), "{printed}");
    let mut files = Vec::new();
    let mut folders = vec![folder.path().join("output/deploy")];
    let root = folders[0].clone();
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push(path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    files.sort();
    Some(files)
}

#[test]
fn snowflake_cli_accepts_every_bundle() {
    let odd = github().package("\"My \"\"odd\"\" package\"").title("a: b # c \"d\" 'e' {{ f }}");
    for app in [github(), custom(), github().without_container(true), odd] {
        let Some(files) = deployed(&app) else { return };
        let bundle = Bundle::new(&app).unwrap();
        let ours: Vec<&str> = bundle.files().map(|(path, _)| path).filter(|path| *path != "snowflake.yml").collect();
        assert_eq!(files, ours);
    }
}
