//! The control plane's programs, built from the pinned Go modules in `e2e/controlplane/` and
//! cached outside the tree per version and `go.sum`, so that only the first run pays.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::command;
use crate::hosts::root::cache_directory;

/// One Go module and the programs that it builds.
struct Module {
    directory: &'static str,
    /// Module whose version is the programs' version.
    source: &'static str,
    programs: &'static [(Tool, &'static str)],
}

/// One program of the control plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    /// The store.
    Etcd,
    /// The API.
    ApiServer,
    /// Garbage collection, namespaces, service accounts.
    ControllerManager,
    /// The client.
    Kubectl,
    /// Renders the chart.
    Helm,
}

impl Tool {
    /// The program's file name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::ApiServer => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
            Self::Kubectl => "kubectl",
            Self::Helm => "helm",
        }
    }
}

const MODULES: [Module; 3] = [
    Module {
        directory: "kubernetes",
        source: "k8s.io/kubernetes",
        programs: &[
            (Tool::ApiServer, "k8s.io/kubernetes/cmd/kube-apiserver"),
            (Tool::ControllerManager, "k8s.io/kubernetes/cmd/kube-controller-manager"),
            (Tool::Kubectl, "k8s.io/kubernetes/cmd/kubectl"),
        ],
    },
    Module {
        directory: "etcd",
        source: "go.etcd.io/etcd/server/v3",
        programs: &[(Tool::Etcd, "go.etcd.io/etcd/server/v3")],
    },
    Module {
        directory: "helm",
        source: "helm.sh/helm/v3",
        programs: &[(Tool::Helm, "helm.sh/helm/v3/cmd/helm")],
    },
];

/// The path of a program: from `KUBEBUILDER_ASSETS` where that has it, else from the cache, built
/// first where it is missing.
pub fn path(tool: Tool) -> Result<PathBuf> {
    if let Some(assets) = std::env::var_os("KUBEBUILDER_ASSETS") {
        let given = Path::new(&assets).join(tool.name());
        if given.is_file() {
            return Ok(given);
        }
    }
    for module in &MODULES {
        if let Some((_, package)) = module.programs.iter().find(|(t, _)| *t == tool) {
            return cached(module, tool, package);
        }
    }
    bail!("{} belongs to no module", tool.name())
}

fn cached(module: &Module, tool: Tool, package: &str) -> Result<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("controlplane").join(module.directory);
    let read = |file: &str| {
        let path = source.join(file);
        fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))
    };
    let version = version_of(module.source, &read("go.mod")?)?;
    let digest = Sha256::digest(read("go.sum")?.as_bytes());
    let tag: String = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    let name = tool.name();
    let directory = cache_directory()?.join(format!("{name}-{version}-{tag}"));
    let program = directory.join(name);
    if !program.is_file() {
        eprintln!("lab: building {name} {version}, once");
        build(&source, package, &version, &program)?;
    }
    Ok(program)
}

fn build(source: &Path, package: &str, version: &str, program: &Path) -> Result<()> {
    let directory = program.parent().context("a program has a directory")?;
    fs::create_dir_all(directory)?;
    let making = program.with_extension(format!("making-{}", std::process::id()));
    let mut go = Command::new("go");
    go.args(["build", "-trimpath", "-mod=readonly", "-ldflags", &linker_flags(version), "-o"])
        .arg(&making)
        .arg(package)
        .current_dir(source);
    command::run(&mut go).with_context(|| format!("could not build {package}"))?;
    fs::rename(&making, program).context("could not keep what was built")
}

/// Kubernetes programs carry their version only when the linker is told; others ignore this.
fn linker_flags(version: &str) -> String {
    let mut parts = version.trim_start_matches('v').split('.');
    let (major, minor) = (parts.next().unwrap_or("0"), parts.next().unwrap_or("0"));
    let key = "-X k8s.io/component-base/version";
    format!("-s -w {key}.gitVersion={version} {key}.gitMajor={major} {key}.gitMinor={minor}")
}

fn version_of(module: &str, go_mod: &str) -> Result<String> {
    let mut lines = go_mod.lines().map(|line| line.trim().trim_start_matches("require "));
    let version = lines.find_map(|line| line.strip_prefix(module)?.split_whitespace().next());
    version.map(str::to_owned).with_context(|| format!("go.mod does not require {module}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_from_single_and_grouped_requirements() {
        let single = "module m\n\nrequire k8s.io/kubernetes v1.36.3\n";
        assert_eq!(version_of("k8s.io/kubernetes", single).unwrap(), "v1.36.3");
        let grouped = "require (\n\ta.b/c v1.0.0\n\thelm.sh/helm/v3 v3.22.0 // indirect\n)\n";
        assert_eq!(version_of("helm.sh/helm/v3", grouped).unwrap(), "v3.22.0");
        assert!(version_of("x.y/z", grouped).is_err());
    }

    #[test]
    fn kubernetes_programs_are_told_their_version() {
        assert!(linker_flags("v1.36.3").ends_with(
            "version.gitVersion=v1.36.3 -X k8s.io/component-base/version.gitMajor=1 \
             -X k8s.io/component-base/version.gitMinor=36"
        ));
    }
}
