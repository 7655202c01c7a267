//! A place to put files before the real `corosync -t`. It starts nothing, opens no socket and needs
//! no root.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use pvecm_core::conf::edit::set;
use pvecm_core::conf::{Document, SectionPath};

const COROSYNC: &str = "/usr/sbin/corosync";

/// A directory with an authkey, gone when dropped.
pub struct Desk(PathBuf);

impl Drop for Desk {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Desk {
    /// `None`, with a word on stderr, where corosync is not installed.
    pub fn new(name: &str) -> Option<Self> {
        if !Path::new(COROSYNC).exists() {
            eprintln!("skipped: {COROSYNC} is not installed");
            return None;
        }
        let directory = std::env::temp_dir().join(format!("pvecm-{name}-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("authkey"), [7; 256]).unwrap();
        Some(Self(directory))
    }

    /// Exit code (`None`: a signal ended it) and stderr of `corosync -t` on these bytes. A name that
    /// the host does not know fails within a second.
    pub fn verdict(&self, bytes: &[u8]) -> (Option<i32>, String) {
        let file = self.0.join("corosync.conf");
        fs::write(&file, bytes).unwrap();
        let mut command = Command::new(COROSYNC);
        command.arg("-c").arg(&file).arg("-t").current_dir(&self.0);
        let output = command.env("RES_OPTIONS", "timeout:1 attempts:1").output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// The key file that every document on this desk must name.
    pub fn key_file(&self) -> String {
        self.0.join("authkey").to_str().unwrap().to_owned()
    }

    /// Asserts that corosync takes the document, given a key file and stderr for its messages.
    #[track_caller]
    pub fn accepts(&self, document: &Document) {
        let totem = SectionPath::top("totem");
        let document = set(document, &totem, "keyfile", &self.key_file()).unwrap();
        let logging = SectionPath::top("logging");
        let document = set(&document, &logging, "to_stderr", "yes").unwrap();
        let document = set(&document, &logging, "to_syslog", "no").unwrap();
        let (code, messages) = self.verdict(document.as_bytes());
        let text = String::from_utf8_lossy(document.as_bytes()).into_owned();
        assert_eq!(code, Some(0), "{messages}\n{text}");
    }
}
