use pvecm_core::change::{Action, Tombstone};
use pvecm_core::device::DeviceView;
use pvecm_core::fitness::Fitness;
use pvecm_core::ids::{ConfigVersion, NodeId};
use pvecm_core::observed::{Absence, AppliedStage, FileView};

use super::*;

fn host(name: &str) -> HostName {
    name.parse().unwrap()
}

fn conf(version: u64) -> ConfText {
    ConfText::new(ConfigVersion(version), format!("config_version: {version}\n"))
}

fn stage(version: u64, course: Course) -> Stage {
    let member = |id: u32| (NodeId::try_from(id).unwrap(), host(&format!("n{id}")));
    Stage {
        summary: "a stage".to_owned(),
        risk: Risk::Live,
        course,
        group: (1..=3).map(member).collect(),
        joining: BTreeMap::new(),
        config: conf(version),
        back: Some(conf(version + 1)),
        actions: BTreeMap::new(),
        probes: Vec::new(),
        limits: BTreeMap::new(),
        confirm_timeout_secs: 30,
    }
}

/// A change from version 4 over 5 to 7, with so many stages released.
fn change(released: u32) -> OpenChange {
    let ConfText { version, digest, text: _ } = conf(4);
    OpenChange {
        name: "prod-9".to_owned(),
        number: ChangeNumber(9),
        digest: Digest::of(b"plan"),
        parent: Some(Parent { version, digest }),
        generation: 3,
        approved: false,
        stages: vec![stage(5, Course::Write), stage(7, Course::Write)],
        released,
        ending: false,
    }
}

fn applied(stage: u32, result: StageResult) -> AppliedStage {
    let message = "link 1 did not connect".to_owned();
    let digest = Digest::of(b"plan");
    AppliedStage { change: ChangeNumber(9), digest, stage, result, message }
}

fn view(version: u64, applied: Option<AppliedStage>) -> HostView {
    HostView {
        connected: true,
        claim: Claim::Ours,
        paused: false,
        witness: false,
        hostname: "n".to_owned(),
        machine_id: None,
        sealing_key: None,
        authkey: None,
        addresses: BTreeSet::new(),
        guests: BTreeSet::new(),
        absence: None,
        references: BTreeSet::new(),
        shared_storages: BTreeSet::new(),
        device: DeviceView::default(),
        lives_alone: false,
        may_share: BTreeSet::new(),
        pmxcfs_file: Some(FileView::from(&conf(version))),
        disk_file: Some(FileView::from(&conf(version))),
        datacenter: None,
        idle: None,
        running_version: Some(ConfigVersion(version)),
        started_with: BTreeMap::new(),
        pmxcfs_writable: true,
        quorate: true,
        ring: Some("1.8".to_owned()),
        members: BTreeSet::new(),
        link_faults: BTreeSet::new(),
        cards: BTreeMap::new(),
        storage_servers: BTreeMap::new(),
        drift: Vec::new(),
        ha: HaState::Absent,
        can_disarm: false,
        tombstones: BTreeSet::new(),
        applied,
        fitness: Fitness::default(),
    }
}

type Hosts = BTreeMap<HostName, HostView>;

/// n1, n2 and n3, all the same.
fn hosts(version: u64, applied: impl Into<Option<AppliedStage>>) -> Hosts {
    let applied = applied.into();
    ["n1", "n2", "n3"].map(|name| (host(name), view(version, applied.clone()))).into()
}

fn at(change: &OpenChange, hosts: &Hosts) -> Next {
    drive(change, Standing { hosts, generation: Some(3), paused: false, need: None, awaits: None })
}

fn waits_for(next: &Next, word: &str) {
    match next {
        Next::Wait(sentence) => assert!(sentence.contains(word), "{sentence}"),
        Next::Release(_) | Next::Finish(..) | Next::Ask(_) | Next::WaitForWitness(_) => {
            panic!("{next:?} does not wait for {word}")
        }
    }
}

fn ends(next: &Next, wanted: Ending) {
    assert!(matches!(next, Next::Finish(ending, _) if *ending == wanted), "{next:?}");
}

#[test]
fn the_first_stage_is_released_when_every_host_is_ready() {
    assert_eq!(at(&change(0), &hosts(4, None)), Next::Release(1));
}

#[test]
fn a_release_that_a_restored_api_server_has_forgotten_is_made_again() {
    let mut hosts = hosts(4, None);
    hosts.get_mut(&host("n2")).unwrap().applied = Some(applied(2, StageResult::Acting));
    hosts.get_mut(&host("n3")).unwrap().connected = false;
    assert_eq!(at(&change(0), &hosts), Next::Release(1));
    assert_eq!(at(&change(1), &hosts), Next::Release(2));
    waits_for(&at(&change(2), &hosts), "n2");
    // Another change is none of its business, and there is no stage after the last.
    hosts.get_mut(&host("n2")).unwrap().applied =
        Some(AppliedStage { change: ChangeNumber(8), ..applied(2, StageResult::Acting) });
    waits_for(&at(&change(0), &hosts), "n3");
    hosts.get_mut(&host("n2")).unwrap().applied = Some(applied(3, StageResult::Acting));
    assert!(!matches!(at(&change(2), &hosts), Next::Release(_)));
}

#[test]
fn a_host_that_is_not_heard_holds_the_release_and_is_named() {
    let mut hosts = hosts(4, None);
    hosts.get_mut(&host("n2")).unwrap().connected = false;
    waits_for(&at(&change(0), &hosts), "n2");
}

#[test]
fn a_host_that_obeys_another_cluster_or_is_paused_holds_the_release() {
    let mut claimed = hosts(4, None);
    claimed.get_mut(&host("n2")).unwrap().claim = Claim::Other("old".to_owned());
    waits_for(&at(&change(0), &claimed), "old");
    let mut paused = hosts(4, None);
    paused.get_mut(&host("n3")).unwrap().paused = true;
    waits_for(&at(&change(0), &paused), "n3 is paused");
}

#[test]
fn one_host_with_another_file_holds_the_release_and_all_of_them_supersede_it() {
    let mut one = hosts(4, None);
    one.insert(host("n3"), view(40, None));
    waits_for(&at(&change(0), &one), "n3");
    ends(&at(&change(0), &hosts(40, None)), Ending::Superseded);
}

#[test]
fn a_changed_spec_supersedes_only_what_has_not_begun() {
    let hosts4 = hosts(4, None);
    let standing =
        |hosts| Standing { hosts, generation: Some(4), paused: false, need: None, awaits: None };
    ends(&drive(&change(0), standing(&hosts4)), Ending::Superseded);
    let hosts5 = hosts(5, Some(applied(1, StageResult::Confirmed)));
    assert_eq!(drive(&change(1), standing(&hosts5)), Next::Release(2));
}

fn asking(change: &OpenChange, hosts: &Hosts) -> Next {
    let need = Some(Need::Manual);
    drive(change, Standing { hosts, generation: Some(3), paused: false, need, awaits: None })
}

#[test]
fn a_change_that_needs_approval_waits_for_it_and_begins_with_it() {
    assert_eq!(asking(&change(0), &hosts(4, None)), Next::Ask(Need::Manual));
    let approved = OpenChange { approved: true, ..change(0) };
    assert_eq!(asking(&approved, &hosts(4, None)), Next::Release(1));
}

#[test]
fn a_change_that_has_begun_is_not_asked_about_again() {
    let held = hosts(5, Some(applied(1, StageResult::Confirmed)));
    assert_eq!(asking(&change(1), &held), Next::Release(2));
}

#[test]
fn a_waiting_change_for_another_file_than_the_one_in_force_is_superseded() {
    ends(&asking(&change(0), &hosts(40, None)), Ending::Superseded);
}

#[test]
fn a_waiting_formation_is_superseded_when_the_host_got_a_cluster_meanwhile() {
    let forming = Stage {
        group: BTreeMap::new(),
        actions: BTreeMap::from([(host("n1"), Vec::new())]),
        ..stage(1, Course::Local)
    };
    let change = OpenChange { parent: None, stages: vec![forming], ..change(0) };
    ends(&asking(&change, &hosts(4, None)), Ending::Superseded);
    let empty = HostView { pmxcfs_file: None, disk_file: None, ..view(0, None) };
    let empty = Hosts::from([(host("n1"), empty)]);
    assert_eq!(asking(&change, &empty), Next::Ask(Need::Manual));
}

#[test]
fn a_pause_holds_the_next_stage_and_no_outcome() {
    let standing =
        |hosts| Standing { hosts, generation: Some(3), paused: true, need: None, awaits: None };
    let held = hosts(5, Some(applied(1, StageResult::Confirmed)));
    waits_for(&drive(&change(1), standing(&held)), "paused");
    let done = hosts(7, Some(applied(2, StageResult::Confirmed)));
    ends(&drive(&change(2), standing(&done)), Ending::Succeeded);
}

#[test]
fn the_next_stage_waits_for_the_last_host_and_for_what_it_shows() {
    let confirmed = hosts(5, Some(applied(1, StageResult::Confirmed)));
    assert_eq!(at(&change(1), &confirmed), Next::Release(2));

    let mut acting = confirmed.clone();
    acting.insert(host("n2"), view(5, Some(applied(1, StageResult::Acting))));
    waits_for(&at(&change(1), &acting), "n2 is working");

    let mut old_daemon = confirmed.clone();
    old_daemon.get_mut(&host("n3")).unwrap().running_version = Some(ConfigVersion(4));
    waits_for(&at(&change(1), &old_daemon), "daemon on n3");

    let mut old_disk = confirmed;
    old_disk.get_mut(&host("n1")).unwrap().disk_file = Some(FileView::from(&conf(4)));
    waits_for(&at(&change(1), &old_disk), "/etc/corosync");
}

#[test]
fn a_result_of_another_change_or_stage_counts_for_nothing() {
    let mut old = applied(1, StageResult::Confirmed);
    old.change = ChangeNumber(8);
    waits_for(&at(&change(1), &hosts(5, Some(old))), "not reported");
    let earlier = applied(1, StageResult::Confirmed);
    waits_for(&at(&change(2), &hosts(7, Some(earlier))), "not reported");
}

#[test]
fn a_roll_back_ends_the_change_with_the_hosts_sentence_once_nobody_works_on_it() {
    let mut hosts = hosts(6, Some(applied(1, StageResult::RolledBack)));
    hosts.insert(host("n2"), view(5, Some(applied(1, StageResult::Acting))));
    waits_for(&at(&change(1), &hosts), "n2");
    hosts.get_mut(&host("n2")).unwrap().connected = false;
    match at(&change(1), &hosts) {
        Next::Finish(Ending::RolledBack, sentence) => {
            assert_eq!(sentence, "stage 1 of 2: n1: link 1 did not connect");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_failure_on_one_host_outweighs_a_roll_back_on_another() {
    let mut hosts = hosts(6, Some(applied(1, StageResult::RolledBack)));
    hosts.insert(host("n3"), view(5, Some(applied(1, StageResult::Failed))));
    ends(&at(&change(1), &hosts), Ending::Failed);
}

#[test]
fn a_deleted_change_ends_at_the_next_boundary_and_not_inside_a_stage() {
    let ending = |released| OpenChange { ending: true, ..change(released) };
    ends(&at(&ending(0), &hosts(4, None)), Ending::Superseded);
    waits_for(&at(&ending(1), &hosts(5, Some(applied(1, StageResult::Acting)))), "n1");
    let held = hosts(5, Some(applied(1, StageResult::Confirmed)));
    ends(&at(&ending(1), &held), Ending::Superseded);
}

#[test]
fn a_local_stage_holds_by_the_word_of_the_hosts_that_act() {
    let mut change = change(1);
    change.stages[0] = Stage {
        group: BTreeMap::new(),
        actions: BTreeMap::from([(host("n1"), Vec::new())]),
        ..stage(4, Course::Local)
    };
    let mut hosts = hosts(4, None);
    waits_for(&at(&change, &hosts), "n1");
    hosts.insert(host("n1"), view(4, Some(applied(1, StageResult::Confirmed))));
    assert_eq!(at(&change, &hosts), Next::Release(2));
}

#[test]
fn a_confirmed_stage_that_a_person_wrote_over_before_it_was_seen_ends_the_change() {
    let confirmed = applied(2, StageResult::Confirmed);
    let mut hosts = hosts(9, confirmed);
    ends(&at(&change(2), &hosts), Ending::Superseded);
    // A single host that differs is a disagreement, which is waited out.
    hosts.insert(host("n2"), view(7, Some(applied(2, StageResult::Confirmed))));
    assert!(matches!(at(&change(2), &hosts), Next::Wait(_)));
}

#[test]
fn a_change_from_a_restored_backup_ends_where_the_hosts_have_obeyed_a_newer_one() {
    let newer = AppliedStage { change: ChangeNumber(12), ..applied(1, StageResult::Confirmed) };
    ends(&at(&change(1), &hosts(7, newer.clone())), Ending::Superseded);
    // Not while one of them is at work, and an older one is a host that has yet to begin.
    let mut busy = hosts(7, newer);
    busy.insert(host("n2"), view(5, Some(applied(1, StageResult::Acting))));
    waits_for(&at(&change(1), &busy), "n2");
    let older = AppliedStage { change: ChangeNumber(8), ..applied(1, StageResult::Confirmed) };
    waits_for(&at(&change(1), &hosts(4, older)), "n1");
}

#[test]
fn a_change_that_has_the_number_of_another_one_ends_and_takes_nothing_of_it_for_its_own() {
    let other = AppliedStage { digest: Digest::of(b"other"), ..applied(2, StageResult::Confirmed) };
    ends(&at(&change(1), &hosts(7, other.clone())), Ending::Superseded);
    ends(&at(&change(2), &hosts(7, other)), Ending::Superseded);
}

/// A change whose second stage restarts something, and hosts at the boundary before it; n2's watchdog is
/// so.
fn restarting(action: Option<Action>, ha: HaState) -> Next {
    let mut change = change(1);
    change.stages[1].risk = Risk::NodeRestart;
    if let Some(action) = action {
        let all = ["n1", "n2", "n3"].map(|name| (host(name), vec![action.clone()]));
        change.stages[0] =
            Stage { group: BTreeMap::new(), actions: all.into(), ..stage(4, Course::Local) };
    }
    let version = change.stages[0].config.version.0;
    let mut hosts = hosts(version, Some(applied(1, StageResult::Confirmed)));
    hosts.get_mut(&host("n2")).unwrap().ha = ha;
    at(&change, &hosts)
}

#[test]
fn a_stage_that_stalls_a_host_whose_watchdog_runs_waits_and_names_it() {
    waits_for(&restarting(None, HaState::Active), "high availability may reset n2");
    assert_eq!(restarting(None, HaState::Idle), Next::Release(2));
}

#[test]
fn a_change_whose_disarming_was_undone_meanwhile_ends_and_is_planned_anew() {
    let disarmed = |ha| restarting(Some(Action::DisarmHa {}), ha);
    assert_eq!(disarmed(HaState::Disarmed), Next::Release(2));
    ends(&disarmed(HaState::Active), Ending::Superseded);
    waits_for(&disarmed(HaState::Unknown), "n2");
}

/// Approved or not, before its first stage and after: the guards have looked at it once.
#[test]
fn a_change_that_drops_a_dead_machine_ends_once_that_one_is_heard_or_the_word_is_taken_back() {
    let gone = Tombstone {
        name: "n3".parse().unwrap(),
        node_id: NodeId::try_from(3).unwrap(),
        machine_id: None,
        keeps_key: Some(0),
        lives_alone: false,
    };
    let drops = |released: u32| {
        let mut change = change(released);
        change.stages[1].actions = [(host("n1"), vec![Action::Bury(gone.clone())])].into();
        change
    };
    let dead = |version: u64, stage: Option<u32>| {
        let mut hosts = hosts(version, stage.map(|stage| applied(stage, StageResult::Confirmed)));
        let view = hosts.get_mut(&host("n3")).unwrap();
        view.hostname = "n3".to_owned();
        view.connected = false;
        view.absence = Some(Absence { is_dead: true, because: "off".to_owned() });
        hosts
    };
    for (released, version, stage) in [(0, 4, None), (1, 5, Some(1))] {
        let mut hosts = dead(version, stage);
        let next = at(&drops(released), &hosts);
        assert!(!matches!(next, Next::Finish(..)), "{released}: {next:?}");
        hosts.get_mut(&host("n3")).unwrap().connected = true;
        let heard = at(&drops(released), &hosts);
        let is_said = format!("{heard:?}").contains("declared dead is heard");
        assert!(matches!(heard, Next::Finish(..)) && is_said, "{released}: {heard:?}");
        let mut hosts = dead(version, stage);
        hosts.get_mut(&host("n3")).unwrap().absence = None;
        let back = at(&drops(released), &hosts);
        let is_said = format!("{back:?}").contains("no longer declared dead");
        assert!(matches!(back, Next::Finish(..)) && is_said, "{released}: {back:?}");
    }
}
