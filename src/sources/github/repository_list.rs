//! Lists of repositories, page after page.

use std::collections::HashSet;

use bytestring::ByteString;

use super::connection::{Connection, Repository};
use super::names::Scope;
use super::page;
use crate::http::{More, Response, links};
use crate::record::content_hash;
use crate::{Error, Monitor, Result, SourceEvent};

/// After this many pages in a row without anything new, the server does not paginate.
const REPEATS: u32 = 8;

/// Where a list is cut off: a server can make up pages endlessly.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    pages: usize,
    bytes: usize,
    elements: usize,
}

const BOUNDS: Bounds = Bounds { pages: 1_000, bytes: 1 << 30, elements: 100_000 };

/// How much of an unreadable element is repeated, in characters.
const EXCERPT: usize = 80;

/// How many unreadable elements are reported.
const MAX_WARNINGS: usize = 10;

/// How many organisations are looked up by name.
const MAX_ORGANIZATIONS: usize = 10;

impl Connection {
    /// Reads all repositories of a list. `array` finds the list in a response. Where it is too long, the rest is left out with a warning.
    ///
    /// The length of a page does not end the list: where its end is unknown, the next page is requested,
    /// until one brings nothing new.
    pub(super) async fn list(
        &self,
        path: &str,
        monitor: &Monitor,
        array: impl Fn(&Response) -> Result<ByteString> + Sync,
    ) -> Result<Vec<Repository>> {
        let (mut all, mut elements, mut asked) = (Vec::new(), SeenRepositories::default(), HashSet::new());
        let (mut left_out, mut bytes, mut repeats) = (None, 0, 0);
        let mut request = Some(self.get(path).query(&[("per_page", "100")]));
        while let Some(this) = request.take() {
            let answer = this.send_with(monitor, |response| {
                let limit = BOUNDS.elements.saturating_sub(elements.known.len());
                Ok((read(&array(&response)?, limit)?, response))
            });
            let (page, response) = answer.await?;
            left_out = left_out.or_else(|| organizations_left_out(&response));
            bytes += response.body().len();
            asked.insert(content_hash(response.url().as_str()));
            let before = elements.known.len();
            all.extend(page.into_iter().filter_map(|element| elements.add(element, monitor)));
            let is_new = elements.known.len() > before;
            repeats = if is_new { 0 } else { repeats + 1 };
            let next = match response.more() {
                More::Next(url) => Some(url),
                More::Unknown if is_new => {
                    Some(links::numbered(response.url(), links::page_number(response.url()) + 1))
                }
                More::Unknown | More::Last => None,
            };
            let Some(next) = next else { break };
            if repeats >= REPEATS {
                return Err(Error::invalid_data("the server gives the same page for different page numbers")
                    .with_context("url", response.url())
                    .with_help("the API at this address does not page as GitHub's does"));
            }
            if asked.contains(&content_hash(next.as_str())) {
                return Err(Error::invalid_data("the list of repositories leads back to a page that was read")
                    .with_context("url", next)
                    .with_help("the API at this address does not page as GitHub's does"));
            }
            let is_full = elements.known.len() >= BOUNDS.elements;
            if asked.len() >= BOUNDS.pages || bytes >= BOUNDS.bytes || is_full {
                monitor.event(SourceEvent::Warning(format!(
                    "the list of repositories does not end after {} pages and {} entries: the rest is left out; name the \
                     repositories, or their owner, in `repositories`",
                    asked.len(),
                    elements.known.len()
                )));
                break;
            }
            request = Some(self.get(next.as_str()));
        }
        elements.warn_about_rest(monitor);
        if let Some(ids) = left_out {
            let names = self.organizations(&ids, monitor).await;
            monitor.event(SourceEvent::Warning(format!(
                "GitHub left out the repositories of {names}: the token is not authorized for single sign-on there; authorize it \
                 under Settings, Developer settings, Personal access tokens, Configure SSO"
            )));
        }
        Ok(all)
    }

    /// Looks up the names of organisations.
    async fn organizations(&self, ids: &[String], monitor: &Monitor) -> String {
        #[derive(serde::Deserialize)]
        struct Organization {
            login: String,
        }
        let mut names = Vec::new();
        for id in ids.iter().take(MAX_ORGANIZATIONS) {
            let request = self.get(&format!("organizations/{id}")).max_attempts_at_this_size(1);
            let answer = request.send_with(monitor, |response| response.json::<Organization>()).await;
            names.push(answer.map_or_else(|_| format!("the organisation with the id {id}"), |found| found.login));
        }
        if ids.len() > MAX_ORGANIZATIONS {
            names.push(format!("{} more", ids.len() - MAX_ORGANIZATIONS));
        }
        if names.is_empty() { "some organisations".to_owned() } else { names.join(", ") }
    }
}

/// An element of a list, and its hash.
struct ListedRepository {
    hash: [u8; 16],
    /// The repository, or the beginning of an unreadable element.
    content: Result<Repository, String>,
}

/// The repositories that a list has shown: a page with no others brings nothing new.
#[derive(Default)]
struct SeenRepositories {
    known: HashSet<[u8; 16]>,
    unreadable: usize,
}

impl SeenRepositories {
    /// Returns the repository, if it is valid and new. An unreadable element is left out, with a warning.
    fn add(&mut self, element: ListedRepository, monitor: &Monitor) -> Option<Repository> {
        if !self.known.insert(element.hash) {
            return None;
        }
        match element.content {
            Ok(repository) => Some(repository),
            Err(excerpt) => {
                self.unreadable += 1;
                if self.unreadable <= MAX_WARNINGS {
                    monitor.event(SourceEvent::Warning(format!(
                        "skipped a malformed element of the list of repositories: {excerpt}"
                    )));
                }
                None
            }
        }
    }

    fn warn_about_rest(&self, monitor: &Monitor) {
        if let Some(more @ 1..) = self.unreadable.checked_sub(MAX_WARNINGS) {
            let warning = format!("skipped {more} more malformed elements of the list of repositories");
            monitor.event(SourceEvent::Warning(warning));
        }
    }
}

/// Reads the first `most` elements of a page. None of them keeps the page in memory.
fn read(array: &ByteString, most: usize) -> Result<Vec<ListedRepository>> {
    let excerpt = |text: &str| text.chars().take(EXCERPT).collect::<String>();
    let element = |(repository, raw): (Option<Repository>, ByteString)| match repository {
        // The name becomes part of an API path and an argument of a command.
        Some(repository) if matches!(Scope::parse(&repository.full_name), Ok(Scope::Repository(_))) => {
            let hash = content_hash(&format!("{} {}", repository.id, repository.full_name));
            ListedRepository { hash, content: Ok(repository) }
        }
        Some(Repository { full_name, .. }) => ListedRepository {
            hash: content_hash(&raw),
            content: Err(format!("{:?} is not a repository", excerpt(&full_name))),
        },
        None => ListedRepository { hash: content_hash(&raw), content: Err(excerpt(&raw)) },
    };
    page::objects(array).take(most).map(|read| read.map(element)).collect()
}

/// The ids of organisations that are missing in a response, because their single sign-on requires an authorized token.
fn organizations_left_out(response: &Response) -> Option<Vec<String>> {
    let header = response.header("x-github-sso")?;
    let (kind, rest) = header.split_once(';').unwrap_or((header, ""));
    if !kind.trim().eq_ignore_ascii_case("partial-results") {
        return None;
    }
    let ids = rest.split_once('=').map_or("", |(_, ids)| ids);
    let digits = |id: &&str| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit());
    Some(ids.split(',').map(str::trim).filter(digits).map(str::to_owned).collect())
}
