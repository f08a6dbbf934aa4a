//! Settings in, connections out; credentials in, login fields out.

mod environment;
mod keys;
mod loading;
mod login;
mod precedence;
mod secrecy;
#[path = "../../../tests/support/warnings.rs"]
mod warnings;
