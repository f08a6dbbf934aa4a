//! The app's Python, as in its bundle: procedures in a Snowpark session on a Snowflake server, pages in the newest and in the
//! oldest Streamlit that Snowflake runs, and the complete path in a browser.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use snowfeed::native_app::{App, Bundle};

use crate::peers;
use crate::support::{github, several_streams};

/// Debian's path. Playwright's own browser is not available everywhere.
const CHROMIUM: &str = "/usr/bin/chromium";

fn python(name: &str) -> Option<PathBuf> {
    let python = peers::python(name);
    if python.is_none() {
        peers::skipped("there is no python3, which the app's own tests need");
    }
    python
}

/// The folder of the rendered bundle of GitHub's app, written once.
fn app() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| written("native-app-bundle", &github()))
}

/// The folder of the rendered bundle of an app with several streams, written once.
fn app_with_streams() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| written("native-app-bundle-streams", &several_streams()))
}

fn written(name: &str, app: &App) -> PathBuf {
    let folder = peers::artefacts().join(name);
    Bundle::new(app).unwrap().write(&folder).unwrap();
    folder
}

/// Runs pytest on these files, and prints its last line. `settings` are additional environment variables.
pub(super) fn pytest(files: &[&str], settings: &[(&str, &Path)]) {
    let (Some(python), Some(server)) = (python("native-app"), peers::next_fakesnow()) else { return };
    let mut command = Command::new(python);
    command
        .args(["-m", "pytest", "-p", "no:cacheprovider", "-q", "--tb=short"])
        .args(files)
        .current_dir("tests/native_app/python")
        .env("SNOWFEED_APP", app())
        .env("SNOWFEED_FAKESNOW_PORT", server.port.to_string())
        .env("SNOWFEED_SCREENSHOTS", peers::artefacts().join("screenshots"))
        .env("HYPOTHESIS_STORAGE_DIRECTORY", peers::artefacts().join("hypothesis"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("NO_PROXY", "*")
        .envs(settings.iter().copied());
    let output = command.output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{files:?}: {printed}{}", String::from_utf8_lossy(&output.stderr));
    println!("{files:?}: {}", printed.lines().last().unwrap_or_default());
}

#[test]
fn names_schedules_and_constants_accept_any_text() {
    pytest(&["test_names.py"], &[]);
}

#[test]
fn calls_and_privileges_match_snowflake() {
    pytest(&["test_calls.py", "test_rights.py"], &[]);
}

#[test]
fn the_setup_script_installs_and_upgrades_and_the_cost_is_shown() {
    pytest(&["test_setup.py", "test_cost.py"], &[]);
}

#[test]
fn every_configuration_is_applied_or_rejected_with_its_code() {
    pytest(&["test_configuration.py", "test_pool.py", "test_settings.py"], &[]);
}

#[test]
fn every_resource_operation_returns_its_code() {
    pytest(&["test_resources.py", "test_ingestion.py"], &[]);
}

#[test]
fn procedures_work_in_any_order_and_twice() {
    pytest(&["test_order.py"], &[]);
}

#[test]
fn streams_are_selected_and_have_their_own_status() {
    pytest(&["test_streams.py", "test_source_wide.py"], &[("SNOWFEED_APP", app_with_streams())]);
}

#[test]
fn health_in_sql_is_that_of_the_program() {
    pytest(&["test_health.py"], &[("SNOWFEED_APP", app_with_streams())]);
}

#[test]
fn runs_that_could_not_begin_are_failures_and_the_views_are_as_documented() {
    pytest(&["test_starting.py", "test_overviews.py"], &[]);
}

#[test]
fn each_surface_shows_what_the_table_says() {
    let program = super::example::binary("github_issues");
    pytest(&["test_surfaces.py", "-rP"], &[("SNOWFEED_PROGRAM", &program)]);
}

#[test]
fn some_streams_are_read_or_reset() {
    pytest(&["test_some_streams.py"], &[("SNOWFEED_APP", app_with_streams())]);
}

#[test]
fn the_page_sets_up_and_acts() {
    pytest(&["test_page_setup.py", "test_page_actions.py", "test_page_left_out.py"], &[]);
}

#[test]
fn the_page_shows_every_state() {
    pytest(&["test_page_formats.py", "test_page_texts.py", "test_page_views.py"], &[]);
}

#[test]
fn the_page_works_in_a_browser() {
    if !Path::new(CHROMIUM).exists() {
        return peers::skipped("there is no Chromium; Debian has it as the package chromium");
    }
    let Some(oldest) = python("native-app-oldest") else { return };
    pytest(&["test_browser.py"], &[("SNOWFEED_OLDEST_STREAMLIT", &oldest)]);
}
