//! What to do about errors.

use super::super::errors::{Action, Errors};
use super::super::place::Place;
use super::problem::Problems;

/// Checks what to do about errors. `has_code` tells whether a pointer to codes is known, here or in the API's own table.
pub(super) fn errors(problems: &mut Problems<'_>, errors: &Errors, at: &Place, has_code: bool) {
    problems.pointers(&errors.code, &at.clone().key("code"));
    for (name, action) in &errors.actions {
        let at = at.clone().key(name);
        let status: Option<u16> = name.parse().ok();
        match status {
            Some(100..=599) => {}
            _ if has_code => {}
            Some(_) => problems.error(at.clone(), format!("{name} is not a status"), "write a number from 100 to 599"),
            None => {
                let help = "add `code`, the pointer to the code in the body, or write a status from 100 to 599";
                let message = format!("{name:?} is no status, and nothing says where a body has a code");
                problems.error(at.clone(), message, help);
            }
        }
        if matches!(status, Some(200..=299)) && !has_code && *action != Action::Empty {
            let help = "name the status of an error, or add `code`, the pointer to the code in the body; `\"empty\"` is for an API that leaves \
                        out an empty list";
            problems.error(at, format!("the status {name} is not an error"), help);
        }
    }
}
