//! The example `github_issues` in a container, as Snowflake runs one: the image from a registry, secrets and the session's token in
//! mounted files.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use github_server::GithubServer;
use serde_json::{Value, json};
use snowfeed::backends::snowflake::{ConnectionConfig, Credentials, Protocol};
use snowfeed::internals::snowflake::{Client, HttpClient, QueryResult, Session, Sql, Statement};
use snowfeed::native_app::image::{Image, Push};
use tempfile::TempDir;

use super::registry::Registry;
use crate::containers::{Podman, linked_statically};
use crate::peers;
use crate::python::pytest;
use crate::support::github;

const TOKEN: &str = "ghp_the_token_of_the_tests";
const REPOSITORY: &str = "acme/widgets";

/// The example `github_issues`, linked statically.
pub(crate) fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| linked_statically("github_issues"))
}

/// An image of the example in a registry, an upstream that requires a token, and files to mount.
struct ContainerTest {
    podman: Podman,
    reference: String,
    upstream: GithubServer,
    files: TempDir,
    registry: Registry,
}

impl ContainerTest {
    async fn set() -> Option<Self> {
        let (registry, podman) = (Registry::open()?, Podman::new()?);
        let files = TempDir::new().unwrap();
        let image = Image::builder(program()).version("1.2.3").write(files.path().join("image")).unwrap();
        let reference = snowfeed::internals::image_reference(&github()).unwrap();
        let (path, tag) = reference.rsplit_once(':').unwrap();
        let repository = format!("http://{}{path}", registry.host());
        let pushed = Push::new(&image, &repository, tag).unwrap().run().await.unwrap();
        let upstream = GithubServer::builder().repository(REPOSITORY, 250).token(TOKEN).start().await.unwrap();
        Some(Self { podman, reference: pushed.reference, upstream, files, registry })
    }

    /// A file for the container, in a separate folder.
    fn file(&self, folder: &str, name: &str, content: &str) -> PathBuf {
        let folder = self.files.path().join(folder);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(name), content).unwrap();
        folder
    }

    /// Ingests the repository in the container; returns its output.
    fn ingest(&self, mounts: &[(&Path, &str)], env: &[(&str, &str)], destination: &[&str]) -> Value {
        let token = self.file("token", "secret_string", TOKEN);
        let mounts = [mounts, &[(token.as_path(), "/run/secrets/token:ro")]].concat();
        let env = [env, &[("GITHUB_API_URL", self.upstream.url())]].concat();
        let set = ["--set", "token=file:/run/secrets/token/secret_string", "--json"];
        let ran =
            self.podman.run(&self.reference, &mounts, &env, &[&set, destination, &["ingest", REPOSITORY]].concat());
        let (printed, log) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
        assert!(ran.status.success(), "{printed}{log}");
        assert!(!printed.contains(TOKEN) && !log.contains(TOKEN), "{printed}{log}");
        serde_json::from_str(&printed).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_prints_its_version_in_a_container() {
    let Some(scene) = ContainerTest::set().await else { return };
    let ran = scene.podman.run(&scene.reference, &[], &[], &["--version"]);
    assert_eq!(String::from_utf8_lossy(&ran.stdout).trim(), concat!("github ", env!("CARGO_PKG_VERSION")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_resolves_host_names() {
    let Some(scene) = ContainerTest::set().await else { return };
    let url = scene.upstream.url().replace("127.0.0.1", "localhost");
    let env = [("GITHUB_API_URL", url.as_str()), ("GITHUB_TOKEN", TOKEN)];
    let ran = scene.podman.run(&scene.reference, &[], &env, &["--db", "/tmp/issues.db", "check"]);
    let printed = [ran.stdout, ran.stderr].concat();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&printed));
    assert_ne!(scene.upstream.counts().requests, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_ingests_with_a_mounted_secret() {
    let Some(scene) = ContainerTest::set().await else { return };
    let data = scene.files.path().join("data");
    fs::create_dir(&data).unwrap();
    // The program's user does not exist on this machine.
    fs::set_permissions(&data, fs::Permissions::from_mode(0o777)).unwrap();
    scene.ingest(&[(&data, "/data")], &[], &["--db", "/data/issues.db"]);

    let database = rusqlite::Connection::open(data.join("issues.db")).unwrap();
    let rows: i64 = database.query_row("SELECT COUNT(*) FROM issues", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, i64::try_from(scene.upstream.len(REPOSITORY)).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_ingests_into_snowflake_with_its_session_token() {
    let (Some(server), Some(scene)) = (peers::fakesnow(), ContainerTest::set().await) else { return };
    let database = format!("CONTAINER_{}", std::process::id());
    let connection = ConnectionConfig::new("test", "user", Credentials::Password("password".into()));
    let client = HttpClient::new(connection.host("127.0.0.1").port(server.port).protocol(Protocol::Http)).unwrap();
    let mut session = client.open().await.unwrap();
    ask(&mut session, Statement::new(Sql::assert_safe(format!("CREATE DATABASE {database}")))).await;

    let session_token = scene.file("session", "token", "the-token-of-the-session");
    let port = server.port.to_string();
    let env = [
        ("SNOWFLAKE_HOST", "127.0.0.1"),
        ("SNOWFLAKE_PORT", port.as_str()),
        ("SNOWFLAKE_PROTOCOL", "http"),
        ("SNOWFLAKE_ACCOUNT", "test"),
        ("SNOWFLAKE_DATABASE", "SOMETHING_ELSE"),
        ("SNOWFLAKE_SCHEMA", "JOBS"),
    ];
    let destination = ["--to", "snowflake", "--database", &database, "--schema", "PUBLIC"];
    scene.ingest(&[(&session_token, "/snowflake/session:ro")], &env, &destination);

    let select = format!("SELECT \"NAME\" FROM \"{database}\".\"STATE\".\"SNOWFEED_TABLE\" WHERE \"RESOURCE\" = ?");
    let tables = ask(&mut session, Statement::new(Sql::assert_safe(select)).bind(REPOSITORY)).await;
    let mut counts = Vec::new();
    for table in &tables.rows {
        let select = format!("SELECT COUNT(*) FROM \"{database}\".\"PUBLIC_RAW\".\"{}\"", table.text(0).unwrap());
        counts.push(ask(&mut session, Statement::new(Sql::assert_safe(select))).await.rows[0].integer(0).unwrap());
    }
    assert!(counts.contains(&i64::try_from(scene.upstream.len(REPOSITORY)).unwrap()), "{counts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_procedures_run_the_program_in_its_container() {
    const WRONG: &str = "ghp_another_token";
    let Some(scene) = ContainerTest::set().await else { return };
    let podman = scene.podman.running();
    let words = [podman.get_program()].into_iter().chain(podman.get_args()).map(|word| word.to_str().unwrap());
    let around = json!({
        "podman": words.collect::<Vec<_>>(),
        "registry": scene.registry.host(),
        "upstream": scene.upstream.url(),
        "rows": scene.upstream.len(REPOSITORY),
        "session": scene.file("session", "token", "the-token-of-the-session"),
        "secrets": {"token": scene.file("token", "secret_string", TOKEN)},
        "wrong": scene.file("wrong", "secret_string", WRONG),
        "wrong_token": WRONG,
    });
    let file = scene.file("scene", "scene.json", &around.to_string()).join("scene.json");
    // The upstream answers on other threads meanwhile.
    tokio::task::block_in_place(|| pytest(&["test_container.py"], &[("SNOWFEED_CONTAINER", &file)]));
}

async fn ask(session: &mut Box<dyn Session>, statement: Statement) -> QueryResult {
    session.execute(statement).await.unwrap()
}
