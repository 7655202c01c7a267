//! The asking side: a handle on a living lab.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::Pid;

use super::{Life, Process, ProcessState, Reply, Request};
use crate::command;
use crate::state::StateDir;
use crate::wait::wait_until;

/// A living supervisor.
#[derive(Debug)]
pub struct Supervisor {
    lab: StateDir,
    /// Process id as seen from the machine.
    pid: i32,
    /// Holds the pipe that a bound supervisor lives by.
    _bond: Option<Child>,
}

impl Supervisor {
    /// Starts a supervisor for a lab whose state directory exists.
    pub fn spawn(lab: &StateDir, life: Life) -> Result<Self> {
        let mut child = unshare(lab, life)?;
        let pid = wait_until(Duration::from_secs(10), "the lab's supervisor", || {
            if let Ok(Some(status)) = child.try_wait() {
                let log = fs::read_to_string(lab.log("supervisor")).unwrap_or_default();
                return Ok(Err(anyhow!("the lab's supervisor ended ({status}): {}", log.trim())));
            }
            pid_behind_socket(lab).map(Ok).map_err(|e| format!("{e:#}"))
        })??;
        Ok(Self { lab: lab.clone(), pid, _bond: life.bound.then_some(child) })
    }

    /// The supervisor of a lab that is up.
    pub fn find(lab: &StateDir) -> Result<Self> {
        let pid = pid_behind_socket(lab)
            .map_err(|_| anyhow!("lab `{}` is not up (cargo xtask lab up)", lab.name()))?;
        Ok(Self { lab: lab.clone(), pid, _bond: None })
    }

    /// Process id of the supervisor as seen from the machine.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// A command that runs inside the lab's network and mounts.
    #[must_use]
    pub fn enter(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.pid.to_string(), "-m", "-n", "-p", "--", program]);
        command
    }

    /// Starts a process as child of the supervisor.
    pub fn start(&self, process: &Process) -> Result<()> {
        self.ask(&Request::Start(process.clone())).map(|_| ())
    }

    /// Sends a signal to a running process.
    pub fn signal(&self, name: &str, signal: Signal) -> Result<()> {
        self.ask(&Request::Signal { name: name.to_owned(), signal: signal as i32 }).map(|_| ())
    }

    /// Every process that was started, by name.
    pub fn processes(&self) -> Result<BTreeMap<String, ProcessState>> {
        self.ask(&Request::State)
    }

    /// Whether a process of that name runs.
    pub fn is_running(&self, name: &str) -> Result<bool> {
        Ok(self.processes()?.get(name).is_some_and(|p| p.ended.is_none()))
    }

    /// Ends a process and waits until it is gone; one that does not run is left as it is.
    pub fn end(&self, name: &str, signal: Signal) -> Result<()> {
        if self.is_running(name)? {
            self.signal(name, signal)?;
        }
        self.wait_for_end(name, Duration::from_secs(30))
    }

    /// Waits until a process has ended.
    pub fn wait_for_end(&self, name: &str, deadline: Duration) -> Result<()> {
        wait_until(deadline, &format!("the end of {name}"), || match self.is_running(name) {
            Ok(false) => Ok(()),
            Ok(true) => Err("still running".to_owned()),
            Err(e) => Err(format!("{e:#}")),
        })
    }

    /// The id, as seen from the machine, of a running process of the lab.
    pub fn outer_pid(&self, name: &str) -> Result<i32> {
        let processes = self.processes()?;
        let running = processes.get(name).filter(|p| p.ended.is_none());
        let inner = running.with_context(|| format!("{name} is not running"))?.pid;
        let found = children(self.pid).into_iter().find(|pid| inner_pid(*pid) == Some(inner));
        found.with_context(|| format!("{name} is gone"))
    }

    /// Kills the supervisor, and with it everything in the lab.
    pub fn kill(&self) -> Result<()> {
        let _already_gone = kill(Pid::from_raw(self.pid), Signal::SIGKILL);
        let proc = Path::new("/proc").join(self.pid.to_string());
        wait_until(Duration::from_secs(30), "the lab's processes to end", || {
            if has_ended(&proc) { Ok(()) } else { Err("still there".to_owned()) }
        })
    }

    fn ask(&self, request: &Request) -> Result<BTreeMap<String, ProcessState>> {
        let mut stream = UnixStream::connect(self.lab.join("supervisor.sock"))
            .with_context(|| format!("lab `{}` is not up", self.lab.name()))?;
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        stream.write_all(&line)?;
        stream.shutdown(Shutdown::Write)?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        serde_json::from_str::<Reply>(&text)
            .context("the lab's supervisor gave no answer")?
            .map_err(|refusal| anyhow!(refusal))
    }
}

/// The outer `unshare` stays as parent of the supervisor, which is process 1 in there.
fn unshare(lab: &StateDir, life: Life) -> Result<Child> {
    let program = crate::binaries::own()?;
    let log = fs::File::create(lab.log("supervisor"))?;
    let mut command = Command::new("unshare");
    command
        .args(["--pid", "--mount", "--fork", "--kill-child", "--mount-proc", "--"])
        .arg(program)
        .args(["supervise", "--name", lab.name()])
        .env_clear()
        .env("PATH", command::PATH)
        .current_dir("/")
        .stdout(log.try_clone()?)
        .stderr(log)
        // Ctrl-C at the terminal is meant for the command that runs there.
        .process_group(0);
    if life.way_out {
        command.arg("--way-out");
    }
    if life.bound {
        command.arg("--bound").stdin(Stdio::piped());
    } else {
        command.stdin(Stdio::null());
    }
    command.spawn().context("could not start unshare")
}

/// The socket tells who listens, as the kernel knows it: no pid file that could be stale.
fn pid_behind_socket(lab: &StateDir) -> Result<i32> {
    let stream = UnixStream::connect(lab.join("supervisor.sock"))?;
    let pid = getsockopt(&stream, PeerCredentials)?.pid();
    if pid <= 0 {
        bail!("the supervisor runs in a process namespace that is not below ours");
    }
    Ok(pid)
}

/// Children of every thread of a process; a thread counts as parent of what it has started.
pub(crate) fn children(pid: i32) -> Vec<i32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    threads
        .flatten()
        .filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok())
        .flat_map(|line| line.split_whitespace().filter_map(|p| p.parse().ok()).collect::<Vec<_>>())
        .collect()
}

fn inner_pid(pid: i32) -> Option<i32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    line.split_whitespace().last()?.parse().ok()
}

/// Whether every thread is dead. The first one is a zombie as soon as it has ended itself, while another
/// still holds the lab's lock, or waits for the last of the lab's processes.
fn has_ended(proc: &Path) -> bool {
    let Ok(threads) = fs::read_dir(proc.join("task")) else { return true };
    threads.flatten().all(|thread| {
        let status = fs::read_to_string(thread.path().join("status")).unwrap_or_default();
        status.lines().all(|line| !line.starts_with("State:") || line.contains('Z'))
    })
}
