//! Whether two names mean one thing: a repository that was renamed, and is read under both names, would have every row twice.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::{Resource, Result};

/// What the runs of this process read that were new when they began, by its identity: the state says it only once they have committed.
#[derive(Debug, Clone, Default)]
pub(super) struct IdentityClaims(Arc<Mutex<BTreeMap<String, Resource>>>);

/// That a run reads something. It holds until it is dropped.
pub(super) struct IdentityClaim {
    claims: IdentityClaims,
    identity: String,
}

impl IdentityClaims {
    /// Claims an identity for a resource, unless another one has it.
    pub(super) fn claim(&self, identity: &str, resource: &Resource) -> Result<IdentityClaim, Resource> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match all.get(identity) {
            Some(other) if other != resource => Err(other.clone()),
            _ => {
                all.insert(identity.to_owned(), resource.clone());
                Ok(IdentityClaim { claims: self.clone(), identity: identity.to_owned() })
            }
        }
    }
}

impl Drop for IdentityClaim {
    fn drop(&mut self) {
        self.claims.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.identity);
    }
}
