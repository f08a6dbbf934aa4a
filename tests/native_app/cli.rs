//! `app build` and `app validate`, as any connector gets them.

use std::fs;
use std::path::Path;

use snowfeed::cli::{Exit, run_from};
use snowfeed::native_app::Bundle;
use snowfeed::native_app::image::Image;
use tempfile::tempdir;

use crate::image::elf::Elf;
use crate::support::JsonLines;

async fn app(verb: &str, folder: &Path, more: &[&str]) -> Exit {
    let arguments = ["lines", "app", verb, "--out", folder.to_str().unwrap()];
    run_from(JsonLines, arguments.iter().chain(more)).await
}

#[tokio::test]
async fn any_connector_builds_its_app_and_validates_it() {
    let folder = tempdir().unwrap();
    assert_eq!(app("build", folder.path(), &[]).await, Exit::Complete);
    assert_eq!(app("validate", folder.path(), &[]).await, Exit::Complete);
    let bundle = Bundle::read(&folder).unwrap();
    // The image is named after the program.
    assert!(bundle.text("job.yaml").unwrap().contains("/snowfeed/public/images/lines:1.0.0"));
}

#[tokio::test]
async fn validate_needs_no_build() {
    let folder = tempdir().unwrap();
    assert_eq!(app("validate", &folder.path().join("none"), &[]).await, Exit::Complete);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
}

#[tokio::test]
async fn options_reach_the_app() {
    let folder = tempdir().unwrap();
    let options = ["--title", "My lines", "--package", "p", "--text", "CREATE DATABASE=For lines."];
    assert_eq!(app("build", folder.path(), &options).await, Exit::Complete);
    let bundle = Bundle::read(&folder).unwrap();
    assert!(bundle.text("README.md").unwrap().starts_with("# My lines\n"));
    assert!(bundle.text("manifest.yml").unwrap().contains("\"For lines.\""));
}

#[tokio::test]
async fn validate_finds_a_broken_setup_script() {
    let folder = tempdir().unwrap();
    assert_eq!(app("build", folder.path(), &[]).await, Exit::Complete);
    let setup = folder.path().join("setup.sql");
    let script = fs::read_to_string(&setup).unwrap();
    fs::write(&setup, format!("USE ROLE ACCOUNTADMIN;\n{script}")).unwrap();
    assert_eq!(app("validate", folder.path(), &[]).await, Exit::Configuration);
    fs::remove_file(folder.path().join("job.yaml")).unwrap();
    fs::write(&setup, script).unwrap();
    assert_eq!(app("validate", folder.path(), &[]).await, Exit::Configuration);
    assert_eq!(app("build", folder.path(), &[]).await, Exit::Complete);
    assert_eq!(app("validate", folder.path(), &[]).await, Exit::Complete);
}

#[tokio::test]
async fn invalid_options_are_rejected_before_anything_is_written() {
    let folder = tempdir().unwrap();
    for options in
        [["--image", "Lines"], ["--text", "CREATE WAREHOUSE=x"], ["--text", "x"], ["--default-schedule", "x"]]
    {
        assert_eq!(app("build", folder.path(), &options).await, Exit::Configuration, "{options:?}");
    }
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
}

#[tokio::test]
async fn build_creates_the_image_of_the_named_program() {
    let (programs, folder) = (tempdir().unwrap(), tempdir().unwrap());
    let program = programs.path().join("built_elsewhere");
    fs::write(&program, Elf::good().bytes()).unwrap();
    let options = ["--binary", program.to_str().unwrap()];
    assert_eq!(app("build", folder.path(), &options).await, Exit::Complete);
    let first = Image::open(folder.path().join("image")).unwrap();
    assert_eq!(app("build", folder.path(), &options).await, Exit::Complete);
    assert_eq!(Image::open(folder.path().join("image")).unwrap().digest(), first.digest());
    // The same, from a program with the same bytes and another name: inside, it is named after the image.
    let again = Image::builder(&program).name("lines").title("jsonl").version("1.0.0");
    assert_eq!(again.write(programs.path().join("image")).unwrap().digest(), first.digest());
    // The bundle is deployed, and the image is not part of it.
    assert_eq!(app("validate", folder.path(), &[]).await, Exit::Complete);
    assert!(Bundle::read(&folder).unwrap().files().all(|(path, _)| !path.starts_with("image/")));
}

#[tokio::test]
async fn a_program_that_cannot_run_in_a_container_is_rejected_before_anything_is_written() {
    let folder = tempdir().unwrap();
    let this = std::env::current_exe().unwrap();
    for program in [this.as_path(), Path::new("no/such/program")] {
        let options = ["--binary", program.to_str().unwrap()];
        assert_eq!(app("build", folder.path(), &options).await, Exit::Configuration);
    }
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
}

#[tokio::test]
async fn an_unsuitable_default_program_keeps_the_existing_image() {
    let folder = tempdir().unwrap();
    assert_eq!(app("build", folder.path(), &[]).await, Exit::Complete);
    assert!(!folder.path().join("image").exists());
    let program = folder.path().join("image-program");
    fs::write(&program, Elf::good().bytes()).unwrap();
    let before = Image::builder(&program).write(folder.path().join("image")).unwrap();
    assert_eq!(app("build", folder.path(), &[]).await, Exit::Complete);
    assert_eq!(Image::open(folder.path().join("image")).unwrap().digest(), before.digest());
}
