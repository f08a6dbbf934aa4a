//! The suites over lists that are read in other ways than those of the helpdesk.

use std::sync::atomic::{AtomicI64, Ordering};

use serde_json::json;
use snowfeed::jiff::{SignedDuration, Timestamp};
use snowfeed::rest::{Order, Paginate, RestSource, Since, Stream, StreamType};
use snowfeed::testkit::conformance::SourceCase;
use snowfeed::testkit::mock_api::{Fault, MockApi, Paging};
use snowfeed::{Resource, Settings};

use crate::support::{api, at, patient};

/// A list by numbered links that is asked for again from the last version, one without an order, one of immutable records with the newest
/// first, one that is read whole, and children by offset.
fn case() -> SourceCase {
    let mock = MockApi::start();
    let tickets = mock.list("/tickets").since("since", "updated_at").sort_by("updated_at");
    let tickets = tickets.paging(Paging::links("page").size(4)).lookup();
    let notes = mock.list("/notes").since("since", "changed").paging(Paging::page_number("page").size(3).more("/more"));
    let events = mock.list("/events").sort_by_descending("at").paging(Paging::offset("offset").size(5));
    let labels = mock.list("/labels").paging(Paging::cursor("cursor", "/next").size(2));
    let replies = mock.child_list("/tickets/{ticket}/replies", &tickets).paging(Paging::offset("offset").size(2));
    for id in 1..=14_i64 {
        // Several have the same version.
        tickets.insert(json!({"id": id, "subject": "s", "updated_at": at(id / 3)}));
        notes.insert(json!({"id": id, "note": "n", "changed": at(100 - id)}));
        events.insert(json!({"id": id, "event": "e", "at": at(id)}));
        labels.insert(json!({"id": format!("l{id}")}));
        (0..id % 4).for_each(|n| replies.of(id).insert(json!({"id": id * 10 + n, "reply": "r"})));
    }
    mock.fault("*", Fault::status(503).every(9));
    let described = api(&mock)
        .stream(
            Stream::new("tickets", "/tickets")
                .cursor("since")
                .version("/updated_at")
                .order(Order::Version)
                .paginate(Paginate::link())
                .get("/tickets/{key}"),
        )
        .stream(
            Stream::new("notes", "/notes")
                .records("/data")
                .cursor("since")
                .version("/changed")
                .paginate(Paginate::page("page").more("/more")),
        )
        .stream(
            Stream::new("events", "/events?since={since}")
                .kind(StreamType::Append)
                .order(Order::KeyDescending)
                .version("/at")
                .since(Since::new().at("/at"))
                .paginate(Paginate::offset("offset")),
        )
        .stream(Stream::new("labels", "/labels").records("/data").paginate(Paginate::token("/next", "cursor")))
        .stream(
            Stream::new("replies", "/tickets/{parent.id}/replies")
                .parent("tickets")
                .paginate(Paginate::offset("offset")),
        );
    let source = RestSource::new(described).unwrap().retry(patient());
    let next = AtomicI64::new(15);
    SourceCase::new(source, Settings::default(), Resource::new("helpdesk").unwrap()).keeping(mock).changing(move || {
        let id = next.fetch_add(1, Ordering::SeqCst);
        let now = Timestamp::now().checked_add(SignedDuration::from_secs(1)).unwrap().to_string();
        tickets.insert(json!({"id": id, "subject": "new", "updated_at": at(id)}));
        tickets.update(3, json!({"subject": format!("changed {id}"), "updated_at": at(id)}));
        notes.update(2, json!({"note": format!("changed {id}"), "changed": now}));
        events.insert(json!({"id": id, "event": "new", "at": at(id)}));
        labels.insert(json!({"id": format!("l{id}")}));
        replies.of(id).insert(json!({"id": id * 10, "reply": "new"}));
        async {}
    })
}

mod source {
    snowfeed::source_conformance!(super::case());
}

mod delivery {
    snowfeed::delivery_conformance!(super::case());
}
