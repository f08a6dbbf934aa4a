//! From configuration files to the connection, or to the one-line error that explains why it is invalid.

use super::super::{ConnectionConfig, Credentials};
use super::environment::{TestEnvironment, shown};
use crate::ErrorKind;

/// A default connection of `lines`, which has an account, a user and a password besides.
fn with(lines: &str) -> TestEnvironment {
    TestEnvironment::new().connections(&format!("[default]\naccount='acc'\nuser='u'\npassword='p'\n{lines}"))
}

/// A default connection of `lines` and an account.
fn only(lines: &str) -> TestEnvironment {
    TestEnvironment::new().connections(&format!("[default]\naccount='acc'\n{lines}"))
}

#[test]
fn accounts_have_names_and_hosts() {
    for (account, region, name, host) in [
        ("org-acc", "", "org-acc", "org-acc.snowflakecomputing.com"),
        ("ORG-MY_ACC", "", "ORG-MY_ACC", "org-my-acc.snowflakecomputing.com"),
        ("xy1", "eu-central-1", "xy1", "xy1.eu-central-1.snowflakecomputing.com"),
        ("xy1", "us-west-2", "xy1", "xy1.snowflakecomputing.com"),
        ("xy1.us-west-2", "", "xy1", "xy1.snowflakecomputing.com"),
        ("XY1.US-West-2", "", "XY1", "xy1.snowflakecomputing.com"),
        ("xy1.us-west-2.privatelink", "", "xy1", "xy1.us-west-2.privatelink.snowflakecomputing.com"),
        ("xy1.eu-west-1.aws", "", "xy1", "xy1.eu-west-1.aws.snowflakecomputing.com"),
        ("my_loc.eu-west-1.aws", "", "my_loc", "my-loc.eu-west-1.aws.snowflakecomputing.com"),
        ("xy1.us-west-2", "eu-west-1", "xy1", "xy1.eu-west-1.snowflakecomputing.com"),
        ("xy1", "us-east-1.privatelink", "xy1", "xy1.us-east-1.privatelink.snowflakecomputing.com"),
        ("acc-123abc", "global", "acc", "acc-123abc.global.snowflakecomputing.com"),
        ("acc-123abc.global.snowflakecomputing.com", "", "acc", "acc-123abc.global.snowflakecomputing.com"),
        ("ORG-MY_ACC.privatelink", "", "ORG-MY_ACC", "org-my-acc.privatelink.snowflakecomputing.com"),
        ("https://ORG-MY_ACC.snowflakecomputing.com", "", "ORG-MY_ACC", "org-my-acc.snowflakecomputing.com"),
        ("xy1.eu-west-1", "us-east-1", "xy1", "xy1.us-east-1.snowflakecomputing.com"),
        ("xy1.cn-northwest-1", "", "xy1", "xy1.cn-northwest-1.snowflakecomputing.cn"),
        ("xy1", "CN-northwest-1", "xy1", "xy1.cn-northwest-1.snowflakecomputing.cn"),
        ("acc-123abc.global", "", "acc", "acc-123abc.global.snowflakecomputing.com"),
        ("xy1.privatelink", "", "xy1", "xy1.privatelink.snowflakecomputing.com"),
        ("Org-Acc.snowflakecomputing.com", "", "Org-Acc", "org-acc.snowflakecomputing.com"),
        ("xy1.cn-north-1.snowflakecomputing.cn", "", "xy1", "xy1.cn-north-1.snowflakecomputing.cn"),
        (" https://org-acc.snowflakecomputing.com/console#/ ", "", "org-acc", "org-acc.snowflakecomputing.com"),
        ("https://org-acc.snowflakecomputing.com:443", "", "org-acc", "org-acc.snowflakecomputing.com"),
    ] {
        let settings = format!("[default]\naccount='{account}'\nregion='{region}'\nuser='u'\npassword='p'");
        let connection = TestEnvironment::new().connections(&settings).connection();
        assert_eq!((connection.account.as_str(), connection.host.as_str()), (name, host), "{account} {region}");
    }
}

#[test]
fn a_configured_host_is_used_verbatim() {
    assert_eq!(with("host='my_host.example'\nregion='x'").connection().host, "my_host.example");
}

#[test]
fn ports_follow_protocols() {
    assert_eq!(with("").connection().port, 443);
    assert_eq!(with("port=8443").connection().port, 8443);
    assert_eq!(with("port='8443'").connection().port, 8443);
    assert_eq!(with("host='localhost'\nprotocol='http'").connection().port, 80);
}

#[test]
fn session_parameters_keep_their_types() {
    let connection =
        with("[default.session_parameters]\nA='x'\nB=1\nC=true\nD=['y']\nE=1.5\nF=2024-01-01").connection();
    let json = serde_json::to_value(connection.session_parameters).unwrap();
    assert_eq!(json, serde_json::json!({"A": "x", "B": 1, "C": true, "D": ["y"], "E": 1.5, "F": "2024-01-01"}));
}

#[test]
fn settings_of_other_tools_are_ignored() {
    let connection = with("client_session_keep_alive=true\nlogin_timeout=5\n[default.more]\nx=1").connection();
    assert_eq!(connection.account, "acc");
}

#[test]
fn credentials_follow_the_authenticator() {
    for (lines, expected) in [
        ("user='u'\npassword='p'", "Password"),
        ("user='u'\npassword='p'\nauthenticator='Snowflake'", "Password"),
        ("user='u'\nprivate_key_file='k'", "KeyPair"),
        ("user='u'\nprivate_key_path='k'\nauthenticator='snowflake_jwt'", "KeyPair"),
        ("user='u'\npassword='p'\nprivate_key_path='k'", "KeyPair"),
        ("token='t'\nauthenticator='OAuth'", "OAuth"),
        ("token='t'\ntoken_file_path='f'\nauthenticator='oauth'", "TokenFile"),
        ("token='t'\nauthenticator='programmatic_access_token'", "AccessToken("),
        ("token_file_path='f'\nauthenticator='PROGRAMMATIC_ACCESS_TOKEN'", "AccessTokenFile"),
        ("user='u'\npassword='a programmatic access token'\ntoken='t'", "Password"),
    ] {
        let credentials = format!("{:?}", only(lines).connection().credentials);
        assert!(credentials.starts_with(expected), "{lines}: {credentials}");
    }
}

#[test]
fn missing_and_invalid_settings_are_one_line_errors() {
    use ErrorKind::{Configuration, Unsupported};
    let unsupported = |name| format!("`authenticator` of the Snowflake connection \"default\" asks for {name}");
    for (lines, kind, expected) in [
        ("", Configuration, "the Snowflake connection has no credentials".to_owned()),
        ("password='p'", Configuration, "the Snowflake connection names no user".into()),
        ("private_key_file='k'", Configuration, "the Snowflake connection names no user".into()),
        ("token='t'", Configuration, "the Snowflake connection has a token without its kind".into()),
        ("token_file_path='t'", Configuration, "the Snowflake connection has a token without its kind".into()),
        ("authenticator='oauth'", Configuration, unsupported("OAUTH, and the connection has no token")),
        (
            "authenticator='programmatic_access_token'\npassword='p'",
            Configuration,
            unsupported("PROGRAMMATIC_ACCESS_TOKEN, and the connection has no token"),
        ),
        (
            "authenticator='snowflake_jwt'\npassword='p'",
            Configuration,
            unsupported("SNOWFLAKE_JWT, and the connection has no private key"),
        ),
        (
            "authenticator='externalbrowser'",
            Unsupported,
            unsupported("EXTERNALBROWSER, which snowfeed does not support"),
        ),
        ("authenticator='oauth_authorization_code'", Unsupported, unsupported("OAUTH_AUTHORIZATION_CODE")),
        ("authenticator='username_password_mfa'", Unsupported, unsupported("USERNAME_PASSWORD_MFA")),
        ("authenticator='https://us.okta.com/x'", Unsupported, unsupported("Okta")),
        (
            "authenticator='hunter2'",
            Configuration,
            "`authenticator` of the Snowflake connection \"default\" is not an authenticator".into(),
        ),
        (
            "user=true\ntoken='t'\nauthenticator='oauth'",
            Configuration,
            "`user` of the Snowflake connection \"default\" is not a text".into(),
        ),
    ] {
        let error = only(lines).error();
        assert!(error.message().starts_with(&expected), "{lines}: {error}");
        assert_eq!(error.kind(), kind, "{lines}");
        assert!(!error.to_string().contains('\n'));
        if kind == Unsupported {
            assert!(error.help().unwrap().contains("SNOWFLAKE_JWT"), "{error:?}");
        }
    }
}

#[test]
fn invalid_hosts_and_ports_are_one_line_errors() {
    for (lines, expected) in [
        ("port=70000", "`port` of the Snowflake connection \"default\" is not a port"),
        ("port=0", "`port` of the Snowflake connection \"default\" is not a port"),
        ("port='x'", "`port` of the Snowflake connection \"default\" is not a port"),
        ("port=1.5", "`port` of the Snowflake connection \"default\" is not a text"),
        ("protocol='ftp'", "`protocol` of the Snowflake connection \"default\" is neither https nor http"),
        ("protocol='http'", "plain http is refused: the credentials would be sent unencrypted"),
        ("protocol='http'\nhost='10.0.0.1'", "plain http is refused"),
        ("protocol='http'\nhost='localhost.example.com'", "plain http is refused"),
        ("protocol='http'\nhost='snow.localhost'", "plain http is refused"),
        ("host='https://x.example'", "the Snowflake host is not a host name"),
        ("host='x.example:8080'", "the Snowflake host is not a host name"),
        ("host='a b'", "the Snowflake host is not a host name"),
        ("session_parameters='x'", "`session_parameters` of the Snowflake connection \"default\" is not a table"),
    ] {
        let error = with(lines).error();
        assert!(error.message().starts_with(expected), "{lines}: {error}");
        assert_eq!(error.kind(), ErrorKind::Configuration);
    }
}

#[test]
fn invalid_accounts_are_rejected() {
    for account in ["", "a b", "ärger", "-.", "https://", "a'b", "a..b", ".snowflakecomputing.com"] {
        let settings = format!("[default]\naccount=\"{account}\"\nuser='u'\npassword='p'");
        let error = TestEnvironment::new().connections(&settings).error();
        assert!(error.message().starts_with("the Snowflake "), "{account}: {error}");
    }
}

#[test]
fn plain_http_goes_to_this_machine() {
    for host in ["localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9", "[::1]"] {
        with(&format!("protocol='http'\nhost='{host}'")).connection();
    }
}

#[test]
fn plain_http_to_another_machine_is_refused_at_login_too() {
    let password = Credentials::Password("p".into());
    let connection = ConnectionConfig::new("acc", "u", password).protocol(super::super::Protocol::Http);
    assert!(connection.login_fields().unwrap_err().message().starts_with("plain http is refused"));
    assert!(connection.host("localhost").login_fields().is_ok());
}

#[test]
fn a_missing_connection_error_lists_the_existing_ones() {
    let world = TestEnvironment::new().connections("x=1\n[dev]\n[prod]");
    let error = world.load(Some("prdo")).unwrap_err();
    let file = world.path(".snowflake/connections.toml");
    assert_eq!(error.message(), format!("there is no Snowflake connection \"prdo\" in {}", file.display()));
    assert_eq!(error.help(), Some("use one of: dev, prod"));

    let world = TestEnvironment::new().config("[connections.dev]");
    let file = world.path(".snowflake/config.toml");
    assert!(world.error().message().ends_with(&format!("\"default\" in {}", file.display())), "{}", world.error());

    let world = TestEnvironment::new().connections("[connections.dev]");
    assert!(world.load(Some("dev")).unwrap_err().help().unwrap().contains("a section is called `[dev]`"));

    let error = TestEnvironment::new().error();
    assert!(error.message().ends_with("which has no connections.toml"), "{error}");
    assert!(error.help().unwrap().contains("SNOWFLAKE_ACCOUNT"));
}

#[test]
fn an_invalid_toml_file_is_reported_by_its_line_only() {
    let world = TestEnvironment::new().connections("[default]\naccount='a'\npassword = hunter2-is-secret\n");
    let file = world.path(".snowflake/connections.toml");
    let error = world.error();
    assert_eq!(error.message(), format!("{} is not valid TOML at line 3", file.display()));
    assert!(!shown(&error).contains("hunter2"), "{}", shown(&error));
    let error = TestEnvironment::new().set("SNOWFLAKE_CONNECTIONS", "hunter2").error();
    assert_eq!(error.message(), "SNOWFLAKE_CONNECTIONS is not valid TOML at line 1");
}

#[test]
fn values_that_should_be_tables_are_reported() {
    let error = TestEnvironment::new().connections("default='hunter2'").error();
    assert!(error.message().ends_with("is not a table"), "{error}");
    let error = TestEnvironment::new().config("connections='hunter2'").error();
    assert!(error.message().ends_with("is not a table"), "{error}");
}

#[test]
fn an_unreadable_file_is_reported() {
    let world = TestEnvironment::new();
    std::fs::create_dir_all(world.path(".snowflake/connections.toml")).unwrap();
    let error = world.error();
    assert!(error.message().contains("connections.toml cannot be read: "), "{error}");
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_not_unicode_is_reported_and_not_shown() {
    use std::os::unix::ffi::OsStringExt;
    let value = std::ffi::OsString::from_vec(b"hunter2\xff".to_vec());
    let error = only("user='u'").set("SNOWFLAKE_PASSWORD", value).error();
    assert_eq!(error.message(), "SNOWFLAKE_PASSWORD is not valid UTF-8");
    assert!(!shown(&error).contains("hunter2"));
}

#[cfg(unix)]
#[test]
fn a_file_readable_by_others_is_warned_about() {
    const KEY: &str = "account='a'\nuser='u'\nprivate_key_file='k'";
    let world = TestEnvironment::new().connections(&format!("[default]\n{KEY}"));
    assert!(world.warnings().is_empty());
    world.mode(&world.path(".snowflake/connections.toml"), 0o640);
    assert!(world.warnings().concat().contains("chmod 600"), "{:?}", world.warnings());

    let world = TestEnvironment::new().config(&format!("[connections.default]\n{KEY}"));
    world.mode(&world.path(".snowflake/config.toml"), 0o644);
    assert!(world.warnings().concat().contains("config.toml"), "{:?}", world.warnings());
}

#[test]
fn a_password_is_warned_about() {
    let warnings = with("").warnings().concat();
    assert!(warnings.contains("use a key pair or an access token"), "{warnings}");
}
