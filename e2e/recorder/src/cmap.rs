//! Watches the cmap keys that tell which configuration each member runs.
//!
//! One thread of its own. It says nothing of the connection: that corosync is there or gone is
//! the quorum service's word alone, so that a record has one truth about it.

use std::collections::BTreeSet;
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::sleep;

use rust_corosync::cmap::{
    CmapIterStart, Data, Handle, Map, NotifyCallback, TrackHandle, TrackType, dispatch, get,
    initialize, track_add,
};
use rust_corosync::{CsError, DispatchFlags, Result};

use crate::RETRY;
use crate::event::{CmapValue, Event};
use crate::sink::Sink;

const OWN_VERSION: &str = "totem.config_version";
const MEMBERS: &str = "runtime.members.";

/// Where the callback sends the names of changed keys: it is a plain function pointer.
static CHANGED: OnceLock<Sender<String>> = OnceLock::new();

/// Records until the process ends. To be called once.
pub fn watch(sink: &Sink) -> ! {
    let (sender, changed) = channel();
    CHANGED.get_or_init(|| sender);
    loop {
        // Whatever the error says, the only way on is a new connection.
        let _ended = initialize(Map::Icmap).and_then(|handle| follow(&handle, &changed, sink));
        sleep(RETRY);
    }
}

fn follow(handle: &Handle, changed: &Receiver<String>, sink: &Sink) -> Result<()> {
    track(handle)?;
    let known = CmapIterStart::new(handle, MEMBERS)?.into_iter();
    let mut keys: BTreeSet<String> = known.map(|entry| entry.key_name().to_owned()).collect();
    keys.insert(OWN_VERSION.to_owned());
    loop {
        for key in keys.into_iter().filter(|key| is_recorded(key)) {
            let value = read(handle, &key)?;
            sink.record(Event::Cmap { key, value });
        }
        dispatch(handle, DispatchFlags::One)?;
        keys = changed.try_iter().collect();
    }
}

fn track(handle: &Handle) -> Result<()> {
    let callback = NotifyCallback { notify_fn: Some(on_change) };
    let any = || TrackType::ADD | TrackType::MODIFY | TrackType::DELETE;
    track_add(handle, OWN_VERSION, any(), &callback, 0)?;
    track_add(handle, MEMBERS, any() | TrackType::PREFIX, &callback, 0)?;
    Ok(())
}

/// Passes the name on and nothing else: the binding hands over old and new value swapped, and
/// holds a mutex of the whole process meanwhile.
#[expect(clippy::too_many_arguments, reason = "the binding sets the signature")]
fn on_change(_: &Handle, _: &TrackHandle, _: TrackType, key: &str, _: &Data, _: &Data, _: u64) {
    if let Some(changed) = CHANGED.get() {
        // The receiver lives as long as the process.
        let _ = changed.send(key.to_owned());
    }
}

fn is_recorded(key: &str) -> bool {
    let of_a_member = key.strip_prefix(MEMBERS).and_then(|rest| rest.split_once('.'));
    key == OWN_VERSION || matches!(of_a_member, Some((_, "config_version" | "status")))
}

fn read(handle: &Handle, key: &str) -> Result<Option<CmapValue>> {
    match get(handle, key) {
        Ok(data) => Ok(Some(value(&data))),
        Err(CsError::CsErrNotExist) => Ok(None),
        Err(error) => Err(error),
    }
}

fn value(data: &Data) -> CmapValue {
    match data {
        Data::UInt64(number) => CmapValue::Number(*number),
        Data::UInt32(number) => CmapValue::Number(u64::from(*number)),
        Data::String(text) => CmapValue::Text(text.clone()),
        // No recorded key has another type today; should one get it, its text is still telling.
        other => CmapValue::Text(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_versions_and_member_states_are_recorded() {
        assert!(is_recorded("totem.config_version"));
        assert!(is_recorded("runtime.members.12.config_version"));
        assert!(is_recorded("runtime.members.12.status"));
        assert!(!is_recorded("runtime.members.12.ip"));
        assert!(!is_recorded("runtime.members.12.join_count"));
        assert!(!is_recorded("totem.token"));
    }
}
