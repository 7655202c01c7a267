//! Folders of certificates as NSS keeps them, by its own tool. Its output is bare bytes or PEM.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use x509_cert::Certificate;

use crate::certificate::to_pem;

/// Under these names corosync's own tools keep and look for certificates.
pub const AUTHORITY: &str = "QNet CA";
/// The certificate of a node.
pub const NODE: &str = "Cluster Cert";
/// The file that changes with every certificate.
const DATABASE: &str = "cert9.db";
/// The keys in such a folder have no password, and the tool would ask for one.
pub const PASSWORD: &str = "pwdfile.txt";

/// When a folder was changed last, and which one it is: another may be moved to its place.
type Stamp = (SystemTime, u64);

/// What was found in a folder.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// The certificate of the witness, in PEM.
    pub authority: Option<String>,
    /// The certificate of this node, in PEM.
    pub node: Option<String>,
}

/// Remembers what was found as long as the folder stays as it is.
#[derive(Debug, Default)]
pub struct Folders(Mutex<BTreeMap<PathBuf, (Stamp, Found)>>);

impl Folders {
    /// The certificates in a folder; `None`: it is none.
    pub fn look(&self, folder: &Path) -> Option<Found> {
        let stamp = stamp(folder)?;
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, found)) = known.get(folder).filter(|(at, _)| *at == stamp) {
            return Some(found.clone());
        }
        let found = Found { authority: read(folder, AUTHORITY), node: read(folder, NODE) };
        known.insert(folder.to_owned(), (stamp, found.clone()));
        Some(found)
    }
}

fn stamp(folder: &Path) -> Option<Stamp> {
    use std::os::unix::fs::MetadataExt;
    let metadata = fs::metadata(folder.join(DATABASE)).ok()?;
    Some((metadata.modified().ok()?, metadata.ino()))
}

fn read(folder: &Path, name: &str) -> Option<String> {
    let mut command = certutil(folder);
    let listed = command.args(["-L", "-r", "-n", name]).stdin(Stdio::null()).output().ok()?;
    to_pem::<Certificate>(&listed.stdout).ok().filter(|_| listed.status.success())
}

/// The tool on a folder.
pub fn certutil(folder: &Path) -> Command {
    tool("certutil", folder, "-f")
}

/// The tool that brings keys with their certificates into a folder.
pub fn pk12util(folder: &Path) -> Command {
    tool("pk12util", folder, "-k")
}

/// One that hangs must not keep who asks.
fn tool(name: &str, folder: &Path, password: &str) -> Command {
    let mut command = Command::new("timeout");
    command.args(["10", name, "-d"]).arg(folder);
    command.arg(password).arg(folder.join(PASSWORD));
    command
}
