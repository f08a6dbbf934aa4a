//! The native app.

mod operate;
mod status;

use std::path::Path;

use serde_json::json;
use sha2::{Digest, Sha256};

use crate::cli::Exit;
use crate::cli::args::{AppArgs, AppCommand};
use crate::cli::invocation::Selected;
use crate::cli::output::{Output, table};
use crate::native_app::image::{Image, ImageBuilder};
use crate::native_app::{App, Bundle, Finding, Names};
use crate::{Error, ErrorKind, Result, SourceSpec};

pub(super) use operate::CommandContext;

/// The name of the description in the image.
const DESCRIPTION: &str = "source.toml";

/// The number of characters of a description's digest in the version of its app.
const DIGEST: usize = 8;

/// The source and the program's name as an app has them. A description has no version of its own, and a version of an app keeps its image:
/// so each text of a description is a version.
pub(super) fn packaged(mut spec: SourceSpec, program: &str, selected: Option<&Selected>) -> (SourceSpec, String) {
    let program = if selected.is_some() { spec.name.clone() } else { program.to_owned() };
    if let Some(Selected::Described { text, .. }) = selected {
        let digest = format!("{:x}", Sha256::digest(text));
        let separator = if spec.version.contains('+') { '.' } else { '+' };
        spec.version = format!("{}{separator}{}", spec.version, &digest[..DIGEST]);
    }
    (spec, program)
}

pub(super) async fn execute(program: &str, command: &AppCommand, context: &CommandContext<'_>) -> Result<Exit> {
    let &CommandContext { spec, output, global, .. } = context;
    let app = |args: &AppArgs| args.app(spec, program);
    match command {
        AppCommand::Build { out, binary, app: args } => {
            let program = Program { binary: binary.as_deref(), selected: global.selected.as_ref() };
            build(spec, &app(args)?, &program, out, output)
        }
        AppCommand::Validate { out, app: args } => validate(&app(args)?, out, output),
        AppCommand::Deploy(args) => operate::deploy(&app(&args.operation.app)?, args, context).await,
        AppCommand::Install(args) => operate::install(&app(&args.operation.app)?, args, context).await,
        AppCommand::Upgrade(args) => operate::upgrade(&app(&args.operation.app)?, args, context).await,
        AppCommand::Status { app: args } => status::status(&app(args)?, context).await,
        AppCommand::Uninstall(args) => operate::uninstall(&app(&args.operation.app)?, args, context).await,
    }
}

/// The program of the container.
struct Program<'a> {
    /// Its file, if it is not this program's.
    binary: Option<&'a Path>,
    /// The source that it runs, if it has several.
    selected: Option<&'a Selected>,
}

fn build(spec: &SourceSpec, app: &App, program: &Program<'_>, out: &Path, output: Output) -> Result<Exit> {
    let bundle = Bundle::new(app)?;
    let findings = bundle.findings();
    if !findings.is_empty() {
        return report(&findings, &[], output);
    }
    let names = app.names()?;
    let image = image(spec, &names, program, out, output)?;
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
    program: &Program<'_>,
    out: &Path,
    output: Output,
) -> Result<Option<ImageBuilder>> {
    let builder = |file: &Path| {
        let image = Image::builder(file).name(&names.image.name).title(&spec.name).version(&spec.version);
        match program.selected {
            None => image,
            Some(Selected::BuiltIn(name)) => image.argument(*name),
            Some(Selected::Described { text, .. }) => image
                .file(DESCRIPTION, text.as_str())
                .argument("--source")
                .argument(format!("/etc/snowfeed/{DESCRIPTION}")),
        }
    };
    if let Some(binary) = program.binary {
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
