//! The token by which the holder of a private key logs in.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use pkcs8::der::asn1::{AnyRef, BitStringRef, UintRef};
use pkcs8::der::{self, Decode, Encode, Reader, SecretDocument, SliceReader};
use pkcs8::{AlgorithmIdentifierRef, PrivateKeyInfo, SubjectPublicKeyInfoRef};
use secrecy::SecretString;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::key::RSA;

/// How long a token claims to be valid, in seconds. Snowflake takes it for an hour at most.
const VALIDITY_SECONDS: i64 = 24 * 60 * 60;

#[derive(Serialize)]
struct Claims<'a> {
    iss: String,
    sub: &'a str,
    iat: i64,
    exp: i64,
}

/// Why a key makes no token. It tells nothing of the key.
#[derive(Debug)]
pub(super) enum SignError {
    /// It is not an RSA key as PKCS #1 defines it.
    InvalidKey,
    /// It cannot sign.
    Signing(jsonwebtoken::errors::Error),
}

impl From<der::Error> for SignError {
    fn from(_: der::Error) -> Self {
        Self::InvalidKey
    }
}

/// A token for `subject`, which is `ACCOUNT.USER`, signed by an RSA key in PKCS #8.
pub(super) fn sign(key: &SecretDocument, subject: &str) -> Result<SecretString, SignError> {
    let pkcs1 = key.decode_msg::<PrivateKeyInfo<'_>>()?.private_key;
    let now = Timestamp::now().as_second();
    let iss = format!("{subject}.SHA256:{}", fingerprint(pkcs1)?);
    let claims = Claims { iss, sub: subject, iat: now, exp: now + VALIDITY_SECONDS };
    let token = jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims, &EncodingKey::from_rsa_der(pkcs1));
    token.map(SecretString::from).map_err(SignError::Signing)
}

/// By what Snowflake knows a key: the SHA-256 of its public half, in the form `SubjectPublicKeyInfo`, as base64.
fn fingerprint(pkcs1: &[u8]) -> der::Result<String> {
    let (modulus, exponent) = SliceReader::new(pkcs1)?.sequence(|key| {
        let _version = u8::decode(key)?;
        let public = (UintRef::decode(key)?, UintRef::decode(key)?);
        // What is left is private.
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
