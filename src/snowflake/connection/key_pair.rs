//! Key-pair authentication: private keys in every format of `openssl`, and the token that they sign.

use std::io;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use pkcs8::der::asn1::{AnyRef, BitStringRef, UintRef};
use pkcs8::der::{self, Decode, Encode, Reader, SecretDocument, SliceReader, pem};
use pkcs8::{
    AlgorithmIdentifierRef, EncryptedPrivateKeyInfo, ObjectIdentifier, PrivateKeyInfo, SubjectPublicKeyInfoRef,
};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::secret::read_secret;
use crate::{Error, Result};

/// `rsaEncryption` of PKCS #1.
pub(super) const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// How to convert any key that `openssl` reads.
const CONVERT: &str = "convert it: `openssl pkcs8 -topk8 -v2 aes-256-cbc -in KEY -out rsa_key.p8`";

/// Reads an RSA key as unencrypted PKCS #8.
///
/// An unneeded passphrase is ignored, as in Snowflake's tools.
pub(super) fn read_private_key(file: &Path, passphrase: Option<&SecretString>) -> Result<SecretDocument> {
    let text = read_secret(file).map_err(|source| match source.kind() {
        io::ErrorKind::InvalidData => key_error(file, "is not PEM").with_help(CONVERT),
        _ => key_error(file, "cannot be read").with_source(source).with_help("point `private_key_file` to the key"),
    })?;
    let key = plain(file, text.expose_secret().trim(), passphrase)?;
    let algorithm = key.decode_msg::<PrivateKeyInfo<'_>>().map(|key| key.algorithm.oid);
    match algorithm {
        Ok(RSA) => Ok(key),
        Ok(_) => Err(key_error(file, "is not an RSA key").with_help("create one: `openssl genrsa 2048`")),
        Err(_) => Err(damaged_key(file)),
    }
}

/// An error about the key in `file`.
pub(super) fn key_error(file: &Path, what: &str) -> Error {
    Error::configuration(format!("the private key {} {what}", file.display()))
}

pub(super) fn damaged_key(file: &Path) -> Error {
    key_error(file, "is damaged").with_help("copy it again, or create a new one: `openssl genrsa 2048`")
}

/// The decrypted PKCS #8 document in a PEM text.
fn plain(file: &Path, text: &str, passphrase: Option<&SecretString>) -> Result<SecretDocument> {
    // An old form of encryption, with headers that PEM no longer has.
    if text.contains("Proc-Type:") {
        return Err(key_error(file, "is encrypted in an outdated format").with_help(CONVERT));
    }
    let label = pem::decode_label(text.as_bytes()).map_err(|_| key_error(file, "is not PEM").with_help(CONVERT))?;
    let document = || SecretDocument::from_pem(text).map(|(_, document)| document).map_err(|_| damaged_key(file));
    match label {
        "PRIVATE KEY" => document(),
        "ENCRYPTED PRIVATE KEY" => decrypt(file, &document()?, passphrase),
        "RSA PRIVATE KEY" => wrap(&document()?).map_err(|_| damaged_key(file)),
        "PUBLIC KEY" | "RSA PUBLIC KEY" | "CERTIFICATE" => Err(key_error(file, "is a public key")
            .with_help("point `private_key_file` to the file that `openssl genrsa` wrote")),
        _ => Err(key_error(file, "is not an RSA key in PKCS #8").with_help(CONVERT)),
    }
}

fn decrypt(file: &Path, document: &SecretDocument, passphrase: Option<&SecretString>) -> Result<SecretDocument> {
    let too_old = || key_error(file, "is encrypted in an unsupported format").with_help(CONVERT);
    let key = document.decode_msg::<EncryptedPrivateKeyInfo<'_>>().map_err(|_| too_old())?;
    let passphrase = passphrase.ok_or_else(|| {
        key_error(file, "is encrypted, and there is no passphrase")
            .with_help("set PRIVATE_KEY_PASSPHRASE, or `private_key_passphrase` in the connection")
    })?;
    key.decrypt(passphrase.expose_secret()).map_err(|failure| match failure {
        pkcs8::Error::EncryptedPrivateKey(
            pkcs8::pkcs5::Error::NoPbes1CryptSupport
            | pkcs8::pkcs5::Error::UnsupportedAlgorithm { .. }
            | pkcs8::pkcs5::Error::AlgorithmParametersInvalid { .. },
        ) => too_old(),
        // One wrong passphrase in 256 decrypts to bytes with valid padding.
        _ => key_error(file, "does not open with the passphrase given")
            .with_help("check PRIVATE_KEY_PASSPHRASE, and `private_key_passphrase` in the connection"),
    })
}

/// Wraps an RSA key in PKCS #1 as PKCS #8.
fn wrap(key: &SecretDocument) -> pkcs8::der::Result<SecretDocument> {
    let algorithm = AlgorithmIdentifierRef { oid: RSA, parameters: Some(AnyRef::NULL) };
    SecretDocument::encode_msg(&PrivateKeyInfo::new(algorithm, key.as_bytes()))
}

/// The claimed validity of a token, in seconds. Snowflake accepts it for an hour at most.
const VALIDITY_SECONDS: i64 = 24 * 60 * 60;

#[derive(Serialize)]
struct Claims<'a> {
    iss: String,
    sub: &'a str,
    iat: i64,
    exp: i64,
}

/// Why signing failed. It reveals nothing of the key.
#[derive(Debug)]
pub(super) enum SignError {
    /// The key is not an RSA key in PKCS #1.
    InvalidKey,
    /// The key cannot sign.
    Signing(jsonwebtoken::errors::Error),
}

impl From<der::Error> for SignError {
    fn from(_: der::Error) -> Self {
        Self::InvalidKey
    }
}

/// Signs a token for `subject`, which is `ACCOUNT.USER`, with an RSA key in PKCS #8.
pub(super) fn sign_token(key: &SecretDocument, subject: &str) -> std::result::Result<SecretString, SignError> {
    let pkcs1 = key.decode_msg::<PrivateKeyInfo<'_>>()?.private_key;
    let now = Timestamp::now().as_second();
    let iss = format!("{subject}.SHA256:{}", fingerprint(pkcs1)?);
    let claims = Claims { iss, sub: subject, iat: now, exp: now + VALIDITY_SECONDS };
    let token = jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims, &EncodingKey::from_rsa_der(pkcs1));
    token.map(SecretString::from).map_err(SignError::Signing)
}

/// The fingerprint by which Snowflake identifies a key: the SHA-256 of its public half, in the form `SubjectPublicKeyInfo`, as base64.
fn fingerprint(pkcs1: &[u8]) -> der::Result<String> {
    let (modulus, exponent) = SliceReader::new(pkcs1)?.sequence(|key| {
        let _version = u8::decode(key)?;
        let public = (UintRef::decode(key)?, UintRef::decode(key)?);
        // The rest is private.
        key.read_slice(key.remaining_len())?;
        Ok(public)
    })?;
    let public = [modulus, exponent].to_der()?;
    let info = SubjectPublicKeyInfoRef {
        algorithm: AlgorithmIdentifierRef { oid: RSA, parameters: Some(AnyRef::NULL) },
        subject_public_key: BitStringRef::from_bytes(&public)?,
    };
    Ok(STANDARD.encode(Sha256::digest(info.to_der()?)))
}
