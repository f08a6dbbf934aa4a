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
    "page/.streamlit/config.toml",
    "page/actions.py",
    "page/app.py",
    "page/blocked.py",
    "page/charts.py",
    "page/compat.py",
    "page/data.py",
    "page/environment.yml",
    "page/errors.py",
    "page/formats.py",
    "page/forms.py",
    "page/grants.py",
    "page/layout.py",
    "page/left_out.py",
    "page/navigation.py",
    "page/needs_you.py",
    "page/picker.py",
    "page/queries.py",
    "page/resource_actions.py",
    "page/resource_table.py",
    "page/run_table.py",
    "page/schedule_choice.py",
    "page/texts.py",
    "page/view_data.py",
    "page/view_overview.py",
    "page/view_resource.py",
    "page/view_runs.py",
    "page/view_settings.py",
    "page/view_setup.py",
    "page/viewer.py",
    "page/words.py",
    "procedures/app_database.py",
    "procedures/configured_resources.py",
    "procedures/connector.py",
    "procedures/cost.py",
    "procedures/destination.py",
    "procedures/discovery.py",
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
