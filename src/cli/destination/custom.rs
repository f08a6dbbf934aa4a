//! A program's own backend.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;

use super::{Destination, Finding, Store};
use crate::backends::Preview;
use crate::{Backend, Error, ErrorKind, Resource, Result};

/// Opens the program's backend.
pub(in crate::cli) type OpenBackend = Box<dyn Fn() -> Result<Arc<dyn Backend>> + Send + Sync>;

/// The program's backend, opened when a command first needs it.
pub(in crate::cli) struct CustomDestination {
    open: OpenBackend,
    backend: OnceLock<Arc<dyn Backend>>,
}

impl CustomDestination {
    pub(in crate::cli) fn new(open: OpenBackend) -> Self {
        Self { open, backend: OnceLock::new() }
    }

    fn backend(&self) -> Result<Arc<dyn Backend>> {
        if let Some(backend) = self.backend.get() {
            return Ok(backend.clone());
        }
        let backend = (self.open)()?;
        Ok(self.backend.get_or_init(|| backend).clone())
    }
}

#[async_trait]
impl Destination for CustomDestination {
    fn open(&self) -> Result<Box<dyn Store>> {
        Ok(Box::new(CustomStore(self.backend()?)))
    }

    async fn check(&self) -> Vec<Finding> {
        vec![Finding { name: "destination", result: self.backend().map(|_| "opened".to_owned()) }]
    }
}

struct CustomStore(Arc<dyn Backend>);

#[async_trait]
impl Store for CustomStore {
    fn backend(&self) -> Arc<dyn Backend> {
        self.0.clone()
    }

    async fn preview(&self, _: &Resource, _: &str, _: usize) -> Result<Preview> {
        Err(Error::new(ErrorKind::Unsupported, "this program's destination does not support previews")
            .with_help("read the rows with the destination's own tools"))
    }
}
