//! What tells the end of a list: a flag, or the number of pages.

use super::super::fields::{Found, Pointer, Wanted, is_truthy, scalar};
use super::plan::{PaginatePlan, PagingPlan};
use crate::{Error, Result};

/// The longest part of a value to show in an error.
const MAX_SHOWN: usize = 40;

/// Where a page tells whether it is the last one.
#[derive(Debug, Clone, Default)]
pub(super) struct EndingPlan {
    more: Option<usize>,
    done: Option<(usize, Pointer)>,
    pages: Option<(usize, Pointer)>,
    /// Whether the list continues by page numbers.
    is_by_page: bool,
}

/// What a page tells about the end of its list.
#[derive(Debug, Default)]
pub(super) struct Ending {
    /// Whether there are more pages, if a flag says so.
    pub(super) more: Option<bool>,
    /// The number of pages.
    pub(super) pages: Option<u64>,
    /// Whether a number, and not a flag, says so: it may be one that means something else.
    pub(super) is_counted: bool,
    /// Whether the place of the number of pages does not exist.
    pub(super) lacks_pages: bool,
}

impl EndingPlan {
    pub(super) fn new(paginate: &PaginatePlan, wanted: &mut Wanted) -> Self {
        let mut add = |pointer: &Option<Pointer>| pointer.clone().map(|pointer| (wanted.add(&pointer), pointer));
        let (more, done, pages) = (add(&paginate.more), add(&paginate.done), add(&paginate.pages));
        let is_by_page = matches!(paginate.by, PagingPlan::Page(_));
        Self { more: more.map(|(slot, _)| slot), done, pages, is_by_page }
    }

    /// Whether the list ends after a number of pages.
    pub(super) fn has_pages(&self) -> bool {
        self.pages.is_some()
    }

    /// Reads what a page tells.
    ///
    /// # Errors
    /// `InvalidData` for a value that is neither a flag nor a number of pages: it would end the list too early.
    pub(super) fn read(&self, found: &Found<'_>) -> Result<Ending> {
        let more = self.more.and_then(|slot| found.value(slot));
        let done = self.done.as_ref().and_then(|(slot, pointer)| Some((found.value(*slot)?, pointer)));
        let done = done.map(|(raw, pointer)| flag(raw).ok_or_else(|| self.no_flag(raw, pointer))).transpose()?;
        let pages = self.pages.as_ref().and_then(|(slot, pointer)| Some((found.value(*slot)?, pointer)));
        let count = |(raw, pointer)| count(raw).ok_or_else(|| no_count(raw, pointer));
        let pages = pages.map(count).transpose()?;
        Ok(Ending {
            more: match (more.map(leads_on), done) {
                (_, Some(true)) | (Some(false), _) => Some(false),
                (Some(true), _) | (_, Some(false)) => Some(true),
                (None, None) => None,
            },
            pages,
            is_counted: pages.is_some() || more == Some("0"),
            lacks_pages: self.pages.as_ref().is_some_and(|(slot, _)| found.get(*slot).is_none()),
        })
    }

    fn no_flag(&self, raw: &str, pointer: &Pointer) -> Error {
        let help = "let `done` point at a flag that is true on the last page, or remove it";
        let help = match self.is_by_page {
            true => format!("{help}; if {pointer} is the number of pages, write `pages = \"{pointer}\"`"),
            false => help.to_owned(),
        };
        Error::invalid_data(format!("the value at {pointer} is {}, not true or false", shown(raw))).with_help(help)
    }
}

/// Whether a value at `more` means that there are more pages: a flag, a number that is left, or what leads on.
fn leads_on(raw: &str) -> bool {
    is_truthy(raw) && flag(raw) != Some(false)
}

/// Reads a flag: true or false, as such or as a text, 1 or 0.
fn flag(raw: &str) -> Option<bool> {
    match raw {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ if !raw.starts_with('"') => None,
        _ => match scalar(raw)?.to_lowercase().as_str() {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        },
    }
}

/// Reads a number of pages, which may be a text.
fn count(raw: &str) -> Option<u64> {
    scalar(raw)?.parse().ok()
}

fn no_count(raw: &str, pointer: &Pointer) -> Error {
    Error::invalid_data(format!("the value at {pointer} is {}, not a number of pages", shown(raw)))
        .with_help("let `pages` point at the number of pages, or remove it")
}

/// The beginning of a value, for messages.
fn shown(raw: &str) -> String {
    match raw.as_bytes().first() {
        Some(b'[') => "a list".to_owned(),
        Some(b'{') => "an object".to_owned(),
        _ if raw.chars().count() > MAX_SHOWN => raw.chars().take(MAX_SHOWN).chain(['…']).collect(),
        _ => raw.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_true_or_false() {
        for (raw, expected) in [
            ("true", Some(true)),
            ("\"True\"", Some(true)),
            ("1", Some(true)),
            ("false", Some(false)),
            ("\"false\"", Some(false)),
            ("0", Some(false)),
            ("2", None),
            ("1.0", None),
            ("\"1\"", None),
            ("\"\"", None),
            ("[]", None),
        ] {
            assert_eq!(flag(raw), expected, "{raw}");
        }
    }

    #[test]
    fn a_long_value_is_shown_in_part() {
        assert_eq!(shown(&"é".repeat(50)), format!("{}…", "é".repeat(40)));
        assert_eq!(shown("\"yes\""), "\"yes\"");
    }
}
