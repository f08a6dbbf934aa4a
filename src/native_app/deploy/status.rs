//! The status of an app in an account.

use serde::Serialize;

use super::account::{Account, ShowRow, text_literal};
use super::application as app;
use super::version::released;
use crate::native_app::{App, Name, Names};
use crate::{ErrorKind, Result};

/// The status of an app in an account, as far as the role can see it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Status {
    /// The application package; `None` if it does not exist or the role cannot see it.
    pub package: Option<PackageStatus>,
    /// The application.
    pub application: Option<ApplicationStatus>,
}

/// An application package.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PackageStatus {
    /// Its name.
    pub name: String,
    /// The role that owns it.
    pub owner: String,
    /// Whether snowfeed created it.
    #[serde(rename = "ours")]
    pub created_by_snowfeed: bool,
    /// Its versions, oldest first.
    pub versions: Vec<VersionStatus>,
    /// The released version.
    pub released: Option<ReleasedVersion>,
}

/// A patch of a version.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct VersionStatus {
    /// The version.
    pub version: String,
    /// The patch.
    pub patch: u64,
    /// The label that consumers see.
    pub label: String,
    /// Such as `READY`.
    pub state: String,
    /// The state of Snowflake's security scan, such as `NOT_REVIEWED`.
    pub review: String,
}

/// A released version.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ReleasedVersion {
    /// The version.
    pub version: String,
    /// The patch.
    pub patch: u64,
}

/// An application.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ApplicationStatus {
    /// Its name.
    pub name: String,
    /// The role that owns it.
    pub owner: String,
    /// Whether snowfeed created it.
    #[serde(rename = "ours")]
    pub created_by_snowfeed: bool,
    /// Its version.
    pub version: String,
    /// Its patch.
    pub patch: Option<u64>,
    /// Such as `COMPLETE`, `UPGRADING`, `FAILED`.
    pub state: String,
    /// Why its last upgrade failed; empty if it did not.
    pub failure: String,
    /// The previous version. Runs that began with it finish with it and delay the end of the upgrade.
    pub previous: Option<PreviousVersion>,
    /// Why it is disabled; empty if it is not.
    pub disabled: String,
    /// The time of its last upgrade, as Snowflake formats it.
    pub upgraded: String,
    /// Its references and their bindings.
    pub references: Vec<ReferenceStatus>,
    /// The privileges that it requests.
    pub privileges: Vec<PrivilegeStatus>,
    /// Its compute pools.
    pub pools: Vec<PoolStatus>,
    /// The health of its connector, from the app's view `CONNECTOR_OVERVIEW`; `None` if the role may not read it, or has no warehouse.
    pub health: Option<AppHealth>,
}

/// The health of an app's connector, in the words of the command `status`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AppHealth {
    /// Such as `failing`.
    pub health: String,
    /// Since when, in UTC; empty if it is healthy.
    pub since: String,
    /// The code of what is wrong, such as `INACCESSIBLE_WAREHOUSE`; empty if nothing is.
    pub code: String,
    /// What is wrong.
    pub cause: String,
    /// What to do.
    pub help: String,
    /// Up to when all data is complete, in UTC; empty if not all was ever read.
    pub complete_up_to: String,
}

/// The version of an application before its last upgrade.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PreviousVersion {
    /// The version.
    pub version: String,
    /// The patch.
    pub patch: u64,
    /// Its state, as Snowflake reports it.
    pub state: String,
}

/// A reference.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ReferenceStatus {
    /// Its name.
    pub name: String,
    /// The bound object; `None` if it is not bound.
    pub object: Option<String>,
}

/// A privilege that the app requests.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PrivilegeStatus {
    /// Such as `EXECUTE TASK`.
    pub privilege: String,
    /// Whether the app has it.
    pub granted: bool,
}

/// A compute pool.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PoolStatus {
    /// Its name.
    pub name: String,
    /// Such as `IDLE`, `ACTIVE`, `SUSPENDED`.
    pub state: String,
    /// The number of services and jobs that run on it.
    pub services: u64,
    /// The number of jobs that run on it.
    pub jobs: u64,
    /// Another application, possibly a dropped one, that it belongs to, so that this one cannot use it.
    pub other: Option<String>,
}

impl Status {
    /// Reads the status of an app.
    ///
    /// # Errors
    /// As Snowflake reports them. What the role may not see is left out.
    pub async fn load(app: &App, account: &mut Account) -> Result<Self> {
        let names = app.names()?;
        Ok(Self { package: package(account, &names).await?, application: application(account, &names).await? })
    }
}

async fn package(account: &mut Account, names: &Names) -> Result<Option<PackageStatus>> {
    let name = &names.package;
    let Some(found) = account.find("APPLICATION PACKAGES", name, "").await? else { return Ok(None) };
    let versions = rows_if_visible(account, format!("SHOW VERSIONS IN APPLICATION PACKAGE {name}")).await?;
    let released = match released(account, name).await {
        Err(error) if is_hidden(&error) => None,
        released => released?,
    };
    let version = |row: &ShowRow| VersionStatus {
        version: row.get("version").to_owned(),
        patch: row.number("patch").unwrap_or_default(),
        label: row.get("label").to_owned(),
        state: row.get("state").to_owned(),
        review: row.get("review_status").to_owned(),
    };
    Ok(Some(PackageStatus {
        name: name.sql(),
        owner: found.get("owner").to_owned(),
        created_by_snowfeed: found.is_created_by_snowfeed(),
        versions: versions.iter().filter(|row| row.text("dropped_on").is_none()).map(version).collect(),
        released: released.map(|(version, patch)| ReleasedVersion { version, patch }),
    }))
}

async fn application(account: &mut Account, names: &Names) -> Result<Option<ApplicationStatus>> {
    let name = &names.application;
    let Some(found) = account.find("APPLICATIONS", name, "").await? else { return Ok(None) };
    let described = rows_if_visible(account, format!("DESCRIBE APPLICATION {name}")).await?;
    let property = |property: &str| {
        let row = described.iter().find(|row| row.get("property").eq_ignore_ascii_case(property));
        row.and_then(|row| row.text("value")).filter(|value| !value.eq_ignore_ascii_case("null"))
    };
    let previous = property("previous_version").map(|version| PreviousVersion {
        version,
        patch: property("previous_patch").and_then(|patch| patch.parse().ok()).unwrap_or_default(),
        state: property("previous_version_state").unwrap_or_default(),
    });
    let references = rows_if_visible(account, format!("SHOW REFERENCES IN APPLICATION {name}")).await?;
    let privileges = rows_if_visible(account, format!("SHOW PRIVILEGES IN APPLICATION {name}")).await?;
    // A pool's name begins with the application's name.
    let pattern = text_literal(&format!("{}%", name.as_str().replace(|c: char| !c.is_ascii_alphanumeric(), "_")));
    let pools = rows_if_visible(account, format!("SHOW COMPUTE POOLS LIKE {pattern}")).await?;
    let object = |row: &ShowRow| {
        let parts = [row.text("database_name"), row.text("schema_name"), row.text("object_name")];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        (row.text("object_name").is_some()).then(|| parts.join("."))
    };
    let own = app::pool_name(name)?;
    // A longer name with the same prefix may belong to another application.
    let is_own = |row: &&ShowRow| row.get("application") == name.as_str() || row.get("name") == own.as_str();
    let pool = |row: &ShowRow| PoolStatus {
        name: row.get("name").to_owned(),
        other: row.text("application").filter(|application| application != name.as_str()),
        state: row.get("state").to_owned(),
        services: row.number("num_services").unwrap_or_default(),
        jobs: row.number("num_jobs").unwrap_or_default(),
    };
    Ok(Some(ApplicationStatus {
        name: name.sql(),
        owner: found.get("owner").to_owned(),
        created_by_snowfeed: found.is_created_by_snowfeed(),
        version: found.get("version").to_owned(),
        patch: found.number("patch"),
        state: found.get("upgrade_state").to_owned(),
        failure: property("upgrade_failure_reason").unwrap_or_default(),
        previous,
        disabled: found.get("disablement_reasons").to_owned(),
        upgraded: found.get("last_upgraded_on").to_owned(),
        references: references
            .iter()
            .map(|row| ReferenceStatus { name: row.get("name").to_owned(), object: object(row) })
            .collect(),
        privileges: privileges
            .iter()
            .map(|row| PrivilegeStatus { privilege: row.get("privilege").to_owned(), granted: row.is("is_granted") })
            .collect(),
        pools: pools.iter().filter(is_own).map(pool).collect(),
        health: health(account, name).await?,
    }))
}

async fn health(account: &mut Account, application: &Name) -> Result<Option<AppHealth>> {
    let time = |column: &str| format!("TO_VARCHAR(\"{column}\", 'YYYY-MM-DD HH24:MI:SS') AS \"{column}\"");
    let (since, complete) = (time("SINCE"), time("COMPLETE_UP_TO"));
    let select = format!(
        "SELECT \"HEALTH\", {since}, \"CAUSE_CODE\", \"CAUSE\", \"HELP\", {complete} FROM {application}.VIEWS.CONNECTOR_OVERVIEW"
    );
    let rows = match account.rows(select).await {
        Err(error) if is_hidden(&error) || error.code() == Some(NO_WAREHOUSE) => Vec::new(),
        rows => rows?,
    };
    let health = |row: &ShowRow| AppHealth {
        health: row.get("health").to_owned(),
        since: row.get("since").to_owned(),
        code: row.get("cause_code").to_owned(),
        cause: row.get("cause").to_owned(),
        help: row.get("help").to_owned(),
        complete_up_to: row.get("complete_up_to").to_owned(),
    };
    Ok(rows.first().map(health).filter(|health| !health.health.is_empty()))
}

/// Snowflake's code for a statement that needs a warehouse, in a session without one.
const NO_WAREHOUSE: &str = "000606";

/// Returns rows; none if the role may not see them.
async fn rows_if_visible(account: &mut Account, sql: String) -> Result<Vec<ShowRow>> {
    match account.rows_if_any(sql).await {
        Err(error) if is_hidden(&error) => Ok(Vec::new()),
        rows => rows,
    }
}

fn is_hidden(error: &crate::Error) -> bool {
    error.kind() == ErrorKind::NotFound || error.code() == Some("003001")
}
