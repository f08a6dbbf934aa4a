//! The schemas and the connector's own tables: creates missing ones, migrates older ones, and rejects those of other programs.

use super::migration;
use super::names::{Names, identifier};
use super::pool::is_missing;
use super::state_tables::{VERSION, statements};
use crate::snowflake::{Session, Sql, Statement, sql};
use crate::{Error, Result};

/// The table that is created first.
const FIRST: &str = "SNOWFEED_VERSION";

/// The tables with names of the reference system, which another program may have created.
const SHARED: [&str; 3] = ["APP_CONFIGURATION", "RESOURCE_CONFIGURATION", "APP_STATE"];

/// The version of the connector's own tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SchemaVersion {
    /// The database does not exist, or this role may not use it.
    NoDatabase,
    /// The tables do not exist.
    Missing,
    /// Another program has created this table.
    Foreign(String),
    /// A program crashed while creating them.
    Incomplete,
    /// The tables have this version.
    Version(i64),
}

impl SchemaVersion {
    /// Finds out what exists where a table is missing.
    pub(super) async fn of_missing(session: &mut dyn Session, names: &Names) -> Result<Self> {
        let look = sql!(
            "SELECT \"TABLE_NAME\" FROM {schema}.\"TABLES\" WHERE \"TABLE_SCHEMA\" = ? AND \"TABLE_NAME\" IN (?, ?, ?, ?)",
            schema = names.schema_name("INFORMATION_SCHEMA")
        );
        let mut look = Statement::new(look).bind(Names::STATE).bind(FIRST);
        for table in SHARED {
            look = look.bind(table);
        }
        let found = match session.execute(look).await {
            Ok(answer) => answer.rows,
            Err(error) if is_missing(&error) => return Ok(Self::NoDatabase),
            Err(error) => return Err(error),
        };
        let found: Vec<String> = found.iter().map(|row| Ok(row.text(0)?.to_string())).collect::<Result<_>>()?;
        if found.iter().any(|table| table == FIRST) {
            return Ok(Self::Incomplete);
        }
        Ok(found.into_iter().next().map_or(Self::Missing, Self::Foreign))
    }
}

/// Rejects tables that this program must not write.
pub(super) fn check_compatible(names: &Names, form: &SchemaVersion) -> Result<()> {
    let (message, help) = match form {
        SchemaVersion::NoDatabase
        | SchemaVersion::Missing
        | SchemaVersion::Incomplete
        | SchemaVersion::Version(migration::OLDEST_VERSION..=VERSION) => return Ok(()),
        SchemaVersion::Foreign(table) => (
            format!("the table {} exists and is not this program's", names.state(table)),
            "choose another database: this one belongs to another connector",
        ),
        SchemaVersion::Version(newer) if *newer > VERSION => (
            format!(
                "the schema {} was written by a newer version of this program (schema version {newer}, this one supports {VERSION})",
                names.schema_name(Names::STATE)
            ),
            "upgrade this program, or name another database, such as a clone from before the upgrade",
        ),
        SchemaVersion::Version(older) => (
            format!(
                "the schema {} has the schema version {older}, which cannot be migrated to version {VERSION}",
                names.schema_name(Names::STATE)
            ),
            "name another database",
        ),
    };
    Err(Error::configuration(message).with_help(help))
}

/// Creates missing tables and migrates older ones, from this version.
pub(super) async fn ensure(session: &mut dyn Session, names: &Names, form: &SchemaVersion) -> Result<()> {
    check_compatible(names, form)?;
    // Any version may have begun.
    let from = match form {
        SchemaVersion::Version(VERSION) => return Ok(()),
        SchemaVersion::Version(version) => *version,
        SchemaVersion::Incomplete => migration::OLDEST_VERSION,
        SchemaVersion::NoDatabase | SchemaVersion::Missing | SchemaVersion::Foreign(_) => VERSION,
    };
    if *form == SchemaVersion::NoDatabase {
        create_database(session, names).await?;
    }
    if !matches!(form, SchemaVersion::Version(_)) {
        for schema in [Names::STATE, &names.raw_schema(), &names.schema] {
            session
                .execute(Statement::new(sql!(
                    "CREATE SCHEMA IF NOT EXISTS {schema}",
                    schema = names.schema_name(schema)
                )))
                .await?;
        }
    }
    migration::prepare(session, names, from).await?;
    for statement in statements(names) {
        session.execute(Statement::new(statement)).await?;
    }
    migration::finish(session, names, from).await?;
    let version = names.state(FIRST);
    let done = sql!(
        "INSERT INTO {version} (\"VERSION\", \"SCHEMA\") SELECT b.\"VERSION\", b.\"SCHEMA\" FROM (SELECT CAST(? AS NUMBER(38, 0)) AS \
         \"VERSION\", CAST(? AS VARCHAR) AS \"SCHEMA\") b WHERE NOT EXISTS (SELECT 1 AS \"ONE\" FROM {version})",
        version
    );
    session.execute(Statement::new(done).bind(VERSION).bind(names.schema.as_str())).await?;
    if matches!(form, SchemaVersion::Version(_)) {
        let raise = sql!("UPDATE {version} SET \"VERSION\" = ? WHERE \"VERSION\" < ?", version);
        session.execute(Statement::new(raise).bind(VERSION).bind(VERSION)).await?;
    }
    Ok(())
}

/// The grants with which a role can create the tables in another role's database. `PUBLIC` belongs to the owner of the database.
pub(super) fn grants(names: &Names, role: &Sql) -> String {
    let database = format!("GRANT USAGE, CREATE SCHEMA ON DATABASE {} TO ROLE {role}", identifier(&names.database));
    match names.schema.as_str() {
        "PUBLIC" => {
            let schema = names.schema_name(&names.schema);
            format!("{database}; GRANT USAGE, CREATE VIEW ON SCHEMA {schema} TO ROLE {role}")
        }
        _ => database,
    }
}

/// Creates the database. A role that may use an existing one need not have the privilege.
async fn create_database(session: &mut dyn Session, names: &Names) -> Result<()> {
    let database = identifier(&names.database);
    let made = session.execute(Statement::new(sql!("CREATE DATABASE IF NOT EXISTS {database}", database))).await;
    made.map(drop).map_err(|error| {
        Error::new(error.kind(), format!("the database {database} does not exist, or this role may not use it"))
            .with_help(format!(
                "create it and let this role use it: CREATE DATABASE {database}; {}",
                grants(names, &"…".into())
            ))
            .with_source(error)
    })
}

/// Rejects a different schema than that of the existing views: tables and state support only one.
pub(super) fn check_view_schema(names: &Names, schema: &str) -> Result<()> {
    if schema == names.schema {
        return Ok(());
    }
    Err(Error::configuration(format!(
        "the views of the database {} are in the schema {}, not in {}",
        identifier(&names.database),
        identifier(schema),
        identifier(&names.schema)
    ))
    .with_help(format!("give `--schema '{}'`, or choose another database", identifier(schema))))
}

/// Selects the version in the form of a catalog row: no resource, the schema of the views, and the version.
pub(super) fn select_version(names: &Names) -> Sql {
    sql!(
        "SELECT CAST(NULL AS VARCHAR) AS \"RESOURCE\", CAST(NULL AS VARCHAR) AS \"STREAM\", \"SCHEMA\" AS \"NAME\", \
         CAST(NULL AS VARCHAR) AS \"COLUMNS\", CAST(\"VERSION\" AS VARCHAR) AS \"MADE_FROM\" FROM {version}",
        version = names.state(FIRST)
    )
}

#[cfg(test)]
mod tests {
    use super::super::state_tables::STATE;
    use super::*;
    use crate::snowflake::{QueryResult, StagedFile};

    #[test]
    fn every_statement_creates_one_object_of_the_connector() {
        let names = Names::new("db", "public");
        let made = statements(&names);
        assert_eq!(made.len(), 10);
        for statement in made {
            assert!(statement.contains(" IF NOT EXISTS \"DB\".\"STATE\".\""), "{statement}");
            assert!(!statement.contains(['{', '}', ';']), "{statement}");
            assert_eq!(
                statement.contains("CREATE TABLE"),
                statement.contains("DEFAULT_DDL_COLLATION = ''"),
                "{statement}"
            );
        }
    }

    #[test]
    fn documents_have_one_type() {
        use crate::backends::snowflake::migration::{LONG_TEXT, LONGEST_TEXT};

        assert_eq!(LONG_TEXT, format!("VARCHAR({LONGEST_TEXT})"));
        for (at, _) in STATE.match_indices("VARCHAR(") {
            assert!(STATE[at..].starts_with(LONG_TEXT), "{}", &STATE[at..at + 30]);
        }
        let documents = STATE.matches("\"DOCUMENT\" VARCHAR").count();
        assert_eq!(STATE.matches(&format!("\"DOCUMENT\" {LONG_TEXT}")).count(), documents);
    }

    /// Counts statements and finds nothing.
    #[derive(Debug, Default)]
    struct NoRows(usize);

    #[async_trait::async_trait]
    impl Session for NoRows {
        async fn execute(&mut self, _: Statement) -> Result<QueryResult> {
            self.0 += 1;
            Ok(QueryResult::default())
        }

        async fn put(&mut self, _: StagedFile) -> Result<()> {
            Ok(())
        }

        fn is_idle(&self) -> bool {
            true
        }

        async fn close(self: Box<Self>) -> Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn every_version_has_a_step_and_any_other_is_rejected() {
        let names = Names::new("db", "public");
        for version in migration::OLDEST_VERSION..=VERSION {
            let mut session = NoRows::default();
            ensure(&mut session, &names, &SchemaVersion::Version(version)).await.unwrap();
            assert_eq!(session.0 == 0, version == VERSION, "{version}");
        }
        for version in [migration::OLDEST_VERSION - 1, VERSION + 1] {
            let mut session = NoRows::default();
            let error = ensure(&mut session, &names, &SchemaVersion::Version(version)).await.unwrap_err();
            assert_eq!((error.kind(), session.0), (crate::ErrorKind::Configuration, 0), "{error}");
            assert!(error.help().is_some());
        }
    }
}
