//! The templates, each under the path that its file has in the bundle.

/// Includes templates by their path. A new file is one more line.
macro_rules! templates {
    ($($path:literal,)*) => {
        &[$(($path, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/native_app/templates/", $path))),)*]
    };
}

/// The folder of what procedures import.
pub(super) const PROCEDURES: &str = "procedures/";

/// The folder of the page.
pub(super) const PAGE: &str = "page/";

/// Path and text of every template.
pub(super) const TEMPLATES: &[(&str, &str)] = templates![
    "README.md",
    "job.yaml",
    "manifest.yml",
    "page/app.py",
    "page/environment.yml",
    "procedures/connector.py",
    "procedures/spec.py",
    "setup.sql",
    "snowflake.yml",
];
