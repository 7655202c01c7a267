//! The connections to corosync: process group, quorum service and running configuration.
//!
//! Owns the threads that wait on corosync and the reconnecting. Everything that they hear goes into one channel, because
//! libcpg's order must be kept and its callbacks must not call back into the library. Never looks at a message.

use std::collections::BTreeMap;
use std::sync::mpsc::Sender;
use std::sync::{Arc, OnceLock};
use std::thread::{self, sleep};
use std::time::Duration;

use parking_lot::Mutex;
use rust_corosync::{CsError, DispatchFlags, NodeId, TrackFlags, cmap, cpg, quorum};

use crate::merge::Member;
use crate::wire::Message;

/// A group of its own: a real pmxcfs must never hear these messages.
const GROUP: &str = "pmxcfs_standin_v1";
/// Between two tries to reach corosync.
const RETRY: Duration = Duration::from_millis(200);
/// Between two tries to send while corosync is busy with a membership change.
const BUSY: Duration = Duration::from_millis(2);

/// What corosync told.
#[derive(Debug)]
pub enum Event {
    /// This process is in the group, as `me`.
    Joined { me: Member, sender: Outlet },
    /// The members of the group changed.
    View(Vec<Member>),
    /// A piece of a message.
    Piece { from: Member, bytes: Vec<u8> },
    /// The connection to the group is gone.
    Left,
    /// Quorum may have changed: `quorate` knows.
    Quorum,
    /// The running configuration, read again.
    Runtime(Runtime),
}

/// corosync's running configuration, as far as `.members` shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Runtime {
    pub name: String,
    pub version: u64,
    /// Name and address of link 0 by node id.
    pub nodes: BTreeMap<u32, (String, String)>,
}

/// Callbacks of rust-corosync are plain functions: this is the only way out of them.
static EVENTS: OnceLock<Sender<Event>> = OnceLock::new();

fn tell(event: Event) {
    if let Some(events) = EVENTS.get() {
        // Nobody listens only when the process ends.
        let _ = events.send(event);
    }
}

/// Starts the threads; once per process.
pub fn connect(events: Sender<Event>) {
    if EVENTS.set(events).is_err() {
        return;
    }
    thread::spawn(|| {
        again(|| {
            let result = group_session();
            tell(Event::Left);
            result
        });
    });
    thread::spawn(|| {
        again(|| {
            let result = quorum_session();
            tell(Event::Quorum);
            result
        });
    });
    thread::spawn(|| {
        let mut last = Runtime::default();
        loop {
            if let Ok(runtime) = read_runtime()
                && runtime != last
            {
                last = runtime.clone();
                tell(Event::Runtime(runtime));
            }
            sleep(RETRY);
        }
    });
}

fn again(session: impl Fn() -> Result<(), CsError>) {
    loop {
        if let Err(error) = session() {
            tracing::debug!("corosync is out of reach: {error}");
        }
        sleep(RETRY);
    }
}

/// The way into the group.
#[derive(Clone)]
pub struct Outlet {
    handle: cpg::Handle,
    /// Number of the last message; held while one is sent, so that pieces of two messages do not mix.
    number: Arc<Mutex<u32>>,
}

impl std::fmt::Debug for Outlet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outlet").field("number", &self.number).finish_non_exhaustive()
    }
}

impl Outlet {
    /// Sends to all members, this one included. An error means that the connection is gone.
    pub fn send(&self, message: &Message) -> Result<(), CsError> {
        let mut number = self.number.lock();
        *number = number.wrapping_add(1);
        let pieces = message.pieces(*number).map_err(|_| CsError::CsErrInvalidParam)?;
        for piece in pieces {
            while let Err(error) =
                cpg::mcast_joined(&self.handle, cpg::Guarantee::TypeAgreed, &piece)
            {
                if error != CsError::CsErrTryAgain {
                    return Err(error);
                }
                sleep(BUSY);
            }
        }
        Ok(())
    }
}

fn group_session() -> Result<(), CsError> {
    let model = cpg::ModelData::ModelV1(cpg::Model1Data {
        flags: cpg::Model1Flags::None,
        deliver_fn: Some(|_, _, node, pid, bytes, _| {
            let from = Member { node: node.into(), pid };
            tell(Event::Piece { from, bytes: bytes.to_vec() });
        }),
        confchg_fn: Some(|_, _, members, _, _| {
            let view = members.iter().map(|at| Member { node: at.nodeid.into(), pid: at.pid });
            tell(Event::View(view.collect()));
        }),
        totem_confchg_fn: None,
    });
    let handle = cpg::initialize(&model, 0)?;
    let me = Member { node: cpg::local_get(&handle)?.into(), pid: std::process::id() };
    let sender = Outlet { handle: handle.clone(), number: Arc::default() };
    tell(Event::Joined { me, sender });
    while let Err(error) = cpg::join(&handle, GROUP) {
        if error != CsError::CsErrTryAgain {
            return Err(error);
        }
        sleep(BUSY);
    }
    cpg::dispatch(&handle, DispatchFlags::Blocking)
}

fn quorum_session() -> Result<(), CsError> {
    let model = quorum::ModelData::ModelV1(quorum::Model1Data {
        flags: quorum::Model1Flags::None,
        quorum_notification_fn: Some(|_, _, _, _: Vec<NodeId>| tell(Event::Quorum)),
        nodelist_notification_fn: None,
    });
    let (handle, _) = quorum::initialize(&model, 0)?;
    quorum::trackstart(&handle, TrackFlags::Changes)?;
    tell(Event::Quorum);
    quorum::dispatch(&handle, DispatchFlags::Blocking)
}

/// Whether this part of the cluster has quorum now; not when corosync is out of reach.
#[must_use]
pub fn quorate() -> bool {
    let model = quorum::ModelData::ModelV1(quorum::Model1Data {
        flags: quorum::Model1Flags::None,
        quorum_notification_fn: None,
        nodelist_notification_fn: None,
    });
    quorum::initialize(&model, 0)
        .and_then(|(handle, _)| quorum::getquorate(&handle))
        .unwrap_or(false)
}

fn read_runtime() -> Result<Runtime, CsError> {
    let handle = cmap::initialize(cmap::Map::Icmap)?;
    // By iterator: `cmap::get` of rust-corosync fails on texts of more than 15 characters.
    let read = |prefix: &str| -> Result<BTreeMap<String, cmap::CmapIter>, CsError> {
        let values = cmap::CmapIterStart::new(&handle, prefix)?;
        Ok(values.into_iter().map(|value| (value.key_name().to_owned(), value)).collect())
    };
    let totem = read("totem.c")?;
    let list = read("nodelist.node.")?;
    let mut runtime = Runtime {
        name: text(totem.get("totem.cluster_name")),
        version: number(totem.get("totem.config_version")),
        nodes: BTreeMap::new(),
    };
    for index in 0.. {
        let key = |name: &str| list.get(&format!("nodelist.node.{index}.{name}"));
        let Some(address) = key("ring0_addr") else { break };
        let id = u32::try_from(number(key("nodeid"))).unwrap_or_default();
        runtime.nodes.insert(id, (text(key("name")), text(Some(address))));
    }
    Ok(runtime)
}

fn text(value: Option<&cmap::CmapIter>) -> String {
    match value.map(cmap::CmapIter::data) {
        Some(cmap::Data::String(text)) => text.trim_end_matches('\0').to_owned(),
        _ => String::new(),
    }
}

fn number(value: Option<&cmap::CmapIter>) -> u64 {
    match value.map(cmap::CmapIter::data) {
        Some(cmap::Data::UInt64(number)) => *number,
        Some(cmap::Data::UInt32(number)) => (*number).into(),
        _ => 0,
    }
}
