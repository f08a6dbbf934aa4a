//! Which tables and views there are, and with which columns; and the making of new ones.

use std::collections::BTreeMap;

use serde::Serialize;

use super::client::{Answer, Session, Statement};
use super::columns::select_list;
use super::names::{Names, literal, plain, resource_name};
use super::pool::is_missing;
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

/// One resource's part of a stream: the name of its view and raw table, and the columns of the view.
#[derive(Debug, Clone, PartialEq)]
struct Table {
    name: String,
    columns: Vec<Column>,
}

/// The view over all resources: its columns, and over how many resources it goes.
#[derive(Debug, Clone, PartialEq)]
struct Stream {
    columns: Vec<Column>,
    members: usize,
}

/// A row of the catalog, to be written.
#[derive(Serialize)]
struct Entry<'a> {
    resource: &'a str,
    stream: &'a str,
    name: &'a str,
    columns: String,
    members: usize,
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
            "{} UNION ALL SELECT \"RESOURCE\", \"STREAM\", \"NAME\", \"COLUMNS\", CAST(\"MEMBERS\" AS VARCHAR) AS \"MEMBERS\" FROM {}",
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
            if resource.is_empty() {
                let members = usize::try_from(row.integer(4)?).unwrap_or(0);
                catalog.streams.insert(stream, Stream { columns, members });
            } else {
                catalog.tables.insert((stream, resource.to_string()), Table { name, columns });
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
        self.tables.get(&(stream.to_owned(), resource.name().to_owned())).map(|table| table.name.as_str())
    }

    /// The columns of a resource's view.
    pub(super) fn columns(&self, resource: &Resource, stream: &str) -> Option<&[Column]> {
        self.tables.get(&(stream.to_owned(), resource.name().to_owned())).map(|table| table.columns.as_slice())
    }

    /// The names of the raw tables of a stream.
    fn members(&self, stream: &str) -> Vec<(&str, &str)> {
        let of_stream = self.tables.iter().filter(|((of, _), _)| of == stream);
        of_stream.map(|((_, resource), table)| (resource.as_str(), table.name.as_str())).collect()
    }

    /// Whether there is room for a resource already.
    pub(super) fn has(&self, resource: &Resource, specs: &[TableSpec]) -> bool {
        specs.iter().all(|spec| {
            let columns = self.grown(spec);
            self.columns(resource, &spec.name) == Some(&*columns) && self.covers(&spec.name, &columns)
        })
    }

    /// Whether the view of a stream has these columns, and goes over all resources.
    fn covers(&self, stream: &str, columns: &[Column]) -> bool {
        let members = self.members(stream).len();
        self.streams.get(stream).is_some_and(|stream| stream.columns == columns && stream.members == members)
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
            let columns = self.grown(spec);
            let name = self.name_for(resource, spec, specs);
            let wanted = Table { name, columns };
            let key = (spec.name.clone(), resource.name().to_owned());
            if self.tables.get(&key) != Some(&wanted) {
                self.ready(session, names).await?;
                make_table(session, names, &wanted).await?;
                let entry = Entry {
                    resource: resource.name(),
                    stream: &spec.name,
                    name: &wanted.name,
                    columns: write_columns(&wanted.columns)?,
                    members: 0,
                };
                store(session, names, &entry).await?;
                self.tables.insert(key, wanted);
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
        resource_name(resource.name(), &spec.name, specs.len() == 1, &is_stream)
    }

    /// Makes the view over all resources of a stream, until it covers all that there are: other programs may add some meanwhile.
    async fn ensure_stream(&mut self, session: &mut dyn Session, names: &Names, spec: &TableSpec) -> Result<()> {
        loop {
            let columns = self.grown(spec);
            if self.covers(&spec.name, &columns) {
                return Ok(());
            }
            let wanted = Stream { columns, members: self.members(&spec.name).len() };
            session.execute(Statement::new(self.stream_view(names, &spec.name, &wanted.columns))).await?;
            let entry = Entry {
                resource: "",
                stream: &spec.name,
                name: &plain(&spec.name),
                columns: write_columns(&wanted.columns)?,
                members: wanted.members,
            };
            store(session, names, &entry).await?;
            *self = Self::read(session, names).await?;
        }
    }

    fn stream_view(&self, names: &Names, stream: &str, columns: &[Column]) -> String {
        let branches: Vec<String> = self
            .members(stream)
            .into_iter()
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
    let view = format!(
        "CREATE OR REPLACE VIEW {} COPY GRANTS AS SELECT {}t.\"DELETED_AT\", t.\"RAW\" FROM {raw} t \
         WHERE t.\"DOCUMENT\" IS NOT NULL",
        names.view(&table.name),
        typed(&table.columns)
    );
    session.execute(Statement::new(view)).await?;
    Ok(())
}

/// Writes an entry in place of the one before.
async fn store(session: &mut dyn Session, names: &Names, entry: &Entry<'_>) -> Result<()> {
    let json = serde_json::to_string(entry)
        .map_err(|error| Error::internal("an entry of the catalog cannot be written").with_source(error))?;
    let merge = format!(
        "MERGE INTO {table} t USING (SELECT b.\"E\":resource::VARCHAR AS \"RESOURCE\", \
         b.\"E\":stream::VARCHAR AS \"STREAM\", b.\"E\":name::VARCHAR AS \"NAME\", \
         b.\"E\":columns::VARCHAR AS \"COLUMNS\", b.\"E\":members::NUMBER(38, 0) AS \"MEMBERS\" \
         FROM (SELECT PARSE_JSON(?) AS \"E\") b) s ON t.\"RESOURCE\" = s.\"RESOURCE\" AND t.\"STREAM\" = s.\"STREAM\" \
         WHEN MATCHED THEN UPDATE SET \"NAME\" = s.\"NAME\", \"COLUMNS\" = s.\"COLUMNS\", \"MEMBERS\" = s.\"MEMBERS\" \
         WHEN NOT MATCHED THEN INSERT (\"RESOURCE\", \"STREAM\", \"NAME\", \"COLUMNS\", \"MEMBERS\") \
         VALUES (s.\"RESOURCE\", s.\"STREAM\", s.\"NAME\", s.\"COLUMNS\", s.\"MEMBERS\")",
        table = names.state("SNOWFEED_TABLE")
    );
    session.execute(Statement::new(merge).bind(json)).await?;
    Ok(())
}
