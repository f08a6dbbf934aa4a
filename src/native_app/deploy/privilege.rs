//! What a role must be allowed to do.

use std::fmt;

/// The least that a role needs for a step.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Privilege {
    /// A privilege on an object, or on the account.
    On {
        /// Such as `CREATE APPLICATION PACKAGE`.
        privilege: &'static str,
        /// Such as `ACCOUNT`, or `SCHEMA D.S`.
        object: String,
    },
    /// The object is the role's own.
    Ownership {
        /// Such as `APPLICATION G`.
        object: String,
    },
    /// It may pass this privilege of the account on to others.
    Grant {
        /// Such as `EXECUTE TASK`.
        privilege: String,
    },
}

impl Privilege {
    pub(super) fn on(privilege: &'static str, object: impl Into<String>) -> Self {
        Self::On { privilege, object: object.into() }
    }

    pub(super) fn account(privilege: &'static str) -> Self {
        Self::on(privilege, "ACCOUNT")
    }

    pub(super) fn ownership(object: impl Into<String>) -> Self {
        Self::Ownership { object: object.into() }
    }

    /// What an administrator can do for a role that lacks it.
    pub(super) fn remedy(&self, role: &str) -> String {
        match self {
            Self::On { privilege, object } => {
                format!(
                    "let an administrator run `GRANT {privilege} ON {object} TO ROLE {role}`, or use another role (--role)"
                )
            }
            Self::Ownership { object } => format!(
                "use the role that owns it (--role), or let an administrator run \
                 `GRANT OWNERSHIP ON {object} TO ROLE {role} COPY CURRENT GRANTS`"
            ),
            Self::Grant { privilege } => format!(
                "let an administrator run `GRANT {privilege} ON ACCOUNT TO ROLE {role} WITH GRANT OPTION`, or grant it to the \
                 application as it is printed by --dry-run"
            ),
        }
    }
}

impl fmt::Display for Privilege {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::On { privilege, object } => write!(f, "{privilege} on {object}"),
            Self::Ownership { object } => write!(f, "OWNERSHIP on {object}"),
            Self::Grant { privilege } => write!(f, "{privilege} on ACCOUNT, with the grant option"),
        }
    }
}
