//! The steps of a scenario: changes of the upstream, and operations of the connector.

use proptest::prelude::*;
use snowfeed::Mode;

use super::mirror::StreamIndex;
use crate::crash::{CrashPoint, crash_points};
use crate::mutations::Mutation;

/// One of the two repositories.
pub(crate) type RepositoryIndex = usize;

/// Mutations, each for one of the repositories.
pub(crate) type RepositoryMutations = Vec<(RepositoryIndex, Mutation)>;

/// A run, and what happens while it reads.
#[derive(Debug, Clone)]
pub(crate) struct Ingestion {
    pub(crate) mode: Mode,
    /// The stream that fails, if any.
    pub(crate) failing: Option<StreamIndex>,
    pub(crate) meanwhile: RepositoryMutations,
}

#[derive(Debug, Clone)]
pub(crate) enum Step {
    Mutate(RepositoryIndex, Mutation),
    /// A run of named resources, which enables them.
    Run(Vec<RepositoryIndex>, Ingestion),
    /// A run of all enabled resources.
    RunEnabled(Ingestion),
    /// A run that crashes, unless it ends earlier.
    Crash(Ingestion, CrashPoint),
    /// Two parallel runs, in two processes.
    Together(Ingestion, Mode),
    /// Two processes whose schedules are so short that each run is overdue when the previous one ends.
    Serve(RepositoryMutations),
    Reset(RepositoryIndex),
    Enable(RepositoryIndex),
    /// Selects these streams, and enables the repository.
    Select(RepositoryIndex, Vec<StreamIndex>),
    Disable(RepositoryIndex),
}

fn which() -> impl Strategy<Value = RepositoryIndex> {
    prop_oneof![3 => Just(0), 1 => Just(1)]
}

fn mutation() -> impl Strategy<Value = Mutation> {
    prop_oneof![
        2 => (1..5_u8).prop_map(Mutation::Create),
        4 => any::<u16>().prop_map(Mutation::Edit),
        2 => any::<u16>().prop_map(Mutation::Close),
        1 => (1..30_u8).prop_map(Mutation::Bulk),
        2 => any::<u16>().prop_map(Mutation::Delete),
        1 => any::<u16>().prop_map(Mutation::Hide),
        2 => any::<u16>().prop_map(Mutation::Transfer),
        1 => any::<u8>().prop_map(Mutation::RenameLabel),
        1 => Just(Mutation::RenameRepository),
        4 => (1..30_u8).prop_map(Mutation::Later),
    ]
}

fn mutations() -> impl Strategy<Value = RepositoryMutations> {
    prop_oneof![
        1 => Just(Vec::new()),
        1 => proptest::collection::vec((which(), mutation()), 0..10),
    ]
}

fn mode() -> impl Strategy<Value = Mode> {
    prop_oneof![2 => Just(Mode::Incremental), 1 => Just(Mode::Reconcile)]
}

fn ingestion() -> impl Strategy<Value = Ingestion> {
    let failing = prop_oneof![4 => Just(None), 1 => (0..2_usize).prop_map(Some)];
    let ingestion = (mode(), failing, mutations());
    ingestion.prop_map(|(mode, failing, meanwhile)| Ingestion { mode, failing, meanwhile })
}

fn named() -> impl Strategy<Value = Vec<RepositoryIndex>> {
    prop_oneof![2 => Just(vec![0, 1]), 2 => Just(vec![0]), 1 => Just(vec![1])]
}

pub(crate) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        12 => (which(), mutation()).prop_map(|(which, mutation)| Step::Mutate(which, mutation)),
        6 => (named(), ingestion()).prop_map(|(named, ingestion)| Step::Run(named, ingestion)),
        2 => ingestion().prop_map(Step::RunEnabled),
        6 => (ingestion(), crash_points()).prop_map(|(ingestion, crash)| Step::Crash(ingestion, crash)),
        2 => (ingestion(), mode()).prop_map(|(ingestion, other)| Step::Together(ingestion, other)),
        1 => mutations().prop_map(Step::Serve),
        1 => which().prop_map(Step::Reset),
        1 => which().prop_map(Step::Enable),
        2 => (which(), proptest::sample::subsequence(vec![0, 1], 1..=2)).prop_map(|(which, streams)| Step::Select(which, streams)),
        1 => which().prop_map(Step::Disable),
    ];
    proptest::collection::vec(step, 1..24)
}
