//! Schedules, in virtual time.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use snowfeed::engine::{Connector, EnableRequest, Event};
use snowfeed::{ErrorKind, Mode};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::support::{Scripted, Step, connector, resource};

/// The virtual seconds at which runs began, by resource.
type Starts = Arc<Mutex<Vec<(String, u64)>>>;

/// A connector whose clock is the virtual one, and the runs that it starts.
fn timed(source: &Scripted) -> (Connector, Starts) {
    let (connector, _) = connector(source);
    let (began, starts) = (Instant::now(), Starts::default());
    let log = starts.clone();
    let epoch = Timestamp::from_second(1_800_000_000).unwrap();
    let connector = connector.clock(move || epoch + began.elapsed()).observer(move |event: &Event| {
        if let Event::Started { resource, .. } = event {
            log.lock().unwrap().push((resource.name().to_owned(), began.elapsed().as_secs()));
        }
    });
    (connector, starts)
}

async fn serve_for(connector: &Connector, time: Duration) {
    let stop = CancellationToken::new();
    let served = connector.serve(4, stop.clone());
    let stopped = async {
        tokio::time::sleep(time).await;
        stop.cancel();
    };
    tokio::join!(served, stopped).0.unwrap();
}

#[tokio::test(start_paused = true)]
async fn each_resource_keeps_its_schedule() {
    let source = Scripted::default();
    let (connector, starts) = timed(&source);
    connector.enable(EnableRequest::new(resource("often")).schedule("10m".parse().unwrap())).await.unwrap();
    connector.enable(EnableRequest::new(resource("default"))).await.unwrap();
    serve_for(&connector, Duration::from_secs(3_601)).await;
    let of =
        |name: &str| starts.lock().unwrap().iter().filter(|(r, _)| r == name).map(|(_, at)| *at).collect::<Vec<_>>();
    assert_eq!(of("often"), [0, 600, 1200, 1800, 2400, 3000, 3600]);
    assert_eq!(of("default"), [0, 1800, 3600]);
}

#[tokio::test(start_paused = true)]
async fn a_failed_run_is_retried_at_the_next_scheduled_time() {
    let source = Scripted::new(vec![Step::Fail(ErrorKind::Unavailable, "down")]);
    let (connector, starts) = timed(&source);
    connector.enable(EnableRequest::new(resource("r")).schedule("1m".parse().unwrap())).await.unwrap();
    serve_for(&connector, Duration::from_secs(150)).await;
    assert_eq!(starts.lock().unwrap().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_takes_longer_than_its_interval_never_overlaps_itself() {
    let source = Scripted::new(vec![Step::Hang]);
    let (connector, starts) = timed(&source);
    connector.enable(EnableRequest::new(resource("r")).schedule("1m".parse().unwrap())).await.unwrap();
    serve_for(&connector, Duration::from_secs(600)).await;
    assert_eq!(starts.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn enabling_and_disabling_take_effect_while_serving() {
    let (connector, starts) = timed(&Scripted::default());
    connector.enable(EnableRequest::new(resource("old")).schedule("1m".parse().unwrap())).await.unwrap();
    let other = connector.clone();
    let change = async move {
        tokio::time::sleep(Duration::from_secs(90)).await;
        other.disable(&resource("old")).await.unwrap();
        other.enable(EnableRequest::new(resource("new"))).await.unwrap();
    };
    tokio::join!(serve_for(&connector, Duration::from_secs(300)), change);
    let starts = starts.lock().unwrap().clone();
    assert_eq!(starts.iter().filter(|(name, _)| name == "old").count(), 2, "{starts:?}");
    assert!(starts.iter().any(|(name, at)| name == "new" && *at <= 90 + 15), "{starts:?}");
}

#[tokio::test(start_paused = true)]
async fn a_restart_waits_until_resources_are_due() {
    let (connector, starts) = timed(&Scripted::default());
    connector.enable(EnableRequest::new(resource("r")).schedule("10m".parse().unwrap())).await.unwrap();
    serve_for(&connector, Duration::from_secs(60)).await;
    serve_for(&connector, Duration::from_secs(600)).await;
    assert_eq!(starts.lock().unwrap().iter().map(|(_, at)| *at).collect::<Vec<_>>(), [0, 600]);
}

/// The virtual clock, plus an offset in seconds that the test sets.
fn set_clock(connector: Connector, ahead: Arc<AtomicI64>) -> Connector {
    let began = Instant::now();
    let epoch = Timestamp::from_second(1_800_000_000).unwrap();
    connector.clock(move || epoch + began.elapsed() + SignedDuration::from_secs(ahead.load(Ordering::SeqCst)))
}

#[tokio::test(start_paused = true)]
async fn a_clock_set_back_stops_no_schedule() {
    let (connector, starts) = timed(&Scripted::default());
    let ahead = Arc::new(AtomicI64::new(86_400));
    let connector = set_clock(connector, ahead.clone());
    connector.enable(EnableRequest::new(resource("r")).schedule("10m".parse().unwrap())).await.unwrap();
    let set_back = async {
        tokio::time::sleep(Duration::from_secs(900)).await;
        ahead.store(0, Ordering::SeqCst);
    };
    tokio::join!(serve_for(&connector, Duration::from_secs(3_600)), set_back);
    // The next process also finds a future-dated run.
    serve_for(&connector, Duration::from_secs(1_800)).await;
    let mut starts: Vec<u64> = starts.lock().unwrap().iter().map(|(_, at)| *at).collect();
    starts.push(3_600 + 1_800);
    let longest = starts.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
    assert!(longest <= 615, "{starts:?}");
    assert!(starts.len() < 15, "runs started without a pause: {starts:?}");
}

#[tokio::test(start_paused = true)]
async fn a_clock_set_ahead_causes_one_catch_up_run() {
    let (connector, starts) = timed(&Scripted::default());
    let ahead = Arc::new(AtomicI64::new(0));
    let connector = set_clock(connector, ahead.clone());
    connector.enable(EnableRequest::new(resource("r")).schedule("10m".parse().unwrap())).await.unwrap();
    let set_ahead = async {
        tokio::time::sleep(Duration::from_secs(900)).await;
        ahead.store(10 * 365 * 86_400, Ordering::SeqCst);
    };
    tokio::join!(serve_for(&connector, Duration::from_secs(1_800)), set_ahead);
    let starts: Vec<u64> = starts.lock().unwrap().iter().map(|(_, at)| *at).collect();
    assert!((4..=5).contains(&starts.len()), "{starts:?}");
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_was_ahead_delays_nothing() {
    let (connector, starts) = timed(&Scripted::default());
    connector.enable(EnableRequest::new(resource("r")).schedule("10m".parse().unwrap())).await.unwrap();
    let ahead = connector.clone().clock(|| Timestamp::from_second(1_900_000_000).unwrap());
    crate::support::ingest(&ahead, Mode::Incremental).await;
    starts.lock().unwrap().clear();
    serve_for(&connector, Duration::from_secs(1_201)).await;
    assert_eq!(starts.lock().unwrap().iter().map(|(_, at)| *at).collect::<Vec<_>>(), [0, 600, 1_200]);
}

#[tokio::test(start_paused = true)]
async fn resources_due_during_a_timetable_read_start_at_once() {
    for jump in 1..9 {
        let (connector, starts) = timed(&Scripted::default());
        connector.enable(EnableRequest::new(resource("r")).schedule("10m".parse().unwrap())).await.unwrap();
        let (began, epoch) = (Instant::now(), Timestamp::from_second(1_800_000_000).unwrap());
        let (readings, jumped_at) = (Mutex::new(0), Arc::new(Mutex::new(None)));
        let log = jumped_at.clone();
        let connector = connector.clock(move || {
            let mut readings = readings.lock().unwrap();
            *readings += 1;
            if *readings < jump {
                return epoch + began.elapsed();
            }
            log.lock().unwrap().get_or_insert(began.elapsed().as_secs());
            epoch + began.elapsed() + Duration::from_secs(600)
        });
        serve_for(&connector, Duration::from_secs(100)).await;
        let starts: Vec<u64> = starts.lock().unwrap().iter().map(|(_, at)| *at).collect();
        let jumped_at = jumped_at.lock().unwrap().unwrap();
        // The first read of the timetable starts the first run: it reads the clock, and so does the start.
        let expected = if jump <= 2 { vec![0] } else { vec![0, jumped_at] };
        assert_eq!(starts, expected, "the clock jumped at reading {jump}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_run_resumes_after_a_restart() {
    let source = Scripted::new(vec![Step::Batch(&["a"], 1), Step::Hang]);
    let (connector, starts) = timed(&source);
    connector.enable(EnableRequest::new(resource("r")).schedule("24h".parse().unwrap())).await.unwrap();
    for _ in 0..2 {
        serve_for(&connector, Duration::from_secs(60)).await;
    }
    let begun: Vec<u64> = starts.lock().unwrap().iter().map(|(_, second)| *second).collect();
    assert_eq!(begun, [0, 60], "the stop interrupted the first run");
    source.script("r", vec![Step::Batch(&["a"], 1)]);
    for _ in 0..2 {
        serve_for(&connector, Duration::from_secs(60)).await;
    }
    assert_eq!(starts.lock().unwrap().len(), 3, "a completed run must wait for its schedule");
}

/// Records the runs of each stream.
fn stream_starts(connector: Connector) -> (Connector, Starts) {
    let (began, starts) = (Instant::now(), Starts::default());
    let log = starts.clone();
    let connector = connector.observer(move |event: &Event| {
        if let Event::Started { stream, .. } = event {
            log.lock().unwrap().push((stream.clone(), began.elapsed().as_secs()));
        }
    });
    (connector, starts)
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_takes_long_delays_neither_its_siblings_nor_other_resources() {
    let source = Scripted::with_streams(["quick", "slow"]);
    source.script_stream("r", "slow", vec![Step::Hang]);
    let (connector, _) = timed(&source);
    let (connector, starts) = stream_starts(connector);
    connector.enable(EnableRequest::new(resource("r")).schedule("1m".parse().unwrap())).await.unwrap();
    serve_for(&connector, Duration::from_secs(300)).await;
    let of = |name: &str| starts.lock().unwrap().iter().filter(|(stream, _)| stream == name).count();
    assert_eq!((of("quick"), of("slow")), (5, 1), "{starts:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_selected_while_serving_is_read_soon_and_alone() {
    let mut source = Scripted::with_streams(["old", "new"]);
    source.streams[1].1 = false;
    let (connector, _) = timed(&source);
    let (connector, starts) = stream_starts(connector);
    connector.enable(EnableRequest::new(resource("r")).schedule("24h".parse().unwrap())).await.unwrap();
    let other = connector.clone();
    let select = async move {
        tokio::time::sleep(Duration::from_secs(100)).await;
        other.enable(EnableRequest::new(resource("r")).streams(["old", "new"])).await.unwrap();
    };
    tokio::join!(serve_for(&connector, Duration::from_secs(3_600)), select);
    let starts = starts.lock().unwrap().clone();
    assert_eq!(starts.len(), 2, "{starts:?}");
    assert_eq!(starts[0], ("old".to_owned(), 0));
    assert!(starts[1].0 == "new" && (100..=115).contains(&starts[1].1), "{starts:?}");
}
