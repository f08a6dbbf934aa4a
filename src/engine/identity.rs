//! The identities of resources that the runs of this process read for the first time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::{Resource, Result};

/// The new resources that the runs of this process read, by identity. The state has them only once the runs have committed.
#[derive(Debug, Clone, Default)]
pub(super) struct IdentityClaims(Arc<Mutex<BTreeMap<String, Resource>>>);

/// A claim on an identity, released on drop.
pub(super) struct IdentityClaim {
    claims: IdentityClaims,
    identity: String,
}

impl IdentityClaims {
    /// Claims an identity for a resource. Fails with the resource that has it already.
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
