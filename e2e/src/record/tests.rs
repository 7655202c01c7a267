//! Hand-written records of one host. Times are small numbers here; a line a second, as the
//! recorder writes them.

use super::*;

/// Corosync comes at 1000 alone, a member joins at 3000, quorum goes at 6000 and is back at 6500.
const USUAL: &str = r#"{"realtimeMs":500,"monotonicMs":10,"event":"started"}
{"realtimeMs":500,"monotonicMs":10,"event":"writable","writable":false}
{"realtimeMs":1000,"monotonicMs":510,"event":"corosyncConnected"}
{"realtimeMs":1000,"monotonicMs":510,"event":"membership","ringId":"1.5","members":[1],"joined":[],"left":[]}
{"realtimeMs":1001,"monotonicMs":511,"event":"quorum","quorate":true,"ringId":"1.5","members":[1]}
{"realtimeMs":1010,"monotonicMs":520,"event":"cmap","key":"totem.config_version","value":7}
{"realtimeMs":1010,"monotonicMs":520,"event":"cmap","key":"runtime.members.1.status","value":"joined"}
{"realtimeMs":1200,"monotonicMs":710,"event":"writable","writable":true}
{"realtimeMs":3000,"monotonicMs":2510,"event":"membership","ringId":"1.9","members":[2,1],"joined":[2],"left":[]}
{"realtimeMs":3000,"monotonicMs":2510,"event":"quorum","quorate":true,"ringId":"1.9","members":[1,2]}
{"realtimeMs":3005,"monotonicMs":2515,"event":"cmap","key":"runtime.members.2.config_version","value":7}
{"realtimeMs":3400,"monotonicMs":2910,"event":"cmap","key":"totem.config_version","value":8}
{"realtimeMs":3401,"monotonicMs":2911,"event":"cmap","key":"runtime.members.2.config_version","value":8}
{"realtimeMs":3600,"monotonicMs":3110,"event":"cmap","key":"totem.config_version","value":8}
{"realtimeMs":4200,"monotonicMs":3710,"event":"writable","writable":true}
{"realtimeMs":6000,"monotonicMs":5510,"event":"quorum","quorate":false,"ringId":"1.13","members":[1]}
{"realtimeMs":6020,"monotonicMs":5530,"event":"writable","writable":false}
{"realtimeMs":6500,"monotonicMs":6010,"event":"quorum","quorate":true,"ringId":"1.17","members":[1,2]}
{"realtimeMs":6700,"monotonicMs":6210,"event":"writable","writable":true}
{"realtimeMs":9000,"monotonicMs":8510,"event":"writable","writable":true}
"#;

fn usual() -> Record {
    Record::parse(USUAL).unwrap()
}

/// A record whose lines are `at_ms` and the rest of the line.
fn record(lines: &[(u64, &str)]) -> Record {
    let line = |&(at_ms, rest): &(u64, &str)| {
        format!("{{\"realtimeMs\":{at_ms},\"monotonicMs\":{at_ms},\"event\":{rest}}}\n")
    };
    Record::parse(&lines.iter().map(line).collect::<String>()).unwrap()
}

const STARTED: &str = r#""started""#;
const CONNECTED: &str = r#""corosyncConnected""#;
const LOST: &str = r#""corosyncLost""#;
const QUORATE: &str = r#""quorum","quorate":true,"ringId":"1.5","members":[1]"#;
const NOT_QUORATE: &str = r#""quorum","quorate":false,"ringId":"1.5","members":[1]"#;
const WRITABLE: &str = r#""writable","writable":true"#;

fn gap(from_ms: u64, to_ms: u64, cause: Cause) -> Gap {
    Gap { from_ms, to_ms, cause }
}

#[test]
fn a_loss_of_quorum_is_a_gap_cut_to_the_window() {
    let whole = gap(6000, 6500, Cause::NotQuorate);
    assert_eq!(usual().quorum_gaps(2000, 9000), [whole]);
    assert_eq!(usual().quorum_gaps(6100, 6200), [gap(6100, 6200, Cause::NotQuorate)]);
    assert_eq!(usual().quorum_gaps(6500, 9000), []);
    assert_eq!(usual().quorum_gaps(2000, 6000), []);
}

#[test]
fn a_host_is_not_quorate_before_its_recorder_and_its_corosync_say_so() {
    assert_eq!(usual().quorum_gaps(0, 3000), [gap(0, 1001, Cause::NotRecorded)]);
    assert_eq!(usual().quorum_gaps(600, 3000), [gap(600, 1001, Cause::NotRecorded)]);
}

#[test]
fn a_corosync_that_is_not_connected_counts_as_not_quorate_until_its_quorum_callback() {
    let lines = [(0, STARTED), (10, CONNECTED), (11, QUORATE), (20, LOST), (30, CONNECTED)];
    let mut lines = lines.to_vec();
    lines.push((35, QUORATE));
    assert_eq!(record(&lines).quorum_gaps(15, 50), [gap(20, 35, Cause::CorosyncDown)]);
}

#[test]
fn a_loss_within_one_millisecond_is_a_gap_of_no_length() {
    let lines = [(0, CONNECTED), (1, QUORATE), (20, NOT_QUORATE), (20, QUORATE)];
    let record = record(&lines);
    assert_eq!(record.quorum_gaps(10, 50), [gap(20, 20, Cause::NotQuorate)]);
    assert_eq!(record.quorum_gaps(20, 50), [gap(20, 20, Cause::NotQuorate)]);
    assert_eq!(record.quorum_gaps(21, 50), []);
    assert!(record.assert_quorate_throughout("n1", 10, 50).is_err());
}

#[test]
fn a_silent_recorder_proves_nothing() {
    let lines = [(0, CONNECTED), (0, QUORATE), (0, WRITABLE), (5001, WRITABLE), (9000, WRITABLE)];
    let record = record(&lines);
    let silent = gap(1000, 5001, Cause::NotRecorded);
    assert_eq!(record.quorum_gaps(1000, 9000), [silent]);
    assert_eq!(record.read_only_gaps(1000, 9000), [silent]);
    assert_eq!(record.quorum_gaps(6000, 14_000), []);
    assert_eq!(record.quorum_gaps(6000, 14_001), [gap(9000, 14_001, Cause::NotRecorded)]);
    assert_eq!(Record::default().quorum_gaps(1, 2), [gap(1, 2, Cause::NotRecorded)]);
}

#[test]
fn what_lies_between_the_last_line_and_a_new_start_is_not_known() {
    let lines = [(0, CONNECTED), (0, QUORATE), (0, WRITABLE), (1000, WRITABLE), (3000, STARTED)];
    let mut lines = lines.to_vec();
    lines.extend([(3001, WRITABLE), (3002, CONNECTED), (3002, QUORATE)]);
    let record = record(&lines);
    assert_eq!(record.quorum_gaps(500, 4000), [gap(1000, 3002, Cause::NotRecorded)]);
    assert_eq!(record.read_only_gaps(500, 4000), [gap(1000, 3001, Cause::NotRecorded)]);
}

#[test]
fn a_read_only_phase_is_a_gap() {
    assert_eq!(usual().read_only_gaps(2000, 9000), [gap(6020, 6700, Cause::ReadOnly)]);
    assert_eq!(usual().read_only_gaps(6700, 9000), []);
}

#[test]
fn a_look_into_etc_pve_that_hangs_is_seen_although_corosync_goes_on() {
    let lines = [(0, WRITABLE), (3000, QUORATE), (6000, NOT_QUORATE), (8000, QUORATE)];
    let gaps = record(&lines).read_only_gaps(0, 8000);
    assert_eq!(gaps, [gap(0, 8000, Cause::NotRecorded)]);
}

#[test]
fn the_first_quorate_moment_is_the_asked_one_or_the_next() {
    assert_eq!(usual().first_quorate_after(0), Some(1001));
    assert_eq!(usual().first_quorate_after(2000), Some(2000));
    assert_eq!(usual().first_quorate_after(6000), Some(6500));
    assert_eq!(usual().first_quorate_after(20_000), None);
    assert_eq!(record(&[(0, CONNECTED), (5, NOT_QUORATE)]).first_quorate_after(0), None);
}

#[test]
fn the_first_writable_moment_is_the_asked_one_or_the_next() {
    assert_eq!(usual().first_writable_after(0), Some(1200));
    assert_eq!(usual().first_writable_after(4000), Some(4000));
    assert_eq!(usual().first_writable_after(6100), Some(6700));
    assert_eq!(usual().first_writable_after(20_000), None);
}

#[test]
fn a_membership_change_is_told_once_whichever_callback_came_first() {
    let change = |at_ms, ring_id: &str, members: &[u32]| MembershipChange {
        at_ms,
        ring_id: ring_id.to_owned(),
        members: members.to_vec(),
    };
    let expected = [
        change(1000, "1.5", &[1]),
        change(3000, "1.9", &[1, 2]),
        change(6000, "1.13", &[1]),
        change(6500, "1.17", &[1, 2]),
    ];
    assert_eq!(usual().membership_changes(0, 9000), expected);
    assert_eq!(usual().membership_changes(2000, 6000), expected[1..2]);
    assert_eq!(usual().membership_changes(3001, 6000), []);
}

#[test]
fn the_same_ring_seen_over_a_new_connection_is_no_membership_change() {
    let lines = [(0, CONNECTED), (1, QUORATE), (5, LOST), (6, CONNECTED), (7, QUORATE)];
    assert_eq!(record(&lines).membership_changes(1, 9).len(), 1);
    assert_eq!(record(&lines).membership_changes(2, 9), []);
}

#[test]
fn each_config_version_is_told_once_per_member() {
    let change = |at_ms, node, version| VersionChange { at_ms, node, version };
    let expected = [
        change(1010, None, 7),
        change(3005, Some(2), 7),
        change(3400, None, 8),
        change(3401, Some(2), 8),
    ];
    assert_eq!(usual().config_versions(0, 9000), expected);
    assert_eq!(usual().config_versions(3400, 3401), expected[2..3]);
    assert_eq!(usual().config_versions(3500, 9000), []);
}

#[test]
fn the_assertions_hold_where_nothing_happened() {
    usual().assert_quorate_throughout("n1", 2000, 6000).unwrap();
    usual().assert_writable_throughout("n1", 2000, 6000).unwrap();
    usual().assert_no_membership_change("n1", 3100, 6000).unwrap();
}

#[test]
fn the_assertions_name_host_time_length_and_cause() {
    let message = |result: anyhow::Result<()>| result.unwrap_err().to_string();
    assert_eq!(
        message(usual().assert_quorate_throughout("n1", 2000, 9000)),
        "n1 was not quorate: at 6000 (+4000 ms) for 500 ms (no quorum)"
    );
    assert_eq!(
        message(usual().assert_writable_throughout("n1", 2000, 9000)),
        "/etc/pve of n1 took no writes: at 6020 (+4020 ms) for 680 ms (missing or read-only)"
    );
    assert_eq!(
        message(usual().assert_no_membership_change("n1", 2000, 6100)),
        "n1 saw its membership change: at 3000 (+1000 ms) to [1, 2] (ring 1.9), \
         at 6000 (+4000 ms) to [1] (ring 1.13)"
    );
}

#[test]
fn a_membership_that_nobody_watched_is_not_unchanged() {
    let lines = [(0, CONNECTED), (1, QUORATE), (5, LOST), (6, CONNECTED), (7, QUORATE)];
    let result = record(&lines).assert_no_membership_change("n1", 2, 9);
    assert_eq!(
        result.unwrap_err().to_string(),
        "n1 did not see its membership: at 5 (+3 ms) for 1 ms (no connection to corosync)"
    );
}

#[test]
fn a_line_that_is_still_being_written_is_left_out_and_a_broken_one_is_named() {
    let torn = &USUAL[..USUAL.len() - 20];
    assert_eq!(Record::parse(torn).unwrap().lines.len(), usual().lines.len() - 1);
    assert_eq!(Record::parse("").unwrap(), Record::default());
    let error = Record::parse("{\"realtimeMs\":1,\"monotonicMs\":1,\"event\":\"started\"}\nx\n");
    assert_eq!(error.unwrap_err().to_string(), "line 2 of a record");
}

#[test]
fn a_line_is_rendered_as_it_is_read() {
    for line in USUAL.lines() {
        let parsed: Line = serde_json::from_str(line).unwrap();
        assert_eq!(serde_json::to_string(&parsed).unwrap(), line);
    }
}
