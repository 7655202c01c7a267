//! The definitions that a Kubernetes API server needs, in the order in which they are installed.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt as _;

use crate::{PveChange, PveCluster, PveHost};

/// All three definitions.
#[must_use]
pub fn definitions() -> Vec<CustomResourceDefinition> {
    vec![PveCluster::crd(), PveHost::crd(), PveChange::crd()]
}

/// Name of the file below `crds/yaml` that holds this definition.
#[must_use]
pub fn file_name(definition: &CustomResourceDefinition) -> String {
    format!("{}.yaml", definition.spec.names.plural)
}
