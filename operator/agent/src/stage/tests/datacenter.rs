//! datacenter.cfg: what is written, over what, and how it is undone.

use pvecm_core::datacenter::{DatacenterWrite, Traffic, Transfer, TransferType};
use pvecm_core::ids::Digest;

use super::*;
use crate::ports::CardAddress;
use crate::stage::datacenter::{checks, which, write, write_back};

const OLD: &str = "# ours\r\nkeyboard: de\r\nodd line\nmigration: insecure\r\n";
const NEW: &str = "# ours\r\nkeyboard: de\r\nodd line\nmigration: secure,network=10.2.0.0/24\r\n";
const BY_HAND: &str = "keyboard: fr\n";

/// A stage that changes one line of this file.
fn changing(parent: &str) -> Stage {
    let network = Some("10.2.0.0/24".parse().unwrap());
    let line = Some(Transfer { kind: TransferType::Secure, network });
    let parent = Digest::of(parent.as_bytes());
    let write = DatacenterWrite { parent, lines: [(Traffic::Migration, line)].into() };
    let actions = [("n1".parse().unwrap(), vec![Action::WriteDatacenterConfig(write)])];
    Stage { config: conf(1), back: None, actions: actions.into(), ..stage(Course::Datacenter) }
}

/// A member with one address in the network.
fn member() -> FakeHost {
    let fake = FakeHost::member(&text(1));
    fake.world().datacenter = OLD.into();
    fake.world().cards = ["10.50.0.1/24", "10.2.0.1/24"].map(card).into();
    fake
}

fn card(cidr: &str) -> CardAddress {
    CardAddress { interface: "eth1".to_owned(), cidr: cidr.to_owned() }
}

fn file(fake: &FakeHost) -> String {
    String::from_utf8(fake.world().datacenter.clone()).unwrap()
}

fn ready(fake: &FakeHost) -> Pending {
    pending(fake, changing(OLD), Some(parent()))
}

fn checked(fake: &FakeHost, pending: &Pending) -> Result<(), String> {
    checks(pending, &Observation::take(&fake.host()))
}

#[test]
fn a_stage_is_confirmed_when_the_new_file_is_read_and_every_other_byte_is_as_it_was() {
    let mut lone = Lone::begin(member(), Arc::default(), changing(OLD));
    assert_eq!(lone.result(), StageResult::Confirmed);
    assert_eq!(file(&lone.fake), NEW);
    assert_eq!(lone.fake.world().reloads, 0, "no daemon is touched");
    assert_eq!(lone.fake.world().pmxcfs_conf.as_deref(), Some(text(1).as_bytes()));
}

#[test]
fn an_agent_that_is_killed_at_any_moment_leaves_one_of_the_two_files() {
    let mut ends = BTreeMap::new();
    for turns in 0..40 {
        let store: Arc<MemoryStore> = Arc::default();
        let mut lone = Lone::begin(member(), store.clone(), changing(OLD));
        for _ in 0..turns {
            lone.turn();
        }
        let fake = lone.fake.clone();
        drop(lone);
        fake.world().sent.clear();
        let mut again = Lone::begin(fake, store, changing(OLD));
        let result = again.result();
        let wanted = if result == StageResult::Confirmed { NEW } else { OLD };
        assert_eq!(file(&again.fake), wanted, "{turns}: {result:?}");
        *ends.entry(format!("{result:?}")).or_insert(0) += 1;
    }
    assert!(ends.contains_key("Confirmed"), "{ends:?}");
}

/// The web interface writes this file at any time.
#[test]
fn what_a_person_writes_while_the_lock_is_waited_for_stays() {
    let fake = member();
    let pending = ready(&fake);
    fake.world().datacenter_meanwhile = Some(BY_HAND.into());
    let failed = block_on(write(&fake.host(), &pending));
    assert_eq!(failed.unwrap_err(), "/etc/pve/datacenter.cfg was changed by somebody else");
    assert_eq!(file(&fake), BY_HAND);
    fake.world().datacenter = NEW.into();
    fake.world().datacenter_meanwhile = Some(BY_HAND.into());
    assert_eq!(block_on(write_back(&fake.host(), &pending)), Ok(InForce::Other));
    assert_eq!(file(&fake), BY_HAND);
}

#[test]
fn the_old_bytes_go_back_over_the_new_ones_and_a_second_time_there_is_nothing_to_do() {
    let fake = member();
    let pending = ready(&fake);
    for _ in 0..2 {
        assert_eq!(block_on(write(&fake.host(), &pending)), Ok(()));
        assert_eq!(file(&fake), NEW);
    }
    for _ in 0..2 {
        assert_eq!(block_on(write_back(&fake.host(), &pending)), Ok(InForce::Back));
        assert_eq!(file(&fake), OLD);
    }
}

#[test]
fn a_lock_that_another_program_holds_or_a_write_that_does_not_come_through_is_told() {
    let (held, refused) = (member(), member());
    held.world().foreign_lock = true;
    refused.world().refuses_datacenter = true;
    for (fake, word) in [(held, "cannot take the lock on datacenter.cfg"), (refused, "no quorum")] {
        let pending = ready(&fake);
        let why = block_on(write(&fake.host(), &pending)).unwrap_err();
        assert!(why.contains(word), "{why}");
        assert_eq!(file(&fake), OLD);
    }
}

/// What the operator knows of the addresses may be a minute old.
#[test]
fn a_host_without_exactly_one_address_in_the_network_does_not_vote_for_it() {
    let fake = member();
    let pending = ready(&fake);
    assert_eq!(checked(&fake, &pending), Ok(()));
    fake.world().cards.push(card("10.2.0.9/24"));
    let two = checked(&fake, &pending).unwrap_err();
    assert!(two.contains("10.2.0.1 and 10.2.0.9"), "{two}");
    fake.world().cards.clear();
    assert!(checked(&fake, &pending).unwrap_err().ends_with("there is: none"));
}

#[test]
fn a_host_with_another_file_than_the_plan_starts_from_does_not_vote_for_it() {
    let fake = member();
    let before = ready(&fake);
    fake.world().datacenter = BY_HAND.into();
    assert!(checked(&fake, &before).unwrap_err().contains("changed just before the stage"));
    let after = ready(&fake);
    assert!(checked(&fake, &after).unwrap_err().contains("another file than the one"));
    assert_eq!(which(&after, Some(BY_HAND.as_bytes())), Some(InForce::Other));
    let unread = Pending { datacenter: None, ..ready(&fake) };
    assert!(checked(&fake, &unread).unwrap_err().contains("cannot be read"));
    let mut lone = Lone::begin(fake, Arc::default(), changing(OLD));
    assert_eq!(lone.result(), StageResult::Refused);
    assert_eq!(file(&lone.fake), BY_HAND);
}
