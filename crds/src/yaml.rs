//! The one place where YAML is read and written, always by way of a JSON value.
//!
//! YAML libraries write enums with data as tags (`!formCluster {}`), which no Kubernetes tool
//! understands; a JSON value in between gives the form that the API server uses.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Why a text was refused or a value could not be written.
#[derive(Debug, thiserror::Error)]
pub enum YamlError {
    /// Not YAML, or YAML that has no JSON form.
    #[error("the text is not valid YAML")]
    Syntax(#[source] serde_yaml::Error),
    /// YAML of another shape than the wanted type.
    #[error("the document does not have the expected shape")]
    Shape(#[source] serde_json::Error),
}

/// Reads one document.
pub fn read<T: DeserializeOwned>(text: &str) -> Result<T, YamlError> {
    let value: Value = serde_yaml::from_str(text).map_err(YamlError::Syntax)?;
    serde_json::from_value(value).map_err(YamlError::Shape)
}

/// Writes one document; it ends in a line feed.
pub fn write<T: Serialize>(value: &T) -> Result<String, YamlError> {
    let value = serde_json::to_value(value).map_err(YamlError::Shape)?;
    serde_yaml::to_string(&value).map_err(YamlError::Syntax)
}
