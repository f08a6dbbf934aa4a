//! How an answer seems to continue.

use serde_json::{Map, Value};

use super::super::check::{is_full_page, is_page_number, is_page_number_token, is_size};
use super::super::fields::escaped;
use super::super::paginate::{Paginate, Paging};
use super::fields::{Fields, Records};
use super::proposal::{Proposal, Sample};
use crate::http::Url;

/// Names of tokens, and of the parameters that usually take them; without a parameter, it has the token's own name.
const TOKENS: [(&str, Option<&str>); 14] = [
    ("next_cursor", Some("cursor")),
    ("nextcursor", Some("cursor")),
    ("nextpagetoken", Some("pageToken")),
    ("next_page_token", Some("page_token")),
    ("nexttoken", None),
    ("next_token", None),
    ("endcursor", Some("after")),
    ("end_cursor", Some("after")),
    ("after_cursor", Some("cursor")),
    ("continuation", None),
    ("cursor", None),
    ("after", None),
    ("starting_after", None),
    ("offset", None),
];

/// Names of the URL of a next page.
const URLS: [&str; 10] = [
    "next",
    "next_url",
    "nexturl",
    "after_url",
    "nextpage",
    "next_page",
    "nextlink",
    "next_page_uri",
    "more_topics_url",
    "href",
];

const MORE: [&str; 6] = ["has_more", "hasmore", "hasnextpage", "has_next_page", "more", "has_next"];
const DONE: [&str; 7] = ["islast", "is_last", "lastpage", "last_page", "end_of_stream", "done", "finished"];
const PAGES: [&str; 4] = ["page", "page_number", "pagenumber", "page_no"];

/// Names of the number of the page in an answer, where the parameter for it usually has another name.
const CURRENT: [&str; 2] = ["current_page", "currentpage"];

/// Names of the number of pages.
const TOTALS: [&str; 12] = [
    "total_pages",
    "totalpages",
    "pages_total",
    "page_count",
    "pagecount",
    "pages",
    "num_pages",
    "numpages",
    "last_page",
    "lastpage",
    "number_of_pages",
    "max_page",
];

const OFFSETS: [&str; 5] = ["offset", "startat", "start", "skip", "start_at"];

/// How an answer continues.
pub(super) struct Pages {
    by: Paging,
    more: Option<String>,
    done: Option<String>,
    /// The number of pages.
    pages: Option<String>,
    found: String,
    doubt: Option<String>,
}

/// A value beside the records.
struct Beside<'a> {
    pointer: String,
    name: String,
    /// The name of the object around it.
    around: String,
    value: &'a Value,
}

impl Pages {
    pub(super) fn find(sample: &Sample, records: &Records<'_>, fields: &Fields) -> Self {
        let beside = beside(&sample.body, &records.pointer);
        let flag = |names: &[&str]| {
            beside.iter().find(|beside| beside.value.is_boolean() && names.contains(&&*beside.name.to_lowercase()))
        };
        let (more, done) = (flag(&MORE), flag(&DONE));
        let flags = |by: Paging, found: String, doubt: Option<String>| Self {
            by,
            more: more.map(|flag| flag.pointer.clone()),
            done: done.filter(|_| more.is_none()).map(|flag| flag.pointer.clone()),
            pages: None,
            found,
            doubt,
        };
        if let Some(next) = &sample.link {
            let records = u64::try_from(records.all.len()).unwrap_or(u64::MAX);
            let page = Url::parse(&sample.url).ok();
            let urls = page.and_then(|page| Some((page.join(next).ok()?, page)));
            let found = match urls.is_some_and(|(next, page)| is_page_number(&page, &next, records, records)) {
                true => {
                    "the header Link, with the number of the page: records that change meanwhile move between pages"
                }
                false => "the header Link",
            };
            return Self { found: found.to_owned(), ..Self::by(Paging::Link) };
        }
        if let Some(url) = beside.iter().find(|beside| is_next_url(beside)) {
            return flags(
                Paging::Next(url.pointer.clone()),
                format!("{}: the URL of the next page", url.pointer),
                None,
            );
        }
        if let Some((token, to)) = beside.iter().find_map(|beside| token(beside, &sample.url)) {
            let doubt = match sample.posted {
                Some(_) => "look up where the body takes the token; `to` is a guess".to_owned(),
                None => format!("look up the parameter that takes the token; {to:?} is a guess"),
            };
            let count = u64::try_from(records.all.len()).unwrap_or(u64::MAX);
            let last_key = records.all.last().zip(fields.key.as_ref()).and_then(|(last, key)| {
                let key = key.strip_prefix('/').and_then(|name| last.get(name))?;
                Some(key.as_str().map_or_else(|| key.to_string(), str::to_owned))
            });
            let found = match is_page_number_token(None, token.value, last_key.as_deref(), count, count) {
                true => format!(
                    "{}: a token that is the number of the next page: records that change meanwhile move between pages",
                    token.pointer
                ),
                false => format!("{}: a token for the next page", token.pointer),
            };
            return flags(Paging::Token { token: token.pointer.clone(), to }, found, Some(doubt));
        }
        let parameter = |names: &[&str]| {
            let query = sample.url.split_once('?').map_or("", |(_, query)| query);
            let in_url = query.split('&').filter_map(|pair| pair.split('=').next());
            let in_url = in_url.map(str::to_owned).find(|name| names.contains(&&*name.to_lowercase()));
            let in_posted =
                || sample.posted.iter().flat_map(Map::keys).find(|name| names.contains(&&*name.to_lowercase()));
            in_url
                .or_else(|| in_posted().cloned())
                .or_else(|| beside.iter().find(|beside| is_count(beside, names)).map(|beside| beside.name.clone()))
        };
        if let Some(name) = parameter(&OFFSETS) {
            return flags(
                Paging::Offset(name.clone()),
                format!("the parameter {name}: the number of records so far"),
                None,
            );
        }
        if let Some(name) = parameter(&PAGES) {
            let found = format!("the parameter {name}: the number of the page");
            return flags(Paging::Page(name), found, None).with_total(&beside);
        }
        if beside.iter().any(|beside| is_count(beside, &CURRENT)) {
            let doubt = "look up the parameter for the number of the page; \"page\" is a guess".to_owned();
            let found = "the number of the page, from 1".to_owned();
            return flags(Paging::Page("page".to_owned()), found, Some(doubt)).with_total(&beside);
        }
        if more.is_some() || done.is_some() {
            let last = fields.key.clone().unwrap_or_else(|| "/id".to_owned());
            let doubt = match sample.posted {
                Some(_) => "look up where the body takes the key of the last record; `to` is a guess",
                None => "look up the parameter that takes the key of the last record; \"starting_after\" is a guess",
            };
            let doubt = doubt.to_owned();
            let flag = more.or(done).map(|flag| flag.pointer.clone()).unwrap_or_default();
            let found = format!("{flag}: a flag, and no token or URL: the key of the last record may be one");
            return flags(Paging::Last { last, to: "starting_after".to_owned() }, found, Some(doubt));
        }
        let count = u64::try_from(records.all.len()).unwrap_or(u64::MAX);
        let doubt = match Url::parse(&sample.url).is_ok_and(|url| is_full_page(&url, count)) {
            true => format!("{count} records look like the first page of several: look up how the list continues"),
            false => "look up how the list continues; write \"none\" if the answer always has all records".to_owned(),
        };
        let found = "no sign of another page".to_owned();
        Self { found, doubt: Some(doubt), ..Self::by(Paging::None) }
    }

    fn by(by: Paging) -> Self {
        Self { by, more: None, done: None, pages: None, found: String::new(), doubt: None }
    }

    /// Lets the list end after the number of pages, if the answer has one and no flag tells the end.
    fn with_total(mut self, beside: &[Beside<'_>]) -> Self {
        let total = beside.iter().find(|beside| is_count(beside, &TOTALS));
        self.pages = total.filter(|_| self.more.is_none() && self.done.is_none()).map(|total| total.pointer.clone());
        self
    }
}

/// Whether a value is a number with one of these names.
fn is_count(beside: &Beside<'_>, names: &[&str]) -> bool {
    beside.value.is_u64() && names.contains(&&*beside.name.to_lowercase())
}

/// The values of the body outside of the records, the shallow first.
fn beside<'a>(body: &'a Value, records: &str) -> Vec<Beside<'a>> {
    let mut found = Vec::new();
    let mut level: Vec<(String, String, &'a Value)> = vec![(String::new(), String::new(), body)];
    while !level.is_empty() {
        let mut next = Vec::new();
        for (pointer, around, value) in level {
            let Value::Object(map) = value else { continue };
            for (name, value) in map {
                let pointer = format!("{pointer}/{}", escaped(name));
                if pointer == records {
                    continue;
                }
                found.push(Beside { pointer: pointer.clone(), name: name.clone(), around: around.clone(), value });
                next.push((pointer, name.clone(), value));
            }
        }
        level = next;
    }
    found
}

fn is_next_url(beside: &Beside<'_>) -> bool {
    let name = beside.name.to_lowercase();
    let is_url = |text: &str| text.starts_with("http://") || text.starts_with("https://") || text.starts_with('/');
    let is_next = URLS.contains(&&*name) && (name != "href" || beside.around.eq_ignore_ascii_case("next"));
    is_next && beside.value.as_str().is_some_and(is_url)
}

/// The token in a value beside the records, and the parameter that probably takes it.
fn token<'b, 'a>(beside: &'b Beside<'a>, url: &str) -> Option<(&'b Beside<'a>, String)> {
    let name = beside.name.to_lowercase();
    let is_filled = beside.value.as_str().is_some_and(|text| !text.is_empty());
    // `cursor` and `after` are tokens below `next` only; alone they may be what was asked.
    let is_below_next = beside.around.to_lowercase().contains("next");
    let (known, to) = TOKENS.iter().find(|(known, _)| *known == name)?;
    let is_number = beside.value.as_str().is_some_and(|text| text.parse::<u64>().is_ok());
    let is_own = match *known {
        "cursor" | "after" | "starting_after" => is_below_next,
        "offset" => is_below_next || !is_number,
        _ => true,
    };
    if !is_filled || !is_own {
        return None;
    }
    let is_in_url = |name: &str| url.contains(&format!("?{name}=")) || url.contains(&format!("&{name}="));
    let own = beside.name.clone();
    Some((
        beside,
        match to {
            Some(to) if !is_in_url(&own) => (*to).to_owned(),
            _ => own,
        },
    ))
}

impl Proposal {
    pub(super) fn pages(&mut self, pages: &Pages, records: &Records<'_>) {
        self.found("paginate", pages.found.clone());
        for (pointer, meaning) in [
            (&pages.more, "true while there are more"),
            (&pages.done, "true on the last page"),
            (&pages.pages, "the number of pages"),
        ] {
            if let Some(pointer) = pointer {
                self.found("paginate", format!("{pointer}: {meaning}"));
            }
        }
        if !records.is_list {
            return self.stream.paginate = Some(Paginate::none());
        }
        if let Some(doubt) = &pages.doubt {
            self.doubt("paginate", doubt.clone());
        }
        let mut by = pages.by.clone();
        let mut is_in_path = false;
        if let Paging::Offset(name) | Paging::Page(name) = &by {
            let path = without_parameter(&self.stream.path, name);
            is_in_path = path != self.stream.path;
            self.stream.path = path;
        }
        if let Some(body) = &self.stream.body
            && !is_in_path
            && let Paging::Token { to, .. } | Paging::Last { to, .. } | Paging::Offset(to) | Paging::Page(to) = &mut by
        {
            *to = format!("{}/{}", around_paging(body), escaped(to));
        }
        // Without the key, `check` warns.
        if by != Paging::None {
            let (more, done, pages) = (pages.more.clone(), pages.done.clone(), pages.pages.clone());
            self.stream.paginate = Some(Paginate { by, more, done, pages });
        }
    }
}

/// The object of a body that takes what leads to the next page: the variables of GraphQL, or where the size of a page is.
fn around_paging(body: &Map<String, Value>) -> String {
    let is_about_pages = |(name, value): &(&String, &Value)| {
        let has_size = value.as_object().is_some_and(|object| object.keys().any(|key| is_size(key)));
        has_size || value.is_object() && matches!(name.to_lowercase().as_str(), "pagination" | "paging")
    };
    let around = body.iter().find(is_about_pages).filter(|_| !body.keys().any(|key| is_size(key)));
    let variables = body.get_key_value("variables").filter(|(_, value)| value.is_object());
    variables.or(around).map(|(name, _)| format!("/{}", escaped(name))).unwrap_or_default()
}

/// A path without a parameter, which the paginator adds.
fn without_parameter(path: &str, name: &str) -> String {
    let Some((before, query)) = path.split_once('?') else { return path.to_owned() };
    let kept: Vec<&str> = query.split('&').filter(|pair| pair.split('=').next() != Some(name)).collect();
    if kept.is_empty() { before.to_owned() } else { format!("{before}?{}", kept.join("&")) }
}
