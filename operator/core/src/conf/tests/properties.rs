//! What holds for every file: bytes come back, and an edit leaves all other lines alone.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{entry, link, node_id};
use crate::conf::edit::{
    add_link, add_node, remove_link, remove_node, set, set_priority, set_version, set_votes,
};
use crate::conf::{Config, Document, LinkOptions, Overview, SectionPath, convert, diff};
use crate::ids::ConfigVersion;

/// Bytes that look like a configuration more often than chance would have it.
fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        prop::sample::select(vec!["{", "}", ":", "\n", "\r\n", " ", "\t", "#", "totem", "node"])
            .prop_map(|text| text.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 0..6),
    ];
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

/// Spaces, tabs, a stray comment or a blank line before a line.
fn noise() -> impl Strategy<Value = String> {
    let before = prop_oneof![
        6 => Just(String::new()),
        1 => "[ \t]{0,3}#[ -~]{0,20}\n".prop_filter("no version", |t| !t.contains("config_v")),
        1 => "[ \t]{0,4}\r?\n",
    ];
    (before, "[ \t]{0,6}").prop_map(|(before, blank)| before + &blank)
}

/// A cluster of 2 to 5 nodes on links 0 and 1, every line with noise around it.
fn any_file() -> impl Strategy<Value = Document> {
    let line = |text: String| {
        let end = prop::sample::select(vec!["\n", "\r\n", " \n", "\t\r\n"]);
        (noise(), end).prop_map(move |(before, end)| format!("{before}{text}{end}"))
    };
    (2_u32..6, any::<bool>(), any::<bool>()).prop_flat_map(move |(nodes, votes, interfaces)| {
        let mut lines = vec!["nodelist {".to_owned()];
        for id in 1..=nodes {
            lines.extend(["node {".to_owned(), format!("name : n{id}"), format!("nodeid:{id}")]);
            lines.extend(votes.then(|| "quorum_votes:  1".to_owned()));
            lines
                .extend([format!("ring0_addr: 10.50.0.{id}"), format!("ring1_addr: 10.51.0.{id}")]);
            lines.extend(["unknown: #a b".to_owned(), "}".to_owned()]);
        }
        lines.extend(["}", "totem {", "version: 2", "cluster_name: c"].map(str::to_owned));
        for number in (0..2).filter(|_| interfaces) {
            lines.extend(["interface {".to_owned(), format!("linknumber: {number}"), "}".into()]);
        }
        lines.extend(["config_version: 5", "}", "quorum {"].map(str::to_owned));
        lines.extend(["provider: corosync_votequorum", "}"].map(str::to_owned));
        let lines: Vec<_> = lines.into_iter().map(line).collect();
        lines.prop_map(|lines| Document::parse(lines.concat().as_bytes()))
    })
}

/// Asserts that `new` is what its bytes give, and `old` with at most `removed` lines gone and `added` lines new, all others
/// byte-identical and in order.
fn only_these_changed(
    old: &Document,
    new: &Document,
    (removed, added): (usize, usize),
) -> Result<(), TestCaseError> {
    let changed = super::changed_lines_of_bytes(old.as_bytes(), new.as_bytes());
    prop_assert_eq!(changed, (removed, added));
    prop_assert_eq!(new, &Document::parse(new.as_bytes()));
    Config::read(new).map_err(|error| TestCaseError::fail(error.to_string()))?;
    Ok(())
}

proptest! {
    #[test]
    fn any_bytes_come_back_as_they_were(bytes in any_bytes()) {
        prop_assert_eq!(Document::parse(&bytes).to_bytes(), bytes);
    }

    #[test]
    fn reading_never_panics(bytes in any_bytes()) {
        let document = Document::parse(&bytes);
        prop_assert!(Config::read(&document).is_err());
        prop_assert!(document.problems().windows(2).all(|pair| pair[0].line <= pair[1].line));
    }

    #[test]
    fn a_value_set_in_place_gives_the_document_that_its_bytes_give(
        file in any_file(),
        value in "x[!-~&&[^#{}]]{0,40}",
        key in prop::sample::select(vec!["cluster_name", "config_version", "version", "new"]),
    ) {
        let edited = set(&file, &SectionPath::top("totem"), key, &value).unwrap();
        prop_assert_eq!(&edited, &Document::parse(edited.as_bytes()));
        let lines = (usize::from(key != "new"), 1);
        prop_assert_eq!(super::changed_lines_of_bytes(file.as_bytes(), edited.as_bytes()), lines);
    }

    #[test]
    fn an_edit_touches_only_its_own_lines(file in any_file(), priority in any::<u8>()) {
        let config = Config::read(&file).unwrap();
        let nodes = config.nodes.len();
        let votes_written = usize::from(config.nodes[0].quorum_votes.is_some());
        let interface_lines = if config.interfaces.is_empty() { 0 } else { 3 };

        only_these_changed(&file, &set_version(&file, ConfigVersion(6)).unwrap(), (1, 1))?;
        let voted = set_votes(&file, node_id(2), 7).unwrap();
        only_these_changed(&file, &voted, (votes_written, 1))?;

        let ids = config.nodes.iter().map(|node| node.id);
        let addresses: BTreeMap<_, _> = ids.map(|id| (id, format!("10.55.0.{id}"))).collect();
        let linked = add_link(&file, link(5), &addresses, &LinkOptions::default()).unwrap();
        only_these_changed(&file, &linked, (0, nodes + interface_lines))?;
        prop_assert_eq!(remove_link(&linked, link(5)).unwrap(), file.clone());

        let joined = add_node(&file, &entry("n9", 9, &[0, 1])).unwrap();
        only_these_changed(&file, &joined, (0, 7))?;
        prop_assert_eq!(remove_node(&joined, node_id(9)).unwrap(), file.clone());

        let preferred = set_priority(&file, link(1), Some(priority)).unwrap();
        let lines = if config.interfaces.is_empty() { 7 } else { 1 };
        only_these_changed(&file, &preferred, (0, lines))?;
        let read = Config::read(&preferred).unwrap();
        prop_assert_eq!(read.interfaces[&link(1)].options.priority, Some(priority));
    }
}

proptest! {
    #[test]
    fn any_two_files_can_be_compared_looked_at_and_converted(old in any_bytes(), new in any_bytes()) {
        let (old, new) = (Document::parse(&old), Document::parse(&new));
        prop_assert!(diff(&old, &old).changes.is_empty());
        prop_assert_eq!(diff(&old, &new).changes.is_empty(), old == new);
        let _ = Overview::of(&new);
        if let Ok(converted) = convert(&new) {
            prop_assert_eq!(converted.document.problems(), []);
            prop_assert_eq!(&Document::parse(converted.document.as_bytes()), &converted.document);
        }
    }

    #[test]
    fn a_managed_file_converts_to_itself(document in any_file()) {
        let converted = convert(&document).unwrap();
        let numbered = Config::read(&document).unwrap().interfaces.len();
        prop_assert_eq!(converted.document == document, converted.steps.is_empty());
        prop_assert!(converted.steps.is_empty(), "{numbered} {:?}", converted.steps);
    }
}

#[test]
fn a_file_that_nests_without_end_is_looked_at_in_no_time() {
    let deep = Document::parse("ab {\n".repeat(200_000).as_bytes());
    let nodes =
        Document::parse(format!("nodelist {{\n{}}}\n", "node {\n}\n".repeat(50_000)).as_bytes());
    assert_eq!(Overview::of(&deep).nodes.len(), 0);
    assert_eq!(diff(&deep, &nodes).reload, diff::Reload::Applied);
}
