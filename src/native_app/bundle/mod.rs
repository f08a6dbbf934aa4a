//! Renders the files that Snowflake installs.

pub(super) mod context;
mod folder;
mod render;
mod templates;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use minijinja::value::{Serde, Value};

use context::Context;
use folder::Files;
pub use folder::WriteReport;
use templates::{PAGE, PROCEDURES, TEMPLATES};

use super::{App, Names};
use crate::{Error, Result};

/// The files of an application package, without the image, in memory.
///
/// | | |
/// |---|---|
/// | `manifest.yml` | the manifest: privileges, references, callbacks, the image |
/// | `setup.sql` | creates roles, schemas, tables, procedures and the page; runs again at every upgrade |
/// | `procedures/` | the procedures' code |
/// | `page/` | the Streamlit page, with its `environment.yml` |
/// | `job.yaml` | the container of a job |
/// | `README.md` | the consumer's documentation |
/// | `snowflake.yml` | the project file of Snowflake CLI, which can deploy the same bundle |
///
/// The same app always renders to the same bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    pub(super) files: Files,
}

impl Bundle {
    /// Renders the bundle of an app.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration): a name, a host or a schedule is invalid, a text explains
    /// something that the app does not request, or the folder of the page cannot be used.
    pub fn new(app: &App) -> Result<Self> {
        let names = app.names()?;
        app.check_settings()?;
        let page = app.page.as_deref().map(page).transpose()?;
        let templates = || TEMPLATES.iter().filter(|(path, _)| page.is_none() || !is_code_of_page(path));
        let context = context(app, &names, templates().map(|(path, _)| *path), page.iter().flat_map(BTreeMap::keys))?;
        let mut files = page.clone().unwrap_or_default();
        for (path, template) in templates() {
            if !files.contains_key(*path) {
                files.insert((*path).to_owned(), render::render(path, template, &context)?.into_bytes());
            }
        }
        Ok(Self { files })
    }

    /// Reads a bundle from the folder that it was [written](Self::write) to.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound): the folder does not contain a bundle.
    /// [`Unavailable`](crate::ErrorKind::Unavailable): a file cannot be read.
    pub fn read(dir: impl AsRef<Path>) -> Result<Self> {
        folder::read(dir.as_ref()).map(|files| Self { files })
    }

    /// Writes the bundle to a folder: writes changed files, and removes files of an earlier bundle that are not part of this one. Files
    /// that no bundle wrote, or that were edited since, are kept.
    ///
    /// It can be stopped at any time and repeated.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration): the folder is neither empty nor a bundle's, is or contains a
    /// link, or has another or an edited file in the place of one of the bundle's.
    /// [`Unavailable`](crate::ErrorKind::Unavailable): it cannot be written.
    pub fn write(&self, dir: impl AsRef<Path>) -> Result<WriteReport> {
        folder::write(dir.as_ref(), &self.files)
    }

    /// Every file: its path and its bytes, ordered by path.
    pub fn files(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice()))
    }

    /// The text of a file; `None` if the file does not exist or is not UTF-8.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path).and_then(|bytes| std::str::from_utf8(bytes).ok())
    }

    /// The paths of the files that differ or exist in only one of the two bundles, in alphabetical order.
    pub fn differences<'a>(&'a self, other: &'a Self) -> Vec<&'a str> {
        let paths: BTreeSet<&String> = self.files.keys().chain(other.files.keys()).collect();
        let differ = |path: &&String| self.files.get(*path) != other.files.get(*path);
        paths.into_iter().filter(differ).map(String::as_str).collect()
    }
}

fn context<'a>(
    app: &App,
    names: &Names,
    templates: impl Iterator<Item = &'static str>,
    page: impl Iterator<Item = &'a String>,
) -> Result<Value> {
    let mut paths: Vec<String> = templates.map(str::to_owned).chain(page.cloned()).collect();
    paths.sort();
    paths.dedup();
    let imports = paths.iter().filter(|path| path.starts_with(PROCEDURES)).map(|path| format!("/{path}")).collect();
    // The project file is not part of the package.
    let artifacts = paths.iter().filter(|path| *path != "snowflake.yml").cloned().collect();
    Ok(Serde(Context::new(app, names, imports, artifacts)?).into())
}

/// Whether a custom page replaces this template.
fn is_code_of_page(path: &str) -> bool {
    path.starts_with(PAGE) && path.ends_with(".py")
}

/// Reads the files of a custom page.
fn page(folder: &Path) -> Result<Files> {
    let mut files = Files::new();
    collect(folder, PAGE, &mut files)?;
    if !files.contains_key("page/app.py") {
        return Err(Error::configuration(format!("the page {} has no app.py", folder.display()))
            .with_help("add app.py, the page's main file"));
    }
    Ok(files)
}

fn collect(folder: &Path, prefix: &str, files: &mut Files) -> Result<()> {
    let unreadable = |error| folder::unreadable(folder, error);
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let path = entry.path();
        let Ok(name) = entry.file_name().into_string() else {
            return Err(Error::configuration(format!("the name of {} is not UTF-8", path.display()))
                .with_help("rename it, or remove it from the page"));
        };
        if name.contains(char::is_control) {
            return Err(Error::configuration(format!("the name of {path:?} has control characters"))
                .with_help("rename it, or remove it from the page"));
        }
        // Files of Python and of editors.
        if name.starts_with('.') || name == "__pycache__" {
            continue;
        }
        let kind = entry.file_type().map_err(unreadable)?;
        if kind.is_dir() {
            collect(&path, &format!("{prefix}{name}/"), files)?;
        } else if !kind.is_file() {
            // A link may lead to a secret file, and a bundle is published.
            return Err(Error::configuration(format!("{} is neither a file nor a folder", path.display()))
                .with_help("replace it with a copy of the file, or remove it from the page"));
        } else {
            files.insert(format!("{prefix}{name}"), fs::read(&path).map_err(|error| folder::unreadable(&path, error))?);
        }
    }
    Ok(())
}
