//! Private keys, in every form in which `openssl` writes them.

use std::io;
use std::path::Path;

use pkcs8::der::asn1::AnyRef;
use pkcs8::der::{SecretDocument, pem};
use pkcs8::{AlgorithmIdentifierRef, EncryptedPrivateKeyInfo, ObjectIdentifier, PrivateKeyInfo};
use secrecy::{ExposeSecret, SecretString};

use crate::secret::read_secret;
use crate::{Error, Result};

/// `rsaEncryption` of PKCS #1.
pub(super) const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// How to turn any key that `openssl` reads into one that we read.
const CONVERT: &str = "convert it: `openssl pkcs8 -topk8 -v2 aes-256-cbc -in KEY -out rsa_key.p8`";

/// Reads an RSA key as unencrypted PKCS #8.
///
/// A passphrase that is not needed is ignored, as Snowflake's tools do.
pub(super) fn read(file: &Path, passphrase: Option<&SecretString>) -> Result<SecretDocument> {
    let text = read_secret(file).map_err(|source| match source.kind() {
        io::ErrorKind::InvalidData => error(file, "is not PEM").with_help(CONVERT),
        _ => error(file, "cannot be read").with_source(source).with_help("point `private_key_file` to the key"),
    })?;
    let key = plain(file, text.expose_secret().trim(), passphrase)?;
    let algorithm = key.decode_msg::<PrivateKeyInfo<'_>>().map(|key| key.algorithm.oid);
    match algorithm {
        Ok(RSA) => Ok(key),
        Ok(_) => Err(error(file, "is not an RSA key").with_help("make one: `openssl genrsa 2048`")),
        Err(_) => Err(damaged(file)),
    }
}

/// An error about the key in `file`.
pub(super) fn error(file: &Path, what: &str) -> Error {
    Error::configuration(format!("the private key {} {what}", file.display()))
}

pub(super) fn damaged(file: &Path) -> Error {
    error(file, "is damaged").with_help("copy it once more, or make a new one: `openssl genrsa 2048`")
}

/// The PKCS #8 document that a PEM text holds, decrypted.
fn plain(file: &Path, text: &str, passphrase: Option<&SecretString>) -> Result<SecretDocument> {
    // An older form of encryption, in headers that PEM no longer has.
    if text.contains("Proc-Type:") {
        return Err(error(file, "is encrypted in a form that is too old").with_help(CONVERT));
    }
    let label = pem::decode_label(text.as_bytes()).map_err(|_| error(file, "is not PEM").with_help(CONVERT))?;
    let document = || SecretDocument::from_pem(text).map(|(_, document)| document).map_err(|_| damaged(file));
    match label {
        "PRIVATE KEY" => document(),
        "ENCRYPTED PRIVATE KEY" => decrypt(file, &document()?, passphrase),
        "RSA PRIVATE KEY" => wrap(&document()?).map_err(|_| damaged(file)),
        "PUBLIC KEY" | "RSA PUBLIC KEY" | "CERTIFICATE" => Err(error(file, "is public, and not the private half")
            .with_help("point `private_key_file` to the file that `openssl genrsa` wrote")),
        _ => Err(error(file, "is not an RSA key in PKCS #8").with_help(CONVERT)),
    }
}

fn decrypt(file: &Path, document: &SecretDocument, passphrase: Option<&SecretString>) -> Result<SecretDocument> {
    let too_old = || error(file, "is encrypted in a form that is not known here").with_help(CONVERT);
    let key = document.decode_msg::<EncryptedPrivateKeyInfo<'_>>().map_err(|_| too_old())?;
    let passphrase = passphrase.ok_or_else(|| {
        error(file, "is encrypted, and there is no passphrase")
            .with_help("set PRIVATE_KEY_PASSPHRASE, or `private_key_passphrase` in the connection")
    })?;
    key.decrypt(passphrase.expose_secret()).map_err(|failure| match failure {
        pkcs8::Error::EncryptedPrivateKey(
            pkcs8::pkcs5::Error::NoPbes1CryptSupport
            | pkcs8::pkcs5::Error::UnsupportedAlgorithm { .. }
            | pkcs8::pkcs5::Error::AlgorithmParametersInvalid { .. },
        ) => too_old(),
        // One wrong passphrase in 256 decrypts to bytes that end like a key's, and are none.
        _ => error(file, "does not open with the passphrase given")
            .with_help("check PRIVATE_KEY_PASSPHRASE, and `private_key_passphrase` in the connection"),
    })
}

/// Puts the older PKCS #1 form of an RSA key into the envelope of PKCS #8.
fn wrap(key: &SecretDocument) -> pkcs8::der::Result<SecretDocument> {
    let algorithm = AlgorithmIdentifierRef { oid: RSA, parameters: Some(AnyRef::NULL) };
    SecretDocument::encode_msg(&PrivateKeyInfo::new(algorithm, key.as_bytes()))
}
