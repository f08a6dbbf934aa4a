//! Rules for grants.

use std::collections::BTreeSet;

use super::create::{made, object};
use super::statement::{Part, Statement, name};
use super::{Findings, Rule};

pub(super) fn check(statements: &[Statement], findings: &mut Findings) {
    let mut objects = BTreeSet::new();
    let mut roles = BTreeSet::new();
    for statement in statements {
        if let Some(object) = made(statement) {
            if object.kind == "APPLICATION ROLE" {
                roles.extend(object.name.last().copied());
            }
            objects.insert((object.kind, object.name));
            continue;
        }
        if statement.leading_words().first() != Some(&"GRANT") {
            continue;
        }
        match statement.after(&["TO", "APPLICATION", "ROLE"]).map(|rest| name(rest).last().copied().unwrap_or_default())
        {
            None => {
                findings.add(Rule::ApplicationRoles, statement, "grants of an app go to its application roles only");
            }
            Some(role) if !roles.contains(role) => {
                let message = format!("the script has not made the application role {role} before");
                findings.add(Rule::ApplicationRoles, statement, message);
            }
            Some(_) => {}
        }
        if let Some(object) = statement.after(&["ON"]).and_then(one)
            && !objects.contains(&(object.kind, object.name.clone()))
        {
            let message = format!("the {} {} is not made before it is granted", object.kind, object.name.join("."));
            findings.add(Rule::GrantsLast, statement, message);
        }
    }
}

/// The object that a grant is on, where it is one: not ALL, not FUTURE.
fn one(parts: &[Part]) -> Option<super::create::Object<'_>> {
    let is_one = !matches!(parts.first().and_then(Part::word), Some("ALL" | "FUTURE" | "ACCOUNT"));
    is_one.then(|| object(parts)).flatten()
}
