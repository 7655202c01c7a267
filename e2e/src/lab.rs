//! The lab as scenarios and verbs use it: up, down, and handles on everything in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::agents;
use crate::controlplane::{ControlPlane, tools};
use crate::etcd::Etcd;
use crate::hosts::root::{self, Programs};
use crate::hosts::{Host, Machine, hosts_file, machines};
use crate::network;
use crate::operator::Operator;
use crate::state::{self, StateDir};
use crate::supervisor::{Life, Supervisor};

/// How many hosts a lab may have: more than this and two cores no longer keep corosync in time.
const MOST_HOSTS: u8 = 16;

/// How much of a lab to bring up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Level {
    /// Hosts with nothing but Debian's own packages, and networks.
    Debian,
    /// Hosts with pmxcfs and the recorder, and networks.
    Hosts,
    /// Hosts and a control plane without anything of ours.
    Bare,
    /// All of it: operator running, agents installed and enrolled.
    Full,
}

/// How long a lab lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Lifetime {
    /// Until `down`, whatever becomes of the process that brought it up.
    Detached,
    /// No longer than the process that brought it up, even when that is killed.
    Bound,
}

/// What lab to bring up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    /// Name, by which labs side by side are told apart.
    pub name: String,
    /// Number of hosts `n1`, `n2`, ...
    pub hosts: u8,
    /// Number of witnesses `w1`, `w2`, ... besides.
    pub witnesses: u8,
    /// How much to bring up.
    pub level: Level,
    /// How long it lives.
    pub lifetime: Lifetime,
    /// The kubeconfig of a cluster that is used in place of a control plane of the lab's own.
    pub use_cluster: Option<PathBuf>,
}

/// Names the kubeconfig of the cluster that scenarios use in place of control planes of their own.
const USE_CLUSTER_VARIABLE: &str = "PVECM_USE_CLUSTER";

impl Options {
    /// A complete lab of three hosts for one scenario; the name keeps it apart from others, and
    /// `PVECM_LAB` before it keeps two test runs on one machine apart.
    #[must_use]
    pub fn scenario(name: &str) -> Self {
        let run = std::env::var("PVECM_LAB").ok().filter(|run| !run.is_empty());
        Self {
            name: run.map_or_else(|| name.to_owned(), |run| format!("{run}-{name}")),
            hosts: 3,
            witnesses: 0,
            level: Level::Full,
            lifetime: Lifetime::Bound,
            use_cluster: std::env::var_os(USE_CLUSTER_VARIABLE).map(PathBuf::from),
        }
    }

    /// The kubeconfig of somebody else's cluster, where this lab needs one.
    fn foreign(&self) -> Option<&Path> {
        self.use_cluster.as_deref().filter(|_| self.level >= Level::Bare)
    }
}

/// What the hosts' disks are made of.
struct Disk {
    base: PathBuf,
    programs: Option<Programs>,
}

/// A lab that is up.
#[derive(Debug)]
pub struct Lab {
    options: Options,
    state: StateDir,
    supervisor: Supervisor,
    machines: Vec<Machine>,
}

impl Lab {
    /// Brings a lab up, after removing what killed runs left behind; `progress` is told each step.
    pub fn up(options: Options, progress: &mut dyn FnMut(&str)) -> Result<Self> {
        ensure!(nix::unistd::geteuid().is_root(), "the lab needs root, for namespaces and mounts");
        ensure!(
            (1..=MOST_HOSTS).contains(&options.hosts),
            "a lab has 1 to {MOST_HOSTS} hosts, not {}",
            options.hosts
        );
        let state = StateDir::of(&options.name)?;
        // Before anything is up: what is missing is said in words and leaves nothing behind.
        let programs = (options.level >= Level::Hosts).then(Programs::find).transpose()?;
        if options.level >= Level::Bare {
            tools::build_missing()?;
        }
        let disk = Disk { base: root::base()?, programs };
        let supervisor = start_supervisor(&state, &options)?;
        let machines = machines(options.hosts, options.witnesses);
        let lab = Self { options, state, supervisor, machines };
        match lab.bring_up(&disk, progress) {
            Ok(()) => Ok(lab),
            Err(error) => {
                let kept = lab.abandon();
                Err(error.context(format!("lab did not come up; its logs: {}", kept.display())))
            }
        }
    }

    /// A handle on a lab that is up already; dropping it leaves the lab up.
    pub fn open(name: &str) -> Result<Self> {
        let state = StateDir::of(name)?;
        let supervisor = Supervisor::find(&state)?;
        let text = fs::read(state.join("lab.json")).context("could not read the lab's options")?;
        let mut options: Options = serde_json::from_slice(&text)?;
        options.lifetime = Lifetime::Detached;
        let machines = machines(options.hosts, options.witnesses);
        Ok(Self { options, state, supervisor, machines })
    }

    /// Takes a lab down, in whatever state it is: nothing of it is left.
    pub fn down(name: &str) -> Result<()> {
        let state = StateDir::of(name)?;
        if let Ok(lab) = Self::open(name) {
            lab.leave_cluster()?;
        }
        let _one_at_a_time = state::lock_machine()?;
        if let Ok(supervisor) = Supervisor::find(&state) {
            supervisor.kill()?;
        }
        let _not_kept = fs::remove_file(state.join("kept"));
        state.remove()
    }

    /// What this lab was brought up with.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The lab's directory, with `logs/` in it.
    #[must_use]
    pub fn state(&self) -> &StateDir {
        &self.state
    }

    /// The lab's supervisor.
    #[must_use]
    pub fn supervisor(&self) -> &Supervisor {
        &self.supervisor
    }

    /// All hosts, the witnesses last.
    #[must_use]
    pub fn hosts(&self) -> Vec<Host<'_>> {
        let handle = |machine| Host::new(&self.state, &self.supervisor, machine);
        self.machines.iter().map(handle).collect()
    }

    /// One host by name.
    pub fn host(&self, name: &str) -> Result<Host<'_>> {
        let known = || self.machines.iter().map(|m| m.name.as_str()).collect::<Vec<_>>().join(", ");
        let found = self.machines.iter().find(|machine| machine.name == name);
        let machine = found.with_context(|| format!("no host `{name}` here, only {}", known()))?;
        Ok(Host::new(&self.state, &self.supervisor, machine))
    }

    /// The control plane.
    pub fn control_plane(&self) -> Result<ControlPlane<'_>> {
        if self.options.level < Level::Bare {
            bail!("this lab has no control plane");
        }
        Ok(ControlPlane::new(&self.state, &self.supervisor, self.options.foreign()))
    }

    /// The control plane's store.
    pub fn etcd(&self) -> Result<Etcd<'_>> {
        ensure!(
            self.options.foreign().is_none(),
            "the store of this API server is somebody else's"
        );
        self.control_plane().map(|_| Etcd::new(&self.supervisor))
    }

    /// The operator.
    pub fn operator(&self) -> Result<Operator<'_>> {
        Ok(Operator::new(&self.state, &self.supervisor, self.control_plane()?))
    }

    fn bring_up(&self, disk: &Disk, progress: &mut dyn FnMut(&str)) -> Result<()> {
        fs::write(self.state.join("lab.json"), serde_json::to_vec_pretty(&self.options)?)?;
        network::create_bridges(&self.supervisor)?;
        let layer = self.state.join("layer");
        root::write_layer(&layer, &hosts_file(&self.machines))?;
        if let Some(programs) = &disk.programs {
            programs.write(&layer)?;
        }
        progress("powering the hosts on");
        for host in self.hosts() {
            host.create(&disk.base, &layer)?;
            host.power_on()?;
        }
        if self.options.level >= Level::Bare {
            progress("starting the control plane");
            self.control_plane()?.start()?;
        }
        for host in self.hosts() {
            host.wait_until_booted()?;
        }
        if self.options.level == Level::Full {
            progress("installing and enrolling the operator and the agents");
            let operator = self.operator()?;
            operator.install()?;
            operator.start()?;
            self.install_agents()?;
        }
        Ok(())
    }

    /// Installs and enrols the agents, on all hosts at once: most of the time goes into dpkg's own fsyncs.
    pub fn install_agents(&self) -> Result<()> {
        let control_plane = self.control_plane()?;
        let hosts = self.hosts();
        thread::scope(|scope| {
            let plane = &control_plane;
            let install =
                |host| scope.spawn(move || agents::install(&self.supervisor, plane, host));
            let running: Vec<_> = hosts.iter().map(install).collect();
            for installation in running {
                installation.join().map_err(|_| anyhow!("an installation panicked"))??;
            }
            Ok(())
        })
    }

    /// Installs a host that is off from scratch and enrols it again, as another machine of its name.
    pub fn reinstall(&self, name: &str) -> Result<()> {
        let host = self.host(name)?;
        host.wipe(&root::base()?, &self.state.join("layer"))?;
        host.boot()?;
        agents::install(&self.supervisor, &self.control_plane()?, &host)
    }

    /// What `kubectl pvecm host enrol` prints for a host, with more arguments.
    pub fn enrol(&self, name: &str, more: &[&str]) -> Result<String> {
        agents::enrol(&self.supervisor, &self.control_plane()?, &self.host(name)?, more)
    }

    /// Takes away what this lab made in somebody else's cluster.
    fn leave_cluster(&self) -> Result<()> {
        if self.options.foreign().is_none() {
            return Ok(());
        }
        if self.supervisor.is_running("operator")? {
            self.operator()?.kill()?;
        }
        self.control_plane()?.give_back()
    }

    /// Kills what came up and keeps the directory for a look at its logs.
    fn abandon(&self) -> PathBuf {
        let _best_effort = self.state.keep();
        let _best_effort = self.supervisor.kill();
        let _best_effort = self.state.remove();
        self.state.join("logs")
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if self.options.lifetime == Lifetime::Detached {
            return;
        }
        if thread::panicking() {
            eprintln!("lab: logs and disks are kept in {}", self.abandon().display());
        } else if let Err(error) = Self::down(&self.options.name) {
            eprintln!("lab: {error:#}");
        }
    }
}

/// Sweeps, makes the state directory and starts the supervisor, all under the machine's lock so
/// that no other `up` takes the half-made lab for leftovers.
fn start_supervisor(state: &StateDir, options: &Options) -> Result<Supervisor> {
    let _one_at_a_time = state::lock_machine()?;
    ensure!(!state.is_alive(), "lab `{}` is already up (cargo xtask lab down)", state.name());
    let _not_kept = fs::remove_file(state.join("kept"));
    state::sweep()?;
    fs::create_dir_all(state.join("logs"))
        .with_context(|| format!("could not create {}", state.path().display()))?;
    let bound = options.lifetime == Lifetime::Bound;
    Supervisor::spawn(state, Life { bound, way_out: options.foreign().is_some() })
}
