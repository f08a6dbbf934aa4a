//! Application packages: versions, patches, the release channel and the release directive.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use super::sql_tokens::{Tokens, target};
use super::{Application, Package, SqlError, State, absent, invalid, limits};

/// The maximum number of patches of a version.
const MOST_PATCHES: u64 = 130;
/// The maximum number of versions of a package, of versions in no channel, and of versions in one channel.
const MOST_VERSIONS: usize = 2;

fn refused<T>(code: &str, why: &str) -> Result<T, SqlError> {
    Err((code.to_owned(), "42601", why.to_owned()))
}

impl State {
    /// `ALTER APPLICATION PACKAGE`, after these words.
    pub(super) fn alter_package(&mut self, mut words: Tokens, sql: &str) -> Result<Value, SqlError> {
        let path = words.path();
        let manifest = if sql.contains("@") { Some(self.privileges_of(sql)?) } else { None };
        let used: Vec<Application> =
            self.contents.applications.values().filter(|app| app.source == path).cloned().collect();
        let removal_polls = self.removal_polls;
        let package = self.contents.packages.get_mut(&path).ok_or_else(|| absent("Package"))?;
        package.alter(words, manifest, &used, removal_polls)
    }

    /// The requests in the manifest on the stage.
    fn privileges_of(&self, sql: &str) -> Result<BTreeSet<String>, SqlError> {
        let (stage, folder) = target(sql);
        let path = self.stage(&stage).join(folder).join("manifest.yml");
        let manifest =
            fs::read_to_string(path).map_err(|_| ("093300".into(), "42601", "no manifest.yml".to_owned()))?;
        let block = manifest.lines().skip_while(|line| *line != "privileges:").skip(1);
        let block = block.take_while(|line| line.is_empty() || line.starts_with(' '));
        let names = block.filter_map(|line| line.trim().strip_prefix("- "));
        Ok(names.map(|name| name.trim_end_matches(':').trim_matches('"').to_owned()).collect())
    }
}

impl Package {
    fn has(&self, version: &str) -> bool {
        self.versions.iter().any(|(name, ..)| name == version)
    }

    fn names(&self) -> BTreeSet<&str> {
        self.versions.iter().map(|(name, ..)| name.as_str()).collect()
    }

    fn alter(
        &mut self,
        mut words: Tokens,
        manifest: Option<BTreeSet<String>>,
        used: &[Application],
        removal_polls: usize,
    ) -> Result<Value, SqlError> {
        let channel = words.eat("MODIFY RELEASE CHANNEL DEFAULT");
        if channel && !self.channels {
            return refused("512001", "the package has no release channels");
        }
        if words.eat("SET DEFAULT RELEASE DIRECTIVE") {
            let (version, patch) = (words.one("VERSION"), words.one("PATCH").parse().unwrap());
            self.release(version, patch)?;
        } else if channel && words.eat("ADD VERSION") {
            self.add_to_channel(words.name())?;
        } else if channel && words.eat("DROP VERSION") {
            self.leave_channel(&words.name(), removal_polls)?;
        } else if words.eat("DEREGISTER VERSION") {
            self.deregister(&words.name(), used)?;
        } else if words.eat("DROP VERSION") {
            self.drop_version(&words.name(), used)?;
        } else if words.eat("REGISTER VERSION") {
            if !self.channels {
                return refused("512001", "REGISTER VERSION needs release channels");
            }
            self.register(words.name(), words.one("LABEL"), manifest)?;
        } else if words.eat("ADD VERSION") {
            if self.channels {
                return refused("512002", "ADD VERSION … USING is not for packages with release channels");
            }
            self.register(words.name(), words.one("LABEL"), manifest)?;
        } else if words.eat("ADD PATCH") {
            let number = if words.eat("FOR VERSION") { None } else { Some(words.name().parse().unwrap()) };
            let _ = words.eat("FOR VERSION");
            self.add_patch(&words.name(), number, words.one("LABEL"), manifest)?;
        } else {
            return Err(super::unknown(&format!("{words:?}")));
        }
        let (version, patch, _) = self.versions.last().cloned().unwrap_or_default();
        Ok(super::table(&["status", "version", "patch"], vec![vec!["done".into(), version, patch.to_string()]]))
    }

    fn release(&mut self, version: String, patch: u64) -> Result<(), SqlError> {
        if !self.versions.iter().any(|(name, number, _)| (name, number) == (&version, &patch)) {
            return refused("093036", "no such patch");
        }
        let is_in = self.channel.contains(&version) && !self.leaving.contains_key(&version);
        if self.channels && !is_in {
            return refused("512008", "the version is not in the release channel");
        }
        self.released = Some((version, patch));
        Ok(())
    }

    fn register(&mut self, version: String, label: String, manifest: Option<BTreeSet<String>>) -> Result<(), SqlError> {
        limits::version(&version)?;
        if self.has(&version) {
            return refused("093030", "the version exists");
        }
        let names = self.names();
        let unassigned = names.iter().filter(|name| !self.channel.iter().any(|held| held == *name)).count();
        if self.channels && unassigned >= MOST_VERSIONS {
            return refused("512023", "two versions are in no release channel");
        }
        if names.len() >= MOST_VERSIONS {
            return refused("093037", "the application package has two versions");
        }
        let manifest = manifest.ok_or_else(|| invalid("USING is missing"))?;
        self.privileges.insert(version.clone(), manifest);
        self.versions.push((version, 0, label));
        Ok(())
    }

    fn add_patch(
        &mut self,
        version: &str,
        number: Option<u64>,
        label: String,
        manifest: Option<BTreeSet<String>>,
    ) -> Result<(), SqlError> {
        let patches = self.versions.iter().filter(|(name, ..)| name == version).map(|(_, patch, _)| *patch);
        let Some(newest) = patches.max() else { return refused("093031", "no such version") };
        if number.is_some_and(|number| number != newest + 1) {
            return refused("093168", "the patch exists");
        }
        if newest + 1 >= MOST_PATCHES {
            return Err(invalid(format!("version {version} has {MOST_PATCHES} patches")));
        }
        let manifest = manifest.ok_or_else(|| invalid("USING is missing"))?;
        if self.privileges.get(version).is_some_and(|known| *known != manifest) {
            return Err(invalid("the requested privileges cannot be modified in a patch"));
        }
        self.versions.push((version.to_owned(), newest + 1, label));
        Ok(())
    }

    fn add_to_channel(&mut self, version: String) -> Result<(), SqlError> {
        if !self.has(&version) {
            return refused("093031", "no such version");
        }
        if self.channel.contains(&version) {
            return refused("512005", "the version is in the release channel");
        }
        if self.channel.len() >= MOST_VERSIONS {
            return refused("512004", "the release channel has two versions");
        }
        self.channel.push(version);
        Ok(())
    }

    fn leave_channel(&mut self, version: &str, after: usize) -> Result<(), SqlError> {
        if !self.channel.iter().any(|held| held == version) || self.leaving.contains_key(version) {
            return refused("512010", "the version is not in the release channel");
        }
        if self.released.as_ref().is_some_and(|(released, _)| released == version) {
            return refused("512020", "a release directive refers to the version");
        }
        self.leaving.insert(version.to_owned(), after);
        Ok(())
    }

    fn deregister(&mut self, version: &str, used: &[Application]) -> Result<(), SqlError> {
        if !self.has(version) {
            return refused("093031", "no such version");
        }
        if self.channel.iter().any(|held| held == version) {
            return refused("512021", "the version is in a release channel");
        }
        self.forget(version, used)
    }

    fn drop_version(&mut self, version: &str, used: &[Application]) -> Result<(), SqlError> {
        if self.channels {
            return refused("512002", "DROP VERSION is not for packages with release channels");
        }
        if self.released.as_ref().is_some_and(|(released, _)| released == version) {
            return refused("093088", "a release directive refers to the version");
        }
        self.forget(version, used)
    }

    fn forget(&mut self, version: &str, used: &[Application]) -> Result<(), SqlError> {
        if used.iter().any(|app| app.version == version) {
            return Err(invalid(format!("version {version} is used by an application")));
        }
        self.versions.retain(|(name, ..)| name != version);
        self.privileges.remove(version);
        Ok(())
    }

    /// Polls the channel: a dropped version leaves it once no application uses it.
    pub(super) fn poll_channel(&mut self, used: &[String]) {
        let stays = |(version, left): (String, usize)| {
            let stays = left > 0 || used.contains(&version);
            stays.then(|| (version, left.saturating_sub(1)))
        };
        let leaving = std::mem::take(&mut self.leaving);
        let before: Vec<String> = leaving.keys().cloned().collect();
        self.leaving = leaving.into_iter().filter_map(stays).collect();
        self.channel.retain(|held| !before.contains(held) || self.leaving.contains_key(held));
    }
}
