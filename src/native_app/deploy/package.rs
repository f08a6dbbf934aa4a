//! Deploys a bundle to an application package.

use super::account::{Account, MARKER, ShowRow, text_literal};
use super::image_repository::ImageRepository;
use super::plan::{Action, ImagePush, Plan, Privilege, Step};
use super::runner::{Report, Runner};
use super::stage::{self, Stage};
use super::version::{self, CHANNEL, VersionLimits, Versions, contains_name, released};
use crate::native_app::image::{Credentials, Image};
use crate::native_app::{App, Bundle, Name, Names};
use crate::snowflake::{Sql, Statement};
use crate::{Error, Result};

/// Deploys a bundle and its image to an application package: creates the package and its stage if they are missing, uploads changed
/// files, removes stale ones, pushes the image, has Snowflake validate the setup script, and adds a version or a patch if anything
/// changed.
///
/// It is idempotent and can be stopped at any time; the next call continues. It removes only stale files, and the version given to
/// [`drop_version`](Self::drop_version).
#[derive(Debug)]
pub struct Deploy<'a> {
    names: Names,
    /// The source's version.
    version: String,
    bundle: &'a Bundle,
    /// Whether the app runs containers, and so needs an image.
    container: bool,
    image: Option<Image>,
    credentials: Option<Credentials>,
    adopt: bool,
    create_repository: bool,
    drop_version: Option<Name>,
    release: bool,
}

impl<'a> Deploy<'a> {
    /// Deploys `bundle`, the bundle of `app`.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration): a name is invalid, or the bundle breaks one of Snowflake's rules.
    pub fn new(app: &App, bundle: &'a Bundle) -> Result<Self> {
        let findings = bundle.findings();
        if let Some(first) = findings.first() {
            return Err(Error::configuration(format!("the bundle breaks {} of Snowflake's rules", findings.len()))
                .with_context("line", first.line)
                .with_context("first", &first.message)
                .with_help("list all findings with `app validate`, or rewrite the bundle with `app build`"));
        }
        Ok(Self {
            names: app.names()?,
            version: app.spec.version.clone(),
            bundle,
            container: app.container,
            image: None,
            credentials: None,
            adopt: false,
            create_repository: true,
            drop_version: None,
            release: false,
        })
    }

    /// The image to push. Without it, the repository must hold the image before the app is installed.
    #[must_use]
    pub fn image(mut self, image: Option<Image>) -> Self {
        self.image = image;
        self
    }

    /// The credentials for pushing the image; a token of the session by default. Unverified: see docs/unverified.md#registry.
    #[must_use]
    pub fn credentials(mut self, credentials: Option<Credentials>) -> Self {
        self.credentials = credentials;
        self
    }

    /// Whether a package that snowfeed did not create may be changed.
    #[must_use]
    pub fn adopt(mut self, adopt: bool) -> Self {
        self.adopt = adopt;
        self
    }

    /// Whether to create a missing image repository, with its database and schema; true by default.
    #[must_use]
    pub fn create_repository(mut self, create: bool) -> Self {
        self.create_repository = create;
        self
    }

    /// A version to drop first, by its name in the package, because a package holds at most two. Snowflake removes it from the release
    /// channel after upgrading its installations; [`Runner::wait`] limits the wait.
    #[must_use]
    pub fn drop_version(mut self, version: Option<Name>) -> Self {
        self.drop_version = version;
        self
    }

    /// Whether to release this version: Snowflake upgrades existing installations to it, and new ones get it.
    #[must_use]
    pub fn release(mut self, release: bool) -> Self {
        self.release = release;
        self
    }

    /// Reads the account and executes the missing steps.
    ///
    /// # Cancellation
    /// Dropping the future cancels the running statement. The next call continues from there.
    ///
    /// # Errors
    /// [`Conflict`](crate::ErrorKind::Conflict): snowfeed did not create the package, the tag belongs to another image, the
    /// package cannot hold another version or patch, or a patch would change the privileges;
    /// [`NotFound`](crate::ErrorKind::NotFound): the image repository is missing and must not be created;
    /// [`Configuration`](crate::ErrorKind::Configuration): the role lacks a privilege, which the help names, or Snowflake rejects the
    /// setup script; others as Snowflake reports them.
    pub async fn run(&self, account: &mut Account, runner: &Runner<'_>) -> Result<Report> {
        let plan = self.plan(account).await?;
        let mut report = Report::default();
        runner.run(account, plan, &mut report).await?;
        Ok(report)
    }

    async fn plan(&self, account: &mut Account) -> Result<Plan> {
        let mut plan = Plan::default();
        let current = PackageState::read(self, account).await?;
        let files = stage::files(self.bundle);
        let label = version::label(&self.version, &files, self.image.as_ref());
        self.check(&label, &current, &mut plan)?;
        if current.package.is_none() {
            self.create_package(&mut plan);
        }
        let stage = Stage::new(&self.names.package)?;
        if !current.has_stage {
            stage.create(&mut plan);
        }
        stage.upload(&files, &current.listed, &mut plan)?;
        if self.container {
            self.push_image(account, &mut plan).await?;
        }
        self.drop_old_version(&current, &mut plan);
        self.add_version_steps(&label, &stage, &current, &mut plan);
        Ok(plan)
    }

    /// Rejects, before any change, what Snowflake would reject at the end.
    fn check(&self, label: &str, current: &PackageState, plan: &mut Plan) -> Result<()> {
        let limits = VersionLimits {
            package: &self.names.package,
            version: &self.names.version,
            versions: &current.versions,
            has_channels: current.has_channels,
            channel: &current.channel,
            assigned: &current.assigned,
            released: current.released.as_ref().map(|(version, _)| version.as_str()),
            dropped: self.drop_version.as_ref(),
            releases: self.release,
        };
        limits.check()?;
        plan.notes.extend(current.versions.check_patch(&self.names.version, label)?);
        Ok(())
    }

    /// Plans the removal of the version given to [`drop_version`](Self::drop_version).
    fn drop_old_version(&self, current: &PackageState, plan: &mut Plan) {
        let Some(version) = &self.drop_version else { return };
        let package = &self.names.package;
        if current.versions.newest(version).is_none() {
            plan.note(format!("{package} has no version {version}"));
            return;
        }
        if !current.has_channels {
            plan.push(self.alter(format!("drop the version {version}"), &format!("DROP VERSION {version}")));
            return;
        }
        if current.channel.iter().any(|held| held == version.as_str()) {
            // An earlier call may already have started the removal.
            let how =
                format!("ALTER APPLICATION PACKAGE {package} MODIFY RELEASE CHANNEL {CHANNEL} DROP VERSION {version}");
            plan.push(Step {
                description: format!("drop {version} from the release channel {CHANNEL}"),
                action: Action::RunOnce { statement: Statement::new(Sql::assert_safe(how)), already_done: "512010" },
                privilege: Privilege::ownership(format!("APPLICATION PACKAGE {package}")),
            });
            plan.push(Step {
                description: format!("wait until no installation has {version}"),
                action: Action::AwaitRemoval { package: package.clone(), version: version.clone() },
                privilege: Privilege::ownership(format!("APPLICATION PACKAGE {package}")),
            });
        }
        plan.push(self.alter(format!("deregister the version {version}"), &format!("DEREGISTER VERSION {version}")));
    }

    fn create_package(&self, plan: &mut Plan) {
        let package = &self.names.package;
        plan.push(Step::run(
            format!("create the application package {package}"),
            format!(
                "CREATE APPLICATION PACKAGE IF NOT EXISTS {package} COMMENT = {} DISTRIBUTION = INTERNAL ENABLE_RELEASE_CHANNELS = TRUE",
                text_literal(MARKER)
            ),
            Privilege::account("CREATE APPLICATION PACKAGE"),
        ));
    }

    async fn push_image(&self, account: &mut Account, plan: &mut Plan) -> Result<()> {
        let to = &self.names.image;
        let repository = ImageRepository::from_reference(to)?;
        let found = repository.find(account).await?;
        if found.is_none() && self.create_repository {
            repository.create(account, plan).await?;
        } else if found.is_none() {
            return Err(repository.missing_error(account).await?);
        }
        let Some(image) = &self.image else {
            plan.note(match found {
                Some(_) => format!(
                    "no image was built, so none is pushed: the app needs {to}; if the repository does not \
                                    hold it, run `app build --binary PROGRAM` and `app deploy` again"
                ),
                None => format!(
                    "no image was built, and the new repository is empty: the app needs {to}; run `app build \
                                 --binary PROGRAM` and `app deploy` again"
                ),
            });
            return Ok(());
        };
        let push = ImagePush { image: image.clone(), destination: to.clone(), credentials: self.credentials.clone() };
        plan.push(Step {
            description: format!("push the image {to}"),
            action: Action::Push(Box::new(push)),
            privilege: Privilege::on("WRITE", format!("IMAGE REPOSITORY {}", repository.sql())),
        });
        Ok(())
    }

    fn add_version_steps(&self, label: &str, stage: &Stage, current: &PackageState, plan: &mut Plan) {
        let version = &self.names.version;
        let newest = current.versions.newest(version);
        let patch = match newest {
            Some(newest) if newest.label == label => newest.number,
            Some(newest) => newest.number + 1,
            None => 0,
        };
        if newest.is_none_or(|newest| newest.label != label) {
            plan.push(Step {
                description: "validate the setup script".to_owned(),
                action: Action::Validate(Statement::new(Sql::assert_safe(format!(
                    "CALL SYSTEM$VALIDATE_NATIVE_APP_SETUP({})",
                    stage.literal("")
                )))),
                privilege: Privilege::on("READ", format!("STAGE {}", stage.sql())),
            });
            let add = match (newest, current.has_channels) {
                (Some(_), _) => format!("ADD PATCH {patch} FOR VERSION {version}"),
                (None, true) => format!("REGISTER VERSION {version}"),
                (None, false) => format!("ADD VERSION {version}"),
            };
            let what = if newest.is_some() {
                format!("add patch {patch} of {version}")
            } else {
                format!("add the version {version}")
            };
            let using = format!("USING {} LABEL = {}", stage.literal(""), text_literal(label));
            plan.push(self.alter(what, &format!("{add} {using}")));
        }
        if self.release {
            self.release_steps(patch, current, plan);
        }
    }

    fn release_steps(&self, patch: u64, current: &PackageState, plan: &mut Plan) {
        let version = &self.names.version;
        let channel = if current.has_channels { format!("MODIFY RELEASE CHANNEL {CHANNEL} ") } else { String::new() };
        if current.has_channels && !current.channel.iter().any(|held| held == version.as_str()) {
            let what = format!("add {version} to the release channel {CHANNEL}");
            plan.push(self.alter(what, &format!("{channel}ADD VERSION {version}")));
        }
        if current.released.as_ref() != Some(&(version.as_str().to_owned(), patch)) {
            let directive = format!("{channel}SET DEFAULT RELEASE DIRECTIVE VERSION = {version} PATCH = {patch}");
            plan.push(self.alter(format!("release {version}, patch {patch}"), &directive));
        }
    }

    /// A change of the package.
    fn alter(&self, what: impl Into<String>, how: &str) -> Step {
        let package = &self.names.package;
        let privilege = Privilege::ownership(format!("APPLICATION PACKAGE {package}"));
        Step::run(what, format!("ALTER APPLICATION PACKAGE {package} {how}"), privilege)
    }
}

/// The state of a package in the account.
struct PackageState {
    package: Option<ShowRow>,
    has_stage: bool,
    listed: Vec<ShowRow>,
    versions: Versions,
    has_channels: bool,
    /// The versions in the default channel, and those in any channel.
    channel: Vec<String>,
    assigned: Vec<String>,
    /// The released version and patch.
    released: Option<(String, u64)>,
}

impl PackageState {
    async fn read(deploy: &Deploy<'_>, account: &mut Account) -> Result<Self> {
        let Names { package, .. } = &deploy.names;
        let found = account.find("APPLICATION PACKAGES", package, "").await?;
        let Some(found) = found else {
            return Ok(Self {
                package: None,
                has_stage: false,
                listed: Vec::new(),
                versions: Versions::default(),
                has_channels: true,
                channel: Vec::new(),
                assigned: Vec::new(),
                released: None,
            });
        };
        found.check_marker("application package", package, deploy.adopt, "give another name (--package)")?;
        let stage = Stage::new(package)?;
        let has_stage =
            account.find("STAGES", &stage.name, &format!("IN SCHEMA {}", stage.schema_sql())).await?.is_some();
        let listed = if has_stage { account.rows(format!("LIST {}", stage.literal(""))).await? } else { Vec::new() };
        let channels = account.rows_if_any(format!("SHOW RELEASE CHANNELS IN APPLICATION PACKAGE {package}")).await?;
        let versions = Versions::read(account, package).await?;
        let held = |row: &ShowRow| -> Vec<String> {
            versions.names().filter(|name| contains_name(row.get("versions"), name)).map(str::to_owned).collect()
        };
        let channel = channels.iter().find(|row| row.get("name") == CHANNEL).map(held).unwrap_or_default();
        let assigned = channels.iter().flat_map(held).collect();
        // Also needed to drop a version, because the released one must not be dropped.
        let reads = deploy.release || deploy.drop_version.is_some();
        let released = if reads { released(account, package).await? } else { None };
        Ok(Self {
            package: Some(found),
            has_stage,
            listed,
            versions,
            has_channels: !channels.is_empty(),
            channel,
            assigned,
            released,
        })
    }
}
