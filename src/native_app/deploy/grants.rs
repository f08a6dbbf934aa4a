//! What a consumer grants an application: privileges, references, and its application roles.

use super::access::{Access, Bound};
use super::account::{Account, qualified_name, text_literal};
use super::plan::{Action, Plan, Privilege, Step};
use crate::Result;
use crate::native_app::Name;
use crate::native_app::bundle::context::WAREHOUSE;
use crate::snowflake::{Sql, Statement};

/// An application role, and what it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ApplicationRole {
    /// Configures the connector.
    Admin,
    /// Sees the page and how the connector stands.
    Viewer,
    /// Reads what was ingested.
    DataReader,
}

impl ApplicationRole {
    /// The name in the application.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "APP_ADMIN",
            Self::Viewer => "APP_VIEWER",
            Self::DataReader => "APP_DATA_READER",
        }
    }
}

pub(super) struct Consent<'a> {
    /// The account's privileges that the app asks for.
    pub(super) privileges: &'a [&'static str],
    /// The reference of the external access integration, if the app has it.
    pub(super) external_access: Option<String>,
    pub(super) application: &'a Name,
    pub(super) access: &'a Access,
    /// The secrets that there are.
    pub(super) bound: &'a Bound,
    pub(super) warehouse: Option<&'a Name>,
    pub(super) roles: &'a [(ApplicationRole, Name)],
}

/// What one reference is bound to.
struct Binding {
    reference: String,
    kind: &'static str,
    /// The object, as SQL writes it.
    object: String,
    /// Its own name, without database and schema.
    name: Name,
    privilege: &'static str,
}

impl Binding {
    /// Whether an object that Snowflake names is this one; it may write the name with or without quotes.
    fn is_to(&self, name: &str) -> bool {
        name == self.name.as_str() || name == self.name.sql()
    }
}

impl Consent<'_> {
    /// What is missing. Of an application that does not exist yet: all that the source asks for, but for the privileges, which
    /// Snowflake grants by itself at installation.
    pub(super) async fn plan(&self, account: &mut Account, exists: bool) -> Result<Plan> {
        let mut plan = Plan::default();
        let bindings = self.bindings();
        if exists {
            self.grant_privileges(account, &mut plan).await?;
            self.bind_missing(account, bindings, &mut plan).await?;
        } else {
            plan.note(format!("Snowflake grants at installation: {}", self.privileges.join(", ")));
            plan.steps.extend(bindings.iter().map(|binding| self.bind(binding)));
        }
        for (role, to) in self.roles {
            let name = qualified_name(&[self.application, &Name::stored(role.as_str())?]);
            let has = exists && {
                let grants = account.rows_if_any(format!("SHOW GRANTS OF APPLICATION ROLE {name}")).await?;
                grants.iter().any(|row| row.get("granted_to") == "ROLE" && row.get("grantee_name") == to.as_str())
            };
            if !has {
                plan.push(Step::run(
                    format!("grant the application role {name} to {to}"),
                    format!("GRANT APPLICATION ROLE {name} TO ROLE {to}"),
                    Privilege::ownership(format!("APPLICATION {}", self.application)),
                ));
            }
        }
        if self.warehouse.is_none() {
            plan.note(format!("no warehouse is given (--warehouse): bind {WAREHOUSE} on the app's page"));
        }
        Ok(plan)
    }

    async fn grant_privileges(&self, account: &mut Account, plan: &mut Plan) -> Result<()> {
        let application = self.application;
        for row in account.rows(format!("SHOW PRIVILEGES IN APPLICATION {application}")).await? {
            let name = row.get("privilege").to_ascii_uppercase();
            // What is written into the statement is one of ours.
            let Some(name) = self.privileges.iter().find(|known| **known == name) else { continue };
            if !row.is("is_granted") {
                plan.push(Step::run(
                    format!("grant {name} to the application"),
                    format!("GRANT {name} ON ACCOUNT TO APPLICATION {application}"),
                    Privilege::Grant { privilege: (*name).to_owned() },
                ));
            }
        }
        Ok(())
    }

    /// Binds what is not bound. What is bound to another object stays so, and is told.
    async fn bind_missing(&self, account: &mut Account, bindings: Vec<Binding>, plan: &mut Plan) -> Result<()> {
        let rows = account.rows(format!("SHOW REFERENCES IN APPLICATION {}", self.application)).await?;
        for binding in bindings {
            let row = rows.iter().find(|row| row.get("name").eq_ignore_ascii_case(&binding.reference));
            match row.map(|row| row.get("object_name")) {
                // This version of the app does not ask for it.
                None => {}
                Some("") => plan.push(self.bind(&binding)),
                Some(name) if binding.is_to(name) => {}
                Some(name) => plan.note(format!("{} stays bound to {name}", binding.reference)),
            }
        }
        Ok(())
    }

    fn bindings(&self) -> Vec<Binding> {
        let access = self.access;
        let secrets = self.bound.iter().filter_map(|setting| {
            let name = access.secrets.get(setting)?;
            let (object, name) = (access.sql(name), name.clone());
            Some(Binding { reference: setting.clone(), kind: "SECRET", object, name, privilege: "READ" })
        });
        let integration = self.external_access.clone().map(|reference| Binding {
            reference,
            kind: "EXTERNAL_ACCESS_INTEGRATION",
            object: access.integration.sql(),
            name: access.integration.clone(),
            privilege: "USAGE",
        });
        let warehouse = self.warehouse.map(|name| Binding {
            reference: WAREHOUSE.to_owned(),
            kind: "WAREHOUSE",
            object: name.sql(),
            name: name.clone(),
            privilege: "USAGE",
        });
        secrets.chain(integration).chain(warehouse).collect()
    }

    fn bind(&self, binding: &Binding) -> Step {
        let Binding { reference, kind, object, privilege, .. } = binding;
        let call = format!(
            "CALL {}.PUBLIC.REGISTER_REFERENCE({}, 'ADD', SYSTEM$REFERENCE('{kind}', {}, 'PERSISTENT', '{privilege}'))",
            self.application,
            text_literal(reference),
            text_literal(object)
        );
        let noun = kind.replace('_', " ");
        let needed = match *kind {
            "EXTERNAL_ACCESS_INTEGRATION" => Privilege::on(privilege, format!("INTEGRATION {object}")),
            _ => Privilege::on(privilege, format!("{kind} {object}")),
        };
        Step {
            what: format!("bind {reference} to the {} {object}", noun.to_lowercase()),
            action: Action::Call(Statement::new(Sql::assert_safe(call))),
            privilege: needed,
        }
    }
}
