//! The templates, by the paths of their files in the bundle.

/// Includes templates by path.
macro_rules! templates {
    ($($path:literal,)*) => {
        &[$(($path, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/native_app/templates/", $path))),)*]
    };
}

/// The folder of the procedures' code.
pub(super) const PROCEDURES: &str = "procedures/";

/// The folder of the page.
pub(super) const PAGE: &str = "page/";

/// Path and text of every template.
pub(super) const TEMPLATES: &[(&str, &str)] = templates![
    "README.md",
    "job.yaml",
    "manifest.yml",
    "page/app.py",
    "page/data.py",
    "page/environment.yml",
    "page/forms.py",
    "page/grants.py",
    "page/layout.py",
    "page/tab_configuration.py",
    "page/tab_preview.py",
    "page/tab_resources.py",
    "page/tab_state.py",
    "page/texts.py",
    "page/viewer.py",
    "procedures/app_database.py",
    "procedures/configured_resources.py",
    "procedures/connector.py",
    "procedures/cost.py",
    "procedures/destination.py",
    "procedures/due_times.py",
    "procedures/error_texts.py",
    "procedures/failed_starts.py",
    "procedures/health.py",
    "procedures/health_views.py",
    "procedures/history.py",
    "procedures/hosts.py",
    "procedures/ingestion.py",
    "procedures/jobs.py",
    "procedures/names.py",
    "procedures/overviews.py",
    "procedures/pool.py",
    "procedures/references.py",
    "procedures/resource_names.py",
    "procedures/resources.py",
    "procedures/responses.py",
    "procedures/roles.py",
    "procedures/schedules.py",
    "procedures/schema.py",
    "procedures/settings.py",
    "procedures/setup_steps.py",
    "procedures/spec.py",
    "procedures/starting.py",
    "procedures/status.py",
    "procedures/store.py",
    "procedures/streams.py",
    "procedures/tasks.py",
    "procedures/urls.py",
    "procedures/views.py",
    "setup.sql",
    "snowflake.yml",
];
