//! Entry points for fuzz targets.

use crate::{Result, Settings, SourceSpec};

/// The settings of a file that holds this text, checked as those of `--config` are.
///
/// # Errors
/// As for a file: [`Configuration`](crate::ErrorKind::Configuration).
pub fn settings_of_file(spec: &SourceSpec, text: &str) -> Result<Settings> {
    super::settings::of_text(spec, text)
}
