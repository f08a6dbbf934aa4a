//! `Link` headers and references: the first line is a relation, the rest a header. Whatever a server sends, no link leads to
//! another server, and a target is a part of the header.
#![no_main]

use libfuzzer_sys::fuzz_target;
use snowfeed::http::{Url, fuzzing};

const BASE: &str = "https://api.example:8443/v3/";

fuzz_target!(|text: &str| {
    let (relation, header) = text.split_once('\n').unwrap_or(("next", text));
    let base = Url::parse(BASE).expect("a URL");
    let current = base.join("repos/a/b/issues?page=2#x").expect("a URL");
    let target = fuzzing::link(header, relation);
    if let Some(target) = target {
        assert!(header.contains(&format!("<{target}>")), "{target:?} is not in the header");
    }
    let reached = [
        target.and_then(|target| fuzzing::follow(&base, &current, target)),
        fuzzing::follow(&base, &current, header),
        fuzzing::resolve(&base, header),
    ];
    for url in reached.into_iter().flatten() {
        assert!(url.as_str().starts_with("https://api.example:8443/"), "{url} leads to another server");
        assert_eq!(url.fragment(), None);
        assert_eq!(Url::parse(url.as_str()).as_ref(), Ok(&url), "the URL does not round-trip");
    }
});
