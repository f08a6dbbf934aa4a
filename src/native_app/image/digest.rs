//! SHA-256 digests in OCI's format.

use std::io::{self, Write};

use sha2::{Digest as _, Sha256};

const ALGORITHM: &str = "sha256:";

/// The digest of bytes: `sha256:` and 64 hexadecimal digits.
pub(super) fn sha256_digest(bytes: &[u8]) -> String {
    format!("{ALGORITHM}{:x}", Sha256::digest(bytes))
}

/// The digits of a digest; `None` if it is not a valid SHA-256 digest, which is also the name of a blob's file.
pub(super) fn hex_digits(digest: &str) -> Option<&str> {
    let digits = digest.strip_prefix(ALGORITHM)?;
    let is_digit = |c: u8| matches!(c, b'0'..=b'9' | b'a'..=b'f');
    (digits.len() == 64 && digits.bytes().all(is_digit)).then_some(digits)
}

/// A writer that computes the digest and the length of the data it passes on.
pub(super) struct DigestWriter<W> {
    to: W,
    sha256: Sha256,
    length: u64,
}

impl<W: Write> DigestWriter<W> {
    pub(super) fn new(to: W) -> Self {
        Self { to, sha256: Sha256::new(), length: 0 }
    }

    /// Returns the inner writer, the digest, and the length in bytes.
    pub(super) fn finish(self) -> (W, String, u64) {
        (self.to, format!("{ALGORITHM}{:x}", self.sha256.finalize()), self.length)
    }
}

impl<W: Write> Write for DigestWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.sha256.update(&bytes[..written]);
        self.length += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_writer_computes_the_digest_of_its_bytes() {
        let mut digesting = DigestWriter::new(Vec::new());
        digesting.write_all(b"snow").unwrap();
        digesting.write_all(b"feed").unwrap();
        assert_eq!(digesting.finish(), (b"snowfeed".to_vec(), sha256_digest(b"snowfeed"), 8));
    }

    #[test]
    fn only_a_complete_digest_names_a_file() {
        assert_eq!(hex_digits(&sha256_digest(b"")).map(str::len), Some(64));
        for wrong in
            ["", "sha256:", "sha256:../../etc/passwd", &sha256_digest(b"")[1..], &sha256_digest(b"").to_uppercase()]
        {
            assert_eq!(hex_digits(wrong), None, "{wrong}");
        }
    }
}
