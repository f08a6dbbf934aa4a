//! The contract of [`ConfigStore`].

use futures::future::join_all;
use serde_json::{Value, json};

use super::fixture::{ODD_TEXTS, must};
use super::{Clause, Fresh, dropped_after};
use crate::{ConfigStore, Namespace};

/// Tests a [`ConfigStore`] against its contract: one `#[test]` for each clause, over the store that the expression returns.
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
            clause_1_get_returns_what_the_last_put_stored
            clause_1_a_removed_key_is_gone
            clause_2_namespaces_do_not_share_keys
            clause_3_list_returns_every_entry_ordered_by_key
            clause_4_put_and_remove_are_idempotent
            clause_4_concurrent_puts_are_atomic
            clause_4_a_dropped_put_is_applied_entirely_or_not_at_all
            clause_5_any_text_is_a_legal_key
            clause_5_values_come_back_equal
            clause_6_a_snapshot_is_what_list_returns
        }
    };
}

/// All checks.
pub fn clauses() -> Vec<Clause<dyn ConfigStore>> {
    crate::__config_store_clauses! { __conformance_list () }
}

const NAMESPACE: Namespace = Namespace::Connector;

/// `get` returns the last value; a key without a value returns `None`.
async fn clause_1_get_returns_what_the_last_put_stored(fresh: Fresh<dyn ConfigStore>) {
    let store = fresh.make().await;
    assert_eq!(must(store.get(NAMESPACE, "url").await), None);
    for value in [json!("one"), json!({"two": 2})] {
        must(store.put(NAMESPACE, "url", &value).await);
        assert_eq!(must(store.get(NAMESPACE, "url").await), Some(value));
    }
}

/// `remove` removes the key, and returns whether it existed.
async fn clause_1_a_removed_key_is_gone(fresh: Fresh<dyn ConfigStore>) {
    let store = fresh.make().await;
    must(store.put(NAMESPACE, "url", &json!(1)).await);
    must(store.put(NAMESPACE, "kept", &json!(2)).await);
    assert!(must(store.remove(NAMESPACE, "url").await));
    assert_eq!(must(store.get(NAMESPACE, "url").await), None);
    assert_eq!(must(store.list(NAMESPACE).await), [("kept".to_owned(), json!(2))]);
}

/// The same key in both namespaces is two entries.
async fn clause_2_namespaces_do_not_share_keys(fresh: Fresh<dyn ConfigStore>) {
    let store = fresh.make().await;
    must(store.put(Namespace::Connector, "key", &json!("connector")).await);
    assert_eq!(must(store.get(Namespace::Resource, "key").await), None);
    must(store.put(Namespace::Resource, "key", &json!("resource")).await);
    assert_eq!(must(store.get(Namespace::Connector, "key").await), Some(json!("connector")));
    assert!(must(store.remove(Namespace::Connector, "key").await));
    assert_eq!(must(store.list(Namespace::Resource).await), [("key".to_owned(), json!("resource"))]);
}

/// `list` returns every entry once, ordered by the bytes of the keys.
async fn clause_3_list_returns_every_entry_ordered_by_key(fresh: Fresh<dyn ConfigStore>) {
    let store = fresh.make().await;
    assert_eq!(must(store.list(NAMESPACE).await), []);
    let mut expected = Vec::new();
    for (n, key) in ODD_TEXTS.iter().enumerate() {
        must(store.put(NAMESPACE, key, &json!(n)).await);
        expected.push(((*key).to_owned(), json!(n)));
    }
    expected.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(must(store.list(NAMESPACE).await), expected);
}

/// Repeating `put` or `remove` has no further effect.
async fn clause_4_put_and_remove_are_idempotent(fresh: Fresh<dyn ConfigStore>) {
    let store = fresh.make().await;
    for _ in 0..2 {
        must(store.put(NAMESPACE, "url", &json!(1)).await);
        assert_eq!(must(store.list(NAMESPACE).await), [("url".to_owned(), json!(1))]);
    }
    assert!(must(store.remove(NAMESPACE, "url").await));
    assert!(!must(store.remove(NAMESPACE, "url").await), "`remove` returned true for a missing key");
    assert_eq!(must(store.list(NAMESPACE).await), []);
}

/// Of concurrently put values, exactly one is stored in the end, and intact.
async fn clause_4_concurrent_puts_are_atomic(fresh: Fresh<dyn ConfigStore>) {
    let store = fresh.make().await;
    let values: Vec<Value> = (0..8).map(|n| json!(n.to_string().repeat(1_000))).collect();
    let tasks = values.iter().cloned().map(|value| {
        let store = std::sync::Arc::clone(&store);
        tokio::spawn(async move { store.put(NAMESPACE, "url", &value).await })
    });
    for joined in join_all(tasks).await {
        must(joined.expect("the task panicked"));
    }
    let last = must(store.get(NAMESPACE, "url").await).expect("a value is stored");
    assert!(values.contains(&last), "{last}");
    assert_eq!(must(store.list(NAMESPACE).await).len(), 1);
}

/// After a dropped future, either the new or the old value is stored.
async fn clause_4_a_dropped_put_is_applied_entirely_or_not_at_all(fresh: Fresh<dyn ConfigStore>) {
    for polls in 0..6 {
        let store = fresh.make().await;
        must(store.put(NAMESPACE, "url", &json!("old")).await);
        let stored = dropped_after(polls, store.put(NAMESPACE, "url", &json!("new"))).await;
        let value = must(store.get(NAMESPACE, "url").await);
        match stored {
            Some(result) => {
                must(result);
                assert_eq!(value, Some(json!("new")));
            }
            None => assert!([Some(json!("new")), Some(json!("old"))].contains(&value), "{value:?}"),
        }
    }
}

/// Similar keys have separate values.
async fn clause_5_any_text_is_a_legal_key(fresh: Fresh<dyn ConfigStore>) {
    let store = fresh.make().await;
    for key in ODD_TEXTS.iter().chain(&["", " "]) {
        must(store.put(NAMESPACE, key, &json!(key)).await);
    }
    for key in ODD_TEXTS.iter().chain(&["", " "]) {
        assert_eq!(must(store.get(NAMESPACE, key).await), Some(json!(key)), "the value of {key:?}");
    }
}

/// Every JSON value, including null, comes back unchanged.
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
        must(store.put(NAMESPACE, "key", &value).await);
        assert_eq!(must(store.get(NAMESPACE, "key").await), Some(value));
    }
}

/// `snapshot` returns both namespaces.
async fn clause_6_a_snapshot_is_what_list_returns(fresh: Fresh<dyn ConfigStore>) {
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
