//! The control plane's programs, built from the pinned Go modules in `e2e/controlplane/` and
//! cached outside the tree per version and `go.sum`, so that only the first run pays.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::cache::{Cache, tag};
use crate::command;

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
    /// Does what Flux and Argo CD do.
    GitOps,
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
            Self::GitOps => "gitops",
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

/// Built when a scenario asks for it: no lab needs it.
const GITOPS: Module = Module {
    directory: "gitops",
    source: "github.com/fluxcd/pkg/ssa",
    programs: &[(Tool::GitOps, ".")],
};

/// The path of a program: from `KUBEBUILDER_ASSETS` where that has it, else from the cache, built
/// first where it is missing.
pub fn path(tool: Tool) -> Result<PathBuf> {
    let assets = std::env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from);
    match assets.and_then(|directory| given(&directory, tool)) {
        Some(given) => Ok(given),
        None => built(&Cache::open()?, tool),
    }
}

/// Builds whatever is missing.
pub fn build_missing() -> Result<()> {
    let mut programs = MODULES.iter().flat_map(|module| module.programs);
    programs.try_for_each(|(tool, _)| path(*tool).map(|_| ()))
}

/// Kubebuilder's own archives have no controller manager and no helm: those are built.
fn given(assets: &Path, tool: Tool) -> Option<PathBuf> {
    let path = assets.join(tool.name());
    path.is_file().then_some(path)
}

fn built(cache: &Cache, tool: Tool) -> Result<PathBuf> {
    for module in MODULES.iter().chain([&GITOPS]) {
        if let Some((_, package)) = module.programs.iter().find(|(t, _)| *t == tool) {
            return cached(cache, module, (tool, package));
        }
    }
    bail!("{} belongs to no module", tool.name())
}

fn cached(cache: &Cache, module: &Module, (tool, package): (Tool, &str)) -> Result<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("controlplane").join(module.directory);
    let read = |file: &str| {
        let path = source.join(file);
        fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))
    };
    let version = version_of(module.source, &read("go.mod")?)?;
    let name = tool.name();
    // A module with a program of its own has that beside its sums.
    let own = if source.join("main.go").is_file() { read("main.go")? } else { String::new() };
    let directory =
        cache.once(&format!("{name}-{version}-{}", tag(&(read("go.sum")? + &own))), |making| {
            check_go()?;
            fs::create_dir(making)?;
            let mut go = Command::new("go");
            go.args([
                "build",
                "-trimpath",
                "-mod=readonly",
                "-ldflags",
                &linker_flags(&version),
                "-o",
            ])
            .arg(making.join(name))
            .arg(package)
            .current_dir(&source);
            command::run(&mut go).map(|_| ()).with_context(|| format!("could not build {package}"))
        })?;
    Ok(directory.join(name))
}

fn check_go() -> Result<()> {
    match Command::new("go").arg("version").stdout(Stdio::null()).status() {
        Err(error) if error.kind() == ErrorKind::NotFound => bail!(
            "Go is not installed; the lab builds its control plane with it (https://go.dev/doc/install)"
        ),
        Err(error) => Err(error).context("could not start go"),
        Ok(status) => {
            ensure!(status.success(), "`go version` failed ({status})");
            Ok(())
        }
    }
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
    fn a_directory_that_is_given_is_used_for_what_it_has() {
        let assets = tempfile::tempdir().unwrap();
        fs::write(assets.path().join("etcd"), "").unwrap();
        assert_eq!(given(assets.path(), Tool::Etcd), Some(assets.path().join("etcd")));
        assert_eq!(given(assets.path(), Tool::Helm), None);
    }

    #[test]
    #[ignore = "runs with cargo xtask test --all"]
    fn a_program_that_is_not_in_the_cache_is_built_and_runs() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::at(directory.path().to_owned()).unwrap();
        let etcd = built(&cache, Tool::Etcd).unwrap();
        let said = command::run(Command::new(&etcd).arg("--version")).unwrap();
        assert!(said.starts_with("etcd Version"), "{said}");
        // Found, not built again.
        let began = std::time::Instant::now();
        assert_eq!(built(&cache, Tool::Etcd).unwrap(), etcd);
        assert!(began.elapsed() < std::time::Duration::from_secs(1));
    }

    #[test]
    fn kubernetes_programs_are_told_their_version() {
        assert!(linker_flags("v1.36.3").ends_with(
            "version.gitVersion=v1.36.3 -X k8s.io/component-base/version.gitMajor=1 \
             -X k8s.io/component-base/version.gitMinor=36"
        ));
    }
}
