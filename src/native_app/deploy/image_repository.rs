//! The image repository of an account.

use super::account::{Account, MARKER, ShowRow, not_found, qualified_name, text_literal};
use super::plan::{ImagePush, Plan, Privilege, Step};
use crate::native_app::image::{self, Credentials};
use crate::native_app::{Name, app};
use crate::{Error, Result};

/// The names of a repository in SQL. Image paths are lower case and stand for unquoted names.
pub(super) struct ImageRepository {
    pub(super) database: Name,
    pub(super) schema: Name,
    pub(super) name: Name,
}

impl ImageRepository {
    pub(super) fn from_reference(image: &app::ImageReference) -> Result<Self> {
        Ok(Self { database: image.database.parse()?, schema: image.schema.parse()?, name: image.repository.parse()? })
    }

    pub(super) fn sql(&self) -> String {
        qualified_name(&[&self.database, &self.schema, &self.name])
    }

    pub(super) fn schema_sql(&self) -> String {
        qualified_name(&[&self.database, &self.schema])
    }

    pub(super) async fn find(&self, account: &mut Account) -> Result<Option<ShowRow>> {
        account.find("IMAGE REPOSITORIES", &self.name, &format!("IN SCHEMA {}", self.schema_sql())).await
    }

    /// Plans the creation of the repository, and of its database and schema if they are missing.
    pub(super) async fn create(&self, account: &mut Account, plan: &mut Plan) -> Result<()> {
        plan.create_schema(account, &self.database, &self.schema).await?;
        let path = self.sql();
        plan.push(Step::run(
            format!("create the image repository {path}"),
            format!("CREATE IMAGE REPOSITORY IF NOT EXISTS {path} COMMENT = {}", text_literal(MARKER)),
            Privilege::on("CREATE IMAGE REPOSITORY", format!("SCHEMA {}", self.schema_sql())),
        ));
        Ok(())
    }

    /// The error for a missing repository; its help lists the statements that create it.
    pub(super) async fn missing_error(&self, account: &mut Account) -> Result<Error> {
        let mut plan = Plan::default();
        self.create(account, &mut plan).await?;
        let statements = plan.steps.iter().map(Step::statement).collect::<Result<Vec<_>>>()?;
        let missing = match plan.steps.as_slice() {
            [_] => String::new(),
            steps => {
                let what = steps
                    .iter()
                    .map(|step| step.description().strip_prefix("create ").unwrap_or_else(|| step.description()));
                format!("{} are missing: ", what.collect::<Vec<_>>().join(", "))
            }
        };
        let path = self.sql();
        Ok(not_found(
            format!("the image repository {path}"),
            format!(
                "{missing}run `{}` (`app deploy` without --no-create-repository does it); if it exists, let an administrator run `GRANT \
                 READ, WRITE ON IMAGE REPOSITORY {path} TO ROLE …`; or choose another one with --image-repository",
                statements.join("; ")
            ),
        ))
    }
}

/// Pushes an image; returns whether that changed the tag.
pub(super) async fn push(account: &mut Account, push: &ImagePush) -> Result<bool> {
    let repository = ImageRepository::from_reference(&push.destination)?;
    let Some(found) = repository.find(account).await? else { return Err(repository.missing_error(account).await?) };
    let url = found.get("repository_url");
    let credentials = match &push.credentials {
        Some(credentials) => credentials.clone(),
        None => {
            let issued = account.issue_token().await?;
            Credentials::session(&issued.token, issued.validity)
        }
    };
    let address = format!("{}/{}", url.trim_end_matches('/'), push.destination.name);
    let pushed = image::Push::new(&push.image, &address, &push.destination.tag)?.credentials(credentials).run().await;
    pushed.map(|pushed| pushed.changed)
}
