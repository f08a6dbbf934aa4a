//! A disk that loses unsynced writes.

use std::collections::BTreeMap;

use super::trace::FileEvent;

/// The unit that a disk writes atomically.
const SECTOR: usize = 512;

#[derive(Debug, Clone)]
enum Change {
    Write(usize, Vec<u8>),
    Truncate(usize),
}

#[derive(Debug, Clone, Default)]
struct File {
    synced: Vec<u8>,
    /// Since the last sync, in order.
    changes: Vec<Change>,
}

#[derive(Debug, Clone)]
enum DirectoryChange {
    Created(String, usize),
    Removed(String),
}

/// Files and their names, as the process sees them and as they are on the disk.
#[derive(Debug, Clone, Default)]
pub(crate) struct SimulatedDisk {
    files: Vec<File>,
    /// As the process sees them.
    names: BTreeMap<String, usize>,
    synced_names: BTreeMap<String, usize>,
    directory_changes: Vec<DirectoryChange>,
    ignores_syncs: bool,
}

/// The unsynced data that survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Survival {
    /// All of it: the state that the process itself saw.
    All,
    Nothing,
    /// Some changes, in any order.
    SomeChanges,
    /// Some sectors of some changes.
    SomeSectors,
}

impl SimulatedDisk {
    /// A disk that ignores syncs but reports success.
    pub(crate) fn ignoring_syncs() -> Self {
        Self { ignores_syncs: true, ..Self::default() }
    }

    pub(crate) fn apply(&mut self, event: &FileEvent) {
        match event {
            FileEvent::Create(name) => drop(self.file(name)),
            FileEvent::Write { name, at, bytes } => self.file(name).changes.push(Change::Write(*at, bytes.clone())),
            FileEvent::Truncate { name, length } => self.file(name).changes.push(Change::Truncate(*length)),
            FileEvent::Unlink(name) => {
                self.names.remove(name);
                self.directory_changes.push(DirectoryChange::Removed(name.clone()));
            }
            FileEvent::Sync(_) | FileEvent::SyncFolder if self.ignores_syncs => {}
            FileEvent::Sync(name) => {
                let file = self.file(name);
                for change in std::mem::take(&mut file.changes) {
                    change.apply(&mut file.synced);
                }
            }
            FileEvent::SyncFolder => {
                for change in std::mem::take(&mut self.directory_changes) {
                    change.apply(&mut self.synced_names);
                }
            }
            FileEvent::Reported => {}
        }
    }

    fn file(&mut self, name: &str) -> &mut File {
        let index = *self.names.entry(name.to_owned()).or_insert_with(|| {
            self.files.push(File::default());
            self.directory_changes.push(DirectoryChange::Created(name.to_owned(), self.files.len() - 1));
            self.files.len() - 1
        });
        &mut self.files[index]
    }

    /// The files after a power cut at this moment.
    pub(crate) fn after_power_cut(&self, survival: Survival, random: &mut fastrand::Rng) -> BTreeMap<String, Vec<u8>> {
        let mut names = self.synced_names.clone();
        // A file system keeps the order of name changes.
        let kept = match survival {
            Survival::All => self.directory_changes.len(),
            Survival::Nothing => 0,
            Survival::SomeChanges | Survival::SomeSectors => random.usize(..=self.directory_changes.len()),
        };
        self.directory_changes[..kept].iter().for_each(|change| change.clone().apply(&mut names));
        names.into_iter().map(|(name, index)| (name, self.files[index].after_power_cut(survival, random))).collect()
    }
}

impl File {
    fn after_power_cut(&self, survival: Survival, random: &mut fastrand::Rng) -> Vec<u8> {
        let mut found = self.synced.clone();
        for change in &self.changes {
            match (survival, change) {
                (Survival::All, _) => change.clone().apply(&mut found),
                (Survival::Nothing, _) => {}
                (Survival::SomeSectors, Change::Write(at, bytes)) => {
                    for (number, sector) in bytes.chunks(SECTOR).enumerate() {
                        if random.bool() {
                            Change::Write(at + number * SECTOR, sector.to_vec()).apply(&mut found);
                        }
                    }
                }
                _ if random.bool() => change.clone().apply(&mut found),
                _ => {}
            }
        }
        found
    }
}

impl Change {
    fn apply(self, bytes: &mut Vec<u8>) {
        match self {
            Self::Write(at, new) => {
                let end = at + new.len();
                bytes.resize(bytes.len().max(end), 0);
                bytes[at..end].copy_from_slice(&new);
            }
            Self::Truncate(length) => bytes.resize(length, 0),
        }
    }
}

impl DirectoryChange {
    fn apply(self, names: &mut BTreeMap<String, usize>) {
        match self {
            Self::Created(name, file) => drop(names.insert(name, file)),
            Self::Removed(name) => drop(names.remove(&name)),
        }
    }
}
