//! `conf edit`: what reaches the file, and what does not.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

use crate::desk::{Desk, Ended};

const TOKEN: &str = "edit corosync.conf --set totem.token=5000";

#[track_caller]
fn assert_refused(ended: &Ended, words: &str) {
    assert_eq!((ended.code, ended.stdout.as_str()), (1, ""), "{}", ended.stderr);
    assert!(ended.stderr.contains("refused, nothing is changed"), "{}", ended.stderr);
    assert!(ended.stderr.contains(words), "{}", ended.stderr);
}

#[track_caller]
fn assert_usage(ended: &Ended, words: &str) {
    assert_eq!((ended.code, ended.stdout.as_str()), (2, ""), "{}", ended.stderr);
    assert!(ended.stderr.contains(words), "{}", ended.stderr);
}

#[test]
fn a_written_edit_replaces_the_file_and_nothing_else_of_it() {
    let desk = Desk::new();
    let (path, before) = (desk.path("corosync.conf"), desk.names());
    fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    let old = desk.read("corosync.conf");
    let ended = desk.conf(&format!("{TOKEN} --write"));
    assert_eq!((ended.code, ended.stdout.as_str(), ended.stderr.as_str()), (0, "", ""));
    let expected = old
        .replace("config_version: 7", "config_version: 8")
        .replace("  version: 2\n", "  version: 2\n  token: 5000\n");
    assert_eq!(desk.read("corosync.conf"), expected);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(desk.names(), before, "no other file is left behind");
}

#[test]
fn a_link_to_the_file_stays_a_link() {
    let desk = Desk::new();
    symlink("corosync.conf", desk.path("link.conf")).unwrap();
    assert_eq!(desk.conf("edit link.conf -w --set totem.token=5000").code, 0);
    assert!(desk.path("link.conf").is_symlink());
    assert!(desk.read("corosync.conf").contains("token: 5000"));
}

#[test]
fn a_refused_edit_writes_nothing() {
    let desk = Desk::new();
    let (old, before) = (desk.read("corosync.conf"), inode(&desk));
    let ended = desk.conf("edit corosync.conf -w --set nodelist.node[2].nodeid=2");
    assert_refused(&ended, "nodeid-twice");
    let ended = desk.conf("edit corosync.conf -w --set totem.token=5 --remove-node n9");
    assert_refused(&ended, "there is no node n9; these are: n1, n2, n3");
    assert_eq!((desk.read("corosync.conf"), inode(&desk)), (old, before));
}

fn inode(desk: &Desk) -> u64 {
    fs::metadata(desk.path("corosync.conf")).unwrap().ino()
}

#[test]
fn what_the_file_says_already_raises_no_version_and_writes_nothing() {
    let desk = Desk::new();
    let (old, before) = (desk.read("corosync.conf"), inode(&desk));
    let ended = desk.conf("edit corosync.conf --write --set totem.secauth=on");
    assert_eq!(ended.code, 0);
    assert_eq!(ended.stderr, "note: corosync.conf says so already; config_version stays\n");
    assert_eq!((desk.read("corosync.conf"), inode(&desk)), (old, before));
}

#[test]
fn changes_are_made_in_the_order_in_which_they_are_typed() {
    let desk = Desk::new();
    let add = "--add-link 1 --address n1=10.1.0.1 --address n2=10.1.0.2,n3=10.1.0.3";
    let then = "--add-link 2 --network 10.2.0.0/24 --remove-link 1 --priority 2=9";
    let ended = desk.conf(&format!("edit corosync.conf {add} {then}"));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let said = "note: link 2: node n1 gets 10.2.0.1\n";
    assert!(ended.stderr.starts_with(said), "{}", ended.stderr);
    assert!(!ended.stdout.contains("ring1_addr") && ended.stdout.contains("ring2_addr: 10.2.0.3"));
    assert!(ended.stdout.contains("config_version: 8"), "one edit, one version");
    let ended = desk.conf(&format!("edit corosync.conf --remove-link 1 {add}"));
    assert_refused(&ended, "there is no link 1");
}

#[test]
fn an_address_that_is_typed_goes_before_one_that_is_made() {
    let desk = Desk::new();
    let link = "edit corosync.conf --add-link 1 --network 10.1.0.0/24";
    let ended = desk.conf(&format!("{link} --address n3=10.1.0.99"));
    assert!(ended.stdout.contains("ring1_addr: 10.1.0.99"), "{}", ended.stderr);
    assert_eq!(ended.stderr.lines().count(), 2, "n1 and n2 are told: {}", ended.stderr);
    let ended = desk.conf(&format!("{link} --address n3=10.8.0.99"));
    assert_refused(&ended, "10.8.0.99 of node n3 is not in 10.1.0.0/24");
    let ended = desk.conf(&format!("{link} --address n3=10.1.0.1"));
    assert_refused(&ended, "address 10.1.0.1 is already used");
    desk.write("wide.conf", &desk.read("corosync.conf").replace("10.0.0.3", "10.0.1.1"));
    let ended = desk.conf("edit wide.conf --add-link 1 --network 10.1.0.0/24");
    assert_refused(&ended, "nodes n1 and n3 are in 10.0.0.0/24 and 10.0.1.0/24 on link 0");
}

#[test]
fn a_node_comes_with_the_lowest_free_id_and_goes_by_its_name() {
    let desk = Desk::new();
    let ended = desk.conf("edit corosync.conf --add-node name=n4,link0=10.0.0.4 --remove-node n2");
    assert_eq!(ended.stderr, "note: node n4 gets nodeid 4, the lowest free one\n");
    assert!(ended.stdout.contains("name: n4\n    nodeid: 4\n    quorum_votes: 1\n"));
    assert!(!ended.stdout.contains("name: n2"));
    let gone_first =
        "edit corosync.conf --remove-node n2 --add-node name=n4,votes=0,link0=10.0.0.4";
    let ended = desk.conf(gone_first);
    assert_eq!(
        ended.stderr.lines().next(),
        Some("note: node n4 gets nodeid 2, the lowest free one")
    );
}

#[test]
fn a_finding_that_the_file_has_already_is_told_apart() {
    let desk = Desk::new();
    let text = desk.read("corosync.conf").replace("secauth: on", "secauth: on # c");
    desk.write("commented.conf", &text);
    let ended = desk.conf("edit commented.conf --set totem.token=5000");
    assert_refused(&ended, "the file has it already: commented.conf:40: corosync3 misreads");
    let ended = desk.conf("edit commented.conf --set totem.secauth=on --set totem.token=5000");
    assert_eq!(ended.code, 0, "an edit that mends it is taken: {}", ended.stderr);
}

#[test]
fn programs_get_one_object_whether_the_edit_is_taken_or_not() {
    let desk = Desk::new();
    let report = |arguments: &str| -> serde_json::Value {
        serde_json::from_str(&desk.conf(arguments).stdout).unwrap()
    };
    let taken = report(&format!("{TOKEN} -o json"));
    assert_eq!(taken["changed"], true);
    assert_eq!(taken["configVersion"], 8);
    assert!(taken["text"].as_str().unwrap().contains("token: 5000"));
    let refused = report("edit corosync.conf --remove-link 0 -o json");
    assert_eq!(refused["changed"], false);
    assert_eq!(refused["configVersion"], 7);
    assert_eq!(refused["refused"], "link 0 is the only one");
    assert_eq!(refused["text"], desk.read("corosync.conf"));
}

#[test]
fn a_wrong_command_line_says_what_is_wrong_and_ends_with_2() {
    let desk = Desk::new();
    let usage = |flags: &str, words: &str| {
        assert_usage(&desk.conf(&format!("edit corosync.conf {flags}")), words);
    };
    usage("--network 10.1.0.0/24", "`--network` and `--address` belong behind an `--add-link`");
    usage("--set totem.token", "`totem.token` has no `=`, as in `totem.token=5000`");
    usage("--set token=5", "`token` names no section and key, such as `totem.token`");
    usage("--set totem.config_version=9", "every edit raises config_version by one");
    usage("--set totem.interface[x].mcastport=1", "`[x]` is no place: 0 is the first");
    usage("--add-link 8", "link 8 does not exist: corosync has links 0 to 7");
    usage("--priority 1=256", "`256` is no priority: 0 to 255 are, and `default`");
    usage("--add-node nodeid=4", "a new node needs `name=...`");
    usage("--add-node name=n4,ring0=1", "a node has name, nodeid, votes and linkN, not `ring0`");
    assert_usage(&desk.conf("edit - --write"), "`--write` needs a file to replace");
    let two = "--add-link 1 --network 10.1.0.0/24 --network 10.2.0.0/24";
    usage(two, "link 1 is given two networks");
}
