//! The response to a PUT statement.

use secrecy::SecretString;
use serde::{Deserialize, Deserializer};

use crate::{Error, ErrorKind, Result};

/// The `data` of the response to a PUT statement: the location of a file, and the credentials for it.
///
/// Debug output shows no secret.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PutResponse {
    stage_info: StageInfo,
    /// Whether there is a key to encrypt the file with. The key itself is not kept.
    #[serde(default, rename = "encryptionMaterial", deserialize_with = "has_key")]
    is_client_side_encrypted: bool,
}

impl PutResponse {
    /// The location.
    pub(super) fn stage(&self) -> &StageInfo {
        &self.stage_info
    }

    /// Rejects a stage whose files the client must encrypt.
    pub(super) fn refuse_client_side_encryption(&self) -> Result<()> {
        if !self.is_client_side_encrypted {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Unsupported, "the stage requires files that the client has encrypted")
            .with_help("recreate the stage with ENCRYPTION = (TYPE = 'SNOWFLAKE_SSE')"))
    }
}

/// A location for files. Fields for downloads are omitted.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StageInfo {
    pub(super) location_type: LocationType,
    /// `bucket/prefix/`; with a folder its path.
    pub(super) location: String,
    #[serde(default, deserialize_with = "text")]
    pub(super) region: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(super) storage_account: Option<String>,
    /// A host instead of the cloud's usual one, without the bucket or the account: private links, FIPS.
    #[serde(default, deserialize_with = "text")]
    pub(super) end_point: Option<String>,
    /// Google Cloud Storage: use the host of the region.
    #[serde(default, deserialize_with = "flag")]
    pub(super) use_regional_url: bool,
    /// Google Cloud Storage: use the host of the bucket.
    #[serde(default, deserialize_with = "flag")]
    pub(super) use_virtual_url: bool,
    /// Google Cloud Storage: an upload URL, which is secret.
    #[serde(default, deserialize_with = "secret")]
    pub(super) presigned_url: Option<SecretString>,
    #[serde(default, deserialize_with = "credentials")]
    pub(super) creds: StageCredentials,
}

/// The kind of storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) enum LocationType {
    #[serde(rename = "S3")]
    S3,
    #[serde(rename = "AZURE")]
    Azure,
    #[serde(rename = "GCS")]
    Gcs,
    #[serde(rename = "LOCAL_FS")]
    Folder,
}

/// Credentials for one location, of the kind that its cloud uses.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) struct StageCredentials {
    #[serde(default, deserialize_with = "text")]
    pub(super) aws_key_id: Option<String>,
    #[serde(default, deserialize_with = "secret")]
    pub(super) aws_secret_key: Option<SecretString>,
    #[serde(default, deserialize_with = "secret")]
    pub(super) aws_token: Option<SecretString>,
    #[serde(default, deserialize_with = "secret")]
    pub(super) azure_sas_token: Option<SecretString>,
    #[serde(default, deserialize_with = "secret")]
    pub(super) gcs_access_token: Option<SecretString>,
}

/// Reads `encryptionMaterial`: an object for one file, or a list for several. Without a key, or empty, the client encrypts nothing.
fn has_key<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Material {
        #[serde(default, deserialize_with = "secret")]
        query_stage_master_key: Option<SecretString>,
    }

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Materials {
        Several(Vec<Option<Material>>),
        One(Material),
    }

    let is_key = |material: &Material| material.query_stage_master_key.is_some();
    Ok(match Option::<Materials>::deserialize(deserializer)? {
        Some(Materials::Several(materials)) => materials.iter().flatten().any(is_key),
        Some(Materials::One(material)) => is_key(&material),
        None => false,
    })
}

/// Snowflake writes a missing value as null, as an empty text, or not at all.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.filter(|text| !text.trim().is_empty()))
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SecretString>, D::Error> {
    Ok(text(deserializer)?.map(SecretString::from))
}

fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(Option::<bool>::deserialize(deserializer)?.unwrap_or_default())
}

fn credentials<'de, D: Deserializer<'de>>(deserializer: D) -> Result<StageCredentials, D::Error> {
    Ok(Option::<StageCredentials>::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(value: serde_json::Value) -> PutResponse {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn no_secret_is_printed() {
        let answer = answer(json!({
            "stageInfo": {
                "locationType": "S3", "location": "bucket/prefix/", "presignedUrl": "https://h/p?X-Goog-Signature=s3cret",
                "creds": {
                    "AWS_KEY_ID": "AKIA", "AWS_SECRET_KEY": "s3cret", "AWS_TOKEN": "s3cret", "AZURE_SAS_TOKEN": "s3cret",
                    "GCS_ACCESS_TOKEN": "s3cret", "AWS_ID": "AKIA", "AWS_KEY": "s3cret",
                },
            },
            "encryptionMaterial": { "queryStageMasterKey": "s3cret", "queryId": "q", "smkId": 1 },
        }));
        let printed = format!("{answer:?} {answer:#?}");
        assert!(printed.contains("bucket/prefix/") && !printed.contains("s3cret"), "{printed}");
    }

    #[test]
    fn empty_values_count_as_missing() {
        let answer = answer(json!({
            "stageInfo": {
                "locationType": "GCS", "location": "b/", "region": "", "storageAccount": null, "endPoint": "",
                "isClientSideEncrypted": null, "useVirtualUrl": null, "presignedUrl": "", "creds": null,
            },
            "encryptionMaterial": null,
        }));
        let stage = answer.stage();
        assert!(stage.region.is_none() && stage.end_point.is_none() && stage.presigned_url.is_none());
        answer.refuse_client_side_encryption().unwrap();
    }

    #[test]
    fn a_stage_that_requires_encryption_is_rejected_with_help() {
        let location = json!({ "locationType": "S3", "location": "b/" });
        let material = json!({ "queryStageMasterKey": "s3cret", "queryId": "q", "smkId": 1 });
        for material in [material.clone(), json!([material]), json!([{}, material])] {
            let answer = answer(json!({ "stageInfo": location, "encryptionMaterial": material }));
            assert!(!format!("{answer:?}").contains("s3cret"));
            let error = answer.refuse_client_side_encryption().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            assert!(error.help().unwrap().contains("SNOWFLAKE_SSE"), "{error:?}");
        }
    }

    #[test]
    fn only_a_key_makes_a_stage_require_encryption() {
        let location = json!({ "locationType": "S3", "location": "b/" });
        let nothing = [json!(null), json!([]), json!({}), json!([null]), json!([{}])];
        let no_key = [json!({ "queryStageMasterKey": null }), json!({ "queryStageMasterKey": "", "queryId": "q" })];
        for material in nothing.into_iter().chain(no_key) {
            let data = json!({ "stageInfo": location, "encryptionMaterial": material });
            assert!(answer(data).refuse_client_side_encryption().is_ok(), "{material}");
        }
    }
}
