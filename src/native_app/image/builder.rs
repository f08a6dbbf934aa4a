//! Builds an image.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;

use super::layer::Entry;
use super::layout::{self, Image};
use super::{binary, layer};
use crate::{Error, Result};

/// The default user and group of the program. No system user has this number.
const USER: u32 = 10001;

/// The path of the certificate bundle in the image.
const CERTIFICATES: &str = "etc/ssl/certs/ca-certificates.crt";

/// The folder of the program's own files in the image.
const FILES: &str = "etc/snowfeed";

/// Resolves names from `/etc/hosts` first. Without this file the C library may query a name server for `localhost`.
const NAME_SERVICES: &str = "passwd: files\ngroup: files\nhosts: files dns\n";

/// Builds an [`Image`]; created by [`Image::builder`].
#[derive(Debug, Clone)]
pub struct ImageBuilder {
    program: PathBuf,
    name: Option<String>,
    certificates: Option<PathBuf>,
    arguments: Vec<String>,
    files: BTreeMap<String, Vec<u8>>,
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
            arguments: Vec::new(),
            files: BTreeMap::new(),
            created: Timestamp::UNIX_EPOCH,
            user: USER,
            env: BTreeMap::from([("PATH".to_owned(), "/usr/local/bin".to_owned())]),
            labels: BTreeMap::new(),
        }
    }

    /// The program's name in `/usr/local/bin` of the image; the name of its file by default.
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

    /// The URL of the source code (label `org.opencontainers.image.source`).
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

    /// An environment variable of the container. Never a secret: everyone who can pull the image can read it.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.insert(name.into(), value.into());
        self
    }

    /// An argument of the program, before those that a container is started with.
    #[must_use]
    pub fn argument(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// A file in the folder `/etc/snowfeed` of the image, which the program may read. Never a secret: everyone who can pull the image
    /// can read it.
    #[must_use]
    pub fn file(mut self, name: impl Into<String>, content: impl Into<Vec<u8>>) -> Self {
        self.files.insert(name.into(), content.into());
        self
    }

    /// A PEM file of trusted certificate authorities, installed at the usual path and named in `SSL_CERT_FILE`. There is none by
    /// default: snowfeed's HTTP client has Mozilla's list compiled in.
    #[must_use]
    pub fn certificates(mut self, bundle: impl Into<PathBuf>) -> Self {
        self.certificates = Some(bundle.into());
        self
    }

    /// The creation time of the image and its files, in whole seconds; 1970-01-01 by default, so that the digest depends only on the
    /// content.
    #[must_use]
    pub fn created(mut self, created: Timestamp) -> Self {
        self.created = created;
        self
    }

    /// The user and group ID of the program; 10001 by default, 0 is root.
    #[must_use]
    pub fn user(mut self, user: u32) -> Self {
        self.user = user;
        self
    }

    /// Checks the program and its name without writing anything.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration), as [`write`](Self::write).
    pub fn check(&self) -> Result<()> {
        self.program_name()?;
        self.check_files()?;
        self.check_env()?;
        binary::open_program(&self.program).map(drop)
    }

    /// Checks the program and writes the image to `folder`, replacing an existing image. It blocks, for seconds with a large program. If
    /// it fails, the existing image is kept.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration): the program cannot run in a container of Snowflake (the help says how to build
    /// it), a name is invalid, or `folder` contains something other than an image;
    /// [`Unavailable`](crate::ErrorKind::Unavailable): the disk fails.
    pub fn write(self, folder: impl Into<PathBuf>) -> Result<Image> {
        let name = self.program_name()?;
        self.check_files()?;
        self.check_env()?;
        let time = u64::try_from(self.created.as_second()).map_err(|_| {
            Error::configuration(format!("an image cannot be created before 1970, at {}", self.created))
        })?;
        let program = binary::open_program(&self.program)?;
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
        if !self.files.is_empty() {
            entries.push(Entry::folder(FILES, 0o755));
        }
        entries.extend(self.files.iter().map(|(name, content)| Entry::bytes(&format!("{FILES}/{name}"), content)));
        let write_layer = |file| layer::write(entries, time, file);
        layout::write(folder.into(), write_layer, |diff_id| self.config(&name, diff_id))
    }

    /// The name of the program in the image.
    fn program_name(&self) -> Result<String> {
        let file_name = || self.program.file_name().and_then(|name| name.to_str()).map(str::to_owned);
        let name = self.name.clone().or_else(file_name).unwrap_or_default();
        check_file_name("a program", &name).map(|()| name)
    }

    fn check_files(&self) -> Result<()> {
        self.files.keys().try_for_each(|name| check_file_name("a file", name))
    }

    fn check_env(&self) -> Result<()> {
        match self.env.keys().find(|name| name.is_empty() || name.contains(['=', '\0'])) {
            Some(name) => {
                Err(Error::configuration(format!("{name:?} is not a valid name for an environment variable")))
            }
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
        serde_json::to_vec(&ImageConfig {
            created: &created,
            architecture: "amd64",
            os: "linux",
            config: ContainerConfig {
                user: format!("{0}:{0}", self.user),
                env: env.iter().map(|(name, value)| format!("{name}={value}")).collect(),
                entrypoint: std::iter::once(format!("/usr/local/bin/{name}")).chain(self.arguments.clone()).collect(),
                working_dir: "/",
                labels: &self.labels,
            },
            rootfs: RootFs { r#type: "layers", diff_ids: [diff_id] },
            history: [HistoryEntry { created: &created, created_by: "snowfeed" }],
        })
    }
}

fn check_file_name(what: &str, name: &str) -> Result<()> {
    let is_usable = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !name.is_empty() && name.len() <= 80 && !name.starts_with('.') && name.chars().all(is_usable) {
        return Ok(());
    }
    Err(Error::configuration(format!("{name:?} is not a valid name for {what} in an image"))
        .with_help("use at most 80 letters, digits, `-`, `_` and `.`"))
}

fn read_certificates(bundle: &Path) -> Result<Vec<u8>> {
    let wrong = |why: &str| {
        Error::configuration(format!("the certificates {} {why}", bundle.display()))
            .with_help("use a PEM file of certificates, such as /etc/ssl/certs/ca-certificates.crt")
    };
    let bytes = fs::read(bundle).map_err(|error| wrong("cannot be read").with_source(error))?;
    let text = String::from_utf8_lossy(&bytes);
    if text.contains("PRIVATE KEY") {
        return Err(wrong("contain a private key, which must not be in an image"));
    }
    if !text.contains("-----BEGIN CERTIFICATE-----") {
        return Err(wrong("contain no certificate"));
    }
    Ok(bytes)
}

/// The OCI image configuration. The order of the fields is fixed, so that the digest does not depend on the JSON library's features.
#[derive(Serialize)]
struct ImageConfig<'a> {
    created: &'a str,
    architecture: &'a str,
    os: &'a str,
    config: ContainerConfig<'a>,
    rootfs: RootFs<'a>,
    history: [HistoryEntry<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ContainerConfig<'a> {
    user: String,
    env: Vec<String>,
    entrypoint: Vec<String>,
    working_dir: &'a str,
    labels: &'a BTreeMap<String, String>,
}

#[derive(Serialize)]
struct RootFs<'a> {
    r#type: &'a str,
    diff_ids: [String; 1],
}

#[derive(Serialize)]
struct HistoryEntry<'a> {
    created: &'a str,
    created_by: &'a str,
}
