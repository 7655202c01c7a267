//! The running corosync through its own libraries.
//!
//! The crate's callbacks are plain functions, called while it holds a lock of its own, so they only
//! push into a channel; whoever is told looks again. One thread waits on all three connections, and
//! connects again for as long as the agent lives, since corosync stops and starts without it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::os::fd::BorrowedFd;
use std::process::Command;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use pvecm_core::conf::{TRANSPORT, Transport};
use pvecm_core::fitness::Pings;
use pvecm_core::ids::{LinkNumber, NodeId};
use rust_corosync::{self as cs, DispatchFlags, TrackFlags, cfg, cmap, cpg, quorum, votequorum};
use tokio::sync::mpsc::UnboundedSender;

use super::services::run;
use crate::ports::{
    Corosync, CorosyncError, CorosyncEvent, CorosyncView, DeviceState, Votes, runs_on,
};

/// knet's counters by node and link.
type Counted = BTreeMap<(NodeId, LinkNumber), Pings>;

/// Over so many round trips knet takes the average where the file says nothing.
const PING_PRECISION: u32 = 2048;
const GROUP: &str = "pvecm";
/// Where cmap has the sections of corosync.conf.
const CONF: [&str; 4] = ["totem.", "nodelist.", "quorum.", "logging."];
const RECONNECT: Duration = Duration::from_millis(250);

const NO_CALLBACKS: cfg::Callbacks = cfg::Callbacks { corosync_cfg_shutdown_callback_fn: None };

const NO_VOTE_CALLBACKS: votequorum::Callbacks = votequorum::Callbacks {
    quorum_notification_fn: None,
    nodelist_notification_fn: None,
    expectedvotes_notification_fn: None,
};

static EVENTS: OnceLock<UnboundedSender<CorosyncEvent>> = OnceLock::new();
static MEMBERSHIP: Mutex<(String, BTreeSet<NodeId>)> = Mutex::new((String::new(), BTreeSet::new()));

fn tell(event: CorosyncEvent) {
    if let Some(events) = EVENTS.get() {
        // Nobody listens any more only while the program ends.
        let _ = events.send(event);
    }
}

fn ids(list: impl IntoIterator<Item = cs::NodeId>) -> BTreeSet<NodeId> {
    list.into_iter().filter_map(|id| NodeId::try_from(u32::from(id)).ok()).collect()
}

/// The part that other threads send and read through.
#[derive(Default)]
struct Reader {
    icmap: Option<cmap::Handle>,
    stats: Option<cmap::Handle>,
    quorum: Option<quorum::Handle>,
    cfg: Option<cfg::Handle>,
    votes: Option<votequorum::Handle>,
}

/// The running corosync.
#[derive(Default)]
pub struct RealCorosync {
    reader: Mutex<Reader>,
}

static GROUP_HANDLE: Mutex<Option<cpg::Handle>> = Mutex::new(None);

impl std::fmt::Debug for RealCorosync {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RealCorosync")
    }
}

/// Starts the one thread that listens to corosync. Its events go to `events`; a second call is
/// ignored, because the callbacks of the library have no other way than one place in the program.
pub fn watch(events: UnboundedSender<CorosyncEvent>) {
    if EVENTS.set(events).is_ok() {
        std::thread::spawn(listen);
    }
}

fn listen() -> ! {
    loop {
        if let Ok(connections) = Connections::open() {
            tell(CorosyncEvent::Changed);
            connections.serve();
            *lock(&GROUP_HANDLE) = None;
            *lock(&MEMBERSHIP) = Default::default();
            tell(CorosyncEvent::Down);
        }
        std::thread::sleep(RECONNECT);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Connections {
    cmap: cmap::Handle,
    quorum: quorum::Handle,
    group: cpg::Handle,
}

impl Connections {
    fn open() -> cs::Result<Self> {
        let cmap = cmap::initialize(cmap::Map::Icmap)?;
        let every = || {
            cmap::TrackType::ADD
                | cmap::TrackType::MODIFY
                | cmap::TrackType::DELETE
                | cmap::TrackType::PREFIX
        };
        let notify = cmap::NotifyCallback { notify_fn: Some(on_cmap) };
        for prefix in CONF.into_iter().chain(["runtime.members.", "config."]) {
            cmap::track_add(&cmap, prefix, every(), &notify, 0)?;
        }
        let model = quorum::ModelData::ModelV1(quorum::Model1Data {
            flags: quorum::Model1Flags::None,
            quorum_notification_fn: Some(on_quorum),
            nodelist_notification_fn: Some(on_nodelist),
        });
        let (quorum, _) = quorum::initialize(&model, 0)?;
        quorum::trackstart(&quorum, TrackFlags::Current)?;
        quorum::trackstart(&quorum, TrackFlags::Changes)?;
        let model = cpg::ModelData::ModelV1(cpg::Model1Data {
            flags: cpg::Model1Flags::None,
            deliver_fn: Some(on_message),
            confchg_fn: Some(on_group),
            totem_confchg_fn: Some(on_ring),
        });
        let group = cpg::initialize(&model, 0)?;
        cpg::join(&group, GROUP)?;
        *lock(&GROUP_HANDLE) = Some(group.clone());
        Ok(Self { cmap, quorum, group })
    }

    /// Until a connection breaks.
    fn serve(&self) {
        let Ok(fds) = self.fds() else { return };
        loop {
            let quorum = quorum::dispatch(&self.quorum, DispatchFlags::All);
            let cmap = cmap::dispatch(&self.cmap, DispatchFlags::All);
            let group = cpg::dispatch(&self.group, DispatchFlags::All);
            let broken = |result: cs::Result<()>| {
                !matches!(result, Ok(()) | Err(cs::CsError::CsErrTryAgain))
            };
            if broken(quorum) || broken(cmap) || broken(group) {
                return;
            }
            // SAFETY: the descriptors belong to the handles, which live as long as `self`.
            #[expect(unsafe_code, reason = "the library hands out bare descriptors")]
            let borrowed = fds.map(|fd| unsafe { BorrowedFd::borrow_raw(fd) });
            let mut polled = borrowed.map(|fd| PollFd::new(fd, PollFlags::POLLIN));
            match poll(&mut polled, PollTimeout::NONE) {
                Ok(_) | Err(nix::Error::EINTR) => {}
                Err(_) => return,
            }
        }
    }

    fn fds(&self) -> cs::Result<[i32; 3]> {
        Ok([cmap::fd_get(&self.cmap)?, quorum::fd_get(&self.quorum)?, cpg::fd_get(&self.group)?])
    }
}

#[expect(clippy::too_many_arguments, reason = "the library's signature")]
fn on_cmap(
    _: &cmap::Handle,
    _: &cmap::TrackHandle,
    _: cmap::TrackType,
    _: &str,
    _: &cmap::Data,
    _: &cmap::Data,
    _: u64,
) {
    tell(CorosyncEvent::Changed);
}

fn on_quorum(_: &quorum::Handle, _: bool, _: quorum::RingId, _: Vec<cs::NodeId>) {
    tell(CorosyncEvent::Changed);
}

#[expect(
    clippy::too_many_arguments,
    clippy::needless_pass_by_value,
    reason = "the library's signature"
)]
fn on_nodelist(
    _: &quorum::Handle,
    ring: quorum::RingId,
    members: Vec<cs::NodeId>,
    _: Vec<cs::NodeId>,
    _: Vec<cs::NodeId>,
) {
    *lock(&MEMBERSHIP) = (format!("{}.{:x}", ring.nodeid, ring.seq), ids(members));
    tell(CorosyncEvent::Changed);
}

#[expect(clippy::too_many_arguments, reason = "the library's signature")]
fn on_message(_: &cpg::Handle, _: String, from: cs::NodeId, _: u32, bytes: &[u8], _: usize) {
    if let Ok(from) = NodeId::try_from(u32::from(from)) {
        tell(CorosyncEvent::Message { from, bytes: bytes.to_vec() });
    }
}

#[expect(clippy::too_many_arguments, reason = "the library's signature")]
fn on_group(
    _: &cpg::Handle,
    _: &str,
    members: Vec<cpg::Address>,
    _: Vec<cpg::Address>,
    _: Vec<cpg::Address>,
) {
    tell(CorosyncEvent::Group(ids(members.into_iter().map(|member| member.nodeid))));
}

fn on_ring(_: &cpg::Handle, _: cpg::RingId, _: Vec<cs::NodeId>) {}

impl Reader {
    fn open() -> cs::Result<Self> {
        let model = quorum::ModelData::ModelV1(quorum::Model1Data {
            flags: quorum::Model1Flags::None,
            quorum_notification_fn: None,
            nodelist_notification_fn: None,
        });
        Ok(Self {
            icmap: Some(cmap::initialize(cmap::Map::Icmap)?),
            stats: Some(cmap::initialize(cmap::Map::Stats)?),
            quorum: Some(quorum::initialize(&model, 0)?.0),
            cfg: Some(cfg::initialize(&NO_CALLBACKS)?),
            votes: votequorum::initialize(&NO_VOTE_CALLBACKS).ok(),
        })
    }

    fn values(&self) -> Option<BTreeMap<String, String>> {
        let values = self.below(CONF.into_iter().chain(["runtime.members.", "runtime.config."]))?;
        values.contains_key("totem.version").then_some(values)
    }

    /// What cmap has below these keys.
    fn below<'a>(
        &self,
        prefixes: impl IntoIterator<Item = &'a str>,
    ) -> Option<BTreeMap<String, String>> {
        let icmap = self.icmap.as_ref()?;
        let mut values = BTreeMap::new();
        for prefix in prefixes {
            // The iterator is the only way to read a value of more than 16 bytes: the crate's `get`
            // offers the library no larger buffer.
            for entry in cmap::CmapIterStart::new(icmap, prefix).ok()? {
                values.insert(entry.key_name().to_owned(), text(entry.data()));
            }
        }
        Some(values)
    }

    /// Without knet there is no table of links: who is in the membership is heard on the one link.
    fn links(&self, values: &BTreeMap<String, String>) -> BTreeMap<(NodeId, LinkNumber), bool> {
        let Some(stats) = self.stats.as_ref() else { return BTreeMap::new() };
        let (local, is_knet) = (self.local(), runs_on(values) == Transport::Knet.to_string());
        let (_, members) = lock(&MEMBERSHIP).clone();
        let connected = |(node, link): (NodeId, LinkNumber)| {
            let key = format!("stats.knet.node{node}.link{link}.connected");
            let connected = || matches!(cmap::get(stats, &key), Ok(cmap::Data::UInt8(1)));
            ((node, link), if is_knet { connected() } else { members.contains(&node) })
        };
        let others = configured_links(values).filter(|(node, _)| Some(*node) != local);
        others.map(connected).collect()
    }

    fn pings(&self, values: &BTreeMap<String, String>) -> Option<Counted> {
        let stats = self.stats.as_ref()?;
        let number = |at: &str, name: &str| match cmap::get(stats, &format!("{at}.{name}")) {
            Ok(cmap::Data::UInt64(value)) => Some(value),
            Ok(cmap::Data::UInt32(value)) => Some(value.into()),
            Ok(_) | Err(_) => None,
        };
        let counted = |(node, link): (NodeId, LinkNumber)| {
            let at = format!("stats.knet.node{node}.link{link}");
            let small = |name: &str| u32::try_from(number(&at, name)?).ok();
            let precision = values.get(&format!("totem.interface.{link}.knet_ping_precision"));
            let precision = precision.and_then(|text| text.parse().ok()).unwrap_or(PING_PRECISION);
            let pings = Pings {
                sent: number(&at, "tx_ping_packets")?,
                answered: number(&at, "rx_pong_packets")?,
                average_us: small("latency_ave")?,
                samples: small("latency_samples")?.min(precision),
            };
            Some(((node, link), pings))
        };
        Some(configured_links(values).filter_map(counted).collect())
    }

    /// Asked of the daemon itself: its key `nodelist.local_node_pos` can be gone after a reload, until
    /// the next one.
    fn local(&self) -> Option<NodeId> {
        let id = cfg::local_get(self.cfg.as_ref()?).ok()?;
        NodeId::try_from(u32::from(id)).ok()
    }

    fn votes(&self, members: &BTreeSet<NodeId>) -> Option<Votes> {
        let handle = self.votes.as_ref()?;
        let info = |id: u32| votequorum::get_info(handle, cs::NodeId::from(id)).ok();
        let own = info(0)?;
        let device = device(&own);
        // The crate leaves the library's own total out.
        let nodes: u32 = members.iter().filter_map(|id| info(id.get())).map(|n| n.node_votes).sum();
        let total = nodes + if device.casts { device.votes } else { 0 };
        Some(Votes { expected: own.highest_expected, total, needed: own.quorum })
    }

    /// There is no device where corosync runs without votequorum.
    fn device(&self) -> Option<DeviceState> {
        let Some(handle) = &self.votes else { return Some(DeviceState::default()) };
        votequorum::get_info(handle, cs::NodeId::from(0)).ok().as_ref().map(device)
    }
}

/// The device as a node has it.
fn device(node: &votequorum::NodeInfo) -> DeviceState {
    type Flags = votequorum::NodeInfoFlags;
    DeviceState {
        registered: node.flags.contains(Flags::VOTEQUORUM_INFO_QDEVICE_REGISTERED),
        alive: node.flags.contains(Flags::VOTEQUORUM_INFO_QDEVICE_ALIVE),
        casts: node.flags.contains(Flags::VOTEQUORUM_INFO_QDEVICE_CAST_VOTE),
        votes: node.qdevice_votes,
    }
}

/// Which nodes have which links by `nodelist.node.N.nodeid` and `ringM_addr`.
fn configured_links(
    values: &BTreeMap<String, String>,
) -> impl Iterator<Item = (NodeId, LinkNumber)> + '_ {
    values.keys().filter_map(|key| {
        let (position, last) = key.strip_prefix("nodelist.node.")?.split_once('.')?;
        let number = last.strip_prefix("ring")?.strip_suffix("_addr")?;
        let node = values.get(&format!("nodelist.node.{position}.nodeid"))?;
        let node = NodeId::try_from(node.parse::<u32>().ok()?).ok()?;
        Some((node, LinkNumber::try_from(number.parse::<u32>().ok()?).ok()?))
    })
}

/// Where corosync says which process it is.
const PID_FILE: &str = "/run/corosync.pid";

/// When the process of the daemon was started, as the kernel counts it. Behind the name, which may hold
/// anything, it is the twentieth figure of proc's line.
fn started() -> Option<u64> {
    let pid: u32 = std::fs::read_to_string(PID_FILE).ok()?.trim().parse().ok()?;
    let line = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    line.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

fn text(data: &cmap::Data) -> String {
    match data {
        cmap::Data::Int8(v) => v.to_string(),
        cmap::Data::UInt8(v) => v.to_string(),
        cmap::Data::Int16(v) => v.to_string(),
        cmap::Data::UInt16(v) => v.to_string(),
        cmap::Data::Int32(v) => v.to_string(),
        cmap::Data::UInt32(v) => v.to_string(),
        cmap::Data::Int64(v) => v.to_string(),
        cmap::Data::UInt64(v) => v.to_string(),
        cmap::Data::Float(v) => v.to_string(),
        cmap::Data::Double(v) => v.to_string(),
        cmap::Data::String(v) => v.clone(),
        cmap::Data::Binary(_) | cmap::Data::Unknown => String::new(),
    }
}

impl RealCorosync {
    /// Runs `look` on open connections; opens them once more when corosync was restarted meanwhile.
    fn read<T>(&self, look: impl Fn(&Reader) -> Option<T>) -> Option<T> {
        let mut reader = lock(&self.reader);
        if let Some(seen) = reader.icmap.is_some().then(|| look(&reader)).flatten() {
            return Some(seen);
        }
        *reader = Reader::default();
        *reader = Reader::open().ok()?;
        look(&reader)
    }
}

impl Corosync for RealCorosync {
    fn view(&self) -> Option<CorosyncView> {
        self.read(|reader| {
            let values = reader.values()?;
            let quorate = quorum::getquorate(reader.quorum.as_ref()?).ok()?;
            let (ring, members) = lock(&MEMBERSHIP).clone();
            let links = reader.links(&values);
            let votes = reader.votes(&members);
            let (device, started) = (reader.device()?, started());
            let local = reader.local();
            Some(CorosyncView {
                values,
                links,
                quorate,
                ring,
                members,
                local,
                votes,
                device,
                started,
            })
        })
    }

    fn links(&self) -> Option<BTreeMap<(NodeId, LinkNumber), bool>> {
        self.read(|reader| {
            let values = reader.below([TRANSPORT, "nodelist."])?;
            let is_listed = values.keys().any(|key| key != TRANSPORT);
            is_listed.then(|| reader.links(&values))
        })
    }

    fn pings(&self) -> Counted {
        let below = |reader: &Reader| reader.below(["totem.interface.", "nodelist."]);
        self.read(|reader| reader.pings(&below(reader)?)).unwrap_or_default()
    }

    fn device(&self) -> Option<DeviceState> {
        self.read(Reader::device)
    }

    fn send(&self, bytes: &[u8]) -> Result<(), CorosyncError> {
        let group = lock(&GROUP_HANDLE).clone().ok_or(CorosyncError::NotRunning)?;
        cpg::mcast_joined(&group, cpg::Guarantee::TypeAgreed, bytes)
            .map_err(|error| CorosyncError::Refused(error.to_string()))
    }

    fn reload(&self) -> Result<(), CorosyncError> {
        let handle = cfg::initialize(&NO_CALLBACKS).map_err(|_| CorosyncError::NotRunning)?;
        cfg::reload_cnfig(&handle).map_err(|error| CorosyncError::Refused(error.to_string()))
    }

    fn set_expected_votes(&self, votes: u32) -> Result<(), CorosyncError> {
        let handle = votequorum::initialize(&NO_VOTE_CALLBACKS);
        let handle = handle.map_err(|_| CorosyncError::NotRunning)?;
        votequorum::set_expected(&handle, votes)
            .map_err(|error| CorosyncError::Refused(error.to_string()))
    }

    fn check(&self, text: &str) -> Result<(), String> {
        let mut file = tempfile::NamedTempFile::new().map_err(|error| error.to_string())?;
        file.write_all(text.as_bytes()).map_err(|error| error.to_string())?;
        let mut command = Command::new("corosync");
        command.arg("-c").arg(file.path()).arg("-t");
        run(command).map_err(|why| format!("corosync does not accept the new file: {why}"))
    }
}
