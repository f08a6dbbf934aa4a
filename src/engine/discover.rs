//! Discovers the resources of a source.

use std::collections::HashSet;

use futures::TryStreamExt;

use super::Connector;
use super::resources::ResourceLookup;
use super::settings::Configured;
use crate::{Resource, Result, SourceEvent};

/// The maximum number of returned resources: the list may come from a remote.
const MAX_RESOURCES: usize = 100_000;

/// The maximum number of skipped names to report.
const MAX_WARNINGS: usize = 10;

impl Connector {
    /// Returns the resources that the effective settings give access to, under their [known names](Self::resolve). The
    /// [observer](Self::observer) gets waits and retries.
    ///
    /// Invalid names are skipped with a warning: those that the source [refuses](crate::Source::resource), those with control
    /// characters, and those that a command line would take for an option. So are resources beyond the first 100,000.
    ///
    /// # Errors
    /// Returns the errors of [`Source::connect`](crate::Source::connect) and [`Reader::discover`](crate::Reader::discover).
    pub async fn discover(&self) -> Result<Vec<Resource>> {
        let Configured { config, resources: known, .. } = self.configuration().await?;
        let names = ResourceLookup::new(self, &config, known.keys().map(Resource::name));
        let monitor = self.monitor();
        let mut discovered = self.reader(&config).await?.discover();
        let (mut found, mut seen, mut skipped, mut listed) = (Vec::new(), HashSet::new(), 0, 0);
        while let Some(resource) = discovered.try_next().await? {
            listed += 1;
            // Also counts what was listed before: a remote may list the same page again and again.
            if listed > MAX_RESOURCES {
                let warning =
                    format!("the source returned more than {MAX_RESOURCES} resources: the others are skipped");
                monitor.event(SourceEvent::Warning(warning));
                break;
            }
            match names.find(resource.name()) {
                Ok(known) if is_usable_name(known.name()) => {
                    if seen.insert(known.clone()) {
                        found.push(match resource.title() {
                            Some(title) => known.with_title(title),
                            None => known,
                        });
                    }
                }
                _ => {
                    skipped += 1;
                    if skipped <= MAX_WARNINGS {
                        let name: String = resource.name().chars().take(80).collect();
                        let warning = format!("{name:?} cannot be the name of a resource, and is skipped");
                        monitor.event(SourceEvent::Warning(warning));
                    }
                }
            }
        }
        if skipped > MAX_WARNINGS {
            let warning = format!("{} more invalid names of resources are skipped", skipped - MAX_WARNINGS);
            monitor.event(SourceEvent::Warning(warning));
        }
        Ok(found)
    }
}

/// Whether a name can be typed on a command line, and printed on one line.
fn is_usable_name(name: &str) -> bool {
    !name.starts_with('-') && !name.chars().any(char::is_control)
}
