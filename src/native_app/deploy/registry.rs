//! The account's image repository.

use super::access::make_schema;
use super::account::{Account, Found, MARKER};
use super::explain::absent;
use super::privilege::Privilege;
use super::sql;
use super::step::{Plan, Push, Step};
use crate::native_app::image::{self, Credentials};
use crate::native_app::{Name, app};
use crate::{Error, Result};

/// The names of a repository, as SQL has them. Image paths are lower case, and mean names without quotes.
pub(super) struct Repository {
    pub(super) database: Name,
    pub(super) schema: Name,
    pub(super) name: Name,
}

impl Repository {
    pub(super) fn of(image: &app::Image) -> Result<Self> {
        Ok(Self { database: image.database.parse()?, schema: image.schema.parse()?, name: image.repository.parse()? })
    }

    pub(super) fn sql(&self) -> String {
        sql::path(&[&self.database, &self.schema, &self.name])
    }

    pub(super) fn schema_sql(&self) -> String {
        sql::path(&[&self.database, &self.schema])
    }

    pub(super) async fn find(&self, account: &mut Account) -> Result<Option<Found>> {
        account.find("IMAGE REPOSITORIES", &self.name, &format!("IN SCHEMA {}", self.schema_sql())).await
    }

    /// Makes it, and the database and the schema that it needs, as far as they are missing.
    pub(super) async fn make(&self, account: &mut Account, plan: &mut Plan) -> Result<()> {
        make_schema(account, &self.database, &self.schema, plan).await?;
        let path = self.sql();
        plan.push(Step::run(
            format!("create the image repository {path}"),
            format!("CREATE IMAGE REPOSITORY IF NOT EXISTS {path} COMMENT = {}", sql::text(MARKER)),
            Privilege::on("CREATE IMAGE REPOSITORY", format!("SCHEMA {}", self.schema_sql())),
        ));
        Ok(())
    }

    /// That it is missing.
    pub(super) fn absent(&self) -> Error {
        absent(
            format!("the image repository {}", self.sql()),
            format!(
                "run `CREATE IMAGE REPOSITORY {}`, let an administrator run `GRANT READ, WRITE ON IMAGE \
                 REPOSITORY {} TO ROLE …`, or name another one: --image-repository",
                self.sql(),
                self.sql()
            ),
        )
    }
}

/// Pushes an image; whether that changed anything.
pub(super) async fn push(account: &mut Account, push: &Push) -> Result<bool> {
    let repository = Repository::of(&push.to)?;
    let found = repository.find(account).await?.ok_or_else(|| repository.absent())?;
    let url = found.get("repository_url");
    let credentials = match &push.credentials {
        Some(credentials) => credentials.clone(),
        None => {
            let issued = account.issue_token().await?;
            Credentials::session(&issued.token, issued.validity)
        }
    };
    let address = format!("{}/{}", url.trim_end_matches('/'), push.to.name);
    let pushed = image::Push::new(&push.image, &address, &push.to.tag)?.credentials(credentials).run().await;
    pushed.map(|pushed| pushed.changed)
}
