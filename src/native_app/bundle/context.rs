//! The values that templates are rendered with.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::backends::snowflake::{LONGEST_TEXT, STATE_SQL, SnowflakeOptions, USAGE_SQL};
use crate::config::SHORTEST_SCHEDULE;
use crate::native_app::hosts::{has_hosts, url_settings};
use crate::native_app::{App, Name, Names};
use crate::resource::ResourceNames;
use crate::secret::TOKEN_PATTERN;
use crate::{Error, Limits, Result, SettingsSchema, SourceSpec};

/// The values of every template, by field name.
#[derive(Debug, Serialize)]
pub(super) struct Context {
    /// The source's name: `github`.
    name: String,
    /// The source's version: `1.2.0`.
    version: String,
    /// The version's name in the application package: `V1_2_0`.
    version_name: Name,
    resource_kind: String,
    /// The rule for resource names; `None` if any text is valid.
    resource_names: Option<ResourceNameRule>,
    /// A pattern for the tokens of well-known services.
    token_pattern: &'static str,
    /// How often a run that finds nothing new is recorded, in seconds.
    heartbeat: u64,
    /// The shortest interval of a schedule, in seconds.
    shortest_schedule: i64,
    title: String,
    description: String,
    package: Name,
    application: Name,
    /// The whole path of the image.
    image: String,
    pool_family: String,
    schedule: String,
    /// Whether the app runs the connector itself.
    container: bool,
    /// `api.example.com`, or with a port; settings stand in braces.
    hosts: Vec<String>,
    /// The settings that are URLs, to whose hosts the container connects, too.
    url_settings: Vec<String>,
    /// The reference of the external access integration; `None` if the source connects to no host.
    external_access: Option<String>,
    /// The reference of the warehouse.
    warehouse: &'static str,
    privileges: Vec<Privilege>,
    secrets: Vec<Secret>,
    streams: Vec<Stream>,
    /// See [`SourceSpec::sole_stream`].
    sole_stream: Option<String>,
    /// The JSON Schema of the settings, without references.
    schema: Value,
    /// The statements that create the engine's own tables.
    state_sql: &'static str,
    usage_sql: &'static str,
    /// The JSON Schema of the options that a consumer may set.
    options: Value,
    /// The maximum length of a column that holds a document, in characters.
    longest_text: u32,
    external_access_text: String,
    warehouse_text: String,
    /// The files that procedures import.
    imports: Vec<String>,
    /// All files of the application package.
    artifacts: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Privilege {
    name: &'static str,
    description: String,
}

/// A secret setting. The reference of the same name binds the consumer's secret.
#[derive(Debug, Serialize)]
struct Secret {
    name: String,
    label: String,
    description: String,
}

/// The rule by which the source names its resources, for the procedures.
#[derive(Debug, Serialize)]
struct ResourceNameRule {
    pattern: String,
    form: String,
    ignores_case: bool,
    suffixes: Vec<String>,
    addresses: Vec<String>,
    url_setting: Option<String>,
    hosts: Vec<String>,
}

impl From<&ResourceNames> for ResourceNameRule {
    fn from(names: &ResourceNames) -> Self {
        Self {
            pattern: names.pattern().into(),
            form: names.form().into(),
            ignores_case: names.is_case_ignored(),
            suffixes: names.suffixes().to_vec(),
            addresses: names.addresses().map(Into::into).collect(),
            url_setting: names.url_setting().map(Into::into),
            hosts: names.hosts().to_vec(),
        }
    }
}

#[derive(Debug, Serialize)]
struct Stream {
    name: String,
    /// Whether it is read where the user selects no streams.
    is_default: bool,
    /// Whether it is read once for the source, not once per resource.
    is_source_wide: bool,
    /// The stream that is selected with it.
    requires: Option<String>,
    /// Whether it has a table of its own.
    has_table: bool,
    /// The names of the declared columns.
    columns: Vec<String>,
    /// Whether other columns are inferred from its records.
    is_inferred: bool,
}

/// The account privileges that an app requests, with their purposes. Without a container it requests only the first one.
const PRIVILEGES: [(&str, &str); 4] = [
    ("CREATE DATABASE", "Creates the destination database."),
    ("CREATE COMPUTE POOL", "Creates the compute pool for the connector's containers. It suspends when nothing runs."),
    ("EXECUTE TASK", "Starts ingestion on schedule."),
    ("EXECUTE MANAGED TASK", "Runs the schedule without one of your warehouses."),
];

/// The account privileges that this app requests, with their purposes.
pub(in crate::native_app) fn privileges(app: &App) -> impl Iterator<Item = (&'static str, &'static str)> + use<> {
    PRIVILEGES.into_iter().take(if app.container { PRIVILEGES.len() } else { 1 })
}

/// The reference of the warehouse.
pub(in crate::native_app) const WAREHOUSE: &str = "warehouse_reference";

/// The reference of the external access integration, if the source connects to hosts.
pub(in crate::native_app) fn external_access(spec: &SourceSpec) -> Option<String> {
    has_hosts(spec).then(|| format!("{}_external_access", spec.name))
}

/// `api.example.com and the hosts of the settings api_url, proxy`.
fn hosts_in_words(spec: &SourceSpec) -> String {
    let urls: Vec<&str> = url_settings(spec).collect();
    let of_settings = match urls.as_slice() {
        [] => None,
        [one] => Some(format!("the host of the setting {one}")),
        several => Some(format!("the hosts of the settings {}", several.join(", "))),
    };
    let hosts = (!spec.hosts.is_empty()).then(|| spec.hosts.join(", "));
    hosts.into_iter().chain(of_settings).collect::<Vec<_>>().join(" and ")
}

impl Context {
    /// # Errors
    /// `Configuration`: a text explains something that the app does not request.
    pub(super) fn new(app: &App, names: &Names, imports: Vec<String>, artifacts: Vec<String>) -> Result<Self> {
        let mut texts = Texts(app.texts.clone());
        let spec = &app.spec;
        let external_access = external_access(spec).filter(|_| app.container);
        let context = Self {
            name: spec.name.clone(),
            version: spec.version.clone(),
            version_name: names.version.clone(),
            resource_kind: spec.resource_kind.clone(),
            resource_names: spec.resource_names.as_ref().map(ResourceNameRule::from),
            token_pattern: TOKEN_PATTERN,
            heartbeat: Limits::default().heartbeat.as_secs(),
            shortest_schedule: SHORTEST_SCHEDULE.as_secs(),
            title: app.title.clone(),
            description: app.description.clone(),
            package: names.package.clone(),
            application: names.application.clone(),
            image: names.image.to_string(),
            pool_family: app.pool_family.to_ascii_uppercase(),
            schedule: app.schedule.clone(),
            container: app.container,
            hosts: spec.hosts.clone(),
            url_settings: url_settings(spec).map(str::to_owned).collect(),
            warehouse: WAREHOUSE,
            privileges: privileges(app)
                .map(|(name, text)| Privilege { name, description: texts.take(name, text) })
                .collect(),
            secrets: secrets(&spec.settings, &mut texts),
            streams: spec
                .streams
                .iter()
                .map(|stream| Stream {
                    name: stream.name.clone(),
                    is_default: stream.is_default,
                    is_source_wide: stream.is_source_wide,
                    requires: stream.requires().map(Into::into),
                    has_table: stream.has_table(),
                    columns: stream.declared_columns().map(|(name, _)| name.to_owned()).collect(),
                    is_inferred: stream.inference.members || !stream.inference.below.is_empty(),
                })
                .collect(),
            sole_stream: spec.sole_stream().map(Into::into),
            schema: inline_references(spec.settings.schema().as_value().clone()),
            state_sql: STATE_SQL,
            usage_sql: USAGE_SQL.trim_end(),
            options: SnowflakeOptions::app_schema(),
            longest_text: LONGEST_TEXT,
            external_access_text: match &external_access {
                Some(name) => texts.take(
                    name,
                    &format!("Allows the container to connect to {}, and to no other host.", hosts_in_words(spec)),
                ),
                None => String::new(),
            },
            external_access,
            warehouse_text: texts.take(WAREHOUSE, "Merges the data into your tables."),
            imports,
            artifacts,
        };
        texts.reject_unused(&context)?;
        Ok(context)
    }

    /// The privileges and references that a text can explain.
    fn names_with_texts(&self) -> impl Iterator<Item = &str> {
        let privileges = self.privileges.iter().map(|privilege| privilege.name);
        let secrets = self.secrets.iter().map(|secret| secret.name.as_str());
        privileges.chain(secrets).chain(self.external_access.as_deref()).chain([self.warehouse])
    }
}

/// The given texts that are not used yet.
struct Texts(BTreeMap<String, String>);

impl Texts {
    fn take(&mut self, of: &str, default: &str) -> String {
        self.0.remove(of).unwrap_or_else(|| default.to_owned())
    }

    fn reject_unused(self, context: &Context) -> Result<()> {
        match self.0.into_keys().next() {
            None => Ok(()),
            Some(name) => {
                Err(Error::configuration(format!("the app does not request {name:?}, so its text would not be shown"))
                    .with_help(format!("it requests {}", context.names_with_texts().collect::<Vec<_>>().join(", "))))
            }
        }
    }
}

fn secrets(settings: &SettingsSchema, texts: &mut Texts) -> Vec<Secret> {
    let secret = |name: &str| Secret {
        name: name.to_owned(),
        label: label(name),
        description: texts.take(name, &description(settings, name)),
    };
    settings.names().filter(|name| settings.is_secret(name)).map(secret).collect()
}

/// The description of a setting, in one line.
fn description(settings: &SettingsSchema, name: &str) -> String {
    let property = settings.property(name).ok();
    let text = property.and_then(|property| property.get("description")?.as_str()).unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `private_key`: Private key.
fn label(name: &str) -> String {
    let mut letters = name.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(letters).map(|c| if c == '_' { ' ' } else { c }).collect()
}

/// Inlines the definitions of a schema. Recursive ones stay in `$defs`.
fn inline_references(mut schema: Value) -> Value {
    let Some(Value::Object(definitions)) = schema.as_object_mut().and_then(|members| members.remove("$defs")) else {
        return schema;
    };
    let mut schema = resolve(&schema, &definitions, &[]);
    if let Some(members) = schema.as_object_mut().filter(|members| members.values().any(has_reference)) {
        members.insert("$defs".into(), Value::Object(definitions));
    }
    schema
}

fn has_reference(schema: &Value) -> bool {
    match schema {
        Value::Object(members) => members.contains_key("$ref") || members.values().any(has_reference),
        Value::Array(items) => items.iter().any(has_reference),
        _ => false,
    }
}

/// Resolves the references in a schema. `within` lists the enclosing definitions; a reference to one of them is recursive and stays.
fn resolve(schema: &Value, definitions: &Map<String, Value>, within: &[&str]) -> Value {
    match schema {
        Value::Object(members) => {
            let name = members.get("$ref").and_then(Value::as_str).and_then(|path| path.strip_prefix("#/$defs/"));
            let found = name.filter(|name| !within.contains(name)).and_then(|name| definitions.get_key_value(name));
            let mut all = Map::new();
            if let Some((name, definition)) = found
                && let Value::Object(members) = resolve(definition, definitions, &[within, &[name.as_str()]].concat())
            {
                all = members;
            }
            // Keywords beside `$ref`, such as a description, override those of the definition.
            let own = members.iter().filter(|(key, _)| found.is_none() || *key != "$ref");
            all.extend(own.map(|(key, value)| (key.clone(), resolve(value, definitions, within))));
            Value::Object(all)
        }
        Value::Array(items) => items.iter().map(|item| resolve(item, definitions, within)).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn references_are_replaced_by_their_definitions() {
        let schema = inline_references(json!({
            "$defs": {
                "Detail": {"oneOf": [{"const": "full", "type": "string"}, {"$ref": "#/$defs/Short"}], "description": "A type."},
                "Short": {"const": "short", "type": "string"},
            },
            "properties": {
                "detail": {"$ref": "#/$defs/Detail", "default": "full", "description": "A setting."},
                "perhaps": {"anyOf": [{"$ref": "#/$defs/Short"}, {"type": "null"}], "default": null},
            },
        }));
        let short = json!({"const": "short", "type": "string"});
        let detail = json!({
            "oneOf": [{"const": "full", "type": "string"}, short],
            "default": "full",
            "description": "A setting.",
        });
        let perhaps = json!({"anyOf": [short, {"type": "null"}], "default": null});
        assert_eq!(schema, json!({"properties": {"detail": detail, "perhaps": perhaps}}));
    }

    #[test]
    fn a_recursive_or_dangling_reference_stays() {
        let inner = json!({"$ref": "#/$defs/Filter"});
        let definitions = json!({"Filter": {"type": "object", "properties": {"not": inner}}});
        let schema = inline_references(json!({
            "$defs": definitions,
            "properties": {"filter": inner, "other": {"$ref": "#/$defs/Missing"}},
        }));
        let filter = json!({"type": "object", "properties": {"not": inner}});
        let properties = json!({"filter": filter, "other": {"$ref": "#/$defs/Missing"}});
        assert_eq!(schema, json!({"$defs": definitions, "properties": properties}));
    }
}
