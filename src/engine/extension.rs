//! Extends the view of a stream before the first commit that needs a new column.

use super::inference::ColumnInference;
use super::inference::scan::{MAX_COLUMNS, MAX_MEMBER};
use super::run::Run;
use crate::stream::{Column, Inferred};
use crate::{Result, SourceEvent};

impl Run<'_> {
    /// Extends the view by the columns that the records read so far have brought, or whose types they have widened.
    pub(super) async fn extend_columns(&mut self) -> Result<()> {
        let Some(inference) = self.inference.clone() else { return Ok(()) };
        let Some(learned) = inference.changed() else { return Ok(()) };
        let extended = self.extend_by(learned, &inference).await;
        if extended.is_err() {
            inference.set_changed();
        }
        extended
    }

    async fn extend_by(&mut self, mut learned: Vec<Column>, inference: &ColumnInference) -> Result<()> {
        let sink = self.connector.sink.clone();
        let known = match &self.known_columns {
            Some(known) => known.clone(),
            None => sink.columns(&self.resource, &self.stream.name).await?,
        };
        let is_known = |column: &Column| known.iter().any(|known| known.path == column.path);
        let inferred = known.iter().filter(|column| column.inferred == Inferred::All).count();
        let mut room = MAX_COLUMNS.saturating_sub(inferred);
        let mut has_left_out = inference.has_left_out();
        learned.retain(|column| {
            let fits = column.inferred == Inferred::Type || is_known(column) || room > 0;
            if column.inferred == Inferred::All && !is_known(column) {
                room = room.saturating_sub(1);
            }
            has_left_out |= !fits;
            fits
        });
        if has_left_out && inference.is_first_report() {
            self.monitor.event(SourceEvent::Warning(format!(
                "the documents have members that are not columns: at most {MAX_COLUMNS} columns are inferred, of names of 1 to \
                 {MAX_MEMBER} bytes; read them from the raw documents, or declare columns in the source"
            )));
        }
        let paths: Vec<_> = learned.iter().map(|column| column.path.clone()).collect();
        let mut stream = self.stream.clone();
        stream.columns.extend(learned);
        let columns = stream.merged_columns(&known);
        let is_new = |column: &&Column| column.inferred != Inferred::Nothing && !known.contains(column);
        let new: Vec<String> =
            columns.iter().filter(is_new).map(|column| format!("{}.{}", self.stream.name, column.name)).collect();
        if !new.is_empty() {
            let is_learned = |column: &&Column| column.inferred != Inferred::Nothing && paths.contains(&column.path);
            stream.columns = self.stream.columns.clone();
            stream.columns.extend(columns.iter().filter(is_learned).cloned());
            sink.ensure_streams(&self.resource, &[stream]).await?;
            for name in new {
                if !self.record.new_columns.contains(&name) {
                    self.record.new_columns.push(name);
                }
            }
        }
        self.known_columns = Some(columns);
        Ok(())
    }
}
