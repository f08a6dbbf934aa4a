//! Files on their way to a stage: Snowflake says where to, and the storage takes them.

use super::super::stage::PutResponse;
use super::wire::QueryData;
use super::{StagedFile, Statement, text_literal};
use crate::{Error, Result};

impl StagedFile {
    /// The statement by which Snowflake is asked where the file goes. It moves nothing itself.
    ///
    /// # Errors
    /// [`Internal`](crate::ErrorKind::Internal) when the name has other characters than it may have.
    pub fn put_statement(&self) -> Result<Statement> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if self.name.is_empty() || !self.name.chars().all(plain) {
            return Err(Error::internal("a file for a stage has a name that cannot be written into a statement")
                .with_context("name", &self.name));
        }
        let compression = if self.name.ends_with(".gz") { "GZIP" } else { "NONE" };
        Ok(Statement::new(format!(
            "PUT 'file://{}' {} OVERWRITE = TRUE AUTO_COMPRESS = FALSE SOURCE_COMPRESSION = {compression}",
            self.name,
            stage_reference(&self.stage)
        )))
    }
}

/// A stage and a folder in it, for PUT, COPY, LIST and REMOVE: in quotes where Snowflake asks for them, which is for names with
/// blanks, and others that are out of the ordinary.
pub(crate) fn stage_reference(stage: &str) -> String {
    let ordinary = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | '"' | '$');
    if stage.chars().all(ordinary) {
        return format!("@{stage}");
    }
    text_literal(&format!("@{stage}"))
}

/// Where the file goes, by Snowflake's answer.
pub(super) fn put_response(data: &QueryData) -> Result<PutResponse> {
    let stage =
        data.stage_info.as_deref().ok_or_else(|| Error::invalid_data("Snowflake did not say where a file goes"))?;
    let encryption = data.encryption_material.as_deref().map_or("null", |material| material.get());
    let answer = format!(r#"{{"stageInfo":{},"encryptionMaterial":{encryption}}}"#, stage.get());
    // The cause is left out: it may repeat a credential.
    serde_json::from_str(&answer)
        .map_err(|_| Error::invalid_data("Snowflake says where a file goes in a way that is not understood"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_would_end_the_text_around_it_is_refused() {
        for name in ["", "a'b", "a b", "a/b", "é"] {
            let file = StagedFile { stage: "S".into(), name: name.into(), content: Vec::new() };
            assert!(file.put_statement().is_err(), "{name}");
        }
    }

    #[test]
    fn a_file_goes_as_it_is() {
        let file = StagedFile { stage: r#""D"."S"."T"/run"#.into(), name: "a-1.json.gz".into(), content: Vec::new() };
        assert_eq!(
            file.put_statement().unwrap().sql,
            r#"PUT 'file://a-1.json.gz' @"D"."S"."T"/run OVERWRITE = TRUE AUTO_COMPRESS = FALSE SOURCE_COMPRESSION = GZIP"#
        );
    }

    #[test]
    fn a_stage_with_a_blank_in_its_name_is_put_in_quotes() {
        let file = StagedFile { stage: r#""it's a \ d".S.T"#.into(), name: "a".into(), content: Vec::new() };
        let sql = file.put_statement().unwrap().sql;
        assert!(sql.starts_with(r#"PUT 'file://a' '@"it''s a \\ d".S.T' OVERWRITE"#), "{sql}");
    }
}
