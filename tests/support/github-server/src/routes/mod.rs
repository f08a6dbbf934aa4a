//! The responses of each path when nothing goes wrong.

mod issues;
mod links;
mod listing;
mod pulls;
mod records;
mod repositories;

pub(crate) use links::next_page;

use twox_hash::XxHash3_128;

use super::answer::Answer;
use super::data::ServerData;
use super::log::ReceivedRequest;
use super::render;
use super::server::{Shared, with_quota};
use super::table::RecordKind;

/// The response to a request, by the client, its quota, the path's content, and whether the client already has it.
pub(crate) fn answer(shared: &Shared, request: &ReceivedRequest) -> Answer {
    let Some(path) = request.path().strip_prefix(shared.settings.path_prefix.as_str()) else {
        return Answer::not_found();
    };
    let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
    let now = shared.clock.wire();
    if request.header("user-agent").is_none_or(str::is_empty) {
        return Answer::error(
            403,
            "Request forbidden by administrative rules. Please make sure your request has a User-Agent header.",
        );
    }
    if let (["app", "installations", id, "access_tokens"], "POST") = (segments.as_slice(), request.method()) {
        return shared.access().installation_token(id, request, shared.settings.token_lifetime, now);
    }
    if !shared.access().admits(request, &shared.settings, now) {
        return Answer::error(401, "Bad credentials");
    }
    if segments == ["rate_limit"] {
        return rate_limit(shared, request);
    }
    let mut quota = shared.access().spend(request, &shared.settings, now, 1);
    if quota.exceeded {
        return quota.headers(Answer::primary_limit());
    }
    let mut answer = if request.method() == "GET" { route(shared, request, &segments) } else { Answer::not_found() };
    if answer.status == 200 {
        let etag = etag(&answer, request);
        if request.header("if-none-match").is_some_and(|known| known.split(',').any(|one| one.trim() == etag)) {
            shared.access().refund(request, &mut quota);
            answer = Answer { status: 304, body: Default::default(), ..answer };
            answer.headers.remove("content-type");
            answer.headers.remove("link");
        }
        answer = answer.with("etag", etag).with("cache-control", "private, max-age=60, s-maxage=60");
    }
    quota.headers(answer)
}

fn route(shared: &Shared, request: &ReceivedRequest, segments: &[&str]) -> Answer {
    let mut data = shared.data();
    match segments {
        ["repos", owner, name, rest @ ..] => {
            let full = format!("{owner}/{name}");
            match (data.find(&full), data.former_names.get(&full.to_lowercase())) {
                (Some(index), _) => in_repository(shared, request, &mut data, index, rest),
                (None, Some(&index)) => {
                    let mut address = format!("{}/repositories/{}", shared.base_url(), data.repositories[index].id);
                    for segment in rest {
                        address.push('/');
                        address.push_str(segment);
                    }
                    if let Some((_, query)) = request.target().split_once('?') {
                        address.push('?');
                        address.push_str(query);
                    }
                    Answer::moved(301, &address)
                }
                (None, None) => Answer::not_found(),
            }
        }
        ["repositories", id, rest @ ..] => match id.parse().ok().and_then(|id| data.find_id(id)) {
            Some(index) => in_repository(shared, request, &mut data, index, rest),
            None => Answer::not_found(),
        },
        ["users", login] => repositories::owner(&data, login),
        ["orgs", login, "repos"] if data.is_organization(login) => {
            repositories::list(shared, request, &data, |owner| owner.eq_ignore_ascii_case(login))
        }
        ["users", login, "repos"] => {
            repositories::list(shared, request, &data, |owner| owner.eq_ignore_ascii_case(login))
        }
        ["organizations" | "user", id, "repos"] => {
            repositories::list(shared, request, &data, |owner| render::owner_id(owner).to_string() == *id)
        }
        ["installation", "repositories"] => repositories::installation(shared, request, &data),
        _ => Answer::not_found(),
    }
}

fn in_repository(
    shared: &Shared,
    request: &ReceivedRequest,
    data: &mut ServerData,
    index: usize,
    rest: &[&str],
) -> Answer {
    let issues_are_hidden = {
        let repository = &data.repositories[index];
        !repository.issues_enabled && !repository.lists_pull_requests
    };
    let list = |data: &mut ServerData, kind| {
        records::list(shared, request, data, index, kind).unwrap_or_else(|refusal| *refusal)
    };
    let item = |data: &ServerData, kind, id| records::item(&data.repositories[index], kind, id);
    match rest {
        [] => Answer::json(repositories::json(&data.repositories[index], data)),
        ["issues", ..] if issues_are_hidden => Answer::error(410, "Issues are disabled for this repo"),
        ["issues"] => issues::list(shared, request, data, index).unwrap_or_else(|refusal| *refusal),
        ["issues", "comments"] => list(data, RecordKind::IssueComment),
        ["issues", "comments", id] => item(data, RecordKind::IssueComment, id),
        ["issues", "events"] => list(data, RecordKind::IssueEvent),
        ["issues", "events", id] => item(data, RecordKind::IssueEvent, id),
        ["issues", number] => issues::item(shared, data, index, number),
        ["pulls"] => pulls::list(shared, request, data, index),
        ["pulls", "comments"] => list(data, RecordKind::ReviewComment),
        ["pulls", "comments", id] => item(data, RecordKind::ReviewComment, id),
        ["pulls", number] => pulls::item(&data.repositories[index], number),
        ["pulls", number, "reviews"] => records::reviews(shared, request, data, index, number),
        ["pulls", number, "reviews", id] => records::review(&data.repositories[index], number, id),
        ["labels"] => list(data, RecordKind::Label),
        ["labels", name] => records::label(&data.repositories[index], name),
        ["milestones"] => list(data, RecordKind::Milestone),
        ["milestones", number] => records::milestone(&data.repositories[index], number),
        ["releases"] => list(data, RecordKind::Release),
        ["releases", id] => item(data, RecordKind::Release, id),
        ["commits"] => list(data, RecordKind::Commit),
        ["compare", commits] => records::compare(shared, request, data, index, commits),
        ["commits", sha] => records::commit(&data.repositories[index], sha),
        _ => Answer::not_found(),
    }
}

/// The quota, which is free to request.
fn rate_limit(shared: &Shared, request: &ReceivedRequest) -> Answer {
    let now = shared.clock.wire();
    let quota = shared.access().spend(request, &shared.settings, now, 0);
    let core = serde_json::json!({
        "limit": quota.limit, "used": quota.used, "remaining": quota.remaining(), "reset": quota.reset.as_second(),
    });
    let body = serde_json::json!({ "resources": { "core": core }, "rate": core });
    with_quota(Answer::json(body.to_string()), shared, request)
}

/// A weak tag of the content and its recipient.
fn etag(answer: &Answer, request: &ReceivedRequest) -> String {
    let link = answer.headers.get("link").map(|link| link.as_bytes());
    let mut rest = XxHash3_128::oneshot(&answer.body).to_le_bytes().to_vec();
    for part in [link, request.header("authorization").map(str::as_bytes)] {
        rest.push(0);
        rest.extend_from_slice(part.unwrap_or_default());
    }
    format!("W/\"{:032x}\"", XxHash3_128::oneshot(&rest))
}
