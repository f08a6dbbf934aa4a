//! Debian's registry, one for each test, and its readers.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::containers::{has, succeeded};
use crate::peers::{self, Server};

/// The user whom [`Registry::guarded`] accepts.
pub(crate) const USER: &str = "robot";
pub(crate) const PASSWORD: &str = "open-sesame";

/// That password's hash, made with the C library's `crypt`.
const HASH: &str = "$2b$04$sPWsZLU.4A9W.CeYXn0NO.8.VbC2kGszwPYmknwcKLkcProA.2oqG";

pub(crate) struct Registry {
    server: Server,
    _folder: TempDir,
}

impl Registry {
    /// One without a login; `None` where there is none.
    pub(crate) fn open() -> Option<Self> {
        Self::start("")
    }

    /// One that requires [`USER`] and [`PASSWORD`].
    pub(crate) fn guarded() -> Option<Self> {
        Self::start("auth: {htpasswd: {realm: registry, path: FOLDER/users}}")
    }

    fn start(auth: &str) -> Option<Self> {
        if !has("docker-registry") || !has("skopeo") {
            return None;
        }
        let (folder, port) = (TempDir::new().unwrap(), peers::free_port());
        let config = format!(
            "version: 0.1\nlog: {{level: warn}}\nstorage: {{filesystem: {{rootdirectory: FOLDER/data}}}}\n\
             http: {{addr: '127.0.0.1:{port}'}}\n{auth}\n"
        );
        let path = folder.path().join("config.yml");
        fs::write(&path, config.replace("FOLDER", folder.path().to_str().unwrap())).unwrap();
        fs::write(folder.path().join("users"), format!("{USER}:{HASH}\n")).unwrap();
        // The registry does not outlive the thread that starts it.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "docker-registry", "serve"]).arg(path).env_remove("OTEL_TRACES_EXPORTER");
        Some(Self { server: peers::start(command, port), _folder: folder })
    }

    /// Host and port.
    pub(crate) fn host(&self) -> String {
        format!("127.0.0.1:{}", self.server.port)
    }

    /// A repository, in the form that a push expects.
    pub(crate) fn repository(&self, name: &str) -> String {
        format!("http://{}/db/schema/images/{name}", self.host())
    }

    /// The output of `skopeo` about an image.
    pub(crate) fn inspect(&self, reference: &str, config: bool) -> Value {
        let mut skopeo = Command::new("skopeo");
        skopeo.args(["inspect", "--tls-verify=false"]).args(config.then_some("--config"));
        let output = succeeded(skopeo.arg(format!("docker://{reference}")));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Copies an image out of the registry into a folder.
    pub(crate) fn pull(&self, reference: &str, folder: &Path) {
        let mut skopeo = Command::new("skopeo");
        skopeo.args(["copy", "--src-tls-verify=false", "--preserve-digests", &format!("docker://{reference}")]);
        succeeded(skopeo.arg(format!("oci:{}", folder.display())));
    }
}
