//! The run against servers on this machine: an imitation of Snowflake for the SQL, a small account for the app.

mod imitation;
mod process;
mod small_app;
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use secrecy::SecretString;
use snowfeed::Result;
use snowfeed::backends::snowflake::{ConnectionConfig, Credentials, Protocol};
use snowfeed::internals::snowflake::{Client, HttpClient};

use crate::endpoints::{Container, Endpoints, Part};
use crate::options::Options;
use crate::peers;
use crate::report::Report;
use crate::run::Run;
use crate::small_account::Account;
use imitation::{Catalog, Fault, Imitation};

/// The password of the rehearsals, which must not appear in any report.
const PASSWORD: &str = "hunter2-of-the-rehearsal";

/// Servers for one run, empty at first.
pub(crate) struct Rehearsal {
    pub(crate) account: Arc<Account>,
    pub(crate) catalog: Arc<Mutex<Catalog>>,
    port: u16,
    folder: tempfile::TempDir,
}

impl Drop for Rehearsal {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the server wrote: {}", peers::fakesnow().map_or_else(String::new, |server| server.log_tail()));
        }
    }
}

impl Rehearsal {
    /// `None` where there is no Python, or when the run on an account was requested.
    pub(crate) async fn start() -> Option<Self> {
        if std::env::var_os("SNOWFEED_ACCOUNT").is_some() {
            return None;
        }
        let port = peers::fakesnow()?.port;
        let account = small_app::start().await;
        Some(Self { account, catalog: Arc::default(), port, folder: tempfile::tempdir().unwrap() })
    }

    /// As on an account, but small.
    pub(crate) fn options(&self) -> Options {
        let folder = self.folder.path().to_owned();
        let report = folder.join("report.md");
        Options { rows: 5_000, writers: 4, large: 4 << 20, folder, report, ..Options::default() }
    }

    pub(crate) fn only(&self, steps: &str) -> Options {
        Options { steps: Some(crate::options::select(steps).unwrap()), ..self.options() }
    }

    pub(crate) fn run(&self, options: Options) -> Run {
        let endpoints = Servers { catalog: self.catalog.clone(), port: self.port, app: self.account.server.port };
        Run::new(Arc::new(endpoints), options)
    }

    pub(crate) async fn perform(&self, options: Options) -> Report {
        self.run(options).perform().await
    }

    /// Makes each statement with this prefix fail.
    pub(crate) fn fault(&self, beginning: &'static str, fault: Fault) {
        self.catalog.lock().unwrap().faults.push((beginning, fault));
    }

    /// All objects, by kind and name, with their comments.
    pub(crate) fn objects(&self) -> BTreeMap<String, String> {
        let mut objects = self.catalog.lock().unwrap().objects();
        let contents = self.account.contents();
        objects.extend(
            contents
                .databases
                .iter()
                .filter(|name| *name != "SNOWFEED")
                .map(|name| (format!("DATABASE {name}"), String::new())),
        );
        objects
            .extend(contents.packages.into_iter().map(|(name, package)| (format!("PACKAGE {name}"), package.comment)));
        objects
            .extend(contents.applications.into_iter().map(|(name, app)| (format!("APPLICATION {name}"), app.comment)));
        objects.extend(
            contents.integrations.into_iter().map(|(name, object)| (format!("INTEGRATION {name}"), object.comment)),
        );
        objects
    }
}

/// The servers of a rehearsal.
struct Servers {
    catalog: Arc<Mutex<Catalog>>,
    port: u16,
    app: u16,
}

fn connection(port: u16) -> ConnectionConfig {
    let connection = ConnectionConfig::new("test", "rehearsal", Credentials::Password(PASSWORD.into()));
    connection.host("127.0.0.1").port(port).protocol(Protocol::Http)
}

impl Endpoints for Servers {
    fn name(&self) -> String {
        "an imitation of Snowflake on this machine".into()
    }

    fn client(&self, part: Part, adjust: &dyn Fn(ConnectionConfig) -> ConnectionConfig) -> Result<Arc<dyn Client>> {
        match part {
            Part::App => Ok(Arc::new(HttpClient::new(adjust(connection(self.app)))?)),
            // The imitation has warehouses of its own.
            Part::Sql => {
                let connection = adjust(connection(self.port)).warehouse("COMPUTE_WH");
                Ok(Arc::new(Imitation::new(Arc::new(HttpClient::new(connection)?), self.catalog.clone())))
            }
        }
    }

    fn logins(&self) -> Vec<(String, Result<ConnectionConfig>)> {
        let mut token = connection(self.port);
        token.credentials = Credentials::AccessToken("hunter2-access-token".into());
        vec![("password".into(), Ok(connection(self.port))), ("token".into(), Ok(token))]
    }

    fn is_imitation(&self) -> bool {
        true
    }

    fn container(&self) -> Container {
        Container::InRepository
    }

    fn secrets(&self) -> Vec<SecretString> {
        // Nothing is redacted: the report of a rehearsal shows whether a secret gets in.
        Vec::new()
    }
}
