//! Slack: errors with status 200, channels that are resources, messages with the newest first, and threads, which begin with their parent.
//! <https://docs.slack.dev/apis/web-api/pagination>

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use snowfeed::backends::Memory;
use snowfeed::engine::{Event, IngestRequest};
use snowfeed::jiff::Timestamp;
use snowfeed::testkit::conformance::SourceCase;
use snowfeed::testkit::mock_api::{Fault, MockApi, MockList, MockRequest};
use snowfeed::{Mode, Resource, RunStatus, SourceEvent};

use crate::support::{Described, RateLimit, answer, by_key, warnings};
use crate::table::requests_of_second_run;

const TOKEN: &str = "xoxb-17653672481";
const CHANNEL: &str = "C00000001";
const DAY: i64 = 86_400;

struct Slack {
    described: Described,
    channels: MockList,
    messages: MockList,
    replies: MockList,
}

impl Slack {
    /// Two channels; in the first, this many messages, one every `hours` up to now. Each fifth one has a thread.
    fn new(messages: i64, hours: i64) -> Self {
        Self::with_token(messages, hours, TOKEN)
    }

    fn with_token(count: i64, hours: i64, token: &str) -> Self {
        let mock = MockApi::start();
        let channels = mock.list("/store/channels");
        let messages = mock.child_list("/store/channels/{channel}/messages", &channels).key("ts");
        let replies = mock.child_list("/store/channels/{channel}/messages/{message}/replies", &messages).key("ts");
        let channel = |id: &str, name: &str| json!({"id": id, "name": name, "is_archived": false, "is_member": true});
        channels.extend([channel(CHANNEL, "general"), channel("C00000002", "random")]);
        let list = channels.clone();
        serve(&mock, "/api/conversations.list", move |request| {
            page(request, "channels", list.records(), 1_000, &|channel| channel["id"].as_str().unwrap().to_owned())
        });
        let (list, all) = (channels.clone(), messages.clone());
        serve(&mock, "/api/conversations.history", move |request| history(request, &list, &all));
        let (list, all, threads) = (channels.clone(), messages.clone(), replies.clone());
        serve(&mock, "/api/conversations.replies", move |request| {
            let channel = member(&list, request)?;
            let ts = request.query("ts").unwrap_or_default();
            let parent = all.of(&channel).get(ts).ok_or("thread_not_found")?;
            let mut thread = threads.of(&channel).of(ts).records();
            thread.sort_by_key(|reply| micros(reply["ts"].as_str().unwrap()));
            page(request, "messages", [vec![parent], thread].concat(), 1_000, &|reply| text(reply, "ts"))
        });
        let described = Described::new("slack", CHANNEL, mock, &[], &[("token", token)]);
        let slack = Self { described, channels, messages, replies };
        for n in 0..count {
            let ts = ago((count - n) * hours * 3_600, n);
            slack.post(&ts);
            if n % 5 == 0 {
                slack.reply(&ts, &ago((count - n) * hours * 3_600 - 60, n));
            }
        }
        slack
    }

    fn posted(&self) -> MockList {
        self.messages.of(CHANNEL)
    }

    fn post(&self, ts: &str) {
        self.posted().insert(json!({"type": "message", "ts": ts, "user": "U1", "text": "t"}));
    }

    fn reply(&self, parent: &str, ts: &str) {
        reply(&self.messages, &self.replies, parent, ts);
    }

    fn edit(&self, ts: &str, at: &str) {
        self.posted().update(ts, json!({"text": "edited", "edited": {"user": "U1", "ts": at}}));
    }

    /// The messages, and the replies to each below it, of which the first is the message itself.
    fn assert_same(&self, memory: &Memory) {
        let messages = self.posted().records();
        let threads = messages.iter().filter(|message| message["reply_count"].as_i64() > Some(0));
        let replies = threads.flat_map(|parent| {
            let replies = self.replies.of(CHANNEL).of(text(parent, "ts")).records();
            let thread = std::iter::once(parent.clone()).chain(replies);
            thread.map(|reply| (format!("{}/{}", text(parent, "ts"), text(&reply, "ts")), reply)).collect::<Vec<_>>()
        });
        self.described.assert_rows(memory, "replies", replies.collect::<Vec<_>>());
        self.described.assert_rows(memory, "messages", by_key(messages, "/ts"));
        self.described.assert_rows(memory, "channels", by_key(self.channels.records(), "/id"));
    }
}

fn text(record: &Value, field: &str) -> String {
    record[field].as_str().unwrap_or_default().to_owned()
}

/// The time `seconds` ago, with `n` microseconds, which make it unique in its channel.
fn ago(seconds: i64, n: i64) -> String {
    format!("{}.{n:06}", Timestamp::now().as_second() - seconds)
}

/// The microseconds of a `ts`; the fraction may be missing.
fn micros(ts: &str) -> i64 {
    let (seconds, fraction) = ts.split_once('.').unwrap_or((ts, "0"));
    seconds.parse::<i64>().unwrap() * 1_000_000 + format!("{fraction:0<6}").parse::<i64>().unwrap()
}

fn reply(messages: &MockList, replies: &MockList, parent: &str, ts: &str) {
    let thread = replies.of(CHANNEL).of(parent);
    thread.insert(json!({"type": "message", "ts": ts, "thread_ts": parent, "user": "U2", "text": "r"}));
    messages.of(CHANNEL).update(parent, json!({"reply_count": thread.len(), "thread_ts": parent, "latest_reply": ts}));
}

/// Answers requests with the right token. All errors but the rate limit have status 200.
fn serve(
    mock: &MockApi,
    path: &str,
    respond: impl Fn(&MockRequest) -> Result<Value, &'static str> + Send + Sync + 'static,
) {
    mock.route(path, move |request| {
        let body = match request.header("authorization") {
            None => Err("not_authed"),
            Some(header) if header != format!("Bearer {TOKEN}") => Err("invalid_auth"),
            Some(_) => respond(request),
        };
        answer(200, &body.unwrap_or_else(|error| json!({"ok": false, "error": error})))
    });
}

/// The channel of a request, if the app has joined it.
fn member(channels: &MockList, request: &MockRequest) -> Result<String, &'static str> {
    let channel = channels.get(request.query("channel").unwrap_or_default()).ok_or("channel_not_found")?;
    if channel["is_member"] == true { Ok(text(&channel, "id")) } else { Err("not_in_channel") }
}

/// The messages of a channel between two times, the newest first. Both times are exclusive unless the request says `inclusive`.
fn history(request: &MockRequest, channels: &MockList, messages: &MockList) -> Result<Value, &'static str> {
    let channel = member(channels, request)?;
    let is_inclusive = request.query("inclusive") == Some("true");
    let bound = |name: &str, default: i64| request.query(name).map_or(default, micros);
    let (oldest, latest) = (bound("oldest", i64::MIN), bound("latest", i64::MAX));
    let mut found = messages.of(channel).records();
    found.retain(|message| {
        let ts = micros(message["ts"].as_str().unwrap());
        ts > oldest && ts < latest || is_inclusive && (ts == oldest || ts == latest)
    });
    found.sort_by_key(|message| std::cmp::Reverse(micros(message["ts"].as_str().unwrap())));
    page(request, "messages", found, 999, &|message| text(message, "ts"))
}

/// A page of a list, after the record that the cursor names. It may have fewer records than asked for: here it has half of them.
fn page(
    request: &MockRequest,
    name: &str,
    records: Vec<Value>,
    max: usize,
    key: &dyn Fn(&Value) -> String,
) -> Result<Value, &'static str> {
    let limit = request.query("limit").map_or(Some(100), |limit| limit.parse().ok());
    let limit = limit.filter(|limit| (1..=max).contains(limit)).ok_or("invalid_limit")?;
    let mut start = 0;
    if let Some(cursor) = request.query("cursor") {
        // As in the documentation: `bmV4dF90czoxNTEyMDg1ODYxMDAwNTQz` is `next_ts:1512085861000543`.
        let text = STANDARD.decode(cursor).ok().and_then(|text| String::from_utf8(text).ok());
        let next = text.as_deref().and_then(|text| text.strip_prefix("next_ts:")).ok_or("invalid_cursor")?;
        start = records.iter().position(|record| key(record) == next).ok_or("invalid_cursor")?;
    }
    let end = start + limit.div_ceil(2);
    let next = records.get(end).map(|next| STANDARD.encode(format!("next_ts:{}", key(next)))).unwrap_or_default();
    let page: Vec<&Value> = records.iter().take(end).skip(start).collect();
    Ok(json!({"ok": true, name: page, "has_more": !next.is_empty(), "response_metadata": {"next_cursor": next}}))
}

/// The case of the suites, with at most five records on a page: each change posts a message, edits one, and answers one.
fn case() -> SourceCase {
    let slack = Slack::new(24, 1);
    slack.described.mock.fault("*", Fault::status(503).every(9));
    let (messages, replies, next) = (slack.messages.clone(), slack.replies.clone(), AtomicI64::new(1));
    let posted: Vec<String> = slack.posted().records().iter().map(|message| text(message, "ts")).collect();
    slack.described.smaller_pages("limit=200", "limit=10").case().changing(move || {
        let n = next.fetch_add(1, Ordering::SeqCst);
        let ts = ago(0, 500_000 + n);
        messages.of(CHANNEL).insert(json!({"type": "message", "ts": ts, "text": "new"}));
        messages.of(CHANNEL).update(&posted[21], json!({"text": ts, "edited": {"ts": ts}}));
        reply(&messages, &replies, &posted[3], &ts);
        async {}
    })
}

mod delivery {
    snowfeed::delivery_conformance!(super::case());
}

#[tokio::test]
async fn a_first_read_is_complete_and_a_second_one_asks_for_the_last_week() {
    let (slack, memory) = (Slack::new(450, 4), Memory::new());
    let thread = text(&slack.posted().records()[440], "ts");
    (0..250).for_each(|n| slack.reply(&thread, &ago(600, 1_000 + n)));
    slack.described.ingest(&memory, Mode::Incremental).await;
    slack.assert_same(&memory);
    assert_eq!(slack.described.mock.requests().iter().filter_map(|request| request.query("oldest")).count(), 0);

    slack.described.mock.clear_requests();
    let recent: Vec<String> = slack.posted().records()[430..].iter().map(|message| text(message, "ts")).collect();
    slack.post(&ago(0, 1));
    slack.edit(&recent[1], &ago(0, 2));
    slack.reply(&recent[5], &ago(0, 3));
    slack.described.ingest(&memory, Mode::Incremental).await;
    slack.assert_same(&memory);
    let requests = slack.described.mock.requests();
    let oldest = requests.iter().find_map(|request| request.query("oldest")).unwrap();
    assert!((micros(oldest) / 1_000_000 + 7 * DAY - Timestamp::now().as_second()).abs() < 60, "{oldest}");
    assert_eq!(requests.len(), requests_of_second_run("slack") + 1, "and one for the thread");
}

#[tokio::test]
async fn a_reconcile_run_finds_deletions_and_replies_to_older_messages() {
    let (slack, memory) = (Slack::new(40, 12), Memory::new());
    slack.described.ingest(&memory, Mode::Incremental).await;
    let posted: Vec<String> = slack.posted().records().iter().map(|message| text(message, "ts")).collect();
    slack.reply(&posted[2], &ago(0, 1));
    slack.posted().delete(&posted[5]);
    slack.posted().delete(&posted[39]);
    slack.described.ingest(&memory, Mode::Incremental).await;
    let live = slack.described.live(&memory, "messages");
    assert!(
        live.contains_key(&posted[5]) && live.contains_key(&posted[39]) && live[&posted[2]]["reply_count"].is_null()
    );
    slack.described.ingest(&memory, Mode::Reconcile).await;
    slack.assert_same(&memory);
}

#[tokio::test]
async fn replies_that_are_deleted_are_found_in_threads_of_the_last_week() {
    let (slack, memory) = (Slack::new(10, 12), Memory::new());
    let posted: Vec<String> = slack.posted().records().iter().map(|message| text(message, "ts")).collect();
    let (first, second) = (ago(120, 1), ago(60, 2));
    slack.reply(&posted[7], &first);
    slack.reply(&posted[7], &second);
    slack.reply(&posted[8], &first);
    slack.described.ingest(&memory, Mode::Incremental).await;
    // The latest reply of one thread, and the only one of another.
    slack.replies.of(CHANNEL).of(&posted[7]).delete(&second);
    slack.posted().update(&posted[7], json!({"reply_count": 1, "latest_reply": first}));
    slack.replies.of(CHANNEL).of(&posted[8]).delete(&first);
    slack.posted().update(&posted[8], json!({"reply_count": 0, "latest_reply": null}));
    slack.described.ingest(&memory, Mode::Incremental).await;
    slack.assert_same(&memory);
}

#[tokio::test]
async fn changes_while_the_messages_are_read_hide_none() {
    let (slack, memory) = (Slack::new(450, 1), Memory::new());
    let (messages, replies, next) = (slack.messages.clone(), slack.replies.clone(), AtomicI64::new(1));
    let posted: Vec<String> = slack.posted().records().iter().map(|message| text(message, "ts")).collect();
    let change = move || {
        let n = next.fetch_add(1, Ordering::SeqCst);
        let ts = ago(0, 500_000 + n);
        messages.of(CHANNEL).insert(json!({"type": "message", "ts": ts, "text": "new"}));
        let index = usize::try_from(450 - n * 7).unwrap();
        messages.of(CHANNEL).update(&posted[index], json!({"text": "edited", "edited": {"ts": ts}}));
        reply(&messages, &replies, &posted[index - 1], &ts);
    };
    slack.described.mock.fault("*", Fault::change(change).always().times(20));
    slack.described.ingest(&memory, Mode::Incremental).await;
    assert!(slack.described.live(&memory, "messages").len() >= 450, "the first run has all that were there");
    slack.described.mock.clear_faults();
    slack.described.ingest(&memory, Mode::Incremental).await;
    slack.assert_same(&memory);
}

#[tokio::test]
async fn a_cursor_that_is_no_longer_valid_begins_the_list_again() {
    let (slack, memory) = (Slack::new(250, 1), Memory::new());
    // The first page has the newest 100; the cursor names the 150th message.
    let (posted, ts) = (slack.posted(), text(&slack.posted().records()[149], "ts"));
    slack.described.mock.fault("/api/conversations.history", Fault::change(move || posted.delete(&ts)).after(1));
    slack.described.ingest(&memory, Mode::Incremental).await;
    slack.assert_same(&memory);
    assert_eq!(
        slack.described.mock.count("/api/conversations.history"),
        5,
        "three pages, one of them twice, and a refusal"
    );
}

#[tokio::test]
async fn a_channel_that_the_app_has_not_joined_is_skipped_with_a_warning() {
    let (slack, memory) = (Slack::new(12, 1), Memory::new());
    slack.described.ingest(&memory, Mode::Incremental).await;
    slack.channels.update(CHANNEL, json!({"is_member": false}));
    let warned = Arc::new(Mutex::new(Vec::new()));
    let warnings = warned.clone();
    let observe = move |event: &Event| {
        if let Event::Source { event: SourceEvent::Warning(text), .. } = event {
            warnings.lock().unwrap().push(text.clone());
        }
    };
    let connector = slack.described.connector(&memory).observer(observe);
    let report = connector.ingest(IngestRequest::new([Resource::new(CHANNEL).unwrap()])).await.unwrap();
    assert_eq!(report.status(), RunStatus::Complete, "{report:?}");
    slack.assert_same(&memory);
    let warned = warned.lock().unwrap().join("\n");
    assert!(warned.contains("messages is skipped") && warned.contains("not_in_channel"), "{warned}");
}

#[tokio::test]
async fn a_thread_that_is_deleted_before_it_is_read_is_gone() {
    let (slack, memory) = (Slack::new(11, 1), Memory::new());
    slack.described.ingest(&memory, Mode::Incremental).await;
    let (posted, ts) = (slack.posted(), text(&slack.posted().records()[10], "ts"));
    slack.reply(&ts, &ago(0, 1));
    slack.described.mock.fault("/api/conversations.replies", Fault::change(move || posted.delete(&ts)));
    slack.described.ingest(&memory, Mode::Incremental).await;
    let threads = slack.described.live(&memory, "replies").len();
    assert_eq!(threads, 4, "two threads of a message and its reply; the server does not find the third");
}

#[tokio::test]
async fn a_channel_that_no_longer_exists_is_one_clear_error() {
    let (slack, memory) = (Slack::new(6, 1), Memory::new());
    slack.described.ingest(&memory, Mode::Incremental).await;
    slack.channels.delete(CHANNEL);
    let error = slack.described.error(&memory).await;
    assert!(error.contains("channel_not_found") && error.contains("check that it still exists"), "{error}");
}

#[tokio::test]
async fn a_rate_limit_is_obeyed() {
    let (slack, memory) = (Slack::new(12, 1), Memory::new());
    let limited = answer(429, &json!({"ok": false, "error": "ratelimited"})).with_header("Retry-After", "1");
    let limit = RateLimit::after(&slack.described.mock, 2, limited);
    slack.described.ingest(&memory, Mode::Incremental).await;
    slack.assert_same(&memory);
    limit.assert_obeyed();
}

#[tokio::test]
async fn errors_in_a_200_that_pass_are_waited_for() {
    let (slack, memory) = (Slack::new(12, 1), Memory::new());
    for error in ["internal_error", "ratelimited"] {
        let response = answer(200, &json!({"ok": false, "error": error})).with_header("Retry-After", "0");
        slack.described.mock.fault("/api/conversations.history", Fault::response(response));
    }
    slack.described.ingest(&memory, Mode::Incremental).await;
    slack.assert_same(&memory);
    assert_eq!(slack.described.mock.count("/api/conversations.history"), 3);
}

#[tokio::test]
async fn wrong_credentials_are_one_clear_error() {
    let slack = Slack::with_token(1, 1, "xoxb-wrong");
    let (error, help) = slack.described.check_error().await;
    assert_eq!(slack.described.mock.count("*"), 1);
    assert!(error.contains("the server refuses the request: it answers 200 with the code \"invalid_auth\""), "{error}");
    assert!(!error.contains("xoxb") && help.starts_with("check the credentials"), "{error}: {help}");
}

#[tokio::test]
async fn the_costs_and_the_warnings_are_those_that_the_file_names() {
    assert_eq!(Slack::new(40, 12).described.requests_of_second_run().await, requests_of_second_run("slack"));
    assert_eq!(warnings("slack"), [""; 0]);
}

#[test]
fn the_server_does_what_the_documentation_says() {
    let slack = Slack::new(10, 1);
    let get = |method: &str| {
        let target = format!("/api/conversations.{method}");
        let request = MockRequest::get(&target).with_header("Authorization", &format!("Bearer {TOKEN}"));
        slack.described.mock.answer(request).to_json()
    };
    let ts = text(&slack.posted().records()[5], "ts");
    let history = |query: &str| get(&format!("history?channel={CHANNEL}&{query}"));
    let count = |query: &str| history(query)["messages"].as_array().unwrap().len();
    assert_eq!(count(&format!("oldest={ts}")), 4, "without `inclusive` the time itself is not included");
    assert_eq!(count(&format!("oldest={ts}&inclusive=true")), 5);
    assert_eq!(count(&format!("oldest={ts}&latest={ts}&inclusive=true&limit=1")), 1);
    assert_eq!(history("limit=1000")["error"], "invalid_limit");
    assert_eq!(history("cursor=x")["error"], "invalid_cursor");
    assert_eq!(get("history?channel=C9")["error"], "channel_not_found");
    assert_eq!(get(&format!("replies?channel={CHANNEL}&ts=1.5"))["error"], "thread_not_found");
    assert_eq!(get(&format!("replies?channel={CHANNEL}&ts={ts}"))["messages"][0]["ts"], ts, "the parent is the first");
    assert_eq!(slack.described.mock.answer("/api/conversations.list").to_json()["error"], "not_authed");
}
