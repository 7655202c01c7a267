//! The hold on corosync. It is a copy of the very file that must not be started with: the drop-in of
//! corosync.service compares the two, so that whatever is written there since (a join, `pvecm add`, a
//! person) lifts it, and nobody has to know of it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use pvecm_core::conf::Document;
use pvecm_core::gate::Held;

use crate::STATE_FOLDER;
use crate::host::replace_file;

/// What the gate remembers on its host.
pub trait Holding: Send + Sync {
    /// Why this file is held, if it is.
    fn reason(&self, disk: &[u8]) -> Option<Held>;
    /// Holds corosync as long as it has this file.
    fn set(&self, disk: &[u8], held: &Held) -> io::Result<()>;
    /// Holds it no longer.
    fn lift(&self) -> io::Result<()>;
    /// Keeps a file that is about to be replaced.
    fn keep(&self, disk: &[u8]) -> io::Result<()>;
}

/// Where the hold and what the gate replaced lie.
#[derive(Debug, Clone)]
pub struct Hold {
    folder: PathBuf,
    state: PathBuf,
}

impl Hold {
    /// On this machine, where the drop-in looks.
    #[must_use]
    pub fn here() -> Self {
        Self::at(Path::new(STATE_FOLDER))
    }

    /// In a state folder.
    #[must_use]
    pub fn at(state: &Path) -> Self {
        Self { folder: state.join("held"), state: state.to_owned() }
    }

    fn file(&self) -> PathBuf {
        self.folder.join("corosync.conf")
    }

    fn because(&self) -> PathBuf {
        self.folder.join("because.json")
    }
}

impl Holding for Hold {
    fn reason(&self, disk: &[u8]) -> Option<Held> {
        let is_held = fs::read(self.file()).is_ok_and(|file| file == disk);
        let because = fs::read(self.because()).ok().filter(|_| is_held)?;
        serde_json::from_slice(&because).ok()
    }

    /// The copy, which is what holds, comes last.
    fn set(&self, disk: &[u8], held: &Held) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        replace_file(&self.because(), &serde_json::to_vec(held)?, 0o600)?;
        replace_file(&self.file(), disk, 0o600)
    }

    fn lift(&self) -> io::Result<()> {
        match fs::remove_file(self.file()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn keep(&self, disk: &[u8]) -> io::Result<()> {
        let version = Document::parse(disk).version().unwrap_or_default();
        let folder = self.state.join("replaced");
        fs::create_dir_all(&folder)?;
        replace_file(&folder.join(format!("corosync.conf.{version}")), disk, 0o600)
    }
}
