//! The lab's verbs as a person types them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;
use std::{fs, io};

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use pvecm_e2e::network::{self, Network};
use pvecm_e2e::state::StateDir;
use pvecm_e2e::supervisor::{self, Life};
use pvecm_e2e::{Lab, Level, Lifetime, Options, binaries, chart, relay};

use crate::demo;

/// A Kubernetes control plane and hosts that boot a real systemd, on this machine.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask lab", bin_name = "cargo xtask lab")]
pub struct Arguments {
    /// The lab's name, by which several run side by side; else `lab`, and `demo` for the demo.
    #[arg(long, global = true, env = "PVECM_LAB")]
    name: Option<String>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Bring a lab up.
    Up {
        /// Number of hosts, named n1, n2, ...
        #[arg(long, default_value_t = 3)]
        hosts: u8,
        /// Number of witnesses besides, named w1, w2, ..., that serve QNetd.
        #[arg(long, default_value_t = 0)]
        witnesses: u8,
        /// Control plane and hosts only: no operator, no agents.
        #[arg(long)]
        bare: bool,
        /// Use the cluster that KUBECONFIG names in place of a control plane of the lab's own. Namespaces,
        /// definitions and roles are made there, and go with the lab.
        #[arg(long)]
        use_cluster: bool,
        /// Stay until standard input ends; the lab goes with this command, even a killed one.
        #[arg(long)]
        bound: bool,
    },
    /// Bring up a lab of three hosts and show how one apply makes a cluster of them.
    Demo,
    /// Show hosts, networks and control plane.
    Status,
    /// Run a command on a host.
    Exec {
        /// Host name.
        host: String,
        /// Command and its arguments.
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
    /// Run kubectl as admin, `kubectl pvecm` included; the default namespace is `pve`.
    Kubectl {
        /// Arguments of kubectl.
        #[arg(last = true, required = true)]
        arguments: Vec<String>,
    },
    /// Cut a host's power: all its processes die at once.
    Crash {
        /// Host name.
        host: String,
    },
    /// Shut a host down in good order.
    Off {
        /// Host name.
        host: String,
    },
    /// Power a host on; its disk is as it was.
    Boot {
        /// Host name.
        host: String,
    },
    /// Pull a host's cable out of a network.
    Cut {
        /// Host name.
        host: String,
        /// mgmt, net0, net1 or net2.
        network: Network,
    },
    /// Put a host's cable back into a network.
    Heal {
        /// Host name.
        host: String,
        /// mgmt, net0, net1 or net2.
        network: Network,
    },
    /// Take the lab down; nothing of it is left.
    Down,
    /// Write the files of manifests/ that are made from the chart.
    #[command(hide = true)]
    Render,
    /// What the lab itself starts as its process 1.
    #[command(hide = true)]
    Supervise {
        /// End with standard input.
        #[arg(long)]
        bound: bool,
        /// Keep the machine's own network for the relay.
        #[arg(long)]
        way_out: bool,
    },
    /// What the supervisor starts to forward connections to an API server outside.
    #[command(hide = true)]
    Relay {
        /// Address inside the lab.
        #[arg(long)]
        listen: SocketAddr,
        /// Address in the machine's own network.
        #[arg(long)]
        to: SocketAddr,
    },
}

impl Arguments {
    /// Does what was asked; the exit code is that of the command that ran, where one did.
    pub fn run(self) -> Result<ExitCode> {
        let usual = if matches!(self.verb, Verb::Demo) { demo::NAME } else { "lab" };
        let name = self.name.as_deref().unwrap_or(usual);
        match self.verb {
            Verb::Demo => demo::run(name)?,
            Verb::Up { hosts, witnesses, bare, use_cluster, bound } => {
                let level = if bare { Level::Bare } else { Level::Full };
                let lifetime = if bound { Lifetime::Bound } else { Lifetime::Detached };
                let use_cluster = use_cluster.then(kubeconfig).transpose()?;
                let name = name.to_owned();
                up(Options { name, hosts, witnesses, level, lifetime, use_cluster })?;
            }
            Verb::Down => Lab::down(name)?,
            Verb::Render => render()?,
            Verb::Supervise { bound, way_out } => {
                supervisor::serve(&StateDir::of(name)?, Life { bound, way_out })?;
            }
            Verb::Relay { listen, to } => relay::serve(listen, to)?,
            Verb::Status => status(&Lab::open(name)?)?,
            Verb::Exec { host, command } => {
                let words: Vec<&str> = command.iter().map(String::as_str).collect();
                return exit_as(Lab::open(name)?.host(&host)?.command(&words)?);
            }
            Verb::Kubectl { arguments } => {
                let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
                let mut kubectl = Lab::open(name)?.control_plane()?.kubectl_command(&words)?;
                kubectl.env("PATH", binaries::path_with_own()?);
                return exit_as(kubectl);
            }
            Verb::Crash { host } => Lab::open(name)?.host(&host)?.crash()?,
            Verb::Off { host } => Lab::open(name)?.host(&host)?.power_off()?,
            Verb::Boot { host } => Lab::open(name)?.host(&host)?.boot()?,
            Verb::Cut { host, network } => Lab::open(name)?.host(&host)?.cut(network)?,
            Verb::Heal { host, network } => Lab::open(name)?.host(&host)?.heal(network)?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The one file that KUBECONFIG names.
fn kubeconfig() -> Result<PathBuf> {
    let path = std::env::var_os("KUBECONFIG").map(PathBuf::from).filter(|path| path.is_file());
    let path = path.and_then(|path| path.canonicalize().ok());
    path.context("--use-cluster needs KUBECONFIG to name the kubeconfig of that cluster, one file")
}

fn up(options: Options) -> Result<()> {
    let began = Instant::now();
    let (name, lifetime) = (options.name.clone(), options.lifetime);
    let lab = Lab::up(options, &mut |step| {
        eprintln!("[{:5.1} s] {step}", began.elapsed().as_secs_f64());
    })?;
    eprintln!("[{:5.1} s] lab `{name}` is up", began.elapsed().as_secs_f64());
    status(&lab)?;
    if lifetime == Lifetime::Bound {
        io::copy(&mut io::stdin(), &mut io::sink()).context("standard input fails")?;
    }
    Ok(())
}

fn render() -> Result<()> {
    for (path, text) in chart::made()? {
        write(&path, &text)?;
    }
    // Made from what has just been written.
    let (path, text) = chart::install()?;
    write(&path, &text)
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("could not write {}", path.display()))
}

fn status(lab: &Lab) -> Result<()> {
    for host in lab.hosts() {
        let power = if host.is_on()? { "on" } else { "off" };
        let mut cables = Vec::new();
        for network in Network::ALL {
            let cable = network::has_cable(lab.supervisor(), host.name(), network)?;
            let word = if cable { "" } else { " (cut)" };
            cables.push(format!("  {network} {}{word}", host.address(network)));
        }
        println!("{:<4} {power:<3}{}", host.name(), cables.concat());
    }
    for (process, state) in lab.supervisor().processes()? {
        if lab.host(&process).is_err() {
            let text = state.ended.map_or("running".to_owned(), |how| format!("ended: {how}"));
            println!("{process:<25} {text}");
        }
    }
    println!("logs: {}", lab.state().join("logs").display());
    Ok(())
}

fn exit_as(mut command: Command) -> Result<ExitCode> {
    use std::os::unix::process::CommandExt;
    Err(command.exec()).context("could not start the command")
}
