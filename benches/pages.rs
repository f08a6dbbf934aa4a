//! Splitting pages of JSON into records, beside the least work possible on the same bytes.

#![allow(clippy::unwrap_used, reason = "a bench that cannot be set up has nothing to measure")]

#[path = "data/mod.rs"]
mod data;

use bytestring::ByteString;
use divan::Bencher;
use divan::counter::BytesCount;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use snowfeed::http::json;
use snowfeed::{Record, Version};

const ISSUES: u32 = 2_000;
const PAGE: usize = 100;

fn main() {
    divan::main();
}

fn pages() -> Vec<ByteString> {
    let page = |issues: &[data::Issue]| {
        let texts: Vec<&str> = issues.iter().map(|(_, _, text)| text.as_str()).collect();
        ByteString::from(format!("[{}]", texts.join(",")))
    };
    data::issues(ISSUES).chunks(PAGE).map(page).collect()
}

fn over_pages<T>(bencher: Bencher<'_, '_>, work: impl Fn(&ByteString) -> T + Sync) {
    let pages = pages();
    let bytes: usize = pages.iter().map(|page| page.len()).sum();
    bencher.counter(BytesCount::new(bytes)).bench(|| {
        for page in &pages {
            divan::black_box(work(page));
        }
    });
}

/// The first lower bound: validates the bytes as UTF-8, as all input must be.
#[divan::bench]
fn bound_utf8(bencher: Bencher<'_, '_>) {
    over_pages(bencher, |page| std::str::from_utf8(page.as_bytes()).is_ok());
}

/// The second lower bound: checks that the JSON is well-formed, and keeps nothing.
#[divan::bench]
fn bound_scan(bencher: Bencher<'_, '_>) {
    over_pages(bencher, |page| serde_json::from_str::<IgnoredAny>(page).is_ok());
}

/// The fields that the GitHub source reads from an issue.
#[derive(Deserialize)]
struct Item<'a> {
    #[serde(borrow)]
    id: &'a RawValue,
    #[serde(borrow)]
    updated_at: &'a str,
    pull_request: Option<IgnoredAny>,
}

/// Splits the page and reads three fields of every element.
#[divan::bench]
fn split(bencher: Bencher<'_, '_>) {
    over_pages(bencher, |page| {
        json::elements::<Item<'_>>(page).filter(|element| element.as_ref().unwrap().0.pull_request.is_some()).count()
    });
}

/// The same, and makes every element a record.
#[divan::bench]
fn records(bencher: Bencher<'_, '_>) {
    over_pages(bencher, |page| {
        let record = |element: snowfeed::Result<(Item<'_>, ByteString)>| {
            let (item, raw) = element.unwrap();
            let time: jiff::Timestamp = item.updated_at.parse().unwrap();
            Record::upsert(item.id.get(), Version::from(time), raw)
        };
        json::elements::<Item<'_>>(page).map(record).collect::<Vec<_>>()
    });
}
