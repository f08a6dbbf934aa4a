//! Builds and pushes the container image of a connector, without Docker.
//!
//! An [`Image`] is a folder in the OCI image layout: one layer with a statically linked program and the few files that it needs. The
//! same program, version and settings produce the same digest on any machine. [`Deploy`](super::deploy::Deploy) pushes the image.
//!
//! ```no_run
//! use snowfeed::native_app::image::{Credentials, Image, Push};
//!
//! # async fn example(token: secrecy::SecretString) -> snowfeed::Result<()> {
//! let image = Image::builder("target/x86_64-unknown-linux-gnu/release/examples/github_issues")
//!     .version("0.1.0")
//!     .write("sf_build/image")?;
//! let pushed = Push::new(&image, "acme-prod.registry.snowflakecomputing.com/db/schema/images/github_issues", "0.1.0")?
//!     .credentials(Credentials::new("ROBOT", token))
//!     .run()
//!     .await?;
//! println!("{} is {}", pushed.reference, pushed.digest);
//! # Ok(())
//! # }
//! ```

mod binary;
mod builder;
mod digest;
mod layer;
mod layout;
mod push;

pub use binary::{build_command, cross_build_command};
pub use builder::ImageBuilder;
pub use layout::Image;
pub use push::{Credentials, Push, PushEvent, PushReport};
