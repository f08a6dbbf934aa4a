//! Rules for CREATE, DROP and GRANT statements, and for the files that they use.

use std::collections::BTreeSet;

use super::finding::{Findings, Rule};
use super::statement::{Part, Statement, name};
use crate::native_app::Bundle;

/// Kinds of objects, longest first, so that `DYNAMIC TABLE` does not match `TABLE`.
const KINDS: [&str; 31] = [
    "EXTERNAL ACCESS INTEGRATION",
    "APPLICATION ROLE",
    "COMPUTE POOL",
    "DATABASE ROLE",
    "DYNAMIC TABLE",
    "EVENT TABLE",
    "EXTERNAL FUNCTION",
    "EXTERNAL TABLE",
    "FILE FORMAT",
    "HYBRID TABLE",
    "IMAGE REPOSITORY",
    "MASKING POLICY",
    "MATERIALIZED VIEW",
    "NETWORK RULE",
    "ROW ACCESS POLICY",
    "DATABASE",
    "FUNCTION",
    "PROCEDURE",
    "ROLE",
    "SCHEMA",
    "SECRET",
    "SEQUENCE",
    "SERVICE",
    "STAGE",
    "STREAM",
    "STREAMLIT",
    "TABLE",
    "TAG",
    "TASK",
    "VIEW",
    "WAREHOUSE",
];

/// Kinds without state, which may be replaced and dropped and be in versioned schemas.
const STATELESS: [&str; 5] = ["EXTERNAL FUNCTION", "FUNCTION", "PROCEDURE", "STREAMLIT", "VIEW"];

/// Kinds that are not in a schema.
const WITHOUT_SCHEMA: [&str; 8] = [
    "APPLICATION ROLE",
    "COMPUTE POOL",
    "DATABASE",
    "DATABASE ROLE",
    "EXTERNAL ACCESS INTEGRATION",
    "ROLE",
    "SCHEMA",
    "WAREHOUSE",
];

/// The object of a statement.
#[derive(Debug)]
pub(super) struct Object<'a> {
    pub(super) kind: &'static str,
    pub(super) name: Vec<&'a str>,
}

/// Parses the kind and the name of the object at the beginning.
pub(super) fn parse_object<'a>(parts: &'a [Part]) -> Option<Object<'a>> {
    let words: Vec<&str> = parts.iter().map_while(Part::word).collect();
    let is = |at: usize, kind: &str| {
        let steps: Vec<&str> = kind.split(' ').collect();
        words.get(at..at + steps.len()).is_some_and(|words| *words == steps)
    };
    // Modifiers before the kind (TRANSIENT, SECURE, VERSIONED) are skipped.
    let (at, kind) = (0..words.len().min(6)).find_map(|at| Some((at, *KINDS.iter().find(|kind| is(at, kind))?)))?;
    let mut rest = &parts[at + kind.split(' ').count()..];
    for filler in [&["IF", "NOT", "EXISTS"][..], &["IF", "EXISTS"]] {
        if rest.len() >= filler.len() && rest.iter().zip(filler).all(|(part, word)| part.word() == Some(*word)) {
            rest = &rest[filler.len()..];
        }
    }
    Some(Object { kind, name: name(rest) })
}

/// The schemas that a script creates, and which of them are versioned.
#[derive(Debug, Default)]
pub(super) struct Schemas<'a> {
    all: BTreeSet<&'a str>,
    versioned: BTreeSet<&'a str>,
}

impl<'a> Schemas<'a> {
    /// Records the schema if the statement creates one.
    pub(super) fn record(&mut self, statement: &'a Statement) {
        let Some(Object { kind: "SCHEMA", name }) = created_object(statement) else { return };
        let Some(name) = name.last() else { return };
        self.all.insert(name);
        if statement.leading_words().contains(&"VERSIONED") {
            self.versioned.insert(name);
        }
    }

    /// Whether the schema of an object is versioned.
    pub(super) fn is_versioned(&self, object: &Object<'_>) -> bool {
        schema(object).is_some_and(|schema| self.versioned.contains(schema))
    }
}

/// The schema in an object's name.
fn schema<'a>(object: &Object<'a>) -> Option<&'a str> {
    object.name.len().checked_sub(2).map(|at| object.name[at])
}

/// The object of a CREATE statement.
pub(super) fn created_object(statement: &Statement) -> Option<Object<'_>> {
    let (create, rest) = statement.parts.split_first()?;
    (create.word() == Some("CREATE")).then(|| parse_object(rest)).flatten()
}

pub(super) fn check_objects(statements: &[Statement], findings: &mut Findings) {
    let mut schemas = Schemas::default();
    for statement in statements {
        match statement.leading_words().first() {
            Some(&"CREATE") => create(statement, &schemas, findings),
            Some(&"DROP") => drop(statement, findings),
            Some(&"EXECUTE") => check_job(statement, &schemas, findings),
            _ => {}
        }
        schemas.record(statement);
    }
}

fn create(statement: &Statement, schemas: &Schemas<'_>, findings: &mut Findings) {
    let words = statement.leading_words();
    let says = |phrase: &[&str]| statement.has(phrase);
    let (replaces, alters) = (words.get(1..3) == Some(&["OR", "REPLACE"]), words.get(1..3) == Some(&["OR", "ALTER"]));
    let Some(object) = created_object(statement) else {
        findings.add(Rule::Readable, statement, "this creates an object of an unknown kind");
        return;
    };
    let kind = object.kind;
    if !(replaces || alters || says(&["IF", "NOT", "EXISTS"])) {
        findings.add(
            Rule::Repeatable,
            statement,
            format!("CREATE {kind} fails at the next upgrade: use {}", repeatable(kind)),
        );
    }
    if replaces && !STATELESS.contains(&kind) {
        let message = format!("OR REPLACE deletes the content of the {kind} at every upgrade: use IF NOT EXISTS");
        findings.add(Rule::KeepsState, statement, message);
    }
    let before_kind = words.iter().take_while(|word| !kind.starts_with(**word));
    if before_kind.into_iter().any(|word| matches!(*word, "TEMP" | "TEMPORARY")) {
        findings.add(Rule::NoTemporary, statement, format!("an app cannot have a temporary {kind}"));
    }
    if matches!(kind, "ROLE" | "DATABASE ROLE") {
        findings.add(
            Rule::ApplicationRoles,
            statement,
            "an app can create only application roles: use CREATE APPLICATION ROLE",
        );
    }
    if statement.after(&["EXECUTE", "AS"]).and_then(|rest| rest.first()?.word()).is_some_and(|word| word != "OWNER") {
        findings.add(
            Rule::OwnersRights,
            statement,
            format!("a {kind} of an app runs with its owner's rights: use EXECUTE AS OWNER"),
        );
    }
    if kind == "SCHEMA" && words.contains(&"VERSIONED") && !alters {
        findings.add(Rule::VersionedSchemas, statement, "use CREATE OR ALTER VERSIONED SCHEMA");
    }
    check_schema(statement, &object, schemas, findings);
}

fn repeatable(kind: &str) -> &'static str {
    if STATELESS.contains(&kind) { "CREATE OR REPLACE" } else { "IF NOT EXISTS" }
}

/// Checks the schema of an object.
fn check_schema(statement: &Statement, object: &Object<'_>, schemas: &Schemas<'_>, findings: &mut Findings) {
    let kind = object.kind;
    if WITHOUT_SCHEMA.contains(&kind) {
        return;
    }
    match schema(object) {
        None => findings.add(
            Rule::Qualified,
            statement,
            format!("qualify the {kind} with its schema: there is no current schema"),
        ),
        Some(schema) if !schemas.all.contains(schema) => {
            findings.add(Rule::Qualified, statement, format!("the script does not create the schema {schema} before"));
        }
        Some(schema) if schemas.versioned.contains(schema) && !STATELESS.contains(&kind) => {
            findings.add(
                Rule::VersionedSchemas,
                statement,
                format!(
                    "the schema {schema} is versioned and can contain only code: create the {kind} in another schema"
                ),
            );
        }
        Some(_) => {}
    }
}

fn drop(statement: &Statement, findings: &mut Findings) {
    match parse_object(&statement.parts[1..]) {
        Some(Object { kind, .. }) if STATELESS.contains(&kind) => {
            if !statement.has(&["IF", "EXISTS"]) {
                findings.add(Rule::Repeatable, statement, format!("DROP {kind} fails the second time: use IF EXISTS"));
            }
        }
        Some(Object { kind, .. }) => {
            findings.add(
                Rule::KeepsState,
                statement,
                format!("an upgrade must not drop a {kind}: it may contain state"),
            );
        }
        None => findings.add(Rule::Readable, statement, "this drops an object of an unknown kind"),
    }
}

/// Checks the schema of a job. A job is a service, which cannot be in a versioned schema.
fn check_job(statement: &Statement, schemas: &Schemas<'_>, findings: &mut Findings) {
    if !statement.has(&["EXECUTE", "JOB", "SERVICE"]) {
        return;
    }
    let name = statement.after(&["NAME"]).and_then(|rest| rest.get(1..)).map(name).unwrap_or_default();
    let object = Object { kind: "SERVICE", name };
    if schemas.is_versioned(&object) {
        findings.add(Rule::VersionedSchemas, statement, "a job cannot run in a versioned schema: use another schema");
    }
}

pub(super) fn check_files(statements: &[Statement], bundle: &Bundle, findings: &mut Findings) {
    let mut schemas = Schemas::default();
    for statement in statements {
        schemas.record(statement);
        let Some(object) = created_object(statement) else { continue };
        match object.kind {
            "FUNCTION" | "PROCEDURE" => {
                let imports = statement.list("IMPORTS").unwrap_or_default();
                if !imports.is_empty() && !schemas.is_versioned(&object) {
                    findings.add(Rule::Imports, statement, "only code in a versioned schema can import files");
                }
                for import in &imports {
                    check_import(statement, import, bundle, findings);
                }
                if statement.property("LANGUAGE").or(language(statement)) == Some("PYTHON") {
                    check_python(statement, &imports, bundle, findings);
                }
            }
            "STREAMLIT" => check_page(statement, bundle, findings),
            _ => {}
        }
    }
}

/// `LANGUAGE PYTHON`.
fn language(statement: &Statement) -> Option<&str> {
    statement.after(&["LANGUAGE"])?.first()?.word()
}

fn check_import(statement: &Statement, import: &str, bundle: &Bundle, findings: &mut Findings) {
    match import.strip_prefix('/') {
        None => findings.add(
            Rule::Imports,
            statement,
            format!("{import:?} is not a path of the bundle: use a path that begins with /, not a stage"),
        ),
        Some(path) if bundle.text(path).is_none() => {
            findings.add(Rule::Imports, statement, format!("the bundle has no file {import}"));
        }
        Some(_) => {}
    }
}

fn check_python(statement: &Statement, imports: &[&str], bundle: &Bundle, findings: &mut Findings) {
    let runtime = statement.property("RUNTIME_VERSION").unwrap_or_default();
    let version: Vec<u32> = runtime.split('.').map_while(|step| step.parse().ok()).collect();
    if version < vec![3, 11] {
        findings.add(
            Rule::PythonRuntime,
            statement,
            "use RUNTIME_VERSION = '3.11' or later: Snowflake is withdrawing earlier versions",
        );
    }
    let Some((module, function)) = statement.property("HANDLER").and_then(|handler| handler.split_once('.')) else {
        if !imports.is_empty() {
            findings.add(
                Rule::Handlers,
                statement,
                "HANDLER does not name a function of an imported file: use 'module.function'",
            );
        }
        return;
    };
    let file = format!("/{module}.py");
    let Some(import) = imports.iter().find(|import| import.ends_with(&file)) else {
        findings.add(Rule::Handlers, statement, format!("the handler's module {module} is not imported"));
        return;
    };
    // A missing file is already reported.
    let Some(code) = import.strip_prefix('/').and_then(|path| bundle.text(path)) else { return };
    let defined = |line: &str| {
        line.strip_prefix("def ")
            .is_some_and(|rest| rest.strip_prefix(function).is_some_and(|rest| rest.starts_with('(')))
    };
    if !code.lines().any(defined) {
        findings.add(Rule::Handlers, statement, format!("{import} has no function {function}"));
    }
}

fn check_page(statement: &Statement, bundle: &Bundle, findings: &mut Findings) {
    let folder = statement.after(&["FROM"]).and_then(|rest| rest.first()?.text()).unwrap_or_default();
    let main = statement.property("MAIN_FILE").unwrap_or_default();
    let path = format!("{}/{}", folder.trim_matches('/'), main.trim_start_matches('/'));
    if !folder.starts_with('/') || bundle.text(&path).is_none() {
        findings.add(Rule::Imports, statement, format!("the bundle has no page /{path}"));
    }
}

pub(super) fn check_grants(statements: &[Statement], findings: &mut Findings) {
    let mut objects = BTreeSet::new();
    let mut roles = BTreeSet::new();
    for statement in statements {
        if let Some(object) = created_object(statement) {
            if object.kind == "APPLICATION ROLE" {
                roles.extend(object.name.last().copied());
            }
            objects.insert((object.kind, object.name));
            continue;
        }
        if statement.leading_words().first() != Some(&"GRANT") {
            continue;
        }
        match statement.after(&["TO", "APPLICATION", "ROLE"]).map(|rest| name(rest).last().copied().unwrap_or_default())
        {
            None => {
                findings.add(Rule::ApplicationRoles, statement, "an app can grant only to its application roles");
            }
            Some(role) if !roles.contains(role) => {
                let message = format!("the script does not create the application role {role} before");
                findings.add(Rule::ApplicationRoles, statement, message);
            }
            Some(_) => {}
        }
        if let Some(object) = statement.after(&["ON"]).and_then(single_object)
            && !objects.contains(&(object.kind, object.name.clone()))
        {
            let message = format!("the {} {} is granted before it is created", object.kind, object.name.join("."));
            findings.add(Rule::GrantsLast, statement, message);
        }
    }
}

/// The object of a grant on a single object; `None` for ALL and FUTURE.
fn single_object(parts: &[Part]) -> Option<Object<'_>> {
    let is_one = !matches!(parts.first().and_then(Part::word), Some("ALL" | "FUTURE" | "ACCOUNT"));
    is_one.then(|| parse_object(parts)).flatten()
}
