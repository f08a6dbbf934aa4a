//! The checkpoint of a snapshot stream: the validators of its last complete list.
//!
//! If the rows of a list are committed before it ends, the stored rows are those of no complete list. Should the list become the last
//! complete one again, its validators would say that nothing has changed. So they are kept only as what tells the resource from another one.

use serde::{Deserialize, Serialize};

use crate::{Checkpoint, Result};

/// The checkpoint while the stored rows are not those of a complete list.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Incomplete {
    /// The validators of the last complete list.
    snowfeed_incomplete_since: Checkpoint,
}

/// The checkpoint for rows of a list that has not ended.
pub(super) fn incomplete(last: Checkpoint) -> Result<Checkpoint> {
    let snowfeed_incomplete_since = last_list(last);
    Checkpoint::new(&Incomplete { snowfeed_incomplete_since })
}

/// The validators of the last complete list. Checkpoints of other streams are returned as they are.
pub(super) fn last_list(checkpoint: Checkpoint) -> Checkpoint {
    match checkpoint.parse::<Incomplete>() {
        Ok(incomplete) => incomplete.snowfeed_incomplete_since,
        Err(_) => checkpoint,
    }
}

/// The validators with which to request the list; `None` if the stored rows are not those of a complete list.
pub(super) fn validators(checkpoint: Checkpoint) -> Option<Checkpoint> {
    checkpoint.parse::<Incomplete>().is_err().then_some(checkpoint)
}
