//! Things that are made once and kept between runs, outside the tree: the hosts' Debian root and
//! the control plane's programs. Their names say what they were made from, so nothing here grows
//! old; what is not wanted any more, a person removes.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, anyhow};
use nix::fcntl::{Flock, FlockArg};
use sha2::{Digest, Sha256};

/// The directory in which they are kept.
#[derive(Clone, Debug)]
pub struct Cache {
    directory: PathBuf,
}

impl Cache {
    /// The cache of this user, as `XDG_CACHE_HOME` has it.
    pub fn open() -> Result<Self> {
        let chosen = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
        let cache = chosen.or_else(home).context("neither XDG_CACHE_HOME nor HOME is set")?;
        Self::at(cache.join("pvecm-lab"))
    }

    /// A cache in this directory, which is made where it is missing.
    pub fn at(directory: PathBuf) -> Result<Self> {
        fs::create_dir_all(&directory)
            .with_context(|| format!("could not create {}", directory.display()))?;
        Ok(Self { directory })
    }

    /// The directory of this name, filled by `make` where it is missing. One run at a time makes
    /// it, the others wait; an interrupted or failed one leaves nothing under the final name.
    pub fn once(&self, name: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
        let path = self.directory.join(name);
        if path.is_dir() {
            return Ok(path);
        }
        let lock = File::create(self.directory.join(format!("{name}.lock")))?;
        let _one_at_a_time = Flock::lock(lock, FlockArg::LockExclusive)
            .map_err(|(_, errno)| anyhow!("could not lock the cache: {errno}"))?;
        if path.is_dir() {
            return Ok(path);
        }
        eprintln!("lab: making {name}, once");
        let began = Instant::now();
        let making = self.directory.join(format!("{name}.making"));
        if making.exists() {
            fs::remove_dir_all(&making)
                .with_context(|| format!("could not remove {}", making.display()))?;
        }
        make(&making)?;
        fs::rename(&making, &path).with_context(|| format!("could not keep {}", path.display()))?;
        eprintln!("lab: made {name} ({:.0} s)", began.elapsed().as_secs_f64());
        Ok(path)
    }
}

/// A short name for a text.
#[must_use]
pub fn tag(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;
    use std::time::Duration;

    use anyhow::bail;

    use super::*;

    #[test]
    fn what_several_runs_want_at_once_is_made_once() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::at(directory.path().to_owned()).unwrap();
        let calls = AtomicUsize::new(0);
        let make = |path: &Path| {
            calls.fetch_add(1, Ordering::SeqCst);
            // Time for the others to arrive.
            thread::sleep(Duration::from_millis(100));
            Ok(fs::create_dir(path)?)
        };
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| assert!(cache.once("thing", make).unwrap().is_dir()));
            }
        });
        assert_eq!(calls.into_inner(), 1);
    }

    #[test]
    fn what_could_not_be_made_is_made_anew_the_next_time() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::at(directory.path().to_owned()).unwrap();
        let half = |path: &Path| {
            fs::create_dir(path)?;
            bail!("interrupted")
        };
        assert!(cache.once("thing", half).is_err());
        assert!(cache.once("thing", |path| Ok(fs::create_dir(path)?)).unwrap().is_dir());
    }
}
