//! The effects of statements on an account.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};

use super::sql_tokens::{Tokens, target};
use super::{
    AccountContents, AccountObject, Package, Pool, SqlError, State, absent, exists, files, invalid, limits, text_result,
};

impl State {
    pub(super) fn change(&mut self, sql: &str) -> Result<Value, SqlError> {
        let mut words = Tokens::of(sql);
        if words.eat("SELECT CURRENT_ROLE") {
            return Ok(text_result("TESTER"));
        }
        if words.eat("SELECT SYSTEM$ALLOWLIST") {
            let hosts = json!([{ "type": "SNOWSIGHT_DEPLOYMENT", "host": "app.invalid", "port": 443 }]);
            return Ok(super::table(&["RESULT"], vec![vec![hosts.to_string()]]));
        }
        if sql.contains("CONNECTOR_OVERVIEW") {
            let columns = ["HEALTH", "SINCE", "CAUSE_CODE", "CAUSE", "HELP", "COMPLETE_UP_TO"];
            let row = self.health.iter().map(|row| row.iter().map(|cell| (*cell).to_owned()).collect()).collect();
            return Ok(super::table(&columns, row));
        }
        if words.eat("SELECT") || words.eat("USE") {
            return Ok(super::table(&["RESULT"], vec![vec!["ANYTHING".to_owned()]]));
        }
        if words.eat("CREATE") {
            return self.create(words, sql);
        }
        if words.eat("PUT") {
            return self.put(sql);
        }
        if words.eat("REMOVE") || words.eat("RM") {
            return self.remove(sql);
        }
        if words.eat("CALL") {
            return self.call(words);
        }
        if words.eat("ALTER") {
            return self.alter(words, sql);
        }
        if words.eat("GRANT") {
            return self.grant(words);
        }
        if words.eat("DROP") {
            return self.drop(words);
        }
        Err(super::unknown(sql))
    }

    fn create(&mut self, mut words: Tokens, sql: &str) -> Result<Value, SqlError> {
        let replaces = words.eat("OR REPLACE");
        let alters = words.eat("OR ALTER");
        let kinds = [
            "APPLICATION PACKAGE",
            "APPLICATION",
            "DATABASE",
            "SCHEMA",
            "STAGE",
            "IMAGE REPOSITORY",
            "SECRET",
            "NETWORK RULE",
            "EXTERNAL ACCESS INTEGRATION",
            "COMPUTE POOL",
        ];
        let kind = *kinds.iter().find(|kind| words.eat(kind)).unwrap_or_else(|| panic!("{sql}"));
        let unless = words.eat("IF NOT EXISTS");
        if replaces && unless {
            return Err(("001003".into(), "42000", "OR REPLACE and IF NOT EXISTS exclude each other".into()));
        }
        let quoted = words.is_quoted();
        let path = words.path();
        let comment = words.one("COMMENT");
        let contents = &mut self.contents;
        let parent = path.rsplit_once('.').map(|(parent, _)| parent.to_owned());
        match kind {
            "APPLICATION PACKAGE" if !contents.packages.contains_key(&path) => {
                let channels = words.one("ENABLE_RELEASE_CHANNELS") == "TRUE";
                contents.packages.insert(path, Package { comment, channels, ..Package::default() });
            }
            "APPLICATION" => return self.create_application(path, words),
            "DATABASE" if !contents.databases.contains(&path) => {
                contents.schemas.insert(format!("{path}.PUBLIC"));
                contents.databases.insert(path);
            }
            "SCHEMA" => {
                let path = parent
                    .map_or_else(|| format!("{}.{path}", contents.packages.keys().next().unwrap()), |_| path.clone());
                let database = path.rsplit_once('.').unwrap().0;
                if !contents.packages.contains_key(database) && !contents.databases.contains(database) {
                    return Err(absent("Database"));
                }
                if !contents.schemas.insert(path.clone()) && !unless {
                    return Err(exists(&path));
                }
            }
            "STAGE" => {
                assert!(sql.to_uppercase().contains("ENCRYPTION = (TYPE = 'SNOWFLAKE_SSE')"), "{sql}");
                // Snowflake's own command line has selected the schema before.
                let path = if parent.is_some() {
                    path
                } else {
                    format!("{}.{path}", contents.schemas.iter().find(|s| s.ends_with(".APP_SRC")).unwrap())
                };
                if !contents.schemas.contains(path.rsplit_once('.').unwrap().0) {
                    return Err(absent("Schema"));
                }
                contents.stages.insert(path);
            }
            "IMAGE REPOSITORY" if quoted => return Err(invalid("an image repository's path cannot have quotes")),
            "IMAGE REPOSITORY" if !contents.schemas.contains(parent.as_deref().unwrap_or_default()) => {
                return Err(absent("Schema"));
            }
            "IMAGE REPOSITORY" if !contents.repositories.contains_key(&path) => {
                let registry = self.registry.as_deref().unwrap_or("registry.invalid");
                let url = format!("{registry}/{}", path.to_lowercase().replace('.', "/"));
                contents.repositories.insert(path, url);
            }
            "COMPUTE POOL" if !contents.pools.contains_key(&path) => {
                contents.pools.insert(path, Pool { owner: "TESTER".into(), ..Pool::default() });
            }
            "APPLICATION PACKAGE" | "DATABASE" | "IMAGE REPOSITORY" | "COMPUTE POOL" => {
                if !unless {
                    return Err(exists(&path));
                }
            }
            kind => {
                if !contents.schemas.contains(&parent.unwrap_or_default()) && kind != "EXTERNAL ACCESS INTEGRATION" {
                    return Err(absent("Schema"));
                }
                let object = match kind {
                    "SECRET" => secret(&words, comment)?,
                    "NETWORK RULE" => rule(&words, comment)?,
                    _ => AccountObject {
                        comment,
                        value: contents.allowed(&words, "none", "[]")?,
                        ..AccountObject::default()
                    },
                };
                let objects = contents.objects(kind);
                match objects.get(&path) {
                    Some(_) if unless => {}
                    Some(known) if alters && (&known.kind, &known.mode) != (&object.kind, &object.mode) => {
                        return Err(invalid("TYPE and MODE of a network rule cannot be changed"));
                    }
                    Some(_) if !alters && !replaces => return Err(exists(&path)),
                    _ => drop(objects.insert(path, object)),
                }
            }
        }
        Ok(text_result("created"))
    }

    fn put(&mut self, sql: &str) -> Result<Value, SqlError> {
        let (_, file) = sql.split_once("file://").unwrap();
        let file = file.split(['\'', ' ', '\n']).next().unwrap();
        let (stage, path) = target(sql);
        if !self.contents.stages.contains(&stage) {
            return Err(absent("Stage"));
        }
        let folder = self.stage(&stage).join(path);
        fs::create_dir_all(&folder).unwrap();
        let location = format!("{}/", folder.display());
        Ok(json!({
            "queryId": "the-query", "command": "UPLOAD", "operation": "Node", "src_locations": [file], "parallel": 1,
            "autoCompress": false, "sourceCompression": "none", "overwrite": true, "threshold": 1_000_000,
            "stageInfo": { "locationType": "LOCAL_FS", "location": location, "creds": {}, "isClientSideEncrypted": false },
        }))
    }

    fn remove(&mut self, sql: &str) -> Result<Value, SqlError> {
        let (stage, path) = target(sql);
        for (file, place) in files(&self.stage(&stage)) {
            // Everything with this path prefix.
            if file.starts_with(&path) {
                fs::remove_file(place).unwrap();
            }
        }
        Ok(text_result("removed"))
    }

    fn call(&mut self, mut words: Tokens) -> Result<Value, SqlError> {
        let path = words.path();
        if path.starts_with("SYSTEM$VALIDATE_NATIVE_APP_SETUP") {
            let sound = json!({ "status": "SUCCESS", "errors": [], "warnings": [] });
            return Ok(text_result(&self.validation.clone().unwrap_or(sound).to_string()));
        }
        if path == "SYSTEM$BOOTSTRAP_DATA_REQUEST" {
            return Ok(text_result(&json!({ "clientParamsInfo": [] }).to_string()));
        }
        self.call_application(&path, words)
    }

    fn alter(&mut self, mut words: Tokens, sql: &str) -> Result<Value, SqlError> {
        let contents = &mut self.contents;
        if words.eat("SESSION") {
            return Ok(text_result("Statement executed successfully."));
        }
        if words.eat("SECRET") {
            let secret = contents.secrets.get_mut(&words.path()).ok_or_else(|| absent("Secret"))?;
            if secret.kind != "GENERIC_STRING" {
                return Err(invalid(format!("SECRET_STRING is no property of a secret of TYPE = {}", secret.kind)));
            }
            secret.value = words.one("SECRET_STRING");
            return Ok(text_result("altered"));
        }
        if words.eat("NETWORK RULE") {
            let rule = contents.rules.get_mut(&words.path()).ok_or_else(|| absent("Rule"))?;
            rule.value = values(&words, &rule.kind)?;
            return Ok(text_result("altered"));
        }
        if words.eat("EXTERNAL ACCESS INTEGRATION") {
            let path = words.path();
            let known = contents.integrations.get(&path).ok_or_else(|| absent("Integration"))?.value.clone();
            let (rules, secrets) = known.split_once('|').unwrap();
            let value = contents.allowed(&words, secrets, rules)?;
            contents.integrations.get_mut(&path).unwrap().value = value;
            return Ok(text_result("altered"));
        }
        if words.eat("APPLICATION PACKAGE") {
            return self.alter_package(words, sql);
        }
        assert!(words.eat("APPLICATION"), "{sql}");
        self.alter_application(words)
    }

    fn drop(&mut self, mut words: Tokens) -> Result<Value, SqlError> {
        if words.eat("APPLICATION PACKAGE") {
            words.eat("IF EXISTS");
            self.contents.packages.remove(&words.path());
            return Ok(text_result("dropped"));
        }
        if words.eat("APPLICATION") {
            return self.drop_application(words);
        }
        if words.eat("COMPUTE POOL") {
            return self.drop_pool(words);
        }
        let kind = ["INTEGRATION", "SECRET", "NETWORK RULE"].into_iter().find(|kind| words.eat(kind)).unwrap();
        words.eat("IF EXISTS");
        self.contents.objects(kind).remove(&words.path());
        Ok(text_result("dropped"))
    }
}

impl AccountContents {
    fn objects(&mut self, kind: &str) -> &mut BTreeMap<String, AccountObject> {
        match kind {
            "SECRET" => &mut self.secrets,
            "NETWORK RULE" => &mut self.rules,
            _ => &mut self.integrations,
        }
    }

    /// The rules and secrets that an integration allows; each must exist.
    fn allowed(&self, words: &Tokens, secrets: &str, rules: &str) -> Result<String, SqlError> {
        let given = |name: &str| words.option(name);
        let rules = match given("ALLOWED_NETWORK_RULES") {
            None => rules.to_owned(),
            Some(names) => {
                for name in &names {
                    let rule = self.rules.get(name).ok_or_else(|| absent(&format!("Network rule '{name}'")))?;
                    if rule.mode != "EGRESS" {
                        return Err(invalid("only egress rules may be allowed by an external access integration"));
                    }
                }
                format!("[{}]", names.join(","))
            }
        };
        let secrets = match given("ALLOWED_AUTHENTICATION_SECRETS") {
            None => secrets.to_owned(),
            Some(names) if matches!(names.as_slice(), [one] if matches!(one.as_str(), "NONE" | "ALL")) => {
                names[0].to_lowercase()
            }
            Some(names) => {
                for name in &names {
                    self.secrets.get(name).ok_or_else(|| absent(&format!("Secret '{name}'")))?;
                }
                format!("[{}]", names.join(","))
            }
        };
        Ok(format!("{rules}|{secrets}"))
    }
}

/// A secret: each type has its own properties, and requires them.
fn secret(words: &Tokens, comment: String) -> Result<AccountObject, SqlError> {
    let kind = words.one("TYPE");
    let needs: &[&str] = match kind.as_str() {
        "GENERIC_STRING" => &["SECRET_STRING"],
        "PASSWORD" => &["USERNAME", "PASSWORD"],
        "OAUTH2" | "CLOUD_PROVIDER_TOKEN" => &["API_AUTHENTICATION"],
        "SYMMETRIC_KEY" => &["ALGORITHM"],
        "WORKLOAD_IDENTITY_FEDERATION" => &[],
        _ => return Err(invalid(format!("no secret is of TYPE = {kind}"))),
    };
    if let Some(missing) = needs.iter().find(|name| words.option(name).is_none()) {
        return Err(invalid(format!("{missing} is missing for a secret of TYPE = {kind}")));
    }
    Ok(AccountObject { comment, value: words.one("SECRET_STRING"), kind, mode: String::new() })
}

/// A network rule: its values must fit its type, and its type its mode.
fn rule(words: &Tokens, comment: String) -> Result<AccountObject, SqlError> {
    let (kind, mode) = (words.one("TYPE"), words.one("MODE"));
    if kind == "HOST_PORT" && mode != "EGRESS" {
        return Err(invalid("a network rule of TYPE = HOST_PORT needs MODE = EGRESS"));
    }
    Ok(AccountObject { comment, value: values(words, &kind)?, kind, mode })
}

fn values(words: &Tokens, kind: &str) -> Result<String, SqlError> {
    let values = words.option("VALUE_LIST").ok_or_else(|| invalid("VALUE_LIST is missing"))?;
    if kind == "HOST_PORT" {
        values.iter().try_for_each(|value| limits::host(value))?;
    }
    Ok(values.join(","))
}
