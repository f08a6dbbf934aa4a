//! The only layer of an image: a compressed archive of the program and its files.

use std::fs::File;
use std::io::{self, Read, Write};

use flate2::{Compression, GzBuilder};
use tar::{Builder, EntryType, Header};

use super::digest::DigestWriter;

/// The value of gzip's OS field for an unknown system.
const UNKNOWN_SYSTEM: u8 = 255;

/// A file or a folder of the layer.
pub(super) struct Entry<'a> {
    /// From the root, without a leading slash.
    path: String,
    mode: u32,
    content: Content<'a>,
}

enum Content<'a> {
    Folder,
    Bytes(&'a [u8]),
    File(&'a File),
}

impl<'a> Entry<'a> {
    pub(super) fn folder(path: &str, mode: u32) -> Self {
        Self { path: format!("{path}/"), mode, content: Content::Folder }
    }

    pub(super) fn bytes(path: &str, bytes: &'a [u8]) -> Self {
        Self { path: path.to_owned(), mode: 0o644, content: Content::Bytes(bytes) }
    }

    pub(super) fn program(path: String, file: &'a File) -> Self {
        Self { path, mode: 0o755, content: Content::File(file) }
    }
}

/// A layer as it was written.
#[derive(Debug)]
pub(super) struct Layer {
    /// The digest of the compressed bytes.
    pub(super) digest: String,
    /// The number of compressed bytes.
    pub(super) size: u64,
    /// The digest of the archive before it was compressed.
    pub(super) diff_id: String,
}

/// Writes `entries`, sorted, owned by root, and last modified at `time` (seconds since 1970). Memory use does not grow with the
/// files.
pub(super) fn write(mut entries: Vec<Entry<'_>>, time: u64, to: impl Write) -> io::Result<Layer> {
    entries.sort_by(|one, other| one.path.cmp(&other.path));
    let compressed = DigestWriter::new(to);
    let gzip = GzBuilder::new().mtime(0).operating_system(UNKNOWN_SYSTEM).write(compressed, Compression::new(6));
    let mut archive = Builder::new(DigestWriter::new(gzip));
    for entry in entries {
        append(&mut archive, entry, time)?;
    }
    let (gzip, diff_id, _) = archive.into_inner()?.finish();
    let (mut to, digest, size) = gzip.finish()?.finish();
    to.flush()?;
    Ok(Layer { digest, size, diff_id })
}

fn append(archive: &mut Builder<impl Write>, entry: Entry<'_>, time: u64) -> io::Result<()> {
    let mut header = Header::new_ustar();
    header.set_mode(entry.mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(time);
    header.set_entry_type(EntryType::Regular);
    match entry.content {
        Content::Folder => {
            header.set_entry_type(EntryType::Directory);
            header.set_size(0);
            archive.append_data(&mut header, entry.path, io::empty())
        }
        Content::Bytes(bytes) => {
            header.set_size(bytes.len() as u64);
            archive.append_data(&mut header, entry.path, bytes)
        }
        Content::File(file) => {
            let size = file.metadata()?.len();
            header.set_size(size);
            let mut program = file.take(size);
            archive.append_data(&mut header, entry.path, &mut program)?;
            // A build that ran meanwhile would leave an unreadable archive.
            if program.limit() > 0 || file.metadata()?.len() != size {
                return Err(io::Error::other("the program changed while it was read"));
            }
            Ok(())
        }
    }
}
