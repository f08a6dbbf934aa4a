//! The client's identification in a login request.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::ExposeSecret;

use super::super::{ConnectionConfig, Credentials};
use super::environment::{TestEnvironment, shown};
use super::keys::{self, FINGERPRINT, PASSPHRASE};
use crate::Error;

/// A connection whose key is in a file with this content.
fn with(world: &TestEnvironment, passphrase: Option<&str>) -> ConnectionConfig {
    let credentials = Credentials::KeyPair { file: world.path("key"), passphrase: passphrase.map(Into::into) };
    ConnectionConfig::new("org-my_acc", "snowfeed", credentials)
}

fn claims(connection: &ConnectionConfig) -> serde_json::Value {
    let fields = connection.login_fields().unwrap();
    assert_eq!(fields.authenticator, Some("SNOWFLAKE_JWT"));
    assert!(fields.password.is_none());
    let token = fields.token.unwrap();
    let claims = token.expose_secret().split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap()
}

fn failure(content: impl AsRef<[u8]>, passphrase: Option<&str>) -> Error {
    with(&TestEnvironment::new().file("key", content), passphrase).login_fields().unwrap_err()
}

#[test]
fn a_token_is_issued_for_account_user_and_key() {
    let world = TestEnvironment::new().file("key", keys::PLAIN.pem());
    let claims = claims(&with(&world, None));
    assert_eq!(claims["iss"], format!("ORG-MY_ACC.SNOWFEED.SHA256:{FINGERPRINT}"));
    assert_eq!(claims["sub"], "ORG-MY_ACC.SNOWFEED");
    let now = jiff::Timestamp::now().as_second();
    assert!((now - 60..=now).contains(&claims["iat"].as_i64().unwrap()), "{claims}");
    assert!(claims["exp"].as_i64().unwrap() > now);
}

#[test]
fn a_tokens_account_has_no_region() {
    let world = TestEnvironment::new().file("key", keys::PLAIN.pem());
    for (account, subject) in [
        ("xy1.eu-west-1", "XY1.SNOWFEED"),
        ("acc-abc.global", "ACC.SNOWFEED"),
        ("https://o-a.snowflakecomputing.com", "O-A.SNOWFEED"),
    ] {
        let credentials = Credentials::KeyPair { file: world.path("key"), passphrase: None };
        assert_eq!(claims(&ConnectionConfig::new(account, "snowfeed", credentials))["sub"], subject);
    }
}

#[test]
fn every_openssl_key_format_is_read() {
    let preamble = format!("Bag Attributes\n    friendlyName: x\n{}\n\n", keys::PLAIN.pem());
    for (name, content) in [
        ("plain", keys::PLAIN.pem()),
        ("PKCS #1", keys::PKCS1.pem()),
        ("aes-256-cbc", keys::AES.pem()),
        ("des3", keys::DES3.pem()),
        ("des3 of LibreSSL", keys::DES3_SHA1.pem()),
        ("scrypt", keys::SCRYPT.pem()),
        ("of Windows", keys::AES.pem().replace('\n', "\r\n")),
        ("with a preamble", preamble),
    ] {
        let world = TestEnvironment::new().file("key", content);
        // A passphrase that is not needed does no harm.
        let claims = claims(&with(&world, Some(PASSPHRASE)));
        assert_eq!(claims["iss"], format!("ORG-MY_ACC.SNOWFEED.SHA256:{FINGERPRINT}"), "{name}");
    }
}

#[test]
fn a_wrong_passphrase_is_reported_and_never_shown() {
    for key in [keys::AES, keys::DES3, keys::DES3_SHA1] {
        let error = failure(key.pem(), Some("hunter2 hunter2"));
        assert!(error.message().ends_with("does not open with the passphrase given"), "{error}");
        assert!(!shown(&error).contains("hunter2"), "{}", shown(&error));
    }
}

#[test]
fn an_encrypted_key_without_a_passphrase_is_reported() {
    let error = failure(keys::AES.pem(), None);
    assert!(error.message().ends_with("is encrypted, and there is no passphrase"), "{error}");
    assert!(error.help().unwrap().contains("PRIVATE_KEY_PASSPHRASE"));
}

#[test]
fn unusable_keys_have_distinct_errors() {
    let plain = keys::PLAIN.pem();
    let legacy = plain.replace("KEY-----\nMII", "KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nMII");
    let public = plain.replace("PRIVATE", "PUBLIC");
    let cut = plain.lines().take(5).collect::<Vec<_>>().join("\n");
    let damaged = plain.replacen("MII", "AII", 1);
    for (content, expected, help) in [
        (keys::ELLIPTIC.pem(), "is not an RSA key", "openssl genrsa"),
        (keys::MAX_SYNC_BYTES.pem(), "cannot sign", "2048"),
        (keys::PBES1.pem(), "is encrypted in an unsupported format", "openssl pkcs8"),
        (legacy, "is encrypted in an outdated format", "openssl pkcs8"),
        (plain.replace("PRIVATE", "EC PRIVATE"), "is not an RSA key in PKCS #8", "openssl pkcs8"),
        (public, "is a public key", "private_key_file"),
        (cut, "is not PEM", "openssl pkcs8"),
        (damaged, "is damaged", "copy it again"),
        ("hunter2".to_owned(), "is not PEM", "openssl pkcs8"),
        (String::new(), "is not PEM", "openssl pkcs8"),
    ] {
        let error = failure(&content, Some(PASSPHRASE));
        assert!(error.message().ends_with(expected), "{error}: {content}");
        assert!(error.help().unwrap().contains(help), "{error:?}: {:?}", error.help());
        let shown = shown(&error);
        assert!(!shown.contains("hunter2") && !shown.contains("MII") && !shown.contains(PASSPHRASE), "{shown}");
    }
    let error = failure(b"\x30\x82\xff\xfe", None);
    assert!(error.message().ends_with("is not PEM"), "{error}");
}

#[test]
fn a_missing_key_is_reported_with_its_path() {
    let world = TestEnvironment::new();
    let error = with(&world, None).login_fields().unwrap_err();
    assert!(error.message().contains(&world.path("key").display().to_string()), "{error}");
    assert!(error.report().causes.concat().contains("No such file"), "{error:?}");
}

#[test]
fn a_key_is_read_again_at_every_login() {
    let world = TestEnvironment::new().file("key", "not yet");
    let connection = with(&world, None);
    connection.login_fields().unwrap_err();
    let _world = world.file("key", keys::PLAIN.pem());
    connection.login_fields().unwrap();
}

#[test]
fn tokens_and_passwords_are_sent_in_their_fields() {
    let world = TestEnvironment::new().file("token", "\n from-a-file \n");
    let file = world.path("token");
    for (credentials, authenticator, token, password) in [
        (Credentials::AccessToken("t".into()), Some("PROGRAMMATIC_ACCESS_TOKEN"), Some("t"), None),
        (Credentials::AccessTokenFile(file.clone()), Some("PROGRAMMATIC_ACCESS_TOKEN"), Some("from-a-file"), None),
        (Credentials::OAuth("t".into()), Some("OAUTH"), Some("t"), None),
        (Credentials::TokenFile(file), Some("OAUTH"), Some("from-a-file"), None),
        (Credentials::Password(" p ".into()), None, None, Some(" p ")),
    ] {
        let fields = ConnectionConfig::new("acc", "u", credentials).login_fields().unwrap();
        assert_eq!(fields.authenticator, authenticator);
        assert_eq!(fields.token.as_ref().map(|token| token.expose_secret()), token);
        assert_eq!(fields.password.as_ref().map(|password| password.expose_secret()), password);
    }
}

#[test]
fn a_token_is_read_again_at_every_login() {
    let world = TestEnvironment::new();
    let connection = ConnectionConfig::new("acc", "", Credentials::TokenFile(world.path("token")));
    assert!(connection.login_fields().unwrap_err().message().contains("cannot be read"));
    let world = world.file("token", " \n");
    assert!(connection.login_fields().unwrap_err().message().ends_with("is empty"));
    let mut world = world;
    for token in ["one", "two"] {
        world = world.file("token", token);
        assert_eq!(connection.login_fields().unwrap().token.unwrap().expose_secret(), token);
    }
}

#[test]
fn without_a_user_only_a_token_logs_in() {
    assert!(ConnectionConfig::new("acc", "", Credentials::AccessToken("t".into())).login_fields().is_ok());
    let error = ConnectionConfig::new("acc", "", Credentials::Password("p".into())).login_fields().unwrap_err();
    assert_eq!(error.message(), "the Snowflake connection names no user");
}

#[test]
fn the_container_token_is_sent_and_read_again_at_every_login() {
    let inside = |world: TestEnvironment| world.inside_snowflake().set("SNOWFLAKE_RUNNING_INSIDE_SPCS", "true");
    let mut world = inside(TestEnvironment::new());
    let connection = world.connection();
    let fields = |connection: &ConnectionConfig| connection.login_fields().unwrap();
    assert!(fields(&connection).spcs_token.is_none(), "a login continues without it");
    for token in ["first-token", "second-token"] {
        world = world.file("session/spcs_token", format!(" {token}\n"));
        let fields = fields(&connection);
        assert_eq!(fields.spcs_token.as_ref().unwrap().expose_secret(), token);
        assert_eq!((fields.authenticator, fields.token.unwrap().expose_secret()), (Some("OAUTH"), "mounted-token"));
        assert!(!format!("{:?}", connection.login_fields()).contains(token));
    }
}

#[test]
fn the_container_token_is_sent_to_no_other_host() {
    let world = TestEnvironment::new().inside_snowflake().file("session/spcs_token", "one");
    assert_eq!(world.connection().spcs_token_file, None, "the variable says whether it is wanted");
    let elsewhere = "[default]\naccount='acc'\nhost='acc.snowflakecomputing.com'\nuser='u'\npassword='p'";
    let world = world.set("SNOWFLAKE_RUNNING_INSIDE_SPCS", "true").connections(elsewhere);
    assert_eq!(world.connection().spcs_token_file, None);
}
