//! The contract of [`ConfigStore`].

use futures::future::join_all;
use serde_json::{Value, json};

use super::fixture::{ODD_TEXTS, must};
use super::{Clause, Fresh, dropped_after};
use crate::{ConfigStore, Namespace};

/// Tests a [`ConfigStore`] against its contract: one `#[test]` for each clause, over what the expression makes.
///
/// ```
/// mod configuration {
///     snowfeed::config_store_conformance!(snowfeed::backends::Memory::new());
/// }
/// ```
#[macro_export]
macro_rules! config_store_conformance {
    ($make:expr) => {
        $crate::__config_store_clauses! { __conformance_tests (config_store, dyn $crate::ConfigStore, $make) }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __config_store_clauses {
    ($then:ident $with:tt) => {
        $crate::$then! { $with
            clause_1_get_gives_what_the_last_put_stored
            clause_1_a_removed_key_is_gone
            clause_2_the_domains_are_apart
            clause_3_list_gives_every_entry_ordered_by_key
            clause_4_put_and_remove_are_repeatable
            clause_4_puts_side_by_side_are_atomic
            clause_4_a_dropped_put_has_happened_wholly_or_not_at_all
            clause_5_any_text_is_a_legal_key
            clause_5_values_come_back_equal
            clause_6_a_snapshot_is_what_list_gives
        }
    };
}

/// All checks.
pub fn clauses() -> Vec<Clause<dyn ConfigStore>> {
    crate::__config_store_clauses! { __conformance_list () }
}

const DOMAIN: Namespace = Namespace::Connector;

/// What was put last counts; what was never put is `None`.
async fn clause_1_get_gives_what_the_last_put_stored(fresh: Fresh<dyn ConfigStore>) {
    let store = fresh.make().await;
    assert_eq!(must(store.get(DOMAIN, "url").await), None);
    for value in [json!("one"), json!({"two": 2})] {
        must(store.put(DOMAIN, "url", &value).await);
        assert_eq!(must(store.get(DOMAIN, "url").await), Some(value));
    }
}

/// `remove` says whether there was something, and then there is nothing.
async fn clause_1_a_removed_key_is_gone(fresh: Fresh<dyn ConfigStore>) {
    let store = fresh.make().await;
    must(store.put(DOMAIN, "url", &json!(1)).await);
    must(store.put(DOMAIN, "kept", &json!(2)).await);
    assert!(must(store.remove(DOMAIN, "url").await));
    assert_eq!(must(store.get(DOMAIN, "url").await), None);
    assert_eq!(must(store.list(DOMAIN).await), [("kept".to_owned(), json!(2))]);
}

/// The same key in both domains is two entries.
async fn clause_2_the_domains_are_apart(fresh: Fresh<dyn ConfigStore>) {
    let store = fresh.make().await;
    must(store.put(Namespace::Connector, "key", &json!("connector")).await);
    assert_eq!(must(store.get(Namespace::Resource, "key").await), None);
    must(store.put(Namespace::Resource, "key", &json!("resource")).await);
    assert_eq!(must(store.get(Namespace::Connector, "key").await), Some(json!("connector")));
    assert!(must(store.remove(Namespace::Connector, "key").await));
    assert_eq!(must(store.list(Namespace::Resource).await), [("key".to_owned(), json!("resource"))]);
}

/// `list` gives everything once, in the order of the keys' bytes.
async fn clause_3_list_gives_every_entry_ordered_by_key(fresh: Fresh<dyn ConfigStore>) {
    let store = fresh.make().await;
    assert_eq!(must(store.list(DOMAIN).await), []);
    let mut expected = Vec::new();
    for (n, key) in ODD_TEXTS.iter().enumerate() {
        must(store.put(DOMAIN, key, &json!(n)).await);
        expected.push(((*key).to_owned(), json!(n)));
    }
    expected.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(must(store.list(DOMAIN).await), expected);
}

/// Doing it twice is like doing it once.
async fn clause_4_put_and_remove_are_repeatable(fresh: Fresh<dyn ConfigStore>) {
    let store = fresh.make().await;
    for _ in 0..2 {
        must(store.put(DOMAIN, "url", &json!(1)).await);
        assert_eq!(must(store.list(DOMAIN).await), [("url".to_owned(), json!(1))]);
    }
    assert!(must(store.remove(DOMAIN, "url").await));
    assert!(!must(store.remove(DOMAIN, "url").await), "there was nothing to remove");
    assert_eq!(must(store.list(DOMAIN).await), []);
}

/// Of values that are put side by side, one is there in the end, whole.
async fn clause_4_puts_side_by_side_are_atomic(fresh: Fresh<dyn ConfigStore>) {
    let store = fresh.make().await;
    let values: Vec<Value> = (0..8).map(|n| json!(n.to_string().repeat(1_000))).collect();
    let tasks = values.iter().cloned().map(|value| {
        let store = std::sync::Arc::clone(&store);
        tokio::spawn(async move { store.put(DOMAIN, "url", &value).await })
    });
    for joined in join_all(tasks).await {
        must(joined.expect("no panic"));
    }
    let last = must(store.get(DOMAIN, "url").await).expect("a value");
    assert!(values.contains(&last), "{last}");
    assert_eq!(must(store.list(DOMAIN).await).len(), 1);
}

/// A dropped future has stored its value, or the old one is there.
async fn clause_4_a_dropped_put_has_happened_wholly_or_not_at_all(fresh: Fresh<dyn ConfigStore>) {
    for polls in 0..6 {
        let store = fresh.make().await;
        must(store.put(DOMAIN, "url", &json!("old")).await);
        let stored = dropped_after(polls, store.put(DOMAIN, "url", &json!("new"))).await;
        let value = must(store.get(DOMAIN, "url").await);
        match stored {
            Some(result) => {
                must(result);
                assert_eq!(value, Some(json!("new")));
            }
            None => assert!([Some(json!("new")), Some(json!("old"))].contains(&value), "{value:?}"),
        }
    }
}

/// Keys that look alike have values of their own.
async fn clause_5_any_text_is_a_legal_key(fresh: Fresh<dyn ConfigStore>) {
    let store = fresh.make().await;
    for key in ODD_TEXTS.iter().chain(&["", " "]) {
        must(store.put(DOMAIN, key, &json!(key)).await);
    }
    for key in ODD_TEXTS.iter().chain(&["", " "]) {
        assert_eq!(must(store.get(DOMAIN, key).await), Some(json!(key)), "the value of {key:?}");
    }
}

/// Every JSON value is stored as it is, null among them.
async fn clause_5_values_come_back_equal(fresh: Fresh<dyn ConfigStore>) {
    let store = fresh.make().await;
    for value in [
        Value::Null,
        json!(true),
        json!(0),
        json!(-1.5),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(""),
        json!(ODD_TEXTS),
        json!({"nested": {"list": [1, null, {"deep": []}], "": {}}}),
        json!("x".repeat(65_536)),
    ] {
        must(store.put(DOMAIN, "key", &value).await);
        assert_eq!(must(store.get(DOMAIN, "key").await), Some(value));
    }
}

/// Both domains at once.
async fn clause_6_a_snapshot_is_what_list_gives(fresh: Fresh<dyn ConfigStore>) {
    let store = fresh.make().await;
    for key in ["b", "a\0"] {
        must(store.put(Namespace::Connector, key, &json!({"of": key})).await);
    }
    must(store.put(Namespace::Resource, "b", &json!([1.5, null])).await);
    let snapshot = must(store.snapshot().await);
    assert_eq!(snapshot.connector, must(store.list(Namespace::Connector).await));
    assert_eq!(snapshot.resources, must(store.list(Namespace::Resource).await));
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_check_is_listed() {
        super::super::assert_complete(include_str!("config_store.rs"), &super::clauses());
    }
}
