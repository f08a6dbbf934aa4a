//! What a response to a request for one issue proves: something about that issue, or about the repository, the token or the
//! server.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::api::Api;
use super::error::{explain, issues_disabled};
use super::page;
use crate::http::{Response, Url};
use crate::{Error, Monitor, Record, Result};

/// How many pages of the list are searched for a control issue.
const CONTROL_PAGES: u32 = 50;

/// How many control issues are tried, as one may just have been deleted.
const CONTROLS: usize = 3;

/// The result of looking up one number.
#[derive(Debug)]
pub(super) enum IssueLookup {
    /// There is an issue with this number.
    Found(Record),
    /// It was deleted: the response states it for this very issue.
    Deleted,
    /// It was not found. A token that has lost access, a disabled feature and a gateway that serves lists only cause the same
    /// response, so it counts only where a control issue of the same kind is found.
    Missing,
}

/// An element of a list.
#[derive(Deserialize)]
struct ListedIssue<'a> {
    #[serde(borrow)]
    id: &'a RawValue,
    number: u64,
    #[serde(default)]
    pull_request: Option<IgnoredAny>,
}

/// Whether an item is an issue or a pull request. Only one of them may be switched off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum IssueKind {
    Issue,
    PullRequest,
}

impl IssueKind {
    pub(super) fn new(is_pull_request: bool) -> Self {
        if is_pull_request { Self::PullRequest } else { Self::Issue }
    }
}

/// An item that the server lists, and returns on request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ControlIssue {
    key: String,
    number: u64,
}

impl Api {
    /// Looks up one issue by its number.
    ///
    /// # Errors
    /// `NotFound`, when issues are disabled; `InvalidData`, when the response is not about an issue.
    pub(super) async fn item(&self, number: u64, monitor: &Monitor) -> Result<IssueLookup> {
        let path = self.issues(&format!("/{number}"));
        // A repository that is addressed by its name may have been renamed: then the redirect is followed.
        let accepted: &[u16] = if self.repository_id().is_some() { &[301, 404, 410] } else { &[404, 410] };
        let request = self.connection.client.get(&path).allow_status(accepted);
        request
            .send_with(monitor, |response| match response.status() {
                301 if self.has_moved(number, &response) => Ok(IssueLookup::Missing),
                301 => Err(Error::invalid_data("a request for one issue is redirected to something else")
                    .with_context("number", number)
                    .with_context("location", response.header("location").unwrap_or_default())
                    .with_help("check for a login page or a gateway between this program and GitHub")),
                404 => Ok(IssueLookup::Missing),
                410 => self.gone(&response),
                _ => page::item(response.body()).map(IssueLookup::Found).map_err(|error| {
                    error
                        .with_context("number", number)
                        .with_help("check for a login page or a gateway between this program and GitHub")
                }),
            })
            .await
            .map_err(|error| explain(error, &self.name))
    }

    /// Interprets a 410. GitHub sends it for a deleted issue, and for every issue of a repository whose issues are disabled.
    fn gone(&self, response: &Response) -> Result<IssueLookup> {
        #[derive(Deserialize)]
        struct ErrorBody {
            message: String,
        }
        let said = serde_json::from_str::<ErrorBody>(response.body()).map(|said| said.message.to_lowercase());
        match said {
            Ok(said) if said.contains("disabled") => Err(issues_disabled(&self.name)),
            Ok(said) if said.contains("deleted") => Ok(IssueLookup::Deleted),
            _ => Ok(IssueLookup::Missing),
        }
    }

    /// Whether a redirect leads to an issue or discussion elsewhere, because the issue was transferred or converted.
    fn has_moved(&self, number: u64, response: &Response) -> bool {
        let base = self.connection.client.base_url();
        let target = response.header("location").and_then(|location| base.join(location).ok());
        let Some(target) = target else { return false };
        let here = base.join(&self.issues(&format!("/{number}"))).ok();
        is_item(&target) && here.is_none_or(|here| here.path() != target.path())
    }

    /// Finds an item of this kind that the repository lists now and returns on request; `None` when it lists none.
    ///
    /// # Errors
    /// `InvalidData`, when the server does not return a listed item: then no such response proves anything.
    pub(super) async fn control(&self, kind: IssueKind, monitor: &Monitor) -> Result<Option<ControlIssue>> {
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

    /// Whether the server returns a listed item on request.
    pub(super) async fn still_exists(&self, control: &ControlIssue, monitor: &Monitor) -> Result<bool> {
        let answer = self.item(control.number, monitor).await?;
        Ok(matches!(answer, IssueLookup::Found(record) if record.key == control.key))
    }

    /// Finds the first item of this kind in the list, newest first, other than this one.
    async fn listed(
        &self,
        kind: IssueKind,
        other: Option<&ControlIssue>,
        monitor: &Monitor,
    ) -> Result<Option<ControlIssue>> {
        for page in 1..=CONTROL_PAGES {
            let query = [("state", "all"), ("sort", "created"), ("direction", "desc"), ("per_page", "100")];
            let request =
                self.connection.client.get(&self.issues("")).query(&query).query(&[("page", &*page.to_string())]);
            let found = request.send_with(monitor, |response| find(response.body(), kind, other));
            match found.await.map_err(|error| explain(error, &self.name))? {
                ListPage::Match(control) => return Ok(Some(control)),
                ListPage::NoMatch => {}
                ListPage::Empty => break,
            }
        }
        Ok(None)
    }

    fn not_comparable(&self, control: &Option<ControlIssue>) -> Error {
        let number = control.as_ref().map(|control| control.number).unwrap_or_default();
        Error::invalid_data(format!(
            "the server lists the issue {number} of {} and does not give it on request, so that it cannot be found out which \
             issues were deleted",
            self.name.path().trim_start_matches("repos/")
        ))
        .with_help("check the gateway between this program and GitHub: it must let `/issues/{number}` through, too")
    }
}

/// The result of searching a page of the list.
enum ListPage {
    Match(ControlIssue),
    /// The page has other items only.
    NoMatch,
    Empty,
}

fn find(body: &str, kind: IssueKind, other: Option<&ControlIssue>) -> Result<ListPage> {
    let elements: Vec<&RawValue> = serde_json::from_str(body)
        .map_err(|error| Error::invalid_data("the list of issues is not a JSON array").with_source(error))?;
    let listed = elements.iter().filter_map(|element| serde_json::from_str::<ListedIssue<'_>>(element.get()).ok());
    let of_kind = listed.filter(|listed| IssueKind::new(listed.pull_request.is_some()) == kind);
    let control = of_kind
        .map(|listed| ControlIssue { key: listed.id.get().to_owned(), number: listed.number })
        .find(|control| other != Some(control));
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
    fn a_control_issue_has_the_requested_kind() {
        let body = r#"[null,{"id":1,"number":1,"pull_request":{}},[],{"id":2,"number":2,"pull_request":null},{"id":3,"number":3}]"#;
        let number = |kind, other| match find(body, kind, other).unwrap() {
            ListPage::Match(control) => Some(control.number),
            ListPage::NoMatch | ListPage::Empty => None,
        };
        assert_eq!(number(IssueKind::Issue, None), Some(2));
        let [first, second] = [1, 2].map(|number: u64| ControlIssue { key: number.to_string(), number });
        assert_eq!(number(IssueKind::Issue, Some(&second)), Some(3));
        assert_eq!(number(IssueKind::PullRequest, Some(&first)), None);
        assert!(matches!(find("[]", IssueKind::Issue, None).unwrap(), ListPage::Empty));
        assert!(find("{}", IssueKind::Issue, None).is_err());
    }
}
