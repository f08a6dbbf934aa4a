//! What statements do to an account.

use std::fs;

use serde_json::{Value, json};

use super::words::{Words, target};
use super::{Application, Object, Package, Refusal, State, absent, files, said};

impl State {
    pub(super) fn change(&mut self, sql: &str) -> Result<Value, Refusal> {
        let mut words = Words::of(sql);
        if words.eat("SELECT CURRENT_ROLE") {
            return Ok(said("TESTER"));
        }
        if words.eat("SELECT SYSTEM$ALLOWLIST") {
            let hosts = json!([{ "type": "SNOWSIGHT_DEPLOYMENT", "host": "app.invalid", "port": 443 }]);
            return Ok(super::table(&["RESULT"], vec![vec![hosts.to_string()]]));
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

    fn create(&mut self, mut words: Words, sql: &str) -> Result<Value, Refusal> {
        let exists = |name: &str| Err(("002002".to_owned(), "42710", format!("Object '{name}' already exists.")));
        let _ = words.eat("OR ALTER");
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
        ];
        let kind = *kinds.iter().find(|kind| words.eat(kind)).unwrap_or_else(|| panic!("{sql}"));
        let unless = words.eat("IF NOT EXISTS");
        let path = words.path();
        let comment = words.one("COMMENT");
        let world = &mut self.world;
        let parent = path.rsplit_once('.').map(|(parent, _)| parent.to_owned());
        match kind {
            "APPLICATION PACKAGE" => {
                if world.packages.contains_key(&path) {
                    return if unless { Ok(said("exists")) } else { exists(&path) };
                }
                let channels = words.one("ENABLE_RELEASE_CHANNELS") == "TRUE";
                world.packages.insert(path, Package { comment, channels, ..Package::default() });
            }
            "APPLICATION" => {
                if world.applications.contains_key(&path) || world.databases.contains(&path) {
                    return exists(&path);
                }
                let package = if words.eat("FROM APPLICATION PACKAGE") { words.path() } else { String::new() };
                let using = words.eat("USING VERSION").then(|| words.name());
                let version = world.version(&package, using, &mut words)?;
                let privileges = ["CREATE COMPUTE POOL", "CREATE DATABASE", "EXECUTE TASK", "EXECUTE MANAGED TASK"];
                let privileges = privileges.map(|name| (name.to_owned(), self.grants_at_installation)).into();
                let (version, patch) = version;
                world.applications.insert(
                    path,
                    Application { comment, source: package, version, patch, privileges, ..Application::default() },
                );
            }
            "DATABASE" => {
                world.schemas.insert(format!("{path}.PUBLIC"));
                world.databases.insert(path);
            }
            "SCHEMA" => {
                let path = parent
                    .map_or_else(|| format!("{}.{path}", world.packages.keys().next().unwrap()), |_| path.clone());
                let database = path.rsplit_once('.').unwrap().0;
                if !world.packages.contains_key(database) && !world.databases.contains(database) {
                    return Err(absent("Database"));
                }
                world.schemas.insert(path);
            }
            "STAGE" => {
                assert!(sql.to_uppercase().contains("ENCRYPTION = (TYPE = 'SNOWFLAKE_SSE')"), "{sql}");
                // Snowflake's own command line has said before which schema it means.
                let path = if parent.is_some() {
                    path
                } else {
                    format!("{}.{path}", world.schemas.iter().find(|s| s.ends_with(".APP_SRC")).unwrap())
                };
                if !world.schemas.contains(path.rsplit_once('.').unwrap().0) {
                    return Err(absent("Schema"));
                }
                world.stages.insert(path);
            }
            "IMAGE REPOSITORY" => {
                let url = format!("registry.invalid/{}", path.to_lowercase().replace('.', "/"));
                world.repositories.insert(path, url);
            }
            kind => {
                if !world.schemas.contains(&parent.unwrap_or_default()) && kind != "EXTERNAL ACCESS INTEGRATION" {
                    return Err(absent("Schema"));
                }
                let (objects, value) = match kind {
                    "SECRET" => (&mut world.secrets, words.one("SECRET_STRING")),
                    "NETWORK RULE" => (&mut world.rules, words.option("VALUE_LIST").unwrap_or_default().join(",")),
                    _ => (&mut world.integrations, allowed(&words)),
                };
                if objects.contains_key(&path) && kind == "EXTERNAL ACCESS INTEGRATION" {
                    return exists(&path);
                }
                if !(objects.contains_key(&path) && unless) {
                    objects.insert(path, Object { comment, value });
                }
            }
        }
        Ok(said("created"))
    }

    fn put(&mut self, sql: &str) -> Result<Value, Refusal> {
        let (_, file) = sql.split_once("file://").unwrap();
        let file = file.split(['\'', ' ', '\n']).next().unwrap();
        let (stage, path) = target(sql);
        if !self.world.stages.contains(&stage) {
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

    fn remove(&mut self, sql: &str) -> Result<Value, Refusal> {
        let (stage, path) = target(sql);
        for (file, place) in files(&self.stage(&stage)) {
            // Everything whose path begins like this.
            if file.starts_with(&path) {
                fs::remove_file(place).unwrap();
            }
        }
        Ok(said("removed"))
    }

    fn call(&mut self, mut words: Words) -> Result<Value, Refusal> {
        let path = words.path();
        if path.starts_with("SYSTEM$VALIDATE_NATIVE_APP_SETUP") {
            let sound = json!({ "status": "SUCCESS", "errors": [], "warnings": [] });
            return Ok(said(&self.validation.clone().unwrap_or(sound).to_string()));
        }
        if path == "SYSTEM$BOOTSTRAP_DATA_REQUEST" {
            return Ok(said(&json!({ "clientParamsInfo": [] }).to_string()));
        }
        let name = path.strip_suffix(".PUBLIC.REGISTER_REFERENCE").unwrap_or_else(|| panic!("{path}"));
        words.eat_mark('(');
        let reference = words.text();
        words.eat_mark(',');
        assert_eq!(words.text(), "ADD");
        words.eat_mark(',');
        assert!(words.eat("SYSTEM$REFERENCE"));
        words.eat_mark('(');
        let kind = words.text();
        words.eat_mark(',');
        let object = Words::of(&words.text()).path();
        let world = &mut self.world;
        let there = match kind.as_str() {
            "SECRET" => world.secrets.contains_key(&object),
            "EXTERNAL_ACCESS_INTEGRATION" => world.integrations.contains_key(&object),
            _ => true,
        };
        if !there {
            return Err(absent(&object));
        }
        let app = world.applications.get_mut(name).ok_or_else(|| absent("Application"))?;
        if !self.references.contains(&reference) {
            return Ok(said(
                &json!({ "response_code": "INVALID_REFERENCE", "message": "no such reference" }).to_string(),
            ));
        }
        app.references.insert(reference, object);
        Ok(said(&json!({ "response_code": "OK", "message": "add" }).to_string()))
    }

    fn alter(&mut self, mut words: Words, sql: &str) -> Result<Value, Refusal> {
        let world = &mut self.world;
        if words.eat("SESSION") {
            return Ok(said("Statement executed successfully."));
        }
        if words.eat("SECRET") {
            let path = words.path();
            world.secrets.get_mut(&path).ok_or_else(|| absent("Secret"))?.value = words.one("SECRET_STRING");
            return Ok(said("altered"));
        }
        if words.eat("EXTERNAL ACCESS INTEGRATION") {
            let path = words.path();
            world.integrations.get_mut(&path).ok_or_else(|| absent("Integration"))?.value = allowed(&words);
            return Ok(said("altered"));
        }
        if words.eat("APPLICATION PACKAGE") {
            let path = words.path();
            let package = world.packages.get_mut(&path).ok_or_else(|| absent("Package"))?;
            return package.alter(words, sql);
        }
        assert!(words.eat("APPLICATION"), "{sql}");
        let path = words.path();
        let source = world.applications.get(&path).ok_or_else(|| absent("Application"))?.source.clone();
        if words.eat("UPGRADE") {
            let using = words.eat("USING VERSION").then(|| words.name());
            let (version, patch) = world.version(&source, using, &mut words)?;
            let app = world.applications.get_mut(&path).unwrap();
            (app.version, app.patch) = (version, patch);
        }
        Ok(said("altered"))
    }

    fn grant(&mut self, mut words: Words) -> Result<Value, Refusal> {
        if words.eat("APPLICATION ROLE") {
            let path = words.path();
            let (name, role) = path.rsplit_once('.').unwrap();
            assert!(words.eat("TO ROLE"));
            let app = self.world.applications.get_mut(name).ok_or_else(|| absent("Application"))?;
            app.roles.insert((role.to_owned(), words.name()));
            return Ok(said("granted"));
        }
        let mut privilege = Vec::new();
        while !words.eat("ON ACCOUNT TO APPLICATION") {
            privilege.push(words.name());
        }
        let app = self.world.applications.get_mut(&words.path()).ok_or_else(|| absent("Application"))?;
        app.privileges.insert(privilege.join(" "), true);
        Ok(said("granted"))
    }

    fn drop(&mut self, mut words: Words) -> Result<Value, Refusal> {
        let world = &mut self.world;
        if words.eat("APPLICATION PACKAGE") {
            words.eat("IF EXISTS");
            world.packages.remove(&words.path());
        } else if words.eat("APPLICATION") {
            words.eat("IF EXISTS");
            let path = words.path();
            let owns = world.applications.get(&path).is_some_and(|app| !app.owned.is_empty());
            if owns && !words.eat("CASCADE") {
                return Err(("093128".into(), "42601", "Application owns objects".into()));
            }
            world.applications.remove(&path);
        } else if words.eat("INTEGRATION") {
            words.eat("IF EXISTS");
            world.integrations.remove(&words.path());
        } else if words.eat("SECRET") {
            words.eat("IF EXISTS");
            world.secrets.remove(&words.path());
        } else if words.eat("NETWORK RULE") {
            words.eat("IF EXISTS");
            world.rules.remove(&words.path());
        }
        Ok(said("dropped"))
    }
}

impl Package {
    fn alter(&mut self, mut words: Words, sql: &str) -> Result<Value, Refusal> {
        let refused = |code: &str, why: &str| Err((code.to_owned(), "42601", why.to_owned()));
        let channel = words.eat("MODIFY RELEASE CHANNEL DEFAULT");
        if words.eat("SET DEFAULT RELEASE DIRECTIVE") {
            let (version, patch) = (words.one("VERSION"), words.one("PATCH").parse().unwrap());
            if !self.versions.iter().any(|(name, number, _)| (name, number) == (&version, &patch)) {
                return refused("093036", "no such patch");
            }
            if self.channels && !self.channel.contains(&version) {
                return refused("512008", "the version is not in the release channel");
            }
            self.released = Some((version, patch));
        } else if channel && words.eat("ADD VERSION") {
            self.channel.push(words.name());
        } else if words.eat("REGISTER VERSION") || words.eat("ADD VERSION") {
            assert_eq!(sql.to_uppercase().contains("REGISTER"), self.channels, "{sql}");
            let version = words.name();
            if self.versions.iter().any(|(name, ..)| *name == version) {
                return refused("093030", "the version exists");
            }
            self.versions.push((version, 0, words.one("LABEL")));
        } else if words.eat("ADD PATCH") {
            let newest = |version: &str| {
                self.versions.iter().filter(|(name, ..)| name == version).map(|(_, patch, _)| *patch).max()
            };
            let number = if words.eat("FOR VERSION") { None } else { Some(words.name().parse().unwrap()) };
            let _ = words.eat("FOR VERSION");
            let version = words.name();
            let next = newest(&version).unwrap() + 1;
            if number.is_some_and(|number: u64| number != next) {
                return refused("093168", "the patch exists");
            }
            self.versions.push((version, next, words.one("LABEL")));
        } else {
            return Err(super::unknown(sql));
        }
        let (version, patch, _) = self.versions.last().cloned().unwrap_or_default();
        Ok(super::table(&["status", "version", "patch"], vec![vec!["done".into(), version, patch.to_string()]]))
    }
}

impl super::World {
    /// The version that an application gets.
    fn version(&self, package: &str, using: Option<String>, words: &mut Words) -> Result<(String, u64), Refusal> {
        if package.is_empty() {
            return Ok(("V1".into(), 0));
        }
        let package = self.packages.get(package).ok_or_else(|| absent("Package"))?;
        let Some(version) = using else {
            return package.released.clone().ok_or_else(|| ("093054".into(), "42601", "nothing is released".into()));
        };
        let patches = package.versions.iter().filter(|(name, ..)| *name == version).map(|(_, patch, _)| *patch);
        let newest = patches.max().ok_or_else(|| absent("Version"))?;
        let patch = if words.eat("PATCH") { words.name().parse().unwrap() } else { newest };
        Ok((version, patch))
    }
}

/// What an integration allows: rules and secrets.
fn allowed(words: &Words) -> String {
    let list = |name: &str| words.option(name).unwrap_or_default().join(",");
    format!("[{}]|[{}]", list("ALLOWED_NETWORK_RULES"), list("ALLOWED_AUTHENTICATION_SECRETS"))
}
