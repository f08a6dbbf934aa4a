//! Decides which credential may be sent where. An attacker who can write the configuration store, or plant a database, could otherwise
//! send the credentials of the user to a server of their own. So a credential is sent only to servers that it was given for.
//!
//! [Overrides](super::Connector::with_settings) are trusted: `--set`, the environment, a file of `--config`. So are a setting's
//! default and, for a credential, the source's own variable (`GITHUB_TOKEN`). Any other stored setting that decides where a
//! credential is sent, or which credential, must have been [provisioned](super::Connector::provision) by someone who had that
//! credential. Then the store holds a proof: a function of the setting and the credential, which does not reveal the credential.

use std::collections::BTreeSet;

use pbkdf2::pbkdf2_hmac_array;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};
use sha2::Sha256;

use crate::{Error, Result, SecretRef, SourceSpec};

/// The key in [`Namespace::Connector`](crate::Namespace::Connector) under which the proofs are stored.
pub(super) const BINDINGS_KEY: &str = "bindings";

/// The rounds of PBKDF2. They slow down guessing a short password from a proof.
const ROUNDS: u32 = 50_000;

/// The use of a stored setting with a credential.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct CredentialUse {
    /// The setting that refers to the credential.
    credential: String,
    reference: String,
    /// The stored setting; it may be the same one.
    setting: String,
    /// Its value, as JSON.
    value: String,
}

/// Lists the uses of credentials with settings that are stored rather than overridden.
pub(super) fn stored_uses(
    spec: &SourceSpec,
    stored: &Map<String, Value>,
    overrides: &Map<String, Value>,
) -> Vec<CredentialUse> {
    let mut merged = stored.clone();
    spec.settings.merge(&mut merged, overrides.clone());
    let overridden: BTreeSet<String> = leaves(overrides).into_iter().map(|(name, _)| name).collect();
    let leaves = leaves(&merged);
    let is_stored = |name: &str| !overridden.contains(name);
    let is_redirect = |name: &str, value: &Value| {
        is_stored(name)
            && !spec.settings.is_secret(name)
            && spec.settings.is_route(name, value)
            && !is_default(spec, name, value)
    };
    let routes: Vec<&(String, &Value)> = leaves.iter().filter(|(name, value)| is_redirect(name, value)).collect();
    let mut uses = Vec::new();
    for (credential, value) in &leaves {
        for reference in references(value) {
            let new = |setting: &str, value: &Value| CredentialUse {
                credential: credential.clone(),
                reference: reference.to_owned(),
                setting: setting.to_owned(),
                value: value.to_string(),
            };
            if is_stored(credential) && reference != format!("env:{}", spec.variable(credential)) {
                uses.push(new(credential, value));
            }
            uses.extend(routes.iter().map(|(name, value)| new(name, value)));
        }
    }
    uses
}

/// The settings that have a value, by their dotted names.
fn leaves(values: &Map<String, Value>) -> Vec<(String, &Value)> {
    fn add<'v>(within: &str, values: &'v Map<String, Value>, into: &mut Vec<(String, &'v Value)>) {
        for (name, value) in values {
            match value {
                Value::Null => {}
                Value::Object(fields) => add(&format!("{within}{name}."), fields, into),
                value => into.push((format!("{within}{name}"), value)),
            }
        }
    }
    let mut found = Vec::new();
    add("", values, &mut found);
    found
}

/// The references to secrets in a value. It may be a list of structs.
fn references(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) if text.parse::<SecretRef>().is_ok() => vec![text],
        Value::Array(entries) => entries.iter().flat_map(references).collect(),
        Value::Object(fields) => fields.values().flat_map(references).collect(),
        _ => Vec::new(),
    }
}

/// Whether a setting has its default value. A trailing slash of a URL makes no difference.
fn is_default(spec: &SourceSpec, name: &str, value: &Value) -> bool {
    let trimmed = |value: &Value| value.as_str().map(|text| text.trim_end_matches('/').to_owned());
    match spec.settings.default_of(name) {
        Some(default) => default == *value || trimmed(&default).is_some_and(|text| Some(text) == trimmed(value)),
        None => false,
    }
}

impl CredentialUse {
    /// Creates the proof, which requires the credential.
    fn proof(&self, source: &str, secret: &SecretString) -> String {
        let Self { credential, reference, setting, value } = self;
        let subject = json!(["snowfeed binding", source, credential, reference, setting, value]).to_string();
        let proof = pbkdf2_hmac_array::<Sha256, 32>(secret.expose_secret().as_bytes(), subject.as_bytes(), ROUNDS);
        proof.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn secret(&self) -> Result<SecretString> {
        self.reference.parse::<SecretRef>()?.resolve()
    }

    /// Rejects this use.
    fn refuse(&self, spec: &SourceSpec) -> Error {
        let Self { credential, reference, setting, value } = self;
        let text = value.trim_matches('"');
        let message = if credential == setting {
            format!(
                "the stored setting `{setting}` refers to a credential that was not given to this connector: {reference}"
            )
        } else {
            format!(
                "the credential {reference} (`{credential}`) was not given for the stored setting `{setting}`: {text}"
            )
        };
        Error::configuration(message).with_help(format!(
            "if you trust it, confirm it: `configure {setting}={text}` where the credential can be read, or name it in each call, by \
             `--set`, by the variable {} or by a file of `--config`; else `configure {setting}=` removes it",
            spec.variable(setting)
        ))
    }
}

/// Adds proofs for the settings named in this call. `None`: there is nothing to store.
pub(super) fn bind(
    spec: &SourceSpec,
    uses: &[CredentialUse],
    named: &[(String, Value)],
    stored: Option<&Value>,
) -> Option<Value> {
    let mut names = BTreeSet::new();
    for (name, value) in named {
        let values = Map::from_iter([(name.clone(), value.clone())]);
        names.extend(leaves(&values).into_iter().map(|(name, _)| name));
    }
    let before: BTreeSet<String> = proofs(stored);
    let mut after = before.clone();
    for one in uses.iter().filter(|one| names.contains(&one.setting)) {
        if let Ok(secret) = one.secret() {
            after.insert(one.proof(&spec.name, &secret));
        }
    }
    (after != before).then(|| json!(after))
}

/// Rejects the first use without a proof. `known` are the uses proven in this process: their credentials may have been renewed.
pub(super) fn verify(
    spec: &SourceSpec,
    uses: Vec<CredentialUse>,
    stored: Option<&Value>,
    known: &BTreeSet<CredentialUse>,
) -> Result<Vec<CredentialUse>> {
    let proofs = proofs(stored);
    for one in uses.iter().filter(|one| !known.contains(one)) {
        if proofs.is_empty() || !proofs.contains(&one.proof(&spec.name, &one.secret()?)) {
            return Err(one.refuse(spec));
        }
    }
    Ok(uses)
}

fn proofs(stored: Option<&Value>) -> BTreeSet<String> {
    stored.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use schemars::JsonSchema;
    use serde::Deserialize;

    use super::*;
    use crate::SettingsSchema;

    #[derive(Deserialize, JsonSchema)]
    #[serde(default)]
    #[allow(dead_code, reason = "only its schema and its deserialization matter")]
    struct Example {
        #[schemars(extend("format" = "uri"))]
        api_url: String,
        /// Not declared to be a URL.
        endpoint: Option<String>,
        note: Option<String>,
        page_size: u32,
        token: Option<SecretRef>,
        nested: Option<Nested>,
    }

    #[derive(Default, Deserialize, JsonSchema)]
    #[serde(default)]
    #[allow(dead_code, reason = "only its schema and its deserialization matter")]
    struct Nested {
        server: Option<String>,
        key: Option<SecretRef>,
    }

    impl Default for Example {
        fn default() -> Self {
            let api_url = "https://api.example".into();
            Self { api_url, endpoint: None, note: None, page_size: 1, token: None, nested: None }
        }
    }

    fn spec() -> SourceSpec {
        SourceSpec::new("stars", "1").settings(SettingsSchema::of::<Example>())
    }

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    /// The uses, as `credential>setting`.
    fn uses(stored: Value, overridden: Value) -> Vec<String> {
        let uses = stored_uses(&spec(), &map(stored), &map(overridden));
        uses.iter().map(|one| format!("{}>{}", one.reference, one.setting)).collect()
    }

    #[test]
    fn a_stored_setting_that_routes_a_credential_needs_a_proof() {
        let own = json!({"token": "env:STARS_TOKEN"});
        for stored in [
            json!({"api_url": "http://other"}),
            json!({"endpoint": "other"}),
            json!({"note": "see https://other"}),
            json!({"nested": {"server": "other"}}),
        ] {
            assert_eq!(uses(stored.clone(), own.clone()).len(), 1, "{stored}");
            assert_eq!(uses(stored.clone(), json!({})), [""; 0], "there is no credential: {stored}");
            let mut both = map(stored.clone());
            both.extend(map(own.clone()));
            assert_eq!(uses(json!(both), json!({})).len(), 1, "the source's own variable is stored, too: {stored}");
            let mut overridden = map(own.clone());
            overridden.extend(map(stored.clone()));
            assert_eq!(uses(stored.clone(), json!(overridden)), [""; 0], "the call names it: {stored}");
        }
        for stored in [json!({"api_url": "https://api.example/"}), json!({"page_size": 5, "note": "x"}), json!({})] {
            assert_eq!(uses(stored, own.clone()), [""; 0]);
        }
    }

    #[test]
    fn a_stored_reference_needs_a_proof_unless_it_is_the_sources_own_variable() {
        assert_eq!(uses(json!({"token": "env:STARS_TOKEN"}), json!({})), [""; 0]);
        assert_eq!(uses(json!({"token": "env:AWS_SECRET_ACCESS_KEY"}), json!({})), ["env:AWS_SECRET_ACCESS_KEY>token"]);
        assert_eq!(uses(json!({"nested": {"key": "file:/x"}}), json!({})), ["file:/x>nested.key"]);
        assert_eq!(uses(json!({"token": "env:OTHER"}), json!({"token": "env:OTHER"})), [""; 0]);
        assert_eq!(
            uses(json!({"token": "env:STARS_TOKEN", "api_url": "https://h"}), json!({"token": "file:/t"})),
            ["file:/t>api_url"]
        );
    }

    #[test]
    fn only_the_holder_of_the_credential_can_prove_a_use() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "right").unwrap();
        let token = format!("file:{}", file.path().display());
        let stored = map(json!({"api_url": "https://other", "token": token}));
        let uses = stored_uses(&spec(), &stored, &Map::new());
        assert_eq!(uses.len(), 2);
        let named = [("api_url".to_owned(), json!("https://other"))];
        let first = bind(&spec(), &uses, &named, None).unwrap();
        let none = BTreeSet::new();
        let error = verify(&spec(), uses.clone(), Some(&first), &none).unwrap_err();
        assert!(error.message().contains("`token`"), "the error does not name `token`: {error}");
        let both = bind(&spec(), &uses, &[("token".to_owned(), json!(token))], Some(&first)).unwrap();
        assert!(!both.to_string().contains("right"));
        let known = verify(&spec(), uses.clone(), Some(&both), &none).unwrap().into_iter().collect();

        std::fs::write(file.path(), "renewed-credential").unwrap();
        assert!(verify(&spec(), uses.clone(), Some(&both), &none).is_err(), "a different credential proves nothing");
        assert!(
            verify(&spec(), uses.clone(), Some(&both), &known).is_ok(),
            "a renewed credential keeps its proof in this process"
        );
        std::fs::write(file.path(), "right").unwrap();
        let elsewhere = map(json!({"api_url": "https://evil", "token": token}));
        let moved = stored_uses(&spec(), &elsewhere, &Map::new());
        let error = verify(&spec(), moved, Some(&both), &known).unwrap_err();
        assert!(
            error.message().contains("https://evil") && error.help().unwrap().contains("STARS_API_URL"),
            "{error:?}"
        );
    }
}
