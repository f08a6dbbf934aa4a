//! Ordered sets with positions.

/// Keys in one chunk before it is split in two.
const CHUNK: usize = 1024;

/// Sorted keys in chunks, so that "the page from position n" and "how many are before this key" cost a binary search and
/// a walk over a few chunk lengths, even with a million keys and at 8 bytes each.
#[derive(Debug, Default, Clone)]
pub(crate) struct Timeline {
    chunks: Vec<Vec<u64>>,
    len: usize,
}

/// Orders by second, then by number.
pub(crate) fn key(second: u32, number: u32) -> u64 {
    (u64::from(second) << 32) | u64::from(number)
}

/// The number in a key.
pub(crate) fn number_of(key: u64) -> u32 {
    u32::try_from(key & u64::from(u32::MAX)).unwrap_or_default()
}

impl Timeline {
    /// Adopts keys in any order.
    pub(crate) fn new(mut keys: Vec<u64>) -> Self {
        keys.sort_unstable();
        Self { len: keys.len(), chunks: keys.chunks(CHUNK / 2).map(<[u64]>::to_vec).collect() }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The chunk that holds `key`, or would hold it.
    fn chunk(&self, key: u64) -> usize {
        self.chunks.partition_point(|chunk| chunk[0] <= key).saturating_sub(1)
    }

    pub(crate) fn insert(&mut self, key: u64) {
        if self.chunks.is_empty() {
            self.chunks.push(Vec::new());
        }
        let index = if self.len == 0 { 0 } else { self.chunk(key) };
        let chunk = &mut self.chunks[index];
        if let Err(position) = chunk.binary_search(&key) {
            chunk.insert(position, key);
            self.len += 1;
            if chunk.len() > CHUNK {
                let upper = chunk.split_off(CHUNK / 2);
                self.chunks.insert(index + 1, upper);
            }
        }
    }

    pub(crate) fn remove(&mut self, key: u64) {
        if self.len == 0 {
            return;
        }
        let index = self.chunk(key);
        if let Ok(position) = self.chunks[index].binary_search(&key) {
            self.chunks[index].remove(position);
            self.len -= 1;
            if self.chunks[index].is_empty() {
                self.chunks.remove(index);
            }
        }
    }

    /// How many keys are smaller.
    pub(crate) fn rank(&self, key: u64) -> usize {
        if self.len == 0 {
            return 0;
        }
        let index = self.chunk(key);
        let before: usize = self.chunks[..index].iter().map(Vec::len).sum();
        before + self.chunks[index].partition_point(|&other| other < key)
    }

    /// Up to `count` keys from a position on, ascending.
    pub(crate) fn slice(&self, position: usize, count: usize) -> impl Iterator<Item = u64> + '_ {
        let mut skip = position;
        let mut first = 0;
        while first < self.chunks.len() && skip >= self.chunks[first].len() {
            skip -= self.chunks[first].len();
            first += 1;
        }
        self.chunks[first..].iter().flatten().skip(skip).take(count).copied()
    }

    /// The key at a position.
    pub(crate) fn get(&self, position: usize) -> Option<u64> {
        self.slice(position, 1).next()
    }
}

/// The times by which a record is listed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    pub(crate) created: u32,
    pub(crate) updated: u32,
    pub(crate) number: u32,
}

/// The same records in two orders.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    pub(crate) created: Timeline,
    pub(crate) updated: Timeline,
}

impl Orders {
    pub(crate) fn new(times: impl Iterator<Item = Times> + Clone) -> Self {
        Self {
            created: Timeline::new(times.clone().map(|times| key(times.created, times.number)).collect()),
            updated: Timeline::new(times.map(|times| key(times.updated, times.number)).collect()),
        }
    }

    pub(crate) fn insert(&mut self, times: Times) {
        self.created.insert(key(times.created, times.number));
        self.updated.insert(key(times.updated, times.number));
    }

    pub(crate) fn remove(&mut self, times: Times) {
        self.created.remove(key(times.created, times.number));
        self.updated.remove(key(times.updated, times.number));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn behaves_as_an_ordered_set_under_random_inserts_and_removals() {
        let mut rng = fastrand::Rng::with_seed(7);
        let mut set = BTreeSet::new();
        let mut line = Timeline::new(Vec::new());
        for step in 0..20_000 {
            let key = rng.u64(..6_000);
            if rng.u8(..3) == 0 || step > 18_000 {
                set.remove(&key);
                line.remove(key);
            } else {
                set.insert(key);
                line.insert(key);
            }
            if step % 500 == 0 {
                assert_eq!(line.rank(key), set.range(..key).count());
                assert!(line.slice(line.rank(key), 30).eq(set.range(key..).take(30).copied()));
            }
        }
        assert_eq!(line.len(), set.len());
        assert!(line.slice(0, usize::MAX).eq(set.iter().copied()));
        assert_eq!(line.get(17), set.iter().nth(17).copied());
    }
}
