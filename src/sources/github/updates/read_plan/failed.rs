//! Requests without a usable response.

#![cfg_attr(
    not(any(feature = "testkit", fuzzing)),
    allow(unreachable_pub, reason = "the simulations in the tests use what is public here, through `internals`")
)]

use super::super::list_end::LastPageCheck;
use super::super::step::Task;
use super::{NewestRequest, ReadPlan};

impl ReadPlan {
    /// Repeats a request unchanged, at another URL of the repository.
    pub(in crate::sources::github) fn repeat(&mut self, task: Task) {
        if self.abandoned.remove(&task) {
            return;
        }
        if task == Task::Newest && self.end.is_waiting() {
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

    /// Handles a rejected request, or a change of the page size: a range restarts within its second, and a numbered list is read
    /// by key from now on.
    pub fn restart(&mut self, task: Task) {
        if self.abandoned.remove(&task) {
            return;
        }
        if task == Task::Newest && self.end.is_waiting() {
            self.end.set_newest(None);
            return;
        }
        if let (Task::Newest, Some(last_page_check)) = (task, &mut self.last_page_check) {
            last_page_check.after_newest();
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
