//! Pointers, and the names of columns and headers.

use super::super::place::Place;
use super::super::pointers::Pointers;
use super::problem::Problems;

impl Problems<'_> {
    /// Checks a pointer into a record or a page.
    pub(super) fn pointer(&mut self, pointer: &str, place: Place) {
        if !pointer.starts_with('/') {
            let written = pointer.trim_start_matches(['$', '.', '#']);
            let help = match written {
                "" => "write the pointer to a value: \"/id\"".to_owned(),
                path => format!("write {:?}", format!("/{}", path.replace('.', "/"))),
            };
            self.error(place, format!("{pointer:?} is not a pointer: it does not begin with `/`"), help);
        } else if pointer.split('~').skip(1).any(|after| !after.starts_with(['0', '1'])) {
            let help = "write `~0` for `~`, and `~1` for a `/` in a name";
            self.error(place, format!("{pointer:?} is not a pointer: a `~` stands alone"), help);
        } else if pointer.contains('*') {
            let help = "name one value; a list within a record becomes a column of JSON";
            self.error(place, format!("{pointer:?} has a wildcard, and a pointer has none"), help);
        }
    }

    /// Checks a pointer that may be empty: the whole.
    pub(super) fn pointer_or_root(&mut self, pointer: &str, place: Place) {
        if !pointer.is_empty() {
            self.pointer(pointer, place);
        }
    }

    pub(super) fn optional_pointer(&mut self, pointer: Option<&String>, place: Place) {
        if let Some(pointer) = pointer {
            self.pointer(pointer, place);
        }
    }

    /// Checks one or several pointers.
    pub(super) fn pointers(&mut self, pointers: &Pointers, place: &Place) {
        for (index, pointer) in pointers.iter().enumerate() {
            let place = if pointers.0.len() == 1 { place.clone() } else { place.clone().key(index) };
            self.pointer(pointer, place);
        }
    }
}
