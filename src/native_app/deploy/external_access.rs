//! The objects with which the app reaches its source: a network rule, secrets, an external access integration.

use std::collections::{BTreeMap, BTreeSet};

use secrecy::{ExposeSecret, SecretString};

use super::account::{Account, MARKER, ShowRow, qualified_name, text_literal};
use super::plan::{Action, Plan, Privilege, Step};
use crate::native_app::{Name, hosts};
use crate::snowflake::Statement;
use crate::{Error, ErrorKind, Result, SourceSpec};

/// The names of these objects for one application.
#[derive(Debug, Clone)]
pub(super) struct ExternalAccess {
    pub(super) database: Name,
    pub(super) schema: Name,
    hosts: Vec<String>,
    rule: Name,
    pub(super) integration: Name,
    /// The object of each secret setting.
    pub(super) secrets: BTreeMap<String, Name>,
}

/// The settings whose secrets exist or will be created.
pub(super) type BoundSecrets = BTreeSet<String>;

impl ExternalAccess {
    /// The objects of `application`, which may reach `hosts`. All but the integration are in `objects_schema`.
    pub(super) fn new(
        spec: &SourceSpec,
        hosts: Vec<String>,
        application: &Name,
        objects_schema: Option<&(Name, Name)>,
    ) -> Result<Self> {
        let (database, schema) = match objects_schema {
            Some(schema) => schema.clone(),
            None => (application.with_suffix("SETUP")?, "PUBLIC".parse()?),
        };
        let secrets = spec.settings.names().filter(|name| spec.settings.is_secret(name));
        let secret = |name: &str| Ok((name.to_owned(), application.with_suffix(&name.to_ascii_uppercase())?));
        Ok(Self {
            database,
            schema,
            hosts,
            rule: application.with_suffix("HOSTS")?,
            integration: application.with_suffix("ACCESS")?,
            secrets: secrets.map(secret).collect::<Result<_>>()?,
        })
    }

    fn schema_sql(&self) -> String {
        qualified_name(&[&self.database, &self.schema])
    }

    /// An object in the schema.
    pub(super) fn sql(&self, name: &Name) -> String {
        qualified_name(&[&self.database, &self.schema, name])
    }

    async fn find(&self, account: &mut Account, kind: &str, name: &Name) -> Result<Option<ShowRow>> {
        account.find(kind, name, &format!("IN SCHEMA {}", self.schema_sql())).await
    }

    /// Plans the missing objects and the given secrets; returns the settings whose secrets then exist.
    pub(super) async fn plan(
        &self,
        account: &mut Account,
        given: &BTreeMap<String, SecretString>,
        adopt: bool,
        plan: &mut Plan,
    ) -> Result<BoundSecrets> {
        let mut bound = BoundSecrets::new();
        if self.hosts.is_empty() && given.is_empty() {
            return Ok(bound);
        }
        self.make_schema(account, plan).await?;
        for (setting, name) in &self.secrets {
            let found = self.find(account, "SECRETS", name).await?;
            match (given.get(setting), found) {
                (Some(value), found) => {
                    if let Some(found) = &found {
                        found.check_marker(
                            "secret",
                            name,
                            adopt,
                            "bind it on the app's page instead of passing --secret",
                        )?;
                        self.check_type(name, found, &["GENERIC_STRING"])?;
                    }
                    plan.push(self.set_secret(name, value, found.is_some()));
                }
                (None, None) => continue,
                (None, Some(found)) if adopt || found.is_created_by_snowfeed() => {
                    self.check_type(name, &found, &READABLE)?;
                    plan.note(format!("the secret {} is kept", self.sql(name)));
                }
                (None, Some(_)) => {
                    let name = self.sql(name);
                    plan.note(format!(
                        "the secret {name} was not created by snowfeed: pass --adopt or bind it on the app's page to let the app read it"
                    ));
                    continue;
                }
            }
            bound.insert(setting.clone());
        }
        if !self.hosts.is_empty() {
            self.plan_network_rule(account, adopt, plan).await?;
            self.plan_integration(account, &bound, adopt, plan).await?;
        }
        Ok(bound)
    }

    /// Rejects a secret that the app could not read, or whose value could not be set.
    fn check_type(&self, name: &Name, found: &ShowRow, allowed: &[&str]) -> Result<()> {
        let kind = found.get("secret_type").to_ascii_uppercase();
        if kind.is_empty() || allowed.contains(&kind.as_str()) {
            return Ok(());
        }
        let message = format!("the secret {} has TYPE = {kind}, not {}", self.sql(name), allowed.join(" or "));
        Err(Error::new(ErrorKind::Conflict, message).with_help(
            "rename it (ALTER SECRET … RENAME) or drop it, then pass the value with --secret; or choose another schema: \
             --objects-in DATABASE.SCHEMA",
        ))
    }

    async fn make_schema(&self, account: &mut Account, plan: &mut Plan) -> Result<()> {
        plan.create_schema(account, &self.database, &self.schema).await
    }

    fn set_secret(&self, name: &Name, value: &SecretString, exists: bool) -> Step {
        let path = self.sql(name);
        let (what, statement, privilege) = if exists {
            let sql = |value: &str| format!("ALTER SECRET {path} SET SECRET_STRING = {}", text_literal(value));
            (format!("set the secret {path}"), confidential(sql, value), Privilege::ownership(format!("SECRET {path}")))
        } else {
            let sql = |value: &str| {
                let (value, comment) = (text_literal(value), text_literal(MARKER));
                format!(
                    "CREATE SECRET IF NOT EXISTS {path} TYPE = GENERIC_STRING SECRET_STRING = {value} COMMENT = {comment}"
                )
            };
            let privilege = Privilege::on("CREATE SECRET", format!("SCHEMA {}", self.schema_sql()));
            (format!("create the secret {path}"), confidential(sql, value), privilege)
        };
        Step { description: what, action: Action::Run(statement), privilege }
    }

    /// Plans the network rule, or adds hosts to it. Hosts that a consumer added are kept.
    async fn plan_network_rule(&self, account: &mut Account, adopt: bool, plan: &mut Plan) -> Result<()> {
        let path = self.sql(&self.rule);
        let list = |hosts: &[String]| hosts.iter().map(|host| text_literal(host)).collect::<Vec<_>>().join(", ");
        let Some(found) = self.find(account, "NETWORK RULES", &self.rule).await? else {
            plan.push(Step::run(
                format!("allow {} by the network rule {path}", self.hosts.join(", ")),
                format!(
                    "CREATE OR ALTER NETWORK RULE {path} TYPE = HOST_PORT VALUE_LIST = ({}) MODE = EGRESS COMMENT = {}",
                    list(&self.hosts),
                    text_literal(MARKER)
                ),
                Privilege::on("CREATE NETWORK RULE", format!("SCHEMA {}", self.schema_sql())),
            ));
            return Ok(());
        };
        found.check_marker("network rule", &self.rule, adopt, "choose another schema: --objects-in DATABASE.SCHEMA")?;
        let described = account.rows(format!("DESCRIBE NETWORK RULE {path}")).await?;
        let (kind, mode) = (column(&described, "type"), column(&described, "mode"));
        if !matches!(kind, "" | "HOST_PORT") || !matches!(mode, "" | "EGRESS") {
            let message =
                format!("the network rule {path} has TYPE = {kind} and MODE = {mode}, not HOST_PORT and EGRESS");
            return Err(Error::new(ErrorKind::Conflict, message)
                .with_help("drop it, or choose another schema: --objects-in DATABASE.SCHEMA"));
        }
        let present = hosts::parse_hosts(column(&described, "value_list")).ok_or_else(|| {
            Error::invalid_data(format!("the hosts of the network rule {path} cannot be parsed"))
                .with_context("value_list", column(&described, "value_list"))
                .with_help(format!(
                    "add them manually: ALTER NETWORK RULE {path} SET VALUE_LIST = (…), with {}",
                    list(&self.hosts)
                ))
        })?;
        let missing: Vec<String> = hosts::missing_hosts(&self.hosts, &present).into_iter().map(str::to_owned).collect();
        if !missing.is_empty() {
            plan.push(Step::run(
                format!("also allow {} by the network rule {path}", missing.join(", ")),
                format!("ALTER NETWORK RULE {path} SET VALUE_LIST = ({})", list(&[present, missing].concat())),
                Privilege::ownership(format!("NETWORK RULE {path}")),
            ));
        }
        Ok(())
    }

    /// Plans the integration, or adds to its allowed rules and secrets.
    async fn plan_integration(
        &self,
        account: &mut Account,
        bound: &BoundSecrets,
        adopt: bool,
        plan: &mut Plan,
    ) -> Result<()> {
        let name = &self.integration;
        let rule = vec![self.database.clone(), self.schema.clone(), self.rule.clone()];
        let secret = |setting: &String| {
            self.secrets.get(setting).map(|secret| vec![self.database.clone(), self.schema.clone(), secret.clone()])
        };
        let secrets: Vec<QualifiedName> = bound.iter().filter_map(secret).collect();
        let Some(found) = account.find("EXTERNAL ACCESS INTEGRATIONS", name, "").await? else {
            let list = if secrets.is_empty() { "none".to_owned() } else { names_sql(&secrets) };
            let sql = format!(
                "CREATE EXTERNAL ACCESS INTEGRATION {name} ALLOWED_NETWORK_RULES = {} ALLOWED_AUTHENTICATION_SECRETS = {list} \
                 ENABLED = TRUE COMMENT = {}",
                names_sql(&[rule]),
                text_literal(MARKER)
            );
            let what = format!("create the external access integration {name}");
            plan.push(Step::run(what, sql, Privilege::account("CREATE EXTERNAL ACCESS INTEGRATION")));
            return Ok(());
        };
        found.check_marker(
            "external access integration",
            name,
            adopt,
            "choose another name for the application (--application)",
        )?;
        let described = account.rows(format!("DESCRIBE EXTERNAL ACCESS INTEGRATION {name}")).await?;
        let property = |property: &str| {
            let row = described.iter().find(|row| row.get("property").eq_ignore_ascii_case(property));
            row.map_or("", |row| row.get("property_value"))
        };
        let mut set = Vec::new();
        for (allowed, wanted) in [("ALLOWED_NETWORK_RULES", vec![rule]), ("ALLOWED_AUTHENTICATION_SECRETS", secrets)] {
            let printed = property(allowed);
            if printed.trim_matches(['[', ']']).eq_ignore_ascii_case("all") {
                continue;
            }
            let present = parse_names(printed).ok_or_else(|| {
                Error::invalid_data(format!(
                    "the allowed rules and secrets of the external access integration {name} cannot be parsed"
                ))
                .with_context(allowed, printed)
                .with_help(format!(
                    "add them manually: ALTER EXTERNAL ACCESS INTEGRATION {name} SET {allowed} = (…), with {}",
                    names_sql(&wanted)
                ))
            })?;
            let missing: Vec<QualifiedName> = wanted.into_iter().filter(|path| !present.contains(path)).collect();
            if !missing.is_empty() {
                set.push(format!("{allowed} = {}", names_sql(&[present, missing].concat())));
            }
        }
        if !property("ENABLED").eq_ignore_ascii_case("true") {
            set.push("ENABLED = TRUE".to_owned());
        }
        if !set.is_empty() {
            plan.push(Step::run(
                format!("let the external access integration {name} use what the app needs"),
                format!("ALTER EXTERNAL ACCESS INTEGRATION {name} SET {}", set.join(" ")),
                Privilege::ownership(format!("INTEGRATION {name}")),
            ));
        }
        Ok(())
    }

    /// Plans the removal of these objects. The database stays.
    pub(super) async fn remove(&self, account: &mut Account, plan: &mut Plan) -> Result<()> {
        let found = account.find("EXTERNAL ACCESS INTEGRATIONS", &self.integration, "").await?;
        if found.is_some_and(|found| found.is_created_by_snowfeed()) {
            plan.push(drop("INTEGRATION", &self.integration.sql()));
        }
        for name in self.secrets.values() {
            if self.find(account, "SECRETS", name).await?.is_some_and(|found| found.is_created_by_snowfeed()) {
                plan.push(drop("SECRET", &self.sql(name)));
            }
        }
        if self.find(account, "NETWORK RULES", &self.rule).await?.is_some_and(|found| found.is_created_by_snowfeed()) {
            plan.push(drop("NETWORK RULE", &self.sql(&self.rule)));
        }
        Ok(())
    }
}

fn drop(kind: &str, name: &str) -> Step {
    let object = format!("{kind} {name}");
    Step::run(
        format!("drop the {} {name}", kind.to_lowercase()),
        format!("DROP {kind} IF EXISTS {name}"),
        Privilege::ownership(object),
    )
}

/// A statement with a secret's value, which is printed as `***`.
fn confidential(sql: impl Fn(&str) -> String, value: &SecretString) -> Statement {
    Statement::confidential(sql(value.expose_secret()).into(), sql("***"))
}

/// The types of secrets that the app can read.
const READABLE: [&str; 3] = ["GENERIC_STRING", "PASSWORD", "OAUTH2"];

/// The parts of a qualified name.
type QualifiedName = Vec<Name>;

fn column<'a>(described: &'a [ShowRow], name: &str) -> &'a str {
    described.first().map_or("", |row| row.get(name))
}

fn names_sql(paths: &[QualifiedName]) -> String {
    let paths = paths.iter().map(|path| qualified_name(&path.iter().collect::<Vec<_>>()));
    format!("({})", paths.collect::<Vec<_>>().join(", "))
}

/// Parses a list of objects as DESCRIBE prints it: `[D.S.A, D.S."b"]`; `None` if it is malformed.
fn parse_names(list: &str) -> Option<Vec<QualifiedName>> {
    let list = list.trim();
    let list = list.strip_prefix('[').and_then(|list| list.strip_suffix(']')).unwrap_or(list);
    if list.trim().is_empty() || list.eq_ignore_ascii_case("none") {
        return Some(Vec::new());
    }
    let part = |part: &str| match part.strip_prefix('"').and_then(|part| part.strip_suffix('"')) {
        Some(quoted) => Name::stored(quoted.replace("\"\"", "\"")).ok(),
        None => Name::stored(part).ok(),
    };
    let path = |path: &str| {
        let parts: Option<QualifiedName> = split_unquoted(path.trim(), '.').into_iter().map(part).collect();
        parts.filter(|parts| parts.len() == 3)
    };
    split_unquoted(list, ',').into_iter().map(path).collect()
}

/// Splits a text at separators outside double quotes.
fn split_unquoted(text: &str, mark: char) -> Vec<&str> {
    let mut quoted = false;
    text.split(|c: char| {
        quoted ^= c == '"';
        c == mark && !quoted
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integration_lists_are_parsed_as_printed() {
        let sql = |list: &str| parse_names(list).map(|paths| names_sql(&paths));
        assert_eq!(sql("[D.S.A, D.S.\"b.c\"]").unwrap(), "(D.S.A, D.S.\"b.c\")");
        assert_eq!(sql("[D.S.my rule]").unwrap(), "(D.S.\"my rule\")");
        assert_eq!(sql("none").unwrap(), "()");
        assert_eq!(sql("[A]"), None);
    }
}
