//! Authentication and quotas.

use std::collections::HashMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::answer::Answer;
use crate::builder::Settings;
use crate::log::ReceivedRequest;

/// The hourly quota without a token.
const ANONYMOUS_QUOTA: u64 = 60;

/// Quotas used, and tokens handed out.
#[derive(Debug, Default)]
pub(crate) struct Access {
    used: HashMap<String, QuotaWindow>,
    installation_tokens: HashMap<String, Timestamp>,
    handed_out: u64,
}

#[derive(Debug, Clone, Copy)]
struct QuotaWindow {
    used: u64,
    end: Timestamp,
}

/// One client's quota after a request, as the headers report it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Quota {
    pub(crate) limit: u64,
    pub(crate) used: u64,
    pub(crate) reset: Timestamp,
    pub(crate) exceeded: bool,
}

impl Quota {
    pub(crate) fn remaining(&self) -> u64 {
        self.limit.saturating_sub(self.used)
    }

    /// Adds the headers, where a fault has not set its own.
    pub(crate) fn headers(&self, answer: Answer) -> Answer {
        answer
            .with_default("x-ratelimit-limit", self.limit.to_string())
            .with_default("x-ratelimit-remaining", self.remaining().to_string())
            .with_default("x-ratelimit-used", self.used.min(self.limit).to_string())
            .with_default("x-ratelimit-reset", self.reset.as_second().to_string())
            .with_default("x-ratelimit-resource", "core")
    }
}

/// The credentials in a request, without the scheme.
fn credentials(request: &ReceivedRequest) -> Option<&str> {
    let header = request.header("authorization")?;
    Some(header.split_once(' ').map_or(header, |(_, credentials)| credentials.trim()))
}

impl Access {
    /// Whether the credentials, if any, are right and not out of date.
    pub(crate) fn admits(&self, request: &ReceivedRequest, settings: &Settings, now: Timestamp) -> bool {
        let Some(given) = credentials(request) else { return true };
        match self.installation_tokens.get(given) {
            Some(expiry) => now < *expiry,
            None if given.starts_with("ghs_upstream_") => false,
            None => settings.token.as_ref().is_none_or(|token| token == given),
        }
    }

    /// The client's quota after using `cost` of it; a request that would exceed it is not counted.
    pub(crate) fn spend(&mut self, request: &ReceivedRequest, settings: &Settings, now: Timestamp, cost: u64) -> Quota {
        let given = credentials(request);
        let anonymous = given.is_none() && settings.token.is_some();
        let limit = if anonymous { ANONYMOUS_QUOTA } else { settings.quota };
        let fresh = QuotaWindow { used: 0, end: later(now, settings.quota_window) };
        let window = self.used.entry(given.unwrap_or_default().to_owned()).or_insert(fresh);
        if window.end <= now {
            *window = fresh;
        }
        let exceeded = cost > 0 && window.used >= limit;
        if !exceeded {
            window.used += cost;
        }
        Quota { limit, used: window.used, reset: window.end, exceeded }
    }

    /// Returns the quota that a response did not cost: a 304 to an authorised request is free.
    pub(crate) fn refund(&mut self, request: &ReceivedRequest, quota: &mut Quota) {
        let Some(given) = credentials(request) else { return };
        if let Some(window) = self.used.get_mut(given) {
            window.used = window.used.saturating_sub(1);
            quota.used = quota.used.saturating_sub(1);
        }
    }

    /// Responds to an app that requests an installation token.
    pub(crate) fn installation_token(
        &mut self,
        id: &str,
        request: &ReceivedRequest,
        lifetime: Duration,
        now: Timestamp,
    ) -> Answer {
        if !credentials(request).is_some_and(looks_like_jwt) {
            return Answer::error(401, "A JSON web token could not be decoded");
        }
        self.handed_out += 1;
        let token = format!("ghs_upstream_{id}_{}", self.handed_out);
        let expiry = later(now, lifetime);
        let body = serde_json::json!({
            "token": token,
            "expires_at": expiry.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            "permissions": {"issues": "read", "metadata": "read"},
            "repository_selection": "all",
        });
        self.installation_tokens.insert(token, expiry);
        Answer { status: 201, ..Answer::json(body.to_string()) }
    }

    /// Makes every installation token invalid.
    pub(crate) fn revoke(&mut self) {
        self.installation_tokens.clear();
    }
}

fn later(now: Timestamp, by: Duration) -> Timestamp {
    let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
    now.saturating_add(by).unwrap_or(Timestamp::MAX)
}

/// Three parts of base64url with dots between; their content and signature are not checked.
fn looks_like_jwt(token: &str) -> bool {
    let base64 = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    token.split('.').count() == 3 && token.split('.').all(base64)
}
