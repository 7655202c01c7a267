//! The operator's image as a container runtime runs it: its own file system, read-only, devices, the user that it names,
//! and nothing else.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::command;
use crate::network::CONTROL_ADDRESS;

/// A name in the certificate of every API server. The image has to look it up without any library.
const SERVER: &str = "kubernetes.default.svc";
const ACCOUNT: &str = "var/run/secrets/kubernetes.io/serviceaccount";

/// Runs in a mount namespace of its own: `ROOT USER:GROUP PROGRAM ARGUMENTS`. Every runtime gives a container devices:
/// random numbers come from one of them.
const CONTAINER: &str = r#"set -e
root=$1 user=$2
shift 2
mkdir -p "$root/dev"
mount --bind "$root" "$root"
mount --bind /dev "$root/dev"
mount -o remount,bind,ro "$root"
exec chroot --userspec="$user" --groups= "$root" "$@""#;

/// An image that is unpacked.
#[derive(Debug)]
pub struct Image {
    root: PathBuf,
    user: String,
    entrypoint: String,
}

impl Image {
    /// Unpacks an archive with an OCI layout into an empty folder, and checks every digest on the way.
    pub fn unpack(archive: &Path, folder: &Path) -> Result<Self> {
        let (layout, root) = (folder.join("layout"), folder.join("root"));
        untar(archive, &layout)?;
        let index = fs::read(layout.join("index.json")).context("the archive has no index.json")?;
        let index: Value = serde_json::from_slice(&index)?;
        let manifest = json(&layout, &index["manifests"][0])?;
        for layer in manifest["layers"].as_array().into_iter().flatten() {
            untar(&blob(&layout, layer)?, &root)?;
        }
        let config = &json(&layout, &manifest["config"])?["config"];
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let user = text(&config["User"]).context("the image names no user")?;
        let entrypoint = text(&config["Entrypoint"][0]).context("the image has no entrypoint")?;
        Ok(Self { root, user, entrypoint })
    }

    /// Everything that is in it, by its path.
    pub fn files(&self) -> Result<Vec<PathBuf>> {
        let mut find = Command::new("find");
        let found = command::run(find.arg(&self.root).args(["-mindepth", "1", "-printf", "%P\n"]))?;
        Ok(found.lines().map(PathBuf::from).collect())
    }

    /// Puts there what the kubelet mounts into a pod: the account, and where names are looked up.
    pub fn give_account(&self, token: &str, authority: &str) -> Result<()> {
        let hosts = format!("127.0.0.1 localhost\n{CONTROL_ADDRESS} {SERVER}\n");
        for (path, text) in [
            (format!("{ACCOUNT}/token"), token),
            (format!("{ACCOUNT}/ca.crt"), authority),
            (format!("{ACCOUNT}/namespace"), "pvecm-system"),
            ("etc/hosts".to_owned(), &hosts),
        ] {
            let path = self.root.join(path);
            fs::create_dir_all(path.parent().unwrap_or(&self.root))?;
            fs::write(&path, text)
                .with_context(|| format!("could not write {}", path.display()))?;
        }
        Ok(())
    }

    /// What the kubelet tells a pod of the API server, by its name.
    #[must_use]
    pub fn service() -> [(String, String); 2] {
        [("HOST", SERVER), ("PORT", "6443")]
            .map(|(what, value)| (format!("KUBERNETES_SERVICE_{what}"), value.to_owned()))
    }

    /// The command that runs it with these arguments.
    #[must_use]
    pub fn command(&self, arguments: &[String]) -> Vec<String> {
        let root = self.root.display().to_string();
        ["unshare", "--mount", "sh", "-c", CONTAINER, "sh", &root, &self.user, &self.entrypoint]
            .into_iter()
            .map(str::to_owned)
            .chain(arguments.iter().cloned())
            .collect()
    }
}

fn untar(archive: &Path, into: &Path) -> Result<()> {
    fs::create_dir_all(into)?;
    let mut tar = Command::new("tar");
    tar.arg("--extract").arg("--file").arg(archive).arg("--directory").arg(into);
    command::run(&mut tar).map(|_| ())
}

fn json(layout: &Path, descriptor: &Value) -> Result<Value> {
    let text = fs::read(blob(layout, descriptor)?)?;
    serde_json::from_slice(&text).context("a blob of the image is no JSON")
}

/// The file that a descriptor names, when it has the content that it says.
fn blob(layout: &Path, descriptor: &Value) -> Result<PathBuf> {
    let digest = descriptor["digest"].as_str().unwrap_or_default();
    let hex = digest.strip_prefix("sha256:").context("a descriptor has no digest")?;
    let path = layout.join("blobs/sha256").join(hex);
    let bytes = fs::read(&path).with_context(|| format!("the image has no {}", path.display()))?;
    let is: Vec<_> = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    let is = is.concat();
    ensure!(is == hex, "the blob {hex} of the image has the digest {is}");
    Ok(path)
}
