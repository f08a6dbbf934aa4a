use std::collections::BTreeMap;

use jiff::Timestamp;

use super::message::Told;
use super::pause_after;
use crate::Resource;
use crate::engine::{ConnectorHealth, Failure, Health, HealthFacts, ResourceHealth};

/// The health of resources with these words.
fn health(words: &[(&str, Health)]) -> ConnectorHealth {
    let resource = |(name, health): &(&str, Health)| {
        let failing = (*health == Health::Failing).then(|| Failure {
            since: None,
            tries: 1,
            kind: None,
            message: "<!channel> down".to_owned(),
            help: Some("wait".to_owned()),
        });
        let facts = HealthFacts { failing, ..HealthFacts::new(*health) };
        ResourceHealth { resource: Resource::new(*name).unwrap(), facts, streams: Vec::new() }
    };
    let resources: Vec<_> = words.iter().map(resource).collect();
    let facts = HealthFacts::roll_up(resources.iter().map(|resource| &resource.facts));
    ConnectorHealth { as_of: Timestamp::UNIX_EPOCH, facts, counts: BTreeMap::new(), resources }
}

/// The words before and after that are told.
fn changes(told: &Told, words: &[(&str, Health)]) -> Vec<(Option<Health>, Health)> {
    let message = told.changes(&health(words));
    message.into_iter().flat_map(|message| message.changes).map(|it| (it.before, it.facts.health)).collect()
}

#[test]
fn each_change_is_told_once_and_a_run_under_way_is_none() {
    use Health::{Failing, Healthy, Interrupted, Late, NeverRun, Paused, Running};

    let mut told = Told::new("stars");
    told.accept(&health(&[("a", Healthy), ("b", NeverRun)]));
    for (words, expected) in [
        ([("a", Healthy), ("b", Running)], &[][..]),
        ([("a", Running), ("b", Healthy)], &[]),
        ([("a", Failing), ("b", Healthy)], &[(Some(Healthy), Failing)]),
        ([("a", Failing), ("b", Late)], &[(Some(Healthy), Late)]),
        ([("a", Running), ("b", Running)], &[]),
        ([("a", Failing), ("b", Late)], &[]),
        ([("a", Healthy), ("b", Interrupted)], &[(Some(Late), Interrupted), (Some(Failing), Healthy)]),
        ([("a", Paused), ("b", Interrupted)], &[(Some(Healthy), Paused)]),
    ] {
        assert_eq!(changes(&told, &words), expected, "{words:?}");
        told.accept(&health(&words));
    }
    let new = [("c", Healthy), ("d", Paused), ("e", Failing)];
    assert_eq!(changes(&told, &new), [(None, Failing)], "only a new resource that fails is news");
}

#[test]
fn what_could_not_be_told_is_told_as_it_is_then() {
    let mut told = Told::new("stars");
    told.accept(&health(&[("a", Health::Healthy)]));
    assert_eq!(changes(&told, &[("a", Health::Late)]).len(), 1);
    assert_eq!(changes(&told, &[("a", Health::Failing)]), [(Some(Health::Healthy), Health::Failing)]);
    assert!(changes(&told, &[("a", Health::Healthy)]).is_empty());
}

#[test]
fn an_interruption_by_the_end_of_the_program_is_not_told() {
    let mut told = Told::new("stars");
    told.accept(&health(&[("a", Health::Healthy), ("b", Health::Healthy)]));
    let message = told.changes_but_interruptions(&health(&[("a", Health::Interrupted), ("b", Health::Failing)]));
    assert_eq!(message.unwrap().changes_total, 1);
}

#[test]
fn the_text_says_what_to_do_and_mentions_nobody() {
    let told = Told::new("stars");
    let message = told.changes(&health(&[("a", Health::Failing)])).unwrap();
    assert_eq!(message.text, "✕ stars: a is failing: ‹!channel› down → wait; never completely read");
}

#[test]
fn a_message_about_very_many_resources_is_bounded_and_counts_all() {
    let names: Vec<String> = (0..1_000).map(|number| format!("r{number}")).collect();
    let words: Vec<_> = names.iter().map(|name| (name.as_str(), Health::Failing)).collect();
    let message = Told::new("stars").changes(&health(&words)).unwrap();
    assert_eq!((message.changes_total, message.changes.len()), (1_000, 100));
    assert!(message.text.ends_with("and 990 more: `status` lists them"), "{}", message.text);
    assert!(message.json().len() < 100_000);
}

#[test]
fn pauses_double_up_to_five_minutes() {
    let seconds: Vec<u64> = [1, 2, 3, 9, 10, 99].map(|failures| pause_after(failures).as_secs()).to_vec();
    assert_eq!(seconds, [1, 2, 4, 256, 300, 300]);
}

#[test]
fn a_database_that_cannot_be_used_is_told_of_the_connector() {
    let mut told = Told::new("stars");
    let mut broken = health(&[("a", Health::Healthy)]);
    told.accept(&broken);
    broken.facts.health = Health::Failing;
    let message = told.changes(&broken).unwrap();
    assert_eq!((message.changes_total, &message.changes[0].resource), (1, &None));
    told.accept(&broken);
    assert_eq!(told.changes(&broken), None);
    let mut next = Told::new("stars");
    next.begin(Some(&told.kept()), &broken);
    assert_eq!(next.changes(&broken), None, "the process before has told it");
    let over = told.changes(&health(&[("a", Health::Healthy)])).unwrap();
    assert_eq!(over.text, "✓ stars: the connector is healthy (was failing)");
    let error = crate::Error::unavailable("cannot log in").with_help("check the key");
    let outage = Told::new("stars").outage(&error);
    assert_eq!(outage.text, "✕ stars: the connector is failing: cannot log in → check the key; never completely read");
}

#[test]
fn what_was_told_outlives_the_process_and_what_a_run_continues_is_no_news() {
    use Health::{Failing, Healthy, Interrupted, Late, Paused};

    let mut told = Told::new("stars");
    let first = health(&[("a", Healthy), ("b", Failing), ("c", Paused)]);
    told.begin(None, &first);
    assert_eq!(changes(&told, &[("a", Healthy), ("b", Failing), ("c", Paused)]), [(None, Failing)]);
    told.accept(&first);
    let kept = told.kept();
    assert_eq!(kept, serde_json::json!({"b": "failing"}));

    let mut next = Told::new("stars");
    next.begin(Some(&kept), &health(&[("a", Interrupted), ("b", Failing), ("c", Late)]));
    let now = [("a", Interrupted), ("b", Failing), ("c", Late)];
    assert_eq!(changes(&next, &now), [(None, Late)], "a is continued, and b was told");
    next.accept(&health(&now));
    assert!(changes(&next, &[("a", Healthy), ("b", Failing), ("c", Late)]).is_empty());
    assert_eq!(
        changes(&next, &[("a", Failing), ("b", Healthy), ("c", Late)]),
        [(None, Failing), (Some(Failing), Healthy)]
    );
    next.accept(&health(&[("a", Healthy), ("b", Healthy), ("c", Healthy)]));
    assert_eq!(next.kept(), serde_json::json!({}));
    assert_eq!(changes(&next, &[("a", Interrupted)]), [(Some(Healthy), Interrupted)], "this process has seen it run");

    let mut other = Told::new("stars");
    other.begin(
        Some(&serde_json::json!({"a": "unwell", "b": 7, "gone": "failing"})),
        &health(&[("a", Healthy), ("b", Late)]),
    );
    assert_eq!(changes(&other, &[("a", Healthy), ("b", Late)]), [(None, Late)], "an unusable entry is none");
    assert_eq!(other.kept(), serde_json::json!({}));
}
