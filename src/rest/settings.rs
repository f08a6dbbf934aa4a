//! The settings of a described source: what its placeholders ask for.

use std::collections::{BTreeMap, BTreeSet};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::address;
use super::api::Api;
use super::reader::plan::ApiPlan;
use super::template::{Placeholder, Template};
use crate::{Error, Result, SecretRef, SettingsSchema};

/// What a setting that stands in the host of a URL may be: a part of a name.
const HOST_PART: &str = "^[A-Za-z0-9_-]+(\\.[A-Za-z0-9_-]+)*$";

/// The schema of the settings: a secret for each one in `auth`, and a text for each other one.
pub(super) fn schema(api: &Api, plan: &ApiPlan) -> Result<SettingsSchema> {
    let is_secret = |name: &&str| api.settings.get(*name).is_none_or(|declared| declared.secret != Some(false));
    let in_auth = plan.auth.iter().flat_map(|auth| auth.secret_templates()).flat_map(settings);
    let secret: BTreeSet<&str> = in_auth.filter(is_secret).collect();
    let urls: BTreeSet<&str> = address::templates(plan).into_iter().filter_map(address::url_setting).collect();
    let hosts: BTreeSet<&str> = address::templates(plan).into_iter().flat_map(address::host_settings).collect();
    let plain = plan
        .streams
        .iter()
        .flat_map(|stream| stream.request.templates().chain(stream.get.iter().flat_map(|get| get.request.templates())));
    let plain = plain.chain(address::templates(plan)).chain(plan.headers.iter().map(|(_, value)| value));
    let plain = plain.chain(plan.auth.iter().flat_map(|auth| auth.plain_templates())).flat_map(settings);
    let names: BTreeSet<&str> =
        secret.iter().copied().chain(plain).chain(api.settings.keys().map(String::as_str)).collect();
    let mut properties = BTreeMap::new();
    let mut required = Vec::new();
    for name in names {
        let mut property = Map::new();
        if secret.contains(name) {
            let reference = SecretRef::json_schema(&mut SchemaGenerator::default());
            property.extend(reference.as_object().cloned().unwrap_or_default());
        } else {
            property.insert("type".into(), "string".into());
            property.insert("minLength".into(), 1.into());
            if urls.contains(name) {
                property.insert("format".into(), "uri".into());
            } else if hosts.contains(name) {
                // It decides where credentials go.
                property.insert("format".into(), "hostname".into());
                property.insert("pattern".into(), HOST_PART.into());
            }
        }
        let declared = api.settings.get(name);
        match declared.and_then(|declared| declared.default.as_ref()) {
            Some(default) => drop(property.insert("default".into(), default.clone().into())),
            None => required.push(name),
        }
        if let Some(help) = declared.and_then(|declared| declared.help.as_ref()) {
            property.insert("description".into(), help.clone().into());
        }
        properties.insert(name, Value::Object(property));
    }
    let schema = json!({ "type": "object", "properties": properties, "required": required });
    let schema =
        Schema::try_from(schema).map_err(|error| Error::internal("the settings have no schema").with_source(error))?;
    Ok(SettingsSchema::from_schema_of(&api.name, schema))
}

fn settings(template: &Template) -> impl Iterator<Item = &str> {
    template.placeholders().filter_map(|placeholder| match placeholder {
        Placeholder::Setting(name) => Some(name.as_str()),
        _ => None,
    })
}
