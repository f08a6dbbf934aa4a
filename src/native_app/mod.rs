//! The native app: any connector inside a Snowflake account.

pub mod image;
