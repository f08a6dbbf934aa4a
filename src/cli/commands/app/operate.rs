//! Operations on the app in an account.

use secrecy::SecretString;

use crate::backends::snowflake::ConnectionConfig;
use crate::cli::Exit;
use crate::cli::args::{self, Global, Operation};
use crate::cli::commands::session::read_settings;
use crate::cli::confirm::{confirm, no_terminal_error};
use crate::cli::destination::DestinationArgs;
use crate::cli::destination::snowflake::{connection, tag};
use crate::cli::interrupt::Interrupt;
use crate::cli::output::Output;
use crate::cli::progress::Progress;
use crate::native_app::deploy::{Account, ApplicationRole, Deploy, Install, Report, Runner, Uninstall, Upgrade};
use crate::native_app::image::{Credentials, Image};
use crate::native_app::{App, Bundle, Name};
use crate::{ErrorKind, Result, SecretRef, SourceSpec};

const STOPPING: &str = "stopping after this step; the next call continues from there (again: stop at once)";

/// The folder of the image in the folder of the bundle.
pub(super) const IMAGE: &str = "image";

/// The context of a command: the source, the destination, and the output.
pub(in crate::cli::commands) struct CommandContext<'a> {
    pub(in crate::cli::commands) spec: &'a SourceSpec,
    pub(in crate::cli::commands) global: &'a Global,
    pub(in crate::cli::commands) destination: &'a DestinationArgs,
    pub(in crate::cli::commands) progress: &'a Progress,
    pub(in crate::cli::commands) output: Output,
    pub(in crate::cli::commands) interrupt: &'a Interrupt,
}

impl CommandContext<'_> {
    /// The account's connection. The app's objects are named with their database and schema, whatever those of the session are.
    pub(super) fn connection(&self) -> Result<ConnectionConfig> {
        let connection = connection(&self.destination.snowflake, &tag(self.spec))?;
        Ok(ConnectionConfig { database: None, schema: None, ..connection })
    }

    fn runner(&self, operation: &Operation) -> Result<Runner<'_>> {
        let stop = self.interrupt.listen(self.progress.clone(), STOPPING)?;
        let tell = |step: &crate::native_app::deploy::Step| self.progress.note(step.description());
        Ok(Runner::new().dry_run(operation.dry_run).stop(stop).progress(tell))
    }

    /// Writes a report.
    fn report(&self, report: &Report) -> Result<Exit> {
        for note in &report.notes {
            self.output.note(&format!("note: {note}"));
        }
        self.output.result(report, || if report.dry_run { script(report) } else { summary(report) })?;
        Ok(if report.stopped { Exit::Interrupted } else { Exit::Complete })
    }
}

/// Ends the session, and returns the result.
pub(super) async fn close<T>(account: Account, result: Result<T>) -> Result<T> {
    if let Err(error) = account.close().await {
        tracing::debug!(%error, "a session was left open; Snowflake closes it after a long idle time");
    }
    result
}

pub(super) async fn deploy(app: &App, args: &args::Deploy, context: &CommandContext<'_>) -> Result<Exit> {
    let bundle = Bundle::read(&args.out)?;
    let differing = Bundle::new(app).map(|fresh| fresh.differences(&bundle).join(", "))?;
    if !differing.is_empty() {
        context.output.note(&format!("note: `app build` would change {differing}; deploying the existing build"));
    }
    let image = match Image::open(args.out.join(IMAGE)) {
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        image => Some(image?),
    };
    let connection = context.connection()?;
    let token = args.registry_token.as_deref().map(secret).transpose()?;
    let credentials = token.map(|token| Credentials::new(connection.user.clone(), token));
    let runner = context.runner(&args.operation)?;
    let deploy = Deploy::new(app, &bundle)?
        .image(image)
        .credentials(credentials)
        .adopt(args.operation.adopt)
        .create_repository(!args.no_create_repository)
        .drop_version(args.drop_version()?)
        .release(args.release);
    let mut account = Account::connect(connection).await?;
    let report = deploy.run(&mut account, &runner).await;
    context.report(&close(account, report).await?)
}

pub(super) async fn install(app: &App, args: &args::Install, context: &CommandContext<'_>) -> Result<Exit> {
    let connection = context.connection()?;
    let warehouse = connection.warehouse.as_deref().map(str::parse).transpose()?;
    let mut install = Install::new(app)?.source(args.origin()).warehouse(warehouse).adopt(args.operation.adopt);
    for (setting, reference) in args.secrets()? {
        install = install.secret(setting, reference.resolve()?)?;
    }
    for (name, value) in read_settings(context.spec, context.global, context.output)?.values() {
        install = install.setting(name, value)?;
    }
    for host in &args.host {
        install = install.host(host)?;
    }
    if let Some((database, schema)) = args.objects_schema()? {
        install = install.objects_in(database, schema);
    }
    let roles = [
        (ApplicationRole::Admin, &args.admin),
        (ApplicationRole::Viewer, &args.viewer),
        (ApplicationRole::DataReader, &args.data_reader),
    ];
    for (role, names) in roles {
        for name in names {
            install = install.grant(role, name.parse::<Name>()?);
        }
    }
    let runner = context.runner(&args.operation)?;
    let mut account = Account::connect(connection).await?;
    let report = install.run(&mut account, &runner).await;
    context.report(&close(account, report).await?)
}

pub(super) async fn upgrade(app: &App, args: &args::Upgrade, context: &CommandContext<'_>) -> Result<Exit> {
    let upgrade = Upgrade::new(app)?.source(args.origin()).adopt(args.operation.adopt);
    let runner = context.runner(&args.operation)?;
    let mut account = Account::connect(context.connection()?).await?;
    let report = upgrade.run(&mut account, &runner).await;
    context.report(&close(account, report).await?)
}

pub(super) async fn uninstall(app: &App, args: &args::Uninstall, context: &CommandContext<'_>) -> Result<Exit> {
    let asks = !args.yes && !args.operation.dry_run;
    if asks && let Some(error) = no_terminal_error("uninstall") {
        context.output.error(&error);
        return Ok(Exit::Usage);
    }
    let mut uninstall = Uninstall::new(app)?
        .cascade(args.cascade)
        .objects(args.objects)
        .package(args.with_package)
        .adopt(args.operation.adopt);
    if let Some((database, schema)) = args.objects_schema()? {
        uninstall = uninstall.objects_in(database, schema);
    }
    let connection = context.connection()?;
    let mut account = Account::connect(connection).await?;
    let report = ask_and_remove(&uninstall, app, asks, &args.operation, &mut account, context).await;
    match close(account, report).await? {
        Some(report) => context.report(&report),
        None => {
            context.output.result(&Report::default(), || "nothing was done".into())?;
            Ok(Exit::Complete)
        }
    }
}

/// Removes the app, after confirmation if `asks`; `None` if there is nothing to remove, or the user declines.
async fn ask_and_remove(
    uninstall: &Uninstall,
    app: &App,
    asks: bool,
    operation: &Operation,
    account: &mut Account,
    context: &CommandContext<'_>,
) -> Result<Option<Report>> {
    if asks {
        // Show what would be lost before asking.
        let planned = uninstall.run(account, &Runner::new().dry_run(true)).await?;
        let names = app.names()?;
        for owned in uninstall.owned_objects(account).await? {
            context.output.note(&format!("{} owns the {} {}", names.application, owned.kind, owned.name));
        }
        for step in &planned.steps {
            context.output.note(&step.statement);
        }
        if planned.steps.is_empty() || !confirm(&format!("Remove {}? This cannot be undone.", names.application))? {
            return Ok(None);
        }
    }
    uninstall.run(account, &context.runner(operation)?).await.map(Some)
}

fn secret(reference: &str) -> Result<SecretString> {
    reference.parse::<SecretRef>()?.resolve()
}

/// The statements that would be run, each with the privilege that it needs.
fn script(report: &Report) -> String {
    if report.steps.is_empty() {
        return "-- nothing to do".to_owned();
    }
    let step = |step: &crate::native_app::deploy::StepReport| {
        let end = if step.statement.starts_with("--") { "" } else { ";" };
        format!("-- {}; needs {}\n{}{end}", step.description, step.privilege, step.statement)
    };
    report.steps.iter().map(step).collect::<Vec<_>>().join("\n")
}

fn summary(report: &Report) -> String {
    let changed = report.steps.iter().filter(|step| step.changed).count();
    let stopped = if report.stopped { ", stopped before the end" } else { "" };
    match changed {
        0 => format!("nothing to change{stopped}"),
        1 => format!("1 change made{stopped}"),
        changed => format!("{changed} changes made{stopped}"),
    }
}
