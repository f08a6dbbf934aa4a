//! The run: announces itself, removes leftovers of killed runs, runs the steps, and removes everything again.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use jiff::Timestamp;
use snowfeed::internals::snowflake::Client;
use tokio_util::sync::CancellationToken;

use crate::app_run::AppRun;
use crate::budget::Budget;
use crate::endpoints::{Endpoints, Part};
use crate::ledger::Ledger;
use crate::objects::{PREFIX, RunId, Swept, sweep};
use crate::options::Options;
use crate::report::Report;
use crate::scene::Scene;
use crate::step::{Done, Outcome, Step};
use crate::steps::STEPS;

/// How long the clean-up may take.
const CLEAN_UP: Duration = Duration::from_secs(15 * 60);

pub(crate) struct Run {
    pub(crate) id: RunId,
    pub(crate) options: Options,
    pub(crate) endpoints: Arc<dyn Endpoints>,
    pub(crate) ledger: Ledger,
    pub(crate) budget: Budget,
    /// State shared by the app's steps.
    pub(crate) app: AppRun,
    /// Cancelled by Ctrl-C.
    pub(crate) stop: CancellationToken,
}

impl Run {
    pub(crate) fn new(endpoints: Arc<dyn Endpoints>, options: Options) -> Self {
        Self {
            id: RunId::new(Timestamp::now()),
            budget: Budget::new(options.credits),
            options,
            endpoints,
            ledger: Ledger::default(),
            app: AppRun::default(),
            stop: CancellationToken::new(),
        }
    }

    /// Runs everything, and leaves nothing behind. Writes the report and returns it.
    pub(crate) async fn perform(self) -> Report {
        let began = Instant::now();
        let _lock = self.id.lock(&self.options.folder);
        self.listen();
        println!("{}", self.announcement());
        let leftovers = self.sweep(None).await;
        let mut done: Vec<Done> = Vec::new();
        for step in STEPS.iter().filter(|step| self.options.selects(step.name)) {
            let ended = self.step(step, &done).await;
            let (word, why) = ended.outcome.label();
            println!("{:<22} {} {why}", step.name, word.trim_matches('*'));
            done.push(ended);
        }
        println!("removing the run's objects");
        let swept = self.sweep(Some(&self.id)).await;
        let report = Report::new(&self, done, leftovers, swept, began.elapsed());
        if let Some(folder) = self.options.report.parent() {
            // Print the report if it cannot be written.
            let _ = std::fs::create_dir_all(folder);
        }
        match std::fs::write(&self.options.report, &report.text) {
            Ok(()) => println!("the report is in {}", self.options.report.display()),
            Err(error) => eprintln!("the report cannot be written to {}: {error}", self.options.report.display()),
        }
        report
    }

    /// The announcement: the objects that the run will create, and its budget.
    fn announcement(&self) -> String {
        let steps: Vec<&str> = STEPS.iter().map(|step| step.name).filter(|name| self.options.selects(name)).collect();
        let prefix = self.id.name("");
        format!(
            "acceptance run {} on {}\nit makes databases, an X-Small warehouse, a resource monitor if the role may, a compute \
             pool, an application package and an application, whose names all begin with {prefix}, and removes them at its \
             end\nlimit: {} credits (SNOWFEED_ACCOUNT_CREDITS), enforced by time, and by the resource monitor if there is one\n\
             steps: {}\nCtrl-C ends the run and removes what it has made",
            self.id.as_str(),
            self.endpoints.name(),
            self.budget.limit(),
            steps.join(", "),
        )
    }

    /// Stops at Ctrl-C. A second Ctrl-C also waits for the clean-up.
    fn listen(&self) {
        let stop = self.stop.clone();
        tokio::spawn(async move {
            while tokio::signal::ctrl_c().await.is_ok() {
                eprintln!("stopping; first removing the run's objects");
                stop.cancel();
            }
        });
    }

    async fn step(&self, step: &Step, before: &[Done]) -> Done {
        let began = Instant::now();
        let (outcome, notes) = match self.refusal(step, before) {
            Some(outcome) => (outcome, Vec::new()),
            None => self.attempt(step).await,
        };
        let took = began.elapsed();
        self.budget.spend(step.uses, took);
        Done { name: step.name, claim: step.claim, outcome, notes, took }
    }

    /// Why a step does not start.
    fn refusal(&self, step: &Step, before: &[Done]) -> Option<Outcome> {
        if self.stop.is_cancelled() {
            return Some(Outcome::Stopped("by a signal".into()));
        }
        let missing = step
            .needs
            .iter()
            .find(|need| !before.iter().any(|done| done.name == **need && done.outcome == Outcome::Held));
        if let Some(missing) = missing {
            return Some(Outcome::Skipped(format!("`{missing}` did not hold")));
        }
        self.budget.time_left(step.uses).is_some_and(|left| left.is_zero()).then(|| self.limit())
    }

    fn limit(&self) -> Outcome {
        Outcome::Stopped(format!("the limit of {} credits is nearly reached", self.budget.limit()))
    }

    async fn attempt(&self, step: &Step) -> (Outcome, Vec<String>) {
        let scene = Scene { run: self, step: step.name };
        let running = AssertUnwindSafe((step.run)(&scene)).catch_unwind();
        let limit = async {
            match self.budget.time_left(step.uses) {
                Some(left) => tokio::time::sleep(left).await,
                None => std::future::pending().await,
            }
        };
        let ended = tokio::select! {
            ended = running => ended,
            () = limit => return (self.limit(), Vec::new()),
            () = self.stop.cancelled() => return (Outcome::Stopped("by a signal".into()), Vec::new()),
        };
        match ended {
            Ok(Ok(notes)) => (Outcome::Held, notes),
            Ok(Err(stop)) => (stop.into(), Vec::new()),
            Err(panic) => (Outcome::NotHeld(format!("it panicked: {}", message_of(&*panic))), Vec::new()),
        }
    }

    /// Drops the objects of a run, or those of killed runs.
    async fn sweep(&self, of: Option<&RunId>) -> Swept {
        let mut all = Swept::default();
        for part in [Part::App, Part::Sql] {
            let swept = match tokio::time::timeout(CLEAN_UP, self.sweep_part(part, of)).await {
                Ok(Ok(swept)) => swept,
                Ok(Err(error)) => Swept { failed: vec![self.by_hand(error.message())], ..Swept::default() },
                Err(_) => Swept { failed: vec![self.by_hand("it took too long")], ..Swept::default() },
            };
            all.dropped.extend(swept.dropped);
            all.failed.extend(swept.failed);
            all.spared.extend(swept.spared);
        }
        all
    }

    async fn sweep_part(&self, part: Part, of: Option<&RunId>) -> snowfeed::Result<Swept> {
        let scene = Scene { run: self, step: if of.is_some() { "clean-up" } else { "leftovers" } };
        let mut session = scene.client_with(part, |connection| connection)?.open().await?;
        let swept = sweep(part, &mut *session, of, &self.options.folder).await;
        // It ends by itself otherwise.
        let _ = session.close().await;
        Ok(swept)
    }

    /// The statements to run manually if the clean-up could not start.
    fn by_hand(&self, why: &str) -> (String, String) {
        let show = ["DATABASES", "WAREHOUSES", "APPLICATIONS"].map(|kind| format!("SHOW {kind} LIKE '{PREFIX}%'"));
        (show.join("; "), why.to_owned())
    }
}

fn message_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("without a word").to_owned()
}
