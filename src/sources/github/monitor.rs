//! For what no run watches.

use crate::{Monitor, SourceEvent};

/// A monitor that tells the log: a limit may be waited for for an hour, which must not look like a hang.
pub(super) fn logging() -> Monitor {
    Monitor::new(|event| match event {
        SourceEvent::Waiting { reason, until } => tracing::warn!(%reason, %until, "waiting"),
        SourceEvent::Warning(warning) => tracing::warn!("{warning}"),
        event => tracing::debug!(?event, "source"),
    })
}
