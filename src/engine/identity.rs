//! The identities of resources that the runs of this process read for the first time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::{Resource, Result};

/// The new resources that the runs of this process read, by identity, with the number of runs that claim each. The state has them only once the runs have committed.
#[derive(Debug, Clone, Default)]
pub(super) struct IdentityClaims(Arc<Mutex<BTreeMap<String, (Resource, usize)>>>);

/// A claim on an identity, released on drop.
pub(super) struct IdentityClaim {
    claims: IdentityClaims,
    identity: String,
}

impl IdentityClaims {
    /// Claims an identity for a resource. Fails with the resource that has it already.
    pub(super) fn claim(&self, identity: &str, resource: &Resource) -> Result<IdentityClaim, Resource> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match all.entry(identity.to_owned()).or_insert_with(|| (resource.clone(), 0)) {
            (other, _) if other != resource => Err(other.clone()),
            (_, claims) => {
                *claims += 1;
                Ok(IdentityClaim { claims: self.clone(), identity: identity.to_owned() })
            }
        }
    }
}

impl Drop for IdentityClaim {
    fn drop(&mut self) {
        let mut all = self.claims.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, claims)) = all.get_mut(&self.identity) {
            *claims -= 1;
            if *claims == 0 {
                all.remove(&self.identity);
            }
        }
    }
}
