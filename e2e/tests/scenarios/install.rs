//! The ways to install the operator say the same.

use anyhow::{Result, ensure};
use pvecm_e2e::operator::{rendered_base, repository};

#[test]
fn the_kustomize_base_is_what_the_chart_renders() -> Result<()> {
    let path = repository().join("manifests/base/operator.yaml");
    let written = std::fs::read_to_string(&path)?;
    ensure!(written == rendered_base()?, "{} is stale: cargo xtask crds", path.display());
    Ok(())
}
