use super::scan::{MAX_COLUMNS, MAX_MEMBER};
use super::*;
use crate::{ColumnType, Version};
use proptest::prelude::*;
use serde_json::{Value, json};

/// What these documents teach about a stream, as `name path type`.
fn learned(stream: &StreamSpec, documents: &[&str]) -> Vec<String> {
    let inference = ColumnInference::new(stream).unwrap();
    let record = |text: &&str| Record::upsert("k", Version::NONE, (*text).to_owned());
    inference.observe(&documents.iter().map(record).collect::<Vec<_>>());
    let columns = inference.changed().unwrap_or_default();
    assert_eq!(inference.changed(), None);
    columns.iter().map(|column| format!("{} {} {:?}", column.name, column.path, column.kind)).collect()
}

fn all() -> StreamSpec {
    StreamSpec::new("tickets").infer_columns()
}

#[test]
fn each_member_with_a_value_becomes_a_column() {
    let document = r#"{"id":7,"createdAt":"2026-01-31T10:00:00.5Z","due":"2026-02-28","price":1.5,"done":false,
        "user":{"login":"a"},"tags":[1],"title":"x\n","nothing":null,"":1,"huge":99999999999999999999,"out":1e999}"#;
    assert_eq!(
        learned(&all(), &[document]),
        [
            "id id Integer",
            "created_at createdAt Timestamp",
            "due due Date",
            "price price Float",
            "done done Boolean",
            "user user Json",
            "tags tags Json",
            "title title Text",
            "huge huge Float",
            "out out Float"
        ]
    );
    for other in ["[1]", "7", "null", "\"text\"", "{}", "{oops", ""] {
        assert_eq!(learned(&all(), &[other]), [""; 0], "{other}");
    }
    assert_eq!(learned(&all(), &[r#"{"a":1,"b":"#, r#"{"c":2}"#]), ["a a Integer", "c c Integer"]);
}

#[test]
fn a_type_widens_and_never_narrows() {
    for (values, kind) in [
        (&["1", "2", "null"][..], "Integer"),
        (&["1", "2.0"], "Float"),
        (&["1", "9223372036854775808"], "Float"),
        (&["1", "\"1\""], "Any"),
        (&["\"2026-01-31\"", "\"2026-01-31T00:00:00Z\""], "Text"),
        (&["\"2026-01-31\"", "\"\""], "Text"),
        (&["\"\"", "\"2026-01-31\""], "Text"),
        (&["true", "0"], "Any"),
        (&["[]", "{}"], "Json"),
        (&["[]", "1"], "Any"),
    ] {
        let documents: Vec<String> = values.iter().map(|value| format!("{{\"v\":{value}}}")).collect();
        let documents: Vec<&str> = documents.iter().map(String::as_str).collect();
        assert_eq!(learned(&all(), &documents), [format!("v v {kind}")], "{values:?}");
    }
}

#[test]
fn a_text_is_a_time_only_if_every_view_reads_it_as_one() {
    use ColumnType::{Date, Text, Timestamp};
    for (text, kind) in [
        ("2026-01-31", Date),
        ("2026-02-29", Text),
        ("0000-01-31", Text),
        ("2026-1-31", Text),
        ("20260131", Text),
        ("+002026-01-31", Text),
        ("2026-01-31T10:00:00Z", Timestamp),
        ("2026-01-31t10:00:00z", Timestamp),
        ("2026-01-31 10:00:00+02:00", Timestamp),
        ("2026-01-31T10:00:00.123456789-11:30", Timestamp),
        ("2026-01-31T10:00:00", Text),
        ("2026-01-31T10:00Z", Text),
        ("2026-01-31T24:00:00Z", Text),
        ("2026-01-31T10:00:60Z", Text),
        ("2026-01-31T10:00:00.Z", Text),
        ("2026-01-31T10:00:00+0200", Text),
        ("2026-01-31T10:00:00+02:00[Europe/Paris]", Text),
        ("2026-02-30T10:00:00Z", Text),
        ("2026-01-31é10:00:00Z", Text),
        ("ééééé", Text),
        ("now", Text),
    ] {
        let document = json!({ "v": text }).to_string();
        assert_eq!(learned(&all(), &[&document]), [format!("v v {kind:?}")], "{text}");
    }
}

#[test]
fn columns_come_from_below_an_object_if_so_declared() {
    let document = r#"{"id":"1","properties":{"email":"x","hs_object_id":"7"},"archived":false}"#;
    let below = StreamSpec::new("contacts").infer_columns_below("properties");
    assert_eq!(
        learned(&below, &[document, r#"{"properties":null}"#, r#"{"properties":[1]}"#]),
        ["email properties.email Text", "hs_object_id properties.hs_object_id Text"]
    );
    assert_eq!(
        learned(&below.infer_columns(), &[document]),
        [
            "id id Text",
            "email properties.email Text",
            "hs_object_id properties.hs_object_id Text",
            "archived archived Boolean"
        ]
    );
}

#[test]
fn declared_columns_are_not_inferred_and_untyped_ones_get_a_type() {
    let stream = all()
        .column("number", "number", ColumnType::Text)
        .column("has_body", "body", ColumnType::Present)
        .infer_column("author", "user.login")
        .infer_column("labels", "labels[*].name")
        .infer_column("phone", "user.phone");
    let documents = [r#"{"number":1,"body":"x","user":{"login":"a"},"labels":[{"name":"bug"}]}"#, r#"{"user":"b"}"#];
    let expected = [
        "author user.login Text",
        "labels labels[*].name Json",
        "labels labels Json",
        "user user Any",
        "body body Text",
    ];
    let mut found = learned(&stream, &documents);
    let sorted = |mut columns: Vec<String>| {
        columns.sort();
        columns
    };
    found = sorted(found);
    assert_eq!(found, sorted(expected.map(str::to_owned).to_vec()));
    let inference = ColumnInference::new(&stream).unwrap();
    inference.observe(&[Record::upsert("k", Version::NONE, documents[0])]);
    assert_eq!((inference.missing(1), inference.missing(2)), (vec!["tickets.phone".to_owned()], vec![]));
    assert!(ColumnInference::new(&StreamSpec::new("tickets").column("a", "a", ColumnType::Text)).is_none());
}

#[test]
fn the_member_with_the_name_itself_gets_it() {
    let expected = ["due_date due_date Integer", "due_date Due date Integer", "due_date dueDate Integer"];
    for document in [r#"{"dueDate":1,"Due date":2,"due_date":3}"#, r#"{"Due date":2,"due_date":3,"dueDate":1}"#] {
        assert_eq!(learned(&all(), &[document]), expected);
    }
}

#[test]
fn the_number_of_columns_is_bounded() {
    let many: serde_json::Map<String, Value> = (0..1_000).map(|n| (format!("m{n}"), n.into())).collect();
    let inference = ColumnInference::new(&all()).unwrap();
    inference.observe(&[Record::upsert("k", Version::NONE, Value::from(many).to_string())]);
    assert_eq!(inference.changed().unwrap().len(), MAX_COLUMNS);
    assert!(inference.has_left_out() && inference.is_first_report() && !inference.is_first_report());
    let long = format!("{{\"{}\":1}}", "x".repeat(MAX_MEMBER + 1));
    assert_eq!(learned(&all(), &[&long]), [""; 0]);
}

/// Any JSON value, a few levels deep.
fn value() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        ".{0,12}",
        Just("2026-01-31".to_owned()),
        Just("2026-01-31T01:02:03Z".to_owned()),
        "[0-9T:Z.+ -]{0,25}"
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 6, |inner| {
        let key = prop_oneof!["[a-dA-D_ ]{0,3}", ".{0,8}"];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(key, inner, 0..6)
                .prop_map(|members| members.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

proptest! {
    #[test]
    fn the_order_of_documents_does_not_matter(documents in proptest::collection::vec(value(), 0..8), seed in any::<u64>()) {
        let stream = all().infer_columns_below("a").infer_column("deep", "b.c");
        let texts: Vec<String> = documents.iter().map(Value::to_string).collect();
        let mut order: Vec<&str> = texts.iter().map(String::as_str).collect();
        let mut one = learned(&stream, &order);
        order.sort_by_key(|text| crate::record::content_hash(&format!("{seed}{text}")));
        let mut two = learned(&stream, &order);
        one.sort();
        two.sort();
        prop_assert_eq!(one, two);
    }

    #[test]
    fn no_document_is_a_failure(document in ".{0,80}", json in value()) {
        let cut = json.to_string();
        let cut = &cut[..cut.floor_char_boundary(cut.len() / 2)];
        learned(&all().infer_columns_below("a"), &[&document, cut]);
    }

    #[test]
    fn every_value_fits_the_type_of_its_column(documents in proptest::collection::vec(value(), 1..6)) {
        let texts: Vec<String> = documents.iter().map(Value::to_string).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let columns: Vec<Column> = {
            let inference = ColumnInference::new(&all()).unwrap();
            let record = |text: &&str| Record::upsert("k", Version::NONE, (*text).to_owned());
            inference.observe(&texts.iter().map(record).collect::<Vec<_>>());
            inference.changed().unwrap_or_default()
        };
        for (member, value) in documents.iter().filter_map(Value::as_object).flatten() {
            if value.is_null() || member.is_empty() {
                continue;
            }
            let path = crate::JsonPath::of_members([member.as_str()]);
            let column = columns.iter().find(|column| column.path == path).expect("a column");
            prop_assert!(crate::engine::columns::fits(value, column.kind), "{value} {:?}", column.kind);
        }
    }
}
