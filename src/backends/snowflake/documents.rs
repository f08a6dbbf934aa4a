//! The text of a row's document: as the source sent it, or as `RAW` has it.
//!
//! Where the text is not kept, `DOCUMENT` is empty instead of NULL, which means that a row has no document: views select rows by it, and are
//! the same for both kinds of rows.

use crate::snowflake::{Sql, sql};

/// The document of a row `t`, as text. An empty text without a VARIANT is what the source sent.
pub(super) const TEXT: &str =
    "CASE WHEN t.\"DOCUMENT\" = '' THEN COALESCE(TO_JSON(t.\"RAW\"), '') ELSE t.\"DOCUMENT\" END";

/// How a MERGE stores documents.
#[derive(Debug, Clone, Copy)]
pub(super) struct StoredDocuments {
    /// Whether texts are kept.
    pub(super) keeps: bool,
}

impl StoredDocuments {
    /// The source of a MERGE, from its rows. If texts are not kept, the rows must have a column `IS_WHOLE`: 1 if `RAW` has the document as
    /// it was sent, without replaced surrogates.
    pub(super) fn source(self, rows: Sql) -> Sql {
        if self.keeps {
            return rows;
        }
        sql!(
            "SELECT r.*, CASE WHEN r.\"RAW\" IS NOT NULL AND r.\"IS_WHOLE\" = 1 THEN '' ELSE r.\"DOCUMENT\" END AS \"KEPT\" FROM ({rows}) r",
            rows
        )
    }

    /// What `DOCUMENT` becomes, of a row `s` of the source.
    pub(super) fn column(self) -> &'static str {
        if self.keeps { "s.\"DOCUMENT\"" } else { "s.\"KEPT\"" }
    }
}
