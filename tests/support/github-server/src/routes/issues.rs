//! Lists of issues, and single ones.

use super::listing::{self, Selection};
use crate::answer::Answer;
use crate::data::ServerData;
use crate::log::ReceivedRequest;
use crate::repository::{Removal, State};
use crate::server::Shared;
use crate::timeline::key;

/// A page of `GET /repos/{owner}/{repo}/issues`.
pub(crate) fn list(
    shared: &Shared,
    request: &ReceivedRequest,
    data: &mut ServerData,
    index: usize,
) -> Result<Answer, Box<Answer>> {
    listing::begin(shared, data, index);
    let repository = &data.repositories[index];
    let since = listing::since(shared, request)?;
    let state = State::from_request(request);
    let ascending = listing::ascending(request, false);
    let first = since.unwrap_or_default();
    let members = || repository.issues.values().filter(|issue| issue.updated >= first && state.includes(issue.open));
    let orders = repository.order(state);
    let selection = match (request.query("sort").as_deref(), since) {
        _ if !repository.issues_enabled => {
            let pulls = members().filter(|issue| issue.pull);
            Selection::sorted(pulls.map(|issue| key(issue.updated, issue.number)), ascending)
        }
        (Some("updated"), _) => Selection::from_second(&orders.updated, first, ascending),
        (Some("comments"), _) => Selection::sorted(members().map(|issue| key(issue.comments, issue.number)), ascending),
        (_, None) => Selection::all(&orders.created, ascending),
        (_, Some(_)) => Selection::sorted(members().map(|issue| key(issue.created, issue.number)), ascending),
    };
    let address = format!("{}/repositories/{}/issues", shared.base_url(), repository.id);
    Ok(listing::page(shared, request, &address, &selection, |number, out| {
        if let Some(issue) = repository.issues.get(&number) {
            repository.write(issue, out);
        }
        !repository.broken.contains(&number)
    }))
}

/// `GET /repos/{owner}/{repo}/issues/{number}`.
pub(crate) fn item(shared: &Shared, data: &ServerData, index: usize, number: &str) -> Answer {
    let repository = &data.repositories[index];
    let Ok(number) = number.parse::<u32>() else { return Answer::not_found() };
    if repository.broken.contains(&number) {
        return Answer::error(500, "Server Error");
    }
    if let Some(issue) = repository.issues.get(&number) {
        if !repository.shows(issue) {
            return Answer::error(410, "Issues are disabled for this repo");
        }
        return Answer::json(repository.text(issue));
    }
    match repository.gone.get(&number) {
        Some(Removal::Deleted) => Answer::error(410, "This issue was deleted"),
        Some(Removal::Moved { repository, number }) => {
            Answer::moved(301, &format!("{}/repositories/{repository}/issues/{number}", shared.base_url()))
        }
        Some(Removal::Hidden) | None => Answer::not_found(),
    }
}
