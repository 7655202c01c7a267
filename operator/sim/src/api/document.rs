//! An object as it stands at one version: shared by all who hold it, and put into words once.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use serde_json::Value;

/// A value that does not change any more.
#[derive(Debug, Clone, Default)]
pub struct Document(Arc<Written>);

#[derive(Debug, Default)]
struct Written {
    value: Value,
    text: OnceLock<Vec<u8>>,
}

impl From<Value> for Document {
    fn from(value: Value) -> Self {
        Self(Arc::new(Written { value, text: OnceLock::new() }))
    }
}

impl Deref for Document {
    type Target = Value;

    fn deref(&self) -> &Value {
        &self.0.value
    }
}

impl Document {
    /// The value as it goes over the wire.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        self.0.text.get_or_init(|| serde_json::to_vec(&self.0.value).unwrap_or_default())
    }
}
