//! The exit codes.

use std::process::ExitCode;

use crate::engine::IngestReport;
use crate::{ErrorKind, RunRecord, RunStatus, SourceSpec};

/// The result of a command, as its exit code. The codes are part of the interface and do not change.
///
/// | code | name | meaning |
/// |---|---|---|
/// | 0 | [`Complete`](Self::Complete) | the command succeeded |
/// | 1 | [`Failed`](Self::Failed) | it failed for a reason without a separate code |
/// | 2 | [`Usage`](Self::Usage) | the command line was not understood |
/// | 3 | [`Partial`](Self::Partial) | some data was ingested, some was not |
/// | 4 | [`Configuration`](Self::Configuration) | a setting is unknown, missing or malformed |
/// | 5 | [`Authentication`](Self::Authentication) | the remote rejected the credentials |
/// | 6 | [`NotFound`](Self::NotFound) | the resource does not exist, or is hidden from this user |
/// | 7 | [`Unavailable`](Self::Unavailable) | the remote or the database cannot be used now, or a quota is used up |
/// | 8 | [`Conflict`](Self::Conflict) | a newer run has replaced this one, or the objects belong to another program |
/// | 9 | [`Stale`](Self::Stale) | data is older than `--fail-if-stale` allows |
/// | 130 | [`Interrupted`](Self::Interrupted) | stopped by a signal; the next run continues from there |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Exit {
    /// The command succeeded.
    Complete,
    /// It failed for a reason without a separate code.
    Failed,
    /// The command line was not understood.
    Usage,
    /// Some data was ingested, some was not.
    Partial,
    /// A setting is unknown, missing or malformed.
    Configuration,
    /// The remote rejected the credentials.
    Authentication,
    /// The resource does not exist, or is hidden from this user.
    NotFound,
    /// The remote or the database cannot be used now, or a quota is used up.
    Unavailable,
    /// A newer run has replaced this one, or the objects belong to another program.
    Conflict,
    /// Data is older than `--fail-if-stale` allows.
    Stale,
    /// Stopped by a signal; the next run continues from there.
    Interrupted,
}

impl Exit {
    /// Every exit, by code, with its meaning in a few words.
    pub(super) const ALL: [(Self, &str); 11] = [
        (Self::Complete, "complete"),
        (Self::Failed, "failed, for a reason not listed here"),
        (Self::Usage, "the command line was not understood"),
        (Self::Partial, "partial: some data was ingested, some was not"),
        (Self::Configuration, "a setting is unknown, missing or malformed"),
        (Self::Authentication, "the remote rejected the credentials"),
        (Self::NotFound, "not found, or hidden from this user"),
        (Self::Unavailable, "the remote or the database cannot be used now, or a quota is used up"),
        (Self::Conflict, "a newer run has replaced this one, or the objects belong to another program"),
        (Self::Stale, "data is older than `status --fail-if-stale` allows"),
        (Self::Interrupted, "interrupted; the next run continues from there"),
    ];

    /// The exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::Complete => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Partial => 3,
            Self::Configuration => 4,
            Self::Authentication => 5,
            Self::NotFound => 6,
            Self::Unavailable => 7,
            Self::Conflict => 8,
            Self::Stale => 9,
            Self::Interrupted => 130,
        }
    }

    /// The exit of a command that failed with an error of this kind.
    pub fn from_kind(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Configuration => Self::Configuration,
            ErrorKind::Authentication => Self::Authentication,
            ErrorKind::NotFound => Self::NotFound,
            ErrorKind::RateLimited | ErrorKind::Unavailable => Self::Unavailable,
            ErrorKind::Conflict => Self::Conflict,
            ErrorKind::InvalidData | ErrorKind::Checkpoint | ErrorKind::Unsupported | ErrorKind::Internal => {
                Self::Failed
            }
        }
    }

    /// The exit of an ingestion. If all runs failed for the same reason, it is that reason's code; a run of a stream that reads what another
    /// one has found does not count if it had nothing to ask. A superseded run left nothing undone, whether it had committed or not: if all
    /// other runs are complete, the exit is `Conflict`.
    pub(super) fn from_report(report: &IngestReport, spec: &SourceSpec) -> Self {
        match report.status() {
            RunStatus::Complete => Self::Complete,
            RunStatus::Interrupted => Self::Interrupted,
            _ if report.runs.iter().all(is_complete_or_superseded) => Self::Conflict,
            _ if !report.runs.iter().all(|run| run.status == RunStatus::Failed || had_nothing_to_ask(run, spec)) => {
                Self::Partial
            }
            _ => {
                let failed = report.runs.iter().filter(|run| run.status == RunStatus::Failed);
                let mut reasons = failed.filter_map(|run| run.error.as_ref()).map(|e| Self::from_kind(e.kind));
                let first = reasons.next().unwrap_or(Self::Failed);
                if reasons.all(|reason| reason == first) { first } else { Self::Failed }
            }
        }
    }
}

fn is_complete_or_superseded(run: &RunRecord) -> bool {
    let is_superseded = run.error.as_ref().is_some_and(|error| error.kind == ErrorKind::Conflict);
    run.status == RunStatus::Complete || is_superseded
}

/// Whether a run has completed without a request and without a record because its stream reads what another one has found.
fn had_nothing_to_ask(run: &RunRecord, spec: &SourceSpec) -> bool {
    let is_idle = run.status == RunStatus::Complete && run.traffic.requests == 0 && run.counts.offered == 0;
    is_idle && spec.streams.iter().any(|stream| stream.name == run.stream && stream.requires().is_some())
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StreamSpec;
    use std::collections::BTreeSet;

    /// Returns the exit code of an ingestion whose runs end like these: a status, and the kind of the error. All are of this stream.
    fn exit(stream: &str, runs: &[(RunStatus, Option<ErrorKind>)]) -> Exit {
        let spec = SourceSpec::new("x", "1").stream(StreamSpec::new("s")).stream(StreamSpec::child("child", "s"));
        let run = |(status, error): &(RunStatus, Option<ErrorKind>)| RunRecord {
            id: crate::RunId::new(),
            resource: "r".to_owned(),
            stream: stream.to_owned(),
            mode: crate::Mode::Incremental,
            status: *status,
            started_at: jiff::Timestamp::UNIX_EPOCH,
            ended_at: None,
            counts: crate::Counts::default(),
            commits: 1,
            traffic: crate::Traffic::default(),
            timings: crate::state::Timings::default(),
            empty_columns: Vec::new(),
            new_columns: Vec::new(),
            credits: crate::cost::Credits::ZERO,
            reject_reason: None,
            error: error.map(|kind| crate::Error::new(kind, "x").report()),
            marks: crate::state::Marks::default(),
            lease_until: None,
            progress: None,
        };
        Exit::from_report(&IngestReport { runs: runs.iter().map(run).collect() }, &spec)
    }

    #[test]
    fn the_exit_code_follows_the_runs() {
        use ErrorKind::{Authentication, Conflict, Unavailable};
        use RunStatus::{Complete, Failed, Interrupted, Partial};

        for (runs, expected) in [
            (&[(Complete, None)][..], Exit::Complete),
            (&[(Partial, None)], Exit::Partial),
            (&[(Partial, Some(Unavailable))], Exit::Partial),
            // Superseded after it had committed, before it did, and alongside a complete run.
            (&[(Partial, Some(Conflict))], Exit::Conflict),
            (&[(Failed, Some(Conflict))], Exit::Conflict),
            (&[(Complete, None), (Partial, Some(Conflict))], Exit::Conflict),
            (&[(Partial, Some(Unavailable)), (Partial, Some(Conflict))], Exit::Partial),
            (&[(Failed, Some(Authentication)), (Failed, Some(Authentication))], Exit::Authentication),
            (&[(Failed, Some(Authentication)), (Failed, Some(Unavailable))], Exit::Failed),
            (&[(Failed, Some(Authentication)), (Complete, None)], Exit::Partial),
            (&[(Complete, None), (Interrupted, None)], Exit::Interrupted),
            (&[(Failed, Some(Authentication)), (Interrupted, None)], Exit::Interrupted),
        ] {
            assert_eq!(exit("s", runs), expected, "{runs:?}");
        }
        // A child stream without a new parent asks nothing.
        for (runs, expected) in [
            (&[(Failed, Some(Authentication)), (Complete, None)][..], Exit::Authentication),
            (&[(Failed, Some(Authentication)), (Complete, None), (Failed, Some(Unavailable))], Exit::Failed),
            (&[(Partial, Some(Authentication)), (Complete, None)], Exit::Partial),
            (&[(Failed, Some(Conflict)), (Complete, None)], Exit::Conflict),
            (&[(Complete, None), (Complete, None)], Exit::Complete),
        ] {
            assert_eq!(exit("child", runs), expected, "{runs:?}");
        }
    }

    #[test]
    fn every_code_is_distinct_and_documented() {
        let codes: BTreeSet<u8> = Exit::ALL.iter().map(|(exit, _)| exit.code()).collect();
        assert_eq!(codes.len(), Exit::ALL.len());
        let documentation = include_str!("exit.rs");
        for (exit, _) in Exit::ALL {
            assert!(documentation.contains(&format!("/// | {} | [`{exit:?}`]", exit.code())), "{exit:?}");
        }
    }
}
