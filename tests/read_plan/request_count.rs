//! The number of requests per read, whatever its rows' times, counted in the simulation.

use std::collections::HashMap;

use proptest::prelude::*;

use snowfeed::internals::github::Position;

use crate::simulation::{List, Random, Scenario, Simulation};

/// When rows were updated.
#[derive(Debug, Clone)]
enum Spread {
    /// Anywhere, equally likely in any second.
    Evenly { seconds: u64 },
    /// Bursts, years apart: this many rows at once, with this many in each second.
    Bursts(Vec<(u64, u64)>),
    /// Each interval between rows is shorter than the previous one by this percentage.
    Faster(u64),
    /// One row far in the past, and one in the future.
    Outliers,
}

impl Spread {
    fn times(&self, rows: u64, random: &mut Random) -> Vec<i64> {
        let seconds: Vec<u64> = match self {
            Self::Evenly { seconds } => (0..rows).map(|_| random.below(*seconds)).collect(),
            Self::Bursts(bursts) => {
                let burst =
                    |(year, &(rows, each)): (u64, &(u64, u64))| (0..rows).map(move |n| year * 31_536_000 + n / each);
                (0_u64..).zip(bursts).flat_map(burst).collect()
            }
            Self::Faster(percent) => {
                let (mut second, mut gap) = (0, 50_000_000);
                let next = |_| {
                    second += gap / 100;
                    gap = gap * (100 - percent) / 100;
                    second
                };
                (0..rows).map(next).collect()
            }
            Self::Outliers => {
                let many = 0..rows.saturating_sub(2);
                many.map(|n| 1_000_000 + n * 100).chain([0, 4_000_000_000]).collect()
            }
        };
        seconds.into_iter().map(|second| 1_000 + i64::try_from(second).unwrap()).collect()
    }
}

fn spreads() -> impl Strategy<Value = Spread> {
    prop_oneof![
        (1..1_000_000_u64).prop_map(|seconds| Spread::Evenly { seconds }),
        proptest::collection::vec((1..400_u64, prop_oneof![1..12_u64, 1..500_u64]), 1..12).prop_map(Spread::Bursts),
        (0..30_u64).prop_map(Spread::Faster),
        Just(Spread::Outliers),
    ]
}

/// Reads an unchanging list, long after the last update of its rows; counts the rows and the requests of the read, and of
/// the idle one after it.
fn requests(spread: &Spread, rows: u64, page: usize, concurrency: usize, inclusive: bool) -> (usize, u64, u64) {
    let scenario = Scenario {
        seed: 1,
        rows: 0,
        seconds: 1,
        page,
        concurrency,
        change_percent: 0,
        crashes: 0,
        inclusive,
        links: true,
        counted: Some(u64::MAX),
        behind: 0,
        most: usize::MAX,
        heavy: false,
        tags: true,
    };
    let mut random = Random(1);
    let mut list = List::new(&mut random, &scenario);
    list.rows = (0..).zip(spread.times(rows, &mut random)).map(|(id, time)| (id, (time, 0))).collect();
    list.now = 2_000_000_000;
    let mut simulation = Simulation { scenario: &scenario, random, list, table: HashMap::new(), page, heavy: false };
    let (position, _) = simulation.read(Position::default(), 0, 0);
    assert_eq!(simulation.table.len(), simulation.list.rows.len());
    let first = simulation.list.requests;
    simulation.read(position, 0, 0);
    (simulation.table.len(), first, simulation.list.requests - first)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn requests_are_few_for_any_spread_and_concurrency(
        spread in spreads(),
        rows in 0..2_500_u64,
        page in prop_oneof![Just(10_usize), 2..40_usize],
        concurrency in prop_oneof![Just(1_usize), Just(8), Just(32), Just(64), 1..70_usize],
        inclusive in any::<bool>(),
    ) {
        let (rows, requests, idle) = requests(&spread, rows, page, concurrency, inclusive);
        let pages = rows.div_ceil(page) as u64;
        // The repository is requested, too.
        prop_assert!(requests < pages + pages / 20 + 6, "{requests} requests for {pages} pages");
        prop_assert_eq!(idle, 1);
    }
}
