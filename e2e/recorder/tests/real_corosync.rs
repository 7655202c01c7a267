//! The recorder beside a real corosync, as root, in namespaces that the tests make.

mod host;

use pvecm_e2e::record::{Cause, Gap, Record, VersionChange};

use crate::host::{Host, now_ms};

/// The loss of corosync has to stand in the record this soon; it takes 5 ms, and the rest is for a
/// busy machine.
const PROMPT_MS: u64 = 2000;

#[test]
fn the_recorder_sees_corosync_come_die_and_come_back() {
    let mut host = Host::new();
    host.wait("the recorder's first sample", |record| record.first_writable_after(0));
    assert_eq!(host.record().first_quorate_after(0), None, "corosync does not run yet");

    host.tell("start");
    let quorate_ms = host.wait("quorum", |record| record.first_quorate_after(0));
    let before = host.record();
    // A window ends before its last millisecond, and the change may be of this very one.
    assert_eq!(before.membership_changes(0, now_ms() + 1)[0].members, [1]);

    let killed_ms = host.tell("kill");
    let lost_ms = host.wait("the loss of corosync", |record| loss(record, quorate_ms)).from_ms;
    assert!((killed_ms..killed_ms + PROMPT_MS).contains(&lost_ms), "{killed_ms} {lost_ms}");
    host.record().assert_quorate_throughout("n1", quorate_ms, lost_ms).unwrap();

    let started_ms = host.tell("start");
    let again_ms = host.wait("quorum again", |record| record.first_quorate_after(lost_ms));
    assert!(again_ms >= started_ms, "{started_ms} {again_ms}");
    let record = host.record();
    let gap = Gap { from_ms: lost_ms, to_ms: again_ms, cause: Cause::CorosyncDown };
    assert_eq!(record.quorum_gaps(quorate_ms, again_ms + 1), [gap]);
    assert_eq!(record.membership_changes(lost_ms, again_ms + 1).len(), 1, "a ring of its own");
    record.assert_writable_throughout("n1", quorate_ms, again_ms).unwrap();
}

#[test]
fn the_recorder_sees_a_reload_and_a_read_only_etc_pve() {
    let mut host = Host::new();
    host.tell("start");
    let from_ms = host.wait("quorum", |record| record.first_quorate_after(0));
    host.wait("the first version", |record| has_version(record, 7));

    host.tell("reload");
    host.wait("the version of the reloaded file", |record| has_version(record, 8));

    let writable_ms = host.wait("/etc/pve writable", |record| record.first_writable_after(0));
    host.tell("blink");
    let closed = host.wait("/etc/pve read-only three times", |record| {
        let gaps = record.read_only_gaps(writable_ms, now_ms());
        let is_over = record.first_writable_after(gaps.last()?.to_ms).is_some();
        (gaps.len() == 3 && is_over).then_some(gaps)
    });
    assert!(closed.iter().all(|gap| gap.cause == Cause::ReadOnly), "{closed:?}");

    let record = host.record();
    record.assert_quorate_throughout("n1", from_ms, now_ms()).unwrap();
    // The first callback of a connection, at `from_ms` or just before it, is no change after it.
    record.assert_no_membership_change("n1", from_ms + 1, now_ms()).unwrap();
}

fn loss(record: &Record, quorate_ms: u64) -> Option<Gap> {
    record.quorum_gaps(quorate_ms, now_ms()).first().copied()
}

/// Whether the host's own version and the one that it sees of itself as a member were `version`.
fn has_version(record: &Record, version: u64) -> Option<()> {
    let seen = record.config_versions(0, now_ms());
    let has = |node| {
        let is_it = |change: &VersionChange| change.node == node && change.version == version;
        seen.iter().any(is_it)
    };
    (has(None) && has(Some(1))).then_some(())
}
