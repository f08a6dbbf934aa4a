//! Lists of pull requests, and single ones.

use super::listing::{self, Selection};
use crate::answer::Answer;
use crate::data::ServerData;
use crate::log::ReceivedRequest;
use crate::render;
use crate::repository::{Repository, State};
use crate::server::Shared;

/// A page of `GET /repos/{owner}/{repo}/pulls`, which has no `since`.
pub(crate) fn list(shared: &Shared, request: &ReceivedRequest, data: &mut ServerData, index: usize) -> Answer {
    listing::begin(shared, data, index);
    let repository = &data.repositories[index];
    let orders = repository.pull_order(State::from_request(request));
    // Only the order by creation is descending unless the request has a direction.
    let selection = match request.query("sort").as_deref() {
        Some("updated") => Selection::all(&orders.updated, listing::ascending(request, true)),
        _ => Selection::all(&orders.created, listing::ascending(request, false)),
    };
    let address = format!("{}/repositories/{}/pulls", shared.base_url(), repository.id);
    listing::page(shared, request, &address, &selection, |number, out| {
        if let Some(pull) = repository.pull(number) {
            out.push_str(&render::listed_pull(repository, pull).to_string());
        }
        !repository.broken.contains(&number)
    })
}

/// `GET /repos/{owner}/{repo}/pulls/{number}`.
pub(crate) fn item(repository: &Repository, number: &str) -> Answer {
    match number.parse().ok().and_then(|number| repository.pull(number)) {
        Some(pull) if repository.broken.contains(&pull.number) => Answer::error(500, "Server Error"),
        Some(pull) => Answer::json(render::pull(repository, pull).to_string()),
        None => Answer::not_found(),
    }
}
