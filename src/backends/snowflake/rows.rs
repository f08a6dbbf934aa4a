//! Rows by the commits that changed them, by path, and by parent; and the numbers of the commits.
//!
//! The number of a stream's newest commit is the highest `SEQ` in its raw table, or the recorded one in `APP_STATE` if that is higher: a
//! user may have removed rows, and no number may be used twice. A commit takes the next one in the transaction that holds the resource's
//! fence, so that numbers rise in the order in which commits become visible.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;
use serde_json::Value;

use super::columns::value_at;
use super::documents;
use super::names::Names;
use super::{Snowflake, time};
use crate::sink::{Commit, RowQuery, RowSelection, SelectedRow, StreamCommit};
use crate::snowflake::{Bind, QueryResult, Row, Session, Sql, Statement, sql};
use crate::{Error, JsonPath, Position, Resource, Result, RowPath, Sequence, Version};

/// The number of a stream's newest commit, as an expression with bound values.
pub(super) struct NewestSequence<'a> {
    pub(super) sql: Sql,
    resource: &'a str,
    stream: &'a str,
}

impl<'a> NewestSequence<'a> {
    /// `raw` is the raw table of the stream.
    pub(super) fn new(names: &Names, raw: &Sql, resource: &'a Resource, stream: &'a str) -> Self {
        let sql = sql!(
            "(SELECT COALESCE(MAX(u.\"SEQ\"), 0) FROM (SELECT MAX(\"SEQ\") AS \"SEQ\" FROM {raw} UNION ALL SELECT MAX(\"SEQUENCE\") AS \
             \"SEQ\" FROM {entries} WHERE \"KEY\" = ? AND \"STREAM\" = ?) u)",
            raw,
            entries = names.state("APP_STATE")
        );
        Self { sql, resource: resource.name(), stream }
    }

    /// Binds the values of the expression.
    pub(super) fn bind(&self, statement: Statement) -> Statement {
        statement.bind(self.resource).bind(self.stream)
    }
}

/// What a commit knows about numbers when it stores the state of a stream.
#[derive(Debug, Default)]
pub(super) struct CommitNumbers<'a> {
    /// The raw table of the stream; `None` if no rows are committed with the state.
    pub(super) raw: Option<Sql>,
    /// The number that the stream must have for the commit to count: another transaction may have changed rows since it was planned.
    pub(super) expected: Option<i64>,
    /// A stream whose rows the commit changes without a state of its own, and its raw table.
    pub(super) unstated: Option<(&'a str, Sql)>,
}

/// Parts of the statement that stores a state, over the previous entries `n`.
pub(super) struct NumberColumns {
    pub(super) sequence: Sql,
    pub(super) parent_sequence: Sql,
    /// Further tables.
    pub(super) tables: Sql,
    /// The condition that no other transaction has changed rows since the commit was planned.
    pub(super) unchanged: Sql,
}

impl CommitNumbers<'_> {
    pub(super) fn columns(&self) -> NumberColumns {
        let table = |raw: &Sql, alias: &'static str| {
            sql!(" CROSS JOIN (SELECT MAX(\"SEQ\") AS \"SEQ\" FROM {raw}) {alias}", raw, alias)
        };
        let sequence = match &self.raw {
            Some(_) => sql!("GREATEST(COALESCE(r.\"SEQ\", 0), COALESCE(n.\"SEQUENCE\", 0))"),
            None => sql!("n.\"SEQUENCE\""),
        };
        let parent_sequence = match &self.unstated {
            Some(_) => sql!("GREATEST(COALESCE(p.\"SEQ\", 0), COALESCE(n.\"PARENT_SEQUENCE\", 0))"),
            None => sql!("n.\"PARENT_SEQUENCE\""),
        };
        let unchanged = match self.expected {
            Some(_) => sql!(" AND {sequence} = CAST(? AS NUMBER(38, 0))", sequence = &sequence),
            None => Sql::default(),
        };
        let tables =
            [self.raw.as_ref().map(|raw| table(raw, "r")), self.unstated.as_ref().map(|(_, raw)| table(raw, "p"))];
        let tables = Sql::join(&tables.into_iter().flatten().collect::<Vec<_>>(), "");
        NumberColumns { sequence, parent_sequence, tables, unchanged }
    }

    pub(super) fn unstated_stream(&self) -> Option<String> {
        self.unstated.as_ref().map(|(stream, _)| (*stream).to_owned())
    }

    pub(super) fn bind_expected(&self, statement: Statement) -> Statement {
        self.expected.into_iter().fold(statement, Statement::bind)
    }
}

/// The path of a row, in a bound value.
#[derive(Serialize)]
struct PathEntry {
    /// The text of the parent's path.
    q: String,
    k: String,
    /// The sequence that the row must have.
    #[serde(skip_serializing_if = "Option::is_none")]
    s: Option<u64>,
}

impl PathEntry {
    fn new(path: &RowPath, sequence: Option<Sequence>) -> Self {
        let (q, k) = (path.parent().to_text(), path.key().unwrap_or_default().to_owned());
        Self { q, k, s: sequence.map(|sequence| sequence.0) }
    }
}

/// A text in a bound list, with its place.
#[derive(Serialize)]
struct ParentEntry {
    i: usize,
    q: String,
}

impl Snowflake {
    /// Marks rows deleted that a run of another stream found to be gone, unless they have changed since, in the caller's transaction.
    /// Returns their number. `is_numbered` says whether the commit has given its number to other rows of the table.
    pub(super) async fn delete_gone(
        &self,
        session: &mut dyn Session,
        commit: &Commit,
        part: &StreamCommit,
        raw: &Sql,
        is_numbered: bool,
    ) -> Result<u64> {
        if part.gone.is_empty() {
            return Ok(0);
        }
        let newest = NewestSequence::new(&self.0.names, raw, &commit.resource, &part.stream);
        let merge = sql!(
            "MERGE INTO {raw} t USING (SELECT f.value:k::VARCHAR AS \"KEY\", f.value:q::VARCHAR AS \"PARENT\", \
             f.value:s::NUMBER(38, 0) AS \"SEEN\", b.\"AT\", b.\"SEQ\" FROM (SELECT PARSE_JSON(?) AS \"ROWS\", CAST(? AS TIMESTAMP_NTZ) AS \
             \"AT\", {newest} + {step} AS \"SEQ\") b, LATERAL FLATTEN(input => b.\"ROWS\") f) s ON t.\"KEY\" = s.\"KEY\" AND \
             COALESCE(t.\"PARENT\", '') = s.\"PARENT\" WHEN MATCHED AND t.\"DELETED_AT\" IS NULL AND COALESCE(t.\"SEQ\", 0) = s.\"SEEN\" \
             THEN UPDATE SET \"CHANGED_AT\" = s.\"AT\", \"DELETED_AT\" = s.\"AT\", \"SEQ\" = s.\"SEQ\"",
            raw,
            newest = &newest.sql,
            step = if is_numbered { "0" } else { "1" }
        );
        // Each row of the table may match one row of the source only.
        let rows: BTreeSet<&Position> = part.gone.iter().collect();
        let rows: Vec<_> = rows.into_iter().map(|gone| PathEntry::new(&gone.path, Some(gone.sequence))).collect();
        let merge = Statement::new(merge).bind(Bind::json(&rows)?).bind(time::ntz_text(commit.at));
        session.execute(newest.bind(merge)).await?.rows_affected()
    }

    /// Returns the selected rows.
    pub(super) async fn find_rows(&self, query: &RowQuery) -> Result<Vec<SelectedRow>> {
        let mut session = self.load_session().await?;
        self.tag(&mut *session, query.resource.name(), Some(&query.stream), None);
        let name = self.numbered_name(&mut *session, &query.resource, &query.stream).await?;
        let Some(select) = select(&self.0.names.raw(&name), query)? else { return Ok(Vec::new()) };
        let answer = session.execute(select).await?;
        answer.rows.iter().map(|row| selected(row, query)).collect()
    }

    /// Returns the number of the newest commit of each stream: those that `latest_many` has read along, or else those in the tables.
    pub(super) async fn find_sequences(&self, resource: &Resource) -> Result<BTreeMap<String, Sequence>> {
        if let Some(known) = self.0.known_sequences.get(resource.name()) {
            return Ok(known);
        }
        let mut session = self.load_session().await?;
        self.tag(&mut *session, resource.name(), None, None);
        let tables: Vec<(String, Sql)> = {
            let catalog = self.catalog(&mut *session).await?;
            let tables = catalog.numbered_tables(resource);
            tables.map(|(stream, name)| (stream.to_owned(), self.0.names.raw(name))).collect()
        };
        if tables.is_empty() {
            return Ok(BTreeMap::new());
        }
        let maxima: Vec<Sql> = tables
            .iter()
            .map(|(_, raw)| sql!("SELECT CAST(? AS VARCHAR) AS \"STREAM\", MAX(\"SEQ\") AS \"SEQ\" FROM {raw}", raw))
            .collect();
        let select = sql!(
            "SELECT u.\"STREAM\", CAST(MAX(u.\"SEQ\") AS VARCHAR) AS \"SEQ\" FROM ({maxima} UNION ALL SELECT \"STREAM\", \
             MAX(\"SEQUENCE\") AS \"SEQ\" FROM {entries} WHERE \"KEY\" = ? GROUP BY \"STREAM\") u GROUP BY u.\"STREAM\"",
            maxima = Sql::join(&maxima, " UNION ALL "),
            entries = self.0.names.state("APP_STATE")
        );
        let select = tables.iter().fold(Statement::new(select), |select, (stream, _)| select.bind(stream.as_str()));
        let answer = session.execute(select.bind(resource.name())).await?;
        let mut sequences = BTreeMap::new();
        for row in &answer.rows {
            if let Some(stream) = row.get(0)?.filter(|stream| tables.iter().any(|(table, _)| *table == ***stream)) {
                insert_sequence(&mut sequences, stream, row, 1)?;
            }
        }
        Ok(sequences)
    }
}

/// The statement of a query; `None` if it selects nothing.
fn select(raw: &Sql, query: &RowQuery) -> Result<Option<Statement>> {
    let fields: Vec<Sql> = match query.documents {
        // The document has them.
        true => Vec::new(),
        false => query.fields.iter().map(|path| sql!(", {value} AS \"F\"", value = value_at(path))).collect(),
    };
    let columns = sql!(
        "CAST(COALESCE(t.\"SEQ\", 0) AS VARCHAR) AS \"SEQ\", t.\"PARENT\", t.\"KEY\", CAST(t.\"VERSION\" AS VARCHAR) AS \"VERSION\", \
         TO_VARCHAR(t.\"CHANGED_AT\", 'YYYY-MM-DD\"T\"HH24:MI:SS.FF9') AS \"CHANGED_AT\", CASE WHEN t.\"DELETED_AT\" IS NULL THEN '0' ELSE '1' END \
         AS \"DELETED\", {document} AS \"DOCUMENT\"{fields}",
        document = if query.documents { documents::TEXT } else { "NULL" },
        fields = Sql::join(&fields, "")
    );
    let limit = query.limit.min(i32::MAX as usize);
    let signed = |sequence: &Sequence| i64::try_from(sequence.0).unwrap_or(i64::MAX);
    let (rest, binds): (Sql, Vec<Bind>) = match &query.selection {
        RowSelection::Changed { from, after, until } => {
            // Without a function, Snowflake skips the parts of the table that lie outside.
            let sequence = if from.0 == 0 { sql!("COALESCE(t.\"SEQ\", 0)") } else { sql!("t.\"SEQ\"") };
            let mut binds: Vec<Bind> = vec![signed(from).into(), signed(until).into()];
            let mut beyond = Sql::default();
            if let Some(after) = after {
                let parent = after.parent().to_text();
                beyond = sql!(
                    " AND ({sequence} > ? OR COALESCE(t.\"PARENT\", '') > ? OR (COALESCE(t.\"PARENT\", '') = ? AND t.\"KEY\" > ?))",
                    sequence = &sequence
                );
                binds.extend([
                    signed(from).into(),
                    parent.clone().into(),
                    parent.into(),
                    after.key().unwrap_or_default().into(),
                ]);
            }
            let rest = sql!(
                " WHERE {sequence} BETWEEN ? AND ?{beyond} ORDER BY COALESCE(t.\"SEQ\", 0), COALESCE(t.\"PARENT\", ''), t.\"KEY\"",
                sequence,
                beyond
            );
            (rest, binds)
        }
        RowSelection::Paths(paths) => {
            let entries: Vec<_> = paths.iter().map(|path| PathEntry::new(path, None)).collect();
            if entries.is_empty() {
                return Ok(None);
            }
            let rest = " JOIN (SELECT DISTINCT f.value:k::VARCHAR AS \"KEY\", f.value:q::VARCHAR AS \"PARENT\" FROM (SELECT PARSE_JSON(?) AS \
                        \"PATHS\") b, LATERAL FLATTEN(input => b.\"PATHS\") f) s ON t.\"KEY\" = s.\"KEY\" AND COALESCE(t.\"PARENT\", '') = \
                        s.\"PARENT\"";
            (rest.into(), vec![Bind::json(&entries)?])
        }
        RowSelection::Children { parents, after } => {
            let begun = after.as_ref().map(RowPath::parent);
            let parents = parents.iter().skip_while(|parent| begun.as_ref().is_some_and(|begun| begun != *parent));
            let entries: Vec<_> =
                parents.enumerate().map(|(i, parent)| ParentEntry { i, q: parent.to_text() }).collect();
            if entries.is_empty() {
                return Ok(None);
            }
            let mut binds = vec![Bind::json(&entries)?];
            let mut beyond = Sql::default();
            if let Some(after) = after {
                beyond = sql!(" AND (s.\"AT\" > 0 OR t.\"KEY\" > ?)");
                binds.push(after.key().unwrap_or_default().into());
            }
            let rest = sql!(
                " JOIN (SELECT f.value:i::NUMBER(38, 0) AS \"AT\", f.value:q::VARCHAR AS \"PARENT\" FROM (SELECT PARSE_JSON(?) AS \
                 \"PARENTS\") b, LATERAL FLATTEN(input => b.\"PARENTS\") f) s ON COALESCE(t.\"PARENT\", '') = s.\"PARENT\" WHERE \
                 t.\"DELETED_AT\" IS NULL{beyond} ORDER BY s.\"AT\", t.\"KEY\"",
                beyond
            );
            (rest, binds)
        }
    };
    let select = sql!("SELECT {columns} FROM {raw} t{rest} LIMIT {limit}", columns, raw, rest, limit);
    Ok(Some(binds.into_iter().fold(Statement::new(select), Statement::bind)))
}

/// Reads a row of [`select`].
fn selected(row: &Row, query: &RowQuery) -> Result<SelectedRow> {
    let parent = row.get(1)?.map_or(Ok(RowPath::ROOT), |parent| RowPath::from_text(parent))?;
    let path = parent.child(row.text(2)?);
    let changed_at = time::parse(&format!("{}Z", row.text(4)?))?;
    let json = row.get(6)?.cloned();
    let fields = match query.documents {
        true => JsonPath::find_all(&query.fields, json.as_deref().unwrap_or_default()),
        false => (7..7 + query.fields.len()).map(|column| field(row, column)).collect::<Result<_>>()?,
    };
    let position = Position::new(Sequence(row.integer(0)?.unsigned_abs()), path);
    Ok(SelectedRow {
        is_deleted: row.boolean(5)?,
        json,
        fields,
        ..SelectedRow::new(position, Version(row.integer(3)?), changed_at)
    })
}

/// A column of JSON text.
fn field(row: &Row, column: usize) -> Result<Value> {
    let Some(json) = row.get(column)? else { return Ok(Value::Null) };
    serde_json::from_str(json)
        .map_err(|error| Error::invalid_data("Snowflake returned a field that is not JSON").with_source(error))
}

/// The sequences in the newest entries that `latest_many` reads, by resource and stream.
pub(super) fn sequences_of_entries(answer: &QueryResult) -> Result<HashMap<String, BTreeMap<String, Sequence>>> {
    let mut by_resource: HashMap<String, BTreeMap<String, Sequence>> = HashMap::new();
    for row in &answer.rows {
        let stream = row.get(5)?.filter(|stream| !stream.is_empty());
        let (Some(stream), "entry") = (stream, &**row.text(0)?) else { continue };
        let sequences = by_resource.entry(row.text(1)?.to_string()).or_default();
        insert_sequence(sequences, stream, row, 6)?;
        if let Some(parent) = row.get(7)? {
            insert_sequence(sequences, parent, row, 8)?;
        }
    }
    Ok(by_resource)
}

/// Adds the number in a column, unless there is none, or a higher one is known.
fn insert_sequence(sequences: &mut BTreeMap<String, Sequence>, stream: &str, row: &Row, column: usize) -> Result<()> {
    let number = row.get(column)?.map_or(Ok(0), |_| row.integer(column))?.unsigned_abs();
    if number > 0 {
        let known = sequences.entry(stream.to_owned()).or_default();
        *known = (*known).max(Sequence(number));
    }
    Ok(())
}
