//! The exchange of the authkey, on one host whose daemon reads its key with every reload.

use super::*;
use crate::ports::Corosync;

const OLD: &[u8] = b"the old key";

fn exchange_stage() -> Stage {
    let exchange = vec![Action::ExchangeAuthkey { generation: 4 }];
    Stage { actions: [("n1".parse().unwrap(), exchange)].into(), ..stage(Course::Write) }
}

/// A member with its key, and a new one beside it.
fn ready() -> (FakeHost, Vec<u8>) {
    let fake = FakeHost::member(&text(1));
    fake.world().disk.insert(DiskFile::Authkey, OLD.into());
    fake.reload().unwrap();
    with_task(&fake, &pending(&fake, stage(Course::Local), Some(parent())), |task| {
        let make = Action::MakeAuthkey { receivers: BTreeMap::new() };
        block_on(run_actions(&fake.host(), task, &[make])).unwrap();
    });
    let new = fake.world().disk[&DiskFile::NewAuthkey].clone();
    (fake, new)
}

fn start(fake: FakeHost, store: Arc<MemoryStore>) -> Lone {
    Lone::begin(fake, store, exchange_stage())
}

fn key(fake: &FakeHost) -> Vec<u8> {
    fake.world().disk[&DiskFile::Authkey].clone()
}

fn copies(fake: &FakeHost) -> Vec<DiskFile> {
    let all = [DiskFile::NewAuthkey, DiskFile::OldAuthkey];
    all.into_iter().filter(|file| fake.world().disk.contains_key(file)).collect()
}

#[test]
fn a_new_key_lies_beside_the_old_one_and_is_sealed_for_each_receiver_alone() {
    let fake = FakeHost::member(&text(1));
    fake.world().disk.insert(DiskFile::Authkey, OLD.into());
    let others = [(); 2].map(|()| SealingKey::open(&MemoryStore::default()).unwrap());
    let names = ["n2", "n3"].map(|name| name.parse().unwrap());
    let receivers: BTreeMap<_, _> =
        names.into_iter().zip(others.iter().map(SealingKey::public)).collect();
    let make = Action::MakeAuthkey { receivers };
    let pending = pending(&fake, stage(Course::Local), Some(parent()));
    let sealed = with_task(&fake, &pending, |task| {
        block_on(run_actions(&fake.host(), task, &[make])).unwrap()
    });
    let new = fake.world().disk[&DiskFile::NewAuthkey].clone();
    assert_eq!((new.len(), key(&fake).as_slice()), (256, OLD));
    for (own, sealed) in others.iter().zip(sealed.values()) {
        assert_eq!(own.open_sealed(sealed).unwrap(), new);
    }
    assert!(others[1].open_sealed(&sealed[&"n2".parse().unwrap()]).is_err());
}

#[test]
fn no_new_key_is_made_for_a_host_whose_sealing_key_is_another_one_than_before() {
    let fake = FakeHost::member(&text(1));
    let pending = pending(&fake, stage(Course::Local), Some(parent()));
    let receivers = BTreeMap::from([("n2".parse().unwrap(), "age1new".to_owned())]);
    let pinned = BTreeMap::from([("n2".parse().unwrap(), "age1old".to_owned())]);
    with_task(&fake, &pending, |task| {
        let task = Task { pinned: &pinned, ..*task };
        let make = [Action::MakeAuthkey { receivers }];
        let result = block_on(run_actions(&fake.host(), &task, &make));
        assert!(matches!(result, Err(Undone::NotBegun(_))));
    });
    assert!(copies(&fake).is_empty());
}

#[test]
fn a_key_that_was_sealed_for_this_host_lies_beside_the_one_in_force() {
    let fake = FakeHost::member(&text(1));
    fake.world().disk.insert(DiskFile::Authkey, OLD.into());
    let pending = pending(&fake, stage(Course::Local), Some(parent()));
    with_task(&fake, &pending, |task| {
        block_on(run_actions(&fake.host(), task, &[Action::LayAuthkey {}])).unwrap();
    });
    assert_eq!(fake.world().disk[&DiskFile::NewAuthkey], b"secret");
    assert_eq!(key(&fake), OLD);
}

#[test]
fn the_daemon_runs_the_new_key_in_the_end_and_no_copy_is_left() {
    let (fake, new) = ready();
    let mut lone = start(fake, Arc::default());
    assert_eq!(lone.result(), StageResult::Confirmed);
    assert_eq!(lone.fake.world().daemon_key.as_ref(), Some(&new));
    assert_eq!(key(&lone.fake), new);
    assert!(copies(&lone.fake).is_empty());
}

#[test]
fn an_agent_that_is_killed_at_any_moment_ends_the_exchange_with_one_key_on_disk_and_in_the_daemon()
{
    let mut ends = BTreeMap::new();
    for turns in 0..60 {
        let (fake, new) = ready();
        let store: Arc<MemoryStore> = Arc::default();
        let mut lone = start(fake, store.clone());
        for _ in 0..turns {
            lone.turn();
        }
        let fake = lone.fake.clone();
        drop(lone);
        fake.world().sent.clear();
        let mut again = start(fake, store);
        let result = again.result();
        let wanted = if result == StageResult::Confirmed { new } else { OLD.to_vec() };
        assert_eq!(again.fake.world().daemon_key.as_ref(), Some(&wanted), "{turns}");
        assert_eq!(key(&again.fake), wanted, "{turns}");
        assert!(copies(&again.fake).is_empty(), "{turns}");
        *ends.entry(format!("{result:?}")).or_insert(0) += 1;
    }
    assert!(ends.contains_key("Confirmed"), "{ends:?}");
}

#[test]
fn a_disk_that_takes_no_key_leaves_everything_as_it_was() {
    let (fake, _) = ready();
    fake.world().refuses_key = true;
    let reloads = fake.world().reloads;
    let mut lone = start(fake, Arc::default());
    assert_eq!(lone.result(), StageResult::RolledBack);
    assert_eq!(key(&lone.fake), OLD);
    assert_eq!(lone.fake.world().reloads, reloads, "nobody read a key meanwhile");
    assert!(copies(&lone.fake).is_empty());
}

#[test]
fn an_exchange_without_a_new_key_or_with_a_lock_that_somebody_keeps_does_not_begin() {
    let (missing, _) = ready();
    missing.world().disk.remove(&DiskFile::NewAuthkey);
    let (held, _) = ready();
    held.world().foreign_lock = true;
    for fake in [missing, held] {
        let mut lone = start(fake, Arc::default());
        assert_eq!(lone.result(), StageResult::Refused);
        assert_eq!(key(&lone.fake), OLD);
        assert_eq!(lone.fake.world().pmxcfs_conf.as_deref(), Some(text(1).as_bytes()));
        assert!(copies(&lone.fake).is_empty());
    }
}

#[test]
fn a_key_that_somebody_put_there_meanwhile_is_not_replaced() {
    let (fake, _) = ready();
    let before = pending(&fake, exchange_stage(), Some(parent()));
    fake.world().disk.insert(DiskFile::Authkey, b"by hand".to_vec());
    let lay = |key| keys::Exchange::default().lay(&fake.host(), before.keys.as_ref(), key);
    assert!(lay(pvecm_core::protocol::Key::New).is_err());
    assert_eq!(key(&fake), b"by hand");
}

#[test]
fn the_new_key_counts_as_taken_only_when_every_link_has_outlived_the_exchange() {
    let (fake, new) = ready();
    let probes = vec![pvecm_core::change::Probe::AuthkeyTaken {}];
    let pending = pending(&fake, Stage { probes, ..exchange_stage() }, Some(parent()));
    let mut seen = Observation::take(&fake.host());
    let timeout = ("runtime.config.totem.interface.0.knet_ping_timeout", "1500");
    let values = &mut seen.corosync.as_mut().unwrap().values;
    values.insert(timeout.0.to_owned(), timeout.1.to_owned());
    let mut proof = keys::Proof::default();
    assert!(proof.judge(&pending, &seen, (Ok(()), 0)).is_err(), "the old key lies there");
    seen.authkey = Some(pvecm_core::ids::Fingerprint::of(&new));
    assert!(proof.judge(&pending, &seen, (Ok(()), 1_000)).is_err());
    assert!(proof.judge(&pending, &seen, (Ok(()), 2_499)).is_err());
    assert!(proof.judge(&pending, &seen, (Err("a link is down".to_owned()), 2_450)).is_err());
    assert!(proof.judge(&pending, &seen, (Ok(()), 2_500)).is_err(), "it begins anew");
    assert_eq!(proof.judge(&pending, &seen, (Ok(()), 4_000)), Ok(()));
}

#[test]
fn a_lock_that_was_given_back_before_it_was_taken_is_not_kept() {
    let (fake, _) = ready();
    let exchange = keys::Exchange::default();
    exchange.want_lock();
    assert!(exchange.take_lock().is_none());
    block_on(exchange.lock(&fake.host(), 0)).unwrap();
    assert!(exchange.take_lock().is_none());
    exchange.want_lock();
    block_on(exchange.lock(&fake.host(), 0)).unwrap();
    assert!(exchange.take_lock().is_some());
}

#[test]
fn a_key_of_another_hand_counts_as_neither_of_the_two() {
    let (fake, new) = ready();
    let kept = keys::laid(&fake.host());
    let lies = || keys::lying(&fake.host(), kept.as_ref()).unwrap().lies;
    assert_eq!(lies(), Some(pvecm_core::protocol::Key::Old));
    fake.world().disk.insert(DiskFile::Authkey, new);
    assert_eq!(lies(), Some(pvecm_core::protocol::Key::New));
    fake.world().disk.insert(DiskFile::Authkey, b"by hand".to_vec());
    assert_eq!(lies(), None);
}
