//! Polls for the result of a statement.

use std::time::Duration;

use tokio::time::Instant;

use super::error;
use super::login::{self, SessionTokens};
use super::transport::Transport;
use super::wire::{QueryData, Response, TOKEN_EXPIRED};
use crate::net::delays;
use crate::{Error, Result};

/// The first delay between two polls; each further one doubles.
const FIRST_DELAY: Duration = Duration::from_millis(50);
/// The longest delay.
const MAX_DELAY: Duration = Duration::from_secs(5);
/// After a poll that Snowflake held for this long, the next one follows at once.
const LONG_POLL: Duration = Duration::from_secs(1);

/// Polls for the result until the statement is done, however long that takes.
pub(super) async fn poll_until_done(
    transport: &Transport,
    tokens: &SessionTokens,
    mut reply: Response<QueryData>,
) -> Result<Response<QueryData>> {
    let mut delays = delays(FIRST_DELAY, MAX_DELAY);
    while reply.is_running() {
        let path = reply.data.and_then(|data| data.get_result_url).ok_or_else(|| {
            Error::invalid_data("Snowflake reported a running statement without the address of its result")
        })?;
        let asked = Instant::now();
        let answer = fetch_result(transport, tokens, &path).await?;
        if answer.is_running() && asked.elapsed() < LONG_POLL {
            tokio::time::sleep(delays.next().unwrap_or(MAX_DELAY)).await;
        }
        reply = answer;
    }
    Ok(reply)
}

/// Polls once. The token is valid for an hour, and a statement may run longer.
async fn fetch_result(transport: &Transport, tokens: &SessionTokens, path: &str) -> Result<Response<QueryData>> {
    let mut answer = transport.result::<QueryData>(path, &tokens.token()).await?;
    if answer.expiry() == Some(TOKEN_EXPIRED) && login::renew(transport, tokens).await? {
        answer = transport.result(path, &tokens.token()).await?;
    }
    match answer.expiry() {
        Some(code) => Err(Error::unavailable("the session expired while a statement ran").with_code(code)),
        None => Ok(answer),
    }
}

/// Fetches the result of a finished statement again. Snowflake keeps it for a day, and creates new links to its parts.
pub(super) async fn refetch_result(transport: &Transport, tokens: &SessionTokens, query_id: &str) -> Result<QueryData> {
    // It becomes part of a path.
    if query_id.is_empty() || !query_id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Err(Error::invalid_data("Snowflake gave a statement an invalid id"));
    }
    let reply = fetch_result(transport, tokens, &format!("/queries/{query_id}/result")).await?;
    let reply = poll_until_done(transport, tokens, reply).await?;
    match reply.data {
        Some(data) if reply.success => Ok(data),
        _ => {
            let error = Error::unavailable("Snowflake no longer has the result of a statement");
            Err(error::with_code(error, reply.code.as_deref()).with_help("run it again"))
        }
    }
}
