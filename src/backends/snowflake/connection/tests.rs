//! Settings in, connections out; credentials in, login fields out.

mod keys;
mod loading;
mod login;
mod precedence;
mod secrecy;
mod world;
