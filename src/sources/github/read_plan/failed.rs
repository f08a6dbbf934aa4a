//! What becomes of a request that brought no answer.

#![cfg_attr(
    not(any(feature = "testkit", fuzzing)),
    allow(unreachable_pub, reason = "the simulations in the tests use what is public here, through `internals`")
)]

use super::super::list_end::LastPageCheck;
use super::super::step::Task;
use super::{NewestRequest, ReadPlan};

impl ReadPlan {
    /// A request has to be made again as it was, only elsewhere.
    pub(in crate::sources::github) fn repeat(&mut self, task: Task) {
        if self.abandoned.remove(&task) {
            return;
        }
        if task == Task::Newest && self.end.is_asking() {
            self.end.repeat();
            return;
        }
        if let (Task::Newest | Task::Probe, Some(last_page_check)) = (task, &mut self.last_page_check) {
            last_page_check.repeat();
            return;
        }
        match (task, &mut self.numbered) {
            (Task::Part(id), Some(numbered)) => numbered.repeat(id),
            (Task::Check, Some(numbered)) => numbered.repeat_check(),
            (Task::Newest, Some(numbered)) => numbered.repeat_newest(),
            (Task::Newest, None) if self.newest == NewestRequest::PageSent && !self.ranges.is_empty() => {
                self.newest = NewestRequest::Page;
            }
            (Task::Newest, None) if self.newest == NewestRequest::Sent => self.newest = NewestRequest::After(1),
            _ => self.restart(task),
        }
    }

    /// A request was refused, or pages are of another size now: a range has to begin again within its second, and what was
    /// read by page number is read by key from now on.
    pub fn restart(&mut self, task: Task) {
        if self.abandoned.remove(&task) {
            return;
        }
        if task == Task::Newest && self.end.is_asking() {
            self.end.newest_came(None);
            return;
        }
        if let (Task::Newest, Some(last_page_check)) = (task, &mut self.last_page_check) {
            last_page_check.newest_came();
            return;
        }
        match (task, &mut self.numbered) {
            (Task::Range(id), _) => self.ranges.restart(id),
            (Task::Poll, _) => (self.polling, self.discard_poll, self.last_page_check) = (false, false, None),
            (Task::Part(id), Some(numbered)) => {
                numbered.repeat(id);
                self.give_up();
            }
            (Task::Check, Some(numbered)) => {
                numbered.unchecked();
                self.invalidate_poll();
            }
            (Task::Newest, Some(numbered)) => numbered.newest(false),
            (Task::Newest, None) => {
                self.newest = NewestRequest::Never;
                self.position.etag = self.position.etag.take().filter(|tag| !tag.newest);
            }
            (Task::Probe, _) => {
                if let Some(LastPageCheck { info, tag, .. }) = self.last_page_check.take() {
                    self.apply_poll(info, tag);
                }
            }
            (Task::Part(_) | Task::Check, None) => {}
        }
        self.end_numbered();
    }
}
