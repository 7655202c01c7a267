//! What is planned of a QDevice.

use std::collections::BTreeMap;

use super::goldens::{blocks, proven, round, settles};
use super::world::{World, host};
use crate::change::{Action, Course, Plan, Proposed, Stage};
use crate::conf::{Config, LinkMode};
use crate::device::{
    AlgorithmWish, Authority, CertificateView, DeviceView, DeviceWish, LaidView, SecretView, Voter,
    WantedDevice, WitnessView,
};
use crate::ids::Digest;
use crate::plan::{Blocker, is_managed, plan, wishes};

/// The votes that a text expects of a device.
pub(crate) fn device_votes(config: &Config) -> u64 {
    let of_nodes = config.nodes.iter().map(|node| u64::from(node.votes())).sum();
    config.quorum.device.as_ref().map_or(0, |device| device.votes_of(of_nodes))
}

fn authority(certificate: &str) -> Authority {
    let fingerprint = Digest::of(certificate.as_bytes());
    Authority { certificate: certificate.to_owned(), fingerprint }
}

impl World {
    /// The same cluster with a witness, and a wish for its vote.
    pub fn witnessed(mut self, algorithm: AlgorithmWish) -> Self {
        let voter = Voter::Managed { witness: "w1".parse().unwrap(), address: None };
        self.desired.device =
            Some(DeviceWish::Present(WantedDevice { voter, algorithm, generation: 0 }));
        self.observed.witness = Some(WitnessView {
            connected: true,
            is_witness: true,
            paused: false,
            serves: true,
            addresses: vec!["10.9.0.9".parse().unwrap()],
            authority: Some(authority("w1's own")),
            names: BTreeMap::new(),
            certificates: BTreeMap::new(),
        });
        self
    }

    /// The same with all of it done.
    pub fn voting(self, algorithm: AlgorithmWish) -> Self {
        let mut world = self.witnessed(algorithm);
        round(&mut world);
        settles(&world);
        world
    }

    pub fn witness(&mut self) -> &mut WitnessView {
        self.observed.witness.as_mut().unwrap()
    }

    pub fn wanted(&mut self) -> &mut WantedDevice {
        match self.desired.device.as_mut() {
            Some(DeviceWish::Present(device)) => device,
            Some(DeviceWish::Absent) | None => panic!("no device is wanted"),
        }
    }

    /// The same wish of a `QNetd` that somebody else runs, with what a Secret holds for it.
    pub fn lent(mut self) -> Self {
        let address = "10.9.0.77".parse().unwrap();
        self.wanted().voter = Voter::External { address, secret: "qnetd".to_owned() };
        self.observed.witness = None;
        self.observed.secret = Some(SecretView::Usable(authority("the QNetd's own")));
        self
    }

    /// What hosts make of the device's actions.
    pub(super) fn act_on_device(&mut self, stage: &Stage) {
        for (host, actions) in &stage.actions {
            let device = &mut self.observed.hosts.get_mut(host).unwrap().device;
            for action in actions {
                match action {
                    Action::RequestCertificate { authority, generation, .. } => {
                        let authority = Digest::of(authority.as_bytes());
                        let certificate = CertificateView { authority, generation: *generation };
                        device.laid =
                            Some(LaidView { certificate, request: Some("asks".to_owned()) });
                    }
                    Action::TakeCertificate {} => device.laid.as_mut().unwrap().request = None,
                    Action::ImportCertificate { authority, generation, .. } => {
                        let authority = Digest::of(authority.as_bytes());
                        let certificate = CertificateView { authority, generation: *generation };
                        device.laid = Some(LaidView { certificate, request: None });
                    }
                    Action::StartDevice {} => {
                        if let Some(laid) = device.laid.take() {
                            assert_eq!(laid.request, None);
                            device.certificate = Some(laid.certificate);
                        }
                        assert!(device.certificate.is_some(), "{host} has no certificate");
                        (device.enabled, device.alive, device.casts) = (true, true, true);
                    }
                    Action::StopDevice {} => {
                        (device.enabled, device.alive, device.casts) = (false, false, false);
                    }
                    Action::PutDeviceAway {} => *device = DeviceView::default(),
                    _other => {}
                }
            }
        }
    }

    fn casting(&self) -> Vec<&str> {
        let casts = self.observed.hosts.values().filter(|view| view.device.casts);
        casts.map(|view| view.hostname.as_str()).collect()
    }
}

fn of_two() -> World {
    World::running(2, &[0])
}

fn summaries(plan: &Plan<Proposed>) -> Vec<&str> {
    plan.stages.iter().map(|stage| stage.summary.as_str()).collect()
}

#[test]
fn a_device_is_put_on_with_a_certificate_for_each_node_and_taken_away_without_a_trace() {
    let mut world = of_two().witnessed(AlgorithmWish::Auto);
    insta::assert_snapshot!("device_on", round(&mut world));
    settles(&world);
    assert_eq!(world.casting(), ["n1", "n2"]);
    world.desired.device = Some(DeviceWish::Absent);
    insta::assert_snapshot!("device_off", round(&mut world));
    settles(&world);
    assert!(world.observed.hosts.values().all(|view| view.device == DeviceView::default()));
}

#[test]
fn a_device_follows_the_parity_of_a_cluster_that_grows_and_shrinks() {
    let mut world = World::running(2, &[0]).voting(AlgorithmWish::Auto);
    let all = World::new(4);
    for (nodes, votes) in [(3, 0), (4, 1), (3, 0), (2, 1)] {
        for (name, view) in &all.observed.hosts {
            world.observed.hosts.entry(name.clone()).or_insert_with(|| view.clone());
        }
        world.desired.nodes = all.desired.nodes[..nodes].to_vec();
        let shown = round(&mut world);
        assert_eq!(device_votes(&world.text()), votes, "{shown}");
        assert_eq!(world.casting().len(), if votes == 1 { nodes } else { 0 }, "{shown}");
        let gone = world.observed.hosts.values_mut().filter(|view| view.is_empty());
        gone.for_each(|view| view.device = DeviceView::default());
        settles(&world);
    }
}

#[test]
fn no_vote_of_the_device_is_there_while_members_move() {
    let mut world = World::running(2, &[0]).voting(AlgorithmWish::Lms);
    world.desired.nodes = World::new(3).desired.nodes;
    world.observed.hosts.insert(host(3), World::new(3).observed.hosts[&host(3)].clone());
    insta::assert_snapshot!("device_lms_join", round(&mut world));
    settles(&world);
    assert_eq!((device_votes(&world.text()), world.casting().len()), (2, 3));
}

#[test]
fn a_device_is_out_of_the_way_of_votes_and_restarts_and_comes_back() {
    let mut world = of_two().voting(AlgorithmWish::Auto);
    world.desired.totem.link_mode = Some(LinkMode::Active);
    let planned = proven(&world);
    let stages = summaries(&planned);
    let at = |want: &str| stages.iter().position(|summary| summary.starts_with(want)).unwrap();
    let restart = planned.stages.iter().position(|stage| stage.course == Course::Restart).unwrap();
    assert!(at("Stop corosync-qdevice on n1, n2") < at("Take the QDevice out"));
    assert!(at("Take the QDevice out") < restart && restart < at("Add the QDevice"));
    round(&mut world);
    settles(&world);
    assert_eq!(world.casting().len(), 2);
}

#[test]
fn another_algorithm_is_written_between_a_stop_and_a_start() {
    let mut world = World::running(4, &[0]).voting(AlgorithmWish::FfSplit);
    world.wanted().algorithm = AlgorithmWish::Lms;
    let planned = proven(&world);
    let wanted = [
        "Stop corosync-qdevice on n1, n2, n3, n4",
        "Add the QDevice at 10.9.0.9: lms",
        "Start corosync-qdevice on n1, n2, n3, n4, until its votes count",
    ];
    assert_eq!(summaries(&planned), wanted);
    round(&mut world);
    settles(&world);
    assert_eq!(device_votes(&world.text()), 3);
}

#[test]
fn a_device_that_somebody_edits_is_shown_and_put_back() {
    let mut world = of_two().voting(AlgorithmWish::Auto);
    let text = world.rewrite(|text| text.replace("algorithm: ffsplit", "algorithm: lms"));
    let key = "quorum.device.net.algorithm";
    let wishes = wishes(&world.desired, &world.observed, &text);
    assert_eq!(wishes, [(key.to_owned(), Some("ffsplit".to_owned()))].into());
    assert!(is_managed(&world.desired, key));
    round(&mut world);
    settles(&world);
}

#[test]
fn another_witness_gets_keys_of_its_own_before_the_first_one_goes() {
    let mut world = of_two().voting(AlgorithmWish::Auto);
    world.witness().authority = Some(authority("another's own"));
    world.witness().addresses = vec!["10.9.0.10".parse().unwrap()];
    insta::assert_snapshot!("device_moved", round(&mut world));
    settles(&world);
}

#[test]
fn certificates_are_made_anew_when_they_are_asked_for_and_when_the_witness_has_another_one() {
    let mut world = of_two().voting(AlgorithmWish::Auto);
    world.wanted().generation = 1;
    let wanted = [
        "Make keys on n1, n2 and ask w1 for certificates",
        "Take the certificates that w1 issued on n1, n2",
        "Start corosync-qdevice on n1, n2, until its votes count",
    ];
    assert_eq!(summaries(&proven(&world)), wanted);
    round(&mut world);
    settles(&world);
    world.witness().authority = Some(authority("w1's own, made anew"));
    assert_eq!(summaries(&proven(&world)), wanted);
    // Nobody knows whether a witness that says nothing has another one.
    world.witness().authority = None;
    settles(&world);
}

#[test]
fn a_qnetd_of_somebody_else_votes_by_the_key_of_a_secret_that_every_node_is_given() {
    let mut world = of_two().witnessed(AlgorithmWish::Auto).lent();
    insta::assert_snapshot!("device_lent", round(&mut world));
    settles(&world);
    assert_eq!(world.casting(), ["n1", "n2"]);
    // What is deleted when it has done its part is not missed.
    world.observed.secret = Some(SecretView::Unusable("there is no Secret qnetd".to_owned()));
    settles(&world);
    world.wanted().generation = 1;
    assert!(blocks(&world, Blocker::SecretUnusable).contains("no Secret qnetd"));
    world.observed.secret = Some(SecretView::Usable(authority("the QNetd's own")));
    let wanted = [
        "Take the certificate for the QNetd at 10.9.0.77 from the Secret qnetd on n1, n2",
        "Start corosync-qdevice on n1, n2, until its votes count",
    ];
    assert_eq!(summaries(&proven(&world)), wanted);
    round(&mut world);
    settles(&world);
    // Set up anew, it lets nobody in any more.
    world.observed.secret = Some(SecretView::Usable(authority("the QNetd's own, made anew")));
    assert_eq!(summaries(&proven(&world)), wanted);
}

#[test]
fn a_device_moves_from_a_witness_to_a_qnetd_of_somebody_else_and_back() {
    let mut world = of_two().voting(AlgorithmWish::Auto).lent();
    let wanted = [
        "Take the certificate for the QNetd at 10.9.0.77 from the Secret qnetd on n1, n2",
        "Stop corosync-qdevice on n1, n2",
        "Add the QDevice at 10.9.0.77: ffsplit",
        "Start corosync-qdevice on n1, n2, until its votes count",
    ];
    assert_eq!(summaries(&proven(&world)), wanted);
    round(&mut world);
    settles(&world);
    let mut world = world.witnessed(AlgorithmWish::Auto);
    assert_eq!(
        summaries(&proven(&world))[2..],
        [wanted[1], "Add the QDevice at 10.9.0.9: ffsplit", wanted[3]]
    );
    round(&mut world);
    settles(&world);
}

#[test]
fn a_secret_that_is_of_no_use_and_a_host_that_could_not_read_it_are_named() {
    let mut world = of_two().witnessed(AlgorithmWish::Auto).lent();
    world.host(2).sealing_key = None;
    assert!(blocks(&world, Blocker::SealingKeyMissing).contains("n2"));
    world.observed.secret = None;
    assert!(blocks(&world, Blocker::SecretUnusable).contains("nobody has looked into"));
    let lms = World::running(3, &[0]).witnessed(AlgorithmWish::Lms).lent();
    let remarks = plan(&lms.desired, &lms.observed).report.waiting_for;
    assert!(remarks.iter().any(|remark| remark.contains("with lms the QNetd at 10.9.0.77 has 2")));
}

#[test]
fn what_lies_there_already_is_not_asked_for_again() {
    let mut world = of_two().witnessed(AlgorithmWish::Auto);
    let certificate =
        CertificateView { authority: authority("w1's own").fingerprint, generation: 0 };
    world.host(1).device.laid = Some(LaidView { certificate, request: None });
    world.host(2).device.laid = Some(LaidView { certificate, request: Some("asks".to_owned()) });
    let planned = proven(&world);
    assert_eq!(planned.stages[0].actions.keys().collect::<Vec<_>>(), [&host(2)]);
    round(&mut world);
    settles(&world);
}

#[test]
fn a_daemon_that_somebody_took_out_of_the_boot_is_started_again() {
    let mut world = of_two().voting(AlgorithmWish::Auto);
    (world.host(2).device.enabled, world.host(2).device.alive) = (false, false);
    let wanted = ["Start corosync-qdevice on n2, until its votes count"];
    assert_eq!(summaries(&proven(&world)), wanted);
    // One that only does not answer is its agent's.
    (world.host(2).device.enabled, world.host(2).device.casts) = (true, false);
    settles(&world);
}

#[test]
fn a_device_of_an_odd_number_of_nodes_is_off_and_its_certificates_stay() {
    let mut world = World::running(3, &[0]).witnessed(AlgorithmWish::Auto);
    settles(&world);
    let remarks = plan(&world.desired, &world.observed).report.waiting_for;
    assert!(remarks.iter().any(|remark| remark.starts_with("with an odd number of nodes, 3,")));
    world.wanted().algorithm = AlgorithmWish::Lms;
    let remarks = plan(&world.desired, &world.observed).report.waiting_for;
    assert!(remarks.iter().any(|remark| remark.contains("with lms w1 has 2 votes of 5")));
    round(&mut world);
    world.wanted().algorithm = AlgorithmWish::Auto;
    round(&mut world);
    settles(&world);
    assert!(world.observed.hosts.values().all(|view| view.device.certificate.is_some()));
}

#[test]
fn what_does_not_go_with_a_device_is_refused() {
    let odd = World::running(3, &[0]).witnessed(AlgorithmWish::FfSplit);
    assert!(blocks(&odd, Blocker::DeviceUnfit).contains("the spec names 3"));
    let mut votes = of_two().witnessed(AlgorithmWish::Auto);
    votes.install(&[(1, 2), (2, 1)], &[0]);
    assert!(blocks(&votes, Blocker::DeviceUnfit).contains("n1 has 2 votes"));
    votes.desired.nodes[0].votes = Some(2);
    assert!(blocks(&votes, Blocker::DeviceUnfit).contains("the spec gives n1 2 votes"));
}

#[test]
fn a_witness_that_cannot_vote_is_named() {
    let world = || of_two().witnessed(AlgorithmWish::Auto);
    let refused = |spoil: fn(&mut World), blocker, word: &str| {
        let mut world = world();
        spoil(&mut world);
        let sentence = blocks(&world, blocker);
        assert!(sentence.contains(word), "{sentence}");
    };
    refused(|w| w.observed.witness = None, Blocker::HostMissing, "no PveHost w1");
    refused(|w| w.witness().is_witness = false, Blocker::NotAWitness, "not the role");
    refused(|w| w.witness().connected = false, Blocker::HostNotConnected, "is not heard");
    refused(|w| w.witness().paused = true, Blocker::HostPaused, "is paused");
    refused(|w| w.witness().serves = false, Blocker::WitnessNotReady, "does not run");
    refused(|w| w.witness().authority = None, Blocker::WitnessNotReady, "does not run");
    refused(|w| w.witness().addresses.clear(), Blocker::AddressMissing, "no address");
    let second = |w: &mut World| w.witness().addresses.push("10.9.1.9".parse().unwrap());
    refused(second, Blocker::AddressAmbiguous, "10.9.0.9, 10.9.1.9");
    let elsewhere = |w: &mut World| {
        let address = Some("10.9.2.9".parse().unwrap());
        w.wanted().voter = Voter::Managed { witness: "w1".parse().unwrap(), address };
    };
    refused(elsewhere, Blocker::AddressNotOnHost, "no address 10.9.2.9");
    let taken = |w: &mut World| {
        let name = w.desired.name.clone();
        w.witness().names.insert(name, "the PveCluster other".to_owned());
    };
    refused(taken, Blocker::DeviceNameTaken, "which is the PveCluster other");
    let in_capitals = |w: &mut World| {
        let name = w.desired.name.as_str().to_uppercase().parse().unwrap();
        w.witness().names.insert(name, "the PveCluster PROD".to_owned());
    };
    refused(in_capitals, Blocker::DeviceNameTaken, "which is the PveCluster PROD");
}

#[test]
fn members_move_also_while_the_witness_is_away_and_its_vote_comes_later() {
    let mut world = World::running(3, &[0]).witnessed(AlgorithmWish::Auto);
    world.desired.nodes = World::new(4).desired.nodes;
    world.observed.hosts.insert(host(4), World::new(4).observed.hosts[&host(4)].clone());
    world.witness().connected = false;
    round(&mut world);
    assert_eq!((world.text().nodes.len(), world.casting().len()), (4, 0));
    blocks(&world, Blocker::HostNotConnected);
    world.witness().connected = true;
    round(&mut world);
    settles(&world);
    assert_eq!(world.casting().len(), 4);
}

/// Nodes with a device, of which some are dead: the others have quorum by the device's votes alone.
pub(crate) fn widowed(nodes: u32, dead: &[u32], algorithm: AlgorithmWish) -> World {
    let mut world = World::running(nodes, &[0]).voting(algorithm).without(dead);
    for number in (1..=nodes).filter(|number| !dead.contains(number)) {
        (world.host(number).quorate, world.host(number).pmxcfs_writable) = (true, true);
    }
    world
}

#[test]
fn a_dead_node_of_two_goes_together_with_the_device_by_which_the_other_one_has_quorum() {
    let mut world = widowed(2, &[2], AlgorithmWish::Auto);
    insta::assert_snapshot!("device_dead", round(&mut world));
    assert_eq!((world.text().nodes.len(), world.host(1).device.casts), (1, false));
}

#[test]
fn the_vote_by_which_alone_there_is_quorum_is_not_taken_for_anything_else() {
    let mut world = widowed(2, &[2], AlgorithmWish::Auto);
    world.host(2).absence = None;
    world.desired.nodes.truncate(1);
    world.host(2).stop();
    world.host(2).connected = true;
    let sentence = blocks(&world, Blocker::NotQuorate);
    assert!(sentence.contains("by the vote of the QDevice alone"), "{sentence}");
}

#[test]
fn an_lms_device_by_which_a_dead_node_is_outlived_is_not_taken_either() {
    let mut world = widowed(4, &[4], AlgorithmWish::Lms);
    let sentence = blocks(&world, Blocker::NotQuorate);
    assert!(sentence.contains("one node with those votes and the others"), "{sentence}");
    world.wanted().algorithm = AlgorithmWish::FfSplit;
    blocks(&world, Blocker::NotQuorate);
}

#[test]
fn a_dead_node_of_three_goes_with_the_votes_of_lms_and_those_come_back() {
    let mut world = widowed(3, &[3], AlgorithmWish::Lms);
    assert!(summaries(&proven(&world))[0].contains("QDevice"));
    round(&mut world);
    assert_eq!(world.text().nodes.len(), 2);
    assert!(world.text().quorum.device.is_some());
    assert!([1, 2].iter().all(|number| world.host(*number).device.casts));
}

#[test]
fn of_several_dead_at_once_none_is_taken_off() {
    for (nodes, dead, algorithm) in [(4, 2, AlgorithmWish::FfSplit), (3, 2, AlgorithmWish::Lms)] {
        let gone: Vec<u32> = (nodes - dead + 1..=nodes).collect();
        let sentence = blocks(&widowed(nodes, &gone, algorithm), Blocker::NotQuorate);
        assert!(sentence.contains("are listed and do not run"), "{sentence}");
    }
}

#[test]
fn a_device_that_the_spec_does_not_speak_of_stays_and_keeps_members_where_they_are() {
    let mut world = of_two().voting(AlgorithmWish::Auto);
    world.desired.device = None;
    settles(&world);
    world.desired.totem.token_millis = Some(4000);
    assert_eq!(proven(&world).stages.len(), 2);
    world.desired.totem.token_millis = None;
    world.desired.nodes.truncate(1);
    let sentence = blocks(&world, Blocker::QuorumOptionsNotSupported);
    assert!(sentence.contains("quorum.device"), "{sentence}");
}
