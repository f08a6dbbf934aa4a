//! No message shows a secret, whatever the configuration contains.

use std::path::PathBuf;

use proptest::prelude::*;

use super::super::{ConnectionConfig, Credentials};
use super::environment::{TestEnvironment, shown};

const SECRET: &str = "hunter2hunter2";

#[test]
fn no_secret_is_printed_with_a_connection() {
    for credentials in [
        Credentials::Password(SECRET.into()),
        Credentials::AccessToken(SECRET.into()),
        Credentials::OAuth(SECRET.into()),
        Credentials::KeyPair { file: PathBuf::from("k"), passphrase: Some(SECRET.into()) },
    ] {
        let text = format!("{credentials:?} {:?}", ConnectionConfig::new("acc", "u", credentials.clone()));
        assert!(!text.contains(SECRET), "{text}");
    }
}

#[test]
fn no_secret_is_printed_with_login_fields() {
    for credentials in [Credentials::Password(SECRET.into()), Credentials::OAuth(SECRET.into())] {
        let text = format!("{:?}", ConnectionConfig::new("acc", "u", credentials).login_fields().unwrap());
        assert!(!text.contains(SECRET), "{text}");
    }
}

/// Lines as people write them, with the secret in any value.
fn line() -> impl Strategy<Value = String> {
    let key = prop_oneof![
        Just("account"),
        Just("user"),
        Just("password"),
        Just("authenticator"),
        Just("token"),
        Just("private_key_passphrase"),
        Just("host"),
        Just("port"),
        Just("protocol"),
        Just("region"),
        Just("role"),
        Just("session_parameters"),
    ];
    let quote = prop_oneof![Just("'"), Just("\""), Just("\"\"\""), Just("")];
    prop_oneof![
        4 => (key, quote.clone(), quote).prop_map(|(key, open, close)| format!("{key} = {open}{SECRET}{close}")),
        2 => Just("[default]".to_owned()),
        1 => Just("[default.session_parameters]".to_owned()),
        1 => Just("account = 'acc'".to_owned()),
        1 => Just("authenticator = 'oauth'".to_owned()),
        1 => "\\PC{0,20}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_text_makes_an_error_repeat_a_secret(lines in proptest::collection::vec(line(), 0..8), config: bool) {
        let text = lines.join("\n");
        let world = if config { TestEnvironment::new().config(&text) } else { TestEnvironment::new().connections(&text) };
        for name in [None, Some("default"), Some("connections")] {
            if let Err(error) = world.load(name) {
                prop_assert!(!shown(&error).contains(SECRET), "{}", shown(&error));
                prop_assert!(!error.to_string().contains('\n'));
            }
        }
    }

    #[test]
    fn no_text_in_the_environment_makes_an_error_repeat_a_secret(text in "\\PC{0,12}", index in 0..8usize) {
        let name = ["ACCOUNT", "USER", "HOST", "PORT", "PROTOCOL", "AUTHENTICATOR", "TOKEN", "ROLE"][index];
        let world = TestEnvironment::new().set(&format!("SNOWFLAKE_CONNECTIONS_DEFAULT_{name}"), format!("{text}{SECRET}"));
        if let Err(error) = world.load(None) {
            prop_assert!(!shown(&error).contains(SECRET), "{}", shown(&error));
        }
    }

    #[test]
    fn no_content_of_a_key_file_is_repeated(text in "(-----BEGIN [A-Z ]{0,20}-----\n)?\\PC{0,40}") {
        let world = TestEnvironment::new().file("key", format!("{text}{SECRET}\n-----END PRIVATE KEY-----"));
        let key = Credentials::KeyPair { file: world.path("key"), passphrase: Some(SECRET.into()) };
        let error = ConnectionConfig::new("acc", "u", key).login_fields().unwrap_err();
        prop_assert!(!shown(&error).contains(SECRET), "{}", shown(&error));
    }
}
