//! The marks of reconcile runs: the keys that they have seen, in `SNOWFEED_SEEN`.

use super::names::Names;
use crate::sink::{StalePolicy, StreamCommit, Sweep};
use crate::snowflake::{Sql, Statement, sql};
use crate::{Resource, RunId};

/// The keys that a reconcile run has marked, each once, as a table. [`bind`] binds its values.
pub(super) fn marked_keys(names: &Names) -> Sql {
    sql!(
        "(SELECT DISTINCT \"KEY\", COALESCE(\"PARENT\", '') AS \"PARENT\" FROM {seen} WHERE \"RUN\" = ? AND \"RESOURCE\" = ? AND \
         \"STREAM\" = ?)",
        seen = names.state("SNOWFEED_SEEN")
    )
}

/// Binds a reconcile run and its stream.
pub(super) fn bind(statement: Statement, run: RunId, resource: &Resource, stream: &str) -> Statement {
    statement.bind(run.to_string()).bind(resource.name()).bind(stream)
}

/// How a part decides about older states, and the reconcile run whose marks it needs for that.
pub(super) fn policy_of(part: &StreamCommit) -> (StalePolicy, Option<RunId>) {
    match part.sweep {
        Some(Sweep::Mark(run, policy)) => (policy, Some(run).filter(|_| policy != StalePolicy::Skip)),
        _ => (StalePolicy::Skip, None),
    }
}
