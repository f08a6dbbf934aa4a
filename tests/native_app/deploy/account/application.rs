//! Applications: installing and upgrading, the objects they are bound to and the objects they own.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::sql_tokens::Tokens;
use super::{AccountContents, Application, InstalledFrom, Pool, SqlError, State, absent, exists, text_result};

/// The kinds of object that a reference can be bound to, and the privileges that it needs.
const REFERENCES: [(&str, &[&str]); 3] = [
    ("SECRET", &["USAGE", "READ"]),
    ("EXTERNAL_ACCESS_INTEGRATION", &["USAGE"]),
    ("WAREHOUSE", &["MODIFY", "MONITOR", "OPERATE", "USAGE"]),
];

fn refused<T>(code: &str, why: &str) -> Result<T, SqlError> {
    Err((code.to_owned(), "42601", why.to_owned()))
}

impl State {
    pub(super) fn create_application(&mut self, path: String, mut words: Tokens) -> Result<Value, SqlError> {
        let contents = &mut self.contents;
        if contents.applications.contains_key(&path) || contents.databases.contains(&path) {
            return Err(exists(&path));
        }
        let comment = words.one("COMMENT");
        let package = if words.eat("FROM APPLICATION PACKAGE") { words.path() } else { String::new() };
        let using = words.eat("USING VERSION").then(|| words.name());
        let from = if using.is_some() { InstalledFrom::Version } else { InstalledFrom::Release };
        let (version, patch) = contents.version(&package, using, &mut words)?;
        let asked = contents.packages.get(&package).and_then(|package| package.privileges.get(&version)).cloned();
        let privileges = asked.unwrap_or_default().into_iter().map(|name| (name, self.grants_at_installation));
        let application = Application {
            comment,
            source: package,
            from,
            version,
            patch,
            privileges: privileges.collect(),
            ..Application::default()
        };
        contents.applications.insert(path, application);
        Ok(text_result("created"))
    }

    pub(super) fn alter_application(&mut self, mut words: Tokens) -> Result<Value, SqlError> {
        let contents = &mut self.contents;
        let path = words.path();
        let app = contents.applications.get(&path).ok_or_else(|| absent("Application"))?;
        let (source, from) = (app.source.clone(), app.from);
        if words.eat("UPGRADE") {
            let using = words.eat("USING VERSION").then(|| words.name());
            match (from, &using) {
                (InstalledFrom::Version, None) => return refused("093055", "the application is in development mode"),
                (InstalledFrom::Release, Some(_)) => {
                    return refused("093046", "the application is not in development mode");
                }
                _ => {}
            }
            if !source.is_empty() && !contents.packages.contains_key(&source) {
                return refused("093079", "the application package is gone");
            }
            let (version, patch) = contents.version(&source, using, &mut words)?;
            let app = contents.applications.get_mut(&path).unwrap();
            (app.version, app.patch) = (version, patch);
        }
        Ok(text_result("altered"))
    }

    pub(super) fn drop_application(&mut self, mut words: Tokens) -> Result<Value, SqlError> {
        let if_exists = words.eat("IF EXISTS");
        let path = words.path();
        let contents = &mut self.contents;
        let Some(app) = contents.applications.get(&path) else {
            return if if_exists { Ok(text_result("gone")) } else { Err(absent("Application")) };
        };
        if !app.owned.is_empty() && !words.eat("CASCADE") {
            return refused("093128", "Application owns objects");
        }
        for (kind, name) in app.owned.clone() {
            match kind.as_str() {
                "COMPUTE_POOL" => drop(contents.pools.remove(&name)),
                "DATABASE" => {
                    contents.databases.remove(&name);
                    contents.schemas.retain(|schema| !schema.starts_with(&format!("{name}.")));
                }
                _ => {}
            }
        }
        contents.applications.remove(&path);
        Ok(text_result("dropped"))
    }

    /// A call of a procedure of an application.
    pub(super) fn call_application(&mut self, path: &str, mut words: Tokens) -> Result<Value, SqlError> {
        let (name, procedure) = path.split_once(".PUBLIC.").ok_or_else(|| absent(path))?;
        if !self.contents.applications.contains_key(name) {
            return Err(absent("Application"));
        }
        words.eat_mark('(');
        match procedure {
            "REGISTER_REFERENCE" => self.register_reference(name, words),
            "PROVISION_CONNECTOR" => self.provision(name, words),
            "ENABLE_RESOURCE" => {
                words.text();
                Ok(envelope("OK", "enabled"))
            }
            _ => Err(absent(path)),
        }
    }

    fn register_reference(&mut self, name: &str, mut words: Tokens) -> Result<Value, SqlError> {
        let reference = words.text();
        words.eat_mark(',');
        assert_eq!(words.text(), "ADD");
        words.eat_mark(',');
        assert!(words.eat("SYSTEM$REFERENCE"));
        words.eat_mark('(');
        let kind = words.text();
        words.eat_mark(',');
        let object = Tokens::of(&words.text()).path();
        words.eat_mark(',');
        let lifetime = words.text();
        words.eat_mark(',');
        let privilege = words.text();
        let contents = &mut self.contents;
        let Some((_, privileges)) = REFERENCES.iter().find(|(known, _)| *known == kind) else {
            return Err(super::invalid(format!("no reference can be to a {kind}")));
        };
        if lifetime != "PERSISTENT" || !privileges.contains(&privilege.as_str()) {
            return Err(super::invalid(format!("no {lifetime} reference to a {kind} can have {privilege}")));
        }
        let there = match kind.as_str() {
            "SECRET" => contents.secrets.contains_key(&object),
            "EXTERNAL_ACCESS_INTEGRATION" => contents.integrations.contains_key(&object),
            _ => true,
        };
        if !there {
            return Err(absent(&object));
        }
        let app = contents.applications.get_mut(name).unwrap();
        if !self.references.contains(&reference) {
            return Ok(envelope("INVALID_REFERENCE", "no such reference"));
        }
        app.references.insert(reference, object);
        Ok(envelope("OK", "add"))
    }

    /// The effects of the app's own procedure on the account: a pool that is bound to it, and a database.
    fn provision(&mut self, name: &str, words: Tokens) -> Result<Value, SqlError> {
        if words.rest().ends_with("'") {
            let what = format!("Invalid argument types for function 'PROVISION_CONNECTOR': {}", words.rest());
            return Err(("001044".into(), "42P13", what));
        }
        let (pool, database) = (format!("{name}_POOL"), format!("{name}_DATA"));
        let contents = &mut self.contents;
        if contents.pools.get(&pool).is_some_and(|pool| pool.owner != name) {
            return Ok(envelope("COMPUTE_POOL_UNAVAILABLE", "the compute pool is bound to another application"));
        }
        contents.databases.insert(database.clone());
        let owned = Pool { owner: name.to_owned(), application: Some(name.to_owned()), ..Pool::default() };
        contents.pools.insert(pool.clone(), owned);
        let app = contents.applications.get_mut(name).unwrap();
        app.owned = vec![("COMPUTE_POOL".into(), pool), ("DATABASE".into(), database)];
        Ok(envelope("OK", "configured"))
    }

    pub(super) fn drop_pool(&mut self, mut words: Tokens) -> Result<Value, SqlError> {
        let if_exists = words.eat("IF EXISTS");
        let path = words.path();
        let contents = &mut self.contents;
        let Some(pool) = contents.pools.get(&path) else {
            return if if_exists { Ok(text_result("gone")) } else { Err(absent("Compute pool")) };
        };
        if contents.applications.contains_key(&pool.owner) {
            let what = "SQL access control error: Insufficient privileges to operate on compute pool";
            return Err(("003001".into(), "42501", what.into()));
        }
        if pool.services > 0 {
            return Err(super::invalid("services are running on the compute pool"));
        }
        contents.pools.remove(&path);
        Ok(text_result("dropped"))
    }

    pub(super) fn grant(&mut self, mut words: Tokens) -> Result<Value, SqlError> {
        if words.eat("APPLICATION ROLE") {
            let path = words.path();
            let (name, role) = path.rsplit_once('.').unwrap();
            assert!(words.eat("TO ROLE"));
            let app = self.contents.applications.get_mut(name).ok_or_else(|| absent("Application"))?;
            app.roles.insert((role.to_owned(), words.name()));
            return Ok(text_result("granted"));
        }
        let mut privilege = Vec::new();
        while !words.eat("ON ACCOUNT TO APPLICATION") {
            privilege.push(words.name());
        }
        let app = self.contents.applications.get_mut(&words.path()).ok_or_else(|| absent("Application"))?;
        app.privileges.insert(privilege.join(" "), true);
        Ok(text_result("granted"))
    }
}

fn envelope(code: &str, message: &str) -> Value {
    text_result(&json!({ "response_code": code, "message": message }).to_string())
}

impl AccountContents {
    /// The version that an application gets.
    fn version(&self, package: &str, using: Option<String>, words: &mut Tokens) -> Result<(String, u64), SqlError> {
        // A listing.
        if package.is_empty() {
            return Ok(("V1".into(), 0));
        }
        let package = self.packages.get(package).ok_or_else(|| absent("Package"))?;
        let Some(version) = using else {
            return package.released.clone().map_or_else(|| refused("093054", "nothing is released"), Ok);
        };
        let patches: BTreeMap<u64, ()> =
            package.versions.iter().filter(|(name, ..)| *name == version).map(|(_, patch, _)| (*patch, ())).collect();
        let (newest, ()) = patches.last_key_value().ok_or_else(|| absent("Version"))?;
        let patch = if words.eat("PATCH") { words.name().parse().unwrap() } else { *newest };
        if !patches.contains_key(&patch) {
            return Err(absent("Patch"));
        }
        Ok((version, patch))
    }
}
