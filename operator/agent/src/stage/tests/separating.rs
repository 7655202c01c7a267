//! A host that goes on alone, with its guests.

use std::collections::BTreeSet;

use pvecm_core::change::Tombstone;
use pvecm_core::ids::HostName;
use pvecm_core::references::ReferenceKind;

use super::leaving::{listing, member, node};
use super::*;
use crate::stage::leave::the_gone_are_not_needed;

fn act(fake: &FakeHost, config: ConfText, action: Action) -> Result<(), Undone> {
    let ConfText { version, digest, text: _ } = listing(1, &[1, 2]);
    let stage = Stage { config, ..stage(Course::Local) };
    with_task(fake, &pending(fake, stage, Some(Parent { version, digest })), |task| {
        block_on(run_actions(&fake.host(), task, &[action])).map(|_| ())
    })
}

fn may_share(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(ToString::to_string).collect()
}

fn stop(fake: &FakeHost, shared: &[&str]) -> Result<(), Undone> {
    let shared_storages = may_share(shared);
    act(fake, listing(1, &[1, 2]), Action::StopToSeparate { shared_storages })
}

pub(super) fn separate(fake: &FakeHost) -> Result<(), Undone> {
    let shared_storages = may_share(&["san"]);
    act(fake, listing(2, &[2]), Action::Separate { shared_storages })
}

/// n1 with a guest, and a storage that n2 reaches as well.
pub(super) fn with_guest() -> FakeHost {
    let fake = member();
    fake.world().guests.insert(100);
    fake.world().guests_left.insert("qemu-server/100.conf".to_owned());
    let storages = "rbd: san\n\tpool a\n\nzfspool: own\n\tpool b\n\tnodes n1\n".to_owned();
    fake.world().naming.insert(ReferenceKind::Storage, Some(storages));
    fake
}

#[test]
fn a_host_with_guests_stops_and_goes_on_alone_with_its_own_database() {
    let fake = with_guest();
    assert_eq!(stop(&fake, &["san"]), Ok(()));
    assert!(!fake.world().corosync_runs && !fake.world().pmxcfs_runs);
    assert_eq!(separate(&fake), Ok(()));
    let seen = Observation::take(&fake.host());
    assert!(seen.writable && seen.pmxcfs_conf.is_none() && seen.corosync.is_none());
    assert_eq!(seen.guests, [100].into());
    let world = fake.world();
    assert!(world.disk.is_empty(), "nothing that corosync starts with");
    assert_eq!(world.set_aside[&DiskFile::Authkey], b"key");
    let peers: Vec<_> = world.put_away.iter().flatten().map(ToString::to_string).collect();
    assert_eq!(peers, ["n1", "n2"]);
    assert_eq!(world.database_aside, None, "its own stays in use");
    let (_, copy) = world.database_copy.clone().unwrap();
    assert_eq!(copy, Some(listing(1, &[1, 2]).text.into_bytes()));
}

#[test]
fn doing_it_a_second_time_keeps_the_first_copy() {
    let fake = with_guest();
    stop(&fake, &["san"]).unwrap();
    separate(&fake).unwrap();
    assert_eq!(separate(&fake), Ok(()));
    let world = fake.world();
    assert_eq!(world.database_copy.clone().unwrap().1, Some(listing(1, &[1, 2]).text.into_bytes()));
    assert!(world.pmxcfs_runs && world.pmxcfs_conf.is_none());
}

/// The agent was killed while pmxcfs ran outside of the cluster.
#[test]
fn a_pmxcfs_that_an_earlier_life_left_is_ended_first() {
    let fake = with_guest();
    stop(&fake, &["san"]).unwrap();
    block_on(fake.host().services.start_local_pmxcfs()).unwrap();
    assert_eq!(separate(&fake), Ok(()));
    assert!(Observation::take(&fake.host()).writable);
}

#[test]
fn a_host_goes_on_as_a_member_while_a_storage_is_shared_of_which_nobody_spoke() {
    let fake = with_guest();
    let Err(Undone::NotBegun(why)) = stop(&fake, &[]) else { panic!("it stopped") };
    assert!(why.contains("the storage san is shared"), "{why}");
    assert!(fake.world().corosync_runs && fake.world().pmxcfs_runs);
    fake.world().naming.insert(ReferenceKind::Storage, None);
    let Err(Undone::NotBegun(why)) = stop(&fake, &["san"]) else { panic!("it stopped") };
    assert!(why.contains("storage.cfg is not readable"), "{why}");
}

#[test]
fn a_host_goes_on_as_a_member_while_the_cluster_looks_after_one_of_its_guests() {
    let fake = with_guest();
    let resources = "vm: 100\n\tstate started\n".to_owned();
    fake.world().naming.insert(ReferenceKind::HaResource, Some(resources));
    let Err(Undone::NotBegun(why)) = stop(&fake, &["san"]) else { panic!("it stopped") };
    assert!(why.contains("HA resources") && why.contains("vm:100"), "{why}");
    let other = "vm: 200\n\tstate started\n".to_owned();
    fake.world().naming.insert(ReferenceKind::HaResource, Some(other));
    assert_eq!(stop(&fake, &["san"]), Ok(()));
}

/// Without a database that works the guests have no configuration: it is taken back, readable at least.
#[test]
fn a_host_whose_pmxcfs_does_not_come_up_alone_gets_its_database_back() {
    type Spoil = fn(&FakeHost);
    let spoils: [(Spoil, &str); 3] = [
        (|fake| fake.world().local_fails = true, "pmxcfs: failed"),
        (|fake| fake.world().conf_comes_back = true, "is there again"),
        (
            |fake| _ = fake.world().naming.insert(ReferenceKind::Storage, None),
            "storage.cfg is not readable",
        ),
    ];
    for (spoil, said) in spoils {
        let fake = with_guest();
        stop(&fake, &["san"]).unwrap();
        spoil(&fake);
        let Err(Undone::PutBack(why)) = separate(&fake) else { panic!("it went on alone") };
        assert!(why.contains(said), "{why}");
        let world = fake.world();
        assert_eq!(world.pmxcfs_conf, Some(listing(1, &[1, 2]).text.into_bytes()));
        assert!(world.pmxcfs_runs && !world.corosync_runs);
        assert!(!world.disk.contains_key(&DiskFile::Authkey), "nothing starts as a member");
    }
}

#[test]
fn a_host_that_is_listed_beside_others_keeps_everything_and_the_last_one_needs_nobody() {
    let fake = with_guest();
    let separate = |nodes: &[u32]| {
        let action = Action::Separate { shared_storages: may_share(&["san"]) };
        act(&fake, listing(2, nodes), action)
    };
    assert!(matches!(separate(&[1, 2]), Err(Undone::NotBegun(_))));
    assert!(fake.world().corosync_runs && !fake.world().disk.is_empty());
    assert_eq!(separate(&[1]), Ok(()));
    assert!(!fake.world().corosync_runs);
}

fn gone() -> Tombstone {
    let (name, machine_id, keeps_key) = ("n2".parse().unwrap(), None, None);
    Tombstone { name, node_id: node(2), machine_id, keeps_key, lives_alone: true }
}

fn bury() -> Stage {
    let mut stage = Stage { config: listing(2, &[1]), ..stage(Course::Write) };
    stage.group = [(node(1), "n1".parse().unwrap())].into();
    stage.actions.insert("n1".parse().unwrap(), vec![Action::Bury(gone())]);
    stage
}

/// Who stays looks again before it agrees: what one side alone knows may be old.
#[test]
fn the_guests_of_one_that_goes_on_alone_do_not_hold_it_and_the_clusters_word_for_them_does() {
    let fake = with_guest();
    let needed = || the_gone_are_not_needed(&fake.host(), &bury());
    assert_eq!(needed(), Ok(()));
    let resources = "vm: 100\n\tstate started\n".to_owned();
    fake.world().naming.insert(ReferenceKind::HaResource, Some(resources));
    assert!(needed().unwrap_err().contains("HA resources name n2"));
    fake.world().naming.remove(&ReferenceKind::HaResource);
    let own = "dir: own\n\tpath /a\n\tnodes n2\n".to_owned();
    fake.world().naming.insert(ReferenceKind::Storage, Some(own.clone()));
    assert_eq!(needed(), Ok(()));
    fake.world().naming.insert(ReferenceKind::Storage, Some(own.replace("n2", "n1,n2")));
    assert!(needed().unwrap_err().contains("storages name n2"));
}

#[test]
fn what_the_cluster_keeps_of_its_guests_is_put_away_with_the_rest_of_it() {
    let fake = FakeHost::member(&listing(2, &[1]).text);
    fake.world().guests_left.insert("qemu-server/100.conf".to_owned());
    let sweep = |gone: Tombstone| {
        let ConfText { version, digest, text: _ } = listing(2, &[1]);
        let stage = Stage { config: listing(2, &[1]), ..stage(Course::Local) };
        with_task(&fake, &pending(&fake, stage, Some(Parent { version, digest })), |task| {
            block_on(run_actions(&fake.host(), task, &[Action::Sweep(gone)])).map(|_| ())
        })
    };
    let stayed = sweep(Tombstone { lives_alone: false, ..gone() });
    assert!(matches!(stayed, Err(Undone::NotBegun(_))), "{stayed:?}");
    assert_eq!(sweep(gone()), Ok(()));
    assert_eq!(fake.world().swept, [gone()]);
}

#[test]
fn one_that_went_on_alone_forgets_the_cluster_and_its_key_is_forgotten_there() {
    let me: HostName = "n1".parse().unwrap();
    let fake = member();
    let mut book = Book::open(Arc::new(MemoryStore::default())).unwrap();
    let mut noted = |stage: Stage| {
        let pending = pending(&fake, stage, None);
        book.change(|ledger| {
            for host in ["n1", "n2"] {
                ledger.pinned.insert(host.parse().unwrap(), "age1".to_owned());
            }
            ledger.pending = Some(pending);
            ledger.note_departures(&me, StageResult::Confirmed);
        })
        .unwrap();
        let pinned: Vec<_> = book.ledger().pinned.keys().map(ToString::to_string).collect();
        (book.ledger().tombstones.len(), pinned)
    };
    assert_eq!(noted(bury()), (1, vec!["n1".to_owned()]));
    let mut goes = stage(Course::Local);
    let shared_storages = BTreeSet::new();
    goes.actions.insert(me.clone(), vec![Action::Separate { shared_storages }]);
    assert_eq!(noted(goes).0, 0);
}
