//! Running commands: one way to do it, with errors that name the command and what it said.

use std::ffi::OsStr;
use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// What a command left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Exit code, or 128 + signal as a shell says it.
    pub code: i32,
    /// Standard output as text.
    pub stdout: String,
    /// Standard error as text.
    pub stderr: String,
}

impl Output {
    /// Whether the command exited with 0.
    #[must_use]
    pub fn success(&self) -> bool {
        self.code == 0
    }
}

/// Runs a command to its end and returns what it said, whatever its exit code.
pub fn output(command: &mut Command) -> Result<Output> {
    let done = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("could not start {}", words(command)))?;
    Ok(captured(&done))
}

/// Runs a command with `input` on its standard input.
pub fn output_with_input(command: &mut Command, input: &[u8]) -> Result<Output> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("could not start {}", words(command)))?;
    let pipe = child.stdin.take();
    let done = std::thread::scope(|scope| {
        // On a thread of its own: a child that answers before it has read everything would
        // otherwise wait for us while we wait for it.
        scope.spawn(move || pipe.map(|mut pipe| pipe.write_all(input)));
        child.wait_with_output()
    })?;
    Ok(captured(&done))
}

/// Runs a command that has to succeed, and returns its standard output.
pub fn run(command: &mut Command) -> Result<String> {
    let done = output(command)?;
    checked(command, done)
}

/// Like [`run`], with `input` on standard input.
pub fn run_with_input(command: &mut Command, input: &[u8]) -> Result<String> {
    let done = output_with_input(command, input)?;
    checked(command, done)
}

/// Runs a command on our own standard streams; it has to succeed.
pub fn run_visibly(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("could not start {}", words(command)))?;
    if !status.success() {
        bail!("`{}` failed ({status})", words(command));
    }
    Ok(())
}

fn checked(command: &Command, done: Output) -> Result<String> {
    if done.success() {
        return Ok(done.stdout);
    }
    let said = if done.stderr.trim().is_empty() { &done.stdout } else { &done.stderr };
    bail!("`{}` failed with code {}: {}", words(command), done.code, said.trim())
}

fn captured(done: &std::process::Output) -> Output {
    use std::os::unix::process::ExitStatusExt;
    let code = done.status.code().or_else(|| done.status.signal().map(|s| 128 + s));
    Output {
        code: code.unwrap_or(-1),
        stdout: String::from_utf8_lossy(&done.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&done.stderr).into_owned(),
    }
}

fn words(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(OsStr::to_string_lossy)
        .collect::<Vec<_>>()
        .join(" ")
}

/// The search path for everything that runs in a lab; the caller's own may lead anywhere.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
