//! The command line, and what starts where.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::{Parser, Subcommand};
use pvecm_crds::bootstrap::BOOTSTRAP_PATH;
use pvecm_crds::host::PveHostStatus;
use tokio::sync::{mpsc, oneshot, watch};
use tracing_subscriber::EnvFilter;

use crate::agent::{Agent, Inputs};
use crate::api::Outlets;
use crate::enrol::Enrol;
use crate::host::{FileStore, remove_unfinished, watch as watch_corosync};
use crate::host_ports::Host;
use crate::ledger::Book;
use crate::observe::{Identity, Observation, status};
use crate::seal::SealingKey;
use crate::watchdog::{Beat, watch_over};
use crate::{STATE_FOLDER, api, doctor, gate, systemd};

/// The agent of one Proxmox VE host.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// Write the log as JSON.
    #[arg(long, global = true, env = "PVECM_LOG_JSON")]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Work until told to stop (the default).
    Run {
        /// The file that enrolment made.
        #[arg(long, default_value = BOOTSTRAP_PATH)]
        bootstrap: PathBuf,
    },
    /// At boot, before corosync starts: ask whether the cluster has changed while this host was off, take its
    /// newer file, or hold corosync where the host is no member any more.
    Gate {
        /// The file that enrolment made.
        #[arg(long, default_value = BOOTSTRAP_PATH)]
        bootstrap: PathBuf,
    },
    /// Take this host's bootstrap file: try it, install it and start the agent with it.
    Enrol(Enrol),
    /// Say in plain words what is missing on this host; exit code 1 when something is wrong.
    Doctor {
        /// The file that enrolment made.
        #[arg(long, default_value = BOOTSTRAP_PATH)]
        bootstrap: PathBuf,
    },
    /// Print what the agent sees of this host, as the status of its `PveHost`.
    Observe {
        /// Look once and end.
        #[arg(long, required = true)]
        once: bool,
    },
}

impl Cli {
    /// Does what was asked for.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
        let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
        if self.json {
            log.json().init();
        } else {
            log.init();
        }
        match self.command {
            Some(Command::Observe { once: _ }) => observe_once(),
            Some(Command::Enrol(enrol)) => block_on(enrol.run()),
            Some(Command::Doctor { bootstrap }) => {
                return block_on(async { Ok(doctor::run(&bootstrap).await) });
            }
            Some(Command::Gate { bootstrap }) => block_on(gate::run(&bootstrap)),
            Some(Command::Run { bootstrap }) => block_on(serve(&bootstrap)),
            None => block_on(serve(Path::new(BOOTSTRAP_PATH))),
        }
        .map(|()| ExitCode::SUCCESS)
    }
}

fn observe_once() -> anyhow::Result<()> {
    let host = Host::real()?;
    let (events, mut told) = mpsc::unbounded_channel();
    watch_corosync(events);
    // The membership comes by callback, within milliseconds where corosync runs at all.
    if host.corosync.view().is_some() {
        let _ = told.blocking_recv();
    }
    let identity = Identity { boot_id: host.clock.now().boot_id, ..identity(&host, String::new()) };
    print!("{}", serde_yaml::to_string(&status(&Observation::take(&host), &identity, None))?);
    Ok(())
}

fn identity(host: &Host, sealing_key: String) -> Identity {
    Identity {
        corosync_version: host.machine.package_version("corosync"),
        pmxcfs_version: host.machine.package_version("pve-cluster"),
        ha_manager_version: host.machine.package_version("pve-ha-manager"),
        machine_id: host.machine.machine_id(),
        boot_id: host.clock.now().boot_id,
        sealing_key,
    }
}

/// Carries out what talks to the API server.
fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    rustls::crypto::ring::default_provider()
        .install_default()
        .map_err(|_| anyhow::anyhow!("the TLS library was set up twice"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(work)
}

async fn serve(bootstrap_path: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(STATE_FOLDER).context("cannot make the state folder")?;
    let state = |name: &str| FileStore(Path::new(STATE_FOLDER).join(name));
    let bootstrap = Arc::new(api::read_bootstrap(bootstrap_path)?);
    clear_folders();
    let host = Host::real()?;
    let key = SealingKey::open(&state("sealing.key"))?;
    let book = Book::open(Arc::new(state("ledger.json")))?;

    let (corosync_in, corosync) = mpsc::unbounded_channel();
    let (wanted_in, wanted) = mpsc::unbounded_channel();
    let (status_in, status) = watch::channel(None);
    watch_corosync(corosync_in);
    let (expiry_in, token_expiry) = watch::channel(None);
    let outlets = Outlets { wanted: wanted_in, status, token_expiry: Arc::new(expiry_in) };
    let identity = identity(&host, key.public());
    let agent = Agent::new(host, bootstrap.host.clone(), (identity, key), book)
        .arming_after(Duration::from_secs(bootstrap.arm_after_seconds.into()));
    let beat = Beat::default();
    tokio::spawn(watch_over(beat.clone(), status_in.clone()));
    let (end_in, end) = oneshot::channel();
    let inputs = Inputs { corosync, wanted, token_expiry, beat };
    std::thread::Builder::new().name("host".to_owned()).spawn(move || {
        // Nobody listens any more only while the program ends.
        let _ = end_in.send(work_alone(agent, inputs, &status_in));
    })?;
    systemd::notify("READY=1");
    tokio::select! {
        ended = end => ended.context("the loop ended without a word")?,
        ended = api::serve(bootstrap, bootstrap_path.to_owned(), outlets) => ended,
    }
}

/// Removes what a killed agent was writing: it may be a key.
fn clear_folders() {
    for folder in ["/etc/corosync", STATE_FOLDER] {
        if let Err(error) = remove_unfinished(Path::new(folder)) {
            tracing::warn!(%error, folder, "what an earlier life was writing stays");
        }
    }
}

/// The loop on this thread: it may wait for /etc/pve, and the API server's thread may not.
fn work_alone(
    mut agent: Agent,
    inputs: Inputs,
    status: &watch::Sender<Option<PveHostStatus>>,
) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    runtime.block_on(agent.work(inputs, status))
}
