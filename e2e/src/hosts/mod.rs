//! The hosts: Debian roots that boot a real systemd in systemd-nspawn.
//!
//! A host's disk is the upper directory of its overlay and survives crash and power-off; its
//! NICs live in a namespace of their own ([`crate::network`]).

pub mod root;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::command::{self, Output};
use crate::network::{self, Network};
use crate::state::StateDir;
use crate::supervisor::{Process, Supervisor, children};
use crate::wait::wait_until;

/// The first witness's number in every network: far from the hosts' own.
pub const WITNESS_NUMBER: u8 = 101;

/// SIGRTMIN+4, which systemd as process 1 takes as "power off".
const POWER_OFF: i32 = 34 + 4;

/// Name and number of one machine of a lab.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Host name: `n1`, `n2`, ..., `w1`.
    pub name: String,
    /// Last part of its addresses.
    pub number: u8,
}

/// The machines of a lab with so many hosts and witnesses.
#[must_use]
pub fn machines(hosts: u8, witnesses: u8) -> Vec<Machine> {
    let nodes = (1..=hosts).map(|number| Machine { name: format!("n{number}"), number });
    let witness = |at| Machine { name: format!("w{}", at + 1), number: WITNESS_NUMBER + at };
    nodes.chain((0..witnesses).map(witness)).collect()
}

/// The /etc/hosts that all machines share: a name stands for the first cluster network's address,
/// as Proxmox VE's installer writes it.
#[must_use]
pub fn hosts_file(machines: &[Machine]) -> String {
    let names =
        machines.iter().map(|m| format!("{} {}\n", Network::Net0.address(m.number), m.name));
    format!("127.0.0.1 localhost\n{}", names.collect::<String>())
}

/// One host of a lab that is up.
#[derive(Clone, Copy, Debug)]
pub struct Host<'lab> {
    lab: &'lab StateDir,
    supervisor: &'lab Supervisor,
    machine: &'lab Machine,
}

impl<'lab> Host<'lab> {
    /// A handle; starts nothing.
    #[must_use]
    pub fn new(lab: &'lab StateDir, supervisor: &'lab Supervisor, machine: &'lab Machine) -> Self {
        Self { lab, supervisor, machine }
    }

    /// The host's name.
    #[must_use]
    pub fn name(&self) -> &'lab str {
        &self.machine.name
    }

    /// Whether the host votes from outside, through QNetd.
    #[must_use]
    pub fn is_witness(&self) -> bool {
        self.machine.number >= WITNESS_NUMBER
    }

    /// The host's address in a network.
    #[must_use]
    pub fn address(&self, network: Network) -> String {
        network.address(self.machine.number)
    }

    /// Makes the host's disk and NICs; it is off afterwards.
    pub fn create(&self, base: &Path, layer: &Path) -> Result<()> {
        self.make_disk(base, layer)?;
        network::create_nics(self.supervisor, self.name(), self.machine.number)
    }

    /// Gives the host, which is off, an empty disk, as an installation from scratch does.
    pub fn wipe(&self, base: &Path, layer: &Path) -> Result<()> {
        ensure!(!self.is_on()?, "{} is on", self.name());
        let mut unmount = self.supervisor.enter("umount");
        command::run(unmount.arg(self.disk("root")))?;
        for part in ["upper", "work"] {
            fs::remove_dir_all(self.disk(part))?;
        }
        self.make_disk(base, layer)
    }

    fn make_disk(&self, base: &Path, layer: &Path) -> Result<()> {
        let [upper, work, merged] = ["upper", "work", "root"].map(|dir| self.disk(dir));
        for dir in [&upper, &work, &merged] {
            fs::create_dir_all(dir)?;
        }
        // The overlay takes the mode of / from its top directory.
        fs::set_permissions(&upper, fs::Permissions::from_mode(0o755))?;
        fs::create_dir_all(upper.join("etc"))?;
        fs::write(upper.join("etc/hostname"), format!("{}\n", self.name()))?;
        self.enable_witness_services(&upper)?;
        let options = format!(
            "lowerdir={}:{},upperdir={},workdir={}",
            layer.display(),
            base.display(),
            upper.display(),
            work.display()
        );
        let mut mount = self.supervisor.enter("mount");
        mount.args(["-t", "overlay", "overlay", "-o", &options]).arg(&merged);
        command::run(&mut mount).map(|_| ())
    }

    /// Powers the host on and waits until its systemd has started everything.
    pub fn boot(&self) -> Result<()> {
        self.power_on()?;
        self.wait_until_booted()
    }

    /// Powers the host on.
    pub fn power_on(&self) -> Result<()> {
        let name = self.name();
        ensure!(!self.is_on()?, "{name} is on already");
        let cgroups = self.lab.host_cgroups(name);
        let mut script = Vec::new();
        for dir in &cgroups {
            fs::create_dir_all(dir)
                .with_context(|| format!("could not create {}", dir.display()))?;
            // In a cgroup that all hosts share, systemd of one host kills the other's services.
            script.push(format!("echo 0 > {}/cgroup.procs", dir.display()));
        }
        script.push("exec systemd-nspawn \"$@\"".to_owned());
        let script = script.join(" && ");
        let mut argv: Vec<String> = ["sh", "-c", &script, "sh"].map(String::from).to_vec();
        argv.extend(self.nspawn_arguments());
        self.supervisor
            .start(&Process {
                name: name.to_owned(),
                argv,
                env: std::iter::empty().collect(),
                log: self.lab.log(name),
                outside: false,
            })
            .with_context(|| format!("could not power on {name}"))
    }

    /// Waits until the host's systemd has started everything (failed units count as started).
    pub fn wait_until_booted(&self) -> Result<()> {
        wait_until(Duration::from_secs(60), &format!("{} to boot", self.name()), || {
            let said =
                self.exec(&["systemctl", "is-system-running"]).map_err(|e| format!("{e:#}"))?;
            match said.stdout.trim() {
                "running" | "degraded" => Ok(()),
                state => Err(format!("{state} {}", said.stderr.trim())),
            }
        })
    }

    /// Shuts the host down in good order and waits until it is off.
    pub fn power_off(&self) -> Result<()> {
        let leader = self.leader()?;
        // SAFETY: kill(2) takes plain numbers; nix has no name for real-time signals.
        let sent = unsafe { nix::libc::kill(leader, POWER_OFF) };
        nix::errno::Errno::result(sent).context("could not signal the host")?;
        self.supervisor.wait_for_end(self.name(), Duration::from_secs(60))
    }

    /// Cuts the host's power: every process dies at once, the disk stays as it is.
    pub fn crash(&self) -> Result<()> {
        kill(Pid::from_raw(self.leader()?), Signal::SIGKILL).context("could not kill the host")?;
        self.supervisor.wait_for_end(self.name(), Duration::from_secs(30))
    }

    /// Whether the host has power.
    pub fn is_on(&self) -> Result<bool> {
        self.supervisor.is_running(self.name())
    }

    /// Runs a command on the host; a failing command is no error here, see [`Output::success`].
    pub fn exec(&self, argv: &[&str]) -> Result<Output> {
        command::output(&mut self.command(argv)?)
    }

    /// Runs a command on the host that has to succeed, and returns its standard output.
    pub fn run(&self, argv: &[&str]) -> Result<String> {
        command::run(&mut self.command(argv)?).with_context(|| format!("on {}", self.name()))
    }

    /// Runs a line of shell on the host that has to succeed.
    pub fn sh(&self, script: &str) -> Result<String> {
        self.run(&["sh", "-ec", script])
    }

    /// The command that runs `argv` on the host, for own handling of its streams.
    pub fn command(&self, argv: &[&str]) -> Result<Command> {
        let mut command = Command::new("nsenter");
        command
            .args(["-t", &self.leader()?.to_string(), "--all", "--wdns=/root", "--"])
            .args(argv)
            .env_clear()
            .env("PATH", command::PATH)
            .env("HOME", "/root")
            .env("LANG", "C.UTF-8");
        if let Some(term) = std::env::var_os("TERM") {
            command.env("TERM", term);
        }
        Ok(command)
    }

    /// Writes a file on the running host, by temporary name and rename; makes its directory.
    pub fn write_file(&self, path: &str, content: &[u8], mode: u32) -> Result<()> {
        let script = "mkdir -p \"$(dirname \"$1\")\" && t=$(mktemp \"$1.XXXXXX\") && cat > \"$t\" \
            && chmod \"$2\" \"$t\" && mv \"$t\" \"$1\"";
        let mode = format!("{mode:o}");
        let mut command = self.command(&["sh", "-ec", script, "sh", path, &mode])?;
        command::run_with_input(&mut command, content)
            .map(|_| ())
            .with_context(|| format!("could not write {path} on {}", self.name()))
    }

    /// Pulls the host's cable out of a network.
    pub fn cut(&self, network: Network) -> Result<()> {
        network::set_cable(self.supervisor, self.name(), network, false)
    }

    /// Has the switch drop what is larger than so many bytes on its way to this host: the host sees nothing of it.
    pub fn switch_takes(&self, bytes: u32, network: Network) -> Result<()> {
        network::set_switch_mtu(self.supervisor, self.name(), network, bytes)
    }

    /// Puts the cable back, and lifts every block on that network's NIC.
    pub fn heal(&self, network: Network) -> Result<()> {
        network::set_cable(self.supervisor, self.name(), network, true)?;
        self.iptables(&["-F", &chain(network)]).map(|_| ())
    }

    /// Drops what a peer sends to this host on a network; the other direction keeps working.
    pub fn block_from(&self, peer: &Host<'_>, network: Network) -> Result<()> {
        self.block(network, &["-s", &peer.address(network)])
    }

    /// Drops every UDP packet that comes in on a network, as a firewall does that nobody thought of;
    /// pings still pass.
    pub fn block_udp(&self, network: Network) -> Result<()> {
        self.block(network, &["-p", "udp"])
    }

    fn block(&self, network: Network, what: &[&str]) -> Result<()> {
        let chain = chain(network);
        let nic = network.name();
        self.iptables(&["-N", &chain])?;
        if !self.iptables(&["-C", "INPUT", "-i", nic, "-j", &chain])?.success() {
            self.iptables(&["-I", "INPUT", "-i", nic, "-j", &chain])?;
        }
        let done = self.iptables(&[&["-A", &chain], what, &["-j", "DROP"]].concat())?;
        ensure!(done.success(), "could not block {what:?}: {}", done.stderr.trim());
        Ok(())
    }

    /// Process 1 of the host, as seen from the machine.
    pub fn leader(&self) -> Result<i32> {
        let off = || format!("{} is off (cargo xtask lab boot {0})", self.name());
        let nspawn = self.supervisor.outer_pid(self.name()).with_context(off)?;
        children(nspawn).first().copied().with_context(off)
    }

    /// The rules live in the host's network namespace, and so survive its crash like the cables.
    fn iptables(&self, arguments: &[&str]) -> Result<Output> {
        let mut ip = self.supervisor.enter("ip");
        ip.args(["netns", "exec", self.name(), "iptables", "-w"]).args(arguments);
        command::output(&mut ip)
    }

    fn disk(&self, part: &str) -> PathBuf {
        self.lab.join("hosts").join(self.name()).join(part)
    }

    /// A witness serves QNetd; on the other hosts it is installed and off.
    fn enable_witness_services(&self, upper: &Path) -> Result<()> {
        let units = upper.join("etc/systemd/system");
        fs::create_dir_all(&units)?;
        if self.is_witness() {
            symlink("/dev/null", units.join("pve-cluster.service"))?;
        } else {
            symlink("/dev/null", units.join("corosync-qnetd.service"))?;
        }
        Ok(())
    }

    fn nspawn_arguments(&self) -> Vec<String> {
        let name = self.name();
        let mut arguments: Vec<String> = [
            "--quiet",
            "--register=no",
            "--keep-unit",
            "--bind=/dev/fuse",
            "--capability=all",
            "--link-journal=no",
            "--resolv-conf=off",
            "--timezone=off",
            "--boot",
        ]
        .map(String::from)
        .to_vec();
        arguments.push(format!("--directory={}", self.disk("root").display()));
        arguments.push(format!("--network-namespace-path=/run/netns/{name}"));
        arguments.push(format!("--machine={name}"));
        arguments.push(format!("--hostname={name}"));
        arguments
    }
}

/// The rule chain of one NIC.
fn chain(network: Network) -> String {
    format!("lab-{network}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_machine_is_named_in_the_hosts_file_with_its_first_cluster_address() {
        let text = hosts_file(&machines(2, 1));
        let want = "127.0.0.1 localhost\n10.50.0.1 n1\n10.50.0.2 n2\n10.50.0.101 w1\n";
        assert_eq!(text, want);
    }
}
