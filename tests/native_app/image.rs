//! The image: which programs are accepted, and its contents.

#[cfg(all(feature = "cli", feature = "github"))]
pub(super) mod container;
pub(super) mod elf;
mod foreign;
mod push;
mod realm;
pub(super) mod registry;
pub(super) mod secrets;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use flate2::read::GzDecoder;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use snowfeed::native_app::image::{Image, ImageBuilder};
use snowfeed::{Error, ErrorKind};
use tempfile::TempDir;

use self::elf::Elf;

/// Builds images of small programs in a separate folder.
pub(super) struct ImageFolder(TempDir);

impl ImageFolder {
    pub(super) fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn program(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    pub(super) fn builder(&self) -> ImageBuilder {
        Image::builder(self.program("connector", &Elf::good().bytes())).version("1.2.3").title("Widgets")
    }

    fn image(&self) -> Image {
        self.builder().write(self.path("image")).unwrap()
    }

    fn refusal(&self, bytes: &[u8]) -> Error {
        let program = self.program("refused", bytes);
        Image::builder(program).write(self.path("image")).unwrap_err()
    }
}

fn parsed(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// The blob file that a descriptor names, with the digest and the size that it states.
fn blob(image: &Image, descriptor: &Value) -> PathBuf {
    let digest = descriptor["digest"].as_str().unwrap();
    let path = image.folder().join("blobs/sha256").join(digest.strip_prefix("sha256:").unwrap());
    let bytes = fs::read(&path).unwrap();
    assert_eq!(format!("sha256:{:x}", Sha256::digest(&bytes)), digest);
    assert_eq!(descriptor["size"], json!(bytes.len()));
    path
}

fn manifest(image: &Image) -> Value {
    let index = parsed(&image.folder().join("index.json"));
    assert_eq!(index["manifests"].as_array().unwrap().len(), 1);
    assert_eq!(index["manifests"][0]["digest"], image.digest());
    assert_eq!(index["manifests"][0]["platform"], json!({"architecture": "amd64", "os": "linux"}));
    parsed(&blob(image, &index["manifests"][0]))
}

pub(super) fn config(image: &Image) -> Value {
    parsed(&blob(image, &manifest(image)["config"]))
}

/// The layer's archive, uncompressed.
fn archive(image: &Image) -> Vec<u8> {
    let layer = blob(image, &manifest(image)["layers"][0]);
    let mut bytes = Vec::new();
    GzDecoder::new(File::open(layer).unwrap()).read_to_end(&mut bytes).unwrap();
    bytes
}

pub(super) struct ArchiveEntry {
    pub(super) mode: u32,
    pub(super) bytes: Vec<u8>,
}

/// The files of the layer; checks that root owns each one, and that each is as old as `time`.
pub(super) fn files(image: &Image, time: u64) -> BTreeMap<String, ArchiveEntry> {
    let bytes = archive(image);
    let mut files = BTreeMap::new();
    let mut names = Vec::new();
    for entry in tar::Archive::new(bytes.as_slice()).entries().unwrap() {
        let mut entry = entry.unwrap();
        let header = entry.header();
        assert_eq!((header.uid().unwrap(), header.gid().unwrap(), header.mtime().unwrap()), (0, 0, time));
        let mode = header.mode().unwrap();
        let name = entry.path().unwrap().to_str().unwrap().to_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        names.push(name.clone());
        files.insert(name, ArchiveEntry { mode, bytes });
    }
    assert!(names.is_sorted(), "{names:?}");
    files
}

pub(super) fn tree(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(tree(&path));
        } else {
            found.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    found
        .into_iter()
        .map(|(path, bytes)| (path.strip_prefix(folder).map(Path::to_owned).unwrap_or(path), bytes))
        .collect()
}

#[test]
fn an_image_holds_little_more_than_the_program() {
    let images = ImageFolder::new();
    let image = images.image();
    let files = files(&image, 0);
    let found: Vec<(&str, u32)> = files.iter().map(|(name, packed)| (name.as_str(), packed.mode)).collect();
    let expected = [
        ("etc/", 0o755),
        ("etc/group", 0o644),
        ("etc/nsswitch.conf", 0o644),
        ("etc/passwd", 0o644),
        ("tmp/", 0o1777),
        ("usr/", 0o755),
        ("usr/local/", 0o755),
        ("usr/local/bin/", 0o755),
        ("usr/local/bin/connector", 0o755),
    ];
    assert_eq!(found, expected);
    assert_eq!(files["usr/local/bin/connector"].bytes, Elf::good().bytes());
    assert!(String::from_utf8_lossy(&files["etc/passwd"].bytes).contains(":10001:10001:"));
}

#[test]
fn a_container_runs_the_program_as_an_unprivileged_user() {
    let images = ImageFolder::new();
    let image = images.builder().source("https://example.com/widgets").env("RUST_BACKTRACE", "1");
    let image = image.write(images.path("image")).unwrap();
    let config = config(&image);
    assert_eq!((&config["os"], &config["architecture"]), (&json!("linux"), &json!("amd64")));
    assert_eq!(config["created"], "1970-01-01T00:00:00Z");
    let process = json!({
        "User": "10001:10001",
        "Env": ["PATH=/usr/local/bin", "RUST_BACKTRACE=1"],
        "Entrypoint": ["/usr/local/bin/connector"],
        "WorkingDir": "/",
        "Labels": {
            "org.opencontainers.image.title": "Widgets",
            "org.opencontainers.image.version": "1.2.3",
            "org.opencontainers.image.source": "https://example.com/widgets",
        },
    });
    assert_eq!(config["config"], process);
    let diff_id = format!("sha256:{:x}", Sha256::digest(archive(&image)));
    assert_eq!(config["rootfs"], json!({"type": "layers", "diff_ids": [diff_id]}));
}

#[test]
fn two_image_builds_are_identical() {
    let (one, other) = (ImageFolder::new(), ImageFolder::new());
    let first = one.image();
    // The image contains neither the age nor the permissions of the file.
    let program = other.program("connector", &Elf::good().bytes());
    fs::set_permissions(&program, fs::Permissions::from_mode(0o500)).unwrap();
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    File::options().append(true).open(&program).unwrap().set_modified(long_ago).unwrap();
    let second = Image::builder(program).title("Widgets").version("1.2.3").write(other.path("elsewhere")).unwrap();
    assert_eq!(first.digest(), second.digest());
    assert_eq!(tree(first.folder()), tree(second.folder()));
}

#[test]
fn another_program_or_another_label_is_another_image() {
    let images = ImageFolder::new();
    let image = images.image();
    let mut bytes = Elf::good().bytes();
    bytes.push(0);
    let other = Image::builder(images.program("connector", &bytes)).version("1.2.3").title("Widgets");
    let other = other.write(images.path("other")).unwrap();
    let labelled = images.builder().label("team", "data").write(images.path("labelled")).unwrap();
    assert_ne!(image.digest(), other.digest());
    assert_ne!(image.digest(), labelled.digest());
    assert_eq!(manifest(&image)["layers"], manifest(&labelled)["layers"]);
}

#[test]
fn an_image_has_the_given_creation_time() {
    let images = ImageFolder::new();
    let image = images.builder().created("2026-01-15T12:00:00.75Z".parse().unwrap());
    let image = image.write(images.path("image")).unwrap();
    assert_eq!(config(&image)["created"], "2026-01-15T12:00:00Z");
    files(&image, 1_768_478_400);
    let too_old = images.builder().created("1969-12-31T23:59:59Z".parse().unwrap());
    assert_eq!(too_old.write(images.path("old")).unwrap_err().kind(), ErrorKind::Configuration);
}

#[test]
fn certificates_are_at_the_usual_path() {
    let images = ImageFolder::new();
    let pem = b"-----BEGIN CERTIFICATE-----\nMAo=\n-----END CERTIFICATE-----\n";
    let bundle = images.program("ca.pem", pem);
    let image = images.builder().certificates(bundle).write(images.path("image")).unwrap();
    assert_eq!(files(&image, 0)["etc/ssl/certs/ca-certificates.crt"].bytes, pem);
    let env = config(&image)["config"]["Env"].clone();
    assert!(env.as_array().unwrap().contains(&json!("SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt")), "{env}");
}

#[test]
fn an_image_contains_no_private_key() {
    let images = ImageFolder::new();
    let key = images.program("key.pem", b"-----BEGIN CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\nhunter2\n");
    let error = images.builder().certificates(key).write(images.path("image")).unwrap_err();
    assert!(error.to_string().contains("private key"), "{error}");
    let empty = images.program("empty.pem", b"");
    let error = images.builder().certificates(empty).write(images.path("image")).unwrap_err();
    assert!(error.to_string().contains("contain no certificate"), "{error}");
}

#[test]
fn a_program_that_cannot_run_is_rejected() {
    let images = ImageFolder::new();
    for (bytes, why) in [
        (b"#!/bin/sh\n".to_vec(), "not an ELF file"),
        (Vec::new(), "not an ELF file"),
        (Elf::good().kind(1).bytes(), "an object file"),
        (Elf::good().segment(3, b"/lib64/ld-linux-x86-64.so.2\0").bytes(), "dynamically linked"),
        (Elf::good().segment(2, &elf::entry(1, 17)).bytes(), "dynamically linked"),
        (Elf::good().bytes()[..40].to_vec(), "damaged"),
        (Elf::good().bytes()[..80].to_vec(), "damaged"),
    ] {
        let error = images.refusal(&bytes);
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.message().contains(why), "{why}: {error}");
        let help = error.help().unwrap();
        assert!(help.contains("crt-static") && help.contains("--bin refused"), "{help}");
    }
}

#[test]
fn a_program_for_another_platform_is_rejected() {
    let images = ImageFolder::new();
    for (bytes, why) in [
        (Elf::good().machine(243).bytes(), "a processor other than x86-64"),
        (Elf::good().class(1).bytes(), "32-bit"),
        (Elf::good().system(9).bytes(), "an operating system other than Linux"),
    ] {
        let error = images.refusal(&bytes);
        assert!(error.message().contains(why), "{why}: {error}");
        assert!(error.help().unwrap().contains("cargo zigbuild"), "{error:?}");
    }
}

#[test]
fn a_static_program_may_be_position_independent() {
    let images = ImageFolder::new();
    let program = Elf::good().kind(3).segment(2, &[elf::entry(4, 512), elf::entry(0, 0)].concat()).bytes();
    Image::builder(images.program("connector", &program)).write(images.path("image")).unwrap();
}

#[test]
fn a_dynamically_linked_program_is_rejected() {
    let images = ImageFolder::new();
    let error = Image::builder(std::env::current_exe().unwrap()).write(images.path("image")).unwrap_err();
    assert!(error.message().contains("dynamically linked"), "{error}");
}

#[test]
fn a_missing_program_is_reported_with_its_build_command() {
    let images = ImageFolder::new();
    for (path, why) in [("target/release/examples/widgets", "cannot be read"), (".", "is not a file")] {
        let error = Image::builder(images.path(path)).name("widgets").write(images.path("image")).unwrap_err();
        assert!(error.message().contains(why), "{error}");
        assert!(error.help().unwrap().contains("cargo build --release"), "{error:?}");
    }
}

#[test]
fn a_program_name_with_a_path_is_rejected() {
    let images = ImageFolder::new();
    for name in ["", "../sh", ".hidden", "a b", "ü", &"a".repeat(81)] {
        let error = images.builder().name(name).write(images.path("image")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{name}");
    }
    let error = images.builder().env("A=B", "").write(images.path("image")).unwrap_err();
    assert!(error.to_string().contains("environment variable"), "{error}");
}

#[test]
fn a_build_replaces_the_last_one() {
    let images = ImageFolder::new();
    let first = images.image();
    let second = images.builder().version("1.2.4").write(images.path("image")).unwrap();
    assert_ne!(first.digest(), second.digest());
    let blobs = fs::read_dir(images.path("image/blobs/sha256")).unwrap().count();
    assert_eq!(blobs, 3, "the old files are removed");
    let siblings: Vec<_> = fs::read_dir(images.0.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(siblings.len(), 2, "{siblings:?}");
}

#[test]
fn a_failed_build_keeps_the_last_one() {
    let images = ImageFolder::new();
    let before = images.image();
    images.refusal(b"no program");
    assert_eq!(Image::open(images.path("image")).unwrap().digest(), before.digest());
}

#[test]
fn a_folder_without_an_image_is_left_unchanged() {
    let images = ImageFolder::new();
    fs::create_dir(images.path("work")).unwrap();
    let thesis = images.program("work/thesis.txt", b"years");
    let error = images.builder().write(images.path("work")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert_eq!(fs::read(thesis).unwrap(), b"years");
}

#[test]
fn a_written_image_can_be_opened() {
    let images = ImageFolder::new();
    let image = images.image();
    let found = Image::open(images.path("image")).unwrap();
    assert_eq!(found.digest(), image.digest());
    let layer_and_config: u64 = fs::read_dir(images.path("image/blobs/sha256"))
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| !image.digest().ends_with(entry.file_name().to_str().unwrap()))
        .map(|entry| entry.metadata().unwrap().len())
        .sum();
    assert_eq!(found.size(), layer_and_config);
}

#[test]
fn a_missing_or_modified_image_is_reported() {
    let images = ImageFolder::new();
    assert_eq!(Image::open(images.path("image")).unwrap_err().kind(), ErrorKind::NotFound);
    let image = images.image();
    let manifest = images.path("image/blobs/sha256").join(&image.digest()["sha256:".len()..]);
    fs::write(manifest, "{}").unwrap();
    assert_eq!(Image::open(images.path("image")).unwrap_err().kind(), ErrorKind::InvalidData);
    for index in ["", "{}", r#"{"schemaVersion": 2, "manifests": []}"#] {
        fs::write(images.path("image/index.json"), index).unwrap();
        assert_eq!(Image::open(images.path("image")).unwrap_err().kind(), ErrorKind::InvalidData, "{index}");
    }
    let outside =
        r#"{"schemaVersion": 2, "manifests": [{"mediaType": "a", "digest": "sha256:../../../x", "size": 1}]}"#;
    fs::write(images.path("image/index.json"), outside).unwrap();
    assert_eq!(Image::open(images.path("image")).unwrap_err().kind(), ErrorKind::InvalidData);
}
