//! The first pages of lists, which show how they continue.

use std::collections::BTreeMap;

use super::super::fields::{Pointer, Wanted, is_truthy};
use super::RestReader;
use super::plan::StreamPlan;
use super::request::Values;
use crate::{ErrorKind, Record, Resource, Result, SourceEvent};

/// The records on the first page of each list that was asked for.
type FirstPages = BTreeMap<String, Vec<Record>>;

impl RestReader {
    /// Asks for the first page of each list whose pages the description does not tell, and of the lists that lead to it. No list is asked
    /// for twice; that of `probed` is known. Of each list with `get`, it asks for one record by its key. What the answers show, and what
    /// cannot be read, are warnings.
    pub(super) async fn check_lists(&self, probed: String, records: Vec<Record>) {
        let mut pages = FirstPages::from([(probed, records)]);
        for stream in self.plan.streams.iter().filter(|stream| stream.unseen.is_open() || stream.is_verifiable()) {
            let parent =
                |stream: &&StreamPlan| self.plan.stream(&stream.parent.as_ref()?.stream).map(|parent| &**parent);
            let mut path: Vec<&StreamPlan> = std::iter::successors(Some(&**stream), parent).collect();
            while let Some(stream) = path.pop() {
                if !pages.contains_key(&stream.name) {
                    let records = self.first_page(stream, &pages).await;
                    pages.insert(stream.name.clone(), records);
                }
            }
            if stream.is_verifiable() {
                self.check_get(stream, &pages).await;
            }
        }
    }

    /// Asks for one of the records on the first page, as a reconcile run does.
    async fn check_get(&self, stream: &StreamPlan, pages: &FirstPages) {
        let Ok(reader) = self.stream(&stream.name) else { return };
        let Ok(Some(values)) = self.example(stream, pages) else { return };
        let records = pages.get(&stream.name).map(Vec::as_slice).unwrap_or_default();
        if let Some(problem) = reader.check_get(values, records, &self.monitor).await {
            self.monitor.event(SourceEvent::Warning(format!("stream {:?}: get: {problem}", stream.name)));
        }
    }

    /// Asks for the first page of a list, of the first resource and the first parent that can have one.
    async fn first_page(&self, stream: &StreamPlan, pages: &FirstPages) -> Vec<Record> {
        let Ok(reader) = self.stream(&stream.name) else { return Vec::new() };
        let Ok(Some(values)) = self.example(stream, pages) else { return Vec::new() };
        match reader.first_page(values, &self.monitor).await {
            Ok(records) => records,
            // A parent may have no list, or may be gone.
            Err(error) if error.kind() == ErrorKind::NotFound && stream.parent.is_some() => Vec::new(),
            Err(error) => {
                let warning = format!("stream {:?}: its first page cannot be read: {error}", stream.name);
                self.monitor.event(SourceEvent::Warning(warning));
                Vec::new()
            }
        }
    }

    /// The values for one of a stream's lists; `None` if no page so far has what they need.
    fn example(&self, stream: &StreamPlan, pages: &FirstPages) -> Result<Option<Values>> {
        let mut values = self.values(&Resource::source_wide());
        if let Some(list) = self.plan.resource.as_ref().filter(|_| !stream.is_source_wide) {
            let mut wanted = Wanted::default();
            let slot = wanted.add(&list.id);
            let records = pages.get(&list.stream).into_iter().flatten();
            let resource = records.filter_map(|record| super::resource(record, &wanted, slot)).find_map(Result::ok);
            let Some(resource) = resource else { return Ok(None) };
            values.resource = Some(resource.name().to_owned());
        }
        let Some(parent) = &stream.parent else { return Ok(Some(values)) };
        let mut wanted = Wanted::default();
        for field in &parent.fields {
            wanted.add(&Pointer::of_path(field)?);
        }
        for json in pages.get(&parent.stream).into_iter().flatten().filter_map(Record::json) {
            let Ok(found) = wanted.scan(json) else { continue };
            let texts: Option<Vec<&str>> = (0..parent.fields.len()).map(|slot| found.value(slot)).collect();
            let Some(texts) = texts.filter(|texts| parent.when.is_none_or(|when| is_truthy(texts[when]))) else {
                continue;
            };
            let fields = texts.into_iter().map(serde_json::from_str).collect::<serde_json::Result<Vec<_>>>();
            values.parent = parent.fields.iter().cloned().zip(fields.unwrap_or_default()).collect();
            return Ok(Some(values));
        }
        Ok(None)
    }
}
