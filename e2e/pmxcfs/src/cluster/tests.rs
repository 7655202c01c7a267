use super::*;
use crate::cfs::Setup;
use crate::store::{Store, fresh};

const N1: Member = Member { node: 1, pid: 10 };
const N2: Member = Member { node: 2, pid: 20 };

fn member(dir: &tempfile::TempDir) -> Cfs {
    let store = Store::lock(&dir.path().join("config.db")).unwrap();
    let corosync_conf = dir.path().join(CONF);
    Cfs::new(Setup { host: "n1".into(), corosync_conf, store }, fresh(None), true)
}

fn tell(cfs: &Cfs, from: Member, message: &Message) {
    for bytes in message.pieces(1).unwrap() {
        cfs.handle(Event::Piece { from, bytes });
    }
}

fn mkdir(path: &str) -> Message {
    Message::Op { ticket: 1, time: 5, op: Op::Mkdir { path: path.into() } }
}

#[test]
fn nothing_is_applied_between_a_change_of_the_membership_and_the_end_of_the_merge() {
    let dir = tempfile::tempdir().unwrap();
    let cfs = member(&dir);
    let state =
        Message::State { view: vec![N1, N2], standing: Standing::of(&fresh(None)).unwrap() };
    cfs.handle(Event::View(vec![N1, N2]));
    tell(&cfs, N1, &state);
    tell(&cfs, N2, &mkdir("early"));
    assert!(cfs.look("early").is_err());
    tell(&cfs, N2, &state);
    tell(&cfs, N2, &mkdir("late"));
    assert!(cfs.look("late").is_ok());
    cfs.handle(Event::View(vec![N1]));
    tell(&cfs, N1, &mkdir("later"));
    assert!(cfs.look("later").is_err());
}

#[test]
fn the_leaders_tree_replaces_the_own_one_and_its_corosync_conf_goes_to_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let cfs = member(&dir);
    let text = b"config_version: 3".to_vec();
    let mut newer = fresh(Some(text.clone()));
    newer.version = 9;
    let state =
        |tree: &Tree| Message::State { view: vec![N1, N2], standing: Standing::of(tree).unwrap() };
    cfs.handle(Event::View(vec![N1, N2]));
    tell(&cfs, N1, &state(&fresh(None)));
    tell(&cfs, N2, &state(&newer));
    tell(&cfs, N1, &Message::Tree(fresh(None)));
    assert!(cfs.look(CONF).is_err());
    tell(&cfs, N2, &Message::Tree(newer.clone()));
    assert_eq!(cfs.state().tree, newer);
    assert_eq!(std::fs::read(dir.path().join(CONF)).unwrap(), text);
    assert_eq!(cfs.setup.store.load().unwrap(), Some(newer));
}

/// No corosync is in reach of the tests, which is the plainest way of having no quorum.
#[test]
fn after_a_change_of_the_membership_the_old_quorum_is_not_trusted() {
    let dir = tempfile::tempdir().unwrap();
    let cfs = member(&dir);
    if let Some(link) = cfs.state().link.as_mut() {
        (link.quorum, link.me) = (true, Some(N1));
    }
    cfs.handle(Event::View(vec![N1]));
    assert!(cfs.state().writable(), "asked only when the votes were counted");
    let standing = Standing::of(&fresh(None)).unwrap();
    tell(&cfs, N1, &Message::State { view: vec![N1], standing });
    assert!(!cfs.state().writable());
    assert_eq!(cfs.submit(&Op::Mkdir { path: "a".into() }), Err(Errno::EACCES));
}
