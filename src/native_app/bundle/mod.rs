//! The files that Snowflake installs.

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
pub use folder::Written;
use templates::{PAGE, PROCEDURES, TEMPLATES};

use super::{App, Names};
use crate::{Error, Result};

/// What an application package is made of: every file but the image, in memory.
///
/// | | |
/// |---|---|
/// | `manifest.yml` | what Snowflake is told: privileges, references, callbacks, the image |
/// | `setup.sql` | makes roles, schemas, tables, procedures and the page; runs again at every upgrade |
/// | `procedures/` | the procedures' code |
/// | `page/` | the Streamlit page, with its `environment.yml` |
/// | `job.yaml` | the container that an ingestion runs in |
/// | `README.md` | what the consumer reads |
/// | `snowflake.yml` | the project file of Snowflake's own command line, which deploys the same bundle |
///
/// The same app gives the same bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    pub(super) files: Files,
}

impl Bundle {
    /// Renders the bundle of an app.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration): a name, a host or a schedule cannot be, a text is for nothing
    /// that the app asks for, or the folder of the page cannot be used.
    pub fn new(app: &App) -> Result<Self> {
        let names = app.names()?;
        app.check()?;
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
    /// [`NotFound`](crate::ErrorKind::NotFound): the folder holds no bundle.
    /// [`Unavailable`](crate::ErrorKind::Unavailable): a file cannot be read.
    pub fn read(dir: impl AsRef<Path>) -> Result<Self> {
        folder::read(dir.as_ref()).map(|files| Self { files })
    }

    /// Makes a folder hold this bundle: writes what has changed, and removes what an earlier bundle has written and this one
    /// has not. Files that no bundle has written stay, and so do those that were changed since.
    ///
    /// It can be stopped at any moment and repeated.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration): the folder is neither empty nor a bundle's, is a link or holds
    /// some, or has another file in the place of one of the bundle's: one that was changed by hand, too.
    /// [`Unavailable`](crate::ErrorKind::Unavailable): it cannot be written.
    pub fn write(&self, dir: impl AsRef<Path>) -> Result<Written> {
        folder::write(dir.as_ref(), &self.files)
    }

    /// Every file: its path and its bytes, ordered by path.
    pub fn files(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice()))
    }

    /// The text of a file; `None` where there is none, or it is no text.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path).and_then(|bytes| std::str::from_utf8(bytes).ok())
    }

    /// The paths of the files that are not the same in the other bundle, or are in one of the two only; in alphabetical order.
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
    // The project file itself is no part of the package.
    let artifacts = paths.iter().filter(|path| *path != "snowflake.yml").cloned().collect();
    Ok(Serde(Context::of(app, names, imports, artifacts)?).into())
}

/// Whether a template is part of what a page of one's own replaces.
fn is_code_of_page(path: &str) -> bool {
    path.starts_with(PAGE) && path.ends_with(".py")
}

/// The files of a page of one's own.
fn page(folder: &Path) -> Result<Files> {
    let mut files = Files::new();
    collect(folder, PAGE, &mut files)?;
    if !files.contains_key("page/app.py") {
        return Err(Error::configuration(format!("the page {} has no app.py", folder.display()))
            .with_help("the page is started by its file app.py"));
    }
    Ok(files)
}

fn collect(folder: &Path, prefix: &str, files: &mut Files) -> Result<()> {
    let unreadable = |error| folder::unreadable(folder, error);
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let path = entry.path();
        let Ok(name) = entry.file_name().into_string() else {
            return Err(Error::configuration(format!("the name of {} is no text", path.display()))
                .with_help("rename it, or take it out of the page"));
        };
        if name.contains(char::is_control) {
            return Err(Error::configuration(format!("the name of {path:?} has control characters"))
                .with_help("rename it, or take it out of the page"));
        }
        // What Python and editors leave behind.
        if name.starts_with('.') || name == "__pycache__" {
            continue;
        }
        let kind = entry.file_type().map_err(unreadable)?;
        if kind.is_dir() {
            collect(&path, &format!("{prefix}{name}/"), files)?;
        } else if !kind.is_file() {
            // What a link leads to may be secret, and a bundle is for others.
            return Err(Error::configuration(format!("{} is neither a file nor a folder", path.display()))
                .with_help("put a copy of the file in its place, or take it out of the page"));
        } else {
            files.insert(format!("{prefix}{name}"), fs::read(&path).map_err(|error| folder::unreadable(&path, error))?);
        }
    }
    Ok(())
}
