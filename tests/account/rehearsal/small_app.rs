//! A small account whose applications have procedures: they store a configuration and resources, and fake the runs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::objects::PREFIX;
use crate::scripted::{QUERY, ReceivedRequest, Reply};
use crate::small_account::Account;

/// An installed application.
#[derive(Debug, Default)]
struct Installed {
    configuration: Option<Value>,
    enabled: BTreeSet<String>,
    jobs: u64,
}

/// Each resource's rows.
const ROWS: u64 = 3;

/// Starts an account.
pub(crate) async fn start() -> Arc<Account> {
    start_hanging(None).await
}

/// Starts an account that never answers statements with this beginning.
pub(crate) async fn start_hanging(hangs: Option<&'static str>) -> Arc<Account> {
    let account = Arc::new(Account::start().await);
    let (apps, answering) = (Mutex::new(BTreeMap::new()), Arc::clone(&account));
    account.server.on_request(QUERY, move |asked| match hangs {
        Some(beginning) if asked.sql().starts_with(beginning) => Reply::Hang,
        _ => answer(&answering, &mut apps.lock().unwrap(), asked),
    });
    account
}

fn answer(account: &Account, apps: &mut BTreeMap<String, Installed>, asked: &ReceivedRequest) -> Reply {
    let sql = asked.sql();
    if let Some((name, call)) = sql.strip_prefix("CALL \"").and_then(|rest| rest.split_once("\".PUBLIC.")) {
        if !account.contents().applications.contains_key(name) {
            return Reply::error(
                "002003",
                "02000",
                &format!("the application {name} does not exist or not authorized."),
            );
        }
        return match call_of(apps.entry(name.to_owned()).or_default(), name, call, asked) {
            Ok(response) => {
                let owned = [("COMPUTE_POOL", "POOL"), ("DATABASE", "DATA")];
                let owned = owned.map(|(kind, suffix)| (kind.to_owned(), format!("{name}_{suffix}")));
                if apps[name].configuration.is_some() {
                    account.state().contents.applications.get_mut(name).unwrap().owned = owned.into();
                }
                cells(&["ANSWER"], vec![vec![response.to_string()]])
            }
            Err(message) => Reply::error("001044", "42P13", &message),
        };
    }
    if let Some(rest) = sql.strip_prefix("DROP DATABASE IF EXISTS ") {
        drop_database(account, rest.trim_matches('"'));
        return cells(&["status"], vec![vec!["dropped".into()]]);
    }
    if let Some((kind, pattern)) = sql.strip_prefix("SHOW ").and_then(|rest| rest.split_once(" LIKE '"))
        && let Some(prefix) = pattern.strip_suffix("%'")
        && prefix.starts_with(PREFIX)
    {
        return show(account, kind, prefix);
    }
    if sql.starts_with("CREATE WAREHOUSE") || sql.starts_with("CREATE RESOURCE MONITOR") {
        return cells(&["status"], vec![vec!["created".into()]]);
    }
    if sql.starts_with("SHOW PARAMETERS LIKE 'EVENT_TABLE'") {
        return cells(&["key", "value"], vec![vec!["EVENT_TABLE".into(), "snowflake.telemetry.events".into()]]);
    }
    if sql.starts_with("SELECT COUNT(*)") {
        let job = asked.body["bindings"]["1"]["value"].as_str().unwrap_or_default();
        let is_log = sql.contains("snowflake.telemetry.events");
        let count = if is_log { u64::from(job.starts_with("RUN_")) } else { ROWS };
        return cells(&["N"], vec![vec![count.to_string()]]);
    }
    let response = account.state().answer(asked);
    if let Some(name) = sql.strip_prefix("DROP APPLICATION PACKAGE IF EXISTS ") {
        // Its schemas and stages go with it.
        drop_database(account, name.trim_matches('"'));
    }
    response
}

fn cells(columns: &[&str], rows: Vec<Vec<String>>) -> Reply {
    let rowtype: Vec<Value> =
        columns.iter().map(|name| json!({ "name": name, "type": "text", "nullable": true, "scale": null })).collect();
    let data = json!({ "queryId": "the-query", "queryResultFormat": "json", "total": rows.len(), "rowtype": rowtype, "rowset": rows });
    Reply::json(json!({ "data": data, "code": null, "message": null, "success": true }))
}

/// The objects of a kind whose names have this prefix.
fn show(account: &Account, kind: &str, prefix: &str) -> Reply {
    let contents = account.contents();
    let mut found: Vec<(String, String)> = match kind {
        "APPLICATIONS" => contents.applications.into_iter().map(|(name, app)| (name, app.comment)).collect(),
        "APPLICATION PACKAGES" => {
            contents.packages.into_iter().map(|(name, package)| (name, package.comment)).collect()
        }
        "EXTERNAL ACCESS INTEGRATIONS" => {
            contents.integrations.into_iter().map(|(name, object)| (name, object.comment)).collect()
        }
        "DATABASES" => contents.databases.into_iter().map(|name| (name, String::new())).collect(),
        _ => Vec::new(),
    };
    if matches!(kind, "COMPUTE POOLS" | "DATABASES") {
        let wanted = if kind == "DATABASES" { "DATABASE" } else { "COMPUTE_POOL" };
        let owned = account.contents().applications.into_values().flat_map(|app| app.owned);
        found.extend(owned.filter(|(of, _)| of == wanted).map(|(_, name)| (name, String::new())));
    }
    found.retain(|(name, _)| name.starts_with(prefix));
    cells(&["name", "comment"], found.into_iter().map(|(name, comment)| vec![name, comment]).collect())
}

fn drop_database(account: &Account, name: &str) {
    let mut state = account.state();
    let within = format!("{name}.");
    let contents = &mut state.contents;
    contents.databases.remove(name);
    contents.schemas.retain(|path| !path.starts_with(&within));
    contents.stages.retain(|path| !path.starts_with(&within));
    contents.repositories.retain(|path, _| !path.starts_with(&within));
    contents.secrets.retain(|path, _| !path.starts_with(&within));
    contents.rules.retain(|path, _| !path.starts_with(&within));
}

/// The result of a procedure, or an error if there is none for these arguments.
fn call_of(app: &mut Installed, name: &str, call: &str, asked: &ReceivedRequest) -> Result<Value, String> {
    let (procedure, arguments) = call.strip_suffix(')').and_then(|call| call.split_once('(')).unwrap();
    let is_variant = matches!(procedure, "PROVISION_CONNECTOR" | "UPDATE_SETTINGS");
    // A VARCHAR can be cast to a VARIANT, but Snowflake does not do so by itself.
    if is_variant != (arguments == "PARSE_JSON(?)") || !matches!(arguments, "" | "?" | "PARSE_JSON(?)") {
        return Err(format!("SQL compilation error: Invalid argument types for function '{procedure}'"));
    }
    let bound = asked.body["bindings"]["1"]["value"].as_str().unwrap_or_default().to_owned();
    let refused = |code: &str| Ok(json!({ "response_code": code, "message": "refused" }));
    if procedure == "PROVISION_CONNECTOR" {
        let given: Value = serde_json::from_str(&bound).map_err(|error| error.to_string())?;
        app.configuration = Some(json!({
            "destination_database": format!("{name}_DATA"), "schedule": given["schedule"], "scheduler": given["scheduler"],
            "settings": given["settings"],
        }));
        return Ok(
            json!({ "response_code": "OK", "message": "configured", "configuration": app.configuration, "notes": [] }),
        );
    }
    if app.configuration.is_none() && procedure != "GET_CONNECTOR_STATUS" {
        return refused("CONNECTOR_CONFIGURATION_NOT_FOUND");
    }
    let mut job = || {
        app.jobs += 1;
        format!("JOBS.RUN_{}", app.jobs)
    };
    match procedure {
        "GET_CONNECTOR_STATUS" => {
            let counts = json!({ "inserted": ROWS, "updated": 0, "deleted": 0 });
            let run = json!({ "status": "complete", "counts": counts });
            let resource = |name: &String| json!({ "name": name, "enabled": true, "last_run": run });
            let resources: Vec<Value> = app.enabled.iter().map(resource).collect();
            Ok(json!({
                "response_code": "OK", "configuration": app.configuration, "resources": resources,
                "default_scheduler": "resource",
            }))
        }
        "TEST_CONNECTION" => Ok(json!({ "response_code": "OK", "job": job() })),
        "ENABLE_RESOURCE" => {
            app.enabled.insert(bound);
            Ok(json!({ "response_code": "OK", "message": "enabled" }))
        }
        "INGEST_DATA" if app.enabled.contains(&bound) => Ok(json!({ "response_code": "OK", "job": job(), "runs": [] })),
        "INGEST_DATA" => refused("RESOURCE_NOT_ENABLED"),
        _ => Err(format!("Unknown function {procedure}")),
    }
}
