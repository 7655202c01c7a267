//! Where the workspace's own programs are: beside the running one, in cargo's target directory.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::{env, iter};

use anyhow::{Context, Result, ensure};

/// This machine's architecture, as Debian and images name it.
const ARCHITECTURE: &str = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };

/// The lab's own program.
pub fn own() -> Result<PathBuf> {
    find("pvecm-lab")
}

/// A program of this workspace by name.
pub fn find(name: &str) -> Result<PathBuf> {
    let path = directory()?.join(name);
    ensure!(path.is_file(), "{} is not built (cargo build --workspace)", path.display());
    Ok(path)
}

/// The agent's Debian package, as `cargo xtask package` left it.
pub fn package() -> Result<PathBuf> {
    let name = format!("debian/pvecm-agent_{}_{ARCHITECTURE}.deb", env!("CARGO_PKG_VERSION"));
    let directory = directory()?;
    let path = directory.parent().unwrap_or(Path::new("/")).join(name);
    ensure!(path.is_file(), "{} is not built (cargo xtask package)", path.display());
    Ok(path)
}

/// The operator's image, as `cargo xtask image` left it.
pub fn image() -> Result<PathBuf> {
    let name = format!("image/pvecm-operator_{}_{ARCHITECTURE}.tar", env!("CARGO_PKG_VERSION"));
    let directory = directory()?;
    let path = directory.parent().unwrap_or(Path::new("/")).join(name);
    ensure!(path.is_file(), "{} is not built (cargo xtask image)", path.display());
    Ok(path)
}

/// The search path of programs with the workspace's own first, where kubectl finds its plugin.
pub fn path_with_own() -> Result<OsString> {
    let others = env::var_os("PATH").unwrap_or_default();
    let all = iter::once(directory()?).chain(env::split_paths(&others));
    env::join_paths(all).context("a folder with a colon in its name cannot be searched")
}

fn directory() -> Result<PathBuf> {
    let running = env::current_exe().context("where does this program run from?")?;
    let parent = running.parent().unwrap_or(Path::new("/"));
    // Cargo puts test programs one directory below all others.
    let deps = parent.file_name().is_some_and(|name| name == "deps");
    let directory = if deps { parent.parent().unwrap_or(parent) } else { parent };
    Ok(directory.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_programs_are_found_before_others_of_their_name() {
        let path = path_with_own().unwrap();
        let folders: Vec<_> = env::split_paths(&path).collect();
        let others = env::var_os("PATH").unwrap();
        assert_eq!(folders[0], directory().unwrap());
        assert_eq!(folders[1..], env::split_paths(&others).collect::<Vec<_>>());
    }
}
