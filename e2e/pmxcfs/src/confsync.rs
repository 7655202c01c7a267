//! Decides what happens to /etc/corosync/corosync.conf when corosync.conf changes in the tree, and carries the decision out.
//!
//! Owns the version comparison and the write to the host's disk. Never touches the tree.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

/// What a text from the tree means for the file on this host's disk.
#[derive(Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing to do, and nothing to say: the text is empty or is on the disk already.
    Nothing,
    /// No `config_version` can be read: the disk keeps its file.
    Unreadable,
    /// The disk holds a higher version and keeps it.
    LocalIsNewer,
    /// The text goes to the disk as `version`; `reload` when a notifying caller is to reload corosync afterwards.
    Write { version: u64, reload: bool },
}

/// The first `config_version: N` anywhere in the text, comments included, because that is how pmxcfs reads it; 0 when there is none.
#[must_use]
pub fn config_version(text: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(text);
    text.match_indices("config_version")
        .find_map(|(at, key)| number_after(&text[at + key.len()..]))
        .unwrap_or(0)
}

fn number_after(rest: &str) -> Option<u64> {
    let rest = rest.trim_start().strip_prefix(':')?.trim_start();
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse().ok()
}

/// Compares the text in the tree with the bytes on the disk (empty when there is no file).
#[must_use]
pub fn decide(tree: &[u8], disk: &[u8]) -> Decision {
    if tree.is_empty() {
        return Decision::Nothing;
    }
    let version = config_version(tree);
    if version == 0 {
        return Decision::Unreadable;
    }
    if tree == disk {
        return Decision::Nothing;
    }
    let old = config_version(disk);
    if version < old {
        return Decision::LocalIsNewer;
    }
    Decision::Write { version, reload: old != 0 }
}

/// Brings `file` in line with the tree's text; true when a notifying caller is to `reload` afterwards, because an existing
/// configuration was changed.
#[allow(clippy::cognitive_complexity, reason = "the lint counts the branches in tracing's macros")]
pub fn sync(tree: &[u8], file: &Path) -> bool {
    let disk = fs::read(file).unwrap_or_default();
    match decide(tree, &disk) {
        Decision::Nothing => {}
        Decision::Unreadable => {
            tracing::error!("[dcdb] crit: unable to parse cluster config_version");
        }
        Decision::LocalIsNewer => tracing::error!("[dcdb] crit: local corosync.conf is newer"),
        Decision::Write { version, reload } => {
            if let Err(error) = replace(file, tree) {
                tracing::error!("[dcdb] crit: writing '{}' failed: {error}", file.display());
                return false;
            }
            tracing::info!(
                "[dcdb] notice: wrote new corosync config '{}' (version = {version})",
                file.display()
            );
            return reload;
        }
    }
    false
}

fn replace(file: &Path, text: &[u8]) -> io::Result<()> {
    let temp = file.with_extension("conf.pmxcfs-tmp");
    fs::write(&temp, text)?;
    fs::set_permissions(&temp, fs::Permissions::from_mode(0o644))?;
    fs::File::open(&temp)?.sync_all()?;
    fs::rename(&temp, file)
}

/// Waits the fixed second and asks corosync to reload, in the caller's thread: this is what makes the writer's rename take a
/// second.
#[allow(clippy::cognitive_complexity, reason = "the lint counts the branches in tracing's macros")]
pub fn reload() {
    // The other members get their second to write their own disks: corosync re-reads each node's own file.
    sleep(Duration::from_secs(1));
    let status = Command::new("corosync-cfgtool")
        .arg("-R")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match status {
        Ok(done) if done.success() => {}
        Ok(done) => tracing::error!(
            "[dcdb] crit: corosync-cfgtool -R failed with exit code {}",
            done.code().unwrap_or(-1)
        ),
        Err(error) => tracing::error!("[dcdb] crit: corosync-cfgtool -R did not start: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_match_counts_even_inside_a_comment() {
        assert_eq!(config_version(b"# config_version: 99\nconfig_version: 17\n"), 99);
        assert_eq!(config_version(b"config_version\nconfig_version : 4a"), 4);
        assert_eq!(config_version(b"totem { }"), 0);
    }

    #[test]
    fn an_empty_text_leaves_the_disk_alone() {
        assert_eq!(decide(b"", b"config_version: 3"), Decision::Nothing);
    }

    #[test]
    fn a_text_without_a_version_is_not_distributed() {
        assert_eq!(decide(b"totem {}", b"config_version: 3"), Decision::Unreadable);
    }

    #[test]
    fn a_lower_version_is_refused_by_the_disk() {
        assert_eq!(decide(b"config_version: 2", b"config_version: 3"), Decision::LocalIsNewer);
    }

    #[test]
    fn an_equal_version_with_other_bytes_is_written_and_reloaded() {
        let written = decide(b"config_version: 3\n", b"config_version: 3");
        assert_eq!(written, Decision::Write { version: 3, reload: true });
    }

    #[test]
    fn the_first_file_on_a_disk_is_written_without_a_reload() {
        assert_eq!(
            decide(b"config_version: 1", b""),
            Decision::Write { version: 1, reload: false }
        );
    }
}
