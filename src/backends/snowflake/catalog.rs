//! Which tables and views there are, and with which columns; and the making of new ones.

use std::collections::BTreeMap;

use serde::Serialize;

use super::client::{Answer, Session, Statement};
use super::columns::select_list;
use super::names::{Names, digest, literal, other_name, plain, resource_name};
use super::pool::is_missing;
use super::retry::pauses;
use super::schema::{self, Form, VERSION};
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
}

/// One resource's part of a stream: the name of its view and raw table, the columns of the view, and a digest of its text.
#[derive(Debug, Clone, PartialEq)]
struct Table {
    name: String,
    columns: Vec<Column>,
    made_from: String,
}

/// The view over all resources: its columns, and a digest of what it was made from; or the claim of whoever makes it.
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
            Ok(answer) => Self::from_answer(names, &answer),
            Err(error) if is_missing(&error) => Self::read_in_parts(session, names).await,
            Err(error) => Err(error),
        }
    }

    /// The statement that reads it: the entries, and among them the form, with nothing but a version.
    fn select(names: &Names) -> String {
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
        Ok(Self { form, tables: BTreeMap::new(), streams: BTreeMap::new() })
    }

    fn from_answer(names: &Names, answer: &Answer) -> Result<Self> {
        let mut catalog = Self { form: Form::Begun, tables: BTreeMap::new(), streams: BTreeMap::new() };
        for row in &answer.rows {
            let Some(resource) = row.get(0)? else {
                schema::refuse_other(names, row.text(2)?)?;
                catalog.form = Form::Version(row.integer(4)?);
                continue;
            };
            let (stream, name) = (row.text(1)?.to_string(), row.text(2)?.to_string());
            let columns: Vec<Column> = serde_json::from_str(row.text(3)?).map_err(|error| {
                Error::invalid_data("the columns in the table SNOWFEED_TABLE cannot be read").with_source(error)
            })?;
            let made_from = row.text(4)?.to_string();
            if resource.is_empty() {
                catalog.streams.insert(stream, Stream { columns, made_from });
            } else {
                catalog.tables.insert((stream, resource.to_string()), Table { name, columns, made_from });
            }
        }
        Ok(catalog)
    }

    /// Makes the connector's own tables where they are missing, so that they can be written.
    pub(super) async fn ready(&mut self, session: &mut dyn Session, names: &Names) -> Result<()> {
        schema::ensure(session, names, self.form).await?;
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
            self.table(resource, &spec.name) == Some(&self.wanted(names, resource, spec, specs))
                && self.covers(names, spec)
        })
    }

    /// Whether the view of a stream has all columns, and goes over all resources.
    fn covers(&self, names: &Names, spec: &TableSpec) -> bool {
        self.streams.get(&spec.name) == Some(&self.wanted_stream(names, spec))
    }

    /// A resource's part of a stream as it should be.
    fn wanted(&self, names: &Names, resource: &Resource, spec: &TableSpec, specs: &[TableSpec]) -> Table {
        let (name, columns) = (self.name_for(resource, spec, specs), self.grown(spec));
        let made_from = digest(&table_view(names, &name, &columns));
        Table { name, columns, made_from }
    }

    /// The view of a stream as it should be. What it is made from is its text over one table, and the names of all.
    fn wanted_stream(&self, names: &Names, spec: &TableSpec) -> Stream {
        let columns = self.grown(spec);
        let mut text = stream_view(names, &spec.name, &columns, &[("", "")]);
        for (resource, table) in self.members(&spec.name) {
            text += &format!("{}:{resource}{}:{table}", resource.len(), table.len());
        }
        Stream { columns, made_from: digest(&text) }
    }

    /// Makes room for a resource. Where everything is there, nothing is asked of Snowflake.
    pub(super) async fn ensure(
        &mut self,
        session: &mut dyn Session,
        names: &Names,
        resource: &Resource,
        specs: &[TableSpec],
    ) -> Result<()> {
        for spec in specs {
            let wanted = self.wanted(names, resource, spec, specs);
            if self.table(resource, &spec.name) != Some(&wanted) {
                self.ready(session, names).await?;
                make_table(session, names, &wanted).await?;
                let entry = Entry {
                    resource: resource.name(),
                    stream: &spec.name,
                    name: &wanted.name,
                    columns: write_columns(&wanted.columns)?,
                    made_from: &wanted.made_from,
                };
                store(session, names, &entry).await?;
                self.tables.insert(key(resource, &spec.name), wanted);
            }
            self.ensure_stream(session, names, spec).await?;
        }
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
        // Programs that make it at once would else get in each other's way for ever.
        let mut pauses = pauses();
        while !self.make_stream(session, names, spec).await? {
            tokio::time::sleep(pauses.next().unwrap_or_default()).await;
        }
        Ok(())
    }

    /// Makes the view over all resources of a stream, and says whether that counts.
    ///
    /// Other programs may be making it, too, and none can make its view only where no newer one is. So each claims the view
    /// first, and reads only then what it has to cover. Where another claim has come meanwhile, this view may lack something,
    /// and may be the last one all the same: it has to be made again.
    async fn make_stream(&mut self, session: &mut dyn Session, names: &Names, spec: &TableSpec) -> Result<bool> {
        let id = uuid::Uuid::now_v7().to_string();
        claim(session, names, &spec.name, &id).await?;
        *self = Self::read(session, names).await?;
        let claimed = self.streams.get(&spec.name).map(|stream| stream.made_from.clone()).unwrap_or_default();
        if !claimed.ends_with(&id) {
            return Ok(false);
        }
        let mut made = self.wanted_stream(names, spec);
        let view = stream_view(names, &spec.name, &made.columns, &self.members(&spec.name));
        session.execute(Statement::new(view)).await?;
        if claimed.starts_with(CLAIM_OVER) {
            made.made_from = DOUBTFUL.to_owned();
        }
        let counts = finish(session, names, &spec.name, &claimed, &made).await?;
        if counts {
            self.streams.insert(spec.name.clone(), made);
        }
        Ok(counts)
    }
}

/// By what a resource's part of a stream is found.
fn key(resource: &Resource, stream: &str) -> (String, String) {
    (stream.to_owned(), resource.name().to_owned())
}

/// The statement that makes the view over these resources of a stream, each with the name of its raw table.
fn stream_view(names: &Names, stream: &str, columns: &[Column], members: &[(&str, &str)]) -> String {
    let branches: Vec<String> = members
        .iter()
        .map(|(resource, table)| {
            format!(
                "SELECT {} AS \"RESOURCE\", \"RAW\", \"DELETED_AT\", \"DOCUMENT\" FROM {}",
                literal(resource),
                names.raw(table)
            )
        })
        .collect();
    format!(
        "CREATE OR REPLACE VIEW {} COPY GRANTS AS SELECT t.\"RESOURCE\", {}t.\"DELETED_AT\", t.\"RAW\" FROM ({}) t \
         WHERE t.\"DOCUMENT\" IS NOT NULL",
        names.view(&plain(stream)),
        typed(columns),
        branches.join(" UNION ALL ")
    )
}

/// The statement that makes the view of one resource, over its raw table.
fn table_view(names: &Names, name: &str, columns: &[Column]) -> String {
    format!(
        "CREATE OR REPLACE VIEW {} COPY GRANTS AS SELECT {}t.\"DELETED_AT\", t.\"RAW\" FROM {} t \
         WHERE t.\"DOCUMENT\" IS NOT NULL",
        names.view(name),
        typed(columns),
        names.raw(name)
    )
}

/// The typed columns, with a comma behind them where there are any.
fn typed(columns: &[Column]) -> String {
    if columns.is_empty() { String::new() } else { select_list(columns) + ", " }
}

fn write_columns(columns: &[Column]) -> Result<String> {
    serde_json::to_string(columns).map_err(|error| Error::internal("columns cannot be written").with_source(error))
}

/// Makes a raw table and the view over it.
async fn make_table(session: &mut dyn Session, names: &Names, table: &Table) -> Result<()> {
    let raw = names.raw(&table.name);
    let create = format!(
        "CREATE TABLE IF NOT EXISTS {raw} (\"KEY\" VARCHAR NOT NULL, \"VERSION\" NUMBER(38, 0) NOT NULL, \"HASH\" VARCHAR, \
         \"RAW\" VARIANT, \"DOCUMENT\" VARCHAR, \"FIRST_SEEN\" TIMESTAMP_NTZ NOT NULL, \"CHANGED_AT\" TIMESTAMP_NTZ NOT NULL, \
         \"DELETED_AT\" TIMESTAMP_NTZ)"
    );
    session.execute(Statement::new(create)).await?;
    session.execute(Statement::new(table_view(names, &table.name, &table.columns))).await?;
    Ok(())
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
