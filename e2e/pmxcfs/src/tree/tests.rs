use super::*;

const N1: Origin = Origin { node: 1, time: 1000 };
const N2: Origin = Origin { node: 2, time: 1000 };

fn tree(dirs: &[&str]) -> Tree {
    let mut tree = Tree::default();
    for dir in dirs {
        tree.apply(&Op::Mkdir { path: (*dir).into() }, N1).unwrap();
    }
    tree
}

fn create(tree: &mut Tree, path: &str) -> Result<(), Errno> {
    tree.apply(&Op::Create { path: path.into() }, N1)
}

const LOCK: &str = "priv/lock/file-corosync_conf";

#[test]
fn the_second_mkdir_of_a_lock_is_refused() {
    let mut tree = tree(&["priv", "priv/lock", LOCK]);
    assert_eq!(tree.apply(&Op::Mkdir { path: LOCK.into() }, N2), Err(Errno::EEXIST));
}

#[test]
fn a_lock_goes_120_seconds_after_it_was_made_and_not_before() {
    let mut tree = tree(&["priv", "priv/lock", LOCK]);
    let ask = Op::Unlock { path: LOCK.into() };
    assert_eq!(tree.apply(&ask, Origin { node: 2, time: 1119 }), Err(Errno::EACCES));
    assert_eq!(tree.apply(&ask, Origin { node: 2, time: 1120 }), Ok(()));
    assert!(tree.get(LOCK).is_none());
}

#[test]
fn only_the_holder_refreshes_a_lock_and_anybody_removes_it() {
    let mut tree = tree(&["priv", "priv/lock", LOCK]);
    let touch = Op::Touch { path: LOCK.into(), mtime: 1060 };
    assert_eq!(tree.apply(&touch, N2), Err(Errno::EACCES));
    assert_eq!(tree.apply(&touch, N1), Ok(()));
    assert_eq!(tree.get(LOCK).unwrap().mtime, 1060);
    assert_eq!(tree.apply(&Op::Remove { path: LOCK.into(), dir: true }, N2), Ok(()));
}

#[test]
fn a_file_holds_one_mebibyte_and_not_a_byte_more() {
    let mut tree = tree(&[]);
    create(&mut tree, "big").unwrap();
    let write = |offset, data: &[u8]| Op::Write { path: "big".into(), offset, data: data.into() };
    assert_eq!(tree.apply(&write(FILE_LIMIT - 1, b"x"), N1), Ok(()));
    assert_eq!(tree.apply(&write(FILE_LIMIT, b"x"), N1), Err(Errno::EFBIG));
    assert_eq!(tree.file("big").unwrap().len() as u64, FILE_LIMIT);
}

#[test]
fn a_guest_is_configured_once_in_the_whole_cluster() {
    let dirs = ["nodes", "nodes/a", "nodes/b", "nodes/a/qemu-server", "nodes/b/qemu-server"];
    let mut tree = tree(&dirs);
    create(&mut tree, "nodes/a/qemu-server/100.conf").unwrap();
    assert_eq!(create(&mut tree, "nodes/b/qemu-server/100.conf"), Err(Errno::EEXIST));
    let migrate = Op::Rename {
        from: "nodes/a/qemu-server/100.conf".into(),
        to: "nodes/b/qemu-server/100.conf".into(),
    };
    assert_eq!(tree.apply(&migrate, N1), Ok(()));
}

#[test]
fn a_directory_with_content_is_neither_renamed_nor_removed() {
    let mut tree = tree(&["a", "a/b"]);
    let rename = Op::Rename { from: "a".into(), to: "c".into() };
    assert_eq!(tree.apply(&rename, N1), Err(Errno::ENOTEMPTY));
    assert_eq!(tree.apply(&Op::Remove { path: "a".into(), dir: true }, N1), Err(Errno::ENOTEMPTY));
}

#[test]
fn a_refused_operation_changes_nothing() {
    let mut tree = tree(&["a"]);
    let before = tree.clone();
    assert!(create(&mut tree, "nowhere/file").is_err());
    assert!(tree.apply(&Op::Mkdir { path: "a".into() }, N1).is_err());
    assert_eq!(tree, before);
}

#[test]
fn modes_are_read_only_without_quorum_and_private_in_priv() {
    assert_eq!(mode("corosync.conf", false, true), 0o640);
    assert_eq!(mode("corosync.conf", false, false), 0o440);
    assert_eq!(mode("local", true, true), 0o755);
    assert_eq!(mode("local", true, false), 0o555);
    assert_eq!(mode("priv/authkey.key", false, true), 0o600);
    assert_eq!(mode("nodes/n1/priv", true, true), 0o700);
}

#[test]
fn every_change_raises_the_version_by_one() {
    let mut tree = tree(&["a"]);
    create(&mut tree, "a/f").unwrap();
    assert_eq!((tree.version, tree.get("a/f").unwrap().version), (2, 2));
    assert_eq!(tree.children(""), ["a"]);
    assert_eq!(tree.children("a"), ["f"]);
}
