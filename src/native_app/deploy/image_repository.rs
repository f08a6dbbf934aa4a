//! The image repository of an account.

use super::account::{Account, Found, MARKER, absent, qualified_name, text_literal};
use super::plan::{Plan, Privilege, Push, Step};
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
        qualified_name(&[&self.database, &self.schema, &self.name])
    }

    pub(super) fn schema_sql(&self) -> String {
        qualified_name(&[&self.database, &self.schema])
    }

    pub(super) async fn find(&self, account: &mut Account) -> Result<Option<Found>> {
        account.find("IMAGE REPOSITORIES", &self.name, &format!("IN SCHEMA {}", self.schema_sql())).await
    }

    /// Makes it, and the database and the schema that it needs, as far as they are missing.
    pub(super) async fn make(&self, account: &mut Account, plan: &mut Plan) -> Result<()> {
        plan.create_schema(account, &self.database, &self.schema).await?;
        let path = self.sql();
        plan.push(Step::run(
            format!("create the image repository {path}"),
            format!("CREATE IMAGE REPOSITORY IF NOT EXISTS {path} COMMENT = {}", text_literal(MARKER)),
            Privilege::on("CREATE IMAGE REPOSITORY", format!("SCHEMA {}", self.schema_sql())),
        ));
        Ok(())
    }

    /// That it is missing, with the statements that make it and what it needs.
    pub(super) async fn absent(&self, account: &mut Account) -> Result<Error> {
        let mut plan = Plan::default();
        self.make(account, &mut plan).await?;
        let statements = plan.steps.iter().map(Step::statement).collect::<Result<Vec<_>>>()?;
        let missing = match plan.steps.as_slice() {
            [_] => String::new(),
            steps => {
                let what = steps.iter().map(|step| step.what().strip_prefix("create ").unwrap_or_else(|| step.what()));
                format!("missing are {}: ", what.collect::<Vec<_>>().join(", "))
            }
        };
        let path = self.sql();
        Ok(absent(
            format!("the image repository {path}"),
            format!(
                "{missing}run `{}` (`app deploy` without --no-create-repository does so), let an administrator run `GRANT READ, \
                 WRITE ON IMAGE REPOSITORY {path} TO ROLE …` where it exists, or name another one: --image-repository",
                statements.join("; ")
            ),
        ))
    }
}

/// Pushes an image; whether that changed anything.
pub(super) async fn push(account: &mut Account, push: &Push) -> Result<bool> {
    let repository = Repository::of(&push.to)?;
    let Some(found) = repository.find(account).await? else { return Err(repository.absent(account).await?) };
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
