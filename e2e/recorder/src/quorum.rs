//! Watches corosync's quorum service: connection, quorum, membership.
//!
//! One thread; it connects, waits in `dispatch` for callbacks, and begins again when corosync is
//! gone. Dispatch fails at once when the daemon's end of the connection closes.

use std::sync::OnceLock;
use std::thread::sleep;

use rust_corosync::quorum::{
    Handle, Model1Data, Model1Flags, ModelData, RingId, dispatch, initialize, trackstart,
};
use rust_corosync::{DispatchFlags, NodeId, Result, TrackFlags};

use crate::RETRY;
use crate::event::Event;
use crate::sink::Sink;

/// Where the callbacks send: they are plain function pointers and carry nothing with them.
static SINK: OnceLock<Sink> = OnceLock::new();

/// Records until the process ends. To be called once.
pub fn watch(sink: &Sink) -> ! {
    let sink = SINK.get_or_init(|| sink.clone());
    loop {
        if let Ok(handle) = connect() {
            sink.record(Event::CorosyncConnected);
            // Whatever the error says, the only way on is a new connection.
            let _ended = follow(&handle);
            sink.record(Event::CorosyncLost);
        }
        sleep(RETRY);
    }
}

fn connect() -> Result<Handle> {
    let callbacks = ModelData::ModelV1(Model1Data {
        flags: Model1Flags::None,
        quorum_notification_fn: Some(on_quorum),
        nodelist_notification_fn: Some(on_nodelist),
    });
    Ok(initialize(&callbacks, 0)?.0)
}

fn follow(handle: &Handle) -> Result<()> {
    // Sends the present state as well (seen with 3.1.7); a second call with `Current` is refused.
    trackstart(handle, TrackFlags::Changes)?;
    loop {
        dispatch(handle, DispatchFlags::One)?;
    }
}

fn on_quorum(_: &Handle, quorate: bool, ring: RingId, members: Vec<NodeId>) {
    record(Event::Quorum { quorate, ring_id: ring_id(ring), members: ids(members) });
}

#[expect(clippy::too_many_arguments, reason = "the binding sets the signature")]
fn on_nodelist(
    _: &Handle,
    ring: RingId,
    members: Vec<NodeId>,
    joined: Vec<NodeId>,
    left: Vec<NodeId>,
) {
    record(Event::Membership {
        ring_id: ring_id(ring),
        members: ids(members),
        joined: ids(joined),
        left: ids(left),
    });
}

fn record(event: Event) {
    if let Some(sink) = SINK.get() {
        sink.record(event);
    }
}

fn ring_id(RingId { nodeid, seq }: RingId) -> String {
    format!("{nodeid}.{seq}")
}

fn ids(nodes: Vec<NodeId>) -> Vec<u32> {
    nodes.into_iter().map(u32::from).collect()
}
