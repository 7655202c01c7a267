//! What `doctor` looks at.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use jiff::Timestamp;
use pvecm_core::gate::Idle;
use pvecm_crds::bootstrap::Bootstrap;
use tokio::sync::mpsc;

use crate::api::{self, Reached, Unreached};
use crate::host::{resolve, run_within, watch};
use crate::host_ports::Host;
use crate::ledger::{Book, Ledger};
use crate::observe::Observation;
use crate::{STATE_FOLDER, host::FileStore};

/// Long enough for any answer from this machine itself.
const SOON: Duration = Duration::from_secs(5);

/// Programs that the agent starts, and the package that has each.
pub const PROGRAMS: [(&str, &str); 5] = [
    ("ping", "iputils-ping"),
    ("arping", "iputils-arping"),
    ("ip", "iproute2"),
    ("ssh", "openssh-client"),
    ("corosync-qdevice", "corosync-qdevice"),
];

/// Packages that say what a host is.
pub const PACKAGES: [&str; 4] = ["corosync", "pve-cluster", "corosync-qdevice", "corosync-qnetd"];

/// The bootstrap file as it lies there.
#[derive(Debug)]
pub enum Kept {
    /// There is none.
    Missing,
    /// It cannot be read, or is none.
    Bad(String),
    /// It is one.
    Read {
        /// What it says.
        bootstrap: Box<Bootstrap>,
        /// Who may read it.
        mode: u32,
    },
}

/// What the agent remembers, and whether it can.
#[derive(Debug)]
pub struct Held {
    /// The ledger; an error is why it is not readable.
    pub ledger: Result<Ledger, String>,
    /// The state folder takes files; an error is why not.
    pub writable: Result<(), String>,
}

/// Everything that is looked at.
#[derive(Debug)]
pub struct Facts {
    /// The time of this host.
    pub now: Timestamp,
    /// The bootstrap file.
    pub bootstrap: Kept,
    /// How far one gets with it; `None`: there is none to try.
    pub reach: Option<Result<Reached, Unreached>>,
    /// When the token ends that the agent uses now.
    pub token_end: Option<Timestamp>,
    /// The kernel's clock is held by a time server; `None`: nobody says.
    pub clock_held: Option<bool>,
    /// What the host's own name resolves to.
    pub name_addresses: BTreeSet<IpAddr>,
    /// Versions of [`PACKAGES`] that are installed.
    pub packages: BTreeMap<&'static str, String>,
    /// Those of [`PROGRAMS`] that are not found.
    pub missing: BTreeSet<&'static str>,
    /// corosync, its files and /etc/pve.
    pub seen: Observation,
    /// The agent's unit runs, and the gate's starts with the machine; `None`: systemd does not run.
    pub units: Option<(bool, bool)>,
    /// corosync-qnetd runs.
    pub serves: bool,
    /// What the agent remembers.
    pub held: Held,
    /// /etc/machine-id.
    pub machine_id: Option<String>,
}

impl Facts {
    /// Looks at this host.
    pub async fn gather(path: &Path) -> anyhow::Result<Self> {
        let bootstrap = kept(path);
        let renewed = match &bootstrap {
            Kept::Read { bootstrap, .. } => Some(api::renewed(bootstrap, path)),
            Kept::Missing | Kept::Bad(_) => None,
        };
        let reach = match &renewed {
            Some(bootstrap) => Some(api::reach(bootstrap).await),
            None => None,
        };
        let host = Host::real()?;
        let mut seen = observe(&host).await;
        if seen.corosync.is_none() && seen.disk_conf.is_some() {
            seen.idle = host.services.why_idle();
        }
        let packages = PACKAGES.into_iter();
        let packages =
            packages.filter_map(|package| Some((package, host.machine.package_version(package)?)));
        Ok(Self {
            now: Timestamp::now(),
            bootstrap,
            reach,
            token_end: renewed.and_then(|bootstrap| api::token_end(&bootstrap.token)),
            clock_held: clock_held(),
            name_addresses: resolve(&seen.hostname),
            packages: packages.collect(),
            missing: missing(),
            seen,
            units: units(),
            serves: host.issuer.serves(),
            held: held(Path::new(STATE_FOLDER)),
            machine_id: host.machine.machine_id(),
        })
    }

    /// Why corosync does not run, where that was told.
    #[must_use]
    pub fn idle(&self) -> Option<String> {
        self.seen.idle.as_ref().map(Idle::sentence)
    }
}

fn kept(path: &Path) -> Kept {
    let mode = match fs::metadata(path) {
        Ok(metadata) => metadata.permissions().mode() & 0o777,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Kept::Missing,
        Err(error) => return Kept::Bad(error.to_string()),
    };
    match api::read_bootstrap(path) {
        Ok(bootstrap) => Kept::Read { bootstrap: Box::new(bootstrap), mode },
        Err(error) => Kept::Bad(format!("{error:#}")),
    }
}

/// One look. The membership comes by callback, within milliseconds where corosync runs at all.
async fn observe(host: &Host) -> Observation {
    let (events, mut told) = mpsc::unbounded_channel();
    watch(events);
    if host.corosync.view().is_some() {
        let _late = tokio::time::timeout(SOON, told.recv()).await;
    }
    Observation::take(host)
}

/// Asks systemd, which asks the kernel.
fn clock_held() -> Option<bool> {
    let mut command = Command::new("timeout");
    command.args(["5", "timedatectl", "show", "--property=NTPSynchronized", "--value"]);
    let said = command.output().ok().filter(|output| output.status.success())?;
    match said.stdout.trim_ascii() {
        b"yes" => Some(true),
        b"no" => Some(false),
        _ => None,
    }
}

fn missing() -> BTreeSet<&'static str> {
    // Debian's package tools, and a service of systemd, look in these.
    let folders = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];
    let is_there = |program: &str| folders.iter().any(|at| Path::new(at).join(program).exists());
    let programs = PROGRAMS.iter().map(|(program, _)| *program);
    programs.filter(|program| !is_there(program)).collect()
}

fn units() -> Option<(bool, bool)> {
    if !Path::new("/run/systemd/system").is_dir() {
        return None;
    }
    let holds = |verb: &str, unit: &str| {
        let mut command = Command::new("systemctl");
        command.args(["--quiet", verb, unit]);
        run_within(command, SOON).is_ok()
    };
    Some((
        holds("is-active", "pvecm-agent.service"),
        holds("is-enabled", "pvecm-agent-gate.service"),
    ))
}

fn held(state: &Path) -> Held {
    let store = FileStore(state.join("ledger.json"));
    let ledger = Book::open(std::sync::Arc::new(store)).map(|book| book.ledger().clone());
    let probe = tempfile::Builder::new().prefix(".doctor-").tempfile_in(state);
    Held {
        ledger: ledger.map_err(|error| format!("{:#}", anyhow::Error::from(error))),
        writable: probe.map(drop).map_err(|error| error.to_string()),
    }
}
