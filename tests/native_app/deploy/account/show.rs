//! SHOW and DESCRIBE in an account.

use std::fs;

use md5::{Digest, Md5};
use serde_json::Value;

use super::sql_tokens::{Token, Tokens, target};
use super::{InstalledFrom, SqlError, State, absent, files, table};

fn row(cells: &[&str]) -> Vec<String> {
    cells.iter().map(|cell| (*cell).to_owned()).collect()
}

/// The scope after IN.
fn scope(words: &mut Tokens) -> String {
    let mut rest = words.clone();
    let mut place = String::new();
    while let Some(word) = rest.next() {
        if word == Token::Name("IN".into()) {
            let _ = rest.eat("SCHEMA") || rest.eat("DATABASE");
            place = rest.path();
        }
    }
    place
}

/// Whether a name matches a pattern, by the rules of `LIKE`.
fn matches(name: &str, pattern: &str) -> bool {
    match (name.chars().next(), pattern.chars().next()) {
        (_, Some('%')) => {
            matches(name, &pattern[1..]) || name.chars().next().is_some_and(|c| matches(&name[c.len_utf8()..], pattern))
        }
        (Some(c), Some(p)) if p == '_' || c.eq_ignore_ascii_case(&p) => {
            matches(&name[c.len_utf8()..], &pattern[p.len_utf8()..])
        }
        (None, None) => true,
        _ => false,
    }
}

impl State {
    pub(super) fn show(&mut self, sql: &str) -> Result<Value, SqlError> {
        let mut words = Tokens::of(sql);
        words.next();
        if words.eat("RELEASE CHANNELS IN APPLICATION PACKAGE") {
            return self.channels(&words.path());
        }
        let contents = &self.contents;
        if words.eat("APPLICATION PACKAGES") {
            let rows =
                contents.packages.iter().map(|(name, package)| row(&[name, "TESTER", &package.comment, "INTERNAL"]));
            return Ok(table(&["name", "owner", "comment", "distribution"], rows.collect()));
        }
        if words.eat("APPLICATIONS") {
            let rows = contents.applications.iter().map(|(name, app)| {
                row(&[
                    name,
                    "TESTER",
                    &app.comment,
                    &app.source,
                    &app.version,
                    &app.patch.to_string(),
                    "COMPLETE",
                    "2026-01-01",
                ])
            });
            let columns =
                ["name", "owner", "comment", "source", "version", "patch", "upgrade_state", "last_upgraded_on"];
            return Ok(table(&columns, rows.collect()));
        }
        if words.eat("APPLICATION PACKAGE") {
            let package = contents.packages.get(&words.path()).ok_or_else(|| absent("Package"))?;
            let rows =
                vec![row(&["name", "it"]), row(&["distribution", "INTERNAL"]), row(&["comment", &package.comment])];
            return Ok(table(&["property", "value"], rows));
        }
        if words.eat("APPLICATION") {
            let app = contents.applications.get(&words.path()).ok_or_else(|| absent("Application"))?;
            let mut rows = vec![row(&["version", &app.version]), row(&["release_channel_name", "DEFAULT"])];
            if let Some((version, patch)) = &app.previous {
                rows.push(row(&["previous_version", version]));
                rows.push(row(&["previous_patch", &patch.to_string()]));
                rows.push(row(&["previous_version_state", "FINALIZING"]));
            }
            return Ok(table(&["property", "value"], rows));
        }
        if words.eat("RELEASE DIRECTIVES IN APPLICATION PACKAGE") {
            let package = contents.packages.get(&words.path()).ok_or_else(|| absent("Package"))?;
            let rows = package
                .released
                .iter()
                .map(|(version, patch)| row(&["DEFAULT", version, &patch.to_string(), "DEFAULT"]));
            return Ok(table(&["name", "version", "patch", "release_channel"], rows.collect()));
        }
        if words.eat("VERSIONS") {
            let like = if words.eat("LIKE") { Some(words.text()) } else { None };
            assert!(words.eat("IN APPLICATION PACKAGE"), "{sql}");
            let package = contents.packages.get(&words.path()).ok_or_else(|| absent("Package"))?;
            let versions = package
                .versions
                .iter()
                .filter(|(name, ..)| like.as_ref().is_none_or(|like| like.replace("\\_", "_") == *name));
            let rows =
                versions.map(|(name, patch, label)| row(&[name, &patch.to_string(), label, "READY", "NOT_REVIEWED"]));
            return Ok(table(&["version", "patch", "label", "state", "review_status"], rows.collect()));
        }
        if words.eat("STAGES") {
            return self.in_schema(words, contents.stages.iter().map(|path| (path.as_str(), "")));
        }
        if words.eat("SCHEMAS") {
            return self.in_schema(words, contents.schemas.iter().map(|path| (path.as_str(), "")));
        }
        if words.eat("DATABASES") {
            return Ok(table(&["name"], contents.databases.iter().map(|name| row(&[name])).collect()));
        }
        if words.eat("SECRETS") {
            let objects = contents.secrets.iter().map(|(path, object)| (path.as_str(), object.comment.as_str()));
            let place = scope(&mut words);
            let mut answer = self.in_schema(words, objects)?;
            for row in answer["rowset"].as_array_mut().unwrap() {
                let path = format!("{place}.{}", row[0].as_str().unwrap());
                row.as_array_mut().unwrap().push(contents.secrets[&path].kind.clone().into());
            }
            let column = answer["rowtype"][0].clone();
            answer["rowtype"].as_array_mut().unwrap().push(column);
            answer["rowtype"][2]["name"] = "secret_type".into();
            return Ok(answer);
        }
        if words.eat("NETWORK RULES") {
            return self.in_schema(
                words,
                contents.rules.iter().map(|(path, object)| (path.as_str(), object.comment.as_str())),
            );
        }
        if words.eat("NETWORK RULE") {
            let rule = contents.rules.get(&words.path()).ok_or_else(|| absent("Rule"))?;
            return Ok(table(&["type", "mode", "value_list"], vec![row(&[&rule.kind, &rule.mode, &rule.value])]));
        }
        if words.eat("IMAGE REPOSITORIES") {
            let url = |path: &str| contents.repositories.get(path).cloned().unwrap_or_default();
            let mut answer =
                self.in_schema(words, contents.repositories.keys().map(|path| (path.as_str(), path.as_str())))?;
            for row in answer["rowset"].as_array_mut().unwrap() {
                row[1] = url(row[1].as_str().unwrap()).into();
            }
            answer["rowtype"][1]["name"] = "repository_url".into();
            return Ok(answer);
        }
        if words.eat("EXTERNAL ACCESS INTEGRATIONS") {
            let rows = contents.integrations.iter().map(|(name, object)| row(&[name, &object.comment]));
            return Ok(table(&["name", "comment"], rows.collect()));
        }
        if words.eat("EXTERNAL ACCESS INTEGRATION") {
            let integration = contents.integrations.get(&words.path()).ok_or_else(|| absent("Integration"))?;
            let (rules, secrets) = integration.value.split_once('|').unwrap();
            let rows = vec![
                row(&["ENABLED", "Boolean", "true"]),
                row(&["ALLOWED_NETWORK_RULES", "List", rules]),
                row(&["ALLOWED_AUTHENTICATION_SECRETS", "List", secrets]),
            ];
            return Ok(table(&["property", "property_type", "property_value"], rows));
        }
        if words.eat("PRIVILEGES IN APPLICATION") {
            let app = contents.applications.get(&words.path()).ok_or_else(|| absent("Application"))?;
            let rows = app.privileges.iter().map(|(name, granted)| row(&[name, &granted.to_string()]));
            return Ok(table(&["privilege", "is_granted"], rows.collect()));
        }
        if words.eat("REFERENCES IN APPLICATION") {
            let app = contents.applications.get(&words.path()).ok_or_else(|| absent("Application"))?;
            let rows = self.references.iter().map(|name| {
                let object = app.references.get(name).map_or("", String::as_str);
                row(&[&name.to_uppercase(), object.rsplit('.').next().unwrap_or_default()])
            });
            return Ok(table(&["name", "object_name"], rows.collect()));
        }
        if words.eat("GRANTS OF APPLICATION ROLE") {
            let path = words.path();
            let (name, role) = path.rsplit_once('.').unwrap();
            let app = contents.applications.get(name).ok_or_else(|| absent("Application"))?;
            let grants = app.roles.iter().filter(|(granted, _)| granted == role);
            return Ok(table(&["granted_to", "grantee_name"], grants.map(|(_, to)| row(&["ROLE", to])).collect()));
        }
        if words.eat("OBJECTS OWNED BY APPLICATION") {
            let app = contents.applications.get(&words.path()).ok_or_else(|| absent("Application"))?;
            return Ok(table(&["name", "type"], app.owned.iter().map(|(kind, name)| row(&[name, kind])).collect()));
        }
        if words.eat("TELEMETRY EVENT DEFINITIONS IN APPLICATION") {
            return Ok(table(&["name", "type", "sharing", "status"], Vec::new()));
        }
        if words.eat("COMPUTE POOLS") {
            let like = if words.eat("LIKE") { words.text().to_uppercase() } else { "%".to_owned() };
            let pools = contents.pools.iter().filter(|(name, _)| matches(name, &like));
            let rows = pools.map(|(name, pool)| {
                let (services, jobs) = (pool.services.to_string(), pool.jobs.to_string());
                let application = pool.application.as_deref().unwrap_or_default();
                let is_exclusive = pool.application.is_some().to_string();
                row(&[name, "IDLE", &services, &jobs, &pool.owner, &is_exclusive, application])
            });
            let columns = ["name", "state", "num_services", "num_jobs", "owner", "is_exclusive", "application"];
            return Ok(table(&columns, rows.collect()));
        }
        Err(super::unknown(sql))
    }

    /// The release channels of a package. Dropped versions leave after enough polls.
    fn channels(&mut self, path: &str) -> Result<Value, SqlError> {
        let installed =
            self.contents.applications.values().filter(|app| app.source == path && app.from == InstalledFrom::Release);
        let used: Vec<String> = installed.map(|app| app.version.clone()).collect();
        let package = self.contents.packages.get_mut(path).ok_or_else(|| absent("Package"))?;
        package.poll_channel(&used);
        let versions = serde_json::to_string(&package.channel).unwrap();
        let rows = if package.channels { vec![row(&["DEFAULT", &versions, "", ""])] } else { Vec::new() };
        Ok(table(&["name", "versions", "targets", "created_on"], rows))
    }

    /// Objects of a schema, or schemas of a database, which must exist.
    fn in_schema<'a>(
        &self,
        mut words: Tokens,
        objects: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Result<Value, SqlError> {
        let place = scope(&mut words);
        let contents = &self.contents;
        let is_place = contents.schemas.contains(&place)
            || contents.databases.contains(&place)
            || contents.packages.contains_key(&place)
            || place.is_empty();
        if !is_place {
            let what = "SQL compilation error: Object does not exist, or operation cannot be performed.";
            return Err(("002043".into(), "02000", what.into()));
        }
        let within = objects.filter_map(|(path, comment)| {
            let (schema, name) = path.rsplit_once('.')?;
            (schema == place).then(|| row(&[name, comment]))
        });
        Ok(table(&["name", "comment"], within.collect()))
    }

    pub(super) fn list(&self, sql: &str) -> Result<Value, SqlError> {
        let (stage, path) = target(sql);
        if !self.contents.stages.contains(&stage) {
            return Err(absent("Stage"));
        }
        let rows =
            files(&self.stage(&stage)).into_iter().filter(|(file, _)| file.starts_with(&path)).map(|(file, place)| {
                let bytes = fs::read(place).unwrap();
                let digest: String = Md5::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
                row(&[&format!("stage/{file}"), &bytes.len().to_string(), &digest, "Mon, 1 Jan 2026 00:00:00 GMT"])
            });
        Ok(table(&["name", "size", "md5", "last_modified"], rows.collect()))
    }
}
