//! The app of an API that a TOML file describes: the program `snowfeed` is the image, with the file in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use serde_json::json;
use snowfeed::native_app::deploy::Install;
use snowfeed::native_app::image::{Image, Push};
use snowfeed::native_app::{App, Bundle};
use snowfeed::rest::{Api, RestSource};
use snowfeed::testkit::mock_api::{MockApi, MockList, Paging};
use snowfeed::{ErrorKind, Source};
use tempfile::TempDir;

use crate::containers::{Podman, linked_statically};
use crate::deploy::account::Account;
use crate::deploy::{deploy, install};
use crate::image::elf::Elf;
use crate::image::registry::Registry;
use crate::image::{config, files};
use crate::peers;
use crate::python::pytest;

const HELPDESK: &str = include_str!("../../examples/helpdesk.toml");

/// An API with a setting in its host.
const DESK: &str = r#"
name = "desk"
base_url = "https://{subdomain}.desk.example/api/v2"
auth = { basic = ["{email}/token", "{token}"] }
settings = { subdomain = { help = "The first part of the address of your desk." } }

[[stream]]
name = "tickets"
path = "/tickets"
paginate = "none"
"#;

/// A folder with a description and a program that could run in a container.
struct Desk(TempDir);

impl Desk {
    fn new(description: &str) -> Self {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("api.toml"), description).unwrap();
        fs::write(folder.path().join("program"), Elf::good().bytes()).unwrap();
        Self(folder)
    }

    fn out(&self) -> PathBuf {
        self.0.path().join("sf_build")
    }

    /// Runs the program in the folder.
    fn run(&self, arguments: &[&str]) -> Output {
        let mut program = Command::new(env!("CARGO_BIN_EXE_snowfeed"));
        program.current_dir(&self.0).env_remove("SNOWFEED_SOURCE").args(arguments).output().unwrap()
    }

    fn build(&self, source: &[&str]) -> (Bundle, Image) {
        let built = self.run(&[source, &["app", "build", "--binary", "program"]].concat());
        assert!(built.status.success(), "{built:?}");
        (Bundle::read(self.out()).unwrap(), Image::open(self.out().join("image")).unwrap())
    }
}

fn app(description: &str) -> App {
    App::from(&RestSource::new(Api::from_toml(description, "api.toml").unwrap()).unwrap().spec())
}

#[test]
fn the_image_of_a_described_api_holds_the_program_and_the_description() {
    let desk = Desk::new(HELPDESK);
    let (bundle, image) = desk.build(&["--source", "api.toml"]);
    let packed = files(&image, 0);
    assert_eq!(packed["etc/snowfeed/source.toml"].bytes, HELPDESK.as_bytes());
    assert_eq!(packed["etc/snowfeed/source.toml"].mode, 0o644);
    assert_eq!(packed["usr/local/bin/helpdesk"].bytes, Elf::good().bytes());
    assert_eq!(
        config(&image)["config"]["Entrypoint"],
        json!(["/usr/local/bin/helpdesk", "--source", "/etc/snowfeed/source.toml"])
    );
    assert!(bundle.findings().is_empty());
    assert!(desk.run(&["--source", "api.toml", "app", "validate"]).status.success());
    assert!(bundle.text("README.md").unwrap().starts_with("# Helpdesk connector\n"));

    // The same file, the same image. Another one is another version: a version keeps its image.
    let version = |bundle: &Bundle| {
        let manifest = bundle.text("manifest.yml").unwrap();
        manifest.lines().find(|line| line.contains("- \"/snowfeed/public/images/helpdesk:")).unwrap().to_owned()
    };
    let (again, same) = desk.build(&["--source", "api.toml"]);
    assert_eq!((version(&again), same.digest()), (version(&bundle), image.digest()));
    fs::write(desk.0.path().join("api.toml"), format!("{HELPDESK}# changed\n")).unwrap();
    let (changed, other) = desk.build(&["--source", "api.toml"]);
    assert_ne!(version(&changed), version(&bundle));
    assert_ne!(other.digest(), image.digest());
}

#[test]
fn the_image_of_the_built_in_source_selects_it() {
    let desk = Desk::new("");
    let (bundle, image) = desk.build(&["github"]);
    assert_eq!(config(&image)["config"]["Entrypoint"], json!(["/usr/local/bin/github", "github"]));
    assert!(!files(&image, 0).contains_key("etc/snowfeed/source.toml"));
    assert!(bundle.text("job.yaml").unwrap().contains("/snowfeed/public/images/github:"));
}

#[test]
fn a_mistake_in_the_description_ends_the_build_before_anything_is_written() {
    let desk = Desk::new(&HELPDESK.replace("\"version\"", "\"versoin\""));
    let built = desk.run(&["--source", "api.toml", "app", "build", "--binary", "program"]);
    let log = String::from_utf8(built.stderr).unwrap();
    assert!(
        log.starts_with("error: api.toml:19:9: stream \"tickets\": order: unknown word \"versoin\"\nhelp: "),
        "{log}"
    );
    assert!(built.status.code() == Some(4) && !desk.out().exists());
}

#[tokio::test]
async fn an_installation_allows_the_host_of_its_settings() {
    let account = Account::start().await;
    let desk = app(DESK);
    deploy(&account, &desk, |deploy| deploy).await.unwrap();
    account.log();
    let error = install(&account, &desk, |install| install).await.unwrap_err();
    assert!(error.message().contains("`subdomain`") && error.help().unwrap().contains("--set subdomain="), "{error:?}");
    assert_eq!(account.changes(), [""; 0]);
    let acme = json!("acme");
    install(&account, &desk, |install| install.setting("subdomain", &acme).unwrap()).await.unwrap();
    assert_eq!(account.contents().rules["DESK_CONNECTOR_SETUP.PUBLIC.DESK_CONNECTOR_HOSTS"].value, "acme.desk.example");
    for value in ["evil.example/", "a'b", "acme:99"] {
        let error = Install::new(&desk).unwrap().setting("subdomain", &json!(value)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{value}");
    }

    let helpdesk = app(HELPDESK);
    let account = Account::start().await;
    deploy(&account, &helpdesk, |deploy| deploy).await.unwrap();
    let url = json!("https://api.acme.example:8443/v1");
    install(&account, &helpdesk, |install| install.setting("url", &url).unwrap()).await.unwrap();
    let rule = "HELPDESK_CONNECTOR_SETUP.PUBLIC.HELPDESK_CONNECTOR_HOSTS";
    assert_eq!(account.contents().rules[rule].value, "api.acme.example:8443");
}

/// The folder of a bundle, for Python.
fn written(name: &str, app: &App) -> PathBuf {
    let folder = peers::artefacts().join(name);
    Bundle::new(app).unwrap().write(&folder).unwrap();
    folder
}

#[test]
fn the_page_has_the_settings_of_the_api() {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| written("native-app-bundle-desk", &app(DESK)));
    pytest(&["test_page_described.py"], &[("SNOWFEED_APP", folder)]);
}

/// A helpdesk with this many tickets, each with one comment.
fn helpdesk(tickets: u64) -> (MockApi, MockList) {
    let api = MockApi::start();
    api.require_bearer("the-token-of-the-helpdesk");
    api.list("/workspaces").records_at("/workspaces").insert(json!({"id": "acme", "plan": "pro"}));
    let list = api.list("/tickets").filter("workspace", "workspace").since("updated_since", "updated_at");
    let list = list.sort_by("updated_at").paging(Paging::cursor("cursor", "/next_cursor").size(20)).lookup();
    let paging = Paging::cursor("cursor", "/next_cursor").size(3);
    let comments = api.child_list("/tickets/{ticket}/comments", &list).records_at("/comments").paging(paging);
    for id in 1..=tickets {
        let at = format!("2024-01-01T00:{:02}:{:02}Z", id / 60, id % 60);
        list.insert(json!({"id": id, "workspace": "acme", "subject": format!("Ticket {id}"), "updated_at": at}));
        comments.of(id).insert(json!({"id": id, "text": "A note"}));
    }
    (api, list)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_procedures_run_a_described_api_in_its_container() {
    let (Some(registry), Some(podman)) = (Registry::open(), Podman::new()) else { return };
    let (api, tickets) = helpdesk(45);
    let desk = Desk::new(HELPDESK);
    let program = linked_statically("snowfeed_program");
    let built = desk.run(&["--source", "api.toml", "app", "build", "--binary", program.to_str().unwrap()]);
    assert!(built.status.success(), "{built:?}");
    let bundle = Bundle::read(desk.out()).unwrap();
    let job = bundle.text("job.yaml").unwrap();
    let reference = job.lines().find_map(|line| line.trim().strip_prefix("image: \"")?.strip_suffix('"')).unwrap();
    let (path, tag) = reference.rsplit_once(':').unwrap();
    let image = Image::open(desk.out().join("image")).unwrap();
    let repository = format!("http://{}{path}", registry.host());
    Push::new(&image, &repository, tag).unwrap().run().await.unwrap();

    let secret = |name: &str, file: &str, content: &str| {
        let folder = desk.0.path().join(name);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join(file), content).unwrap();
        folder
    };
    let running = podman.running();
    let words = [running.get_program()].into_iter().chain(running.get_args()).map(|word| word.to_str().unwrap());
    let scene = json!({
        "podman": words.collect::<Vec<_>>(),
        "registry": registry.host(),
        "upstream": api.url(),
        "rows": tickets.len(),
        "session": secret("session", "token", "the-token-of-the-session"),
        "secrets": {"token": secret("token", "secret_string", "the-token-of-the-helpdesk")},
    });
    let file = desk.0.path().join("scene.json");
    fs::write(&file, scene.to_string()).unwrap();
    let settings: [(&str, &Path); 2] = [("SNOWFEED_APP", &desk.out()), ("SNOWFEED_CONTAINER", &file)];
    // The API answers on other threads meanwhile.
    tokio::task::block_in_place(|| pytest(&["test_container_described.py"], &settings));
}
