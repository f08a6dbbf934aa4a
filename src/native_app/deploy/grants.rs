//! A consumer's grants to an application: privileges, references, and its application roles.

use super::account::{Account, qualified_name, text_literal};
use super::external_access::{BoundSecrets, ExternalAccess};
use super::plan::{Action, Plan, Privilege, Step};
use crate::Result;
use crate::native_app::Name;
use crate::native_app::bundle::context::WAREHOUSE;
use crate::snowflake::{Sql, Statement};

/// An application role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ApplicationRole {
    /// Configures the connector.
    Admin,
    /// Sees the page for viewers and the connector's status.
    Viewer,
    /// Reads the ingested data.
    DataReader,
}

impl ApplicationRole {
    /// The role's name in the application.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "APP_ADMIN",
            Self::Viewer => "APP_VIEWER",
            Self::DataReader => "APP_DATA_READER",
        }
    }
}

pub(super) struct Grants<'a> {
    /// The account privileges that the app requests.
    pub(super) privileges: &'a [&'static str],
    /// The name of the external access reference, if the app has one.
    pub(super) external_access: Option<String>,
    pub(super) application: &'a Name,
    pub(super) access: &'a ExternalAccess,
    /// The settings whose secrets exist.
    pub(super) bound: &'a BoundSecrets,
    pub(super) warehouse: Option<&'a Name>,
    pub(super) roles: &'a [(ApplicationRole, Name)],
}

/// The binding of a reference to an object.
struct Binding {
    reference: String,
    kind: &'static str,
    /// The object's qualified name, as SQL.
    object: String,
    /// The object's name, without database and schema.
    name: Name,
    privilege: &'static str,
}

impl Binding {
    /// Whether Snowflake's name, with or without quotes, is that of this object.
    fn targets(&self, name: &str) -> bool {
        name == self.name.as_str() || name == self.name.sql()
    }
}

impl Grants<'_> {
    /// Plans the missing grants and bindings. For an application that does not exist yet these are all bindings; Snowflake grants
    /// the privileges at installation.
    pub(super) async fn plan(&self, account: &mut Account, exists: bool) -> Result<Plan> {
        let mut plan = Plan::default();
        let bindings = self.bindings();
        if exists {
            self.grant_privileges(account, &mut plan).await?;
            self.bind_missing(account, bindings, &mut plan).await?;
        } else {
            plan.note(format!("Snowflake grants at installation: {}", self.privileges.join(", ")));
            plan.steps.extend(bindings.iter().map(|binding| self.bind_step(binding)));
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
            plan.note(format!("no --warehouse was given: bind {WAREHOUSE} on the app's page"));
        }
        Ok(plan)
    }

    async fn grant_privileges(&self, account: &mut Account, plan: &mut Plan) -> Result<()> {
        let application = self.application;
        for row in account.rows(format!("SHOW PRIVILEGES IN APPLICATION {application}")).await? {
            let name = row.get("privilege").to_ascii_uppercase();
            // The statement uses the known name, not the one from the row.
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

    /// Binds unbound references. A reference that is bound to another object is kept, with a note.
    async fn bind_missing(&self, account: &mut Account, bindings: Vec<Binding>, plan: &mut Plan) -> Result<()> {
        let rows = account.rows(format!("SHOW REFERENCES IN APPLICATION {}", self.application)).await?;
        for binding in bindings {
            let row = rows.iter().find(|row| row.get("name").eq_ignore_ascii_case(&binding.reference));
            match row.map(|row| row.get("object_name")) {
                // This version of the app does not have the reference.
                None => {}
                Some("") => plan.push(self.bind_step(&binding)),
                Some(name) if binding.targets(name) => {}
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

    fn bind_step(&self, binding: &Binding) -> Step {
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
            description: format!("bind {reference} to the {} {object}", noun.to_lowercase()),
            action: Action::Call(Statement::new(Sql::assert_safe(call))),
            privilege: needed,
        }
    }
}
