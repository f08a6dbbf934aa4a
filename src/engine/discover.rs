//! What there is to ingest.

use std::collections::HashSet;

use super::Connector;
use super::resources::ResourceLookup;
use super::settings::Configured;
use crate::{Resource, Result, SourceEvent};

/// The most resources that are returned. A source may return whatever a remote says.
const MAX_RESOURCES: usize = 100_000;

/// The most names that are reported as left out.
const MAX_WARNINGS: usize = 10;

impl Connector {
    /// The resources that the settings in force give access to, by the names under which they are known here. The
    /// [observer](Self::observer) is told of waits and retries.
    ///
    /// What cannot be the name of a resource is left out, with a warning: what the source [refuses](crate::Source::resource), a
    /// name with control characters, and one that a command line would take for an option. After 100,000 resources the rest is left
    /// out, with a warning.
    ///
    /// # Errors
    /// What [`Source::discover`](crate::Source::discover) reports.
    pub async fn discover(&self) -> Result<Vec<Resource>> {
        let Configured { config, resources: known, .. } = self.configuration().await?;
        let names = ResourceLookup::new(self.source.as_ref(), &config, known.keys().map(Resource::name));
        let monitor = self.monitor();
        let (mut found, mut seen, mut left_out) = (Vec::new(), HashSet::new(), 0);
        for resource in self.source.discover_with(&config, &monitor).await? {
            if found.len() == MAX_RESOURCES {
                let warning = format!("the source gives more than {MAX_RESOURCES} resources: the rest is left out");
                monitor.event(SourceEvent::Warning(warning));
                break;
            }
            match names.find(resource.name()) {
                Ok(resource) if is_usable_name(resource.name()) => {
                    if seen.insert(resource.clone()) {
                        found.push(resource);
                    }
                }
                _ => {
                    left_out += 1;
                    if left_out <= MAX_WARNINGS {
                        let name: String = resource.name().chars().take(80).collect();
                        let warning = format!("{name:?} cannot be the name of a resource, and is left out");
                        monitor.event(SourceEvent::Warning(warning));
                    }
                }
            }
        }
        if left_out > MAX_WARNINGS {
            let warning = format!("{} more names of resources are left out", left_out - MAX_WARNINGS);
            monitor.event(SourceEvent::Warning(warning));
        }
        Ok(found)
    }
}

/// Whether a name can be repeated on a command line and in a list, where each line is one name.
fn is_usable_name(name: &str) -> bool {
    !name.starts_with('-') && !name.chars().any(char::is_control)
}
