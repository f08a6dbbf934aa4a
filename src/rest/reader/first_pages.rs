//! The first pages of lists, which show how they continue.

use std::collections::BTreeMap;

use super::super::fields::{Pointer, Row, Wanted, is_truthy};
use super::super::replay::{without_related, without_since, without_version};
use super::super::time::{latest, now};
use super::ask::{Answer, Asker};
use super::list::{StreamReader, micros};
use super::plan::StreamPlan;
use super::progress::Progress;
use super::request::Values;
use super::{ResourceFields, RestReader};
use crate::{Error, ErrorKind, Monitor, Record, Resource, Result, SourceEvent};

/// Whether an error says that the description, or a setting, is wrong. One resource or parent of many may be gone, hidden or without a list.
fn is_about_description(error: &Error, is_one_of_many: bool) -> bool {
    match error.kind() {
        ErrorKind::Unavailable | ErrorKind::RateLimited => false,
        ErrorKind::NotFound | ErrorKind::Authentication => !is_one_of_many,
        _ => true,
    }
}

/// The records on the first page of each list that was asked for.
type FirstPages = BTreeMap<String, Vec<Record>>;

impl RestReader {
    /// Asks for the first page of each list, and by `get` for one of its records. That of `probed` is known. What the answers show are
    /// warnings, and so is what cannot be read now.
    ///
    /// # Errors
    /// The error of the first list that cannot be read as it is described. Those of others are warnings.
    pub(super) async fn check_lists(&self, probed: String, records: Vec<Record>) -> Result<()> {
        let mut pages = FirstPages::from([(probed, records)]);
        let mut failed = None;
        // A parent comes before its lists.
        for stream in &self.plan.streams {
            if pages.contains_key(&stream.name) {
                continue;
            }
            let is_one_of_many = stream.parent.is_some() || self.plan.resource.is_some() && !stream.is_source_wide;
            let records = match self.first_page(stream, &pages).await {
                Ok(records) => records,
                Err(error) if failed.is_none() && is_about_description(&error, is_one_of_many) => {
                    failed = Some(error);
                    Vec::new()
                }
                Err(error) => {
                    let warning = format!("stream {:?}: its first page cannot be read: {error}", stream.name);
                    self.monitor.event(SourceEvent::Warning(warning));
                    Vec::new()
                }
            };
            pages.insert(stream.name.clone(), records);
        }
        for stream in &self.plan.streams {
            let records: Vec<&Record> = pages.get(&stream.name).into_iter().flatten().collect();
            for absent in without_related(&self.plan, stream, &records)? {
                failed.get_or_insert_with(|| absent.error(&stream.name));
            }
        }
        for stream in self.plan.streams.iter().filter(|stream| stream.is_verifiable()) {
            self.check_get(stream, &pages).await?;
        }
        failed.map_or(Ok(()), Err)
    }

    /// Asks for one of the records on the first page, as a reconcile run does.
    async fn check_get(&self, stream: &StreamPlan, pages: &FirstPages) -> Result<()> {
        let reader = self.stream(&stream.name)?;
        let Some(values) = self.example(stream, pages)? else { return Ok(()) };
        let records = pages.get(&stream.name).map(Vec::as_slice).unwrap_or_default();
        if let Some(problem) = reader.check_get(values, records, &self.monitor).await {
            self.monitor.event(SourceEvent::Warning(format!("stream {:?}: get: {problem}", stream.name)));
        }
        Ok(())
    }

    /// Asks for the first page of a list, of the first resource and the first parent that can have one.
    async fn first_page(&self, stream: &StreamPlan, pages: &FirstPages) -> Result<Vec<Record>> {
        let reader = self.stream(&stream.name)?;
        let Some(values) = self.example(stream, pages)? else { return Ok(Vec::new()) };
        match reader.first_page(values, &self.monitor).await {
            // A parent may have no list, or may be gone.
            Err(error) if error.kind() == ErrorKind::NotFound && stream.parent.is_some() => Ok(Vec::new()),
            answer => answer,
        }
    }

    /// The values for one of a stream's lists; `None` if no page so far has what they need.
    fn example(&self, stream: &StreamPlan, pages: &FirstPages) -> Result<Option<Values>> {
        let mut values = self.values(&Resource::source_wide());
        if let Some(list) = self.plan.resource.as_ref().filter(|_| !stream.is_source_wide) {
            let fields = ResourceFields::new(list);
            let records = pages.get(&list.stream).into_iter().flatten();
            let resource = records.filter_map(|record| fields.resource(record)).find_map(Result::ok);
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

impl StreamReader {
    /// Asks for the first page, and returns its records.
    ///
    /// # Errors
    /// Those of the request.
    pub(in crate::rest) async fn first_page(&self, mut values: Values, monitor: &Monitor) -> Result<Vec<Record>> {
        let asker = Asker { client: self.client.clone(), stream: self.plan.clone(), monitor: monitor.clone() };
        let now = now();
        let since = &self.plan.since;
        let (start, has_start) = self.start()?;
        values.start = since.format.write(start);
        values.until = Some(since.format.write(latest()));
        let from = since.window.map(|window| now - micros(window)).or(has_start.then_some(start));
        values.since = from.map(|from| since.format.write(from));
        let prepared = values.request(&self.plan.request)?;
        let mut progress = Progress::default();
        let answer = asker.page(&self.envelope, &self.elements, &prepared, None, &mut progress).await?;
        self.observe(&progress, monitor, true);
        match answer {
            Answer::Skip(error) => {
                let warning = format!("stream {:?} is skipped: {error}", self.plan.name);
                monitor.event(SourceEvent::Warning(warning));
                Ok(Vec::new())
            }
            Answer::Gone(error) | Answer::Restart(error) => Err(error),
            Answer::Page(page, _) => self.check_page(page.rows, monitor),
            Answer::Empty | Answer::Split(_) => Ok(Vec::new()),
        }
    }

    /// The records of a first page. Rejects are warned of.
    ///
    /// # Errors
    /// `InvalidData` if every element is rejected, or lacks what the description reads: the description is wrong.
    fn check_page(&self, rows: Vec<Row>, monitor: &Monitor) -> Result<Vec<Record>> {
        let name = &self.plan.name;
        for absent in [without_version(&self.plan, &rows), without_since(&self.plan, &rows)].into_iter().flatten() {
            if absent.is_everywhere {
                return Err(absent.error(name));
            }
            monitor.event(SourceEvent::Warning(absent.error(name).to_string()));
        }
        let (mut records, mut rejected, mut first) = (Vec::new(), 0, None::<String>);
        for row in rows.into_iter().filter(|row| row.stub.is_none()) {
            match row.content {
                Ok(record) => records.push(record),
                Err(reject) => {
                    rejected += 1;
                    first = first.or(Some(reject.reason));
                }
            }
        }
        let Some(reason) = first else { return Ok(records) };
        if records.is_empty() {
            let message = format!("every record on the first page of the stream {name:?} is rejected: {reason}");
            return Err(
                Error::invalid_data(message).with_help("correct `key` or `version`, or the `format` of its values")
            );
        }
        let all = records.len() + rejected;
        monitor.event(SourceEvent::Warning(format!(
            "stream {name:?}: {rejected} of {all} records on the first page are rejected, the first because {reason}"
        )));
        Ok(records)
    }
}
