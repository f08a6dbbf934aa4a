//! How the user starts a command, and which source it is for.

use std::path::PathBuf;

/// How the user starts a command, beyond its arguments.
#[derive(Debug, Clone, Default)]
pub(super) struct Invocation {
    /// What the user types before the command, if that is not the name of the program alone.
    pub(super) program: Option<String>,
    /// The source, if the program has several.
    pub(super) selected: Option<Selected>,
}

/// The source that was selected among those of the program.
#[derive(Debug, Clone)]
#[cfg_attr(
    not(all(feature = "native-app", feature = "github", feature = "rest")),
    allow(dead_code, reason = "only the program selects a source, and only an image takes the text")
)]
pub(super) enum Selected {
    /// A built-in one: the argument that selects it.
    BuiltIn(&'static str),
    /// A described one.
    Described {
        file: PathBuf,
        /// The contents of the file.
        text: String,
        /// What may be wrong with it, in words.
        warnings: Vec<String>,
    },
}

impl Selected {
    /// What may be wrong with the description of a source.
    pub(super) fn warnings(&self) -> &[String] {
        match self {
            Self::BuiltIn(_) => &[],
            Self::Described { warnings, .. } => warnings,
        }
    }
}
