//! The QDevice: its votes count on a text that all run, and nowhere else.

use super::{edited, proposed, verdict};
use crate::change::{Action, ConfText, Course, Parent, Plan, Proposed, Stage};
use crate::conf::edit::{remove_device, remove_node, set, set_device, set_version};
use crate::conf::{Document, LinkMode, QuorumDevice, SectionPath};
use crate::device::{AlgorithmWish, DeviceWish, SecretView, Voter};
use crate::guard::case::Case;
use crate::guard::device::{nobody_casts_meanwhile, nodes_have_quorum_alone};
use crate::guard::votes::arithmetic_is_known;
use crate::guard::{Refusal, guard};
use crate::leaving::{in_effect, leaving};
use crate::plan::plan;
use crate::plan::tests::device::widowed;
use crate::plan::tests::world::{World, host, id, read};

/// Two nodes that are to have a device: request, take, write, start.
fn coming() -> World {
    World::running(2, &[0]).witnessed(AlgorithmWish::Auto)
}

/// Four nodes whose device is to become another one: stop, write, start.
fn changing() -> World {
    let mut world = World::running(4, &[0]).voting(AlgorithmWish::FfSplit);
    world = world.witnessed(AlgorithmWish::Lms);
    world
}

fn device(stage: &Stage) -> QuorumDevice {
    read(&stage.config).quorum.device.unwrap()
}

/// Puts another device into the text of a stage, and of those behind it.
fn another(stages: &mut [Stage], from: usize, change: impl Fn(&mut QuorumDevice)) {
    let mut new = device(&stages[from]);
    change(&mut new);
    for stage in &mut stages[from..] {
        edited(&mut stage.config, |text| set_device(text, &new).unwrap());
    }
}

#[test]
fn a_device_as_the_planner_puts_it_on_and_changes_it_is_proven() {
    assert_eq!(verdict(&coming(), |_| ()), Ok(()));
    assert_eq!(verdict(&changing(), |_| ()), Ok(()));
}

#[test]
fn a_text_spreads_only_while_no_daemon_casts() {
    let casts = |world: &World, at, spoil: fn(&mut Vec<Stage>)| {
        let verdict = verdict(world, spoil);
        assert_eq!(verdict, Err(Refusal::DeviceCasts { stage: at, host: host(1) }));
    };
    // Not stopped at all, and on one host only.
    casts(&changing(), 1, |stages| drop(stages.remove(0)));
    casts(&changing(), 2, |stages| drop(stages[0].actions.remove(&host(1))));
    // Started before the text is there.
    casts(&coming(), 4, |stages| {
        let mut start = stages[3].clone();
        start.config = stages[1].config.clone();
        stages.insert(2, start);
    });
    // Somebody started it beside us.
    let mut world = coming();
    let mut plan = plan(&world.desired, &world.observed).plan.unwrap();
    world.host(2).device.alive = true;
    let refusal = guard(plan.clone(), &world.desired, &world.observed).map(drop);
    assert_eq!(refusal, Err(Refusal::DeviceCasts { stage: 3, host: host(2) }));
    plan.stages.truncate(2);
    assert_eq!(guard(plan, &world.desired, &world.observed).map(drop), Ok(()));
}

#[test]
fn a_restart_with_a_device_is_not_a_matter_of_nodes_alone() {
    let mut world = World::running(2, &[0]).voting(AlgorithmWish::Auto);
    world.desired.totem.link_mode = Some(LinkMode::Active);
    refuses!(world, Refusal::DeviceCasts { .. } | Refusal::ArithmeticUnknown { .. }, |stages| {
        stages.retain(|stage| !stage.has_action(&Action::StopDevice {}));
    });
}

#[test]
fn a_device_by_whose_votes_alone_there_is_quorum_is_not_stopped() {
    let alone = |world: &World, plan: &Plan<Proposed>| {
        let desired = in_effect(&world.desired, &world.observed);
        let leaving = leaving(&desired, &world.observed);
        let case = Case::read(plan, (&desired, &leaving), &world.observed).unwrap();
        nodes_have_quorum_alone(&case)
    };
    for (algorithm, expected) in [(AlgorithmWish::FfSplit, 5), (AlgorithmWish::Lms, 7)] {
        let mut world = World::running(4, &[0]).voting(algorithm);
        world.desired.device = Some(DeviceWish::Absent);
        let plan = plan(&world.desired, &world.observed).plan.unwrap();
        assert_eq!(alone(&world, &plan), Ok(()));
        let world = world.without(&[3, 4]);
        let refusal = Err(Refusal::NotQuorate { stage: 1, present: 2, expected });
        assert_eq!(alone(&world, &plan), refusal);
    }
}

/// A node and its device taken off in one text.
fn goes_with_the_dead(world: &World, number: u32) -> Result<(), Refusal> {
    taken_off(world, |text| remove_node(&remove_device(text).unwrap(), id(number)).unwrap())
}

/// What the guards that count say of a text.
fn taken_off(world: &World, edit: impl FnOnce(&Document) -> Document) -> Result<(), Refusal> {
    let parent = world.observed.hosts[&host(1)].pmxcfs_file.clone().unwrap();
    let document = Document::parse(parent.text.unwrap().as_bytes());
    let named = |document: &Document, version| {
        let text = set_version(document, version).unwrap().to_bytes();
        ConfText::new(version, String::from_utf8(text).unwrap())
    };
    let (version, next) = (parent.version.unwrap().next(), parent.version.unwrap().next().next());
    let without = edit(&document);
    let running = read(&named(&without, version)).nodes.into_iter();
    let any = proposed(&coming()).stages.remove(2);
    let stage = Stage {
        group: running.map(|node| (node.id, node.name.as_str().parse().unwrap())).collect(),
        config: named(&without, version),
        back: Some(named(&document, next)),
        ..any
    };
    let start = Parent { version: parent.version.unwrap(), digest: parent.digest };
    let plan = Plan::proposed(Some(start), 1, String::new(), vec![stage]);
    let desired = in_effect(&world.desired, &world.observed);
    let leaving = leaving(&desired, &world.observed);
    let case = Case::read(&plan, (&desired, &leaving), &world.observed).unwrap();
    arithmetic_is_known(&case)?;
    nobody_casts_meanwhile(&case).and_then(|()| nodes_have_quorum_alone(&case))
}

#[test]
fn a_dead_node_goes_together_with_votes_that_two_parts_cannot_both_have() {
    assert_eq!(goes_with_the_dead(&widowed(2, &[2], AlgorithmWish::Auto), 2), Ok(()));
    // Of four with three votes of the device, one node with them and two without could both be quorate.
    let unknown = Err(Refusal::ArithmeticUnknown { stage: 1 });
    let lms = World::running(4, &[0]).voting(AlgorithmWish::Lms).without(&[4]);
    assert_eq!(goes_with_the_dead(&lms, 4), unknown);
    // Nor where the node may be alive, the votes are not cast, or they stay.
    let mut lives = widowed(2, &[2], AlgorithmWish::Auto);
    lives.host(2).absence = None;
    assert_eq!(goes_with_the_dead(&lives, 2), unknown);
    let mut silent = widowed(2, &[2], AlgorithmWish::Auto);
    silent.host(1).device.casts = false;
    assert_eq!(goes_with_the_dead(&silent, 2), unknown);
    let stays = |text: &Document| remove_node(text, id(2)).unwrap();
    assert_eq!(taken_off(&widowed(2, &[2], AlgorithmWish::Auto), stays), unknown);
    // A device that goes alone is stopped before, whatever its votes.
    let four = World::running(4, &[0]).voting(AlgorithmWish::FfSplit);
    let alone = taken_off(&four, |text| remove_device(text).unwrap());
    assert_eq!(alone, Err(Refusal::DeviceCasts { stage: 1, host: host(1) }));
}

#[test]
fn a_device_with_which_no_daemon_starts_is_not_written() {
    let wrong = |spoil: fn(&mut QuorumDevice)| {
        let refusal = verdict(&coming(), |stages| another(stages, 2, spoil));
        assert_eq!(refusal, Err(Refusal::DeviceWrong { stage: 3 }));
    };
    wrong(|device| device.votes = None);
    wrong(|device| device.votes = Some(2));
    wrong(|device| device.algorithm = Some("2nodelms".to_owned()));
    wrong(|device| device.algorithm = Some("lms".to_owned()));
    wrong(|device| device.model = "none".to_owned());
    wrong(|device| device.tls = Some("off".to_owned()));
    // Nodes that are an odd number.
    let world = World::running(3, &[0]).witnessed(AlgorithmWish::Lms);
    let ffsplit = |device: &mut QuorumDevice| {
        device.algorithm = Some("ffsplit".to_owned());
        device.votes = Some(1);
    };
    let refusal = verdict(&world, |stages| another(stages, 2, ffsplit));
    assert_eq!(refusal, Err(Refusal::DeviceWrong { stage: 3 }));
}

#[test]
fn a_device_that_nobody_asked_for_is_not_written() {
    let unwanted = |world: &World, spoil: fn(&mut QuorumDevice)| {
        let refusal = verdict(world, |stages| another(stages, 2, spoil));
        assert_eq!(refusal, Err(Refusal::DeviceUnwanted { stage: 3 }));
    };
    unwanted(&coming(), |device| device.host = Some("10.9.0.8".to_owned()));
    unwanted(&coming(), |device| {
        device.algorithm = Some("lms".to_owned());
        device.votes = None;
    });
    // The spec speaks of none any more.
    let mut world = coming();
    let plan = plan(&world.desired, &world.observed).plan.unwrap();
    world.desired.device = None;
    let refusal = guard(plan, &world.desired, &world.observed).map(drop);
    assert_eq!(refusal, Err(Refusal::DeviceUnwanted { stage: 3 }));
}

#[test]
fn only_certificates_of_the_wanted_witness_for_this_cluster_are_asked_for() {
    let foreign = |stage, spoil: fn(&mut Vec<Stage>)| {
        let refusal = verdict(&coming(), spoil);
        assert_eq!(refusal, Err(Refusal::CertificateForeign { stage, host: host(1) }));
    };
    macro_rules! asks {
        ($field:ident = $value:expr) => {
            foreign(1, |stages| {
                let own = stages[0].actions.get_mut(&host(1)).unwrap();
                if let Action::RequestCertificate { $field, .. } = &mut own[0] {
                    *$field = $value;
                }
            })
        };
    }
    asks!(cluster = "other".parse().unwrap());
    asks!(authority = "somebody else's".to_owned());
    asks!(witness = "10.9.0.8".parse().unwrap());
    // Taken without having asked, and started without having one.
    foreign(2, |stages| drop(stages[0].actions.remove(&host(1))));
    foreign(4, |stages| drop(stages[1].actions.remove(&host(1))));
    // The name was taken by another cluster meanwhile.
    let mut world = coming();
    let plan = plan(&world.desired, &world.observed).plan.unwrap();
    let name = world.desired.name.clone();
    world.witness().names.insert(name, "another".to_owned());
    let refusal = guard(plan, &world.desired, &world.observed).map(drop);
    assert_eq!(refusal, Err(Refusal::CertificateForeign { stage: 1, host: host(1) }));
}

/// The outage: the key of the cluster, readable to another machine, or of another cluster's certificate.
#[test]
fn only_what_the_secret_holds_for_this_cluster_is_given_and_to_each_host_by_its_own_key() {
    let lent = || coming().lent();
    assert_eq!(verdict(&lent(), |_| ()), Ok(()));
    let spoilt = |spoil: fn(&mut Action)| {
        verdict(&lent(), |stages| spoil(&mut stages[0].actions.get_mut(&host(1)).unwrap()[0]))
    };
    macro_rules! given {
        ($field:ident = $value:expr, $refusal:ident { $who:ident }) => {
            let refusal = spoilt(|action| {
                if let Action::ImportCertificate { $field, .. } = action {
                    *$field = $value;
                }
            });
            assert_eq!(refusal, Err(Refusal::$refusal { stage: 1, $who: host(1) }));
        };
    }
    given!(cluster = "other".parse().unwrap(), CertificateForeign { host });
    given!(authority = "somebody else's".to_owned(), CertificateForeign { host });
    given!(witness = "10.9.0.8".parse().unwrap(), CertificateForeign { host });
    given!(recipient = "age1n2".to_owned(), WrongRecipient { to });
    // The Secret was taken away, or another QNetd's was put in its place, since the plan was made.
    for secret in [None, Some(SecretView::Unusable("it is gone".to_owned()))] {
        let mut world = lent();
        let plan = plan(&world.desired, &world.observed).plan.unwrap();
        world.observed.secret = secret;
        let refusal = guard(plan, &world.desired, &world.observed).map(drop);
        assert_eq!(refusal, Err(Refusal::CertificateForeign { stage: 1, host: host(1) }));
    }
    // At another address than the spec says.
    let mut world = lent();
    let plan = plan(&world.desired, &world.observed).plan.unwrap();
    let address = "10.9.0.78".parse().unwrap();
    world.wanted().voter = Voter::External { address, secret: "qnetd".to_owned() };
    let refusal = guard(plan, &world.desired, &world.observed).map(drop);
    assert_eq!(refusal, Err(Refusal::DeviceUnwanted { stage: 2 }));
}

#[test]
fn what_else_makes_a_majority_does_not_go_with_a_device() {
    let mut world = coming();
    let quorum = SectionPath::top("quorum");
    let two_node = |text: &Document| set(text, &quorum, "two_node", "1").unwrap();
    let with = |text: &str| {
        String::from_utf8(two_node(&Document::parse(text.as_bytes())).to_bytes()).unwrap()
    };
    refuses!(coming(), Refusal::ArithmeticUnknown { stage: 3 }, |stages| {
        for stage in &mut stages[2..] {
            edited(&mut stage.config, two_node);
        }
    });
    world.rewrite(with);
    assert!(plan(&world.desired, &world.observed).plan.is_none());
}

/// What nothing of the model reads, and corosync does.
#[test]
fn a_device_is_not_added_beside_an_option_that_changes_who_has_quorum() {
    let waiting =
        |text: &Document| set(text, &SectionPath::top("quorum"), "wait_for_all", "1").unwrap();
    let mut world = coming();
    let mut plan = proposed(&world);
    let conf = world.rewrite(|text| {
        let text = waiting(&Document::parse(text.as_bytes())).to_bytes();
        String::from_utf8(text).unwrap()
    });
    plan.parent = Some(Parent { version: conf.version, digest: conf.digest });
    for stage in &mut plan.stages {
        edited(&mut stage.config, waiting);
        stage.back.iter_mut().for_each(|back| edited(back, waiting));
    }
    let refusal = guard(plan, &world.desired, &world.observed).map(drop);
    assert_eq!(refusal, Err(Refusal::ArithmeticUnknown { stage: 3 }));
}

#[test]
fn the_way_back_from_a_restart_has_no_device_either() {
    let mut world = World::running(3, &[0]).voting(AlgorithmWish::Lms);
    world.desired.totem.link_mode = Some(LinkMode::Active);
    let parent = world.text().quorum.device.unwrap();
    assert_eq!(verdict(&world, |_| ()), Ok(()));
    refuses!(world, Refusal::WrongWayBack { .. }, |stages| {
        let restart = stages.iter_mut().find(|stage| stage.course == Course::Restart).unwrap();
        edited(restart.back.as_mut().unwrap(), |text| set_device(text, &parent).unwrap());
    });
}
