//! Images as folders: the OCI image layout.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use oci_client::manifest::{
    IMAGE_CONFIG_MEDIA_TYPE, IMAGE_LAYER_GZIP_MEDIA_TYPE, ImageIndexEntry, OCI_IMAGE_INDEX_MEDIA_TYPE,
    OCI_IMAGE_MEDIA_TYPE, OciDescriptor, OciImageIndex, OciImageManifest, Platform,
};
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::digest;
use super::layer::Layer;
use crate::{Error, ErrorKind, Result};

const MARK: &str = "oci-layout";
const VERSION: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;
const INDEX: &str = "index.json";
const BLOBS: &str = "blobs/sha256";

/// The maximum size of an index or manifest that this crate writes; a larger one comes from another tool.
const DOCUMENT: u64 = 4 * 1024 * 1024;

/// An image, in a folder.
#[derive(Debug, Clone)]
pub struct Image {
    folder: PathBuf,
    digest: String,
    bytes: Vec<u8>,
    manifest: OciImageManifest,
}

impl Image {
    /// The image in `folder`, written before by this or by another tool.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) where there is none; [`InvalidData`](ErrorKind::InvalidData) when it is damaged, or holds
    /// more than one image.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self> {
        let folder = folder.into();
        if !folder.join(MARK).is_file() {
            return Err(Error::new(ErrorKind::NotFound, format!("there is no image in {}", folder.display()))
                .with_help("build it first"));
        }
        let damaged = |what: &str| Error::invalid_data(format!("the image in {} {what}", folder.display()));
        let index: OciImageIndex = parse(&read(&folder.join(INDEX))?).map_err(|error| {
            damaged("has no readable index").with_source(error).with_help("delete it and build it again")
        })?;
        let [entry] = index.manifests.as_slice() else {
            return Err(damaged("does not contain exactly one image")
                .with_context("images", index.manifests.len())
                .with_help("Snowflake runs images with one manifest, for linux/amd64"));
        };
        let digits = digest::hex_digits(&entry.digest).ok_or_else(|| damaged("has a digest other than SHA-256"))?;
        let bytes = read(&folder.join(BLOBS).join(digits))?;
        if digest::sha256_digest(&bytes) != entry.digest {
            return Err(damaged("was changed after it was built").with_help("delete it and build it again"));
        }
        let manifest = parse(&bytes).map_err(|error| damaged("has no readable manifest").with_source(error))?;
        Ok(Self { digest: entry.digest.clone(), folder, bytes, manifest })
    }

    /// The folder of the image.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The digest of the manifest, `sha256:…`, which identifies the image.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The compressed size of all its blobs, in bytes.
    pub fn size(&self) -> u64 {
        self.blobs().map(|blob| u64::try_from(blob.size).unwrap_or_default()).sum()
    }

    /// The bytes of the manifest.
    pub(super) fn manifest(&self) -> &[u8] {
        &self.bytes
    }

    /// The media type of the manifest.
    pub(super) fn media_type(&self) -> &str {
        self.manifest.media_type.as_deref().unwrap_or(OCI_IMAGE_MEDIA_TYPE)
    }

    /// The blobs of the manifest, in the order in which to upload them.
    pub(super) fn blobs(&self) -> impl Iterator<Item = &OciDescriptor> {
        self.manifest.layers.iter().chain([&self.manifest.config])
    }

    /// Reads a blob.
    pub(super) fn read_blob(&self, blob: &OciDescriptor) -> Result<Vec<u8>> {
        let digits = digest::hex_digits(&blob.digest).ok_or_else(|| {
            Error::invalid_data(format!("the image in {} has a blob without SHA-256", self.folder.display()))
        })?;
        let path = self.folder.join(BLOBS).join(digits);
        let bytes = fs::read(&path).map_err(|error| failed("read", &path, error))?;
        if bytes.len() as u64 == u64::try_from(blob.size).unwrap_or_default() {
            return Ok(bytes);
        }
        Err(Error::invalid_data(format!("the image in {} is damaged", self.folder.display()))
            .with_context("blob", &blob.digest)
            .with_help("delete it and build it again"))
    }
}

/// Writes an image. `layer` writes the layer; `config` creates the configuration from the digest of the uncompressed layer.
pub(super) fn write(
    folder: PathBuf,
    layer: impl FnOnce(BufWriter<File>) -> io::Result<Layer>,
    config: impl FnOnce(String) -> serde_json::Result<Vec<u8>>,
) -> Result<Image> {
    // Removes a trailing slash, which would follow a link.
    let folder = folder.components().collect::<PathBuf>();
    let old = replaceable_files(&folder)?;
    let unfinished = sibling(&folder, "unfinished");
    let written = create(&unfinished).and_then(|()| {
        let written = write_into(&unfinished, layer, config).and_then(|()| replace(&folder, &unfinished, &old));
        if written.is_err() {
            // Already renamed if only removing the old image failed.
            let _ = fs::remove_dir_all(&unfinished);
        }
        written
    });
    written.map_err(|error| failed("written", &folder, error))?;
    Image::open(folder)
}

/// Creates a new folder.
fn create(folder: &Path) -> io::Result<()> {
    folder.parent().map_or(Ok(()), fs::create_dir_all)?;
    fs::create_dir(folder)
}

fn write_into(
    folder: &Path,
    layer: impl FnOnce(BufWriter<File>) -> io::Result<Layer>,
    config: impl FnOnce(String) -> serde_json::Result<Vec<u8>>,
) -> io::Result<()> {
    let blobs = folder.join(BLOBS);
    fs::create_dir_all(&blobs)?;
    let nameless = blobs.join("layer");
    let layer = layer(BufWriter::new(File::create(&nameless)?))?;
    fs::rename(nameless, blobs.join(digest::hex_digits(&layer.digest).unwrap_or_default()))?;

    let config = config(layer.diff_id)?;
    let layer = descriptor(IMAGE_LAYER_GZIP_MEDIA_TYPE, layer.digest, layer.size)?;
    let manifest = OciImageManifest {
        media_type: Some(OCI_IMAGE_MEDIA_TYPE.to_owned()),
        config: write_blob(&blobs, IMAGE_CONFIG_MEDIA_TYPE, &config)?,
        layers: vec![layer],
        ..OciImageManifest::default()
    };
    let manifest = write_blob(&blobs, OCI_IMAGE_MEDIA_TYPE, &serde_json::to_vec(&manifest)?)?;
    fs::write(folder.join(INDEX), index(manifest)?)?;
    fs::write(folder.join(MARK), VERSION)
}

/// The index of an image with this manifest.
fn index(manifest: OciDescriptor) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(&OciImageIndex {
        schema_version: 2,
        media_type: Some(OCI_IMAGE_INDEX_MEDIA_TYPE.to_owned()),
        manifests: vec![ImageIndexEntry {
            media_type: manifest.media_type,
            digest: manifest.digest,
            size: manifest.size,
            platform: Some(linux_amd64()),
            annotations: None,
        }],
        artifact_type: None,
        annotations: None,
    })
}

fn write_blob(blobs: &Path, media_type: &str, bytes: &[u8]) -> io::Result<OciDescriptor> {
    let digest = digest::sha256_digest(bytes);
    fs::write(blobs.join(digest::hex_digits(&digest).unwrap_or_default()), bytes)?;
    descriptor(media_type, digest, bytes.len() as u64)
}

fn descriptor(media_type: &str, digest: String, size: u64) -> io::Result<OciDescriptor> {
    let size = i64::try_from(size).map_err(io::Error::other)?;
    Ok(OciDescriptor { media_type: media_type.to_owned(), digest, size, ..OciDescriptor::default() })
}

fn linux_amd64() -> Platform {
    Platform {
        architecture: "amd64".to_owned(),
        os: "linux".to_owned(),
        os_version: None,
        os_features: None,
        variant: None,
        features: None,
    }
}

/// The files of the image in `folder`, which may be missing or empty. Another program may have imitated an image, so everything in it
/// must be what [`write`] wrote; other files are never deleted.
fn replaceable_files(folder: &Path) -> Result<Vec<PathBuf>> {
    match image_files(folder) {
        Ok(Some(files)) => Ok(files),
        Ok(None) => Err(Error::configuration(format!(
            "{} contains something other than an image of `app build`",
            folder.display()
        ))
        .with_help("delete it, or use another folder")),
        Err(error) => Err(failed("written", folder, error)),
    }
}

/// The files of a complete image; `None` if there is anything else.
fn image_files(folder: &Path) -> io::Result<Option<Vec<PathBuf>>> {
    match fs::symlink_metadata(folder) {
        Ok(metadata) if metadata.is_dir() => {}
        Ok(_) => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Some(Vec::new())),
        Err(error) => return Err(error),
    }
    let mut found = BTreeSet::new();
    if !collect(folder, &mut found)? {
        return Ok(None);
    }
    if found.is_empty() {
        return Ok(Some(Vec::new()));
    }
    let Ok(image) = Image::open(folder) else { return Ok(None) };
    let manifest = descriptor(image.media_type(), image.digest.clone(), image.bytes.len() as u64)?;
    let blob = |blob: &OciDescriptor| {
        (folder.join(BLOBS).join(digest::hex_digits(&blob.digest).unwrap_or_default()), blob.digest.clone())
    };
    let mut expected: BTreeMap<_, _> = image.blobs().chain([&manifest]).map(blob).collect();
    expected.insert(folder.join(MARK), digest::sha256_digest(VERSION.as_bytes()));
    expected.insert(folder.join(INDEX), digest::sha256_digest(&index(manifest)?));
    if !found.iter().eq(expected.keys()) {
        return Ok(None);
    }
    for (path, digest) in expected {
        if digest::sha256_digest(&fs::read(path)?) != digest {
            return Ok(None);
        }
    }
    Ok(Some(found.into_iter().collect()))
}

/// Collects the files below `folder`; returns false if there is anything but files and folders.
fn collect(folder: &Path, files: &mut BTreeSet<PathBuf>) -> io::Result<bool> {
    for entry in fs::read_dir(folder)? {
        let (entry, kind) = entry.and_then(|entry| entry.file_type().map(|kind| (entry, kind)))?;
        if kind.is_file() {
            files.insert(entry.path());
        } else if !(kind.is_dir() && collect(&entry.path(), files)?) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Replaces `folder`, which may be missing, with the folder `new`, and removes the old `files`.
fn replace(folder: &Path, new: &Path, files: &[PathBuf]) -> io::Result<()> {
    if !folder.exists() {
        return fs::rename(new, folder);
    }
    let old = sibling(folder, "replaced");
    fs::rename(folder, &old)?;
    fs::rename(new, folder).inspect_err(|_| drop(fs::rename(&old, folder)))?;
    for file in files {
        fs::remove_file(old.join(file.strip_prefix(folder).unwrap_or(file)))?;
    }
    // Without them it contains only empty folders.
    for parts in [BLOBS, "blobs", ""] {
        match fs::remove_dir(old.join(parts)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// A unique path next to `folder`, on the same file system.
fn sibling(folder: &Path, what: &str) -> PathBuf {
    let mut name = folder.file_name().map(OsString::from).unwrap_or_default();
    name.push(format!(".{}.{what}", Uuid::now_v7()));
    folder.with_file_name(name)
}

/// Reads a document of the layout.
fn read(path: &Path) -> Result<Vec<u8>> {
    let length = fs::metadata(path).map_err(|error| failed("read", path, error))?.len();
    if length > DOCUMENT {
        return Err(Error::invalid_data(format!("{} is too large", path.display())).with_context("bytes", length));
    }
    fs::read(path).map_err(|error| failed("read", path, error))
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> serde_json::Result<T> {
    serde_json::from_slice(bytes)
}

fn failed(what: &str, path: &Path, error: io::Error) -> Error {
    Error::new(ErrorKind::Unavailable, format!("the image {} cannot be {what}: {error}", path.display()))
        .with_help("check that the folder exists, is writable, and has free space")
        .with_source(error)
}
