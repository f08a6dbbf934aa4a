//! A private certificate authority, where `openssl` is available to create one.

use std::path::Path;
use std::process::Stdio;

use snowfeed::{ErrorKind, Monitor};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::environment::skipped;
use crate::support::client;

async fn openssl(folder: &Path, arguments: &str) -> Option<()> {
    let mut command = Command::new("openssl");
    command.args(arguments.split(' ')).current_dir(folder).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().await.ok()?.success().then_some(())
}

/// A server on loopback with a certificate for this name, signed by a private authority: its address, and that authority in the
/// folder.
async fn private_server(certified: &str) -> Option<(Child, TempDir, String)> {
    let folder = tempfile::tempdir().unwrap();
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2";
    let authority = format!("req -x509 {key} -keyout ca.key -out ca.pem -subj /CN=authority");
    let server = format!(
        "req -x509 {key} -CA ca.pem -CAkey ca.key -keyout key.pem -out cert.pem -subj /CN=server \
         -addext subjectAltName={certified} -addext basicConstraints=critical,CA:FALSE"
    );
    openssl(folder.path(), &authority).await?;
    openssl(folder.path(), &server).await?;
    std::fs::write(folder.path().join("x"), "[1]").unwrap();
    let mut serving = Command::new("openssl")
        .args("s_server -accept 127.0.0.1:0 -cert cert.pem -key key.pem -WWW".split(' '))
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .ok()?;
    let mut lines = BufReader::new(serving.stdout.take()?).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        if let Some(address) = line.strip_prefix("ACCEPT ") {
            // Its further output is not read, and is too little to block it.
            let base = format!("https://{address}");
            serving.stdout = Some(lines.into_inner().into_inner());
            return Some((serving, folder, base));
        }
    }
    None
}

#[tokio::test]
async fn a_private_authority_is_trusted_only_if_configured() {
    let Some((_serving, folder, base)) = private_server("IP:127.0.0.1").await else {
        return skipped("openssl cannot serve here");
    };
    let monitor = Monitor::detached();
    let error = client(&base).build().unwrap().get("x").send(&monitor).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    assert_eq!(error.message(), format!("the certificate of {base} is not trusted"));
    assert!(error.help().unwrap().contains("certificate authority"));
    assert_eq!(monitor.traffic().requests, 1);

    let authority = std::fs::read(folder.path().join("ca.pem")).unwrap();
    let trusting = client(&base).certificate_authority(&authority).build().unwrap();
    assert_eq!(trusting.get("x").send(&monitor).await.unwrap().body(), "[1]");
}

#[tokio::test]
async fn a_certificate_for_another_host_is_rejected_even_from_a_trusted_authority() {
    let Some((_serving, folder, base)) = private_server("DNS:api.example").await else {
        return skipped("openssl cannot serve here");
    };
    let authority = std::fs::read(folder.path().join("ca.pem")).unwrap();
    let trusting = client(&base).certificate_authority(&authority).build().unwrap();
    let error = trusting.get("x").send(&Monitor::detached()).await.unwrap_err();
    assert_eq!(error.message(), format!("the certificate of {base} is not trusted"));
    assert!(error.help().is_some());
}
