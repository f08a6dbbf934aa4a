//! The way of a commit's rows into Snowflake: a few as one bound value, many as compressed files on a stage.

use serde::Serialize;

use super::Snowflake;
use super::client::{Bind, Session, StagedFile, Statement};
use super::commit::json;
use super::names::{self, Names};
use super::plan::Image;
use super::stage::GzipLines;
use crate::{Error, Result, RunId};

/// Where a MERGE finds the rows of one table.
pub(super) enum Source<'a> {
    /// There are none.
    Nothing,
    /// In a bound value.
    Bound(Vec<Image<'a>>),
    /// In files on the stage, to be loaded through a table of their own.
    Staged {
        /// The stage and the folder in it.
        folder: String,
        /// The whole name of the table.
        table: String,
        /// How many rows there are.
        rows: usize,
    },
}

impl Snowflake {
    /// Brings rows to where a MERGE will find them. Nobody sees them there.
    pub(super) async fn source<'a>(
        &self,
        session: &mut dyn Session,
        place: &Place<'_>,
        images: Vec<Image<'a>>,
    ) -> Result<Source<'a>> {
        if images.is_empty() {
            return Ok(Source::Nothing);
        }
        if images.iter().map(Image::size).sum::<usize>() <= self.0.bind_at_most {
            return Ok(Source::Bound(images));
        }
        self.clean_up(session).await;
        let names = &self.0.names;
        let table = names.raw(&names::load_name(place.raw, &place.run.to_string(), place.number));
        // DDL ends a transaction, so that this comes before it begins.
        session
            .execute(Statement::new(format!("CREATE OR REPLACE TRANSIENT TABLE {table} (\"ROW\" VARIANT)")))
            .await?;
        let folder = format!("{}/{}", names.state("SNOWFEED_STAGE"), place.run);
        let rows = images.len();
        for file in files(images, self.0.file_at_most)? {
            let name = file_name(place.number);
            session.put(StagedFile { stage: folder.clone(), name, content: file }).await?;
        }
        Ok(Source::Staged { folder, table, rows })
    }
}
