//! The manifests of Kubernetes: valid by its schemas, and their containers run as they say.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use snowfeed::internals::snowflake::{Client, Sql, Statement};

use crate::account::administrator;
use crate::container::Checkout;
use crate::guide::{blocks, of};
use crate::helpdesk::{Helpdesk, TICKETS, TOKEN};
use crate::peers;

/// The first version that has everything in them, and the newest one that was checked.
const VERSIONS: [&str; 2] = ["1.31", "1.37"];

fn manifest(name: &str) -> String {
    fs::read_to_string(format!("examples/deploy/{name}.yaml")).unwrap()
}

/// What the validator prints about a manifest.
fn validator(python: &PathBuf, manifest: &str, version: &str) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(&file, manifest).unwrap();
    let ran = Command::new(python).arg("tests/deploy/kubernetes.py").arg(version).arg(file.path()).output().unwrap();
    assert!(ran.stderr.is_empty(), "{}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap()
}

fn python() -> Option<PathBuf> {
    let python = peers::python("kubernetes");
    if python.is_none() {
        peers::skipped("there is no python3, which validates manifests");
    }
    python
}

#[test]
fn the_manifests_fit_the_schemas_of_kubernetes() {
    let Some(python) = python() else { return };
    for version in VERSIONS {
        for name in ["deployment", "cronjob", "settings"] {
            assert_eq!(validator(&python, &manifest(name), version), "", "{name}, {version}");
        }
    }
    let mistakes = [
        ("deployment", "replicas: 1", "replicas: \"1\""),
        ("deployment", "readinessProbe:", "readynessProbe:"),
        ("cronjob", "concurrencyPolicy:", "concurrency:"),
        ("cronjob", "operator: In", "operator: []"),
    ];
    for (name, right, wrong) in mistakes {
        let manifest = manifest(name);
        assert!(manifest.contains(right), "{right}");
        assert_ne!(validator(&python, &manifest.replace(right, wrong), VERSIONS[1]), "", "{wrong}");
    }
}

/// Both containers, with the user, the variables, the secrets and the restrictions of their manifests, into the imitation of Snowflake.
#[tokio::test(flavor = "multi_thread")]
async fn the_containers_of_the_manifests_fill_snowflake() {
    let Some(python) = python() else { return };
    let (Some(checkout), Some(server)) = (Checkout::new(), peers::fakesnow()) else { return };
    let helpdesk = Helpdesk::start();
    let database = format!("KUBERNETES_{}", std::process::id());
    let mut session = administrator(server).open().await.unwrap();
    session.execute(Statement::new(Sql::assert_safe(format!("CREATE DATABASE {database}")))).await.unwrap();

    // The guide's own lines build the image.
    let container_blocks = blocks("deploy.md", "## A container");
    checkout.run(of(&container_blocks, "sh").next().unwrap(), "");
    let secrets = checkout.path().join("secrets");
    fs::create_dir(&secrets).unwrap();
    fs::write(secrets.join("token"), TOKEN).unwrap();
    let key =
        "openssl genrsa 2048 2> /dev/null | openssl pkcs8 -topk8 -nocrypt -out secrets/rsa_key.p8; chmod 644 secrets/*";
    checkout.run(key, "");

    let json = |name: &str| -> Value { serde_json::from_str(&validator(&python, &manifest(name), "json")).unwrap() };
    let settings = json("settings");
    // The imitation's address and account replace the reader's.
    let replaced = [
        ("HELPDESK_URL", helpdesk.api.url().to_owned()),
        ("SNOWFLAKE_HOST", "127.0.0.1".to_owned()),
        ("SNOWFLAKE_PORT", server.port.to_string()),
        ("SNOWFLAKE_PROTOCOL", "http".to_owned()),
        ("SNOWFLAKE_USER", "TESTER".to_owned()),
        ("SNOWFLAKE_ROLE", "SYSADMIN".to_owned()),
        ("SNOWFLAKE_WAREHOUSE", "COMPUTE_WH".to_owned()),
        ("SNOWFLAKE_DATABASE", database.clone()),
    ];
    let given =
        settings["data"].as_object().unwrap().iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap()));
    let replaced = replaced.iter().map(|(name, value)| (*name, value.as_str()));
    let variables: Vec<String> = given.chain(replaced).map(|(name, value)| format!("--env {name}={value}")).collect();
    let pod_options = |pod: &Value| {
        let (security, container) = (&pod["securityContext"], &pod["containers"][0]);
        let restrictions = &container["securityContext"];
        assert_eq!(restrictions["readOnlyRootFilesystem"], true);
        // As each container of these tests.
        assert_eq!(restrictions["capabilities"]["drop"][0], "ALL");
        assert_eq!(restrictions["allowPrivilegeEscalation"], false);
        assert_eq!(container["volumeMounts"][0]["mountPath"], "/run/secrets");
        let args: Vec<&str> = container["args"].as_array().unwrap().iter().map(|arg| arg.as_str().unwrap()).collect();
        let options = format!(
            "--user {}:{} --read-only --volume {}:/run/secrets:ro {}",
            security["runAsUser"],
            security["runAsGroup"],
            secrets.display(),
            variables.join(" ")
        );
        (options, args.join(" ").replace("9464", &checkout.port.to_string()))
    };

    let cronjob = json("cronjob");
    let (options, args) = pod_options(&cronjob["spec"]["jobTemplate"]["spec"]["template"]["spec"]);
    let line = |command: &str| format!("podman run --rm {options} helpdesk {command}");
    tokio::task::block_in_place(|| {
        checkout.run(&line("enable acme"), "");
        checkout.run(&line(&args), "");
    });
    let count = format!("SELECT COUNT(*) FROM {database}.HELPDESK.TICKETS");
    let counted = session.execute(Statement::new(Sql::assert_safe(count.clone()))).await.unwrap();
    assert_eq!(counted.rows[0].integer(0).unwrap(), i64::try_from(TICKETS).unwrap());

    let (options, args) = pod_options(&json("deployment")["spec"]["template"]["spec"]);
    tokio::task::block_in_place(|| {
        checkout.run(&format!("podman run --detach --name deployed {options} helpdesk {args}"), "");
        checkout.wait_until_ready();
        checkout.run("podman stop --time 300 deployed", "");
        let exit = checkout.run("podman inspect --format '{{.State.ExitCode}}' deployed", "");
        assert_eq!(exit.trim(), "0", "{}", checkout.run("podman logs deployed", ""));
    });
}
