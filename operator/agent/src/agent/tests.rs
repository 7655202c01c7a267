//! The loop, called by hand.

use super::*;
use crate::fake::{FakeHost, MemoryStore};
use crate::ports::{CardAddress, DiskFile};
use pvecm_core::ids::{ChangeNumber, Digest};
use pvecm_core::protocol::{Phase, Record};

#[test]
fn a_message_counts_only_when_it_comes_from_the_host_that_it_names() {
    let node = |id: u32| NodeId::try_from(id).unwrap();
    let book = Book::open(Arc::new(MemoryStore::default())).unwrap();
    let key = SealingKey::open(&MemoryStore::default()).unwrap();
    let own = (Identity::default(), key);
    let mut agent = Agent::new(FakeHost::fresh().host(), "n1".parse().unwrap(), own, book);
    let message = Message {
        attempt: Attempt { change: ChangeNumber(1), stage: 1, attempt: 1 },
        from: node(2),
        phase: Phase::Going,
        writable: true,
        writer: None,
        over_parent: false,
        key: None,
    };
    let bytes = serde_json::to_vec(&message).unwrap();
    agent.corosync(CorosyncEvent::Message { from: node(3), bytes: bytes.clone() }).unwrap();
    assert!(agent.early.is_empty());
    agent.corosync(CorosyncEvent::Message { from: node(2), bytes }).unwrap();
    assert_eq!(agent.early, vec![(node(2), message)]);
}

/// What a ledger has of a stage that got so far.
pub(super) fn pending(
    fake: &FakeHost,
    (attempt, stage): (Attempt, Stage),
    record: Record,
) -> Pending {
    Pending {
        attempt,
        stage,
        expects: None,
        parent: None,
        datacenter: None,
        daemon: None,
        had_authkey: true,
        keys: None,
        record: Some(record),
        recorded_at: fake.host().clock.now(),
    }
}

/// Everybody but one host that was away may have a new agent by the time it comes back.
#[test]
fn an_agent_that_was_started_after_the_outcome_tells_it_to_a_host_that_asks() {
    let node = |id: u32| NodeId::try_from(id).unwrap();
    let attempt = Attempt { change: ChangeNumber(1), stage: 1, attempt: 1 };
    let (phase, remaining_ms) = (Phase::RolledBack { sentence: "late".to_owned() }, Some(0));
    let record = Record { phase, remaining_ms, writer: None, restored: false, stopped: false };
    let (fake, store) = (FakeHost::member("totem {\n}\n"), Arc::new(MemoryStore::default()));
    let stage = serde_json::from_value(serde_json::json!({
        "summary": "", "risk": "Live", "course": "Write", "group": {"1": "n1", "2": "n2"},
        "joining": {}, "config": {"version": 2, "digest": Digest::of(b""), "text": ""},
        "back": null, "actions": {}, "probes": [], "confirmTimeoutSecs": 30,
    }));
    let pending = pending(&fake, (attempt, stage.unwrap()), record);
    let mut before = Book::open(store.clone()).unwrap();
    before
        .change(|ledger| {
            ledger.pending = Some(pending);
            ledger.note_end(StageResult::RolledBack, fake.host().clock.now());
        })
        .unwrap();

    let key = SealingKey::open(&MemoryStore::default()).unwrap();
    let (own, book) = ((Identity::default(), key), Book::open(store).unwrap());
    let mut agent = Agent::new(fake.host(), "n1".parse().unwrap(), own, book);
    agent.look().unwrap();
    agent.recover().unwrap();
    assert!(!agent.busy());
    let writable = true;
    let (phase, from, key) = (Phase::Going, node(2), None);
    let asks = Message { attempt, from, phase, writable, writer: None, over_parent: false, key };
    let bytes = serde_json::to_vec(&asks).unwrap();
    agent.corosync(CorosyncEvent::Message { from, bytes }).unwrap();
    let said: Vec<Message> =
        fake.world().sent.iter().map(|bytes| serde_json::from_slice(bytes).unwrap()).collect();
    let answers = |said: &Message| matches!(said.phase, Phase::RolledBack { .. });
    assert!(said.last().is_some_and(answers), "{said:?}");
}

#[test]
fn an_address_that_comes_to_a_network_card_is_noticed_by_the_timer() {
    let book = Book::open(Arc::new(MemoryStore::default())).unwrap();
    let key = SealingKey::open(&MemoryStore::default()).unwrap();
    let fake = FakeHost::member("totem {\n  config_version: 1\n}\n");
    let own = (Identity::default(), key);
    let mut agent = Agent::new(fake.host(), "n1".parse().unwrap(), own, book);
    agent.look().unwrap();
    agent.timer().unwrap();
    assert!(!agent.timer().unwrap(), "nothing differs");
    let (interface, cidr) = ("net0".to_owned(), "10.50.0.202/24".to_owned());
    fake.world().cards.push(CardAddress { interface, cidr });
    assert!(agent.timer().unwrap());
}

/// What two machines take for different ones is told, and what leads nowhere is not: nobody needs it.
#[test]
fn a_name_that_comes_to_lead_elsewhere_is_noticed_by_the_timer_and_told() {
    let book = Book::open(Arc::new(MemoryStore::default())).unwrap();
    let key = SealingKey::open(&MemoryStore::default()).unwrap();
    let fake = FakeHost::member("totem {\n  config_version: 1\n}\n");
    let nodes = [("n1", "10.0.0.1"), ("n2", "10.0.0.2"), ("n3", "10.0.0.3")];
    let nodes = nodes.map(|(name, own)| (name.to_owned(), own.parse().unwrap()));
    fake.world().node_addresses = nodes.into();
    let mut agent =
        Agent::new(fake.host(), "n1".parse().unwrap(), (Identity::default(), key), book);
    agent.look().unwrap();
    agent.timer().unwrap();
    assert!(!agent.timer().unwrap(), "nothing differs");
    let resolved = [("n1", &["10.0.0.9"][..]), ("n2", &["10.0.0.9"]), ("n3", &[])];
    let resolved = resolved.map(|(name, told)| {
        (name.to_owned(), told.iter().map(|address| address.parse().unwrap()).collect())
    });
    fake.world().resolved = resolved.into();
    assert!(agent.timer().unwrap());
    let told = crate::observe::status(&Observation::take(&fake.host()), &Identity::default(), None);
    let stray: Vec<_> = told.stray_names.iter().map(|stray| stray.name.as_str()).collect();
    assert_eq!(stray, ["n2"]);
    assert_eq!(told.name_addresses, Some(vec!["10.0.0.9".to_owned()]));
}

#[test]
fn who_missed_a_reload_makes_up_for_it_unless_others_without_quorum_would_read_their_files_too() {
    let old = "totem {\n  config_version: 1\n}\n";
    let fake = FakeHost::member("totem {\n  config_version: 2\n}\n");
    fake.world().running = Some(old.to_owned());
    let mut seen = Observation::take(&fake.host());
    assert!(seen.missed_a_reload());
    let lose = |seen: &mut Observation, members: &[u32]| {
        let corosync = seen.corosync.as_mut().unwrap();
        corosync.quorate = false;
        corosync.members = members.iter().map(|id| NodeId::try_from(*id).unwrap()).collect();
    };
    lose(&mut seen, &[1]);
    assert!(seen.missed_a_reload(), "alone, perhaps because of its keys");
    lose(&mut seen, &[1, 2]);
    assert!(!seen.missed_a_reload());
    let edited = "totem {\n  config_version: 3\n}\n";
    fake.world().disk.insert(DiskFile::Conf, edited.into());
    assert!(!Observation::take(&fake.host()).missed_a_reload(), "the disk has another text");
}
