//! Each edit with the lines that it touches, and each refusal.

use std::collections::BTreeMap;

use super::{as_text, by_hand, changed_lines, entry, formed, link, node_id, three_nodes};
use crate::conf::edit::{
    add_link, add_node, append_section, bump, hold_token, remove_link, remove_node, remove_section,
    set, set_addresses, set_priority, set_version, set_votes, unset,
};
use crate::conf::{Config, Document, EditError, Formation, LinkOptions, SectionPath};
use crate::ids::{ConfigVersion, NodeId};

fn addresses(ids: &[u32]) -> BTreeMap<NodeId, String> {
    ids.iter().map(|id| (node_id(*id), format!("10.51.0.{id}"))).collect()
}

#[track_caller]
fn assert_edit(old: &Document, new: Result<Document, EditError>, expected: &[&str]) -> Document {
    let new = new.unwrap();
    let changed = changed_lines(old, &new);
    assert_eq!(changed.lines().collect::<Vec<_>>(), expected);
    new
}

#[track_caller]
fn assert_refused(edited: Result<Document, EditError>, words: &str) {
    assert_eq!(edited.unwrap_err().to_string(), words);
}

#[test]
fn a_new_version_touches_its_line_and_keeps_the_spacing() {
    let old = by_hand();
    let lines = ["-4:\"\\tconfig_version :  41 \\n\"", "+4:\"\\tconfig_version :  42 \\n\""];
    assert_edit(&old, set_version(&old, ConfigVersion(42)), &lines);
}

#[test]
fn a_version_that_is_missing_or_hidden_from_pmxcfs_is_not_set() {
    let none = Document::parse(b"totem {\n}\n");
    assert_refused(
        set_version(&none, ConfigVersion(2)),
        "section `totem` has no key `config_version`",
    );
    let shadowed = Document::parse(b"# config_version: 9\ntotem {\nconfig_version: 1\n}\n");
    assert_refused(
        set_version(&shadowed, ConfigVersion(2)),
        "corosync takes config_version 2, but pmxcfs compares 9, the first in the text",
    );
}

#[test]
fn a_version_that_only_the_raised_one_would_agree_with_pmxcfs_on_is_not_raised() {
    let ahead = Document::parse(b"node {\nconfig_version: 1\n}\ntotem {\nconfig_version: 0\n}\n");
    assert_refused(
        bump(&ahead),
        "corosync takes config_version 0, but pmxcfs compares 1, the first in the text",
    );
}

#[test]
fn votes_are_replaced_where_written_and_added_below_the_nodeid_where_not() {
    let old = by_hand();
    let lines = ["-16:\"     quorum_votes:   2\\t\\n\"", "+16:\"     quorum_votes:   0\\t\\n\""];
    assert_edit(&old, set_votes(&old, node_id(2), 0), &lines);
    let lines = ["+12:\"\\t\\tquorum_votes: 3\\n\""];
    assert_edit(&old, set_votes(&old, node_id(1), 3), &lines);
    assert_refused(set_votes(&old, node_id(7), 1), "there is no node 7");
}

#[test]
fn a_node_is_added_behind_the_last_one_in_its_style() {
    let old = by_hand();
    let lines = [
        "+19:\"   node {\\n\"",
        "+20:\"     name: n3\\n\"",
        "+21:\"     nodeid: 3\\n\"",
        "+22:\"     quorum_votes: 1\\n\"",
        "+23:\"     ring0_addr: 10.50.0.3\\n\"",
        "+24:\"   }\\n\"",
    ];
    assert_edit(&old, add_node(&old, &entry("n3", 3, &[0])), &lines);
}

#[test]
fn a_node_that_clashes_with_the_file_is_not_added() {
    let old = by_hand();
    let add = |node| add_node(&old, &node);
    assert_refused(add(entry("n9", 2, &[0])), "there is already a node 2 named n2");
    assert_refused(add(entry("n2", 9, &[0])), "there is already a node 2 named n2");
    assert_refused(add(entry("n3", 3, &[])), "node 3 is given no address on link 0");
    assert_refused(add(entry("n3", 3, &[0, 1])), "there is no link 1");
    let mut taken = entry("n3", 3, &[0]);
    taken.addresses.insert(link(0), "10.50.0.1".to_owned());
    assert_refused(add(taken.clone()), "address 10.50.0.1 is already used by node 1");
    taken.addresses.insert(link(0), "a{".to_owned());
    assert_refused(
        add(taken),
        "`a{` cannot be written as `ring0_addr`: 1 to 255 printable characters without `#` and \
         braces can",
    );
}

#[test]
fn a_node_is_removed_with_its_lines_and_the_last_one_stays() {
    let old = by_hand();
    let new = remove_node(&old, node_id(1)).unwrap();
    assert_eq!(changed_lines(&old, &new).lines().filter(|line| line.starts_with('+')).count(), 0);
    assert_eq!(changed_lines(&old, &new).lines().count(), 6);
    assert_refused(remove_node(&old, node_id(3)), "there is no node 3");
    assert_refused(remove_node(&new, node_id(2)), "node 2 is the only one");
}

#[test]
fn a_link_without_options_adds_only_addresses_where_no_interface_is_written() {
    let old = by_hand();
    let lines = ["+10:\"\\t\\tring1_addr: 10.51.0.1\\n\"", "+19:\"     ring1_addr: 10.51.0.2\\n\""];
    let new = add_link(&old, link(1), &addresses(&[1, 2]), &LinkOptions::default());
    assert_edit(&old, new, &lines);
}

#[test]
fn the_first_interface_section_brings_those_of_the_other_links() {
    let old = by_hand();
    let options = LinkOptions { priority: Some(9), port: Some(5500), ..LinkOptions::default() };
    let lines = [
        "+5:\"\\tinterface {\\n\"",
        "+6:\"\\t\\tlinknumber: 0\\n\"",
        "+7:\"\\t}\\n\"",
        "+8:\"\\tinterface {\\n\"",
        "+9:\"\\t\\tknet_link_priority: 9\\n\"",
        "+10:\"\\t\\tlinknumber: 1\\n\"",
        "+11:\"\\t\\tmcastport: 5500\\n\"",
        "+12:\"\\t}\\n\"",
        "+18:\"\\t\\tring1_addr: 10.51.0.1\\n\"",
        "+27:\"     ring1_addr: 10.51.0.2\\n\"",
    ];
    let new = add_link(&old, link(1), &addresses(&[1, 2]), &options);
    let new = assert_edit(&old, new, &lines);
    assert_eq!(Config::read(&new).unwrap().interfaces[&link(1)].options, options);
}

#[test]
fn a_link_of_a_proxmox_ve_file_gets_its_interface_section_behind_the_last_one() {
    let old = formed(&three_nodes());
    let new = add_link(&old, link(1), &addresses(&[1, 2, 3]), &LinkOptions::default()).unwrap();
    assert!(
        changed_lines(&old, &new)
            .ends_with("+39:\"  interface {\\n\"\n+40:\"    linknumber: 1\\n\"\n+41:\"  }\\n\"\n")
    );
    let back = remove_link(&new, link(1)).unwrap();
    assert_eq!(back.to_bytes(), old.to_bytes(), "removing the link undoes adding it");
}

#[test]
fn a_link_that_does_not_fit_is_not_added() {
    let old = by_hand();
    let add = |number, addresses| add_link(&old, link(number), &addresses, &LinkOptions::default());
    assert_refused(add(0, addresses(&[1, 2])), "there is already a link 0");
    assert_refused(add(1, addresses(&[1])), "node 2 is given no address on link 1");
    assert_refused(add(1, addresses(&[1, 2, 3])), "there is no node 3");
    let same = |one: &str, two: &str| {
        BTreeMap::from([(node_id(1), one.to_owned()), (node_id(2), two.to_owned())])
    };
    assert_refused(
        add(1, same("fd00::1", "fd00:0::1")),
        "address fd00:0::1 is already used by node 1",
    );
    assert_refused(add(1, same("a", "10.50.0.1")), "address 10.50.0.1 is already used by node 1");
}

#[test]
fn the_last_link_stays() {
    let old = by_hand();
    assert_refused(remove_link(&old, link(0)), "link 0 is the only one");
    assert_refused(remove_link(&old, link(1)), "there is no link 1");
}

#[test]
fn a_priority_is_set_changed_and_taken_away() {
    let old = formed(&three_nodes());
    let lines = ["+35:\"    knet_link_priority: 7\\n\""];
    let set_once = assert_edit(&old, set_priority(&old, link(0), Some(7)), &lines);
    let lines = ["-35:\"    knet_link_priority: 7\\n\"", "+35:\"    knet_link_priority: 255\\n\""];
    assert_edit(&set_once, set_priority(&set_once, link(0), Some(255)), &lines);
    let back = set_priority(&set_once, link(0), None).unwrap();
    assert_eq!(back.to_bytes(), old.to_bytes());
    assert_refused(set_priority(&old, link(0), None), "link 0 has no priority set");
    assert_refused(set_priority(&old, link(1), Some(1)), "there is no link 1");
    let new = set_priority(&by_hand(), link(0), Some(3)).unwrap();
    assert_eq!(Config::read(&new).unwrap().interfaces[&link(0)].options.priority, Some(3));
}

#[test]
fn any_key_can_be_set_and_taken_away() {
    let old = by_hand();
    let totem = SectionPath::top("totem");
    let set_once = set(&old, &totem, "token", "5000");
    let set_once = assert_edit(&old, set_once, &["+5:\"\\ttoken: 5000\\n\""]);
    assert_eq!(unset(&set_once, &totem, "token").unwrap().to_bytes(), old.to_bytes());
    let oddity = set(&old, &SectionPath::top("oddity"), "key", "v");
    assert_edit(&old, oddity, &["+25:\"\\tkey: v\\n\""]);
    assert_refused(unset(&old, &totem, "token"), "section `totem` has no key `token`");
    let nowhere = SectionPath::top("totem").child("interface", 1);
    assert_refused(set(&old, &nowhere, "a", "b"), "there is no section `totem.interface[1]`");
    assert!(matches!(set(&old, &totem, "a b", "c"), Err(EditError::BadKey(_))));
    assert!(set(&old, &totem, "token", "5 # x").is_err(), "the readers would disagree");
    let empty = Document::parse(b"totem {\n token:\r\n}\n");
    let filled = set(&empty, &totem, "token", "5").unwrap();
    assert_eq!(filled.to_bytes(), b"totem {\n token: 5\r\n}\n");
}

#[test]
fn sections_come_and_go_with_their_lines() {
    let old = by_hand();
    let quorum = SectionPath::top("quorum");
    let keys = [("model", "net")];
    let lines = ["+23:\"\\tdevice {\\n\"", "+24:\"\\t\\tmodel: net\\n\"", "+25:\"\\t}\\n\""];
    let new = assert_edit(&old, append_section(&old, &quorum, "device", &keys), &lines);
    let back = remove_section(&new, &quorum.child("device", 0)).unwrap();
    assert_eq!(back.to_bytes(), old.to_bytes());
}

#[test]
fn what_comes_behind_a_last_line_without_end_begins_a_line() {
    let edited = |old: &str, root: fn(&Document) -> Result<Document, EditError>| {
        as_text(&root(&Document::parse(old.as_bytes())).unwrap())
    };
    let key = |old: &Document| set(old, &SectionPath::root(), "new", "1");
    assert_eq!(edited("old: 1", key), "old: 1\nnew: 1\n");
    assert_eq!(edited("# none\n", key), "new: 1\n# none\n");
    let section = |old: &Document| append_section(old, &SectionPath::root(), "new", &[]);
    assert_eq!(edited("new {\n}", section), "new {\n}\nnew {\n}\n");
    assert_eq!(edited("old {\n}\n# end", section), "old {\n}\n# end\nnew {\n}\n");
    assert_eq!(edited("", section), "new {\n}\n");
}

#[test]
fn a_file_that_corosync_refuses_is_not_edited() {
    let broken = Document::parse(b"totem {\nconfig_version: 1\n");
    assert_refused(
        set_version(&broken, ConfigVersion(2)),
        "corosync refuses this file: line 2: the file ends, but the section opened in line 1 is \
         not closed",
    );
}

#[test]
fn new_lines_end_as_their_neighbours_do() {
    let old = as_text(&formed(&three_nodes())).replace('\n', "\r\n");
    let old = Document::parse(old.as_bytes());
    let new = add_link(&old, link(1), &addresses(&[1, 2, 3]), &LinkOptions::default()).unwrap();
    let new = add_node(&new, &entry("n4", 4, &[0, 1])).unwrap();
    assert!(as_text(&new).split_inclusive('\n').all(|line| line.ends_with("\r\n")));
}

#[test]
fn another_place_for_a_link_changes_the_addresses_and_nothing_else() {
    let old = by_hand();
    let place = |addresses: BTreeMap<_, _>| set_addresses(&old, link(0), &addresses);
    let new = place(addresses(&[1, 2])).unwrap();
    let changed =
        |text: &str| text.replace("10.50.0.1", "10.51.0.1").replace("10.50.0.2", "10.51.0.2");
    assert_eq!(as_text(&new), changed(&as_text(&old)));
    assert_refused(place(addresses(&[1])), "node 2 is given no address on link 0");
    let swapped = [(node_id(1), "10.50.0.2".to_owned()), (node_id(2), "10.50.0.9".to_owned())];
    assert_refused(place(swapped.into()), "address 10.50.0.2 is already used by node 2");
    let own = add_link(&old, link(1), &own_addresses(), &LinkOptions::default()).unwrap();
    assert_eq!(Config::read(&own).unwrap().links().len(), 2, "on another port");
    assert_refused(set_addresses(&old, link(1), &addresses(&[1, 2])), "there is no link 1");
}

/// What the nodes of [`by_hand`] have on link 0.
fn own_addresses() -> BTreeMap<NodeId, String> {
    (1..=2).map(|id| (node_id(id), format!("10.50.0.{id}"))).collect()
}

#[test]
fn a_token_that_no_number_could_hold_is_left_alone() {
    let five = Formation {
        nodes: (1..=5).map(|id| entry(&format!("n{id}"), id, &[0])).collect(),
        ..three_nodes()
    };
    let old = formed(&five);
    assert_eq!(hold_token(&old, 300).unwrap().to_bytes(), old.to_bytes());
    let held = hold_token(&old, 1375).unwrap();
    assert_eq!(Config::read(&held).unwrap().totem.token_millis, Some(1000));
    assert_eq!(hold_token(&held, 1375).unwrap().to_bytes(), held.to_bytes());
}

#[test]
fn the_version_is_raised_by_exactly_one() {
    let old = by_hand();
    assert_edit(
        &old,
        bump(&old),
        &["-4:\"\\tconfig_version :  41 \\n\"", "+4:\"\\tconfig_version :  42 \\n\""],
    );
    let totem = |line: &str| Document::parse(format!("totem {{\n{line}\n}}\n").as_bytes());
    assert_refused(bump(&totem("version: 2")), "section `totem` has no key `config_version`");
    let last = totem("config_version: 18446744073709551615");
    assert_refused(
        bump(&last),
        "line 2: `config_version` is `18446744073709551615`, but takes a plain number of 64 bits, to \
         be raised",
    );
    assert!(bump(&totem("config_version: 4a")).is_err(), "it would abort every corosync");
    assert!(bump(&totem("# config_version: 9\nconfig_version: 4")).is_err(), "pmxcfs takes 9");
}

#[test]
fn a_node_has_an_address_once() {
    let old = add_link(&by_hand(), link(1), &addresses(&[1, 2]), &LinkOptions::default()).unwrap();
    let mut twice = entry("n4", 4, &[0]);
    twice.addresses.insert(link(1), twice.addresses[&link(0)].clone());
    assert_refused(add_node(&old, &twice), "address 10.50.0.4 is already used by node 4");
}
