//! Which tables and views there are, and with which columns; and the making of new ones.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::client::{Row, Session, Statement};
use super::fence::Fence;
use super::migration::{self, COLLATED, LONG_TEXT};
use super::names::{Names, digest, other_name, plain, resource_name, union_name};
use super::pool::is_missing;
use super::retry::pauses;
use super::schema::{self, Form, VERSION};
use super::view::{View, check_table};
use crate::table::Column;
use crate::{Error, Resource, Result, TableSpec};

/// What the account was found to have.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Catalog {
    form: Form,
    /// By stream and resource.
    tables: BTreeMap<(String, String), Table>,
    /// The views over all resources, by stream.
    streams: BTreeMap<String, Stream>,
    /// What the streams' own views were made from: a digest of each one's text.
    views: BTreeMap<String, String>,
    /// The names of views that stay as they are for as long as this process lives, although they should be another.
    kept: BTreeSet<String>,
}

/// One resource's part of a stream: the name of its view and raw table, the columns of the view, and a digest of its text.
#[derive(Debug, Clone, PartialEq)]
struct Table {
    name: String,
    columns: Vec<Column>,
    made_from: String,
}

/// The union of all resources: the columns of the view over it, and a digest of what it was made from; or the claim of whoever
/// makes it.
#[derive(Debug, Clone, PartialEq)]
struct Stream {
    columns: Vec<Column>,
    made_from: String,
}

/// What a claim begins with, before its id.
const CLAIM: &str = "claim ";

/// What a claim begins with that came after another one, before that one was done.
const CLAIM_OVER: &str = "claim over another ";

/// In place of a digest: the view is to be made once more. Whoever held the claim before may have died after it had made the
/// view, or may make it still, from less than there is.
const DOUBTFUL: &str = "";

/// What the name of a stream ends with, in the row of the view over the union; a stream's own name has no such end.
const OF_VIEW: &str = "^=view";

/// A row of the catalog, to be written.
#[derive(Serialize)]
struct Entry<'a> {
    resource: &'a str,
    stream: &'a str,
    name: &'a str,
    columns: String,
    made_from: &'a str,
}

impl Catalog {
    /// Reads it.
    pub(super) async fn read(session: &mut dyn Session, names: &Names) -> Result<Self> {
        match session.execute(Statement::new(Self::select(names))).await {
            Ok(answer) => Self::from_answer(names, &answer.rows),
            Err(error) if is_missing(&error) => Self::read_in_parts(session, names).await,
            Err(error) => Err(error),
        }
    }

    /// The statement that reads it: the entries, and among them the form, with nothing but a version.
    pub(super) fn select(names: &Names) -> String {
        format!(
            "{} UNION ALL SELECT \"RESOURCE\", \"STREAM\", \"NAME\", \"COLUMNS\", \"MADE_FROM\" FROM {}",
            schema::select_version(names),
            names.state("SNOWFEED_TABLE")
        )
    }

    /// Where something is missing: tells a form that was begun from none at all.
    async fn read_in_parts(session: &mut dyn Session, names: &Names) -> Result<Self> {
        let form = match session.execute(Statement::new(schema::select_version(names))).await {
            Ok(_) => Form::Begun,
            Err(error) if is_missing(&error) => Form::Missing,
            Err(error) => return Err(error),
        };
        Ok(Self::empty(form))
    }

    fn empty(form: Form) -> Self {
        let (tables, streams, views) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { form, tables, streams, views, kept: BTreeSet::new() }
    }

    pub(super) fn from_answer(names: &Names, rows: &[Row]) -> Result<Self> {
        let mut catalog = Self::empty(Form::Begun);
        for row in rows {
            let Some(resource) = row.get(0)? else {
                schema::refuse_other(names, row.text(2)?)?;
                let version = row.integer(4)?;
                // Two programs that made the tables at once may have written a row each.
                catalog.form = match catalog.form {
                    Form::Version(other) => Form::Version(other.max(version)),
                    _ => Form::Version(version),
                };
                continue;
            };
            let (stream, name) = (row.text(1)?.to_string(), row.text(2)?.to_string());
            let mut made_from = row.text(4)?.to_string();
            if let Some(stream) = stream.strip_suffix(OF_VIEW).filter(|_| resource.is_empty()) {
                catalog.views.insert(stream.to_owned(), made_from);
                continue;
            }
            let columns: Vec<Column> = serde_json::from_str(row.text(3)?).unwrap_or_else(|error| {
                tracing::warn!(
                    table = %names.state("SNOWFEED_TABLE"), %resource, %stream, %error,
                    "the columns in this row cannot be read; the view is made again from those that the source has"
                );
                // A claim has to be found again by whoever has made it.
                if !made_from.starts_with(CLAIM) {
                    made_from = DOUBTFUL.to_owned();
                }
                Vec::new()
            });
            if resource.is_empty() {
                catalog.streams.insert(stream, Stream { columns, made_from });
            } else {
                catalog.tables.insert((stream, resource.to_string()), Table { name, columns, made_from });
            }
        }
        Ok(catalog)
    }

    /// Reads it anew. What was decided in this process stays.
    pub(super) async fn read_again(&mut self, session: &mut dyn Session, names: &Names) -> Result<()> {
        let kept = std::mem::take(&mut self.kept);
        *self = Self { kept, ..Self::read(session, names).await? };
        Ok(())
    }

    /// The resources whose tables take different keys for one, with the error that says so.
    pub(super) fn collated(&self, names: &Names) -> Vec<Error> {
        let collated = self.tables.iter().filter(|(_, table)| table.made_from.starts_with(COLLATED));
        collated
            .map(|((_, resource), table)| migration::refuse_collated(names, resource, &table.name, &table.made_from))
            .collect()
    }

    /// Makes the connector's own tables where they are missing or of an older form, so that they can be written.
    pub(super) async fn ready(&mut self, session: &mut dyn Session, names: &Names) -> Result<()> {
        if self.form == Form::Version(VERSION) {
            return Ok(());
        }
        if let Err(error) = schema::ensure(session, names, self.form).await {
            // Another program may have done the same, and been faster.
            self.read_again(session, names).await?;
            return if self.form == Form::Version(VERSION) { Ok(()) } else { Err(error) };
        }
        if matches!(self.form, Form::Version(_)) {
            self.read_again(session, names).await?;
        }
        self.form = Form::Version(VERSION);
        Ok(())
    }

    /// How the connector's own tables stand.
    pub(super) fn form(&self) -> Form {
        self.form
    }

    /// Whether there is any table for a resource.
    pub(super) fn knows(&self, resource: &Resource) -> bool {
        self.tables.keys().any(|(_, known)| known == resource.name())
    }

    /// The name of a resource's view and raw table of a stream.
    pub(super) fn name(&self, resource: &Resource, stream: &str) -> Option<&str> {
        self.table(resource, stream).map(|table| table.name.as_str())
    }

    /// The columns of a resource's view.
    pub(super) fn columns(&self, resource: &Resource, stream: &str) -> Option<&[Column]> {
        self.table(resource, stream).map(|table| table.columns.as_slice())
    }

    fn table(&self, resource: &Resource, stream: &str) -> Option<&Table> {
        self.tables.get(&key(resource, stream))
    }

    /// The names of the raw tables of a stream.
    fn members(&self, stream: &str) -> Vec<(&str, &str)> {
        let of_stream = self.tables.iter().filter(|((of, _), _)| of == stream);
        of_stream.map(|((_, resource), table)| (resource.as_str(), table.name.as_str())).collect()
    }

    /// Whether there is room for a resource already.
    pub(super) fn has(&self, names: &Names, resource: &Resource, specs: &[TableSpec]) -> bool {
        specs.iter().all(|spec| {
            self.holds(names, resource, spec, &self.wanted(names, resource, spec, specs)) && self.covers(names, spec)
        })
    }

    /// Whether a resource's part of a stream is as it should be, or has to stay as it is.
    fn holds(&self, names: &Names, resource: &Resource, spec: &TableSpec, wanted: &Table) -> bool {
        self.table(resource, &spec.name)
            .is_some_and(|table| table == wanted || self.kept.contains(&names.view(&table.name)))
    }

    /// Whether the view of a stream has all columns, and goes over all resources.
    fn covers(&self, names: &Names, spec: &TableSpec) -> bool {
        let wanted = self.wanted_stream(names, spec);
        let view = View::of_stream(names, &spec.name, &wanted.columns);
        let union = names.raw(&union_name(&spec.name));
        let is_union = self.streams.get(&spec.name) == Some(&wanted) || self.kept.contains(&union);
        let is_view = self.views.get(&spec.name) == Some(&digest(&view.select)) || self.kept.contains(&view.name);
        is_union && is_view
    }

    /// A resource's part of a stream as it should be.
    fn wanted(&self, names: &Names, resource: &Resource, spec: &TableSpec, specs: &[TableSpec]) -> Table {
        let (name, columns) = (self.name_for(resource, spec, specs), self.grown(spec));
        let made_from = digest(&View::of_table(names, &name, &columns).select);
        Table { name, columns, made_from }
    }

    /// The union of a stream as it should be. What it is made from is its text over one table, and the names of all.
    fn wanted_stream(&self, names: &Names, spec: &TableSpec) -> Stream {
        let mut text = View::of_union(names, &spec.name, &[("", "")]).select;
        for (resource, table) in self.members(&spec.name) {
            text += &format!("{}:{resource}{}:{table}", resource.len(), table.len());
        }
        Stream { columns: self.grown(spec), made_from: digest(&text) }
    }

    /// The view that joins the raw tables of a stream.
    fn union(&self, names: &Names, spec: &TableSpec) -> View {
        View::of_union(names, &spec.name, &self.members(&spec.name))
    }

    /// Makes room for a resource. Where everything is there, nothing is asked of Snowflake.
    pub(super) async fn ensure(
        &mut self,
        session: &mut dyn Session,
        names: &Names,
        resource: &Resource,
        specs: &[TableSpec],
    ) -> Result<()> {
        if self.has(names, resource, specs) {
            return Ok(());
        }
        for spec in specs {
            check_table(names, &spec.name, &self.grown(spec))?;
        }
        self.ready(session, names).await?;
        for spec in specs {
            let wanted = self.wanted(names, resource, spec, specs);
            if !self.holds(names, resource, spec, &wanted) {
                self.make_table(session, names, resource, spec, wanted).await?;
            }
            self.ensure_stream(session, names, spec).await?;
        }
        Ok(())
    }

    /// Makes a raw table, the view over it, and its row in the catalog.
    async fn make_table(
        &mut self,
        session: &mut dyn Session,
        names: &Names,
        resource: &Resource,
        spec: &TableSpec,
        wanted: Table,
    ) -> Result<()> {
        let raw = names.raw(&wanted.name);
        match self.table(resource, &spec.name) {
            Some(table) if table.made_from.starts_with(COLLATED) => {
                return Err(migration::refuse_collated(names, resource.name(), &table.name, &table.made_from));
            }
            // It may be of the form before.
            Some(_) => drop(session.execute(Statement::new(migration::lengthen(&raw, "DOCUMENT"))).await?),
            None => {
                let create = format!(
                    "CREATE TABLE IF NOT EXISTS {raw} (\"KEY\" VARCHAR NOT NULL, \"VERSION\" NUMBER(38, 0) NOT NULL, \
                     \"HASH\" VARCHAR, \"RAW\" VARIANT, \"DOCUMENT\" {LONG_TEXT}, \"FIRST_SEEN\" TIMESTAMP_NTZ NOT NULL, \
                     \"CHANGED_AT\" TIMESTAMP_NTZ NOT NULL, \"DELETED_AT\" TIMESTAMP_NTZ) DEFAULT_DDL_COLLATION = ''"
                );
                session.execute(Statement::new(create)).await?;
                if !self.knows(resource) {
                    Fence::new(names, resource.name(), "").make(session).await?;
                }
            }
        }
        let view = View::of_table(names, &wanted.name, &wanted.columns);
        if !view.replace_unless_protected(session).await? {
            self.kept.insert(view.name);
            if self.table(resource, &spec.name).is_some() {
                return Ok(());
            }
        }
        let entry = Entry {
            resource: resource.name(),
            stream: &spec.name,
            name: &wanted.name,
            columns: write_columns(&wanted.columns)?,
            made_from: &wanted.made_from,
        };
        store(session, names, &entry).await?;
        self.tables.insert(key(resource, &spec.name), wanted);
        Ok(())
    }

    /// The columns of a stream: those that this version of the source knows, then those that another one knew.
    fn grown(&self, spec: &TableSpec) -> Vec<Column> {
        let before = self.streams.get(&spec.name).map(|stream| stream.columns.as_slice()).unwrap_or_default();
        let forgotten = before.iter().filter(|old| spec.columns.iter().all(|new| new.name != old.name));
        spec.columns.iter().chain(forgotten).cloned().collect()
    }

    fn name_for(&self, resource: &Resource, spec: &TableSpec, specs: &[TableSpec]) -> String {
        // A table keeps the name that it has: data is in it.
        if let Some(name) = self.name(resource, &spec.name) {
            return name.to_owned();
        }
        let is_stream = |name: &str| specs.iter().any(|spec| spec.name == name) || self.streams.contains_key(name);
        let name = resource_name(resource.name(), &spec.name, specs.len() == 1, &is_stream);
        // As a source's only table, `issues` of `a/events` has the name that `events` of `a` has as one of several.
        if self.tables.values().any(|table| table.name == name) {
            return other_name(&name, resource.name(), &spec.name);
        }
        name
    }

    /// Makes the view over all resources of a stream, unless it covers all that there are.
    async fn ensure_stream(&mut self, session: &mut dyn Session, names: &Names, spec: &TableSpec) -> Result<()> {
        if self.covers(names, spec) {
            return Ok(());
        }
        let union = self.union(names, spec);
        if union.is_too_long() {
            tracing::warn!(
                view = %names.view(&plain(&spec.name)), resources = self.members(&spec.name).len(),
                "the view over all resources stays as it is: its definition would be longer than the 1 MB that Snowflake takes. \
                 Query the views of the resources themselves, or keep fewer resources in one database"
            );
            self.kept.extend([union.name, names.view(&plain(&spec.name))]);
            return Ok(());
        }
        // Programs that make it at once would else get in each other's way for ever.
        let mut pauses = pauses();
        let mut is_alone = true;
        while !self.make_stream(session, names, spec, is_alone).await? {
            is_alone = false;
            tokio::time::sleep(pauses.next().unwrap_or_default()).await;
        }
        Ok(())
    }

    /// Makes the views over all resources of a stream, and says whether that counts.
    ///
    /// Other programs may be making them, too, and none can make its view only where no newer one is. So each claims the stream
    /// first, and reads only then what it has to cover. Where another claim has come meanwhile, this view may lack something,
    /// and may be the last one all the same: it has to be made again.
    async fn make_stream(
        &mut self,
        session: &mut dyn Session,
        names: &Names,
        spec: &TableSpec,
        is_alone: bool,
    ) -> Result<bool> {
        let id = uuid::Uuid::now_v7().to_string();
        claim(session, names, &spec.name, &id).await?;
        self.read_again(session, names).await?;
        let claimed = self.streams.get(&spec.name).map(|stream| stream.made_from.clone()).unwrap_or_default();
        if !claimed.ends_with(&id) {
            return Ok(false);
        }
        let mut made = self.wanted_stream(names, spec);
        self.union(names, spec).replace(session).await?;
        let is_doubtful = claimed.starts_with(CLAIM_OVER);
        self.make_view(session, names, &spec.name, &made, is_alone && !is_doubtful).await?;
        if is_doubtful {
            made.made_from = DOUBTFUL.to_owned();
        }
        let counts = finish(session, names, &spec.name, &claimed, &made).await?;
        if counts {
            self.streams.insert(spec.name.clone(), made);
        }
        Ok(counts)
    }

    /// Makes the view over the union of a stream, where its text has changed. Another program that does the same may have made it
    /// last and written its digest first, so that no digest is believed, or left, unless this program is alone.
    async fn make_view(
        &mut self,
        session: &mut dyn Session,
        names: &Names,
        stream: &str,
        made: &Stream,
        is_alone: bool,
    ) -> Result<()> {
        let view = View::of_stream(names, stream, &made.columns);
        let wanted = digest(&view.select);
        if is_alone && self.views.get(stream) == Some(&wanted) || self.kept.contains(&view.name) {
            return Ok(());
        }
        if !view.replace_unless_protected(session).await? {
            self.kept.insert(view.name);
            return Ok(());
        }
        let stream_of_view = format!("{stream}{OF_VIEW}");
        let made_from = if is_alone { wanted.as_str() } else { DOUBTFUL };
        let (resource, name) = ("", &plain(stream));
        let entry = Entry { resource, stream: &stream_of_view, name, columns: "[]".to_owned(), made_from };
        store(session, names, &entry).await?;
        self.views.insert(stream.to_owned(), made_from.to_owned());
        Ok(())
    }
}

/// By what a resource's part of a stream is found.
fn key(resource: &Resource, stream: &str) -> (String, String) {
    (stream.to_owned(), resource.name().to_owned())
}

fn write_columns(columns: &[Column]) -> Result<String> {
    serde_json::to_string(columns).map_err(|error| Error::internal("columns cannot be written").with_source(error))
}

/// Writes an entry in place of the one before.
async fn store(session: &mut dyn Session, names: &Names, entry: &Entry<'_>) -> Result<()> {
    let json = serde_json::to_string(entry)
        .map_err(|error| Error::internal("an entry of the catalog cannot be written").with_source(error))?;
    let merge = format!(
        "MERGE INTO {table} t USING (SELECT b.\"E\":resource::VARCHAR AS \"RESOURCE\", \
         b.\"E\":stream::VARCHAR AS \"STREAM\", b.\"E\":name::VARCHAR AS \"NAME\", \
         b.\"E\":columns::VARCHAR AS \"COLUMNS\", b.\"E\":made_from::VARCHAR AS \"MADE_FROM\" \
         FROM (SELECT PARSE_JSON(?) AS \"E\") b) s ON t.\"RESOURCE\" = s.\"RESOURCE\" AND t.\"STREAM\" = s.\"STREAM\" \
         WHEN MATCHED THEN UPDATE SET \"NAME\" = s.\"NAME\", \"COLUMNS\" = s.\"COLUMNS\", \"MADE_FROM\" = s.\"MADE_FROM\" \
         WHEN NOT MATCHED THEN INSERT (\"RESOURCE\", \"STREAM\", \"NAME\", \"COLUMNS\", \"MADE_FROM\") \
         VALUES (s.\"RESOURCE\", s.\"STREAM\", s.\"NAME\", s.\"COLUMNS\", s.\"MADE_FROM\")",
        table = names.state("SNOWFEED_TABLE")
    );
    session.execute(Statement::new(merge).bind(json)).await?;
    Ok(())
}

/// Claims the view of a stream: its entry has no digest until [`finish`].
async fn claim(session: &mut dyn Session, names: &Names, stream: &str, id: &str) -> Result<()> {
    let merge = format!(
        "MERGE INTO {table} t USING (SELECT '' AS \"RESOURCE\", b.\"STREAM\", b.\"NAME\", '[]' AS \"COLUMNS\", \
         '{CLAIM}' || b.\"ID\" AS \"CLAIM\", '{CLAIM_OVER}' || b.\"ID\" AS \"CLAIM_OVER\" \
         FROM (SELECT CAST(? AS VARCHAR) AS \"STREAM\", CAST(? AS VARCHAR) AS \"NAME\", CAST(? AS VARCHAR) AS \"ID\") b) s \
         ON t.\"RESOURCE\" = s.\"RESOURCE\" AND t.\"STREAM\" = s.\"STREAM\" \
         WHEN MATCHED AND STARTSWITH(t.\"MADE_FROM\", '{CLAIM}') THEN UPDATE SET \"MADE_FROM\" = s.\"CLAIM_OVER\" \
         WHEN MATCHED THEN UPDATE SET \"MADE_FROM\" = s.\"CLAIM\" \
         WHEN NOT MATCHED THEN INSERT (\"RESOURCE\", \"STREAM\", \"NAME\", \"COLUMNS\", \"MADE_FROM\") \
         VALUES (s.\"RESOURCE\", s.\"STREAM\", s.\"NAME\", s.\"COLUMNS\", s.\"CLAIM\")",
        table = names.state("SNOWFEED_TABLE")
    );
    session.execute(Statement::new(merge).bind(stream).bind(plain(stream)).bind(id)).await?;
    Ok(())
}

/// Writes what the view of a stream was made from, unless somebody else has claimed it since.
async fn finish(session: &mut dyn Session, names: &Names, stream: &str, claimed: &str, made: &Stream) -> Result<bool> {
    let update = format!(
        "UPDATE {} SET \"COLUMNS\" = ?, \"MADE_FROM\" = ? WHERE \"RESOURCE\" = '' AND \"STREAM\" = ? AND \"MADE_FROM\" = ?",
        names.state("SNOWFEED_TABLE")
    );
    let update = Statement::new(update).bind(write_columns(&made.columns)?).bind(made.made_from.as_str());
    Ok(session.execute(update.bind(stream).bind(claimed)).await?.affected()? > 0)
}
