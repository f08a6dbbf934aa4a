//! The settings of a described source: what its placeholders ask for.

use std::collections::{BTreeMap, BTreeSet};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::api::Api;
use super::reader::plan::ApiPlan;
use super::template::{Part, Placeholder, Template};
use crate::{Error, Result, SecretRef, SettingsSchema};

/// The schema of the settings: a secret for each one in `auth`, and a text for each other one.
pub(super) fn schema(api: &Api, plan: &ApiPlan) -> Result<SettingsSchema> {
    let secret: BTreeSet<&str> = plan.auth.iter().flat_map(|auth| auth.secret_templates()).flat_map(settings).collect();
    let urls: BTreeSet<&str> = url_templates(plan).into_iter().filter_map(url_setting).collect();
    let plain = plan
        .streams
        .iter()
        .flat_map(|stream| stream.request.templates().chain(stream.get.iter().flat_map(|get| get.request.templates())));
    let plain = plain.chain(url_templates(plan)).chain(plan.headers.iter().map(|(_, value)| value));
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
    Ok(SettingsSchema::from_schema(schema))
}

/// The templates of the URLs that the source connects to.
pub(super) fn url_templates(plan: &ApiPlan) -> Vec<&Template> {
    let token_url = plan.auth.iter().flat_map(|auth| match auth {
        super::reader::plan::AuthPlan::Oauth2(oauth2) => Some(&oauth2.token_url),
        _ => None,
    });
    std::iter::once(&plan.base_url).chain(token_url).collect()
}

fn settings(template: &Template) -> impl Iterator<Item = &str> {
    template.placeholders().filter_map(|placeholder| match placeholder {
        Placeholder::Setting(name) => Some(name.as_str()),
        _ => None,
    })
}

/// The setting that holds the scheme and the host of a URL.
fn url_setting(template: &Template) -> Option<&str> {
    match template.parts() {
        [Part::Value(Placeholder::Setting(name))] => Some(name),
        [Part::Value(Placeholder::Setting(name)), Part::Text(path), ..] if path.starts_with('/') => Some(name),
        _ => None,
    }
}
