//! Polls for the result of a statement.

use std::time::Duration;

use tokio::time::Instant;

use super::error;
use super::login::{self, SessionTokens};
use super::transport::Transport;
use super::wire::{QueryData, Response, TOKEN_EXPIRED};
use crate::net::delays;
use crate::{Error, Result};

/// The first pause between two questions; each further one doubles.
const FIRST_DELAY: Duration = Duration::from_millis(50);
/// The longest pause.
const MAX_DELAY: Duration = Duration::from_secs(5);
/// A question that Snowflake held for this long has waited for us: the next one follows at once.
const LONG_POLL: Duration = Duration::from_secs(1);

/// Asks for the result until there is one, however long that takes.
pub(super) async fn poll_until_done(
    transport: &Transport,
    pass: &SessionTokens,
    mut reply: Response<QueryData>,
) -> Result<Response<QueryData>> {
    let mut delays = delays(FIRST_DELAY, MAX_DELAY);
    while reply.is_running() {
        let path = reply.data.and_then(|data| data.get_result_url).ok_or_else(|| {
            Error::invalid_data("Snowflake said that a statement still runs, and not where its result will be")
        })?;
        let asked = Instant::now();
        let answer = fetch_result(transport, pass, &path).await?;
        if answer.is_running() && asked.elapsed() < LONG_POLL {
            tokio::time::sleep(delays.next().unwrap_or(MAX_DELAY)).await;
        }
        reply = answer;
    }
    Ok(reply)
}

/// Asks once for the result at a path. A token lives for an hour, which a statement may well take.
async fn fetch_result(transport: &Transport, pass: &SessionTokens, path: &str) -> Result<Response<QueryData>> {
    let mut answer = transport.result::<QueryData>(path, &pass.token()).await?;
    if answer.expiry() == Some(TOKEN_EXPIRED) && login::renew(transport, pass).await? {
        answer = transport.result(path, &pass.token()).await?;
    }
    match answer.expiry() {
        Some(code) => Err(Error::unavailable("the session expired while a statement ran").with_code(code)),
        None => Ok(answer),
    }
}

/// Asks once more for the result of a statement that is done. Snowflake keeps it for a day, and makes new links to its parts.
pub(super) async fn refetch_result(transport: &Transport, pass: &SessionTokens, query_id: &str) -> Result<QueryData> {
    // It becomes a part of a path.
    if query_id.is_empty() || !query_id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Err(Error::invalid_data("Snowflake gave a statement an id that cannot be asked for"));
    }
    let reply = fetch_result(transport, pass, &format!("/queries/{query_id}/result")).await?;
    let reply = poll_until_done(transport, pass, reply).await?;
    match reply.data {
        Some(data) if reply.success => Ok(data),
        _ => {
            let error = Error::unavailable("Snowflake no longer has the result of a statement");
            Err(error::with_code(error, reply.code.as_deref()).with_help("run it again"))
        }
    }
}
