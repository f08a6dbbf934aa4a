//! The native app.

mod operate;
mod status;

use std::path::Path;

use serde_json::json;

use crate::cli::Exit;
use crate::cli::args::{AppArgs, AppCommand};
use crate::cli::output::{Output, table};
use crate::native_app::image::{Image, ImageBuilder};
use crate::native_app::{App, Bundle, Finding, Names};
use crate::{Error, ErrorKind, Result, SourceSpec};

pub(super) use operate::CommandContext;

pub(super) async fn execute(program: &str, command: &AppCommand, context: &CommandContext<'_>) -> Result<Exit> {
    let &CommandContext { spec, output, .. } = context;
    let app = |args: &AppArgs| args.app(spec, program);
    match command {
        AppCommand::Build { out, binary, app: args } => build(spec, &app(args)?, binary.as_deref(), out, output),
        AppCommand::Validate { out, app: args } => validate(&app(args)?, out, output),
        AppCommand::Deploy(args) => operate::deploy(&app(&args.operation.app)?, args, context).await,
        AppCommand::Install(args) => operate::install(&app(&args.operation.app)?, args, context).await,
        AppCommand::Upgrade(args) => operate::upgrade(&app(&args.operation.app)?, args, context).await,
        AppCommand::Status { app: args } => status::status(&app(args)?, context).await,
        AppCommand::Uninstall(args) => operate::uninstall(&app(&args.operation.app)?, args, context).await,
    }
}

fn build(spec: &SourceSpec, app: &App, binary: Option<&Path>, out: &Path, output: Output) -> Result<Exit> {
    let bundle = Bundle::new(app)?;
    let findings = bundle.findings();
    if !findings.is_empty() {
        return report(&findings, &[], output);
    }
    let names = app.names()?;
    let image = image(spec, &names, binary, out, output)?;
    let written = bundle.write(out)?;
    let image = image.map(|image| image.write(out.join(operate::IMAGE))).transpose()?;
    let document = json!({
        "folder": out,
        "package": names.package.as_str(),
        "application": names.application.as_str(),
        "version": names.version.as_str(),
        "image": names.image.to_string(),
        "digest": image.as_ref().map(Image::digest),
        "written": written.written,
        "unchanged": written.unchanged,
        "removed": written.removed,
    });
    output.result(&document, || {
        let mark = |mark: &'static str, paths: &[String]| {
            paths.iter().map(|path| format!("{mark} {}\n", out.join(path).display())).collect::<String>()
        };
        let image = image.as_ref().map(|image| format!("= {} {}\n", image.folder().display(), image.digest()));
        format!(
            "{}{}{}{} in version {} is in {}: {} written, {} unchanged, {} removed",
            mark("+", &written.written),
            mark("-", &written.removed),
            image.unwrap_or_default(),
            names.application,
            names.version,
            out.display(),
            written.written.len(),
            written.unchanged.len(),
            written.removed.len()
        )
    })?;
    Ok(Exit::Complete)
}

/// Returns the program for the image: the named one, or this one. Only a named program must be suitable.
fn image(
    spec: &SourceSpec,
    names: &Names,
    binary: Option<&Path>,
    out: &Path,
    output: Output,
) -> Result<Option<ImageBuilder>> {
    let builder =
        |program: &Path| Image::builder(program).name(&names.image.name).title(&spec.name).version(&spec.version);
    if let Some(binary) = binary {
        let image = builder(binary);
        return image.check().map(|()| Some(image));
    }
    let own = std::env::current_exe()
        .map_err(|error| Error::internal("the path of this program cannot be determined").with_source(error))?;
    let image = builder(&own);
    match image.check() {
        Ok(()) => Ok(Some(image)),
        Err(error) => {
            let help = error.help().map(|help| format!("; {help} and name it with --binary")).unwrap_or_default();
            let kept = if out.join(operate::IMAGE).exists() { ", so the image of an earlier build stays" } else { "" };
            output.note(&format!("no image is written{kept}: {}{help}", error.message()));
            Ok(None)
        }
    }
}

fn validate(app: &App, out: &Path, output: Output) -> Result<Exit> {
    let fresh = Bundle::new(app)?;
    let built = match Bundle::read(out) {
        Ok(built) => built,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            output.note(&format!("{} contains no build yet; checking what `app build` would write", out.display()));
            return report(&fresh.findings(), &[], output);
        }
        Err(error) => return Err(error),
    };
    report(&built.findings(), &fresh.differences(&built), output)
}

/// Writes the findings. Files that a new build would change are noted, but are not an error.
fn report(findings: &[Finding], differing: &[&str], output: Output) -> Result<Exit> {
    if !differing.is_empty() {
        output.note(&format!("`app build` would change {}", differing.join(", ")));
    }
    let document = json!({"findings": findings, "differing": differing});
    if findings.is_empty() {
        output.result(&document, || "no rule is broken".to_owned())?;
        return Ok(Exit::Complete);
    }
    output.result(&document, || {
        let row = |finding: &Finding| vec![finding.line.to_string(), finding.message.clone()];
        table(&["line", "finding"], &["line"], findings.iter().map(row))
    })?;
    if !output.is_json() {
        let what = if findings.len() == 1 { "rule is" } else { "rules are" };
        output.error(
            &Error::configuration(format!("{} {what} broken", findings.len()))
                .with_help("the lines are those of setup.sql; build again, or undo what was changed by hand"),
        );
    }
    Ok(Exit::Configuration)
}
