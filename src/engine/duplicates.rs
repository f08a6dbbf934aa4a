//! Prevents reading one resource under two names: a renamed repository would have every row twice.

use super::run::Run;
use crate::{Checkpoint, Error, ErrorKind, Resource, Result, StateKey};

impl Run<'_> {
    /// Refuses to commit a resource that is already read under another name. Called with the first checkpoint of a resource that was
    /// never read.
    pub(super) async fn check_identity(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        let source = &self.connector.source;
        let Some(identity) = source.identity(checkpoint) else { return Ok(()) };
        let claim = self.connector.claims.claim(&identity, &self.resource).map_err(|other| self.same_as(&other))?;
        let known = self.connector.resources().await?.into_iter().map(|(known, _)| known);
        let others: Vec<Resource> = known.filter(|known| *known != self.resource).collect();
        // Another program may be reading another new resource, whose identity is unknown until it commits.
        if !self.are_other_resources(&others, &identity).await? {
            self.store_claim(checkpoint).await?;
            self.are_other_resources(&others, &identity).await?;
        }
        self.claim = Some(claim);
        Ok(())
    }

    /// Fails if one of these resources has this identity. Returns whether the identities of all of them are known.
    async fn are_other_resources(&self, others: &[Resource], identity: &str) -> Result<bool> {
        // Saves a call to a metered store.
        if others.is_empty() {
            return Ok(true);
        }
        let streams = &self.connector.spec.streams;
        let keys = |other: &Resource| {
            let name = other.name().to_owned();
            streams.iter().map(move |stream| StateKey::new(name.clone(), &stream.name)).collect::<Vec<_>>()
        };
        let statuses = self.connector.statuses(&others.iter().flat_map(keys).collect::<Vec<_>>()).await?;
        let mut is_known = true;
        for (other, statuses) in others.iter().zip(statuses.chunks(streams.len())) {
            let states = statuses.iter().filter_map(|status| status.entry.as_ref()).map(|entry| &entry.state);
            let mut checkpoints = states.filter_map(|state| {
                let reconcile = state.reconcile.as_ref().and_then(|reconcile| reconcile.checkpoint.as_ref());
                state.checkpoint.as_ref().or(reconcile).or(state.claim.as_ref())
            });
            let checkpoint = checkpoints.next();
            let found = checkpoint.and_then(|checkpoint| self.connector.source.identity(checkpoint));
            if found.as_deref() == Some(identity) {
                return Err(self.same_as(other));
            }
            is_known &= checkpoint.is_some();
        }
        Ok(is_known)
    }

    fn same_as(&self, other: &Resource) -> Error {
        let (kind, this) = (&self.connector.spec.resource_kind, &self.resource);
        Error::new(ErrorKind::Configuration, format!("{this} is the same {kind} as {other}, which is already ingested"))
            .with_help(format!(
                "continue with {other}, which follows a new name, and `remove` {this} if it is enabled; to read it as {this} instead, \
                 `remove` {other}: its rows are kept in addition to the new ones"
            ))
    }
}
