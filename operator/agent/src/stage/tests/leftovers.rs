//! What the cluster's files say of a node that is to leave, and what they keep of one that has left.

use std::collections::BTreeSet;

use pvecm_core::change::Tombstone;
use pvecm_core::references::{Reference, ReferenceKind};

use super::leaving::{listing, member, node};
use super::*;

/// n1 does this while this text is in force.
fn act(fake: &FakeHost, config: ConfText, action: Action) -> Result<(), Undone> {
    let expects = Some(Parent { version: config.version, digest: config.digest });
    let stage = Stage { config, ..stage(Course::Local) };
    with_task(fake, &pending(fake, stage, expects), |task| {
        block_on(run_actions(&fake.host(), task, &[action])).map(|_| ())
    })
}

fn clean(fake: &FakeHost, what: &[(ReferenceKind, &str)]) -> Result<(), Undone> {
    let reference = |(kind, name): &(ReferenceKind, &str)| Reference {
        kind: *kind,
        name: (*name).to_owned(),
        names_others: true,
    };
    let references = what.iter().map(reference).collect();
    let action = Action::CleanReferences { node: "n2".parse().unwrap(), references };
    act(fake, listing(1, &[1, 2]), action)
}

const STORAGES: &str =
    "dir: local\n\tpath /n2\n\nnfs: fast\n\tnodes n1,n2\n\nnfs: own\n\tnodes n2\n";
const RULES: &str = "node-affinity: near\n\tnodes n2:1,n1:2\n\tresources vm:100\n";

fn with_files() -> FakeHost {
    let fake = member();
    fake.world().naming = [
        (ReferenceKind::Storage, Some(STORAGES.to_owned())),
        (ReferenceKind::HaRule, Some(RULES.to_owned())),
    ]
    .into();
    fake
}

fn text(fake: &FakeHost, kind: ReferenceKind) -> String {
    fake.world().naming[&kind].clone().unwrap()
}

#[test]
fn a_node_is_taken_out_of_the_lists_that_are_named_under_the_lock_of_each_file() {
    let fake = with_files();
    let both = [(ReferenceKind::Storage, "fast"), (ReferenceKind::HaRule, "near")];
    assert_eq!(clean(&fake, &both), Ok(()));
    let storages = STORAGES.replace("nodes n1,n2", "nodes n1");
    assert_eq!(text(&fake, ReferenceKind::Storage), storages);
    assert_eq!(text(&fake, ReferenceKind::HaRule), RULES.replace("n2:1,", ""));
    assert_eq!(fake.world().locked, [ReferenceKind::HaRule, ReferenceKind::Storage]);
    assert_eq!(clean(&fake, &both), Ok(()), "a second time there is nothing to do");
    assert_eq!(text(&fake, ReferenceKind::Storage), storages);
}

#[test]
fn a_list_is_never_left_without_a_node_and_nothing_is_written_behind_a_foreign_lock() {
    let fake = with_files();
    let Err(Undone::NotBegun(why)) = clean(&fake, &[(ReferenceKind::Storage, "own")]) else {
        panic!("it was cleaned")
    };
    assert_eq!(why, "own in storage.cfg names nobody but n2");
    fake.world().foreign_lock = true;
    let held = clean(&fake, &[(ReferenceKind::Storage, "fast")]);
    assert!(matches!(held, Err(Undone::NotBegun(_))), "{held:?}");
    assert_eq!(text(&fake, ReferenceKind::Storage), STORAGES);
}

#[test]
fn what_cannot_be_read_or_written_is_said_and_whether_anything_was_done_before() {
    let both = [(ReferenceKind::Storage, "fast"), (ReferenceKind::HaRule, "near")];
    let fake = with_files();
    fake.world().naming.insert(ReferenceKind::HaRule, None);
    assert!(matches!(clean(&fake, &both), Err(Undone::NotBegun(_))));
    assert_eq!(text(&fake, ReferenceKind::Storage), STORAGES);
    let fake = with_files();
    fake.world().refuses_naming = Some(ReferenceKind::Storage);
    let Err(Undone::Stuck(why)) = clean(&fake, &both) else { panic!("it was cleaned") };
    assert_eq!(why, "cannot write storage.cfg: no quorum");
}

#[test]
fn nothing_is_cleaned_or_swept_in_another_state_than_the_plan_s() {
    let fake = with_files();
    fake.world().pmxcfs_conf = Some(listing(5, &[1, 2]).text.into());
    assert!(matches!(clean(&fake, &[(ReferenceKind::Storage, "fast")]), Err(Undone::NotBegun(_))));
    assert_eq!(text(&fake, ReferenceKind::Storage), STORAGES);
    let fake = FakeHost::member(&listing(3, &[1]).text);
    let refused = act(&fake, listing(2, &[1]), Action::Sweep(gone("n2")));
    assert!(matches!(refused, Err(Undone::NotBegun(_))), "{refused:?}");
    assert_eq!(fake.world().swept, []);
}

fn gone(name: &str) -> Tombstone {
    let name = name.parse().unwrap();
    let (machine_id, keeps_key) = (None, None);
    Tombstone { name, node_id: node(2), machine_id, keeps_key, lives_alone: false }
}

#[test]
fn what_is_kept_of_a_node_is_put_away_once_it_is_off_the_list() {
    let fake = FakeHost::member(&listing(2, &[1]).text);
    assert_eq!(act(&fake, listing(2, &[1]), Action::Sweep(gone("n2"))), Ok(()));
    assert_eq!(fake.world().swept, [gone("n2")]);
}

#[test]
fn nothing_of_a_member_or_of_one_with_guests_is_put_away() {
    let refused = |fake: &FakeHost, text: ConfText, name: &str| {
        let Err(Undone::NotBegun(why)) = act(fake, text, Action::Sweep(gone(name))) else {
            panic!("it was swept")
        };
        assert_eq!(fake.world().swept, []);
        why
    };
    let both = listing(2, &[1, 2]);
    let why = refused(&FakeHost::member(&both.text), both, "n2");
    assert_eq!(why, "n2 is a member of the cluster");
    let without_n1 = listing(2, &[2]);
    let why = refused(&FakeHost::member(&without_n1.text), without_n1, "n1");
    assert_eq!(why, "n1 is a member of the cluster");
    let fake = FakeHost::member(&listing(2, &[1]).text);
    fake.world().guests_left = BTreeSet::from(["qemu-server/100.conf".to_owned()]);
    let why = refused(&fake, listing(2, &[1]), "n2");
    assert!(why.contains("qemu-server/100.conf"), "{why}");
    let fake = FakeHost::member(&listing(2, &[1]).text);
    fake.world().foreign_lock = true;
    assert!(refused(&fake, listing(2, &[1]), "n2").contains("lock"));
}
