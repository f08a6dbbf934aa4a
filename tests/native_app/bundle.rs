//! Bundles, in memory and on disk.

use std::fs;
use std::path::Path;

use snowfeed::native_app::{App, Bundle};
use snowfeed::{ErrorKind, SourceSpec, StreamSpec};
use tempfile::tempdir;

use crate::support::{custom, github};

fn bundle() -> Bundle {
    Bundle::new(&github()).unwrap()
}

#[test]
fn two_bundle_builds_are_identical() {
    assert_eq!(bundle(), bundle());
    let (first, second) = (tempdir().unwrap(), tempdir().unwrap());
    bundle().write(&first).unwrap();
    bundle().write(&second).unwrap();
    for (path, bytes) in bundle().files() {
        for folder in [&first, &second] {
            assert_eq!(fs::read(folder.path().join(path)).unwrap(), bytes, "{path}");
        }
    }
}

#[test]
fn the_generated_setup_script_breaks_no_rule() {
    for app in [github(), custom(), github().title("it's; \"$$\" USE ROLE x")] {
        let findings = Bundle::new(&app).unwrap().findings();
        assert!(findings.is_empty(), "{findings:#?}");
    }
}

#[test]
fn every_recreated_procedure_is_granted_again() {
    let setup = bundle().text("setup.sql").unwrap().to_owned();
    for made in setup.lines().filter_map(|line| line.strip_prefix("CREATE OR REPLACE PROCEDURE ")) {
        let name = made.split('(').next().unwrap();
        // Tasks, the setup script and Snowflake call these, all with the app's rights.
        if ["PUBLIC.RUN_SCHEDULE", "PUBLIC.APPLY_VERSION", "PUBLIC.INITIALIZE_VERSION"].contains(&name) {
            continue;
        }
        assert!(setup.contains(&format!("\nGRANT USAGE ON PROCEDURE {name}(")), "{name}");
    }
}

#[test]
fn no_table_inherits_the_account_collation() {
    let setup = bundle().text("setup.sql").unwrap().to_owned();
    let tables: Vec<&str> = setup.split(';').filter(|statement| statement.contains("CREATE TABLE ")).collect();
    assert_eq!(tables.len(), 4);
    for table in tables {
        assert!(table.ends_with("\n    DEFAULT_DDL_COLLATION = ''"), "{table}");
    }
}

#[test]
fn a_secret_setting_becomes_a_reference() {
    let manifest = bundle().text("manifest.yml").unwrap().to_owned();
    for reference in ["warehouse_reference", "github_external_access", "token", "private_key"] {
        assert!(manifest.contains(&format!("- \"{reference}\":")), "{reference}: {manifest}");
    }
    let custom = Bundle::new(&custom()).unwrap();
    let manifest = custom.text("manifest.yml").unwrap();
    assert!(!manifest.contains("SECRET") && !manifest.contains("external_access"), "{manifest}");
}

#[test]
fn the_job_runs_the_image_that_the_manifest_lists() {
    let bundle = bundle();
    for path in ["manifest.yml", "job.yaml"] {
        assert!(bundle.text(path).unwrap().contains("\"/snowfeed/public/images/github_issues:0.1.0\""), "{path}");
    }
}

/// Otherwise, a larger instance family for the pool would gain nothing.
#[test]
fn a_container_may_use_the_whole_node() {
    let bundle = bundle();
    let job = bundle.text("job.yaml").unwrap();
    let lines: Vec<&str> = job.lines().map(str::trim).collect();
    assert!(lines.contains(&"requests:") && !lines.contains(&"limits:"), "{job}");
}

#[test]
fn an_app_without_a_container_requests_no_container_privileges() {
    let bundle = Bundle::new(&github().without_container(true)).unwrap();
    assert_eq!(bundle.findings(), []);
    let manifest = bundle.text("manifest.yml").unwrap();
    for text in ["container_services", "COMPUTE POOL", "TASK", "EXTERNAL ACCESS", "SECRET"] {
        assert!(!manifest.contains(text), "{text}:\n{manifest}");
    }
    assert!(manifest.contains("CREATE DATABASE") && manifest.contains("object_type: WAREHOUSE"), "{manifest}");
    let spec = bundle.text("procedures/spec.py").unwrap();
    assert!(spec.contains("\"container\": False") && spec.contains("\"default_scheduler\": \"outside\""), "{spec}");
    assert!(bundle.text("page/grants.py").unwrap().contains("PRIVILEGES = [\"CREATE DATABASE\"]"));
    let readme = bundle.text("README.md").unwrap();
    assert!(readme.contains("outside Snowflake") && !readme.contains("compute pool ("), "{readme}");
}

#[test]
fn overrides_reach_the_files() {
    let app = github()
        .title("My issues")
        .description("Of mine.")
        .package("my_pkg")
        .application("my_app")
        .image_repository("/a/b/c")
        .pool_family("highmem_x64_s")
        .schedule("15 2 * * *")
        .text("CREATE DATABASE", "For rows.")
        .text("token", "A token of yours.");
    let bundle = Bundle::new(&app).unwrap();
    for (path, text) in [
        ("setup.sql", "TITLE = 'My issues'"),
        ("README.md", "# My issues\n\nOf mine."),
        ("README.md", "CALL MY_APP.PUBLIC.TEST_CONNECTION();"),
        ("snowflake.yml", "identifier: \"MY_PKG\""),
        ("snowflake.yml", "identifier: \"MY_APP\""),
        ("manifest.yml", "/a/b/c/github_issues:0.1.0"),
        ("manifest.yml", "description: \"For rows.\""),
        ("manifest.yml", "description: \"A token of yours.\""),
        ("procedures/spec.py", "\"pool_family\": \"HIGHMEM_X64_S\""),
        ("procedures/spec.py", "\"default_schedule\": \"15 2 * * *\""),
        ("procedures/spec.py", "\"default_scheduler\": \"task\""),
    ] {
        assert!(bundle.text(path).unwrap().contains(text), "{path}: {text}\n{}", bundle.text(path).unwrap());
    }
}

#[test]
fn a_text_for_an_unknown_item_is_rejected() {
    let error = Bundle::new(&github().text("CREATE WAREHOUSE", "x")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.help().unwrap().contains("CREATE DATABASE, "), "{:?}", error.help());
}

#[test]
fn a_custom_page_replaces_the_generated_one() {
    let page = tempdir().unwrap();
    let app = || github().page(&page);
    let error = Bundle::new(&app()).unwrap_err();
    assert!(error.to_string().contains("has no app.py"), "{error}");

    fs::write(page.path().join("app.py"), "import more.tabs").unwrap();
    fs::create_dir_all(page.path().join("more/__pycache__")).unwrap();
    fs::write(page.path().join("more/tabs.py"), "x").unwrap();
    fs::write(page.path().join("more/__pycache__/tabs.pyc"), "x").unwrap();
    let bundle = Bundle::new(&app()).unwrap();
    assert_eq!(bundle.text("page/app.py"), Some("import more.tabs"));
    let paths: Vec<&str> = bundle.files().map(|(path, _)| path).filter(|path| path.starts_with("page/")).collect();
    assert_eq!(paths, ["page/.streamlit/config.toml", "page/app.py", "page/environment.yml", "page/more/tabs.py"]);
    assert!(bundle.text("snowflake.yml").unwrap().contains("src: \"page/more/tabs.py\""));
    assert!(bundle.findings().is_empty());
}

#[test]
fn only_changed_files_are_written() {
    let folder = tempdir().unwrap();
    let first = bundle().write(&folder).unwrap();
    assert_eq!(first.written.len(), bundle().files().count());
    let second = bundle().write(&folder).unwrap();
    assert_eq!((second.written.len(), second.unchanged, second.removed.len()), (0, first.written, 0));
    let third = Bundle::new(&github().schedule("1h")).unwrap().write(&folder).unwrap();
    assert_eq!(third.written, ["README.md", "procedures/spec.py"]);
}

/// A bundle with one file that other bundles lack, under `page/old/`.
fn larger(page: &Path) -> Bundle {
    fs::create_dir_all(page.join("old")).unwrap();
    fs::write(page.join("app.py"), "x").unwrap();
    fs::write(page.join("old/tabs.py"), "x").unwrap();
    Bundle::new(&github().page(page)).unwrap()
}

#[test]
fn stale_files_are_removed_and_foreign_files_stay() {
    let (folder, page) = (tempdir().unwrap(), tempdir().unwrap());
    larger(page.path()).write(&folder).unwrap();
    fs::create_dir(folder.path().join("image")).unwrap();
    fs::write(folder.path().join("image/index.json"), "{}").unwrap();
    let written = bundle().write(&folder).unwrap();
    assert_eq!(written.removed, ["page/old/tabs.py"]);
    assert!(!folder.path().join("page/old").exists() && folder.path().join("image/index.json").exists());
    assert_eq!(Bundle::read(&folder).unwrap(), bundle());
}

#[test]
fn the_next_build_completes_an_interrupted_one() {
    let (folder, page) = (tempdir().unwrap(), tempdir().unwrap());
    let marker = folder.path().join(".snowfeed-bundle");
    bundle().write(&folder).unwrap();
    let of_this = fs::read_to_string(&marker).unwrap();
    larger(page.path()).write(&folder).unwrap();
    // Stopped after some of its files were written: until the end, both bundles are listed.
    let of_both = fs::read_to_string(&marker).unwrap() + of_this.split_once('\n').unwrap().1;
    fs::write(&marker, of_both).unwrap();
    fs::remove_file(folder.path().join("setup.sql")).unwrap();
    let written = bundle().write(&folder).unwrap();
    assert_eq!(written.removed, ["page/old/tabs.py"]);
    assert_eq!(Bundle::read(&folder).unwrap(), bundle());
    assert_eq!(fs::read_to_string(&marker).unwrap(), of_this);
}

#[test]
fn a_foreign_folder_is_rejected_and_left_unchanged() {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("thesis.txt"), "x").unwrap();
    let error = bundle().write(&folder).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.help().unwrap().contains("empty folder"), "{:?}", error.help());
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
    assert_eq!(Bundle::read(&folder).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn invalid_names_stop_the_build() {
    let refused: [App; 3] = [github().application(""), github().schedule("now and then"), github().pool_family("a b")];
    for app in refused {
        assert_eq!(Bundle::new(&app).unwrap_err().kind(), ErrorKind::Configuration);
    }
}

#[test]
fn the_readme_says_which_columns_are_inferred() {
    let stream = StreamSpec::new("tickets").infer_column("author", "user.login").infer_columns();
    let only = StreamSpec::new("notes").infer_columns();
    let spec = SourceSpec::new("desk", "1").stream(stream).stream(only);
    let readme = Bundle::new(&App::from(&spec).program("desk")).unwrap().text("README.md").unwrap().to_owned();
    for line in [
        "- `tickets`: `author`, and a column for each field of its records\n",
        "- `notes`: a column for each field of its records\n",
    ] {
        assert!(readme.contains(line), "{line}: {readme}");
    }
}
