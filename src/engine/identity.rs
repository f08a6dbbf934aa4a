//! Whether two names mean one thing: a repository that was renamed, and is read under both names, would have every row twice.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::run::Run;
use crate::{Checkpoint, Error, ErrorKind, Resource, Result};

/// What the runs of this process read that were new when they began, by its identity: the state says it only once they have committed.
#[derive(Debug, Clone, Default)]
pub(super) struct Claims(Arc<Mutex<BTreeMap<String, Resource>>>);

/// That a run reads something. It holds until it is dropped.
pub(super) struct Claim {
    claims: Claims,
    identity: String,
}

impl Claims {
    /// Claims an identity for a resource, unless another one has it.
    fn claim(&self, identity: &str, resource: &Resource) -> Result<Claim, Resource> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match all.get(identity) {
            Some(other) if other != resource => Err(other.clone()),
            _ => {
                all.insert(identity.to_owned(), resource.clone());
                Ok(Claim { claims: self.clone(), identity: identity.to_owned() })
            }
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.claims.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.identity);
    }
}

impl Run<'_> {
    /// Refuses to commit what another resource has read already. Asked once, with the first checkpoint of a resource that was never
    /// read.
    pub(super) async fn must_be_unknown(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        let source = &self.connector.source;
        let Some(identity) = source.identity(checkpoint) else { return Ok(()) };
        let claim = self.connector.claims.claim(&identity, &self.resource).map_err(|other| self.same_as(&other))?;
        let known = self.connector.resources().await?.into_iter().map(|(known, _)| known);
        let others: Vec<Resource> = known.filter(|known| *known != self.resource).collect();
        // Where there is no other one, no call is paid for.
        let found = if others.is_empty() { Vec::new() } else { self.connector.standings(&others).await? };
        for (other, found) in others.iter().zip(found) {
            let state = found.entry.map(|entry| entry.state);
            let pass = state.as_ref().and_then(|state| state.reconcile.as_ref()?.checkpoint.as_ref());
            let checkpoint = state.as_ref().and_then(|state| state.checkpoint.as_ref()).or(pass);
            if checkpoint.and_then(|checkpoint| source.identity(checkpoint)).as_ref() == Some(&identity) {
                return Err(self.same_as(other));
            }
        }
        self.claim = Some(claim);
        Ok(())
    }

    fn same_as(&self, other: &Resource) -> Error {
        let (kind, this) = (&self.connector.spec.resource_kind, &self.resource);
        Error::new(ErrorKind::Configuration, format!("{this} is the same {kind} as {other}, which is ingested here already"))
            .with_help(format!(
                "go on with {other}, which follows a new name, and `remove` {this} if it is enabled; to read it as {this} instead, \
                 `remove` {other}: its rows stay beside the new ones"
            ))
    }
}
