//! The process: detaching, its mount point, its PID file and its end.
//!
//! Owns what a service manager sees. Never looks into the tree.

use std::env;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio, exit};
use std::thread::{self, sleep};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use fuser::Session;
use nix::mount::{MntFlags, umount2};
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{dup2_stderr, dup2_stdout, setsid};

use crate::mount::Adapter;

/// What the child says on its standard output when the file system is mounted.
const READY: &[u8] = b"mounted\n";
/// How long open files may delay the end after the mount point is gone.
const LAST_CALLS: Duration = Duration::from_secs(2);

/// Starts this program again as a process of its own and waits until it has mounted.
///
/// Comes before any thread: pmxcfs is `Type=forking`, its parent ends with 0 only when the file system is there.
pub fn detach() -> Result<()> {
    let program = env::current_exe().context("finding this program")?;
    let mut child = Command::new(program)
        .args(env::args_os().skip(1))
        .arg("--detached")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("starting the process that stays")?;
    let mut said = Vec::new();
    if let Some(mut output) = child.stdout.take() {
        output.read_to_end(&mut said).context("waiting for the mount")?;
    }
    if said == READY {
        return Ok(());
    }
    let status = child.wait().context("waiting for the process that stays")?;
    bail!("the file system was not mounted: {status}");
}

/// Leaves the terminal; in the process that `detach` started, before any thread.
pub fn leave_terminal() -> Result<()> {
    setsid().context("leaving the terminal").map(|_| ())
}

/// Tells the waiting parent that the file system is mounted, and lets go of the outputs. Errors up to here are still seen by
/// whoever started the program, and later ones by the journal.
pub fn report_ready() -> Result<()> {
    let mut output = std::io::stdout();
    output.write_all(READY)?;
    output.flush()?;
    let null = fs::OpenOptions::new().write(true).open("/dev/null")?;
    if !is_journal("/proc/self/fd/2") {
        // Whoever started us by hand may wait for the end of a pipe that we would hold open for ever.
        dup2_stderr(&null).context("closing the standard error output")?;
    }
    dup2_stdout(null).context("closing the standard output")
}

/// Whether an output is the journal. The variable alone does not say so: a service's children inherit it, whatever
/// their outputs are.
fn is_journal(output: &str) -> bool {
    let journal = env::var("JOURNAL_STREAM").unwrap_or_default();
    fs::metadata(output).is_ok_and(|meta| format!("{}:{}", meta.dev(), meta.ino()) == journal)
}

/// Makes a usable mount point: a mount that a killed process left behind is forced away.
pub fn clear_mount_point(dir: &Path) -> Result<()> {
    if umount2(dir, MntFlags::MNT_FORCE | MntFlags::MNT_DETACH).is_ok() {
        tracing::warn!("[main] notice: unmounted what an earlier process left behind");
    }
    fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))
}

/// The PID file, removed at the end.
#[derive(Clone, Debug)]
pub struct PidFile(PathBuf);

impl PidFile {
    /// Writes this process's number into `file`.
    pub fn write(file: &Path) -> Result<Self> {
        fs::write(file, format!("{}\n", std::process::id()))
            .and_then(|()| fs::set_permissions(file, fs::Permissions::from_mode(0o644)))
            .with_context(|| format!("writing {}", file.display()))?;
        Ok(Self(file.to_owned()))
    }

    fn remove(&self) {
        // Somebody may have removed it before us, which is as good.
        let _ = fs::remove_file(&self.0);
    }
}

/// Keeps the signals that end the process for `serve`; before any other thread, so that all threads inherit it.
pub fn hold_signals() -> Result<SigSet> {
    let mut ends = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        ends.add(signal);
    }
    ends.thread_block().context("holding the signals that end the process")?;
    Ok(ends)
}

/// Waits for a signal, takes the mount away and ends the process.
#[allow(clippy::cognitive_complexity, reason = "the lint counts the branches in tracing's macros")]
fn end(ends: SigSet, dir: &Path, pid_file: &PidFile) {
    if let Ok(signal) = ends.wait() {
        tracing::info!("[main] notice: exit proxmox configuration filesystem stand-in ({signal})");
    }
    // Detached first: an open file must not keep a dead mount in place, as `unmount` alone would.
    if let Err(error) = umount2(dir, MntFlags::MNT_DETACH) {
        tracing::error!("[main] crit: unmount failed: {error}");
    }
    pid_file.remove();
    sleep(LAST_CALLS);
    exit(0);
}

/// Answers the kernel until the file system is unmounted, by a signal or by anybody else.
pub fn serve(
    session: Session<Adapter>,
    ends: SigSet,
    (dir, pid_file): (&Path, &PidFile),
) -> Result<()> {
    let (ended, dir) = (pid_file.clone(), dir.to_owned());
    thread::spawn(move || end(ends, &dir, &ended));
    let result = session.run().context("answering the kernel");
    pid_file.remove();
    result
}
