//! Which source of a setting takes precedence.

use secrecy::ExposeSecret;

use super::super::Credentials;
use super::environment::{TestEnvironment, shown};

const TWO: &str = r#"
    [default]
    account = "first"
    user = "U"
    password = "p"
    [second]
    account = "second"
    user = "U"
    password = "p"
    role = "FROM_FILE"
"#;

#[test]
fn a_named_connection_is_taken_from_connections_toml() {
    let world = TestEnvironment::new().connections(TWO);
    assert_eq!(world.load(Some("second")).unwrap().account, "second");
}

#[test]
fn without_a_name_the_connection_called_default_is_taken() {
    assert_eq!(TestEnvironment::new().connections(TWO).connection().account, "first");
}

#[test]
fn config_toml_names_the_default_connection() {
    let world = TestEnvironment::new().connections(TWO).config(r#"default_connection_name = "second""#);
    assert_eq!(world.connection().account, "second");
}

#[test]
fn the_environments_default_name_overrides_the_files() {
    let world = TestEnvironment::new().connections(TWO).config(r#"default_connection_name = "default""#);
    assert_eq!(world.set("SNOWFLAKE_DEFAULT_CONNECTION_NAME", "second").connection().account, "second");
}

#[test]
fn a_requested_name_overrides_every_default() {
    let world = TestEnvironment::new().connections(TWO).set("SNOWFLAKE_DEFAULT_CONNECTION_NAME", "second");
    assert_eq!(world.load(Some("default")).unwrap().account, "first");
}

#[test]
fn config_toml_holds_connections_when_there_is_no_connections_toml() {
    let world = TestEnvironment::new().config("[connections.default]\naccount='a'\nuser='u'\npassword='p'");
    assert_eq!(world.connection().account, "a");
}

#[test]
fn connections_toml_hides_the_connections_of_config_toml() {
    let world =
        TestEnvironment::new().connections(TWO).config("[connections.third]\naccount='third'\nuser='u'\npassword='p'");
    let error = world.load(Some("third")).unwrap_err();
    assert!(error.help().unwrap().ends_with("default, second"), "{}", shown(&error));
}

#[test]
fn a_variable_with_connections_overrides_the_files() {
    let world = TestEnvironment::new()
        .connections(TWO)
        .set("SNOWFLAKE_CONNECTIONS", "[default]\naccount='v'\nuser='u'\npassword='p'");
    assert_eq!(world.connection().account, "v");
}

#[test]
fn a_connection_variable_overrides_the_file_and_the_file_overrides_a_global_variable() {
    let world = TestEnvironment::new()
        .connections(TWO)
        .set("SNOWFLAKE_CONNECTIONS_SECOND_ACCOUNT", "mine")
        .set("SNOWFLAKE_ACCOUNT", "everyones")
        .set("SNOWFLAKE_CONNECTIONS_DEFAULT_ROLE", "ANOTHERS")
        .set("SNOWFLAKE_ROLE", "EVERYONES")
        .set("SNOWFLAKE_WAREHOUSE", "EVERYONES");
    let connection = world.load(Some("second")).unwrap();
    assert_eq!(connection.account, "mine");
    assert_eq!(connection.role.as_deref(), Some("FROM_FILE"));
    assert_eq!(connection.warehouse.as_deref(), Some("EVERYONES"));
}

#[test]
fn every_setting_can_come_from_the_environment_alone() {
    let world = TestEnvironment::new()
        .set("SNOWFLAKE_ACCOUNT", "acc")
        .set("SNOWFLAKE_USER", "me")
        .set("SNOWFLAKE_PASSWORD", " exact ")
        .set("SNOWFLAKE_ROLE", "R")
        .set("SNOWFLAKE_WAREHOUSE", "W")
        .set("SNOWFLAKE_DATABASE", "D")
        .set("SNOWFLAKE_SCHEMA", "S")
        .set("SNOWFLAKE_HOST", "localhost")
        .set("SNOWFLAKE_PORT", "8080")
        .set("SNOWFLAKE_PROTOCOL", "HTTP");
    let connection = world.connection();
    assert_eq!((connection.account.as_str(), connection.user.as_str()), ("acc", "me"));
    assert_eq!((connection.host.as_str(), connection.port, connection.protocol.as_str()), ("localhost", 8080, "http"));
    let [role, warehouse, database, schema] =
        [connection.role, connection.warehouse, connection.database, connection.schema].map(Option::unwrap);
    assert_eq!([role, warehouse, database, schema], ["R", "W", "D", "S"]);
    let Credentials::Password(password) = connection.credentials else { panic!("{:?}", connection.credentials) };
    assert_eq!(password.expose_secret(), " exact ");
}

#[test]
fn a_connection_from_variables_needs_no_file() {
    let world = TestEnvironment::new()
        .set("SNOWFLAKE_CONNECTIONS_CI_ACCOUNT", "acc")
        .set("SNOWFLAKE_CONNECTIONS_CI_USER", "me")
        .set("SNOWFLAKE_CONNECTIONS_CI_PASSWORD", "p");
    assert_eq!(world.load(Some("ci")).unwrap().account, "acc");
}

#[test]
fn a_name_that_does_not_exist_is_never_replaced_by_the_environment() {
    let world =
        TestEnvironment::new().set("SNOWFLAKE_ACCOUNT", "a").set("SNOWFLAKE_USER", "u").set("SNOWFLAKE_PASSWORD", "p");
    assert!(world.load(Some("prdo")).unwrap_err().message().starts_with("there is no Snowflake connection \"prdo\""));
    let world = world.set("SNOWFLAKE_DEFAULT_CONNECTION_NAME", "prdo");
    assert!(world.error().message().starts_with("there is no Snowflake connection \"prdo\""));
}

#[test]
fn empty_settings_count_as_none() {
    let world = TestEnvironment::new()
        .connections("[default]\naccount=''\nuser='u'\npassword='p'\nrole=' '")
        .set("SNOWFLAKE_ACCOUNT", "everyones")
        .set("SNOWFLAKE_CONNECTIONS_DEFAULT_USER", "");
    let connection = world.connection();
    assert_eq!((connection.account.as_str(), connection.user.as_str()), ("everyones", "u"));
    assert_eq!(connection.role, None);
}

#[test]
fn snowflake_home_overrides_the_home_directory() {
    let world =
        TestEnvironment::new().connections(TWO).file("elsewhere/connections.toml", TWO.replace("first", "elsewhere"));
    assert_eq!(world.set("SNOWFLAKE_HOME", "~/elsewhere").connection().account, "elsewhere");
}

#[cfg(target_os = "linux")]
#[test]
fn without_a_snowflake_folder_the_platform_folder_is_read() {
    let world = TestEnvironment::new().file(".config/snowflake/connections.toml", TWO);
    assert_eq!(world.connection().account, "first");
    let world = world.file("xdg/snowflake/connections.toml", TWO.replace("first", "xdg"));
    let xdg = world.path("xdg");
    let world = world.set("XDG_CONFIG_HOME", xdg);
    assert_eq!(world.connection().account, "xdg");
    let world = world.set("SNOWFLAKE_HOME", "~/does-not-exist");
    assert_eq!(world.connection().account, "xdg");
    // Once the folder is there, it alone is read.
    let world = world.config("");
    assert_eq!(world.connection().account, "xdg", "SNOWFLAKE_HOME replaces ~/.snowflake");
}

#[test]
fn a_passphrase_in_the_environment_overrides_the_files() {
    let file = "[default]\naccount='a'\nuser='u'\nprivate_key_path='~/k'\nprivate_key_file_pwd='file'";
    let world = TestEnvironment::new().connections(file);
    let passphrase = |world: &TestEnvironment| match world.connection().credentials {
        Credentials::KeyPair { file, passphrase } => {
            assert_eq!(file, world.path("k"));
            passphrase.unwrap().expose_secret().to_owned()
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(passphrase(&world), "file");
    assert_eq!(passphrase(&world.set("PRIVATE_KEY_PASSPHRASE", "environment")), "environment");
}

#[test]
fn values_set_by_the_program_override_everything() {
    let world = TestEnvironment::new().connections(TWO).set("SNOWFLAKE_CONNECTIONS_SECOND_ROLE", "VARIABLE");
    assert_eq!(world.load(Some("second")).unwrap().role("FLAG").role.as_deref(), Some("FLAG"));
}

#[test]
fn inside_snowflake_the_host_and_token_come_from_the_container() {
    let world = TestEnvironment::new().inside_snowflake();
    let connection = world.connection();
    assert_eq!((connection.account.as_str(), connection.host.as_str()), ("XY12345", "internal.snowflakecomputing.com"));
    assert_eq!((connection.database.as_deref(), connection.schema.as_deref()), (Some("DB"), Some("SC")));
    let fields = connection.login_fields().unwrap();
    assert_eq!((fields.authenticator, fields.token.unwrap().expose_secret()), (Some("OAUTH"), "mounted-token"));
}

#[test]
fn inside_snowflake_other_credentials_override_the_containers() {
    let world = TestEnvironment::new().inside_snowflake().set("SNOWFLAKE_USER", "u").set("SNOWFLAKE_PASSWORD", "p");
    assert!(matches!(world.connection().credentials, Credentials::Password(_)));
    let world = TestEnvironment::new().inside_snowflake().set("SNOWFLAKE_TOKEN_FILE_PATH", "/elsewhere");
    assert!(matches!(world.connection().credentials, Credentials::TokenFile(file) if file.starts_with("/elsewhere")));
    let world = TestEnvironment::new().inside_snowflake().set("SNOWFLAKE_AUTHENTICATOR", "oauth");
    assert!(matches!(world.connection().credentials, Credentials::TokenFile(_)));
}

#[test]
fn the_containers_token_is_not_used_for_another_host() {
    let world =
        TestEnvironment::new().inside_snowflake().connections("[default]\nhost='elsewhere.example'\naccount='a'");
    assert_eq!(world.error().message(), "the Snowflake connection has no credentials");
}

#[test]
fn a_token_without_a_host_does_not_mean_inside_snowflake() {
    let world = TestEnvironment::new().file("session/token", "t").set("SNOWFLAKE_ACCOUNT", "a");
    assert_eq!(world.error().message(), "the Snowflake connection has no credentials");
}
