//! GitHub issues, read from the test kit's upstream: every pitfall of the reference notes by its number, delivery under
//! change and crashes, access, and real recordings where they are present.

#[path = "github/access.rs"]
mod access;
#[path = "github/delivery.rs"]
mod delivery;
#[path = "github/limits.rs"]
mod limits;
#[path = "github/pitfalls.rs"]
mod pitfalls;
#[path = "github/recordings.rs"]
mod recordings;
#[path = "github/support.rs"]
mod support;
