//! What a response to a request for one record proves: something about that record, or about the repository, the token or the
//! server.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::address::{Address, Kind};
use super::api::Api;
use super::error::{explain, issues_disabled};
use super::page;
use super::streams::Stream;
use crate::http::{Response, Url};
use crate::{Error, Monitor, Record, Result};

/// How many pages of the list are searched for a control record.
const CONTROL_PAGES: u32 = 50;

/// How many control records are tried, as one may just have been deleted.
const CONTROLS: usize = 3;

/// The result of looking up one record.
#[derive(Debug)]
pub(super) enum Lookup {
    /// There is a record in this place.
    Found(Record),
    /// It was deleted: the response states it for this very record.
    Deleted,
    /// It was not found. A token that has lost access, a disabled feature and a gateway that serves lists only cause the same
    /// response, so it counts only where a control record of the same kind is found.
    Missing,
}

/// A record that the server lists, and returns on request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Control(Address);

impl Api {
    /// Looks up one record by its path below the repository.
    ///
    /// # Errors
    /// `NotFound`, when issues are disabled; `InvalidData`, when the response is not about such a record.
    pub(super) async fn item(&self, below: &str, monitor: &Monitor) -> Result<Lookup> {
        let (path, record) = (self.path(below), self.stream.record());
        // A repository that is addressed by its name may have been renamed: then the redirect is followed.
        let accepted: &[u16] = if self.repository_id().is_some() { &[301, 404, 410] } else { &[404, 410] };
        let request = self.connection.get(&path).allow_status(accepted);
        request
            .send_with(monitor, |response| match response.status() {
                301 if self.has_moved(&path, &response) => Ok(Lookup::Missing),
                301 => Err(Error::invalid_data(format!("a request for one {record} is redirected to something else"))
                    .with_context("path", below)
                    .with_context("location", response.header("location").unwrap_or_default())
                    .with_help("check for a login page or a gateway between this program and GitHub")),
                404 => Ok(Lookup::Missing),
                410 => self.gone(&response),
                _ => page::item(self.stream, response.body()).map(Lookup::Found).map_err(|error| {
                    error
                        .with_context("path", below)
                        .with_help("check for a login page or a gateway between this program and GitHub")
                }),
            })
            .await
            .map_err(|error| explain(error, &self.name, self.stream))
    }

    /// Interprets a 410. GitHub sends it for a deleted issue, and for every issue of a repository whose issues are disabled.
    fn gone(&self, response: &Response) -> Result<Lookup> {
        #[derive(Deserialize)]
        struct ErrorBody {
            message: String,
        }
        let said = serde_json::from_str::<ErrorBody>(response.body()).map(|said| said.message.to_lowercase());
        match said {
            Ok(said) if said.contains("disabled") => Err(issues_disabled(&self.name)),
            Ok(said) if said.contains("deleted") => Ok(Lookup::Deleted),
            _ => Ok(Lookup::Missing),
        }
    }

    /// Whether a redirect leads to a record elsewhere, because an issue was transferred or converted, or something was renamed.
    fn has_moved(&self, path: &str, response: &Response) -> bool {
        let base = self.connection.client.base_url();
        let target = response.header("location").and_then(|location| base.join(location).ok());
        let Some(target) = target else { return false };
        let here = base.join(path).ok();
        let is_record = if self.stream == Stream::Issues { is_item(&target) } else { is_below_repository(&target) };
        is_record && here.is_none_or(|here| here.path() != target.path())
    }

    /// Finds a record of this kind that the repository lists now and returns on request; `None` when it lists none.
    ///
    /// # Errors
    /// `InvalidData`, when the server does not return a listed record: then no such response proves anything.
    pub(super) async fn control(&self, kind: Kind, monitor: &Monitor) -> Result<Option<Control>> {
        let mut last = None;
        for _ in 0..CONTROLS {
            let Some(control) = self.listed(kind, last.as_ref(), monitor).await? else {
                return if last.is_none() { Ok(None) } else { Err(self.not_comparable(&last)) };
            };
            if self.still_exists(&control, monitor).await? {
                return Ok(Some(control));
            }
            last = Some(control);
        }
        Err(self.not_comparable(&last))
    }

    /// Whether the server returns a listed record on request.
    pub(super) async fn still_exists(&self, control: &Control, monitor: &Monitor) -> Result<bool> {
        let Address { key, path, .. } = &control.0;
        Ok(matches!(self.item(path, monitor).await?, Lookup::Found(record) if record.key == *key))
    }

    /// Finds the first record of this kind in the list, newest first where it can be sorted, other than this one.
    async fn listed(&self, kind: Kind, other: Option<&Control>, monitor: &Monitor) -> Result<Option<Control>> {
        let order: &[(&str, &str)] = match self.stream {
            Stream::Issues | Stream::IssueComments | Stream::ReviewComments | Stream::Pulls => {
                &[("sort", "created"), ("direction", "desc")]
            }
            _ => &[],
        };
        for page in 1..=CONTROL_PAGES {
            let request = self.connection.get(&self.list()).query(self.stream.filter()).query(order);
            let request = request.query(&[("per_page", "100"), ("page", &*page.to_string())]);
            let found = request.send_with(monitor, |response| find(self.stream, response.body(), kind, other));
            match found.await.map_err(|error| explain(error, &self.name, self.stream))? {
                ListPage::Match(control) => return Ok(Some(control)),
                ListPage::NoMatch => {}
                ListPage::Empty => break,
            }
        }
        Ok(None)
    }

    fn not_comparable(&self, control: &Option<Control>) -> Error {
        let path = control.as_ref().map_or("", |control| &control.0.path);
        let (name, record) = (path.rsplit('/').next().unwrap_or_default(), self.stream.record());
        Error::invalid_data(format!(
            "the server lists the {record} {name} of {} and does not give it on request, so that it cannot be found out which \
             {} were deleted",
            self.name.path().trim_start_matches("repos/"),
            self.stream.records()
        ))
        .with_help(format!("check the gateway between this program and GitHub: it must let `/{path}` through, too"))
    }
}

/// The result of searching a page of the list.
enum ListPage {
    Match(Control),
    /// The page has other records only.
    NoMatch,
    Empty,
}

fn find(stream: Stream, body: &str, kind: Kind, other: Option<&Control>) -> Result<ListPage> {
    let elements: Vec<&RawValue> = serde_json::from_str(body).map_err(|error| {
        Error::invalid_data(format!("the list of {} is not a JSON array", stream.records())).with_source(error)
    })?;
    let listed = elements.iter().filter_map(|element| Address::of(stream, element.get()));
    let control = listed.filter(|address| address.kind == kind).map(Control).find(|control| other != Some(control));
    Ok(match control {
        Some(control) => ListPage::Match(control),
        None if elements.is_empty() => ListPage::Empty,
        None => ListPage::NoMatch,
    })
}

/// Whether a URL is that of one issue or discussion of a repository.
fn is_item(url: &Url) -> bool {
    let segments: Vec<&str> = url.path_segments().map(Iterator::collect).unwrap_or_default();
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match segments.as_slice() {
        [.., "repositories", id, "issues" | "discussions", number] => is_number(id) && is_number(number),
        [.., "repos", _, _, "issues" | "discussions", number] => is_number(number),
        [_, _, "discussions", number] => is_number(number),
        _ => false,
    }
}

/// Whether a URL is that of something in a repository.
fn is_below_repository(url: &Url) -> bool {
    let segments: Vec<&str> = url.path_segments().map(Iterator::collect).unwrap_or_default();
    let below = |prefix: &str, parts: usize| {
        segments.iter().position(|part| *part == prefix).is_some_and(|index| segments.len() > index + parts + 1)
    };
    below("repositories", 1) || below("repos", 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_item_url_is_recognized() {
        for (address, is_one) in [
            ("https://api.github.com/repositories/7/issues/3", true),
            ("https://ghe.example/api/v3/repos/acme/other/issues/3", true),
            ("https://github.com/acme/widgets/discussions/3", true),
            ("https://login.example/?return=/repositories/7/issues/3", false),
            ("https://login.example/login", false),
            ("https://api.github.com/repositories/7/issues", false),
            ("https://api.github.com/repositories/x/issues/3", false),
        ] {
            assert_eq!(is_item(&address.parse().unwrap()), is_one, "{address}");
        }
    }

    #[test]
    fn a_control_record_has_the_requested_kind() {
        let body = r#"[null,{"id":1,"number":1,"pull_request":{}},[],{"id":2,"number":2,"pull_request":null},{"id":3,"number":3}]"#;
        let path = |kind, other| match find(Stream::Issues, body, kind, other).unwrap() {
            ListPage::Match(Control(address)) => Some(address.path),
            ListPage::NoMatch | ListPage::Empty => None,
        };
        assert_eq!(path(Kind::Ordinary, None).as_deref(), Some("issues/2"));
        let [first, second] = [(1, Kind::PullRequest), (2, Kind::Ordinary)]
            .map(|(id, kind)| Control(Address { key: id.to_string(), path: format!("issues/{id}"), kind }));
        assert_eq!(path(Kind::Ordinary, Some(&second)).as_deref(), Some("issues/3"));
        assert_eq!(path(Kind::PullRequest, Some(&first)), None);
        assert!(matches!(find(Stream::Issues, "[]", Kind::Ordinary, None).unwrap(), ListPage::Empty));
        assert!(find(Stream::Issues, "{}", Kind::Ordinary, None).is_err());
    }

    #[test]
    fn a_redirect_to_something_else_is_no_record() {
        for (address, is_one) in [
            ("https://api.github.com/repositories/7/labels/new", true),
            ("https://ghe.example/api/v3/repos/acme/other/milestones/3", true),
            ("https://api.github.com/repositories/7", false),
            ("https://ghe.example/api/v3/repos/acme/other", false),
            ("https://login.example/?return=/repositories/7/labels/new", false),
        ] {
            assert_eq!(is_below_repository(&address.parse().unwrap()), is_one, "{address}");
        }
    }
}
