//! Checks whether the account permits ingestion, and names the statement that fixes each problem.
//!
//! Unverified: see docs/unverified.md#catalog. The columns of SHOW, and the errors of a role without a privilege, are those of
//! Snowflake's documentation.

use std::collections::{BTreeSet, VecDeque};

use super::Snowflake;
use super::catalog::Catalog;
use super::migration;
use super::names::{Names, identifier, normalize};
use super::pool::is_missing;
use super::raw_table;
use super::schema::{self, SchemaVersion};
use super::show::{cell, find_row};
use crate::snowflake::{Session, Statement, sql};
use crate::{Error, ErrorKind, Result};

/// The result of one check.
#[derive(Debug)]
pub struct Finding {
    /// The check: `login`, `role`, `warehouse`, `load warehouse`, `database`, `tables` or `raw tables`.
    pub name: &'static str,
    /// A description, or the problem with the statement that fixes it as [help](Error::help).
    pub result: Result<String>,
}

/// The maximum number of inspected roles. With more roles, a privilege that was not found is not reported as missing.
const MAX_ROLES: usize = 50;

impl Snowflake {
    /// Checks what an ingestion needs in the account: `login`, `role`, `warehouse`, `database`, `tables`, in this order, and stops
    /// where later checks depend on a failed one. `load warehouse` comes after `warehouse` if there is one, and `raw tables` last if the
    /// options say what they are like. It creates and changes nothing. Only the last statement, which reads the
    /// connector's own tables, uses the warehouse, and may start it.
    ///
    /// ```no_run
    /// # async fn check(snowflake: snowfeed::backends::Snowflake) {
    /// for found in snowflake.check().await {
    ///     match found.result {
    ///         Ok(description) => println!("{}: {description}", found.name),
    ///         Err(error) => println!("{}: {error}; {}", found.name, error.help().unwrap_or_default()),
    ///     }
    /// }
    /// # }
    /// ```
    pub async fn check(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut session = match self.session().await {
            Ok(session) => session,
            Err(error) => {
                findings.push(Finding { name: "login", result: Err(error) });
                return findings;
            }
        };
        self.run_checks(&mut *session, &mut findings).await;
        findings
    }

    async fn run_checks(&self, session: &mut dyn Session, findings: &mut Vec<Finding>) {
        let mut add = |name, result: Result<String>| {
            let ok = result.is_ok();
            findings.push(Finding { name, result });
            ok
        };
        let context = match SessionContext::read(session).await {
            Ok(context) => context,
            Err(error) => {
                add("login", Err(error));
                return;
            }
        };
        add("login", Ok(format!("as {}", context.user)));
        let role = match context.role() {
            Ok(role) => role,
            Err(error) => {
                add("role", Err(error));
                return;
            }
        };
        add("role", Ok(role.to_owned()));
        let names = &self.0.names;
        let has_warehouse = add("warehouse", warehouse(session, &context, self.0.warehouse.as_deref()).await);
        if let Some(wanted) = self.0.options.load_warehouse.as_deref() {
            add("load warehouse", self.load_warehouse(wanted).await);
        }
        let database = DatabaseStatus::read(session, names).await;
        let (is_there, database) = match database {
            Ok(DatabaseStatus::Exists) => (true, Ok(identifier(&names.database).to_string())),
            Ok(DatabaseStatus::Missing) => (false, can_create_database(session, names, role).await),
            Err(error) => (false, Err(error)),
        };
        // Reading tables takes a warehouse.
        if add("database", database) && is_there && has_warehouse {
            add("tables", tables(session, names, role).await);
        }
        let options = &self.0.options;
        if is_there && (options.transient || options.retention_days.is_some()) {
            add("raw tables", raw_table::describe(session, names, options).await);
        }
    }

    /// Checks the warehouse of loads, in a session that uses it.
    async fn load_warehouse(&self, wanted: &str) -> Result<String> {
        let mut session = self.load_session().await?;
        let context = SessionContext::read(&mut *session).await?;
        warehouse(&mut *session, &context, Some(wanted)).await
    }
}

/// The user, role and warehouse of the session.
struct SessionContext {
    user: String,
    role: Option<String>,
    warehouse: Option<String>,
}

impl SessionContext {
    async fn read(session: &mut dyn Session) -> Result<Self> {
        let select =
            "SELECT CURRENT_USER() AS \"USER\", CURRENT_ROLE() AS \"ROLE\", CURRENT_WAREHOUSE() AS \"WAREHOUSE\"";
        let answer = session.execute(Statement::new(select)).await?;
        let row = answer.rows.first().ok_or_else(|| Error::invalid_data("Snowflake returned no session context"))?;
        let text =
            |column| Ok::<_, Error>(row.get(column)?.map(|text| text.to_string()).filter(|text| !text.is_empty()));
        Ok(Self { user: text(0)?.unwrap_or_default(), role: text(1)?, warehouse: text(2)? })
    }

    fn role(&self) -> Result<&str> {
        self.role.as_deref().ok_or_else(|| {
            Error::configuration("the session has no role").with_help(format!(
                "name one with `--role` or `role` in the connection, or let an administrator run: ALTER USER {} SET \
                 DEFAULT_ROLE = …",
                identifier(&self.user)
            ))
        })
    }
}

/// Checks that the session's warehouse exists, is visible to the role, and can start.
async fn warehouse(session: &mut dyn Session, context: &SessionContext, wanted: Option<&str>) -> Result<String> {
    let role = identifier(context.role()?);
    let Some(current) = &context.warehouse else {
        return Err(match wanted.map(normalize) {
            Some(wanted) => not_usable(&wanted, &role),
            None => Error::configuration("the session has no warehouse").with_help(format!(
                "name one with `--warehouse` or `warehouse` in the connection, or let an administrator run: ALTER USER {} \
                 SET DEFAULT_WAREHOUSE = …; GRANT USAGE ON WAREHOUSE … TO ROLE {role}",
                identifier(&context.user)
            )),
        });
    };
    let shown = session.execute(Statement::new("SHOW WAREHOUSES")).await?;
    let Some(row) = find_row(&shown, "name", current)? else { return Err(not_usable(current, &role)) };
    let suspended = cell(&shown, row, "state")?.eq_ignore_ascii_case("SUSPENDED");
    let resumes = cell(&shown, row, "auto_resume")?.eq_ignore_ascii_case("true");
    match (suspended, resumes) {
        (false, _) => Ok(identifier(current).to_string()),
        (true, true) => Ok(format!("{}, suspended; it resumes automatically", identifier(current))),
        (true, false) => Err(Error::configuration(format!(
            "the warehouse {} is suspended, and does not resume automatically",
            identifier(current)
        ))
        .with_help(format!(
            "let its owner run: ALTER WAREHOUSE {name} SET AUTO_RESUME = TRUE (or, for now, ALTER WAREHOUSE {name} RESUME)",
            name = identifier(current)
        ))),
    }
}

fn not_usable(warehouse: &str, role: &str) -> Error {
    let warehouse = identifier(warehouse);
    Error::configuration(format!("the warehouse {warehouse} does not exist, or the role {role} may not use it"))
        .with_help(format!("check its name, or let its owner run: GRANT USAGE ON WAREHOUSE {warehouse} TO ROLE {role}"))
}

enum DatabaseStatus {
    Exists,
    /// It does not exist, or is hidden from the role.
    Missing,
}

impl DatabaseStatus {
    async fn read(session: &mut dyn Session, names: &Names) -> Result<Self> {
        let show = sql!("SHOW SCHEMAS IN DATABASE {database}", database = identifier(&names.database));
        match session.execute(Statement::new(show)).await {
            Ok(_) => Ok(Self::Exists),
            Err(error) if is_missing(&error) => Ok(Self::Missing),
            Err(error) => Err(error),
        }
    }
}

async fn can_create_database(session: &mut dyn Session, names: &Names, role: &str) -> Result<String> {
    let database = identifier(&names.database);
    let may = |grant: &Grant<'_>| grant.on == "ACCOUNT" && grant.privilege == "CREATE DATABASE";
    if has_privilege(session, role, may).await? == Some(false) {
        let role = identifier(role);
        let message = format!("the database {database} does not exist, or the role {role} may not use it");
        return Err(Error::new(ErrorKind::NotFound, message).with_help(format!(
            "check its name, or let an administrator run: CREATE DATABASE IF NOT EXISTS {database}; {}",
            schema::grants(names, &role)
        )));
    }
    Ok(format!("{database}, not created yet; the first `enable` or `ingest` creates it"))
}

/// Checks the connector's own tables: they exist, or the role can create their schemas.
async fn tables(session: &mut dyn Session, names: &Names, role: &str) -> Result<String> {
    let catalog = Catalog::read(session, names).await?;
    schema::check_compatible(names, catalog.schema_version())?;
    let state = names.schema_name(Names::STATE);
    if let &SchemaVersion::Version(version) = catalog.schema_version() {
        migration::check_collations(session, names).await?;
        let mut collated = catalog.collation_errors(names);
        if !collated.is_empty() {
            return Err(collated.swap_remove(0));
        }
        let older =
            if version < super::state_tables::VERSION { "; the next `enable` or `ingest` migrates them" } else { "" };
        return Ok(format!("created, in {state} (schema version {version}){older}"));
    }
    let database = names.database.as_str();
    let may = |grant: &Grant<'_>| {
        grant.on == "DATABASE"
            && matches!(grant.privilege, "CREATE SCHEMA" | "OWNERSHIP" | "ALL" | "ALL PRIVILEGES")
            && normalize(grant.name) == database
    };
    if has_privilege(session, role, may).await? == Some(false) {
        let (database, role) = (identifier(database), identifier(role));
        let message = format!("the role {role} may not create schemas in the database {database}");
        return Err(
            Error::configuration(message).with_help(format!("let its owner run: {}", schema::grants(names, &role)))
        );
    }
    Ok(format!("not created yet; the first `enable` or `ingest` creates them, in {state}"))
}

/// A privilege of a role.
struct Grant<'a> {
    privilege: &'a str,
    /// The kind of object.
    on: &'a str,
    name: &'a str,
}

/// Whether the role, or one granted to it, has a privilege; `None` if that is not visible.
async fn has_privilege(
    session: &mut dyn Session,
    role: &str,
    is_it: impl Fn(&Grant<'_>) -> bool,
) -> Result<Option<bool>> {
    // Every user has PUBLIC.
    let mut waiting = VecDeque::from([role.to_owned(), "PUBLIC".to_owned()]);
    let mut seen: BTreeSet<String> = waiting.iter().cloned().collect();
    let mut all_seen = true;
    while let Some(role) = waiting.pop_front() {
        let Ok(shown) =
            session.execute(Statement::new(sql!("SHOW GRANTS TO ROLE {role}", role = identifier(&role)))).await
        else {
            all_seen = false;
            continue;
        };
        for row in &shown.rows {
            let grant = Grant {
                privilege: cell(&shown, row, "privilege")?,
                on: cell(&shown, row, "granted_on")?,
                name: cell(&shown, row, "name")?,
            };
            if is_it(&grant) {
                return Ok(Some(true));
            }
            // A role on which this one has USAGE is granted to it.
            let inherited = normalize(grant.name);
            if grant.on == "ROLE" && grant.privilege == "USAGE" && seen.insert(inherited.clone()) {
                if seen.len() > MAX_ROLES {
                    return Ok(None);
                }
                waiting.push_back(inherited);
            }
        }
    }
    Ok(all_seen.then_some(false))
}

#[cfg(test)]
mod tests;
