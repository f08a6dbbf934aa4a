//! Prevents reading one resource under two names: a renamed repository would have every row twice. Also prevents reading two resources
//! under one name, which a new repository may have taken over.

use super::identity::ClaimError;
use super::run::Run;
use super::snapshot;
use crate::{Checkpoint, Error, ErrorKind, Resource, Result, StateKey, StreamState};

impl Run<'_> {
    /// Refuses to commit a resource that is already read under another name, or a stream of another resource than its other streams.
    /// Called with the first checkpoint of a stream that was never read.
    pub(super) async fn check_identity(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        let Some(identity) = self.connector.source.identity(checkpoint) else { return Ok(()) };
        let claim = self.connector.claims.claim(&identity, &self.resource).map_err(|error| match error {
            ClaimError::SameAs(other) => self.same_as(&other),
            ClaimError::IsAnother => self.is_another(),
        })?;
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

    /// Fails if one of these resources has this identity, or if another stream of this resource has a different one. Returns whether the
    /// identities of all these resources are known.
    async fn are_other_resources(&self, others: &[Resource], identity: &str) -> Result<bool> {
        let streams: Vec<_> = self.connector.spec.streams.iter().filter(|stream| !stream.is_source_wide).collect();
        let keys_of = |resource: &Resource| {
            let name = resource.name().to_owned();
            streams.iter().map(move |stream| StateKey::new(name.clone(), &stream.name)).collect::<Vec<_>>()
        };
        let siblings = keys_of(&self.resource).into_iter().filter(|key| *key != self.key);
        let keys: Vec<StateKey> = others.iter().flat_map(keys_of).chain(siblings).collect();
        // Saves a call to a metered store.
        if keys.is_empty() {
            return Ok(true);
        }
        let statuses = self.connector.statuses(&keys).await?;
        let identity_of = |state: &StreamState| {
            let reconcile = state.reconcile.as_ref().and_then(|reconcile| reconcile.checkpoint.as_ref());
            let checkpoints = [state.checkpoint.as_ref(), reconcile, state.claim.as_ref()];
            let mut own = checkpoints.into_iter().flatten().cloned().map(snapshot::last_list);
            own.find_map(|checkpoint| self.connector.source.identity(&checkpoint))
        };
        let identities: Vec<Option<String>> =
            statuses.iter().map(|status| status.entry.as_ref().and_then(|entry| identity_of(&entry.state))).collect();
        let (of_others, of_siblings) = identities.split_at(others.len() * streams.len());
        let mut is_known = true;
        for (other, identities) in others.iter().zip(of_others.chunks(streams.len())) {
            let mut found = identities.iter().flatten().peekable();
            is_known &= found.peek().is_some();
            if found.any(|found| found == identity) {
                return Err(self.same_as(other));
            }
        }
        if of_siblings.iter().flatten().any(|found| found != identity) {
            return Err(self.is_another());
        }
        Ok(is_known)
    }

    fn is_another(&self) -> Error {
        let (kind, this, stream) = (&self.connector.spec.resource_kind, &self.resource, &self.stream.name);
        Error::new(
            ErrorKind::Configuration,
            format!("{this} is now another {kind} than the one of which its other streams were read"),
        )
        .with_context("stream", stream)
        .with_help(format!(
            "enable the {kind} of the other streams under its new name, then `reset` {this} to read the one that has its name now"
        ))
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
