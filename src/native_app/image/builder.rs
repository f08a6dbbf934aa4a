//! What goes into an image.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;

use super::layer::Entry;
use super::layout::{self, Image};
use super::{binary, layer};
use crate::{Error, Result};

/// The user, and group, that the program runs as unless said otherwise. Nobody else has this number.
pub const USER: u32 = 10001;

/// Where a program looks for certificates.
const CERTIFICATES: &str = "etc/ssl/certs/ca-certificates.crt";

/// Names are looked up in `/etc/hosts` first; without this file the C library may ask a name server for `localhost`.
const NAME_SERVICES: &str = "passwd: files\ngroup: files\nhosts: files dns\n";

/// An image to be. Made by [`Image::builder`].
#[derive(Debug, Clone)]
pub struct ImageBuilder {
    program: PathBuf,
    name: Option<String>,
    certificates: Option<PathBuf>,
    created: Timestamp,
    user: u32,
    env: BTreeMap<String, String>,
    labels: BTreeMap<String, String>,
}

impl Image {
    /// An image of `program`, a file that was built for it: see [`build_command`](super::build_command).
    pub fn builder(program: impl Into<PathBuf>) -> ImageBuilder {
        ImageBuilder::new(program.into())
    }
}

impl ImageBuilder {
    fn new(program: PathBuf) -> Self {
        Self {
            program,
            name: None,
            certificates: None,
            created: Timestamp::UNIX_EPOCH,
            user: USER,
            env: BTreeMap::from([("PATH".to_owned(), "/usr/local/bin".to_owned())]),
            labels: BTreeMap::new(),
        }
    }

    /// The program's name in the image, in `/usr/local/bin`. The name of its file unless set.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The title for people (label `org.opencontainers.image.title`).
    #[must_use]
    pub fn title(self, title: impl Into<String>) -> Self {
        self.label("org.opencontainers.image.title", title)
    }

    /// The connector's version (label `org.opencontainers.image.version`).
    #[must_use]
    pub fn version(self, version: impl Into<String>) -> Self {
        self.label("org.opencontainers.image.version", version)
    }

    /// Where the source code is (label `org.opencontainers.image.source`).
    #[must_use]
    pub fn source(self, url: impl Into<String>) -> Self {
        self.label("org.opencontainers.image.source", url)
    }

    /// Any label.
    #[must_use]
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(name.into(), value.into());
        self
    }

    /// An environment variable of the container. Never a secret: whoever may pull the image may read it.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.insert(name.into(), value.into());
        self
    }

    /// A file of certificates (PEM) of the authorities that the program trusts, put where programs look for it and named in
    /// `SSL_CERT_FILE`. Without it there is none: what is built with snowfeed's own HTTP client has Mozilla's list compiled in.
    #[must_use]
    pub fn certificates(mut self, bundle: impl Into<PathBuf>) -> Self {
        self.certificates = Some(bundle.into());
        self
    }

    /// When the image and its files claim to be made; 1970-01-01 unless set, so that the digest tells what is inside and not
    /// when it was built. Counted in whole seconds.
    #[must_use]
    pub fn created(mut self, created: Timestamp) -> Self {
        self.created = created;
        self
    }

    /// The number of the user, and group, that the program runs as: [`USER`] unless set; 0 is root.
    #[must_use]
    pub fn user(mut self, user: u32) -> Self {
        self.user = user;
        self
    }

    /// Finds out, without writing anything, whether the program can be in an image under its name.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration), as [`write`](Self::write).
    pub fn check(&self) -> Result<()> {
        self.program_name()?;
        self.check_env()?;
        binary::open(&self.program).map(drop)
    }

    /// Checks the program and writes the image to `folder`, in place of an image that is there. It blocks: seconds for a large
    /// program. If it fails, the image that was there is still there.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration) when the program cannot run in a container of Snowflake (the help says how
    /// to build one that can), a name is unusable, or `folder` holds something that is no image;
    /// [`Unavailable`](crate::ErrorKind::Unavailable) when the disk fails.
    pub fn write(self, folder: impl Into<PathBuf>) -> Result<Image> {
        let name = self.program_name()?;
        self.check_env()?;
        let time = u64::try_from(self.created.as_second())
            .map_err(|_| Error::configuration(format!("an image cannot be made before 1970, at {}", self.created)))?;
        let program = binary::open(&self.program)?;
        let certificates = self.certificates.as_deref().map(read_certificates).transpose()?;

        let passwd = format!("root:x:0:0:root:/root:/sbin/nologin\nconnector:x:{0}:{0}::/:/sbin/nologin\n", self.user);
        let group = format!("root:x:0:\nconnector:x:{}:\n", self.user);
        let mut entries = vec![
            Entry::folder("etc", 0o755),
            Entry::bytes("etc/group", group.as_bytes()),
            Entry::bytes("etc/nsswitch.conf", NAME_SERVICES.as_bytes()),
            Entry::bytes("etc/passwd", passwd.as_bytes()),
            Entry::folder("tmp", 0o1777),
            Entry::folder("usr", 0o755),
            Entry::folder("usr/local", 0o755),
            Entry::folder("usr/local/bin", 0o755),
            Entry::program(format!("usr/local/bin/{name}"), &program),
        ];
        if let Some(certificates) = &certificates {
            entries.push(Entry::folder("etc/ssl", 0o755));
            entries.push(Entry::folder("etc/ssl/certs", 0o755));
            entries.push(Entry::bytes(CERTIFICATES, certificates));
        }
        let write_layer = |file| layer::write(entries, time, file);
        layout::write(folder.into(), write_layer, |diff_id| self.config(&name, diff_id))
    }

    /// The name of the program in the image.
    fn program_name(&self) -> Result<String> {
        let file_name = || self.program.file_name().and_then(|name| name.to_str()).map(str::to_owned);
        let name = self.name.clone().or_else(file_name).unwrap_or_default();
        let is_usable = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if !name.is_empty() && name.len() <= 80 && !name.starts_with('.') && name.chars().all(is_usable) {
            return Ok(name);
        }
        Err(Error::configuration(format!("{name:?} is no name for a program in an image"))
            .with_help("give a name of letters, digits, `-`, `_` and `.`, at most 80 of them"))
    }

    fn check_env(&self) -> Result<()> {
        match self.env.keys().find(|name| name.is_empty() || name.contains(['=', '\0'])) {
            Some(name) => Err(Error::configuration(format!("{name:?} is no name of an environment variable"))),
            None => Ok(()),
        }
    }

    /// The image's configuration, as JSON.
    fn config(&self, name: &str, diff_id: String) -> serde_json::Result<Vec<u8>> {
        let mut env = self.env.clone();
        if self.certificates.is_some() {
            env.entry("SSL_CERT_FILE".to_owned()).or_insert_with(|| format!("/{CERTIFICATES}"));
        }
        let created = Timestamp::from_second(self.created.as_second()).unwrap_or_default().to_string();
        serde_json::to_vec(&Config {
            created: &created,
            architecture: "amd64",
            os: "linux",
            config: Process {
                user: format!("{0}:{0}", self.user),
                env: env.iter().map(|(name, value)| format!("{name}={value}")).collect(),
                entrypoint: [format!("/usr/local/bin/{name}")],
                working_dir: "/",
                labels: &self.labels,
            },
            rootfs: Files { r#type: "layers", diff_ids: [diff_id] },
            history: [Made { created: &created, created_by: "snowfeed" }],
        })
    }
}

fn read_certificates(bundle: &Path) -> Result<Vec<u8>> {
    let wrong = |why: &str| {
        Error::configuration(format!("the certificates {} {why}", bundle.display()))
            .with_help("give a file of certificates in PEM, such as /etc/ssl/certs/ca-certificates.crt")
    };
    let bytes = fs::read(bundle).map_err(|error| wrong("cannot be read").with_source(error))?;
    let text = String::from_utf8_lossy(&bytes);
    if text.contains("PRIVATE KEY") {
        return Err(wrong("hold a private key, which must not get into an image"));
    }
    if !text.contains("-----BEGIN CERTIFICATE-----") {
        return Err(wrong("hold none"));
    }
    Ok(bytes)
}

/// The configuration of an image, as OCI defines it. Its fields are written in this order, whatever the features of the JSON
/// library, so that the digest stays the same.
#[derive(Serialize)]
struct Config<'a> {
    created: &'a str,
    architecture: &'a str,
    os: &'a str,
    config: Process<'a>,
    rootfs: Files<'a>,
    history: [Made<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Process<'a> {
    user: String,
    env: Vec<String>,
    entrypoint: [String; 1],
    working_dir: &'a str,
    labels: &'a BTreeMap<String, String>,
}

#[derive(Serialize)]
struct Files<'a> {
    r#type: &'a str,
    diff_ids: [String; 1],
}

#[derive(Serialize)]
struct Made<'a> {
    created: &'a str,
    created_by: &'a str,
}
