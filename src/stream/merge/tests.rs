use super::*;
use crate::stream::{Inference, column_name, is_plain};
use ColumnType::{Any, Boolean, Date, Decimal, Float, Integer, Json, Present, Text, Timestamp};
use proptest::prelude::*;

const TYPES: [ColumnType; 9] = [Text, Integer, Decimal, Float, Boolean, Timestamp, Date, Json, Any];

fn inferred(name: &str, path: &str, kind: ColumnType) -> Column {
    Column { inferred: Inferred::All, ..Column::new(name, path.parse().unwrap(), kind) }
}

fn stream(columns: &[Column]) -> StreamSpec {
    let mut stream = StreamSpec::new("tickets").infer_columns();
    stream.columns.extend(columns.iter().cloned());
    stream
}

fn merged_columns(before: &[Column], stream: &StreamSpec) -> Vec<Column> {
    stream.merged_columns(before)
}

/// The columns as `name path type`.
fn shown(columns: &[Column]) -> Vec<String> {
    columns.iter().map(|column| format!("{} {} {:?}", column.name, column.path, column.kind)).collect()
}

#[test]
fn types_widen_in_any_order() {
    for a in TYPES {
        assert_eq!((a.widened(a), a.widened(Any)), (a, Any));
        for b in TYPES {
            assert_eq!(a.widened(b), b.widened(a));
            assert_eq!(a.widened(b).widened(b), a.widened(b));
            for c in TYPES {
                assert_eq!(a.widened(b).widened(c), a.widened(b.widened(c)));
            }
        }
    }
    for (a, b, wider) in [
        (Integer, Float, Float),
        (Integer, Decimal, Decimal),
        (Decimal, Float, Float),
        (Timestamp, Date, Text),
        (Date, Text, Text),
        (Integer, Text, Any),
        (Boolean, Integer, Any),
        (Json, Text, Any),
    ] {
        assert_eq!(a.widened(b), wider, "{a:?} {b:?}");
    }
}

#[test]
fn a_member_gets_a_plain_name() {
    for (member, name) in [
        ("created_at", "created_at"),
        ("_id", "_id"),
        ("a__b", "a__b"),
        ("createdAt", "created_at"),
        ("HTTPServer", "http_server"),
        ("userID", "user_id"),
        ("address2Line", "address2_line"),
        ("Due date (UTC)", "due_date_utc"),
        ("$ref", "ref"),
        ("2fa", "_2fa"),
        ("größe", "gr_e"),
        ("名前", "column"),
    ] {
        assert_eq!(column_name(member), name, "{member}");
    }
}

#[test]
fn inferred_columns_follow_the_others_and_stay_where_they_are() {
    let declared = Column::new("id", "id".parse().unwrap(), Integer);
    let one = stream(&[declared.clone(), inferred("a", "a", Integer), inferred("b", "b", Text)]);
    let before = merged_columns(&[], &one);
    assert_eq!(shown(&before), ["id id Integer", "a a Integer", "b b Text"]);
    // What a restarted program ensures first, and what it has learned in another order.
    assert_eq!(merged_columns(&before, &stream(std::slice::from_ref(&declared))), before);
    let two = stream(&[declared, inferred("c", "c", Date), inferred("b", "b", Text), inferred("a", "a", Text)]);
    let after = merged_columns(&before, &two);
    assert_eq!(shown(&after), ["id id Integer", "a a Any", "b b Text", "c c Date"]);
    assert_eq!(merged_columns(&after, &one), after, "a type never becomes narrower");
}

#[test]
fn a_name_that_is_taken_gets_a_number() {
    let all = stream(&[
        inferred("raw", "raw", Text),
        inferred("created_at", "created_at", Text),
        inferred("created_at", "createdAt", Date),
        inferred("created_at", "\"Created at\"", Text),
    ]);
    let merged = merged_columns(&[], &all);
    assert_eq!(
        shown(&merged),
        ["raw_2 raw Text", "created_at created_at Text", "created_at_2 createdAt Date", "created_at_3 Created at Text"]
    );
    // A path keeps its name, whatever another program has called it.
    let other = stream(&[inferred("created_at", "createdAt", Date), inferred("created_at_2", "created_at", Text)]);
    assert_eq!(merged_columns(&merged, &other), merged);
    let child = StreamSpec { columns: all.columns, ..StreamSpec::child("comments", "tickets") };
    let mut child = StreamSpec { inference: Inference { members: true, ..Inference::default() }, ..child };
    child.columns.push(inferred("parent_key", "parent_key", Text));
    assert_eq!(shown(&merged_columns(&[], &child))[4], "parent_key_2 parent_key Text");
}

#[test]
fn declared_columns_win_by_name_and_by_path() {
    let spec = StreamSpec::new("tickets").column("author", "user.login", Text).infer_column("body", "text");
    let spec = spec.infer_columns();
    let mut learned = spec.clone();
    learned.columns.extend([
        inferred("author", "author", Json),
        inferred("login", "user.login", Integer),
        inferred("body", "body", Text),
        inferred("text", "text", Text),
        Column { inferred: Inferred::Type, ..Column::new("body", "text".parse().unwrap(), Integer) },
    ]);
    let merged = merged_columns(&[], &learned);
    assert_eq!(shown(&merged), ["author user.login Text", "body text Integer"]);
    // A column that was inferred before stays.
    let before = [inferred("body", "body", Text), inferred("login", "user.login", Text)];
    assert_eq!(
        shown(&merged_columns(&before, &learned)),
        ["author user.login Text", "body text Integer", "login user.login Text"]
    );
    let has_login = [Column::new("has_login", "login".parse().unwrap(), Present)];
    let learned = stream(&[inferred("login", "login", Text)]);
    assert_eq!(shown(&merged_columns(&has_login, &learned)), ["has_login login Present", "login login Text"]);
}

#[test]
fn a_column_that_is_declared_no_more_is_inferred_on() {
    let before = [Column::new("size", "size".parse().unwrap(), Integer)];
    let merged = merged_columns(&before, &stream(&[inferred("size", "size", Text)]));
    assert_eq!(shown(&merged), ["size size Any"]);
}

#[test]
fn columns_are_stored_as_before_unless_they_are_inferred() {
    let declared = Column::new("id", "id".parse().unwrap(), Integer);
    assert_eq!(serde_json::to_string(&declared).unwrap(), r#"{"name":"id","path":"id","kind":"integer"}"#);
    let all = inferred("id", "id", Decimal);
    let json = serde_json::to_string(&all).unwrap();
    assert_eq!(json, r#"{"name":"id","path":"id","kind":"decimal","inferred":"all"}"#);
    assert_eq!(serde_json::from_str::<Column>(&json).unwrap(), all);
}

proptest! {
    #[test]
    fn every_member_has_a_plain_name(member in ".{0,200}") {
        prop_assert!(is_plain(&column_name(&member)));
    }

    #[test]
    fn programs_with_different_records_agree_on_types(
        a in proptest::collection::vec((0..6_usize, 0..TYPES.len()), 0..8),
        b in proptest::collection::vec((0..6_usize, 0..TYPES.len()), 0..8),
    ) {
        let paths = ["a", "A", "\"a b\"", "aB", "raw", "c"];
        let learned = |of: &[(usize, usize)]| {
            let columns = of.iter().map(|&(path, kind)| {
                inferred(&column_name(paths[path].trim_matches('"')), paths[path], TYPES[kind])
            });
            stream(&columns.collect::<Vec<_>>())
        };
        let (a, b) = (learned(&a), learned(&b));
        let types = |columns: Vec<Column>| {
            let mut types: Vec<_> = columns.iter().map(|c| format!("{} {:?}", c.path, c.kind)).collect();
            types.sort();
            types
        };
        let one = merged_columns(&merged_columns(&[], &a), &b);
        let two = merged_columns(&merged_columns(&[], &b), &a);
        let mut names: Vec<_> = one.iter().map(|column| &column.name).collect();
        names.sort();
        names.dedup();
        prop_assert_eq!(names.len(), one.len());
        prop_assert_eq!(&merged_columns(&one, &a), &one);
        prop_assert_eq!(types(one), types(two));
    }
}
