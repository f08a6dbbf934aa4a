//! What a consumer makes so that the app may reach its source: a network rule, secrets, an external access integration.

use std::collections::{BTreeMap, BTreeSet};

use secrecy::{ExposeSecret, SecretString};

use super::account::{Account, Found, MARKER};
use super::privilege::Privilege;
use super::sql;
use super::step::{Action, Plan, Step};
use crate::backends::snowflake::client::Statement;
use crate::native_app::Name;
use crate::{Result, SourceSpec};

/// The objects of one application, by their names.
#[derive(Debug, Clone)]
pub(super) struct Access {
    pub(super) database: Name,
    pub(super) schema: Name,
    /// The hosts that the source talks to.
    hosts: Vec<String>,
    rule: Name,
    pub(super) integration: Name,
    /// Of each secret setting, the object.
    pub(super) secrets: BTreeMap<String, Name>,
}

/// Which secrets there are, or will be.
pub(super) type Bound = BTreeSet<String>;

impl Access {
    /// The objects of `application`, which lie in a schema, but for the integration, which is the account's.
    pub(super) fn of(spec: &SourceSpec, application: &Name, place: Option<&(Name, Name)>) -> Result<Self> {
        let (database, schema) = match place {
            Some(place) => place.clone(),
            None => (application.with_suffix("SETUP")?, "PUBLIC".parse()?),
        };
        let secrets = spec.settings.names().filter(|name| spec.settings.is_secret(name));
        let secret = |name: &str| Ok((name.to_owned(), application.with_suffix(&name.to_ascii_uppercase())?));
        Ok(Self {
            database,
            schema,
            hosts: spec.hosts.clone(),
            rule: application.with_suffix("HOSTS")?,
            integration: application.with_suffix("ACCESS")?,
            secrets: secrets.map(secret).collect::<Result<_>>()?,
        })
    }

    fn schema_sql(&self) -> String {
        sql::path(&[&self.database, &self.schema])
    }

    /// An object in the schema.
    pub(super) fn sql(&self, name: &Name) -> String {
        sql::path(&[&self.database, &self.schema, name])
    }

    async fn find(&self, account: &mut Account, kind: &str, name: &Name) -> Result<Option<Found>> {
        account.find(kind, name, &format!("IN SCHEMA {}", self.schema_sql())).await
    }

    /// Makes what is missing, sets the secrets that are given, and tells which secrets there are then.
    pub(super) async fn plan(
        &self,
        account: &mut Account,
        given: &BTreeMap<String, SecretString>,
        adopt: bool,
        plan: &mut Plan,
    ) -> Result<Bound> {
        let mut bound = Bound::new();
        if self.hosts.is_empty() && given.is_empty() {
            return Ok(bound);
        }
        self.make_schema(account, plan).await?;
        for (setting, name) in &self.secrets {
            let found = self.find(account, "SECRETS", name).await?;
            match (given.get(setting), found) {
                (Some(value), found) => {
                    if let Some(found) = &found {
                        found.claim("secret", name, adopt, "bind it on the app's page instead of giving --secret")?;
                    }
                    plan.push(self.set_secret(name, value, found.is_some()));
                }
                (None, None) => continue,
                (None, Some(found)) if adopt || found.is_ours() => {
                    plan.note(format!("the secret {} is kept", self.sql(name)));
                }
                (None, Some(_)) => {
                    let name = self.sql(name);
                    plan.note(format!(
                        "the secret {name} was made by somebody else: --adopt lets the app read it, or the app's page"
                    ));
                    continue;
                }
            }
            bound.insert(setting.clone());
        }
        if !self.hosts.is_empty() {
            self.set_rule(account, adopt, plan).await?;
            self.set_integration(account, &bound, adopt, plan).await?;
        }
        Ok(bound)
    }

    async fn make_schema(&self, account: &mut Account, plan: &mut Plan) -> Result<()> {
        let Self { database, schema, .. } = self;
        if account.find("DATABASES", database, "").await?.is_none() {
            plan.push(Step::run(
                format!("create the database {database}"),
                format!("CREATE DATABASE IF NOT EXISTS {database} COMMENT = {}", sql::text(MARKER)),
                Privilege::account("CREATE DATABASE"),
            ));
        }
        let place = format!("IN DATABASE {database}");
        // A new database has it.
        if account.find("SCHEMAS", schema, &place).await?.is_none() && schema.as_str() != "PUBLIC" {
            let path = self.schema_sql();
            let privilege = Privilege::on("CREATE SCHEMA", format!("DATABASE {database}"));
            plan.push(Step::run(
                format!("create the schema {path}"),
                format!("CREATE SCHEMA IF NOT EXISTS {path}"),
                privilege,
            ));
        }
        Ok(())
    }

    fn set_secret(&self, name: &Name, value: &SecretString, exists: bool) -> Step {
        let path = self.sql(name);
        let (what, statement, privilege) = if exists {
            let sql = |value: &str| format!("ALTER SECRET {path} SET SECRET_STRING = {}", sql::text(value));
            (format!("set the secret {path}"), confidential(sql, value), Privilege::ownership(format!("SECRET {path}")))
        } else {
            let sql = |value: &str| {
                let (value, comment) = (sql::text(value), sql::text(MARKER));
                format!(
                    "CREATE SECRET IF NOT EXISTS {path} TYPE = GENERIC_STRING SECRET_STRING = {value} COMMENT = {comment}"
                )
            };
            let privilege = Privilege::on("CREATE SECRET", format!("SCHEMA {}", self.schema_sql()));
            (format!("create the secret {path}"), confidential(sql, value), privilege)
        };
        Step { what, action: Action::Run(statement), privilege }
    }

    async fn set_rule(&self, account: &mut Account, adopt: bool, plan: &mut Plan) -> Result<()> {
        let path = self.sql(&self.rule);
        let found = self.find(account, "NETWORK RULES", &self.rule).await?;
        let privilege = match &found {
            Some(found) => {
                found.claim("network rule", &self.rule, adopt, "give another place: --objects-in DATABASE.SCHEMA")?;
                let described = account.rows(format!("DESCRIBE NETWORK RULE {path}")).await?;
                if described
                    .iter()
                    .any(|row| list(row.get("value_list")) == self.hosts.iter().map(String::as_str).collect())
                {
                    return Ok(());
                }
                Privilege::ownership(format!("NETWORK RULE {path}"))
            }
            None => Privilege::on("CREATE NETWORK RULE", format!("SCHEMA {}", self.schema_sql())),
        };
        let hosts = self.hosts.iter().map(|host| sql::text(host)).collect::<Vec<_>>().join(", ");
        plan.push(Step::run(
            format!("allow {} by the network rule {path}", self.hosts.join(", ")),
            format!(
                "CREATE OR ALTER NETWORK RULE {path} TYPE = HOST_PORT VALUE_LIST = ({hosts}) MODE = EGRESS COMMENT = {}",
                sql::text(MARKER)
            ),
            privilege,
        ));
        Ok(())
    }

    async fn set_integration(&self, account: &mut Account, bound: &Bound, adopt: bool, plan: &mut Plan) -> Result<()> {
        let name = &self.integration;
        let rule = self.sql(&self.rule);
        let secrets: Vec<String> =
            bound.iter().filter_map(|setting| Some(self.sql(self.secrets.get(setting)?))).collect();
        let list = if secrets.is_empty() { "none".to_owned() } else { format!("({})", secrets.join(", ")) };
        let allowed =
            format!("ALLOWED_NETWORK_RULES = ({rule}) ALLOWED_AUTHENTICATION_SECRETS = {list} ENABLED = TRUE");
        let Some(found) = account.find("EXTERNAL ACCESS INTEGRATIONS", name, "").await? else {
            let what = format!("create the external access integration {name}");
            let sql = format!("CREATE EXTERNAL ACCESS INTEGRATION {name} {allowed} COMMENT = {}", sql::text(MARKER));
            plan.push(Step::run(what, sql, Privilege::account("CREATE EXTERNAL ACCESS INTEGRATION")));
            return Ok(());
        };
        found.claim("external access integration", name, adopt, "give the application another name (--application)")?;
        let described = account.rows(format!("DESCRIBE EXTERNAL ACCESS INTEGRATION {name}")).await?;
        let property = |property: &str| {
            let row = described.iter().find(|row| row.get("property") == property);
            row.map_or("", |row| row.get("property_value")).replace('"', "")
        };
        let holds = |given: &str, path: &String| given.contains(&path.replace('"', ""));
        let (rules, allows) = (property("ALLOWED_NETWORK_RULES"), property("ALLOWED_AUTHENTICATION_SECRETS"));
        let is_enabled = property("ENABLED").eq_ignore_ascii_case("true");
        if is_enabled && holds(&rules, &rule) && secrets.iter().all(|secret| holds(&allows, secret)) {
            return Ok(());
        }
        plan.push(Step::run(
            format!("let the external access integration {name} use what the app needs"),
            format!("ALTER EXTERNAL ACCESS INTEGRATION {name} SET {allowed}"),
            Privilege::ownership(format!("INTEGRATION {name}")),
        ));
        Ok(())
    }

    /// Drops what was made for an application. The database stays.
    pub(super) async fn remove(&self, account: &mut Account, plan: &mut Plan) -> Result<()> {
        let found = account.find("EXTERNAL ACCESS INTEGRATIONS", &self.integration, "").await?;
        if found.is_some_and(|found| found.is_ours()) {
            plan.push(drop("INTEGRATION", &self.integration.sql()));
        }
        for name in self.secrets.values() {
            if self.find(account, "SECRETS", name).await?.is_some_and(|found| found.is_ours()) {
                plan.push(drop("SECRET", &self.sql(name)));
            }
        }
        if self.find(account, "NETWORK RULES", &self.rule).await?.is_some_and(|found| found.is_ours()) {
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

/// A statement by its text for a secret's value; `***` is shown in its place.
fn confidential(sql: impl Fn(&str) -> String, value: &SecretString) -> Statement {
    Statement::confidential(sql(value.expose_secret()).into(), sql("***"))
}

/// The members of a list as Snowflake prints it: `a,b`, `[a, b]`, `['a','b']`.
fn list(text: &str) -> BTreeSet<&str> {
    let members = text.trim_matches(['[', ']', '(', ')']).split(',');
    members.map(|member| member.trim_matches([' ', '\'', '"'])).filter(|member| !member.is_empty()).collect()
}
