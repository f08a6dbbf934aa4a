//! Half an hour without the server, in virtual time.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use snowfeed::engine::{EnableRequest, Event};
use snowfeed::{ErrorKind, RunRecord, SourceEvent};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::faulty_proxy::ResponseFault;
use crate::scenario::{REPOSITORY, Scenario};

/// The limit of real time for half an hour of virtual time.
const MAX_REAL_TIME: Duration = Duration::from_secs(600);

/// A connector's activity, which decides whether virtual time may advance.
#[derive(Debug, Default)]
struct Activity {
    running: AtomicUsize,
    waiting: AtomicBool,
    ended: Mutex<Vec<(u64, RunRecord)>>,
}

impl Activity {
    fn is_idle(&self) -> bool {
        self.running.load(Ordering::SeqCst) == 0 || self.waiting.load(Ordering::SeqCst)
    }

    fn observe(&self, event: &Event, second: u64) {
        match event {
            Event::Started { .. } => drop(self.running.fetch_add(1, Ordering::SeqCst)),
            Event::Source { event: SourceEvent::Waiting { .. }, .. } => self.waiting.store(true, Ordering::SeqCst),
            Event::Source { event: SourceEvent::Resumed, .. } => self.waiting.store(false, Ordering::SeqCst),
            Event::Ended(run) => {
                self.running.fetch_sub(1, Ordering::SeqCst);
                self.ended.lock().unwrap().push((second, (**run).clone()));
            }
            _ => {}
        }
    }
}

/// Advances virtual time while the connector is idle.
async fn advance_clock(activity: &Activity, until: Instant, mut each_second: impl FnMut()) {
    let begun = std::time::Instant::now();
    while Instant::now() < until {
        assert!(begun.elapsed() < MAX_REAL_TIME, "no progress: {activity:?}");
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        if activity.is_idle() {
            each_second();
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        // Real time: a server is answering, or the file is being read.
        tokio::task::spawn_blocking(|| std::thread::sleep(Duration::from_millis(1))).await.unwrap();
    }
}

#[tokio::test]
async fn a_half_hour_outage_is_retried_and_loses_nothing() {
    let scenario = Scenario::new().await;
    scenario.proxy.connect();
    tokio::time::pause();
    // The clock does not advance by itself while a blocking task runs.
    let (release, held) = mpsc::channel::<()>();
    let hold = tokio::task::spawn_blocking(move || held.recv().is_ok());

    let (began, activity) = (Instant::now(), Arc::new(Activity::default()));
    let epoch = Timestamp::from_second(1_800_000_000).unwrap();
    let observed = activity.clone();
    let connector = scenario
        .connector(json!({ "api_url": scenario.proxy.url(), "concurrency": 1, "timeout_seconds": 3_600 }))
        .clock(move || epoch + began.elapsed())
        .observer(move |event: &Event| observed.observe(event, began.elapsed().as_secs()));
    connector.enable(EnableRequest::new(scenario.resource()).schedule("1m".parse().unwrap())).await.unwrap();
    let stop = CancellationToken::new();
    let serving = tokio::spawn({
        let stop = stop.clone();
        async move { connector.serve(1, stop).await }
    });

    let minutes = |minutes: u64| began + Duration::from_secs(60 * minutes);
    let edit = || {
        scenario.upstream.clock().advance(Duration::from_secs(1));
        scenario.upstream.bulk_edit(REPOSITORY, 1);
    };
    advance_clock(&activity, minutes(5), edit).await;
    scenario.proxy.inject(ResponseFault::ResetAtOnce, 0..usize::MAX);
    let attempts = scenario.upstream.counts().requests;
    advance_clock(&activity, minutes(35), edit).await;
    let attempts = scenario.upstream.counts().requests - attempts;
    assert!(scenario.missing() > 0, "the outage had no effect");
    scenario.proxy.clear_fault();
    advance_clock(&activity, minutes(37), || {}).await;
    stop.cancel();
    serving.await.unwrap().unwrap();
    drop(release);
    hold.await.unwrap();
    tokio::time::resume();

    let ended = std::mem::take(&mut *activity.ended.lock().unwrap());
    let failed: Vec<_> = ended.iter().filter_map(|(at, run)| Some((at, run.error.as_ref()?))).collect();
    assert!(failed.iter().all(|(_, error)| error.kind == ErrorKind::Unavailable && error.help.is_some()), "{failed:?}");
    assert!(failed.iter().all(|(at, _)| (300..=2_160).contains(*at)), "{failed:?}");
    let recovered_after = ended.iter().find(|(at, run)| *at >= 2_100 && run.error.is_none()).map(|(at, _)| at - 2_100);
    println!(
        "30 minutes of outage, one run a minute: {} runs failed with {attempts} requests in all; complete again {} s after it; \
         rows missing {}",
        failed.len(),
        recovered_after.unwrap(),
        scenario.missing()
    );
    assert!(!failed.is_empty());
    assert_eq!(scenario.missing(), 0);
}
