//! Hosts in namespaces of their own, with real corosync between them.
//!
//! Every host ends when its standard input does, so nothing stays behind when a test is killed.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_pmxcfs-standin");

/// A namespace whose first process waits for the end of its input.
#[derive(Debug)]
struct Space {
    child: Child,
    /// The first process inside.
    inside: u32,
}

impl Space {
    fn start(script: &str) -> Self {
        let mut child = Command::new("unshare")
            .args(["-n", "-m", "-u", "-i", "-p", "--fork", "--kill-child", "--mount-proc"])
            .args(["bash", "-c", &format!("set -e; mount --make-rprivate /; {script}; exec cat")])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let parent = child.id();
        let inside = within(10, "the first process of a namespace", || {
            assert!(child.try_wait().unwrap().is_none(), "the set-up failed: {script}");
            let path = format!("/proc/{parent}/task/{parent}/children");
            let inside: u32 = fs::read_to_string(path).ok()?.trim().parse().ok()?;
            let name = fs::read_to_string(format!("/proc/{inside}/comm")).ok()?;
            (name.trim() == "cat").then_some(inside)
        });
        Self { child, inside }
    }

    fn command(&self, script: &str) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args(["-t", &self.inside.to_string(), "-n", "-m", "-u", "-i", "-p"])
            .args(["bash", "-c", script])
            .stdin(Stdio::null());
        command
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until `done` gives something, with a deadline in seconds.
pub fn within<T>(seconds: u64, what: &str, mut done: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(seconds);
    loop {
        if let Some(result) = done() {
            return result;
        }
        assert!(Instant::now() < end, "not within {seconds} s: {what}");
        sleep(Duration::from_millis(50));
    }
}

/// One host. Its file system is at `/run/pve`.
#[derive(Debug)]
pub struct Host {
    space: Space,
    dir: PathBuf,
}

impl Host {
    fn start(name: &str, dir: PathBuf) -> Self {
        let mut script = format!(
            "hostname {name}; ip link set lo up; mount -t tmpfs t /run; mount -t tmpfs t /dev/shm"
        );
        for part in ["etc/corosync", "var/lib/corosync", "var/log/corosync"] {
            let own = dir.join(part);
            fs::create_dir_all(&own).unwrap();
            script = format!("{script}; mount --bind {} /{part}", own.display());
        }
        let space = Space::start(&script);
        Self { space, dir }
    }

    /// A host with no network but its own loopback.
    pub fn alone(dir: &TempDir) -> Self {
        Self::start("n1", dir.path().join("n1"))
    }

    pub fn run(&self, script: &str) -> Output {
        self.space.command(script).output().unwrap()
    }

    /// Runs a script that succeeds, and gives its output.
    pub fn ok(&self, script: &str) -> String {
        let output = self.run(script);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{script}: {text}{}", self.told(&output));
        text.trim_end().to_owned()
    }

    /// Runs a script that fails, and gives its error output.
    pub fn fails(&self, script: &str) -> String {
        let output = self.run(script);
        assert!(!output.status.success(), "{script} succeeded");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    fn told(&self, output: &Output) -> String {
        format!("{}\n--- log\n{}", String::from_utf8_lossy(&output.stderr), self.log())
    }

    /// Waits until a script succeeds.
    pub fn until(&self, seconds: u64, script: &str) {
        let end = Instant::now() + Duration::from_secs(seconds);
        while !self.run(script).status.success() {
            assert!(Instant::now() < end, "not within {seconds} s: {script}\n{}", self.log());
            sleep(Duration::from_millis(50));
        }
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    /// The stand-in with this host's own paths.
    pub fn program(&self) -> String {
        let database = self.dir.join("db/config.db");
        format!(
            "{PROGRAM} --mount /run/pve --pid-file /run/pve.pid --database {}",
            database.display()
        )
    }

    /// Starts the stand-in in the background, with its log in a file; it is mounted when this returns.
    pub fn mount(&self) {
        let log = self.dir.join("log");
        self.ok(&format!("setsid {} -f >>{} 2>&1 </dev/null &", self.program(), log.display()));
        self.until(10, "mountpoint -q /run/pve && test -s /run/pve.pid");
    }

    pub fn corosync(&self) {
        self.ok("setsid corosync -f >/dev/null 2>&1 </dev/null &");
    }

    /// Writes this host's own corosync.conf.
    pub fn conf(&self, text: &str) {
        fs::write(self.dir.join("etc/corosync/corosync.conf"), text).unwrap();
    }

    pub fn disk_conf(&self) -> String {
        fs::read_to_string(self.dir.join("etc/corosync/corosync.conf")).unwrap_or_default()
    }

    /// `config_version` of the running corosync.
    pub fn running(&self) -> String {
        self.ok("corosync-cmapctl -g totem.config_version | sed 's/.* = //'")
    }

    /// Writes a file as PVE's tools do: beside it, then a rename.
    pub fn publish(&self, text: &str) {
        let source = self.dir.join("new.conf");
        fs::write(&source, text).unwrap();
        self.ok(&format!(
            "cp {} /run/pve/corosync.conf.new && mv /run/pve/corosync.conf.new /run/pve/corosync.conf",
            source.display()
        ));
    }
}

/// Three members on one network.
#[derive(Debug)]
pub struct Lab {
    pub hosts: Vec<Host>,
    switch: Space,
    _dir: TempDir,
}

/// A corosync.conf that lists `nodes`.
pub fn conf(version: u32, nodes: &[usize]) -> String {
    let node = |id: &usize| {
        format!(
            "  node {{\n    name: n{id}\n    nodeid: {id}\n    quorum_votes: 1\n    ring0_addr: 10.77.0.{id}\n  }}\n"
        )
    };
    let list: String = nodes.iter().map(node).collect();
    format!(
        "logging {{\n  to_syslog: no\n}}\nnodelist {{\n{list}}}\nquorum {{\n  provider: corosync_votequorum\n}}\n\
         totem {{\n  cluster_name: standin\n  config_version: {version}\n  version: 2\n  token: 1000\n  secauth: off\n  \
         interface {{\n    linknumber: 0\n  }}\n}}\n"
    )
}

impl Lab {
    /// Hosts with addresses, and nothing running on them yet.
    pub fn bare(count: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let switch = Space::start("ip link add br0 type bridge; ip link set br0 up");
        let hosts: Vec<Host> = (1..=count)
            .map(|id| Host::start(&format!("n{id}"), dir.path().join(format!("n{id}"))))
            .collect();
        for (id, host) in (1..).zip(&hosts) {
            let plug = format!(
                "ip link add p{id} type veth peer name eth0 netns /proc/{}/ns/net && ip link set p{id} master br0 up",
                host.space.inside
            );
            // The host's process number is one of the outer namespace.
            let status = Command::new("nsenter")
                .args(["-t", &switch.inside.to_string(), "-n", "bash", "-c", &plug])
                .status()
                .unwrap();
            assert!(status.success(), "plugging n{id} in");
            host.ok(&format!("ip addr add 10.77.0.{id}/24 dev eth0 && ip link set eth0 up"));
        }
        Self { hosts, switch, _dir: dir }
    }

    /// A running cluster: every host quorate, writable and holding the same corosync.conf, version 1.
    pub fn formed(count: usize) -> Self {
        let lab = Self::bare(count);
        let nodes: Vec<usize> = (1..=count).collect();
        for host in &lab.hosts {
            host.conf(&conf(1, &nodes));
            host.corosync();
            host.mount();
        }
        lab.all_writable();
        lab
    }

    pub fn all_writable(&self) {
        for (id, host) in (1..).zip(&self.hosts) {
            host.until(
                20,
                &format!("mkdir -p /run/pve/nodes/n{id}/tried && rmdir /run/pve/nodes/n{id}/tried"),
            );
        }
    }

    /// Pulls a host's cable, or puts it back.
    pub fn cable(&self, id: usize, there: bool) {
        let state = if there { "up" } else { "down" };
        let output = self.switch.command(&format!("ip link set p{id} {state}")).output().unwrap();
        assert!(output.status.success());
    }
}
