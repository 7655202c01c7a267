//! What is planned of datacenter.cfg.

use super::goldens::{blocks, proven};
use super::world::{World, host, wanted_link};
use crate::change::{Action, Course, Plan, Proposed, Risk};
use crate::datacenter::{DatacenterView, Lines, Traffic, Transfer, TransferType, TransferWish};
use crate::desired::Drift;
use crate::drift::differences;
use crate::ids::Digest;
use crate::plan::{Blocker, State, plan};

/// Every node's one address there is 10.1.2.n.
const LAN: &str = "10.1.2.0/24";

pub(crate) fn line(kind: TransferType, network: Option<&str>) -> Transfer {
    Transfer { kind, network: network.map(|network| network.parse().unwrap()) }
}

fn secure(network: Option<&str>) -> Transfer {
    line(TransferType::Secure, network)
}

/// Three nodes in whose files this is, and a spec with a wish for migration.
fn wanting(text: &str, wish: TransferWish) -> World {
    let mut world = World::running(3, &[0]);
    world.desired.datacenter.insert(Traffic::Migration, wish);
    says(&mut world, text);
    world
}

fn says(world: &mut World, text: &str) {
    for view in world.observed.hosts.values_mut() {
        view.datacenter = Some(DatacenterView::of(text.as_bytes()));
    }
}

fn on_lan(text: &str) -> World {
    wanting(text, TransferWish::Line(secure(Some(LAN))))
}

fn lines(plan: &Plan<Proposed>) -> Lines {
    assert_eq!(plan.stages.len(), 1);
    plan.stages[0].datacenter_write().unwrap().lines.clone()
}

#[test]
fn a_network_is_set_in_one_live_stage_of_all_members_that_leaves_corosync_alone() {
    let mut world = on_lan("keyboard: de\n");
    let plan = proven(&world);
    let wanted = "In datacenter.cfg of n1, n2, n3: set `migration: secure,network=10.1.2.0/24`";
    assert_eq!(plan.summary, wanted);
    let stage = &plan.stages[0];
    assert_eq!((stage.course, stage.risk), (Course::Datacenter, Risk::Live));
    assert_eq!(stage.config.digest, plan.parent.unwrap().digest);
    assert_eq!((stage.group.len(), stage.actions.len(), &stage.back), (3, 3, &None));
    let write = stage.datacenter_write().unwrap();
    assert_eq!(write.parent, Digest::of(b"keyboard: de\n"));
    assert!(
        stage
            .actions
            .values()
            .flatten()
            .all(|a| *a == Action::WriteDatacenterConfig(write.clone()))
    );
    world.apply(&plan);
    let report = crate::plan::plan(&world.desired, &world.observed).report;
    assert_eq!((report.state, report.waiting_for), (State::Settled, vec![]));
}

#[test]
fn a_type_keeps_the_network_that_is_there_and_default_takes_the_line_out() {
    let text = "migration: secure,network=10.1.2.0/24\n";
    let insecure = wanting(text, TransferWish::Type(TransferType::Insecure));
    let wanted = Some(line(TransferType::Insecure, Some(LAN)));
    assert_eq!(lines(&proven(&insecure))[&Traffic::Migration], wanted);
    assert_eq!(lines(&proven(&wanting(text, TransferWish::NoLine)))[&Traffic::Migration], None);
    let same = wanting(text, TransferWish::Type(TransferType::Secure));
    assert_eq!(plan(&same.desired, &same.observed).plan, None);
}

#[test]
fn lines_that_the_spec_does_not_speak_of_are_nobodys() {
    let mut world = World::running(3, &[0]);
    says(&mut world, "migration: insecure\nreplication: unsafe\n");
    assert_eq!(plan(&world.desired, &world.observed).report.state, State::Settled);
    let mut one = on_lan("replication: unsafe\n");
    assert_eq!(lines(&proven(&one)).into_keys().collect::<Vec<_>>(), [Traffic::Migration]);
    one.desired.datacenter.insert(Traffic::Replication, TransferWish::NoLine);
    assert_eq!(lines(&proven(&one)).len(), 2, "what is taken out need not be understood");
}

/// An evacuation would find it out: Proxmox VE takes none of two addresses.
#[test]
fn each_node_without_exactly_one_address_of_its_own_is_named_with_its_addresses() {
    let mut world = on_lan("");
    world.host(2).addresses.insert("10.1.2.22/24".parse().unwrap());
    let wanted = "n2 has 10.1.2.2 and 10.1.2.22 in 10.1.2.0/24, the network of `migration`, where each node may have \
                  one address only";
    assert_eq!(blocks(&world, Blocker::TransferNetworkUnfit), wanted);
    world.host(3).addresses.retain(|net| net.addr().to_string() != "10.1.2.3");
    let sentence = blocks(&world, Blocker::TransferNetworkUnfit);
    assert!(sentence.starts_with(wanted), "{sentence}");
    assert!(sentence.ends_with("; n3 has no address in 10.1.2.0/24, the network of `migration`"));
    let mut same = on_lan("");
    same.host(3).addresses.retain(|net| net.addr().to_string() != "10.1.2.3");
    same.host(3).addresses.insert("10.1.2.1/24".parse().unwrap());
    let sentence = blocks(&same, Blocker::TransferNetworkUnfit);
    assert_eq!(sentence, "n1 and n3 both have 10.1.2.1, in the network of `migration`");
    // One address with two prefixes is one address.
    let mut twice = on_lan("");
    twice.host(2).addresses.insert("10.1.2.2/16".parse().unwrap());
    proven(&twice);
}

#[test]
fn a_file_that_not_all_tell_of_alike_is_waited_for() {
    let mut world = on_lan("keyboard: de\n");
    world.host(2).datacenter = Some(DatacenterView::of(b"keyboard: fr\n"));
    assert!(blocks(&world, Blocker::DatacenterUnknown).contains("n1 and n2"));
    world.host(2).datacenter = None;
    assert!(blocks(&world, Blocker::DatacenterUnknown).contains("n2 has not told"));
    let mut bare = World::running(3, &[0]);
    bare.host(2).datacenter = None;
    assert_eq!(plan(&bare.desired, &bare.observed).report.state, State::Settled, "nobody asks");
}

#[test]
fn a_line_that_counts_for_nothing_is_for_a_person_to_put_right() {
    let sentence =
        blocks(&on_lan("migration: network=10.0.0.0/8\n"), Blocker::DatacenterNotUnderstood);
    assert!(sentence.contains("`migration` in /etc/pve/datacenter.cfg"), "{sentence}");
    assert!(sentence.contains("`type` must be given"), "{sentence}");
}

#[test]
fn where_etc_pve_takes_no_writes_it_waits() {
    let mut world = on_lan("");
    world.host(1).pmxcfs_writable = false;
    assert!(blocks(&world, Blocker::ReadOnly).contains("n1"));
}

#[test]
fn who_is_away_is_asked_for_its_last_address_and_for_nothing_else() {
    let mut world = on_lan("").away(3);
    let plan = proven(&world);
    assert_eq!(plan.stages[0].group.len(), 2);
    world.host(3).addresses.clear();
    assert!(blocks(&world, Blocker::TransferNetworkUnfit).contains("n3 has no address"));
}

#[test]
fn links_come_first() {
    let mut world = on_lan("");
    world.desired.links.push(wanted_link(1, None));
    let report = plan(&world.desired, &world.observed).report;
    assert!(
        report.waiting_for.contains(&"change datacenter.cfg: migration".to_owned()),
        "{report:?}"
    );
}

#[test]
fn a_node_that_lost_its_address_is_told_of_although_nothing_is_to_be_done() {
    let mut world = on_lan("migration: secure,network=10.1.2.0/24\n");
    world.host(2).addresses.clear();
    let report = plan(&world.desired, &world.observed).report;
    assert_eq!(report.state, State::Settled);
    let told = "n2 has no address in 10.1.2.0/24, the network of `migration`: no guest travels to or from there";
    assert_eq!(report.waiting_for, [told]);
}

/// Three nodes whose line was set by a change, and edited by a person since.
fn edited(by: &str) -> World {
    let mut world = on_lan("");
    let plan = proven(&world);
    world.apply(&plan);
    says(&mut world, by);
    world
}

#[test]
fn a_line_that_a_person_changed_is_shown_and_put_back_or_reported() {
    let mut world = edited("migration: insecure\nkeyboard: fr\n");
    let shown: Vec<_> =
        differences(&world.desired, &world.observed).iter().map(ToString::to_string).collect();
    let wanted = "datacenter.migration on n1, n2, n3: the spec wants secure,network=10.1.2.0/24, /etc/pve has insecure";
    assert_eq!(shown, [wanted]);
    assert_eq!(lines(&proven(&world))[&Traffic::Migration], Some(secure(Some(LAN))));
    world.desired.rollout.drift = Drift::Report;
    assert_eq!(plan(&world.desired, &world.observed).report.state, State::Reported);
    // The spec has moved on: that is an ordinary change.
    let wish = TransferWish::Type(TransferType::Insecure);
    world.desired.datacenter.insert(Traffic::Migration, wish);
    says(&mut world, "");
    proven(&world);
    assert!(differences(&world.desired, &world.observed).is_empty());
}

#[test]
fn a_line_that_was_removed_or_spoilt_by_hand_is_shown_with_what_is_wanted() {
    let shown = |by| {
        let world = edited(by);
        let all = differences(&world.desired, &world.observed);
        let row = all.into_iter().next().unwrap();
        assert_eq!(row.hosts, [host(1), host(2), host(3)]);
        (row.spec.unwrap(), row.pmxcfs)
    };
    let wanted = "secure,network=10.1.2.0/24".to_owned();
    assert_eq!(shown(""), (wanted.clone(), None));
    let (spec, found) = shown("migration: unsafe\n");
    assert_eq!(spec, wanted);
    assert!(found.unwrap().starts_with("a line that counts for nothing"));
    assert!(differences(&on_lan("").desired, &on_lan("").observed).is_empty(), "never set");
}
