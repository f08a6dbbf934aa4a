//! Lists of repositories, page after page.

use std::collections::HashSet;

use bytestring::ByteString;

use super::api::{Connection, Repository};
use super::page;
use crate::http::{More, Response, links};
use crate::{Error, Monitor, Result, SourceEvent};

/// After this many pages in a row without anything new, the list is not paged.
const REPEATS: u32 = 8;

/// What is repeated of an element that cannot be read, and how many organisations are looked up by name.
const EXCERPT: usize = 80;
const ORGANIZATIONS: usize = 10;

impl Connection {
    /// All repositories of a list. `array` finds the list in an answer.
    ///
    /// The length of a page ends nothing: where the server does not say whether the list goes on, the next page is asked for,
    /// until one brings nothing new.
    pub(super) async fn list(
        &self,
        path: &str,
        monitor: &Monitor,
        array: impl Fn(&Response) -> Result<ByteString>,
    ) -> Result<Vec<Repository>> {
        let (mut all, mut known) = (Vec::new(), HashSet::new());
        let mut left_out = None;
        let mut repeats = 0;
        let mut request = Some(self.client.get(path).query(&[("per_page", "100")]));
        while let Some(this) = request.take() {
            let answer = this.send_with(monitor, |response| Ok((elements(&array(&response)?)?, response)));
            let (page, response) = answer.await?;
            left_out = left_out.or_else(|| organizations_left_out(&response));
            let before = known.len();
            for element in page {
                match element {
                    Ok(repository)
                        if known.insert(Element::Repository(repository.id, repository.full_name.clone())) =>
                    {
                        all.push(repository)
                    }
                    Ok(_) => {}
                    Err(raw) if known.insert(Element::Unreadable(raw.clone())) => {
                        monitor.event(SourceEvent::Warning(format!(
                            "an element of the list of repositories cannot be read, and is left out: {}",
                            raw.chars().take(EXCERPT).collect::<String>()
                        )))
                    }
                    Err(_) => {}
                }
            }
            let is_new = known.len() > before;
            repeats = if is_new { 0 } else { repeats + 1 };
            let next = match response.more() {
                More::Next(url) => Some(url),
                More::Unknown if is_new => {
                    Some(links::numbered(response.url(), links::page_number(response.url()) + 1))
                }
                More::Unknown | More::Last => None,
            };
            if next.is_some() && repeats >= REPEATS {
                return Err(Error::invalid_data("the server gives the same page for different page numbers")
                    .with_context("url", response.url())
                    .with_help("the API at this address does not page as GitHub's does"));
            }
            request = next.map(|url| self.client.get(url.as_str()));
        }
        if let Some(ids) = left_out {
            let names = self.organizations(&ids, monitor).await;
            monitor.event(SourceEvent::Warning(format!(
                "GitHub left out the repositories of {names}: the token is not authorized for single sign-on there; authorize it \
                 under Settings, Developer settings, Personal access tokens, Configure SSO"
            )));
        }
        Ok(all)
    }

    /// Organisations by name, where GitHub tells it.
    async fn organizations(&self, ids: &[String], monitor: &Monitor) -> String {
        #[derive(serde::Deserialize)]
        struct Organization {
            login: String,
        }
        let mut names = Vec::new();
        for id in ids.iter().take(ORGANIZATIONS) {
            let request = self.client.get(&format!("organizations/{id}")).attempts_at_this_size(1);
            let answer = request.send_with(monitor, |response| response.json::<Organization>()).await;
            names.push(answer.map_or_else(|_| format!("the organisation with the id {id}"), |found| found.login));
        }
        if ids.len() > ORGANIZATIONS {
            names.push(format!("{} more", ids.len() - ORGANIZATIONS));
        }
        if names.is_empty() { "some organisations".to_owned() } else { names.join(", ") }
    }
}

/// What a list has shown: a page that shows nothing else brings nothing new.
#[derive(PartialEq, Eq, Hash)]
enum Element {
    Repository(u64, String),
    Unreadable(ByteString),
}

/// The repositories of a page, and the text of what is none.
fn elements(array: &ByteString) -> Result<Vec<Result<Repository, ByteString>>> {
    page::objects(array).map(|element| element.map(|(repository, raw)| repository.ok_or(raw))).collect()
}

/// The ids of organisations that are missing in an answer, because their single sign-on wants the token to be authorized.
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
