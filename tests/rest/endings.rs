//! What ends a list: flags, the number of pages, and what shows that a list does not end.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};
use snowfeed::rest::{Action, Api, ApiFile};
use snowfeed::testkit::mock_api::{MockApi, MockRequest, MockResponse};
use snowfeed::{Batch, Error, ErrorKind};

use crate::support::{connect, keys};

/// A description of the list `/t` with records at `/data` that continues as this says.
fn described(mock: &MockApi, paginate: &str) -> Api {
    let text = format!(
        "name = \"helpdesk\"\nbase_url = \"{}\"\n[[stream]]\nname = \"t\"\npath = \"/t?per_page=10\"\nrecords = \"/data\"\n\
         order = \"key\"\npaginate = {paginate}\n",
        mock.url()
    );
    match ApiFile::parse(&text, "helpdesk.toml") {
        Ok(file) => file.api,
        Err(error) => panic!("{error}: {:?}", error.help()),
    }
}

async fn read(mock: &MockApi, paginate: &str) -> Result<Vec<Batch>, Error> {
    connect(described(mock, paginate)).await.read("t", None).await
}

/// The records of a page, from 1, of `size` each.
fn page(number: u64, size: u64, all: u64) -> Vec<Value> {
    (1..=all).skip(usize::try_from((number - 1) * size).unwrap()).take(10).map(|id| json!({"id": id})).collect()
}

fn number(request: &MockRequest) -> u64 {
    request.query("page").map_or(1, |page| page.parse().unwrap())
}

/// 25 records on three pages. Beyond the last one, the server does what `beyond` says.
fn pages(mock: &MockApi, member: &'static str, beyond: fn() -> Option<MockResponse>) {
    mock.route("/t", move |request| {
        let number = number(request);
        let asked = if number > 3 { beyond().map_or(Ok(3), Err) } else { Ok(number) };
        match asked {
            Ok(number) => MockResponse::json(&json!({"data": page(number, 10, 25), "page": number, member: 3})),
            Err(answer) => answer,
        }
    });
}

#[tokio::test]
async fn a_flag_that_is_true_on_the_last_page_has_no_other_value() {
    let value = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    for (open, last) in
        [("false", "true"), ("0", "1"), ("\"false\"", "\"true\""), ("null", "true"), ("\"FALSE\"", "\"True\"")]
    {
        let mock = MockApi::start();
        let (open, last) = (value(open), value(last));
        mock.route("/t", move |request| {
            let number = number(request);
            let done = if number == 3 { &last } else { &open };
            MockResponse::json(&json!({"data": page(number, 10, 25), "done": done}))
        });
        let read = read(&mock, "{ page = \"page\", done = \"/done\" }").await.unwrap();
        assert_eq!((keys(&read).len(), mock.requests().len()), (25, 3));
    }
    for (found, shown) in [
        (json!(5), "5"),
        (json!("yes"), "\"yes\""),
        (json!(1.5), "1.5"),
        (json!(-1), "-1"),
        (json!([1]), "a list"),
        (json!({"a": 1}), "an object"),
    ] {
        let mock = MockApi::start();
        let answer = json!({"data": page(1, 10, 25), "meta": {"done": found}});
        mock.route("/t", move |_| MockResponse::json(&answer));
        let source = connect(described(&mock, "{ page = \"page\", done = \"/meta/done\" }")).await;
        for error in [source.error("t").await, source.reader.check().await.unwrap_err()] {
            assert_eq!(error.kind(), ErrorKind::InvalidData);
            assert_eq!(error.message(), format!("the value at /meta/done is {shown}, not true or false"));
            let help = error.help().unwrap();
            assert!(help.contains("let `done` point at") && help.contains("pages = \"/meta/done\""), "{help}");
        }
        assert_eq!(mock.requests().len(), 2, "it passes with no retry");
    }
}

#[tokio::test]
async fn a_flag_that_is_a_text_is_read_as_one() {
    let mock = MockApi::start();
    mock.route("/t", |request| {
        let number = number(request);
        MockResponse::json(&json!({"data": page(number, 10, 25), "more": if number < 3 { "true" } else { "false" }}))
    });
    assert_eq!(keys(&read(&mock, "{ page = \"page\", more = \"/more\" }").await.unwrap()).len(), 25);
    assert_eq!(mock.requests().len(), 3);
}

#[tokio::test]
async fn a_number_of_pages_ends_a_list_before_the_server_refuses_a_page() {
    for (member, beyond) in [
        ("total_pages", (|| Some(MockResponse::new(404))) as fn() -> Option<MockResponse>),
        ("total_pages", || Some(MockResponse::new(400))),
        ("last_page", || None),
    ] {
        let mock = MockApi::start();
        pages(&mock, member, beyond);
        let read = read(&mock, &format!("{{ page = \"page\", pages = \"/{member}\" }}")).await.unwrap();
        assert_eq!((keys(&read).len(), mock.requests().len()), (25, 3), "{member}");
    }
}

#[tokio::test]
async fn the_number_of_pages_may_change_be_a_text_or_be_missing() {
    let answer = |total: fn(u64) -> Value, all: u64| {
        let mock = MockApi::start();
        mock.route("/t", move |request| {
            let number = number(request);
            MockResponse::json(&json!({"data": page(number, 10, all), "pages": total(number)}))
        });
        mock
    };
    for (total, all, requests) in [
        ((|number| if number == 1 { json!(2) } else { json!(3) }) as fn(u64) -> Value, 25, 3),
        (|number| if number == 1 { json!(9) } else { json!(3) }, 25, 3),
        (|_| json!("3"), 25, 3),
        (|_| json!(0), 0, 1),
        (|_| json!(1), 10, 1),
        // Without it, an empty page is the end.
        (|_| Value::Null, 25, 4),
    ] {
        let mock = answer(total, all);
        let read = read(&mock, "{ page = \"page\", pages = \"/pages\" }").await.unwrap();
        assert_eq!((keys(&read).len() as u64, mock.requests().len()), (all, requests));
    }
    for (total, shown) in [
        ((|_| json!(true)) as fn(u64) -> Value, "true"),
        (|_| json!("many"), "\"many\""),
        (|_| json!(-1), "-1"),
        (|_| json!({}), "an object"),
    ] {
        let mock = answer(total, 25);
        let error = read(&mock, "{ page = \"page\", pages = \"/pages\" }").await.unwrap_err();
        assert_eq!(error.message(), format!("the value at /pages is {shown}, not a number of pages"));
        assert!(error.help().is_some());
    }
}

#[tokio::test]
async fn an_empty_page_before_the_last_one_does_not_end_a_list() {
    let mock = MockApi::start();
    mock.route("/t", |request| {
        let number = number(request);
        let data = if number == 2 { Vec::new() } else { page(number, 10, 25) };
        MockResponse::json(&json!({"data": data, "pages": 3}))
    });
    let read = read(&mock, "{ page = \"page\", pages = \"/pages\" }").await.unwrap();
    assert_eq!(keys(&read).len(), 15);
}

#[tokio::test]
async fn a_page_beyond_the_end_that_is_refused_names_the_key_for_the_number_of_pages() {
    for status in [400, 404] {
        let mock = MockApi::start();
        let beyond: fn() -> Option<MockResponse> =
            if status == 400 { || Some(MockResponse::new(400)) } else { || Some(MockResponse::new(404)) };
        pages(&mock, "total_pages", beyond);
        let plain = described(&mock, "{ page = \"page\" }");
        for described in [plain.clone(), plain.on_error(status, Action::Empty)] {
            let error = connect(described).await.error("t").await;
            assert_eq!(error.status(), Some(status));
            let help = error.help().unwrap();
            assert!(help.contains("{ page = \"page\", pages = \"/total_pages\" }"), "{help}");
            assert!(help.contains("is beyond the last one") && !help.contains("run it again"), "{help}");
        }
    }
}

/// Each answer has a token, a link or an URL that is new, and the same records, in another order.
#[tokio::test]
async fn a_list_whose_pages_are_the_same_does_not_end_whatever_leads_on() {
    for paginate in [
        "{ token = \"/next\", to = \"start\" }",
        "{ next = \"/url\" }",
        "\"link\"",
        "{ offset = \"start\" }",
        "{ page = \"start\" }",
    ] {
        let mock = MockApi::start();
        let (count, url) = (AtomicU64::new(0), mock.url().to_owned());
        mock.route("/t", move |_| {
            let count = count.fetch_add(1, Ordering::SeqCst);
            let mut data = page(1, 10, 25);
            if count % 2 == 1 {
                data.reverse();
            }
            data.iter_mut().for_each(|record| record["views"] = count.into());
            let next = format!("{url}/t?at=x{count}");
            MockResponse::json(&json!({"data": data, "next": format!("x{count}"), "url": next}))
                .with_header("Link", &format!("<{next}>; rel=\"next\""))
        });
        let error = connect(described(&mock, paginate)).await.error("t").await;
        assert_eq!(error.message(), "the list does not end: 4 pages in a row have the same records", "{paginate}");
        assert!(error.help().is_some(), "{error:?}");
        assert_eq!(mock.requests().len(), 4, "{paginate}");
    }
}

#[tokio::test]
async fn pages_that_overlap_or_come_twice_are_no_mistake() {
    // Each page begins with the last record of the one before it, as with a filter that includes its value.
    let mock = MockApi::start();
    mock.route("/t", |request| {
        let from: u64 = request.query("from").map_or(1, |from| from.parse().unwrap());
        let data: Vec<Value> = (from..from + 2).take_while(|id| *id <= 20).map(|id| json!({"id": id})).collect();
        let next = (from < 20).then(|| (from + 1).to_string());
        MockResponse::json(&json!({"data": data, "next": next}))
    });
    let read_keys = keys(&read(&mock, "{ token = \"/next\", to = \"from\" }").await.unwrap());
    assert_eq!(read_keys.iter().collect::<std::collections::BTreeSet<_>>().len(), 20);
    // A record that changes all the time fills several pages, each with another version.
    let mock = MockApi::start();
    mock.route("/t", |request| {
        let from: u64 = request.query("from").map_or(0, |from| from.parse().unwrap());
        let next = (from < 9).then(|| (from + 1).to_string());
        MockResponse::json(&json!({"data": [{"id": 1, "at": from}], "next": next}))
    });
    let mut api = described(&mock, "{ token = \"/next\", to = \"from\" }");
    api.streams[0].version = Some(snowfeed::rest::Version::at("/at").format(snowfeed::rest::TimeFormat::Number));
    assert_eq!(keys(&connect(api).await.read("t", None).await.unwrap()).len(), 10);
}
