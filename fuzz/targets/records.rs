//! A page: the first line is its `Link` header, the rest the body. Splitting finds what a JSON parser finds, to the byte, and
//! every element becomes a record or a reject.
#![no_main]

use bytestring::ByteString;
use libfuzzer_sys::fuzz_target;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use snowfeed::http::{Url, fuzzing::response, json};
use snowfeed::sources::github::fuzzing::{item, page};

fuzz_target!(|text: &str| {
    let (link, body) = text.split_once('\n').unwrap_or(("", text));
    let body = ByteString::from(body);
    let split: Option<Vec<ByteString>> =
        json::elements::<IgnoredAny>(&body).map(|element| element.map(|(_, raw)| raw)).collect::<Result<_, _>>().ok();
    let expected = serde_json::from_str::<Vec<&RawValue>>(&body).ok();
    let texts = |raw: &RawValue| raw.get().trim().to_owned();
    let expected: Option<Vec<String>> = expected.map(|elements| elements.into_iter().map(texts).collect());
    assert_eq!(split.as_ref().map(|split| split.iter().map(ToString::to_string).collect()), expected);

    // The second address is one that a server sent.
    for url in ["https://api.example/repositories/7/issues?state=all", link] {
        let Ok(url) = Url::parse(url) else { continue };
        let answer = response(&url, &[("link", link.as_bytes())], body.clone());
        let Some(rows) = page(&url, 2, &answer) else { continue };
        let split = split.as_ref().expect("a page that is split");
        assert_eq!(rows.len(), split.len());
        for (row, raw) in rows.iter().zip(split) {
            match row {
                Ok(record) => {
                    assert_eq!(record.json(), Some(raw));
                    assert!(record.key.parse::<u64>().is_ok(), "{:?}", record.key);
                }
                Err(reject) => assert_eq!(&reject.raw, raw),
            }
        }
    }
    if let Some(record) = item(&body) {
        assert_eq!(record.json(), Some(&body));
    }
});
