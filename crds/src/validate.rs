//! From the spec as it was written to what is wanted, once. Pure.

use pvecm_core::desired::DesiredCluster;

use crate::condition::reason;
use crate::{PveCluster, convert, not_supported};

/// Why a spec cannot be carried out, whatever the hosts say.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValidateError {
    /// It uses fields whose behaviour is not built yet: to ignore them would be a lie.
    #[error("not supported yet: {}", .0.join(", "))]
    NotSupported(Vec<String>),
    /// It breaks a rule that the API server cannot check.
    #[error("{0}")]
    Invalid(String),
}

impl ValidateError {
    /// The reason in the condition.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::NotSupported(_) => reason::NOT_SUPPORTED,
            Self::Invalid(_) => reason::INVALID_SPEC,
        }
    }
}

/// Checks and parses a spec.
pub fn validate(cluster: &PveCluster) -> Result<DesiredCluster, ValidateError> {
    let unsupported = not_supported(cluster);
    if !unsupported.is_empty() {
        let fields = unsupported.iter().map(ToString::to_string).collect();
        return Err(ValidateError::NotSupported(fields));
    }
    convert::desired(cluster).map_err(|why| ValidateError::Invalid(why.to_string()))
}
