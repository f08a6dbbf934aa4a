//! The streams that a user names.

use crate::cli::output::Output;
use crate::engine::StreamSelection;
use crate::{Error, Result, SourceSpec};

/// The word for the default streams. No stream has this name.
const DEFAULT: &str = "default";

/// Reads the value of `--streams`, before anything is stored. A user need not name the streams that others require.
pub(super) fn selection(spec: &SourceSpec, names: Vec<String>) -> Result<StreamSelection> {
    let names: Vec<&str> = names.iter().map(|name| name.trim()).collect();
    let selection = match names.as_slice() {
        [DEFAULT] => StreamSelection::Default,
        [""] => StreamSelection::Named(Vec::new()),
        names if names.contains(&DEFAULT) => {
            return Err(Error::configuration(format!("`{DEFAULT}` cannot be combined with other streams"))
                .with_help(format!("name all streams that you want, or `{DEFAULT}` alone")));
        }
        names => names.iter().copied().collect(),
    };
    selection.resolve(spec).map(|_| ())?;
    Ok(selection)
}

/// Says which streams are read although the user has not named them.
pub(super) fn note_required(spec: &SourceSpec, selection: &StreamSelection, output: Output) -> Result<()> {
    let (named, read) = (selection.resolve(spec)?, selection.read(spec)?);
    let is_named = |name: &str| named.iter().any(|named| named.name == name);
    for stream in &read {
        if let Some(required) = stream.requires().filter(|required| !is_named(required)) {
            output.note(&format!("{required} is read, too: {} requires it", stream.name));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StreamSpec;

    fn select(names: &str) -> Result<StreamSelection> {
        let spec = SourceSpec::new("mock", "1")
            .stream(StreamSpec::new("issues"))
            .stream(StreamSpec::new("comments").optional());
        selection(&spec, names.split(',').map(str::to_owned).collect())
    }

    #[test]
    fn names_are_separated_by_commas() {
        assert_eq!(select("comments, issues").unwrap(), StreamSelection::from(["comments", "issues"]));
        assert_eq!(select("default").unwrap(), StreamSelection::Default);
    }

    #[test]
    fn what_selects_nothing_is_an_error_with_the_names() {
        for (names, message, help) in [
            ("", "no stream is selected", "the streams are: issues (default), comments"),
            ("issues,", "the name of a stream is empty", "the streams are: issues (default), comments"),
            ("isues", "has no stream \"isues\"", "did you mean `issues`? the streams are: issues (default), comments"),
            ("zzzzzz", "has no stream \"zzzzzz\"", "the streams are: issues (default), comments"),
            ("default,comments", "cannot be combined", "name all streams that you want, or `default` alone"),
        ] {
            let error = select(names).unwrap_err();
            assert!(error.message().contains(message), "{names}: {error}");
            assert_eq!(error.help(), Some(help), "{names}");
        }
    }
}
