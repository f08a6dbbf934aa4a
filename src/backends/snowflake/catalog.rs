//! The catalog: which tables and views exist, with which columns. Creates and replaces them.

mod entries;
mod unions;

use std::collections::{BTreeMap, BTreeSet};

use tokio::time::Instant;

use self::entries::{CLAIM, CatalogRow, write_columns, write_row};
use super::migration::{self, COLLATED};
use super::names::{Names, digest, disambiguated_name, resource_name};
use super::options::SnowflakeOptions;
use super::pool::is_missing;
use super::raw_table;
use super::schema::{self, SchemaVersion};
use super::state_tables::VERSION;
use super::transaction::Fence;
use super::view::{View, check_table};
use crate::snowflake::{Row, Session, Sql, Statement, sql};
use crate::stream::Column;
use crate::{Error, Resource, Result, StreamSpec};

/// The existing tables and views.
#[derive(Debug)]
pub(super) struct Catalog {
    schema_version: SchemaVersion,
    /// By stream and resource.
    tables: BTreeMap<(String, String), ResourceTable>,
    /// The views over all resources, by stream.
    unions: BTreeMap<String, UnionView>,
    /// The digests of the streams' views, by stream.
    views: BTreeMap<String, String>,
    /// Outdated views that this process leaves alone.
    frozen: BTreeSet<Sql>,
    /// The raw tables that this process has created and not written since, by name.
    new: BTreeSet<String>,
    /// The streams whose views were current when they were last compared, since when nothing has changed.
    compared: BTreeMap<String, StreamSpec>,
    /// When this process last rebuilt the views over all resources of a stream.
    rebuilt_at: BTreeMap<String, Instant>,
    /// The streams whose views over all resources lack some.
    put_off: BTreeMap<String, StreamSpec>,
}

/// A resource's table in a stream: the name of its view and raw table, the columns of the view, and a digest of its text, followed by
/// [`NUMBERED`].
#[derive(Debug, Clone, PartialEq)]
struct ResourceTable {
    name: String,
    columns: Vec<Column>,
    made_from: String,
}

impl ResourceTable {
    /// Whether the raw table has the columns of [`NUMBERED`].
    fn is_numbered(&self) -> bool {
        self.made_from.ends_with(NUMBERED)
    }

    /// The same table with the columns of [`NUMBERED`].
    fn numbered(&self) -> Self {
        let made_from =
            if self.is_numbered() { self.made_from.clone() } else { format!("{}{NUMBERED}", self.made_from) };
        Self { made_from, ..self.clone() }
    }
}

/// The union view of a stream: its columns, and a digest of its inputs or the claim of a program that is rebuilding it.
#[derive(Debug, Clone, PartialEq)]
struct UnionView {
    columns: Vec<Column>,
    made_from: String,
}

/// The suffix of MADE_FROM for a raw table with the columns `SEQ` and `PARENT`, which older versions did not create.
const NUMBERED: &str = " numbered";

/// Stored in place of a digest if the view must be rebuilt. The previous claimant may have crashed after replacing the view, or
/// may still replace it from an incomplete list.
const STALE: &str = "";

/// The suffix of a stream's name in the row of its view; stream names never end like this.
const VIEW_SUFFIX: &str = "^=view";

impl Catalog {
    /// Reads the catalog.
    pub(super) async fn read(session: &mut dyn Session, names: &Names) -> Result<Self> {
        match session.execute(Statement::new(Self::select(names))).await {
            Ok(answer) => Self::from_answer(names, &answer.rows),
            Err(error) if is_missing(&error) => Ok(Self::empty(SchemaVersion::of_missing(session, names).await?)),
            Err(error) => Err(error),
        }
    }

    /// The statement that reads the catalog: its entries, and the schema version in a row that holds only a version.
    pub(super) fn select(names: &Names) -> Sql {
        sql!(
            "{select_version} UNION ALL SELECT \"RESOURCE\", \"STREAM\", \"NAME\", \"COLUMNS\", \"MADE_FROM\" FROM {table}",
            select_version = schema::select_version(names),
            table = names.state("SNOWFEED_TABLE")
        )
    }

    fn empty(schema_version: SchemaVersion) -> Self {
        Self {
            schema_version,
            tables: BTreeMap::new(),
            unions: BTreeMap::new(),
            views: BTreeMap::new(),
            frozen: BTreeSet::new(),
            new: BTreeSet::new(),
            compared: BTreeMap::new(),
            rebuilt_at: BTreeMap::new(),
            put_off: BTreeMap::new(),
        }
    }

    pub(super) fn from_answer(names: &Names, rows: &[Row]) -> Result<Self> {
        let mut catalog = Self::empty(SchemaVersion::Incomplete);
        for row in rows {
            let Some(resource) = row.get(0)? else {
                schema::check_view_schema(names, row.text(2)?)?;
                let version = row.integer(4)?;
                // Two programs that created the tables concurrently may each have written a row.
                catalog.schema_version = match catalog.schema_version {
                    SchemaVersion::Version(other) => SchemaVersion::Version(other.max(version)),
                    _ => SchemaVersion::Version(version),
                };
                continue;
            };
            let (stream, name) = (row.text(1)?.to_string(), row.text(2)?.to_string());
            let mut made_from = row.text(4)?.to_string();
            if let Some(stream) = stream.strip_suffix(VIEW_SUFFIX).filter(|_| resource.is_empty()) {
                catalog.views.insert(stream.to_owned(), made_from);
                continue;
            }
            let columns: Vec<Column> = serde_json::from_str(row.text(3)?).unwrap_or_else(|error| {
                tracing::warn!(
                    table = %names.state("SNOWFEED_TABLE"), %resource, %stream, %error,
                    "the columns in this row are malformed; the view is rebuilt from the source's columns"
                );
                // A claimant must be able to find its claim again.
                if !made_from.starts_with(CLAIM) {
                    made_from = STALE.to_owned();
                }
                Vec::new()
            });
            if resource.is_empty() {
                catalog.unions.insert(stream, UnionView { columns, made_from });
            } else {
                catalog.tables.insert((stream, resource.to_string()), ResourceTable { name, columns, made_from });
            }
        }
        Ok(catalog)
    }

    /// Reads the catalog again, and keeps the decisions of this process.
    pub(super) async fn reload(&mut self, session: &mut dyn Session, names: &Names) -> Result<()> {
        let read = Self::read(session, names).await?;
        *self = Self {
            frozen: std::mem::take(&mut self.frozen),
            new: std::mem::take(&mut self.new),
            rebuilt_at: std::mem::take(&mut self.rebuilt_at),
            put_off: std::mem::take(&mut self.put_off),
            ..read
        };
        Ok(())
    }

    /// The errors of resources whose tables have a collation.
    pub(super) fn collation_errors(&self, names: &Names) -> Vec<Error> {
        let collated = self.tables.iter().filter(|(_, table)| table.made_from.starts_with(COLLATED));
        collated
            .map(|((_, resource), table)| migration::collation_error(names, resource, &table.name, &table.made_from))
            .collect()
    }

    /// Creates or upgrades the connector's own tables, if necessary, so that they can be written.
    pub(super) async fn ensure_schema(&mut self, session: &mut dyn Session, names: &Names) -> Result<()> {
        if self.schema_version == SchemaVersion::Version(VERSION) {
            return Ok(());
        }
        if let Err(error) = schema::ensure(session, names, &self.schema_version).await {
            // Another program may have done the same first.
            self.reload(session, names).await?;
            return if self.schema_version == SchemaVersion::Version(VERSION) { Ok(()) } else { Err(error) };
        }
        if matches!(self.schema_version, SchemaVersion::Version(_)) {
            self.reload(session, names).await?;
        }
        self.schema_version = SchemaVersion::Version(VERSION);
        Ok(())
    }

    /// The schema version of the connector's own tables.
    pub(super) fn schema_version(&self) -> &SchemaVersion {
        &self.schema_version
    }

    /// Whether a resource has any table.
    pub(super) fn has_resource(&self, resource: &Resource) -> bool {
        self.tables.keys().any(|(_, known)| known == resource.name())
    }

    /// The name of a resource's view and raw table in a stream.
    pub(super) fn name(&self, resource: &Resource, stream: &str) -> Option<&str> {
        self.table(resource, stream).map(|table| table.name.as_str())
    }

    /// Whether nothing has been written to a raw table since this process created it. The caller is going to write.
    pub(super) fn take_new(&mut self, name: &str) -> bool {
        self.new.remove(name)
    }

    /// The columns of a resource's view.
    pub(super) fn columns(&self, resource: &Resource, stream: &str) -> Option<&[Column]> {
        self.table(resource, stream).map(|table| table.columns.as_slice())
    }

    fn table(&self, resource: &Resource, stream: &str) -> Option<&ResourceTable> {
        self.tables.get(&key(resource, stream))
    }

    /// The name of a resource's raw table, if it has the columns of [`NUMBERED`].
    pub(super) fn numbered_name(&self, resource: &Resource, stream: &str) -> Option<&str> {
        self.table(resource, stream).filter(|table| table.is_numbered()).map(|table| table.name.as_str())
    }

    /// The raw tables of a resource that have the columns of [`NUMBERED`], as streams and names.
    pub(super) fn numbered_tables(&self, resource: &Resource) -> impl Iterator<Item = (&str, &str)> {
        let of_resource = self.tables.iter().filter(|((_, of), table)| of == resource.name() && table.is_numbered());
        of_resource.map(|((stream, _), table)| (stream.as_str(), table.name.as_str()))
    }

    /// Whether all tables and views of a resource are current, except for views that are put off.
    pub(super) fn is_current(&mut self, names: &Names, resource: &Resource, specs: &[StreamSpec]) -> bool {
        specs.iter().all(|spec| {
            self.is_table_current(names, resource, spec, &self.desired_table(names, resource, spec, specs))
                && (self.is_put_off(spec) || self.are_views_current(names, spec))
        })
    }

    /// Whether a resource's table in a stream is current, or frozen.
    fn is_table_current(&self, names: &Names, resource: &Resource, spec: &StreamSpec, desired: &ResourceTable) -> bool {
        self.table(resource, &spec.name).is_some_and(|table| {
            table == desired || table.is_numbered() && self.frozen.contains(&names.view(&table.name))
        })
    }

    /// The desired table of a resource in a stream.
    fn desired_table(
        &self,
        names: &Names,
        resource: &Resource,
        spec: &StreamSpec,
        specs: &[StreamSpec],
    ) -> ResourceTable {
        let (name, columns) = (self.name_for(resource, spec, specs), self.merged_columns(spec));
        let made_from = digest(&View::for_resource(names, spec, &name, &columns).select) + NUMBERED;
        ResourceTable { name, columns, made_from }
    }

    /// Creates the tables and views of a resource. If all are current, it sends no statement.
    pub(super) async fn ensure(
        &mut self,
        session: &mut dyn Session,
        names: &Names,
        resource: &Resource,
        specs: &[StreamSpec],
        options: &SnowflakeOptions,
    ) -> Result<()> {
        if self.is_current(names, resource, specs) {
            return Ok(());
        }
        for spec in specs {
            check_table(names, spec, &self.merged_columns(spec))?;
        }
        self.ensure_schema(session, names).await?;
        for spec in specs {
            let desired = self.desired_table(names, resource, spec, specs);
            if !self.is_table_current(names, resource, spec, &desired) {
                self.create_table(session, names, resource, spec, desired, options).await?;
            }
            if self.may_put_off(spec) {
                self.put_off.insert(spec.name.clone(), spec.clone());
            } else {
                self.ensure_views(session, names, spec).await?;
            }
        }
        Ok(())
    }

    /// Creates a raw table, the view over it, and its row in the catalog; or brings them up to date.
    async fn create_table(
        &mut self,
        session: &mut dyn Session,
        names: &Names,
        resource: &Resource,
        spec: &StreamSpec,
        desired: ResourceTable,
        options: &SnowflakeOptions,
    ) -> Result<()> {
        let raw = names.raw(&desired.name);
        match self.table(resource, &spec.name) {
            Some(table) if table.made_from.starts_with(COLLATED) => {
                return Err(migration::collation_error(names, resource.name(), &table.name, &table.made_from));
            }
            Some(table) if table.is_numbered() => {}
            // An older version has created the table.
            Some(table) => {
                let numbered = table.numbered();
                migration::upgrade_raw_table(session, &raw).await?;
                let is_view_current = numbered == desired;
                self.write_table(session, names, resource, spec, numbered).await?;
                if is_view_current {
                    return Ok(());
                }
            }
            None => {
                raw_table::create(session, &raw, options).await?;
                self.new.insert(desired.name.clone());
                if !self.has_resource(resource) {
                    Fence::new(names, resource.name(), "").make(session).await?;
                }
            }
        }
        let view = View::for_resource(names, spec, &desired.name, &desired.columns);
        if !view.replace_unless_protected(session).await? {
            self.frozen.insert(view.name);
            if self.table(resource, &spec.name).is_some() {
                return Ok(());
            }
        }
        self.write_table(session, names, resource, spec, desired).await
    }

    /// Writes a table's row in the catalog.
    async fn write_table(
        &mut self,
        session: &mut dyn Session,
        names: &Names,
        resource: &Resource,
        spec: &StreamSpec,
        table: ResourceTable,
    ) -> Result<()> {
        let entry = CatalogRow {
            resource: resource.name(),
            stream: &spec.name,
            name: &table.name,
            columns: write_columns(&table.columns)?,
            made_from: &table.made_from,
        };
        write_row(session, names, &entry).await?;
        self.tables.insert(key(resource, &spec.name), table);
        self.compared.remove(&spec.name);
        Ok(())
    }

    /// The columns of a stream: first those of this version of the source, then those of other versions.
    fn merged_columns(&self, spec: &StreamSpec) -> Vec<Column> {
        let before = self.unions.get(&spec.name).map(|stream| stream.columns.as_slice()).unwrap_or_default();
        spec.merged_columns(before)
    }

    fn name_for(&self, resource: &Resource, spec: &StreamSpec, specs: &[StreamSpec]) -> String {
        // A table with data keeps its name.
        if let Some(name) = self.name(resource, &spec.name) {
            return name.to_owned();
        }
        let is_stream = |name: &str| specs.iter().any(|spec| spec.name == name) || self.unions.contains_key(name);
        let takes_resource_name = spec.takes_resource_name().unwrap_or(specs.len() == 1);
        let preferred = resource_name(resource.name(), &spec.name, takes_resource_name, &is_stream);
        // `issues` of `a/events` and `events` of `a` may prefer the same one.
        let is_free = |name: &String| self.tables.values().all(|table| table.name != *name);
        let qualified = resource_name(resource.name(), &spec.name, false, &is_stream);
        let last = disambiguated_name(&preferred, resource.name(), &spec.name);
        [preferred, qualified].into_iter().find(is_free).unwrap_or(last)
    }
}

/// The key of a resource's table in the catalog.
fn key(resource: &Resource, stream: &str) -> (String, String) {
    (stream.to_owned(), resource.name().to_owned())
}
