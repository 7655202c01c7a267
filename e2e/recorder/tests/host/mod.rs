//! A host in namespaces of its own, with a real corosync and the recorder inside.

use std::fs::read_to_string;
use std::io::Write;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use pvecm_e2e::record::Record;
use tempfile::TempDir;

/// Far above what anything here takes (0.5 s for a membership of one), for a busy machine.
const DEADLINE: Duration = Duration::from_secs(30);

/// Ends with everything in it when dropped.
#[derive(Debug)]
pub struct Host {
    unshare: Child,
    words: ChildStdin,
    folder: TempDir,
}

impl Host {
    /// A host whose recorder runs and whose corosync does not yet.
    pub fn new() -> Self {
        assert!(nix::unistd::geteuid().is_root(), "this test makes namespaces: run it as root");
        let folder = tempfile::tempdir().expect("the machine has a temporary directory");
        let mut unshare = Command::new("unshare")
            .args(["-n", "-m", "-u", "-i", "-p", "--fork", "--kill-child", "--mount-proc"])
            .args(["bash", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/host/host.sh")])
            .arg(env!("CARGO_BIN_EXE_pvecm-recorder"))
            .arg(folder.path())
            .stdin(Stdio::piped())
            .spawn()
            .expect("util-linux has unshare");
        let words = unshare.stdin.take().expect("it was asked for a pipe");
        Self { unshare, words, folder }
    }

    /// Has host.sh do the thing of this name; returns the time at which it was told to.
    pub fn tell(&mut self, word: &str) -> u64 {
        let told_ms = now_ms();
        writeln!(self.words, "{word}").expect("host.sh reads until its input ends");
        told_ms
    }

    /// Waits until the record answers `question` and returns the answer.
    pub fn wait<T>(&self, what: &str, question: impl Fn(&Record) -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            if let Some(answer) = question(&self.record()) {
                return answer;
            }
            let late = start.elapsed() > DEADLINE;
            assert!(!late, "waited in vain: {what}\n{}", self.everything_written());
            sleep(Duration::from_millis(20));
        }
    }

    /// The record as it is now; an empty one before the recorder's first line.
    pub fn record(&self) -> Record {
        Record::parse(&self.text("record.jsonl")).expect("the recorder writes what is read here")
    }

    fn everything_written(&self) -> String {
        ["record.jsonl", "recorder.log", "corosync.log"].map(|name| self.text(name)).join("\n")
    }

    fn text(&self, name: &str) -> String {
        read_to_string(self.folder.path().join(name)).unwrap_or_default()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // --kill-child takes the host's first process along, and that one all others.
        let _ = self.unshare.kill();
        let _ = self.unshare.wait();
    }
}

/// Milliseconds since the Unix epoch, as in the record.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("no clock stands before 1970");
    since.as_millis().try_into().expect("64 bits last for ages")
}
