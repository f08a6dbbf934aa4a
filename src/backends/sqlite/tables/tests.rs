//! The names of views.

use crate::backends::Sqlite;
use crate::{Resource, Sink, SourceSpec, StreamSpec};

/// The streams of a source, as a connector passes them.
fn declared(streams: impl IntoIterator<Item = StreamSpec>) -> Vec<StreamSpec> {
    let mut spec = SourceSpec { streams: streams.into_iter().collect(), ..SourceSpec::new("mock", "1") };
    spec.assign_resource_names();
    spec.streams
}

async fn ensure(sqlite: &Sqlite, resource: &str, streams: &[StreamSpec]) {
    sqlite.ensure_streams(&Resource::new(resource).unwrap(), streams).await.unwrap();
}

/// The views over resources, with the resource and the stream of each.
async fn views(sqlite: &Sqlite) -> Vec<String> {
    let views = sqlite.run(|connection| {
        let mut find = connection.prepare(
            "SELECT v.name || ' = ' || r.name || ': ' || s.name FROM sqlite_schema o JOIN snowfeed_view v ON v.name = o.name \
             JOIN snowfeed_resource r ON r.id = v.resource_id JOIN snowfeed_stream s ON s.id = v.stream_id ORDER BY 1",
        )?;
        Ok(find.query_map([], |row| row.get::<_, String>(0))?.collect::<rusqlite::Result<Vec<_>>>()?)
    });
    views.await.unwrap()
}

#[tokio::test]
async fn the_only_default_stream_takes_the_name_of_the_resource_whatever_is_selected() {
    let streams = declared([StreamSpec::new("issues"), StreamSpec::new("comments").optional()]);
    let expected = ["acme/widgets = acme/widgets: issues", "acme/widgets/comments = acme/widgets: comments"];
    for order in [[0, 1], [1, 0]] {
        let sqlite = Sqlite::in_memory().unwrap();
        for index in order {
            ensure(&sqlite, "acme/widgets", &streams[index..=index]).await;
        }
        assert_eq!(views(&sqlite).await, expected);
        ensure(&sqlite, "acme/widgets", &streams).await;
        assert_eq!(views(&sqlite).await, expected);
    }
}

#[tokio::test]
async fn no_stream_of_several_default_ones_takes_the_name_of_the_resource() {
    let streams = declared([StreamSpec::new("issues"), StreamSpec::new("comments")]);
    let sqlite = Sqlite::in_memory().unwrap();
    ensure(&sqlite, "a", &streams[..1]).await;
    assert_eq!(views(&sqlite).await, ["a/issues = a: issues"]);
    // Deletions of another stream's records have no table.
    let sole = declared([StreamSpec::new("issues"), StreamSpec::deletions_of("deletions", "issues")]);
    ensure(&sqlite, "b", &sole[..1]).await;
    assert_eq!(views(&sqlite).await, ["a/issues = a: issues", "b = b: issues"]);
}

#[tokio::test]
async fn a_view_keeps_its_name_when_the_declaration_changes() {
    let sqlite = Sqlite::in_memory().unwrap();
    ensure(&sqlite, "a", &declared([StreamSpec::new("issues")])).await;
    ensure(&sqlite, "a", &declared([StreamSpec::new("issues"), StreamSpec::new("comments")])).await;
    assert_eq!(views(&sqlite).await, ["a = a: issues", "a/comments = a: comments"]);
    // Another stream has become the default one. The name is taken.
    ensure(&sqlite, "a", &declared([StreamSpec::new("issues").optional(), StreamSpec::new("pulls")])).await;
    assert_eq!(views(&sqlite).await, ["a = a: issues", "a/comments = a: comments", "a/pulls = a: pulls"]);
}

#[tokio::test]
async fn resources_whose_views_would_share_a_name_keep_one_view_each() {
    let streams = declared([StreamSpec::new("issues"), StreamSpec::new("events").optional()]);
    let expected = [
        vec!["a/events = a: events", "a/events/events = a/events: events", "a/events/issues = a/events: issues"],
        vec!["a/events = a/events: issues", "a/events/events = a/events: events", "a^/events = a: events"],
    ];
    for (order, mut expected) in [["a", "a/events"], ["a/events", "a"]].into_iter().zip(expected) {
        let sqlite = Sqlite::in_memory().unwrap();
        for _ in 0..2 {
            for resource in order {
                ensure(&sqlite, resource, &streams).await;
            }
        }
        expected.insert(0, "a = a: issues");
        assert_eq!(views(&sqlite).await, expected, "{order:?}");
    }
}

#[tokio::test]
async fn a_view_whose_name_a_new_stream_takes_returns_under_another() {
    let sqlite = Sqlite::in_memory().unwrap();
    ensure(&sqlite, "events", &declared([StreamSpec::new("issues")])).await;
    let grown = declared([StreamSpec::new("issues"), StreamSpec::new("events").optional()]);
    ensure(&sqlite, "events", &grown).await;
    assert_eq!(views(&sqlite).await, ["^=events = events: issues", "events/events = events: events"]);
}
