//! Logins, and the role's privileges.

use snowfeed::backends::snowflake::Credentials;
use snowfeed::internals::snowflake::{Client, HttpClient};

use crate::endpoints::Part;
use crate::scene::{Scene, ask, cell};
use crate::step::{Ended, Stop, ensure};

/// A resource monitor accepts whole credits only.
fn quota(limit: f64) -> String {
    format!("{:.0}", limit.ceil().max(1.0))
}

/// Creates the objects that the other steps work with.
pub(crate) async fn prepare(scene: &Scene<'_>) -> Ended {
    let mut session = scene.client_with(Part::Sql, |connection| connection)?.open().await?;
    let mut notes = Vec::new();
    for what in ["VERSION", "REGION"] {
        // Only for the reader.
        if let Ok(answer) = ask(&mut *session, format!("SELECT CURRENT_{what}()")).await {
            notes.push(format!("{} {}", what.to_lowercase(), cell(&answer)?));
        }
    }
    let (warehouse, comment) = (scene.warehouse(), scene.run.id.comment());
    let monitor = scene.name("MONITOR");
    let limit = quota(scene.run.budget.limit());
    let create = format!(
        "CREATE RESOURCE MONITOR \"{monitor}\" WITH CREDIT_QUOTA = {limit} FREQUENCY = NEVER START_TIMESTAMP = IMMEDIATELY \
         TRIGGERS ON 90 PERCENT DO SUSPEND ON 100 PERCENT DO SUSPEND_IMMEDIATE"
    );
    let bounded = match ask(&mut *session, create).await {
        Ok(_) => format!(" RESOURCE_MONITOR = \"{monitor}\""),
        Err(error) => {
            notes.push(format!("no resource monitor, time alone bounds the run: {}", error.message()));
            String::new()
        }
    };
    ask(
        &mut *session,
        format!(
            "CREATE WAREHOUSE \"{warehouse}\" WAREHOUSE_SIZE = XSMALL AUTO_SUSPEND = 60 AUTO_RESUME = TRUE INITIALLY_SUSPENDED \
             = TRUE{bounded} COMMENT = '{comment}'"
        ),
    )
    .await?;
    session.close().await?;
    Ok(notes)
}

/// Logs in with each configured connection.
pub(crate) async fn login(scene: &Scene<'_>) -> Ended {
    let (mut notes, mut problems) = (Vec::new(), Vec::new());
    for (name, connection) in scene.run.endpoints.logins() {
        let kind = connection.as_ref().map_or("unknown", |connection| kind(&connection.credentials));
        let ended = async {
            let client = scene.run.ledger.watch(scene.step, std::sync::Arc::new(HttpClient::new(connection?)?));
            let mut session = client.open().await?;
            ask(&mut *session, "SELECT CURRENT_USER()").await?;
            session.close().await
        };
        match ended.await {
            Ok(()) => notes.push(format!("`{name}` ({kind}) logs in")),
            Err(error) => problems.push(format!("`{name}` ({kind}): {error}")),
        }
    }
    ensure!(problems.is_empty(), "{}", problems.join("; "));
    if notes.is_empty() {
        return Err(Stop::Skipped("no connection was given".into()));
    }
    Ok(notes)
}

fn kind(credentials: &Credentials) -> &'static str {
    match credentials {
        Credentials::KeyPair { passphrase: None, .. } => "key pair",
        Credentials::KeyPair { passphrase: Some(_), .. } => "encrypted key pair",
        Credentials::AccessToken(_) | Credentials::AccessTokenFile(_) => "programmatic access token",
        Credentials::OAuth(_) | Credentials::TokenFile(_) => "OAuth token",
        Credentials::Password(_) => "password",
        _ => "other",
    }
}
