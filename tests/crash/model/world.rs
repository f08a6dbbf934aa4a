//! The upstream, and the references that follow it.

use std::sync::Mutex;
use std::time::Duration;

use snowfeed::testkit::upstream::Upstream;

use super::reference::{Reference, Snapshot};
use super::steps::{Deed, Which};

/// The upstream, and what is known of it.
pub(super) struct World {
    pub(super) upstream: Upstream,
    references: Mutex<[Reference; 2]>,
}

impl World {
    pub(super) fn new(upstream: Upstream, names: [&str; 2]) -> Self {
        let references = names.map(Reference::new).map(|mut reference| {
            reference.note(&upstream);
            reference
        });
        Self { upstream, references: Mutex::new(references) }
    }

    pub(super) fn happen(&self, which: Which, deed: Deed) {
        let upstream = &self.upstream;
        let mut references = self.references.lock().unwrap();
        let (here, there) = (references[which].name.clone(), references[1 - which].name.clone());
        let some = |pick: u16| {
            let issues = upstream.snapshot(&here);
            issues.get(usize::from(pick) % issues.len().max(1)).map(|issue| issue.number)
        };
        match deed {
            Deed::Create(count) => drop(upstream.create(&here, count.into())),
            Deed::Edit(pick) => some(pick).into_iter().for_each(|number| upstream.edit(&here, number)),
            Deed::Close(pick) => some(pick).into_iter().for_each(|number| upstream.close(&here, number)),
            Deed::Bulk(count) => upstream.bulk_edit(&here, count.into()),
            Deed::Delete(pick) => some(pick).into_iter().for_each(|number| upstream.delete(&here, number)),
            Deed::Hide(pick) => some(pick).into_iter().for_each(|number| upstream.hide(&here, number)),
            Deed::Transfer(pick) => some(pick).into_iter().for_each(|number| {
                upstream.transfer(&here, number, &there);
            }),
            Deed::RenameLabel(to) => upstream.rename_label(&here, "bug", &format!("bug {to}")),
            Deed::RenameRepository => {
                let name = format!("{here}-");
                upstream.rename_repository(&here, &name);
                references[which].name = name;
            }
            Deed::Later(seconds) => upstream.clock().advance(Duration::from_secs(seconds.into())),
        }
        references.iter_mut().for_each(|reference| reference.note(upstream));
    }

    pub(super) fn snapshots(&self) -> [Snapshot; 2] {
        let references = self.references.lock().unwrap();
        [0, 1].map(|which| references[which].snapshot(&self.upstream))
    }

    pub(super) fn reference<T>(&self, which: Which, look: impl FnOnce(&mut Reference) -> T) -> T {
        look(&mut self.references.lock().unwrap()[which])
    }
}
