//! The identities of resources that the runs of this process read for the first time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::Resource;

/// The new resources that the runs of this process read, by identity, with the number of runs that claim each. The state has them only once the
/// runs have committed.
#[derive(Debug, Clone, Default)]
pub(super) struct IdentityClaims(Arc<Mutex<BTreeMap<String, (Resource, usize)>>>);

/// A claim on an identity, released on drop.
pub(super) struct IdentityClaim {
    claims: IdentityClaims,
    identity: String,
}

/// Why an identity cannot be claimed.
#[derive(Debug, PartialEq)]
pub(super) enum ClaimError {
    /// Another resource has it.
    SameAs(Resource),
    /// The resource has another one.
    IsAnother,
}

impl IdentityClaims {
    /// Claims an identity for a resource.
    pub(super) fn claim(&self, identity: &str, resource: &Resource) -> Result<IdentityClaim, ClaimError> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.iter().any(|(known, (other, _))| other == resource && known != identity) {
            return Err(ClaimError::IsAnother);
        }
        let (other, claims) = all.entry(identity.to_owned()).or_insert_with(|| (resource.clone(), 0));
        if other != resource {
            return Err(ClaimError::SameAs(other.clone()));
        }
        *claims += 1;
        Ok(IdentityClaim { claims: self.clone(), identity: identity.to_owned() })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_of_a_resource_share_an_identity_until_the_last_one_releases_it() {
        let (claims, [old, new]) = (IdentityClaims::default(), ["old", "new"].map(|name| Resource::new(name).unwrap()));
        let first = claims.claim("7", &old).unwrap();
        let second = claims.claim("7", &old).unwrap();
        drop(first);
        assert_eq!(claims.claim("7", &new).err(), Some(ClaimError::SameAs(old.clone())));
        assert_eq!(claims.claim("8", &old).err(), Some(ClaimError::IsAnother));
        drop(claims.claim("8", &new).unwrap());
        drop(second);
        drop(claims.claim("8", &old).unwrap());
        claims.claim("7", &new).unwrap();
    }
}
