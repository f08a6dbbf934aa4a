//! Lists of records other than issues and pull requests, and single ones.

use super::listing::{self, Selection};
use crate::answer::Answer;
use crate::clock::second_of;
use crate::data::ServerData;
use crate::log::ReceivedRequest;
use crate::render::{self, commit_sha, label_name, milestone_is_open};
use crate::repository::{Repository, State};
use crate::server::Shared;
use crate::table::{Record, RecordKind, Table};
use crate::timeline::key;

/// A page of a list below the repository.
///
/// # Errors
///
/// The response to an invalid query, or to one for what is not there.
pub(crate) fn list(
    shared: &Shared,
    request: &ReceivedRequest,
    data: &mut ServerData,
    index: usize,
    kind: RecordKind,
) -> Result<Answer, Box<Answer>> {
    listing::begin(shared, data, index);
    let repository = &data.repositories[index];
    let table = repository.table(kind);
    let selection = match kind {
        RecordKind::IssueComment | RecordKind::ReviewComment => comments(shared, request, table)?,
        RecordKind::Label => Selection::sorted(table.iter().map(|label| key(0, label.number)), true),
        RecordKind::Milestone => milestones(request, repository),
        RecordKind::Commit => commits(request, repository)?,
        RecordKind::Release | RecordKind::IssueEvent | RecordKind::Review => {
            Selection::all(&table.orders().created, false)
        }
    };
    Ok(page(shared, request, repository, kind, kind.path(), &selection))
}

/// Comments by ascending id unless they are sorted.
fn comments<'a>(shared: &Shared, request: &ReceivedRequest, table: &'a Table) -> Result<Selection<'a>, Box<Answer>> {
    let since = listing::since(shared, request)?;
    let sort = request.query("sort");
    let ascending = sort.is_none() || listing::ascending(request, true);
    Ok(match (sort.as_deref(), since) {
        (Some("updated"), _) => Selection::from_second(&table.orders().updated, since.unwrap_or_default(), ascending),
        (_, None) => Selection::all(&table.orders().created, ascending),
        (_, Some(since)) => {
            let members = table.iter().filter(|record| record.updated >= since);
            Selection::sorted(members.map(|record| key(record.created, record.number)), ascending)
        }
    })
}

/// Milestones by state, by due date or by the share of closed issues.
fn milestones(request: &ReceivedRequest, repository: &Repository) -> Selection<'static> {
    let state = State::from_request(request);
    let by_completeness = request.query("sort").as_deref() == Some("completeness");
    let members = repository.table(RecordKind::Milestone).iter().filter(|one| state.includes(milestone_is_open(one)));
    let keys = members.map(|milestone| {
        let json = render::record(repository, RecordKind::Milestone, milestone);
        let sort_key = if by_completeness {
            let count = |name: &str| json[name].as_u64().unwrap_or_default();
            let (open, closed) = (count("open_issues"), count("closed_issues"));
            u32::try_from(closed * 1_000_000 / (open + closed).max(1)).unwrap_or_default()
        } else {
            let due = json["due_on"].as_str().and_then(|text| text.parse().ok());
            due.map_or(u32::MAX, second_of)
        };
        key(sort_key, milestone.number)
    });
    Selection::sorted(keys, listing::ascending(request, true))
}

/// The commits of the default branch, or those up to an ancestor. As in Git, each comes before its parent, whatever their dates.
fn commits(request: &ReceivedRequest, repository: &Repository) -> Result<Selection<'static>, Box<Answer>> {
    let table = repository.table(RecordKind::Commit);
    if table.len() == 0 {
        return Err(Box::new(Answer::error(409, "Git Repository is empty.")));
    }
    let since = listing::time(request, "since")?.map(second_of);
    let until = listing::time(request, "until")?.map(second_of);
    let newest = match request.query("sha").filter(|sha| sha != "main") {
        Some(sha) => find_commit(repository, &sha).ok_or_else(|| Box::new(Answer::not_found()))?.number,
        None => u32::MAX,
    };
    let members = table.iter().filter(|commit| {
        commit.number <= newest
            && since.is_none_or(|since| commit.created >= since)
            && until.is_none_or(|until| commit.created <= until)
    });
    Ok(Selection::sorted(members.map(|commit| key(0, commit.number)), false))
}

/// A page of `GET /repos/{owner}/{repo}/compare/{base}...{head}`: the commits that the head has beyond the base, the oldest
/// first. A commit that is no longer part of the branch can still be the base.
pub(crate) fn compare(
    shared: &Shared,
    request: &ReceivedRequest,
    data: &mut ServerData,
    index: usize,
    commits: &str,
) -> Answer {
    listing::begin(shared, data, index);
    let repository = &data.repositories[index];
    let found = |sha| find_commit(repository, sha).or_else(|| find_removed(repository, sha));
    let Some((Some(base), Some(head))) = commits.split_once("...").map(|(base, head)| (found(base), found(head)))
    else {
        return Answer::not_found();
    };
    let table = repository.table(RecordKind::Commit);
    let below = base.number.min(head.number);
    let merge_base = table.iter().rev().find(|commit| commit.number <= below).unwrap_or(base);
    let is_ahead = |commit: &&Record| merge_base.number < commit.number && commit.number <= head.number;
    let ahead = table.iter().filter(is_ahead).count();
    let behind = usize::from(merge_base.number != base.number);
    let status = match (ahead, behind) {
        (0, 0) => "identical",
        (_, 0) => "ahead",
        (0, _) => "behind",
        _ => "diverged",
    };
    let selection = Selection::sorted(table.iter().filter(is_ahead).map(|commit| key(0, commit.number)), true);
    let page = page(shared, request, repository, RecordKind::Commit, &format!("compare/{commits}"), &selection);
    if page.status != 200 {
        return page;
    }
    let text = |commit| repository.record_text(RecordKind::Commit, commit);
    let body = format!(
        r#"{{"status":"{status}","ahead_by":{ahead},"behind_by":{behind},"total_commits":{ahead},"base_commit":{},"merge_base_commit":{},"commits":{},"files":[]}}"#,
        text(base),
        text(merge_base),
        String::from_utf8_lossy(&page.body),
    );
    Answer { body: body.into(), ..page }
}

/// A page of `GET /repos/{owner}/{repo}/pulls/{number}/reviews`, in the order of their submission.
pub(crate) fn reviews(
    shared: &Shared,
    request: &ReceivedRequest,
    data: &mut ServerData,
    index: usize,
    number: &str,
) -> Answer {
    listing::begin(shared, data, index);
    let repository = &data.repositories[index];
    let Some(pull) = number.parse().ok().and_then(|number| repository.pull(number)) else {
        return Answer::not_found();
    };
    let table = repository.table(RecordKind::Review);
    let members = table.children(pull.number).filter_map(|number| table.get(number));
    let selection = Selection::sorted(members.map(|review| key(review.created, review.number)), true);
    let path = format!("pulls/{}/reviews", pull.number);
    page(shared, request, repository, RecordKind::Review, &path, &selection)
}

fn page(
    shared: &Shared,
    request: &ReceivedRequest,
    repository: &Repository,
    kind: RecordKind,
    path: &str,
    selection: &Selection<'_>,
) -> Answer {
    let address = format!("{}/repositories/{}/{path}", shared.base_url(), repository.id);
    listing::page(shared, request, &address, selection, |number, out| {
        if let Some(record) = repository.table(kind).get(number) {
            out.push_str(&repository.record_text(kind, record));
        }
        true
    })
}

/// A record by its id.
pub(crate) fn item(repository: &Repository, kind: RecordKind, id: &str) -> Answer {
    found(repository, kind, find(repository, kind, id))
}

/// `GET /repos/{owner}/{repo}/pulls/{number}/reviews/{id}`.
pub(crate) fn review(repository: &Repository, pull: &str, id: &str) -> Answer {
    let review = find(repository, RecordKind::Review, id);
    found(repository, RecordKind::Review, review.filter(|review| review.parent.to_string() == pull))
}

/// A label by its name, in any case.
pub(crate) fn label(repository: &Repository, name: &str) -> Answer {
    // A path has `+` for itself and `%20` for a space.
    let query = format!("name={}", name.replace('+', "%2B").replace('&', "%26"));
    let name = url::form_urlencoded::parse(query.as_bytes()).next().map(|(_, name)| name.to_lowercase());
    let mut labels = repository.table(RecordKind::Label).iter();
    found(repository, RecordKind::Label, labels.find(|label| Some(label_name(label).to_lowercase()) == name))
}

/// A milestone by its number.
pub(crate) fn milestone(repository: &Repository, number: &str) -> Answer {
    let table = repository.table(RecordKind::Milestone);
    found(repository, RecordKind::Milestone, number.parse().ok().and_then(|number| table.get(number)))
}

/// A commit by its name, also one that is no longer part of the branch: Git keeps it.
pub(crate) fn commit(repository: &Repository, sha: &str) -> Answer {
    let commit = find_commit(repository, sha).or_else(|| find_removed(repository, sha));
    match commit {
        Some(_) => found(repository, RecordKind::Commit, commit),
        None => Answer::error(422, &format!("No commit found for SHA: {sha}")),
    }
}

fn find<'a>(repository: &'a Repository, kind: RecordKind, id: &str) -> Option<&'a Record> {
    id.parse().ok().and_then(|id| repository.table(kind).find(id))
}

fn find_commit<'a>(repository: &'a Repository, sha: &str) -> Option<&'a Record> {
    repository.table(RecordKind::Commit).iter().find(|commit| commit_sha(repository, commit.number) == sha)
}

fn find_removed<'a>(repository: &'a Repository, sha: &str) -> Option<&'a Record> {
    let mut removed = repository.table(RecordKind::Commit).removed().iter();
    removed.find(|commit| commit_sha(repository, commit.number) == sha)
}

fn found(repository: &Repository, kind: RecordKind, record: Option<&Record>) -> Answer {
    match record {
        Some(record) => Answer::json(repository.record_text(kind, record)),
        None => Answer::not_found(),
    }
}
