//! A folder with the samples, and the program in it.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// A folder of its own for every test, gone when dropped.
pub struct Desk(TempDir);

/// How a command ended.
#[derive(Debug, PartialEq, Eq)]
pub struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Desk {
    pub fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/offline/samples");
        for sample in fs::read_dir(samples).unwrap() {
            let sample = sample.unwrap();
            fs::copy(sample.path(), folder.path().join(sample.file_name())).unwrap();
        }
        Self(folder)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// Every name in the folder, in order.
    pub fn names(&self) -> Vec<String> {
        let names = fs::read_dir(self.0.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// `kubectl-pvecm conf ARGUMENTS`, words parted by spaces.
    pub fn conf(&self, arguments: &str) -> Ended {
        self.conf_with(arguments, "")
    }

    /// The same with something on standard input.
    pub fn conf_with(&self, arguments: &str, input: &str) -> Ended {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-pvecm"));
        command.arg("conf").args(arguments.split_whitespace());
        self.run(command, input)
    }

    /// A line of a shell for which `kubectl pvecm` is the built program. Both streams come as stdout.
    pub fn shell(&self, line: &str) -> Ended {
        let mut command = Command::new("sh");
        let program = env!("CARGO_BIN_EXE_kubectl-pvecm");
        let kubectl = format!("kubectl() {{ shift; '{program}' \"$@\"; }}; exec 2>&1; {line}");
        self.run(
            {
                command.args(["-c", &kubectl]);
                command
            },
            "",
        )
    }

    fn run(&self, mut command: Command, input: &str) -> Ended {
        // Neither a proxy nor a kubeconfig may matter.
        let mut child = command
            .current_dir(self.0.path())
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that does not read its input closes it.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        Ended {
            code: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}
