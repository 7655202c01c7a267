//! What a lab leaves on the machine, all under its name: one state directory, and one cgroup
//! directory per hierarchy. Owns creating, finding and removing them; starts no process.

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::fcntl::{Flock, FlockArg};

use crate::wait::wait_until;

/// Below it every lab has a directory. Not under /tmp or a cache: the upper directories of the
/// hosts' overlays lie here, and those must not be on an overlay themselves.
pub const STATE_ROOT: &str = "/var/lib/pvecm-lab";

const CGROUP_PARENT: &str = "pvecm-lab";

/// The directory of one lab.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateDir {
    name: String,
}

impl StateDir {
    /// The directory of the lab with this name; checks the name only.
    pub fn of(name: &str) -> Result<Self> {
        let fits = !name.is_empty() && name.len() <= 24;
        let plain = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        ensure!(
            fits && plain,
            "`{name}` is no name for a lab: 1 to 24 lower case letters, digits and dashes"
        );
        Ok(Self { name: name.to_owned() })
    }

    /// The lab's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The directory itself.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        Path::new(STATE_ROOT).join(&self.name)
    }

    /// A file or directory below it.
    #[must_use]
    pub fn join(&self, below: impl AsRef<Path>) -> PathBuf {
        self.path().join(below)
    }

    /// The log file of one of the lab's processes.
    #[must_use]
    pub fn log(&self, process: &str) -> PathBuf {
        self.join("logs").join(format!("{process}.log"))
    }

    /// Takes the lock that the supervisor holds for its whole life; the kernel frees it at death,
    /// so it tells a living lab from leftovers without trusting a process id.
    pub fn lock_alive(&self) -> Result<Flock<File>> {
        let file = File::create(self.join("alive")).context("could not create the lab's lock")?;
        Flock::lock(file, FlockArg::LockExclusiveNonblock)
            .map_err(|_| anyhow::anyhow!("lab `{}` is already up", self.name))
    }

    /// Whether a supervisor runs this lab.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        let Ok(file) = File::open(self.join("alive")) else { return false };
        Flock::lock(file, FlockArg::LockExclusiveNonblock).is_err()
    }

    /// Keeps the directory (with its logs) from being swept, for a person to look at.
    pub fn keep(&self) -> Result<()> {
        fs::write(self.join("kept"), "").context("could not mark the lab's directory as kept")
    }

    /// The cgroup of one host in every hierarchy that systemd uses.
    #[must_use]
    pub fn host_cgroups(&self, host: &str) -> Vec<PathBuf> {
        self.cgroups().into_iter().map(|dir| dir.join(host)).collect()
    }

    fn cgroups(&self) -> Vec<PathBuf> {
        hierarchies().into_iter().map(|dir| dir.join(CGROUP_PARENT).join(&self.name)).collect()
    }

    /// Removes what a dead lab left: cgroup directories, and the state directory unless kept.
    pub fn remove(&self) -> Result<()> {
        self.remove_cgroups()?;
        let path = self.path();
        if path.exists() && !self.join("kept").exists() {
            fs::remove_dir_all(&path)
                .with_context(|| format!("could not remove {}", path.display()))?;
        }
        // Goes with the last lab only.
        let _not_empty = fs::remove_dir(STATE_ROOT);
        Ok(())
    }

    fn remove_cgroups(&self) -> Result<()> {
        for dir in self.cgroups() {
            // The kernel needs a moment after the last process's death until a cgroup is empty.
            wait_until(Duration::from_secs(10), "the lab's cgroups to become empty", || {
                remove_tree_of_directories(&dir).map_err(|e| e.to_string())
            })?;
            if let Some(parent) = dir.parent() {
                let _not_empty = fs::remove_dir(parent);
            }
        }
        Ok(())
    }
}

/// One creation, removal or sweep at a time on the whole machine.
pub fn lock_machine() -> Result<Flock<OwnedFd>> {
    let dir = Path::new("/run/lock");
    let path = if dir.is_dir() { dir } else { Path::new("/run") }.join("pvecm-lab");
    let file = File::create(&path).with_context(|| format!("could not open {}", path.display()))?;
    Flock::lock(OwnedFd::from(file), FlockArg::LockExclusive)
        .map_err(|(_, errno)| anyhow::anyhow!("could not lock {}: {errno}", path.display()))
}

/// Removes the leftovers of every lab whose supervisor is dead; labs that were kept stay.
pub fn sweep() -> Result<()> {
    for lab in all()? {
        if !lab.is_alive() {
            lab.remove()?;
        }
    }
    Ok(())
}

/// Every lab with a state directory, alive or not.
pub fn all() -> Result<Vec<StateDir>> {
    let entries = match fs::read_dir(STATE_ROOT) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => bail!("could not read {STATE_ROOT}: {e}"),
    };
    let mut labs = Vec::new();
    for entry in entries {
        if let Ok(lab) = StateDir::of(&entry?.file_name().to_string_lossy()) {
            labs.push(lab);
        }
    }
    labs.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(labs)
}

/// The hierarchies in which systemd keeps its services: `name=systemd` and `unified` on a hybrid
/// machine, the one and only on a machine with cgroup v2.
fn hierarchies() -> Vec<PathBuf> {
    let root = Path::new("/sys/fs/cgroup");
    let hybrid: Vec<PathBuf> =
        ["systemd", "unified"].iter().map(|h| root.join(h)).filter(|h| h.is_dir()).collect();
    if hybrid.is_empty() { vec![root.to_owned()] } else { hybrid }
}

fn remove_tree_of_directories(dir: &Path) -> std::io::Result<()> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(e),
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_tree_of_directories(&entry.path())?;
        }
    }
    fs::remove_dir(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_could_leave_the_state_root_is_refused() {
        for name in ["", "..", "a/b", "A", "a b", "0123456789012345678901234"] {
            assert!(StateDir::of(name).is_err(), "{name}");
        }
        assert_eq!(StateDir::of("lab-1").unwrap().path(), Path::new("/var/lib/pvecm-lab/lab-1"));
    }
}
