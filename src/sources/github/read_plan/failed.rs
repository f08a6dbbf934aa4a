//! What becomes of a request that brought no answer.

use super::super::list_end::LastPageCheck;
use super::super::step::Task;
use super::{NewestRequest, ReadPlan};

impl ReadPlan {
    /// A request has to be made again as it was, only elsewhere.
    pub(in crate::sources::github) fn repeat(&mut self, task: Task) {
        if self.strays.remove(&task) {
            return;
        }
        if task == Task::Newest && self.end.is_asking() {
            self.end.repeat();
            return;
        }
        if let (Task::Newest | Task::Probe, Some(full)) = (task, &mut self.full) {
            full.repeat();
            return;
        }
        match (task, &mut self.listing) {
            (Task::Part(id), Some(listing)) => listing.repeat(id),
            (Task::Check, Some(listing)) => listing.repeat_check(),
            (Task::Newest, Some(listing)) => listing.repeat_newest(),
            (Task::Newest, None) if self.newest == NewestRequest::PageSent && !self.ranges.is_empty() => {
                self.newest = NewestRequest::Page;
            }
            (Task::Newest, None) if self.newest == NewestRequest::Sent => self.newest = NewestRequest::After(1),
            _ => self.restart(task),
        }
    }

    /// A request was refused, or pages are of another size now: a range has to begin again within its second, and what was
    /// read by page number is read by key from now on.
    pub(in crate::sources::github) fn restart(&mut self, task: Task) {
        if self.strays.remove(&task) {
            return;
        }
        if task == Task::Newest && self.end.is_asking() {
            self.end.newest_came(None);
            return;
        }
        if let (Task::Newest, Some(full)) = (task, &mut self.full) {
            full.newest_came();
            return;
        }
        match (task, &mut self.listing) {
            (Task::Range(id), _) => self.ranges.restart(id),
            (Task::Poll, _) => (self.polling, self.outrun, self.full) = (false, false, None),
            (Task::Part(id), Some(listing)) => {
                listing.repeat(id);
                self.give_up();
            }
            (Task::Check, Some(listing)) => {
                listing.unchecked();
                self.outrun();
            }
            (Task::Newest, Some(listing)) => listing.newest(false),
            (Task::Newest, None) => {
                self.newest = NewestRequest::Never;
                self.position.etag = self.position.etag.take().filter(|tag| !tag.newest);
            }
            (Task::Probe, _) => {
                if let Some(LastPageCheck { info, tag, .. }) = self.full.take() {
                    self.conclude(info, tag);
                }
            }
            (Task::Part(_) | Task::Check, None) => {}
        }
        self.end_listing();
    }
}
