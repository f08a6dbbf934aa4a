mod api;
mod streams;
mod warnings;

use super::super::ApiFile;

/// A text, its first mistake without the file, and the help.
type Row = (&'static str, &'static str, &'static str);

/// Reads each text below `top`, and compares its error.
fn assert_mistakes(top: &str, rows: &[Row]) {
    for (text, message, help) in rows {
        let error = ApiFile::parse(&format!("{top}{text}"), "x").expect_err(text);
        assert_eq!(error.kind(), crate::ErrorKind::Configuration);
        assert_eq!(error.message(), format!("x:{message}"), "{text}");
        assert_eq!(error.help(), Some(*help), "{text}");
    }
}
