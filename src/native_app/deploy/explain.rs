//! Snowflake's errors at a step, with what to do.

use super::account::Account;
use super::step::Step;
use crate::{Error, ErrorKind};

/// Says at which step an error came, which privilege may be missing, and what to do. The codes are those that Snowflake's own command
/// line knows. Unverified: see docs/unverified.md#error-codes.
pub(super) async fn explain(error: Error, step: &Step, account: &mut Account) -> Error {
    let code = error.code().and_then(|code| code.parse().ok()).unwrap_or(0);
    let error = error.with_context("step", &step.what);
    match code {
        3001 | 3041 | 2003 | 2043 => missing(error, code, step, account).await,
        code => match help(code) {
            Some(help) => error.with_help(help),
            None => error,
        },
    }
}

/// Where the role may not, or does not see what is there.
async fn missing(error: Error, code: u32, step: &Step, account: &mut Account) -> Error {
    let role = account.role().await;
    let named = role.as_deref().unwrap_or("<role>");
    let remedy = step.privilege.remedy(named);
    let error = error.with_context("role", named).with_context("needs", &step.privilege);
    match code {
        2003 | 2043 => error.with_help(format!("check the name; if it exists, the role may not see it: {remedy}")),
        _ => error.with_help(remedy),
    }
}

/// What to do about an error of this code.
fn help(code: u32) -> Option<&'static str> {
    Some(match code {
        2002 => "another object has this name: give another one (--application, --package)",
        606 | 93_083 => "the setup script needs a warehouse: give one (--warehouse) that the role may use",
        93_030 | 93_168 | 93_167 => "somebody else deployed at the same time: run it again",
        93_035 => "give the source a shorter version",
        93_037 | 512_004 | 512_023 => {
            "a package holds two versions at most, and so does a release channel: drop one that nobody needs (--drop-version VERSION)"
        }
        512_010 => "the version is on its way out of the release channel: run it again later",
        512_020 | 93_088 => {
            "a release directive refers to the version: release another one first (`app deploy --release`)"
        }
        512_021 => {
            "the version is in a release channel, and leaves it when every installation of it has been upgraded: run `app deploy \
             --drop-version VERSION`, again if need be"
        }
        93_044..=93_046 | 93_055 => {
            "the app was installed in another way than it is upgraded now (a version, a release, a stage): upgrade it in that way \
             (--released, or without), or install it anew: `app uninstall`, then `app install`; see there what is lost"
        }
        93_079 => {
            "its package is gone, and the app can only be installed anew: `app uninstall`, then `app install`; see there what is lost"
        }
        93_054 => "nothing is released yet: `app deploy --release`",
        93_074 => "Snowflake has not approved the version yet: try again when its security scan is done (`app status`)",
        93_082 | 93_084 => "the setup script fails: `app deploy` checks it; see the app's event table",
        93_128 => {
            "the app owns objects: say --cascade to drop them with it, or transfer the ownership of all of them before, as the app's \
             README says"
        }
        93_148 | 397_007 | 397_012 | 397_013 => {
            "the image is missing: build it (`app build --binary`) and run `app deploy`, or push it to the repository that the \
             manifest names"
        }
        93_300..=93_303 => "run `app build` again; report it if the manifest is as it was written",
        _ => return None,
    })
}

/// An error of kind `NotFound` with what the role may lack.
pub(super) fn absent(what: impl std::fmt::Display, help: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::NotFound, format!("{what} does not exist, or the role may not see it")).with_help(help)
}
