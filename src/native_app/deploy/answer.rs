//! What Snowflake's validation, and the app's procedures, answer.

use serde::Deserialize;

use crate::snowflake::QueryResult;
use crate::{Error, Result};

/// What a procedure of the app answers.
#[derive(Deserialize)]
struct Envelope {
    response_code: String,
    #[serde(default)]
    message: String,
}

/// What `SYSTEM$VALIDATE_NATIVE_APP_SETUP` answers.
#[derive(Deserialize)]
struct Validation {
    #[serde(default)]
    status: String,
    #[serde(default)]
    errors: Vec<Complaint>,
    #[serde(default)]
    warnings: Vec<Complaint>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Complaint {
    #[serde(default)]
    message: String,
    #[serde(default)]
    cause: String,
    #[serde(default)]
    file_name: String,
    #[serde(default)]
    line: Option<i64>,
}

impl Complaint {
    /// `setup.sql, line 3: what is wrong`.
    fn line(&self) -> String {
        let place = match (self.file_name.as_str(), self.line) {
            ("", _) => String::new(),
            (file, Some(line)) if line > 0 => format!("{file}, line {line}: "),
            (file, _) => format!("{file}: "),
        };
        let said = [&self.message, &self.cause].into_iter().filter(|text| !text.is_empty());
        place + &said.map(String::as_str).collect::<Vec<_>>().join(": ")
    }
}

fn text(answer: &QueryResult) -> Result<&str> {
    let row = answer.rows.first().ok_or_else(|| Error::invalid_data("Snowflake answered a call with nothing"))?;
    Ok(row.text(0)?)
}

/// Whether a call of a procedure went well.
pub(super) fn of_procedure(answer: &QueryResult) -> Result<()> {
    let Envelope { response_code, message } = serde_json::from_str(text(answer)?)
        .map_err(|error| Error::invalid_data("the app answered in a way that is not understood").with_source(error))?;
    if response_code == "OK" {
        return Ok(());
    }
    Err(Error::configuration(format!("the app refuses: {message}")).with_context("response_code", response_code))
}

/// The warnings. Errors are one error.
pub(super) fn of_validation(answer: &QueryResult) -> Result<Vec<String>> {
    let validation: Validation = serde_json::from_str(text(answer)?).map_err(|error| {
        Error::invalid_data("Snowflake's validation answered in a way that is not understood").with_source(error)
    })?;
    let lines = |complaints: &[Complaint]| complaints.iter().map(Complaint::line).collect::<Vec<_>>();
    if validation.errors.is_empty()
        && !validation.status.eq_ignore_ascii_case("FAIL")
        && !validation.status.starts_with("FAILURE")
    {
        return Ok(lines(&validation.warnings));
    }
    let errors = lines(&validation.errors);
    let said = if errors.is_empty() { "no reason is given".to_owned() } else { errors.join("; ") };
    Err(Error::configuration(format!("Snowflake refuses the setup script: {said}"))
        .with_help("no version was added; report it if the files are as `app build` wrote them"))
}

#[cfg(test)]
mod tests {
    use bytestring::ByteString;

    use super::*;
    use crate::snowflake::Row;

    fn answered(text: &str) -> QueryResult {
        let rows = vec![Row(vec![Some(ByteString::from(text))])];
        QueryResult { columns: vec!["V".into()], rows, query_id: "q".into() }
    }

    #[test]
    fn warnings_are_told_and_errors_are_an_error() {
        let warned = r#"{"status":"SUCCESS","errors":[],"warnings":[{"message":"old","cause":"why","errorCode":"1","fileName":"setup.sql","line":3,"column":1}]}"#;
        assert_eq!(of_validation(&answered(warned)).unwrap(), ["setup.sql, line 3: old: why"]);
        let failed = r#"{"status":"FAIL","errors":[{"message":"bad","fileName":"setup.sql","line":-1},{"cause":"worse"}],"warnings":[]}"#;
        let error = of_validation(&answered(failed)).unwrap_err();
        assert!(error.message().ends_with("setup.sql: bad; worse"), "{error}");
    }

    #[test]
    fn a_procedure_that_refuses_is_an_error() {
        of_procedure(&answered(r#"{"response_code":"OK","message":"done"}"#)).unwrap();
        let refused = of_procedure(&answered(r#"{"response_code":"INVALID_REFERENCE","message":"no"}"#)).unwrap_err();
        assert!(refused.to_string().contains("INVALID_REFERENCE"), "{refused}");
        assert!(of_procedure(&answered("what?")).is_err());
        assert!(of_procedure(&QueryResult::default()).is_err());
    }
}
