//! Lists of issues, and single ones.

use jiff::Timestamp;

use super::links::PageParams;
use crate::answer::Answer;
use crate::data::{Removal, Repository, ServerData, State};
use crate::log::ReceivedRequest;
use crate::server::Shared;
use crate::timeline::{Timeline, key, number_of};

/// A page of `GET /repos/{owner}/{repo}/issues`.
pub(crate) fn list(shared: &Shared, request: &ReceivedRequest, data: &mut ServerData, index: usize) -> Answer {
    shared.mutations().apply(data, index, &shared.clock);
    shared.clock.serve();
    let repository = &data.repositories[index];
    let settings = &shared.settings;
    let after = request.query("after").and_then(|text| u64::from_str_radix(&text, 16).ok());
    let paging = PageParams::from_request(request, settings.page_limit);
    if after.is_none() && settings.page_depth.is_some_and(|depth| paging.page > depth) {
        return Answer::error(
            422,
            "Pagination with the page parameter is not supported for large datasets, please use cursor based pagination (after/before)",
        );
    }
    let since = match request.query("since").map(|text| text.parse::<Timestamp>()) {
        None => None,
        Some(Ok(since)) => Some(first_second(since, settings.since_inclusive)),
        Some(Err(_)) => return Answer::error(422, "Validation Failed: since is not a timestamp in ISO 8601 format"),
    };
    let state = match request.query("state").as_deref() {
        Some("all") => State::All,
        Some("closed") => State::Closed,
        _ => State::Open,
    };
    let sort = request.query("sort");
    let ascending = request.query("direction").as_deref() == Some("asc");

    let sorted;
    let (order, first) = match (sort.as_deref(), since) {
        (_, since) if !repository.issues_enabled => {
            sorted = sorted_pull_requests(repository, state, since);
            (&sorted, 0)
        }
        (Some("updated"), since) => {
            let order = &repository.order(state).updated;
            (order, since.map_or(0, |since| order.rank(key(since, 0))))
        }
        (Some("comments"), since) => {
            sorted = sorted_by_comments(repository, state, since);
            (&sorted, 0)
        }
        (_, None) => (&repository.order(state).created, 0),
        (_, Some(since)) => {
            sorted = sorted_by_creation(repository, state, since);
            (&sorted, 0)
        }
    };
    let total = order.len() - first;
    let offset = match (after, ascending) {
        (None, _) => paging.offset(),
        (Some(after), true) => order.rank(after.saturating_add(1)).max(first) - first,
        (Some(after), false) => order.len() - order.rank(after).max(first),
    }
    .min(total);
    let count = paging.per_page.min(total - offset);
    let keys: Vec<u64> = if ascending {
        order.slice(first + offset, count).collect()
    } else {
        let mut keys: Vec<u64> = order.slice(order.len() - offset - count, count).collect();
        keys.reverse();
        keys
    };

    if keys.iter().any(|&key| repository.broken.contains(&number_of(key))) {
        return Answer::error(500, "Server Error");
    }
    let address = format!("{}/repositories/{}/issues", shared.base_url(), repository.id);
    let link = if settings.cursor_links {
        keys.last().filter(|_| offset + count < total).map(|&last| paging.cursor_link(&address, request, last))
    } else {
        paging.links(&address, request, total)
    };
    let answer = Answer::json(page(repository, &keys));
    match link {
        Some(link) => answer.with("link", link),
        None => answer,
    }
}

/// The first second that `since` lets through.
fn first_second(since: Timestamp, inclusive: bool) -> u32 {
    let whole = since.as_second();
    let into_the_second = since.subsec_nanosecond() > 0;
    let first = if into_the_second || !inclusive { whole + 1 } else { whole };
    u32::try_from(first.max(0)).unwrap_or(u32::MAX)
}

fn members(repository: &Repository, state: State, since: u32) -> impl Iterator<Item = &crate::issue::Issue> {
    repository
        .issues
        .values()
        .filter(move |issue| issue.updated >= since && (state == State::All || issue.open == (state == State::Open)))
}

fn sorted_by_comments(repository: &Repository, state: State, since: Option<u32>) -> Timeline {
    let members = members(repository, state, since.unwrap_or_default());
    Timeline::new(members.map(|issue| key(issue.comments, issue.number)).collect())
}

fn sorted_by_creation(repository: &Repository, state: State, since: u32) -> Timeline {
    Timeline::new(members(repository, state, since).map(|issue| key(issue.created, issue.number)).collect())
}

fn sorted_pull_requests(repository: &Repository, state: State, since: Option<u32>) -> Timeline {
    let members = members(repository, state, since.unwrap_or_default()).filter(|issue| repository.shows(issue));
    Timeline::new(members.map(|issue| key(issue.updated, issue.number)).collect())
}

fn page(repository: &Repository, keys: &[u64]) -> String {
    let mut body = String::with_capacity(keys.len() * 5_000 + 2);
    body.push('[');
    for key in keys {
        if let Some(issue) = repository.issues.get(&number_of(*key)) {
            if body.len() > 1 {
                body.push(',');
            }
            repository.write(issue, &mut body);
        }
    }
    body.push(']');
    body
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
