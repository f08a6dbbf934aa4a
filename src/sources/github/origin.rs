//! The repository that a checkpoint belongs to.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::connection::Connection;
use crate::http::Url;
use crate::{Checkpoint, Error, ErrorKind, Result};

/// The server and the id of a repository. The checkpoints of all streams begin with them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Origin {
    /// The URL of the API: elsewhere, the id is another repository's.
    pub(super) server: Option<String>,
    /// `None`: the server knows the repository by its name only.
    #[serde(rename = "repository_id")]
    pub(super) repository: Option<u64>,
}

impl Origin {
    pub(super) fn new(connection: &Connection, repository: Option<u64>) -> Self {
        Self { server: Some(connection.client.base_url().to_string()), repository }
    }

    /// Reads it from the checkpoint of any stream.
    ///
    /// # Errors
    /// `Checkpoint`, when the checkpoint is not this source's, or belongs to another server.
    pub(super) fn for_server(server: &Url, checkpoint: &Checkpoint) -> Result<Self> {
        let origin: Self = checkpoint.parse()?;
        match &origin.server {
            Some(known) if known != server.as_str() => Err(wrong_server(known, server)),
            _ => Ok(origin),
        }
    }

    /// The identity of the repository, whatever its name; `None` where the server knows it by its name only.
    pub(super) fn identity(&self) -> Option<String> {
        Some(format!("{} {}", self.server.as_deref()?, self.repository?))
    }
}

/// The error of a checkpoint from another server.
pub(super) fn wrong_server(known: &str, server: &Url) -> Error {
    Error::new(ErrorKind::Checkpoint, "the saved checkpoint belongs to another server")
        .with_context("saved", known)
        .with_context("api_url", server)
        .with_help(
            "set `api_url` back; if the new one is right, `reset` the resource to read it from there from the start \
             (nothing is deleted)",
        )
}

/// Reads a checkpoint that begins with the version of its format and the origin.
///
/// # Errors
/// `Checkpoint`, when another version of the source wrote it, or it belongs to another server.
pub(super) fn read_checkpoint<T: DeserializeOwned>(
    connection: &Connection,
    checkpoint: &Checkpoint,
    version: u32,
) -> Result<T> {
    check_version(checkpoint, version)?;
    Origin::for_server(connection.client.base_url(), checkpoint)?;
    checkpoint.parse()
}

/// # Errors
/// `Checkpoint`, when the checkpoint has another version of the format.
pub(super) fn check_version(checkpoint: &Checkpoint, known: u32) -> Result<()> {
    #[derive(Deserialize)]
    struct Versioned {
        v: u32,
    }
    let format = checkpoint.parse::<Versioned>()?.v;
    if format == known {
        return Ok(());
    }
    let message = "the saved checkpoint has a format that is not known here";
    Err(Error::new(ErrorKind::Checkpoint, message)
        .with_context("format", format)
        .with_context("known", known)
        .with_help("upgrade the program, or `reset` the resource to read it again from the start (nothing is deleted)"))
}
