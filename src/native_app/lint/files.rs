//! Rules for the code that a setup script makes of files.

use super::create::{Schemas, made};
use super::statement::Statement;
use super::{Findings, Rule};
use crate::native_app::Bundle;

pub(super) fn check(statements: &[Statement], bundle: &Bundle, findings: &mut Findings) {
    let mut schemas = Schemas::default();
    for statement in statements {
        schemas.note(statement);
        let Some(object) = made(statement) else { continue };
        match object.kind {
            "FUNCTION" | "PROCEDURE" => {
                let imports = statement.list("IMPORTS").unwrap_or_default();
                if !imports.is_empty() && !schemas.is_versioned(&object) {
                    findings.add(Rule::Imports, statement, "only code in a versioned schema can import files");
                }
                for import in &imports {
                    import_exists(statement, import, bundle, findings);
                }
                if statement.property("LANGUAGE").or(language(statement)) == Some("PYTHON") {
                    python(statement, &imports, bundle, findings);
                }
            }
            "STREAMLIT" => page(statement, bundle, findings),
            _ => {}
        }
    }
}

/// `LANGUAGE PYTHON`.
fn language(statement: &Statement) -> Option<&str> {
    statement.after(&["LANGUAGE"])?.first()?.word()
}

fn import_exists(statement: &Statement, import: &str, bundle: &Bundle, findings: &mut Findings) {
    match import.strip_prefix('/') {
        None => findings.add(
            Rule::Imports,
            statement,
            format!("{import:?} is no path of the bundle: it begins with / there, and a stage cannot be imported from"),
        ),
        Some(path) if bundle.text(path).is_none() => {
            findings.add(Rule::Imports, statement, format!("the bundle has no file {import}"));
        }
        Some(_) => {}
    }
}

fn python(statement: &Statement, imports: &[&str], bundle: &Bundle, findings: &mut Findings) {
    let runtime = statement.property("RUNTIME_VERSION").unwrap_or_default();
    let version: Vec<u32> = runtime.split('.').map_while(|step| step.parse().ok()).collect();
    if version < vec![3, 11] {
        findings.add(
            Rule::PythonRuntime,
            statement,
            "write RUNTIME_VERSION = '3.11' or later: earlier ones are being withdrawn",
        );
    }
    let Some((module, function)) = statement.property("HANDLER").and_then(|handler| handler.split_once('.')) else {
        if !imports.is_empty() {
            findings.add(
                Rule::Handlers,
                statement,
                "HANDLER names no function of an imported file: write 'module.function'",
            );
        }
        return;
    };
    let file = format!("/{module}.py");
    let Some(import) = imports.iter().find(|import| import.ends_with(&file)) else {
        findings.add(Rule::Handlers, statement, format!("the handler's module {module} is not imported"));
        return;
    };
    // That the file is missing is said already.
    let Some(code) = import.strip_prefix('/').and_then(|path| bundle.text(path)) else { return };
    let defined = |line: &str| {
        line.strip_prefix("def ")
            .is_some_and(|rest| rest.strip_prefix(function).is_some_and(|rest| rest.starts_with('(')))
    };
    if !code.lines().any(defined) {
        findings.add(Rule::Handlers, statement, format!("{import} has no function {function}"));
    }
}

fn page(statement: &Statement, bundle: &Bundle, findings: &mut Findings) {
    let folder = statement.after(&["FROM"]).and_then(|rest| rest.first()?.text()).unwrap_or_default();
    let main = statement.property("MAIN_FILE").unwrap_or_default();
    let path = format!("{}/{}", folder.trim_matches('/'), main.trim_start_matches('/'));
    if !folder.starts_with('/') || bundle.text(&path).is_none() {
        findings.add(Rule::Imports, statement, format!("the bundle has no page /{path}"));
    }
}
