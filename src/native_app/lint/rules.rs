//! The rules for statements that create, drop and grant, and for the files that they use.

use std::collections::BTreeSet;

use super::finding::{Findings, Rule};
use super::statement::{Part, Statement, name};
use crate::native_app::Bundle;

/// Kinds of objects, longest first, so that `DYNAMIC TABLE` is no `TABLE`.
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

/// Kinds that hold nothing, so that they may be replaced and dropped, and lie in versioned schemas.
const STATELESS: [&str; 5] = ["EXTERNAL FUNCTION", "FUNCTION", "PROCEDURE", "STREAMLIT", "VIEW"];

/// Kinds that lie in no schema.
const OUTSIDE: [&str; 8] = [
    "APPLICATION ROLE",
    "COMPUTE POOL",
    "DATABASE",
    "DATABASE ROLE",
    "EXTERNAL ACCESS INTEGRATION",
    "ROLE",
    "SCHEMA",
    "WAREHOUSE",
];

/// What a statement makes or drops.
#[derive(Debug)]
pub(super) struct Object<'a> {
    pub(super) kind: &'static str,
    pub(super) name: Vec<&'a str>,
}

/// The object that a statement speaks of right after these words: its kind and its name.
pub(super) fn object<'a>(parts: &'a [Part]) -> Option<Object<'a>> {
    let words: Vec<&str> = parts.iter().map_while(Part::word).collect();
    let is = |at: usize, kind: &str| {
        let steps: Vec<&str> = kind.split(' ').collect();
        words.get(at..at + steps.len()).is_some_and(|words| *words == steps)
    };
    // What stands before the kind (TRANSIENT, SECURE, VERSIONED) does not matter here.
    let (at, kind) = (0..words.len().min(6)).find_map(|at| Some((at, *KINDS.iter().find(|kind| is(at, kind))?)))?;
    let mut rest = &parts[at + kind.split(' ').count()..];
    for filler in [&["IF", "NOT", "EXISTS"][..], &["IF", "EXISTS"]] {
        if rest.len() >= filler.len() && rest.iter().zip(filler).all(|(part, word)| part.word() == Some(*word)) {
            rest = &rest[filler.len()..];
        }
    }
    Some(Object { kind, name: name(rest) })
}

/// The schemas that a script makes, and which of them are versioned.
#[derive(Debug, Default)]
pub(super) struct Schemas<'a> {
    all: BTreeSet<&'a str>,
    versioned: BTreeSet<&'a str>,
}

impl<'a> Schemas<'a> {
    /// Takes note of a statement that makes a schema.
    pub(super) fn note(&mut self, statement: &'a Statement) {
        let Some(Object { kind: "SCHEMA", name }) = made(statement) else { return };
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

/// The schema that an object's name says.
fn schema<'a>(object: &Object<'a>) -> Option<&'a str> {
    object.name.len().checked_sub(2).map(|at| object.name[at])
}

/// What a CREATE makes.
pub(super) fn made(statement: &Statement) -> Option<Object<'_>> {
    let (create, rest) = statement.parts.split_first()?;
    (create.word() == Some("CREATE")).then(|| object(rest)).flatten()
}

pub(super) fn check_objects(statements: &[Statement], findings: &mut Findings) {
    let mut schemas = Schemas::default();
    for statement in statements {
        match statement.leading_words().first() {
            Some(&"CREATE") => create(statement, &schemas, findings),
            Some(&"DROP") => drop(statement, findings),
            Some(&"EXECUTE") => job(statement, &schemas, findings),
            _ => {}
        }
        schemas.note(statement);
    }
}

fn create(statement: &Statement, schemas: &Schemas<'_>, findings: &mut Findings) {
    let words = statement.leading_words();
    let says = |phrase: &[&str]| statement.has(phrase);
    let (replaces, alters) = (words.get(1..3) == Some(&["OR", "REPLACE"]), words.get(1..3) == Some(&["OR", "ALTER"]));
    let Some(object) = made(statement) else {
        findings.add(Rule::Readable, statement, "this makes an object of a kind that is not known here");
        return;
    };
    let kind = object.kind;
    if !(replaces || alters || says(&["IF", "NOT", "EXISTS"])) {
        findings.add(
            Rule::Repeatable,
            statement,
            format!("CREATE {kind} fails at the next upgrade: write {}", repeatable(kind)),
        );
    }
    if replaces && !STATELESS.contains(&kind) {
        let message = format!("OR REPLACE loses what the {kind} holds, at every upgrade: write IF NOT EXISTS");
        findings.add(Rule::KeepsState, statement, message);
    }
    let before_kind = words.iter().take_while(|word| !kind.starts_with(**word));
    if before_kind.into_iter().any(|word| matches!(*word, "TEMP" | "TEMPORARY")) {
        findings.add(Rule::NoTemporary, statement, format!("an app has no temporary {kind}"));
    }
    if matches!(kind, "ROLE" | "DATABASE ROLE") {
        findings.add(Rule::ApplicationRoles, statement, "an app makes application roles only: CREATE APPLICATION ROLE");
    }
    if statement.after(&["EXECUTE", "AS"]).and_then(|rest| rest.first()?.word()).is_some_and(|word| word != "OWNER") {
        findings.add(
            Rule::OwnersRights,
            statement,
            format!("a {kind} of an app runs with its owner's rights: write EXECUTE AS OWNER"),
        );
    }
    if kind == "SCHEMA" && words.contains(&"VERSIONED") && !alters {
        findings.add(Rule::VersionedSchemas, statement, "write CREATE OR ALTER VERSIONED SCHEMA");
    }
    place(statement, &object, schemas, findings);
}

fn repeatable(kind: &str) -> &'static str {
    if STATELESS.contains(&kind) { "CREATE OR REPLACE" } else { "IF NOT EXISTS" }
}

/// Where an object lies.
fn place(statement: &Statement, object: &Object<'_>, schemas: &Schemas<'_>, findings: &mut Findings) {
    let kind = object.kind;
    if OUTSIDE.contains(&kind) {
        return;
    }
    match schema(object) {
        None => findings.add(
            Rule::Qualified,
            statement,
            format!("name the {kind} with its schema: there is no current one"),
        ),
        Some(schema) if !schemas.all.contains(schema) => {
            findings.add(Rule::Qualified, statement, format!("the script has not made the schema {schema} before"));
        }
        Some(schema) if schemas.versioned.contains(schema) && !STATELESS.contains(&kind) => {
            findings.add(
                Rule::VersionedSchemas,
                statement,
                format!("the schema {schema} is versioned and holds code only: make the {kind} in another one"),
            );
        }
        Some(_) => {}
    }
}

fn drop(statement: &Statement, findings: &mut Findings) {
    match object(&statement.parts[1..]) {
        Some(Object { kind, .. }) if STATELESS.contains(&kind) => {
            if !statement.has(&["IF", "EXISTS"]) {
                findings.add(
                    Rule::Repeatable,
                    statement,
                    format!("DROP {kind} fails the second time: write IF EXISTS"),
                );
            }
        }
        Some(Object { kind, .. }) => {
            findings.add(Rule::KeepsState, statement, format!("an upgrade must not drop a {kind}: it may hold state"));
        }
        None => findings.add(Rule::Readable, statement, "this drops an object of a kind that is not known here"),
    }
}

/// A job is a service, too: it needs a schema that is not versioned.
fn job(statement: &Statement, schemas: &Schemas<'_>, findings: &mut Findings) {
    if !statement.has(&["EXECUTE", "JOB", "SERVICE"]) {
        return;
    }
    let name = statement.after(&["NAME"]).and_then(|rest| rest.get(1..)).map(name).unwrap_or_default();
    let object = Object { kind: "SERVICE", name };
    if schemas.is_versioned(&object) {
        findings.add(
            Rule::VersionedSchemas,
            statement,
            "a job cannot run in a versioned schema: name it in another one",
        );
    }
}

pub(super) fn check_files(statements: &[Statement], bundle: &Bundle, findings: &mut Findings) {
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

pub(super) fn check_grants(statements: &[Statement], findings: &mut Findings) {
    let mut objects = BTreeSet::new();
    let mut roles = BTreeSet::new();
    for statement in statements {
        if let Some(object) = made(statement) {
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
                findings.add(Rule::ApplicationRoles, statement, "grants of an app go to its application roles only");
            }
            Some(role) if !roles.contains(role) => {
                let message = format!("the script has not made the application role {role} before");
                findings.add(Rule::ApplicationRoles, statement, message);
            }
            Some(_) => {}
        }
        if let Some(object) = statement.after(&["ON"]).and_then(one)
            && !objects.contains(&(object.kind, object.name.clone()))
        {
            let message = format!("the {} {} is not made before it is granted", object.kind, object.name.join("."));
            findings.add(Rule::GrantsLast, statement, message);
        }
    }
}

/// The object that a grant is on, where it is one: not ALL, not FUTURE.
fn one(parts: &[Part]) -> Option<Object<'_>> {
    let is_one = !matches!(parts.first().and_then(Part::word), Some("ALL" | "FUTURE" | "ACCOUNT"));
    is_one.then(|| object(parts)).flatten()
}
