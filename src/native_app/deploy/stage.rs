//! The stage in the application package, and its differences from the bundle.

use std::collections::BTreeMap;
use std::fmt::Write;

use bytes::Bytes;
use md5::{Digest, Md5};

use super::account::{ShowRow, qualified_name, text_literal};
use super::plan::{Action, Plan, Privilege, Step};
use crate::native_app::{Bundle, Name};
use crate::snowflake::StagedFile;
use crate::{Error, Result};

/// The same names as in Snowflake CLI, so that both deploy to the same stage.
const SCHEMA: &str = "APP_SRC";
const STAGE: &str = "STAGE";

/// The stage of a bundle's files in an application package.
pub(super) struct Stage {
    pub(super) package: Name,
    pub(super) schema: Name,
    pub(super) name: Name,
}

impl Stage {
    pub(super) fn new(package: &Name) -> Result<Self> {
        Ok(Self { package: package.clone(), schema: Name::stored(SCHEMA)?, name: Name::stored(STAGE)? })
    }

    pub(super) fn schema_sql(&self) -> String {
        qualified_name(&[&self.package, &self.schema])
    }

    pub(super) fn sql(&self) -> String {
        qualified_name(&[&self.package, &self.schema, &self.name])
    }

    /// A path on the stage as a literal; an empty path is the stage itself.
    pub(super) fn literal(&self, path: &str) -> String {
        let slash = if path.is_empty() { "" } else { "/" };
        text_literal(&format!("@{}{slash}{path}", self.sql()))
    }

    /// Plans the creation of the stage.
    pub(super) fn create(&self, plan: &mut Plan) {
        let (schema, stage) = (self.schema_sql(), self.sql());
        plan.push(Step::run(
            format!("create the schema {schema}"),
            format!("CREATE SCHEMA IF NOT EXISTS {schema}"),
            Privilege::ownership(format!("APPLICATION PACKAGE {}", self.package)),
        ));
        plan.push(Step::run(
            format!("create the stage {stage}"),
            format!(
                "CREATE STAGE IF NOT EXISTS {stage} ENCRYPTION = (TYPE = 'SNOWFLAKE_SSE') DIRECTORY = (ENABLE = TRUE)"
            ),
            Privilege::on("CREATE STAGE", format!("SCHEMA {schema}")),
        ));
    }

    /// Plans the uploads and removals after which the stage holds exactly the bundle's files. `listed` are the rows of LIST.
    pub(super) fn upload(&self, files: &BTreeMap<&str, &[u8]>, listed: &[ShowRow], plan: &mut Plan) -> Result<()> {
        let listed: BTreeMap<&str, &str> = listed.iter().filter_map(path_and_md5).collect();
        let stale: Vec<&str> = listed.keys().copied().filter(|path| !files.contains_key(path)).collect();
        let privilege = || Privilege::on("WRITE", format!("STAGE {}", self.sql()));
        for path in &stale {
            plan.push(Step::run(format!("remove {path}"), format!("REMOVE {}", self.literal(path)), privilege()));
        }
        for (path, bytes) in files {
            // REMOVE deletes every path with this prefix.
            let is_removed = stale.iter().any(|stale| path.starts_with(stale));
            if !is_removed && listed.get(path).is_some_and(|md5| *md5 == digest(bytes)) {
                continue;
            }
            let action = Action::Put(self.file(path, bytes)?);
            plan.push(Step { description: format!("upload {path}"), action, privilege: privilege() });
        }
        Ok(())
    }

    fn file(&self, path: &str, bytes: &[u8]) -> Result<StagedFile> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/');
        if !path.chars().all(plain) {
            return Err(Error::configuration(format!("{path:?} is not a valid path on a stage"))
                .with_help("rename it: use letters, digits, `.`, `_` and `-`"));
        }
        let (folder, name) =
            path.rsplit_once('/').map_or((String::new(), path), |(folder, name)| (format!("/{folder}"), name));
        let content = vec![Bytes::copy_from_slice(bytes)];
        Ok(StagedFile { stage: format!("{}{folder}", self.sql()), name: name.to_owned(), content })
    }
}

/// A file's path and MD5 from a row of LIST, whose path begins with the stage's name.
fn path_and_md5(row: &ShowRow) -> Option<(&str, &str)> {
    let (_, path) = row.get("name").split_once('/')?;
    Some((path, row.get("md5")))
}

/// The MD5 of a file, as LIST reports it.
fn digest(bytes: &[u8]) -> String {
    Md5::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        // Writing into a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The files of a bundle for the stage: all but the project file of Snowflake CLI and the image.
pub(super) fn files(bundle: &Bundle) -> BTreeMap<&str, &[u8]> {
    bundle.files().filter(|(path, _)| *path != "snowflake.yml" && !path.starts_with("image/")).collect()
}
