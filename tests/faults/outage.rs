//! Half an hour without the server, in virtual time.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use snowfeed::engine::Event;
use snowfeed::{ErrorKind, RunRecord, SourceEvent};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::faulty_proxy::ResponseFault;
use crate::scenario::{REPOSITORY, Scenario};

/// Longer than half an hour of virtual time takes.
const MAX_REAL_TIME: Duration = Duration::from_secs(600);

/// What a connector is doing: decides whether virtual time may pass.
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

/// Lets virtual time pass, but only while no real work is under way.
async fn advance_clock(watch: &Activity, until: Instant, mut each_second: impl FnMut()) {
    let begun = std::time::Instant::now();
    while Instant::now() < until {
        assert!(begun.elapsed() < MAX_REAL_TIME, "nothing goes on: {watch:?}");
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        if watch.is_idle() {
            each_second();
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        // Real time: a server is answering, or the file is being read.
        tokio::task::spawn_blocking(|| std::thread::sleep(Duration::from_millis(1))).await.unwrap();
    }
}

#[tokio::test]
async fn a_half_hour_outage_is_retried_and_loses_nothing() {
    let scene = Scenario::new().await;
    scene.wire.connect();
    tokio::time::pause();
    // The clock does not advance by itself while a blocking task runs.
    let (release, held) = mpsc::channel::<()>();
    let hold = tokio::task::spawn_blocking(move || held.recv().is_ok());

    let (began, watch) = (Instant::now(), Arc::new(Activity::default()));
    let epoch = Timestamp::from_second(1_800_000_000).unwrap();
    let see = watch.clone();
    let connector = scene
        .connector(json!({ "api_url": scene.wire.url(), "concurrency": 1, "timeout_seconds": 3_600 }))
        .clock(move || epoch + began.elapsed())
        .observer(move |event: &Event| see.observe(event, began.elapsed().as_secs()));
    connector.enable(&scene.resource(), Some(&"1m".parse().unwrap())).await.unwrap();
    let stop = CancellationToken::new();
    let serving = tokio::spawn({
        let stop = stop.clone();
        async move { connector.serve(1, stop).await }
    });

    let minutes = |minutes: u64| began + Duration::from_secs(60 * minutes);
    let edit = || {
        scene.upstream.clock().advance(Duration::from_secs(1));
        scene.upstream.bulk_edit(REPOSITORY, 1);
    };
    advance_clock(&watch, minutes(5), edit).await;
    scene.wire.spoil(ResponseFault::ResetAtOnce, 0..usize::MAX);
    let attempts = scene.upstream.counts().requests;
    advance_clock(&watch, minutes(35), edit).await;
    let attempts = scene.upstream.counts().requests - attempts;
    assert!(scene.missing() > 0, "the outage went unnoticed");
    scene.wire.clear_fault();
    advance_clock(&watch, minutes(37), || {}).await;
    stop.cancel();
    serving.await.unwrap().unwrap();
    drop(release);
    hold.await.unwrap();
    tokio::time::resume();

    let ended = std::mem::take(&mut *watch.ended.lock().unwrap());
    let failed: Vec<_> = ended.iter().filter_map(|(at, run)| Some((at, run.error.as_ref()?))).collect();
    assert!(failed.iter().all(|(_, error)| error.kind == ErrorKind::Unavailable && error.help.is_some()), "{failed:?}");
    assert!(failed.iter().all(|(at, _)| (300..=2_160).contains(*at)), "{failed:?}");
    let back = ended.iter().find(|(at, run)| *at >= 2_100 && run.error.is_none()).map(|(at, _)| at - 2_100);
    println!(
        "30 minutes of outage, one run a minute: {} runs failed with {attempts} requests in all; complete again {} s after it; \
         rows missing {}",
        failed.len(),
        back.unwrap(),
        scene.missing()
    );
    assert!(!failed.is_empty());
    assert_eq!(scene.missing(), 0);
}
