//! What an author can do about an error that the description does not mention.

use super::super::template::Placeholder;
use super::plan::{PaginatePlan, PagingPlan, Place, StreamPlan};
use super::progress::Next;
use super::request::Prepared;
use crate::Error;

/// What a request for a page has asked.
pub(super) struct Asked<'a> {
    pub(super) prepared: &'a Prepared,
    /// What leads to the page; `None` for the first.
    pub(super) at: Option<&'a Next>,
}

/// An error about which the description says nothing, with what an author can write.
pub(super) fn advised(error: Error, code: Option<&str>, stream: &StreamPlan, asked: &Asked<'_>) -> Error {
    let Some(status) = error.status() else { return error };
    let first = error.help().map(str::to_owned);
    let beyond = beyond_end(status, stream, asked);
    let help = match (status, code) {
        // Something in the request is wrong: to skip it would hide that.
        (400 | 422, code) if !code.is_some_and(is_about_credentials) => {
            wrong_request(stream, asked, code.unwrap_or(&status.to_string()))
        }
        // To skip it would hide that the credentials are wrong.
        (_, Some(code)) if status == 401 || is_about_credentials(code) => {
            first.unwrap_or_else(|| "check the credentials: they may be wrong, expired or revoked".to_owned())
        }
        (_, Some(code)) => format!(
            "{}; if the answer means something else, say so: `errors = {{ {code} = \"skip\" }}`, or `wait`, `retry`, `empty`, `gone`, \
             `restart`, `split`",
            first.as_deref().unwrap_or("correct the request")
        ),
        (403 | 404 | 410, None) => {
            let first = first.unwrap_or_else(|| "check whether the API still has this list".to_owned());
            let action = if status == 403 { "skip" } else { "empty" };
            match is_one_of_several(stream) && asked.at.is_none() {
                true => format!("{first}; if some have no such list, write `errors = {{ {status} = \"{action}\" }}`"),
                false if status == 404 => {
                    "check `path` and `base_url` in the description, and what the credentials may read".to_owned()
                }
                false => first,
            }
        }
        (_, None) => match first {
            Some(_) => return error,
            None => format!(
                "look the status up in the documentation of the API, and say what to do: `errors = {{ {status} = \"retry\" }}`, or `wait`, \
                 `empty`, `skip`, `gone`, `restart`, `split`, `fail`"
            ),
        },
    };
    error.with_help(match beyond {
        Some(beyond) => format!("{beyond}; otherwise {help}"),
        None => help,
    })
}

/// What to write if a list by page numbers or offsets has been read to its end, and the API refuses what is beyond it.
pub(super) fn beyond_end(status: u16, stream: &StreamPlan, asked: &Asked<'_>) -> Option<String> {
    let PaginatePlan { by, more, done, pages } = &stream.paginate;
    let is_told = more.is_some() || done.is_some() || pages.is_some();
    if asked.at.is_none() || is_told || !matches!(status, 400 | 404 | 416 | 422) {
        return None;
    }
    let flag = "`more` or `done`, the pointer to a flag that tells whether there is more";
    let to = match by {
        PagingPlan::Page(Place::Parameter(name)) => name.clone(),
        PagingPlan::Page(Place::Body(pointer)) => pointer.to_string(),
        PagingPlan::Offset(_) => return Some(format!("if this page is beyond the last one, add {flag}")),
        _ => return None,
    };
    Some(format!(
        "if this page is beyond the last one, add the pointer to the number of pages: `paginate = {{ page = {to:?}, pages = \"/total_pages\" }}`, \
         or {flag}"
    ))
}

/// Whether there is such a list for each parent, or for each resource.
fn is_one_of_several(stream: &StreamPlan) -> bool {
    stream.parent.is_some() || stream.request.has(&Placeholder::Resource)
}

/// What to check in a request that the server finds wrong. `by` is its status or its code.
fn wrong_request(stream: &StreamPlan, asked: &Asked<'_>, by: &str) -> String {
    let sent = match asked.at {
        Some(Next::Url(_)) => "the API does not accept its own link to the next page".to_owned(),
        _ => format!("check what the description sends: {}", sent(asked.prepared)),
    };
    let sent = match asked.prepared.since() {
        Some(since) => format!(
            "{sent}; `{{since}}` was written as {since}: if the API wants another form, write `format` beside the pointer, \
             such as `version = {{ at = \"/updated_at\", format = \"epoch\" }}`"
        ),
        None => sent,
    };
    let what = match (asked.at, &stream.paginate.by) {
        (Some(Next::Url(_)), _) => "it",
        (Some(_), PagingPlan::Token { .. }) => "the token of the page",
        _ => return sent,
    };
    format!("{sent}; if {what} has expired, write `errors = {{ {by} = \"restart\" }}`")
}

/// The names of what a request sends beside its path.
fn sent(prepared: &Prepared) -> String {
    let several = |names: &[&str], one: &str, more: &str, place: &str| {
        let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        let (last, others) = quoted.split_last()?;
        Some(match others {
            [] => format!("{one}{last}{place}"),
            others => format!("{more}{} and {last}{place}", others.join(", ")),
        })
    };
    let parts: Vec<String> = [
        several(&prepared.parameters(), "the parameter ", "the parameters ", ""),
        several(&prepared.members(), "", "", " in the body"),
        several(&prepared.header_names(), "the header ", "the headers ", ""),
    ]
    .into_iter()
    .flatten()
    .collect();
    match parts.split_last() {
        None => "the path has no parameter; one may be missing".to_owned(),
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{}, and {last}", others.join(", ")),
    }
}

/// Whether a code says that the credentials are not accepted, as `invalid_auth` and `token_revoked` do. Tokens of pages are others.
pub(super) fn is_about_credentials(code: &str) -> bool {
    let words: Vec<String> =
        code.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase).collect();
    let has = |known: &[&str]| words.iter().any(|word| known.contains(&&**word));
    let is_sign_in = has(&[
        "auth",
        "authed",
        "authentication",
        "unauthenticated",
        "unauthorized",
        "credentials",
        "credential",
        "login",
    ]);
    let is_dead = has(&["invalid", "expired", "revoked", "missing", "bad"]) && has(&["token", "session", "apikey"]);
    (is_sign_in || is_dead) && !has(&["page", "cursor", "next", "sync"])
}
