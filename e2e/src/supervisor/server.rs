//! The serving side, which runs as process 1 of the lab's process namespace.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, wait};
use nix::unistd::Pid;

use super::{Life, OUTSIDE_VARIABLE, Process, ProcessState, Reply, Request};
use crate::state::StateDir;

/// What the supervisor holds.
#[derive(Debug, Default)]
struct Held {
    processes: Mutex<BTreeMap<String, ProcessState>>,
    /// The machine's own network.
    outside: Option<File>,
}

/// Runs the supervisor until it is killed, or as its [`Life`] says.
pub fn serve(lab: &StateDir, life: Life) -> Result<()> {
    // First the lock, then the socket: whoever can connect finds a lab that counts as alive.
    let _alive = lab.lock_alive()?;
    let outside = isolate()?;
    let outside = life.way_out.then_some(outside);
    let listener = UnixListener::bind(lab.join("supervisor.sock"))
        .context("could not create the supervisor's socket")?;
    let held = Arc::new(Held { outside, ..Held::default() });
    if life.bound {
        std::thread::spawn(exit_with_standard_input);
    }
    let reaped = Arc::clone(&held);
    std::thread::spawn(move || reap(&reaped));
    for connection in listener.incoming() {
        let held = Arc::clone(&held);
        let connection = connection.context("the supervisor's socket failed")?;
        std::thread::spawn(move || answer(&connection, &held));
    }
    Ok(())
}

/// Goes into a network of its own, and hides the machine's /run: nspawn keeps directories per machine
/// name there, and two labs have hosts of the same name. Returns the network that was left.
fn isolate() -> Result<File> {
    let outside = File::open("/proc/self/ns/net").context("there is no network to leave")?;
    unshare(CloneFlags::CLONE_NEWNET).context("could not make the lab's own network")?;
    let nothing: Option<&str> = None;
    mount(Some("tmpfs"), "/run", Some("tmpfs"), MsFlags::empty(), nothing)
        .context("could not mount the lab's own /run")?;
    std::fs::create_dir_all("/run/netns").context("could not create /run/netns")?;
    Ok(outside)
}

fn exit_with_standard_input() {
    let mut ignored = Vec::new();
    let _ended = std::io::stdin().read_to_end(&mut ignored);
    // Process 1 of a process namespace takes all others with it.
    std::process::exit(0);
}

/// Reaps children of our own and orphans alike.
fn reap(held: &Held) {
    loop {
        match wait() {
            Ok(status @ (WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, _, _))) => {
                let mut known = held.processes.lock().unwrap_or_else(PoisonError::into_inner);
                for state in known.values_mut() {
                    if state.pid == pid.as_raw() && state.ended.is_none() {
                        state.ended = Some(ending(status));
                    }
                }
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

fn ending(status: WaitStatus) -> String {
    match status {
        WaitStatus::Exited(_, code) => format!("exit code {code}"),
        WaitStatus::Signaled(_, signal, _) => signal.to_string(),
        other => format!("{other:?}"),
    }
}

fn answer(mut connection: &UnixStream, held: &Held) {
    let reply = read_request(connection).and_then(|request| carry_out(request, held));
    // A client that has gone away needs no answer.
    if let Ok(text) = serde_json::to_string(&reply) {
        let _gone = connection.write_all(text.as_bytes());
    }
}

fn read_request(connection: &UnixStream) -> Result<Request, String> {
    let mut line = String::new();
    BufReader::new(connection).read_line(&mut line).map_err(|e| e.to_string())?;
    serde_json::from_str(&line).map_err(|e| e.to_string())
}

fn carry_out(request: Request, held: &Held) -> Reply {
    // Held while a process starts, so that its end cannot be reaped before it is known.
    let mut known = held.processes.lock().unwrap_or_else(PoisonError::into_inner);
    match request {
        Request::State => {}
        Request::Start(process) => {
            if known.get(&process.name).is_some_and(|p| p.ended.is_none()) {
                return Err(format!("{} is running already", process.name));
            }
            let pid = start(&process, held.outside.as_ref()).map_err(|e| format!("{e:#}"))?;
            known.insert(process.name, ProcessState { pid, ended: None });
        }
        Request::Signal { name, signal } => {
            let running = known.get(&name).filter(|p| p.ended.is_none());
            let process = running.ok_or_else(|| format!("{name} is not running"))?;
            let signal = Signal::try_from(signal).map_err(|e| e.to_string())?;
            kill(Pid::from_raw(process.pid), signal).map_err(|e| e.to_string())?;
        }
    }
    Ok(known.clone())
}

fn start(process: &Process, outside: Option<&File>) -> Result<i32> {
    let (program, arguments) = process.argv.split_first().context("no program given")?;
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&process.log)
        .with_context(|| format!("could not open {}", process.log.display()))?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .env("PATH", crate::command::PATH)
        .env("HOME", "/root")
        .envs(&process.env)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0);
    if process.outside {
        hand_over(&mut command, outside.context("this lab has no way out")?)?;
    }
    let child = command.spawn().with_context(|| format!("could not start {program}"))?;
    i32::try_from(child.id()).context("process id out of range")
}

/// Lets a command, and no other, inherit the machine's network.
fn hand_over(command: &mut Command, outside: &File) -> Result<()> {
    let outside = outside.try_clone().context("could not hand the machine's network over")?;
    let descriptor = outside.as_raw_fd();
    command.env(OUTSIDE_VARIABLE, descriptor.to_string());
    let inherit = move || {
        fcntl(outside.as_fd(), FcntlArg::F_SETFD(FdFlag::empty()))?;
        Ok(())
    };
    // SAFETY: fcntl may be called between fork and exec.
    unsafe { command.pre_exec(inherit) };
    Ok(())
}
