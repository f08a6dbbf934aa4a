//! The contracts page names every check of the conformance suites, and no others.

use std::collections::BTreeSet;

use snowfeed::testkit::conformance::suite::{Clause, config_store, delivery, sink, source, state_store};

#[test]
fn the_contracts_page_names_every_conformance_check() {
    let page = include_str!("../docs/contract.md");
    let sections: Vec<&str> = page.split("\n## ").skip(1).collect();
    fn names<T: ?Sized>(clauses: Vec<Clause<T>>) -> BTreeSet<String> {
        clauses.into_iter().map(|clause| clause.name.to_owned()).collect()
    }
    let suites = [
        ("Source", names(source())),
        ("Sink", names(sink())),
        ("StateStore", names(state_store())),
        ("ConfigStore", names(config_store())),
        ("Delivery", names(delivery())),
    ];
    assert_eq!(sections.len(), suites.len());
    for (section, (name, clauses)) in sections.iter().zip(suites) {
        assert_eq!(section.lines().next(), Some(name));
        let listed = section.lines().filter_map(|line| line.trim().strip_prefix("- `")?.strip_suffix('`'));
        assert_eq!(listed.map(str::to_owned).collect::<BTreeSet<_>>(), clauses, "{name}");
    }
}
