//! Proxmox VE's high availability: its files below /etc/pve, and its own tool for the rest (pve.md 7).

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use futures::FutureExt;
use futures::future::BoxFuture;
use pvecm_core::ha::HaFiles;

use super::disk::read_optional;
use super::services::run;
use crate::ports::HighAvailability;

const TOOL: &str = "/usr/sbin/ha-manager";
/// Stands for a file that is there and cannot be read: no JSON, and so never taken for an answer.
const UNREADABLE: &str = "unreadable";

/// The files and the tool of this host.
#[derive(Debug, Clone)]
pub struct HaManager {
    root: PathBuf,
    hostname: String,
}

impl HaManager {
    /// At a mount point, on the host of this name.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>, hostname: String) -> Self {
        Self { root: root.into(), hostname }
    }

    fn text(&self, path: &str) -> Option<String> {
        let bytes = match read_optional(&self.root.join(path)) {
            Ok(bytes) => bytes?,
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => return None,
            Err(_) => return Some(UNREADABLE.to_owned()),
        };
        Some(String::from_utf8(bytes).unwrap_or_else(|_| UNREADABLE.to_owned()))
    }
}

impl HighAvailability for HaManager {
    fn files(&self) -> HaFiles {
        let host = &self.hostname;
        HaFiles {
            manager_status: self.text("ha/manager_status"),
            crm_commands: self.text("ha/crm_commands"),
            lrm_status: self.text(&format!("nodes/{host}/lrm_status")),
            agent_lock: self.root.join(format!("priv/lock/ha_agent_{host}_lock")).exists(),
        }
    }

    fn disarm(&self) -> BoxFuture<'_, Result<(), String>> {
        // `freeze` keeps every guest as it is; `ignore` would let people move them meanwhile.
        async { crm_command(&["disarm-ha", "freeze"]) }.boxed()
    }

    fn arm(&self) -> BoxFuture<'_, Result<(), String>> {
        async { crm_command(&["arm-ha"]) }.boxed()
    }
}

/// Queues a command for the CRM. The tool needs more memory than the agent's unit may have, so systemd
/// runs it in a unit of its own.
fn crm_command(arguments: &[&str]) -> Result<(), String> {
    if !Path::new(TOOL).exists() {
        return Err("there is no ha-manager on this host".to_owned());
    }
    let mut command = Command::new("systemd-run");
    command.args(["--quiet", "--collect", "--wait", "--pipe", TOOL, "crm-command"]).args(arguments);
    run(command).map_err(|why| format!("ha-manager crm-command {}: {why}", arguments.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use pvecm_core::ha::{Ha, HaState};

    #[test]
    fn the_files_of_this_host_are_read_and_no_other_hosts() {
        let root = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let manager = HaManager::new(root.path(), "n1".to_owned());
        let state = || Ha::read(&manager.files()).state;
        assert_eq!(state(), HaState::Absent);
        put("nodes/n2/lrm_status", r#"{"state":"active","mode":"active"}"#);
        assert_eq!(state(), HaState::Absent);
        put("nodes/n1/lrm_status", r#"{"state":"active","mode":"active"}"#);
        put("priv/lock/ha_agent_n1_lock/x", "");
        assert_eq!(state(), HaState::Active);
        assert!(manager.files().agent_lock);
        put("ha/manager_status/x", "a folder cannot be read");
        assert_eq!(state(), HaState::Unknown);
    }
}
