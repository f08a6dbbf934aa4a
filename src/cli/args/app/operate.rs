//! The arguments of operations on the app in an account.

use std::path::PathBuf;

use crate::native_app::Name;
use crate::native_app::deploy::InstallSource;
use crate::{Error, Result, SecretRef};

use super::package::AppArgs;

/// The arguments of every command that uses an account.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Operation {
    /// Print the statements and the privilege that each needs; reads the account, but changes nothing
    #[arg(long)]
    pub(in crate::cli) dry_run: bool,
    /// Take over objects of the same name that snowfeed did not create
    #[arg(long)]
    pub(in crate::cli) adopt: bool,
    #[command(flatten)]
    pub(in crate::cli) app: AppArgs,
}

/// The arguments of `app deploy`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Deploy {
    /// The folder of the build
    #[arg(long, value_name = "DIR", default_value = "sf_build")]
    pub(in crate::cli) out: PathBuf,
    /// Release this version to consumers, which upgrades installed apps
    #[arg(long)]
    pub(in crate::cli) release: bool,
    /// Fail instead of creating the image repository, its database or its schema
    #[arg(long)]
    pub(in crate::cli) no_create_repository: bool,
    /// A version to drop, no longer in use, because a package holds only two
    #[arg(long, value_name = "VERSION")]
    drop_version: Option<String>,
    /// A programmatic access token that pushes the image, for the connection's user [default: a token of the session]
    #[arg(long, value_name = "env:NAME|file:PATH")]
    pub(in crate::cli) registry_token: Option<String>,
    #[command(flatten)]
    pub(in crate::cli) operation: Operation,
}

impl Deploy {
    pub(in crate::cli) fn drop_version(&self) -> Result<Option<Name>> {
        self.drop_version.as_deref().map(str::parse).transpose()
    }
}

/// The arguments of `app install`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Install {
    /// The value of a secret setting, such as token=env:GITHUB_TOKEN; may be repeated
    #[arg(long, value_name = "SETTING=env:NAME|file:PATH")]
    secret: Vec<String>,
    /// A host that the app may reach besides those of {name} and of settings that are URLs; may be repeated
    #[arg(long, value_name = "HOST[:PORT]")]
    pub(in crate::cli) host: Vec<String>,
    /// The schema of the secrets and the network rule [default: {APPLICATION}_SETUP.PUBLIC]
    #[arg(long, value_name = "DATABASE.SCHEMA")]
    objects_in: Option<String>,
    /// A role that configures the connector; may be repeated
    #[arg(long, value_name = "ROLE")]
    pub(in crate::cli) admin: Vec<String>,
    /// A role that sees the status of the connector; may be repeated
    #[arg(long, value_name = "ROLE")]
    pub(in crate::cli) viewer: Vec<String>,
    /// A role that reads the data; may be repeated
    #[arg(long, value_name = "ROLE")]
    pub(in crate::cli) data_reader: Vec<String>,
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    pub(in crate::cli) operation: Operation,
}

impl Install {
    /// Returns each secret setting with the reference to its value.
    pub(in crate::cli) fn secrets(&self) -> Result<Vec<(&str, SecretRef)>> {
        let parse = |argument: &String| match argument.split_once('=') {
            Some((setting, reference)) => Ok((setting.len(), reference.parse()?)),
            // The argument may be the secret itself: the message must not repeat it.
            None => Err(Error::configuration("--secret names no setting")
                .with_help("write --secret SETTING=env:NAME or SETTING=file:PATH, such as token=env:GITHUB_TOKEN")),
        };
        self.secret.iter().map(|argument| parse(argument).map(|(end, secret)| (&argument[..end], secret))).collect()
    }

    pub(in crate::cli) fn objects_schema(&self) -> Result<Option<(Name, Name)>> {
        self.objects_in.as_deref().map(parse_schema).transpose()
    }

    pub(in crate::cli) fn origin(&self) -> InstallSource {
        self.source.origin()
    }
}

/// The arguments of `app upgrade`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Upgrade {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    pub(in crate::cli) operation: Operation,
}

impl Upgrade {
    pub(in crate::cli) fn origin(&self) -> InstallSource {
        self.source.origin()
    }
}

/// The origin of the app. By default, this program's version in a package of the same account.
#[derive(Debug, clap::Args)]
struct Source {
    /// The version that the package has released, instead of this program's version
    #[arg(long, conflicts_with = "listing")]
    released: bool,
    /// A listing, by its global name, instead of a package of this account
    #[arg(long, value_name = "NAME")]
    listing: Option<String>,
}

impl Source {
    fn origin(&self) -> InstallSource {
        match &self.listing {
            Some(listing) => InstallSource::Listing(listing.clone()),
            None if self.released => InstallSource::ReleaseDirective,
            None => InstallSource::Version,
        }
    }
}

/// The arguments of `app uninstall`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Uninstall {
    /// Do not ask for confirmation
    #[arg(long)]
    pub(in crate::cli) yes: bool,
    /// Also drop what the application owns: its compute pool, and its database with the data
    #[arg(long)]
    pub(in crate::cli) cascade: bool,
    /// Also drop the secrets, the network rule and the integration that `app install` created
    #[arg(long)]
    pub(in crate::cli) objects: bool,
    /// The schema of those objects [default: {APPLICATION}_SETUP.PUBLIC]
    #[arg(long, value_name = "DATABASE.SCHEMA")]
    objects_in: Option<String>,
    /// Also drop the application package with all its versions
    #[arg(long)]
    pub(in crate::cli) with_package: bool,
    #[command(flatten)]
    pub(in crate::cli) operation: Operation,
}

impl Uninstall {
    pub(in crate::cli) fn objects_schema(&self) -> Result<Option<(Name, Name)>> {
        self.objects_in.as_deref().map(parse_schema).transpose()
    }
}

/// Parses `DATABASE.SCHEMA`; a name with dots is quoted.
fn parse_schema(given: &str) -> Result<(Name, Name)> {
    let mut quoted = false;
    let dots: Vec<usize> = given
        .char_indices()
        .filter_map(|(at, c)| {
            quoted ^= c == '"';
            (c == '.' && !quoted).then_some(at)
        })
        .collect();
    match dots.as_slice() {
        [dot] => Ok((given[..*dot].parse()?, given[dot + 1..].parse()?)),
        _ => Err(Error::configuration(format!("{given:?} is not a schema of a database"))
            .with_help("write DATABASE.SCHEMA, such as CONNECTORS.GITHUB")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_argument_names_a_database_and_a_schema() {
        let (database, schema) = parse_schema("\"my.db\".s").unwrap();
        assert_eq!((database.as_str(), schema.as_str()), ("my.db", "S"));
        for wrong in ["", "a", "a.b.c", ".", "a."] {
            assert!(parse_schema(wrong).is_err(), "{wrong}");
        }
    }
}
