//! A host that leaves, and those that it leaves.

use std::collections::BTreeSet;

use pvecm_core::ids::HostName;
use pvecm_core::references::ReferenceKind;

use super::*;
use crate::ports::Arrival;
use crate::stage::leave::{the_gone_are_not_needed, the_gone_have_stopped};

pub(super) fn listing(version: u64, nodes: &[u32]) -> ConfText {
    let node = |id: &u32| {
        format!("  node {{\n    name: n{id}\n    nodeid: {id}\n    ring0_addr: 10.0.0.{id}\n  }}\n")
    };
    let text = format!(
        "totem {{\n  version: 2\n  cluster_name: prod\n  config_version: {version}\n}}\n\
         quorum {{\n  provider: corosync_votequorum\n}}\nnodelist {{\n{}}}\n",
        nodes.iter().map(node).collect::<String>()
    );
    ConfText::new(ConfigVersion(version), text)
}

pub(super) fn node(id: u32) -> NodeId {
    NodeId::try_from(id).unwrap()
}

/// n1, a member beside n2 in version 1, which has keys.
pub(super) fn member() -> FakeHost {
    let fake = FakeHost::member(&listing(1, &[1, 2]).text);
    fake.world().others = BTreeSet::from([node(2)]);
    fake.world().disk.insert(DiskFile::Authkey, b"key".to_vec());
    fake
}

fn act(fake: &FakeHost, config: ConfText, action: Action) -> Result<(), Undone> {
    let ConfText { version, digest, text: _ } = listing(1, &[1, 2]);
    let stage = Stage { config, ..stage(Course::Local) };
    with_task(fake, &pending(fake, stage, Some(Parent { version, digest })), |task| {
        block_on(run_actions(&fake.host(), task, &[action])).map(|_| ())
    })
}

fn stop(fake: &FakeHost) -> Result<(), Undone> {
    act(fake, listing(1, &[1, 2]), Action::StopCorosync {})
}

pub(super) fn put_away(fake: &FakeHost) -> Result<(), Undone> {
    act(fake, listing(2, &[2]), Action::LeaveCluster {})
}

#[test]
fn a_host_stops_and_stopping_again_is_fine() {
    let fake = member();
    assert_eq!(stop(&fake), Ok(()));
    assert!(!fake.world().corosync_runs && !fake.world().pmxcfs_runs);
    assert_eq!(stop(&fake), Ok(()));
}

#[test]
fn a_host_goes_on_while_another_member_is_missing_or_the_file_is_another_one() {
    let fake = member();
    fake.world().others.clear();
    let Err(Undone::NotBegun(why)) = stop(&fake) else { panic!("it stopped") };
    assert!(why.starts_with("node 2 is not in the membership"), "{why}");
    assert!(fake.world().corosync_runs && fake.world().pmxcfs_runs);
    let fake = member();
    fake.world().pmxcfs_conf = Some(listing(5, &[1, 2]).text.into());
    assert!(matches!(stop(&fake), Err(Undone::NotBegun(_))));
    assert!(fake.world().corosync_runs);
}

#[test]
fn a_host_with_a_guest_goes_on() {
    let fake = member();
    fake.world().guests.insert(100);
    assert!(matches!(stop(&fake), Err(Undone::NotBegun(_))));
    assert!(fake.world().corosync_runs && fake.world().pmxcfs_runs);
}

#[test]
fn a_host_that_something_in_the_cluster_names_goes_on() {
    let job = "local: 100-0\n\ttarget n1\n".to_owned();
    for (text, said) in [(Some(job), "100-0"), (None, "replication.cfg is not readable")] {
        let fake = member();
        fake.world().naming.insert(ReferenceKind::ReplicationJob, text);
        let Err(Undone::NotBegun(why)) = stop(&fake) else { panic!("it stopped") };
        assert!(why.contains("replication jobs") && why.contains(said), "{why}");
        assert!(fake.world().corosync_runs && fake.world().pmxcfs_runs);
    }
    let fake = member();
    let other = "local: 100-0\n\ttarget n2\n".to_owned();
    fake.world().naming.insert(ReferenceKind::ReplicationJob, Some(other));
    assert_eq!(stop(&fake), Ok(()));
}

#[test]
fn a_host_that_cannot_stop_goes_on_as_a_member() {
    let fake = member();
    fake.world().corosync_hangs = true;
    assert_eq!(stop(&fake), Err(Undone::PutBack("corosync does not end".to_owned())));
    assert!(fake.world().corosync_runs && fake.world().pmxcfs_runs);
}

#[test]
fn what_a_host_has_of_the_cluster_is_moved_aside_and_it_starts_as_one_of_its_own() {
    let fake = member();
    stop(&fake).unwrap();
    assert_eq!(put_away(&fake), Ok(()));
    let world = fake.world();
    assert!(world.disk.is_empty(), "nothing that corosync starts with");
    assert_eq!(world.set_aside[&DiskFile::Authkey], b"key");
    assert_eq!(world.set_aside[&DiskFile::Conf], listing(1, &[1, 2]).text.as_bytes());
    assert!(world.database_aside.is_some() && world.pmxcfs_runs && !world.corosync_runs);
}

#[test]
fn a_host_that_was_started_again_in_between_is_stopped_before_its_files_go() {
    let fake = member();
    assert_eq!(put_away(&fake), Ok(()));
    assert!(!fake.world().corosync_runs && fake.world().disk.is_empty());
}

#[test]
fn a_host_that_the_cluster_still_lists_keeps_its_files() {
    let fake = member();
    let kept = act(&fake, listing(2, &[1, 2]), Action::LeaveCluster {});
    assert!(matches!(kept, Err(Undone::NotBegun(_))), "{kept:?}");
    assert!(fake.world().corosync_runs && !fake.world().disk.is_empty());
}

fn bury() -> Stage {
    let tombstone = Tombstone {
        name: "n2".parse().unwrap(),
        node_id: node(2),
        machine_id: None,
        keeps_key: None,
        lives_alone: false,
    };
    let mut stage = Stage { config: listing(2, &[1]), ..stage(Course::Write) };
    stage.actions.insert("n1".parse().unwrap(), vec![Action::Bury(tombstone)]);
    stage
}

#[test]
fn a_node_that_still_runs_is_not_taken_off_the_list() {
    let fake = member();
    let refused = the_gone_have_stopped(&bury(), &Observation::take(&fake.host()));
    assert_eq!(refused, Err("n2 is to be taken off the list and still runs".to_owned()));
    fake.world().others.clear();
    assert_eq!(the_gone_have_stopped(&bury(), &Observation::take(&fake.host())), Ok(()));
}

/// A machine that is switched on is seen by its link first; one that has stopped by itself may be up.
#[test]
fn a_dead_node_whose_link_is_connected_is_not_taken_off_the_list() {
    let fake = member();
    fake.world().others.clear();
    fake.world().links = [((node(2), 0.try_into().unwrap()), true)].into();
    assert_eq!(the_gone_have_stopped(&bury(), &Observation::take(&fake.host())), Ok(()));
    let mut dead = bury();
    for action in dead.actions.values_mut().flatten() {
        if let Action::Bury(gone) = action {
            gone.keeps_key = Some(0);
        }
    }
    let refused = the_gone_have_stopped(&dead, &Observation::take(&fake.host()));
    assert_eq!(refused, Err("n2 is to be taken off the list and still runs".to_owned()));
}

/// Nobody could have moved anything away from them while there was no quorum.
#[test]
fn a_recovery_drops_nodes_that_something_refers_to_and_nothing_else_does() {
    let fake = member();
    fake.world().guests_left.insert("qemu-server/100.conf".to_owned());
    let needed = |risk| the_gone_are_not_needed(&fake.host(), &Stage { risk, ..bury() });
    assert_eq!(needed(Risk::Recovery), Ok(()));
    assert!(needed(Risk::NodeRestart).is_err());
}

#[test]
fn the_ledger_notes_before_a_stage_begins_that_it_lowers_the_expected_votes() {
    let fake = member();
    let me: HostName = "n1".parse().unwrap();
    let noted = |action: Action| {
        let actions = [(me.clone(), vec![action])].into();
        let pending = pending(&fake, Stage { actions, ..stage(Course::Local) }, None);
        let mut ledger = crate::ledger::Ledger::default();
        ledger.note_lowering(&me, ChangeNumber(7), &pending);
        ledger.lowered.map(|note| (note.change, note.overdue))
    };
    let lower = Action::SetExpectedVotes { votes: 1, dead: [node(2)].into() };
    assert_eq!(noted(lower), Some((ChangeNumber(7), false)));
    assert_eq!(noted(Action::Reload {}), None);
}

/// It may be dead, and tell nothing any more.
#[test]
fn a_node_that_the_members_see_something_refer_to_is_not_taken_off_the_list() {
    let fake = member();
    let needed = || the_gone_are_not_needed(&fake.host(), &bury());
    assert_eq!(needed(), Ok(()));
    fake.world().guests_left.insert("qemu-server/100.conf".to_owned());
    let refused = needed().unwrap_err();
    assert!(refused.contains("qemu-server/100.conf is configured on n2"), "{refused}");
    fake.world().guests_left.clear();
    let storages = "dir: local\n\tpath /a\n\nnfs: shared\n\tnodes n1,n2\n";
    fake.world().naming.insert(ReferenceKind::Storage, Some(storages.to_owned()));
    let refused = needed().unwrap_err();
    assert_eq!(refused, "storages name n2, which goes, among them shared");
    fake.world().naming.insert(ReferenceKind::Storage, Some(storages.replace(",n2", "")));
    assert_eq!(needed(), Ok(()));
    fake.world().naming.insert(ReferenceKind::BackupJob, None);
    assert!(needed().unwrap_err().contains("jobs.cfg is not readable"));
}

#[test]
fn who_has_left_is_remembered_once_that_is_in_force_and_forgotten_by_one_that_leaves_itself() {
    let fake = member();
    let me: HostName = "n1".parse().unwrap();
    let mut book = Book::open(Arc::new(MemoryStore::default())).unwrap();
    book.change(|ledger| ledger.ended = Some(pending(&fake, bury(), None))).unwrap();
    let mut noted = |stage: Stage, result| {
        let pending = pending(&fake, stage, None);
        book.change(|ledger| {
            ledger.pending = Some(pending);
            ledger.note_departures(&me, result);
        })
        .unwrap();
        book.ledger().tombstones.iter().map(|stone| stone.node_id).collect::<Vec<_>>()
    };
    assert_eq!(noted(bury(), StageResult::RolledBack), []);
    assert_eq!(noted(bury(), StageResult::Confirmed), [node(2)]);
    let mut leaves = stage(Course::Local);
    leaves.actions.insert("n1".parse().unwrap(), vec![Action::LeaveCluster {}]);
    assert_eq!(noted(leaves.clone(), StageResult::Failed), [node(2)]);
    assert_eq!(noted(leaves, StageResult::Confirmed), []);
    assert!(book.ledger().ended.is_none(), "nobody of that cluster is answered any more");
}

#[test]
fn a_host_that_joined_remembers_who_had_left_before_and_of_no_other_cluster() {
    let fake = member();
    let me: HostName = "n1".parse().unwrap();
    let stone = |id: u32| Tombstone {
        name: format!("n{id}").parse().unwrap(),
        node_id: node(id),
        machine_id: None,
        keeps_key: None,
        lives_alone: false,
    };
    let mut book = Book::open(Arc::new(MemoryStore::default())).unwrap();
    book.change(|ledger| _ = ledger.tombstones.insert(stone(9))).unwrap();
    let mut starts = stage(Course::Start);
    starts.actions.insert(me.clone(), vec![Action::Join { tombstones: [stone(7)].into() }]);
    for (result, wanted) in [(StageResult::RolledBack, 9), (StageResult::Confirmed, 7)] {
        let pending = pending(&fake, starts.clone(), None);
        book.change(|ledger| {
            ledger.pending = Some(pending);
            ledger.note_departures(&me, result);
        })
        .unwrap();
        let known: Vec<_> = book.ledger().tombstones.iter().map(|gone| gone.node_id).collect();
        assert_eq!(known, [node(wanted)], "{result:?}");
    }
}

#[test]
fn who_became_a_member_owes_the_cluster_its_keys_until_it_has_them_or_the_host_leaves() {
    let fake = member();
    let me: HostName = "n1".parse().unwrap();
    let mut ledger = crate::ledger::Ledger::default();
    let mut noted = |action: Action, result| {
        let mut stage = stage(Course::Local);
        stage.actions.insert(me.clone(), vec![action]);
        ledger.pending = Some(pending(&fake, stage, None));
        ledger.note_arrival(&me, result);
        ledger.unshared
    };
    let join = || Action::Join { tombstones: [].into() };
    assert_eq!(noted(join(), StageResult::RolledBack), None);
    assert_eq!(noted(join(), StageResult::Confirmed), Some(Arrival::Joined));
    assert_eq!(noted(Action::Reload {}, StageResult::Confirmed), Some(Arrival::Joined));
    assert_eq!(noted(Action::LeaveCluster {}, StageResult::Confirmed), None);
    assert_eq!(noted(Action::FormCluster {}, StageResult::Confirmed), Some(Arrival::Formed));
}

#[test]
fn the_ledger_notes_before_a_stage_begins_that_it_brings_a_key() {
    let me: HostName = "n1".parse().unwrap();
    let change = ChangeNumber(7);
    let noted = |action: Action| {
        let actions = [(me.clone(), vec![action])].into();
        let mut ledger = crate::ledger::Ledger::default();
        ledger.note_laying(&me, change, &Stage { actions, ..stage(Course::Local) });
        (ledger.laid, ledger.received)
    };
    assert_eq!(noted(Action::LayAuthkey {}), (Some(change), None));
    assert_eq!(noted(Action::ReceiveAuthkey { generation: 0 }), (None, Some(change)));
    assert_eq!(noted(Action::Reload {}), (None, None));
}
