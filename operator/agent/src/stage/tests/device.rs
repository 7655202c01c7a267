//! The actions of the QDevice.

use pvecm_core::ids::Digest;

use super::*;
use crate::fake::{Device, certificate};
use crate::ports::{Certificates, KeptCertificate, Unit};

/// A member of a cluster whose corosync runs with a device.
fn member() -> FakeHost {
    let fake = FakeHost::member(&text(1));
    let model = ("quorum.device.model".to_owned(), "net".to_owned());
    fake.world().cmap.extend([model]);
    fake
}

fn act(fake: &FakeHost, action: Action) -> Result<(), Undone> {
    with_task(fake, &pending(fake, stage(Course::Local), Some(parent())), |task| {
        block_on(run_actions(&fake.host(), task, &[action])).map(|_| ())
    })
}

fn request(fake: &FakeHost) -> Result<(), Undone> {
    act(
        fake,
        Action::RequestCertificate {
            cluster: "prod".parse().unwrap(),
            authority: "authority".to_owned(),
            witness: "10.0.0.9".parse().unwrap(),
            generation: 2,
        },
    )
}

fn start(fake: &FakeHost) -> Result<(), Undone> {
    act(fake, Action::StartDevice {})
}

fn stop(fake: &FakeHost) -> Result<(), Undone> {
    act(fake, Action::StopDevice {})
}

fn refusal(done: Result<(), Undone>) -> String {
    let Err(Undone::NotBegun(why)) = done else { panic!("not refused: {done:?}") };
    why
}

#[test]
fn a_node_asks_takes_what_was_issued_and_starts_with_it() {
    let fake = member();
    assert_eq!(request(&fake), Ok(()));
    let asked = KeptCertificate {
        authority: Digest::of(b"authority"),
        generation: 2,
        is_issued: false,
        request: Some("request of prod".to_owned()),
    };
    assert_eq!(fake.lying().laid, Some(asked));
    assert!(!fake.lying().has_one());
    assert_eq!(act(&fake, Action::TakeCertificate {}), Ok(()));
    assert!(fake.lying().in_use.is_none(), "a daemon that is started now has what it had");
    assert_eq!(start(&fake), Ok(()));
    let world = fake.world();
    assert_eq!(world.device.lying.in_use.as_ref().map(|kept| kept.generation), Some(2));
    assert!(world.device.runs && world.device.enabled.contains(&Unit::Qdevice));
}

/// With the stanza in force the votes of a witness that nobody reaches are expected and never cast.
#[test]
fn a_witness_that_is_not_reached_is_found_before_anything_is_made() {
    let fake = member();
    fake.world().device.refuses = Some("10.0.0.9".parse().unwrap());
    let why = refusal(request(&fake));
    for said in ["10.0.0.9:5403", "connection refused", "IN ACCEPT -p tcp -dport 5403"] {
        assert!(why.contains(said), "{why}");
    }
    assert_eq!(fake.lying().laid, None);
    fake.world().device = Device { is_missing: true, ..Device::default() };
    assert!(refusal(request(&fake)).contains("corosync-qdevice is not installed"));
}

/// What a plan starts from is looked at by every host, not by the planner alone.
#[test]
fn where_another_text_is_in_force_nothing_is_done_to_the_device() {
    for action in [
        Action::TakeCertificate {},
        Action::StartDevice {},
        Action::StopDevice {},
        Action::PutDeviceAway {},
    ] {
        let fake = member();
        fake.world().device = Device::voting();
        fake.world().pmxcfs_conf = Some(text(5).into());
        assert!(refusal(act(&fake, action)).contains("/etc/pve/corosync.conf"));
        assert!(fake.world().device.runs && fake.lying().in_use.is_some());
    }
    let fake = member();
    fake.world().pmxcfs_conf = Some(text(5).into());
    assert!(refusal(request(&fake)).contains("/etc/pve/corosync.conf"));
}

fn import(task: &Task<'_>, fake: &FakeHost) -> Result<(), Undone> {
    let import = Action::ImportCertificate {
        cluster: "prod".parse().unwrap(),
        authority: "authority".to_owned(),
        witness: "10.0.0.9".parse().unwrap(),
        generation: 2,
        recipient: "age1n1".to_owned(),
    };
    block_on(run_actions(&fake.host(), task, &[import])).map(|_| ())
}

#[test]
fn a_node_takes_the_key_of_its_cluster_that_was_sealed_for_it_and_starts_with_it() {
    let fake = member();
    let pending = pending(&fake, stage(Course::Local), Some(parent()));
    assert_eq!(with_task(&fake, &pending, |task| import(task, &fake)), Ok(()));
    let taken = KeptCertificate { authority: Digest::of(b"authority"), ..certificate(2) };
    assert_eq!(fake.lying().laid, Some(taken.clone()));
    assert_eq!(start(&fake), Ok(()));
    assert_eq!(fake.lying().in_use, Some(taken));
}

/// Votes that nobody casts, if a node found out only at its start.
#[test]
fn a_key_that_is_none_that_is_sealed_for_another_host_or_of_a_witness_out_of_reach_is_refused() {
    let fake = member();
    let pending = pending(&fake, stage(Course::Local), Some(parent()));
    let refused = |sealed: Option<&str>| {
        let import = |task: &Task<'_>| import(&Task { sealed, ..*task }, &fake);
        refusal(with_task(&fake, &pending, import))
    };
    assert!(refused(None).contains("nothing was sealed for this host"));
    let other = SealingKey::open(&MemoryStore::default()).unwrap();
    let sealed = seal(&other.public(), b"secret").unwrap();
    assert!(refused(Some(&sealed)).contains("cannot decrypt"));
    fake.world().device.refuses = Some("10.0.0.9".parse().unwrap());
    let why = refusal(with_task(&fake, &pending, |task| import(task, &fake)));
    assert!(why.contains("does not reach the witness at 10.0.0.9:5403/tcp"), "{why}");
    assert_eq!(fake.lying().laid, None);
}

#[test]
fn a_certificate_that_does_not_fit_is_refused() {
    let fake = member();
    assert!(refusal(act(&fake, Action::TakeCertificate {})).contains("another key"));
}

#[test]
fn without_a_certificate_only_one_that_an_earlier_change_left_is_taken() {
    let fake = member();
    let take = || {
        with_task(&fake, &pending(&fake, stage(Course::Local), Some(parent())), |task| {
            let task = Task { certificate: None, ..*task };
            block_on(run_actions(&fake.host(), &task, &[Action::TakeCertificate {}])).map(|_| ())
        })
    };
    assert!(refusal(take()).contains("no certificate was issued"));
    fake.world().device.lying.laid = Some(certificate(2));
    assert_eq!(take(), Ok(()));
}

/// A daemon without its stanza or its certificate ends at its start, and corosync takes it for registered.
#[test]
fn a_daemon_is_not_started_without_its_stanza_or_a_certificate() {
    let fake = member();
    assert!(refusal(start(&fake)).contains("no certificate"));
    fake.world().device.lying.in_use = Some(certificate(1));
    fake.world().cmap.clear();
    assert!(refusal(start(&fake)).contains("without a device"));
    let world = fake.world();
    assert_eq!((world.device.starts, world.device.enabled.len()), (0, 0));
}

#[test]
fn a_daemon_that_votes_with_the_newest_certificate_is_left_alone() {
    let fake = member();
    fake.world().device = Device::voting();
    assert_eq!(start(&fake), Ok(()));
    assert_eq!(fake.world().device.starts, 0);
    fake.world().device.lying.laid = Some(certificate(2));
    assert_eq!(start(&fake), Ok(()));
    assert_eq!(fake.world().device.starts, 1, "another one lies beside");
    assert_eq!(fake.lying().in_use, Some(certificate(2)));
}

/// What a command returned is no evidence: only what corosync counts is.
#[test]
fn a_daemon_that_gets_no_vote_in_time_is_taken_back_with_its_certificate() {
    for fails in
        [|device: &mut Device| device.ends = true, |device: &mut Device| device.is_alone = true]
    {
        let fake = member();
        fake.world().device.lying.in_use = Some(certificate(1));
        fake.world().device.lying.laid = Some(certificate(2));
        fails(&mut fake.world().device);
        let ended = start(&fake);
        assert!(matches!(ended, Err(Undone::PutBack(_))), "{ended:?}");
        let world = fake.world();
        assert!(!world.device.runs && world.device.enabled.is_empty());
        assert_eq!(world.device.lying.in_use, Some(certificate(1)));
        assert_eq!(world.device.lying.laid, Some(certificate(2)));
    }
}

/// Other certificates that are of no use are no reason to lose the vote that there is.
#[test]
fn a_daemon_that_had_a_vote_goes_on_with_its_old_certificate() {
    let fake = member();
    fake.world().device = Device { is_alone: true, ..Device::voting() };
    fake.world().device.lying.laid = Some(certificate(2));
    let ended = start(&fake);
    assert!(matches!(ended, Err(Undone::PutBack(_))), "{ended:?}");
    let world = fake.world();
    assert!(world.device.runs && world.device.enabled.contains(&Unit::Qdevice));
    assert_eq!(world.device.lying.in_use, Some(certificate(1)));
}

/// The text without the stanza follows: votes that are counted longer are counted twice in what the guards prove.
#[test]
fn a_daemon_has_stopped_when_its_votes_are_counted_no_more() {
    let fake = member();
    fake.world().device = Device::voting();
    assert_eq!(stop(&fake), Ok(()));
    assert!(!fake.world().device.runs && fake.world().device.enabled.is_empty());
    assert_eq!(stop(&fake), Ok(()));

    fake.world().device = Device { lingers: true, ..Device::voting() };
    let ended = stop(&fake);
    assert!(
        matches!(&ended, Err(Undone::PutBack(why)) if why.contains("still counts")),
        "{ended:?}"
    );
    assert!(fake.world().device.runs && fake.world().device.enabled.contains(&Unit::Qdevice));
}

#[test]
fn certificates_go_when_corosync_knows_of_no_device() {
    let fake = member();
    fake.world().device = Device::voting();
    assert!(refusal(act(&fake, Action::PutDeviceAway {})).contains("still runs with the device"));
    fake.world().cmap.clear();
    assert_eq!(act(&fake, Action::PutDeviceAway {}), Ok(()));
    assert!(fake.lying().in_use.is_none() && fake.world().device.enabled.is_empty());
}

/// A machine that left and still has them could go on speaking for the cluster.
#[test]
fn whoever_leaves_puts_its_device_away() {
    let fake = leaving::member();
    fake.world().device = Device::voting();
    leaving::put_away(&fake).unwrap();
    let alone = separating::with_guest();
    alone.world().device = Device::voting();
    separating::separate(&alone).unwrap();
    let joined = member();
    joined.world().device = Device::voting();
    let pending = pending(&joined, stage(Course::Start), Some(parent()));
    block_on(undo_join(&joined.host(), pending.attempt)).unwrap();
    for fake in [fake, alone, joined] {
        let world = fake.world();
        assert!(world.device.enabled.is_empty() && !world.device.runs);
        assert_eq!(world.device.put_away, 1);
    }
}
