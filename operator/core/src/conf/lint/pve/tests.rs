//! Proxmox VE's verdicts. The messages that it prints itself stand beside the cases; each was seen with
//! its own parser.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::parser::Tree;
use super::{CODES, Finding, findings};
use crate::conf::lint::Effect;
use crate::conf::{Document, SectionView};

fn told(text: &str) -> Vec<String> {
    let tell = |finding: Finding| {
        let line = finding.line.map_or_else(|| "-".to_owned(), |line| line.to_string());
        format!("{line} {} {}: {}", finding.effect, finding.code, finding.message)
    };
    findings(&Document::parse(text.as_bytes())).into_iter().map(tell).collect()
}

#[track_caller]
fn assert_told(text: &str, expected: &[&str]) {
    assert_eq!(told(text), expected, "{text}");
}

/// A file of two nodes on link 0 with these lines inside totem, nothing of which is told.
fn file(totem: &str) -> String {
    let node = |id| {
        format!(
            "node {{\nname: n{id}\nnodeid: {id}\nquorum_votes: 1\nring0_addr: 10.0.0.{id}\n}}\n"
        )
    };
    format!(
        "totem {{\nversion: 2\ncluster_name: prod\nconfig_version: 4\n{totem}}}\nnodelist {{\n{}{}}}\n",
        node(1),
        node(2)
    )
}

const ENCRYPTED: &str = "secauth: on\n";

#[test]
fn a_file_as_proxmox_ve_writes_it_is_nothing_to_tell() {
    assert_told(&file(ENCRYPTED), &[]);
    assert_told(&file(ENCRYPTED).replace('\n', "\r\n"), &[]);
    let interface = "secauth: on\ninterface {\nlinknumber: 0\n}\n";
    assert_told(&file(interface), &[]);
    assert_told(&file("crypto_cipher: aes256\ncrypto_hash: sha256\n"), &[]);
}

/// corosync takes all that stands before a brace for the section's name.
#[test]
fn a_key_in_the_line_of_a_brace_is_one_for_proxmox_ve_alone() {
    let told_of_key = "1 misreads pve-other-value: Proxmox VE reads `name` with the value `a`, corosync sees no \
                       key in this line";
    assert!(told("name: a totem {\n}\n").contains(&told_of_key.to_owned()));
}

#[test]
fn every_word_without_a_colon_is_refused_with_its_reason() {
    // missing ':' after key 'version:2'
    assert_told(
        "totem {\nversion:2\n}\n",
        &["2 refuses pve-no-space: `version:2` needs a space behind the colon that ends the key"],
    );
    // missing ':' after key 'version'
    assert_told(
        "totem {\nversion : 2\n}\n",
        &[
            "2 refuses pve-space-before-colon: `version :` needs its colon right behind the key, without a \
           space",
        ],
    );
    // missing ':' after key 'totem{'
    assert_told(
        "totem{\nversion: 2\n}\n",
        &[
            "1 refuses pve-brace-at-name: `totem{` needs white space before `{`, which must be a word of \
           its own",
        ],
    );
    // missing ':' after key '-c'
    assert_told(
        "heuristics {\nexec_ping: /bin/ping -c 1 host\nmode: sync\n}\n",
        &[
            "2 refuses pve-value-with-spaces: the value of `exec_ping` has more than one word: Proxmox VE \
           takes the first and expects a key in `-c`",
        ],
    );
    // missing ':' after key '5405'
    assert_told(
        "totem {\nbindnetaddr: # none\nmcastport: 5405\n}\n",
        &[
            "3 refuses pve-empty-value: `bindnetaddr` of line 2 has no value, so Proxmox VE takes the next \
           word for it, and then expects a key in `5405`",
        ],
    );
    // missing ':' after key 'word'
    assert_told(
        "word of mouth\ntotem {\n}\n",
        &[
            "1 refuses pve-no-colon: `word` opens no section, closes none, and is no key, which ends in a \
           colon",
        ],
    );
}

#[test]
fn everything_that_is_refused_is_told_at_once() {
    let codes: Vec<_> = findings(&Document::parse(
        b"totem{\nversion:2\ntoken : 1000\nmode: a b\n}\n}\nquorum {\n}\nquorum {\n}\nlast:",
    ))
    .into_iter()
    .map(|finding| (finding.line, finding.code.name))
    .collect();
    assert_eq!(
        codes,
        [
            (Some(1), "pve-brace-at-name"),
            (Some(2), "pve-no-space"),
            (Some(3), "pve-space-before-colon"),
            (Some(4), "pve-value-with-spaces"),
            (Some(6), "pve-unexpected-closing"),
            (Some(9), "pve-repeated-section"),
            (Some(11), "pve-no-value"),
        ]
    );
    assert_eq!(findings(&Document::parse(&b"word\n".repeat(10_000))).len(), 50);
}

#[test]
fn a_file_that_ends_behind_a_key_is_refused() {
    // parse error - no value for 'version'
    assert_told(
        "totem {\nversion: # 2\n",
        &["2 refuses pve-no-value: the file ends behind `version:`, which has no value"],
    );
}

#[test]
fn a_section_that_may_be_there_once_is_refused_the_second_time() {
    // section 'logger_subsys' already exists and not marked as array!
    assert_told(
        "logging {\nlogger_subsys {\n}\nlogger_subsys {\n}\n}\n",
        &[
            "4 refuses pve-repeated-section: `logger_subsys` is there a second time, after line 2: corosync \
           merges the two, Proxmox VE takes only node and interface more than once",
        ],
    );
    let second_nodelist = file(ENCRYPTED) + "nodelist {\n}\n";
    assert_eq!(
        findings(&Document::parse(second_nodelist.as_bytes()))[0].code.name,
        "pve-repeated-section"
    );
    // A key of the name counts as well.
    assert_eq!(
        findings(&Document::parse(b"logging: x\nlogging {\n}\n"))[0].code.name,
        "pve-repeated-section"
    );
}

#[test]
fn a_closing_brace_without_an_opening_one_is_refused() {
    // parse error - uncexpected '}'
    assert_told(
        "totem {\n}\n}\n",
        &["3 refuses pve-unexpected-closing: `}` closes a section that was never opened"],
    );
}

#[test]
fn a_key_in_the_place_of_a_section_is_refused() {
    // Can't use string ("x") as a HASH ref while "strict refs" in use
    for (text, line, name) in [
        ("nodelist: x\n", 1, "nodelist"),
        ("totem: x\n", 1, "totem"),
        ("totem {\n}\nnodelist {\nnode: x\n}\n", 4, "node"),
        ("totem {\ninterface: x\n}\n", 2, "interface"),
        ("nodelist {\nnode: x\nnode {\n}\n}\n", 2, "node"),
    ] {
        assert_told(
            text,
            &[&format!(
                "{line} refuses pve-not-a-section: `{name}` is a key with the value `x` here, but Proxmox \
                 VE needs a section of that name"
            )],
        );
    }
}

#[test]
fn a_comment_behind_a_value_hides_from_proxmox_ve_that_nothing_is_encrypted() {
    let found = told(&file("secauth: on # since 2019\n"));
    assert_eq!(
        found,
        [
            "5 misreads pve-comment-cut: `secauth` is `on` for Proxmox VE, which cuts the comment off, but \
         `on # since 2019` for corosync, which does not; Proxmox VE does not see that encryption depends \
         on it",
            "5 advice pve-rewrite: the next write of Proxmox VE drops this comment and sorts the file",
        ]
    );
}

#[test]
fn a_comment_behind_any_other_value_is_told_as_well() {
    let found = told(&file("secauth: on\ntoken: 5000# was 1000\n"));
    assert_eq!(
        found[0],
        "6 misreads pve-comment-cut: `token` is `5000` for Proxmox VE, which cuts the comment off, but \
         `5000# was 1000` for corosync, which does not"
    );
}

#[test]
fn a_key_without_value_takes_the_next_word_even_where_nothing_is_refused() {
    let found = told(&file("secauth: on\nlast:\n"));
    assert_eq!(
        found[..2],
        [
            "- breaks pve-no-nodelist: there is no section `nodelist` at the top: Proxmox VE adds no node",
            "1 misreads pve-unclosed-section: the section `totem` is never closed: Proxmox VE takes everything \
         behind it for a part of it and says nothing",
        ]
    );
    assert_eq!(
        found[2],
        "6 misreads pve-empty-value: `last` is `` for corosync, but Proxmox VE sees no value and takes the \
         next word, `}` of line 7"
    );
}

#[test]
fn two_keys_of_one_line_are_one_for_corosync() {
    assert_eq!(
        told(&file("secauth: on token: 5000\n")),
        [
            "5 misreads pve-other-value: Proxmox VE reads `secauth` with the value `on`, corosync `secauth` \
          with the value `on token: 5000`"
        ]
    );
}

#[test]
fn a_missing_closing_brace_nests_the_rest_in_silence() {
    let text = file(ENCRYPTED).replacen("}\n", "", 1);
    assert_told(
        &text,
        &[
            "- breaks pve-no-nodelist: there is no section `nodelist` at the top: Proxmox VE adds no node",
            "1 misreads pve-unclosed-section: the section `totem` is never closed: Proxmox VE takes everything \
         behind it for a part of it and says nothing",
        ],
    );
}

#[test]
fn of_many_missing_closing_braces_one_is_told() {
    let text = "totem {\n".repeat(1000);
    let found = told(&text);
    assert_eq!(
        found.last().unwrap(),
        "1 misreads pve-unclosed-section: the section `totem` is never closed (1000 closing braces are \
         missing): Proxmox VE takes everything behind it for a part of it and says nothing"
    );
    assert_eq!(found.len(), 2, "and that there is no nodelist");
}

#[test]
fn a_colon_behind_a_sections_name_belongs_to_the_name() {
    let text = file(ENCRYPTED).replace("totem {", "totem: {");
    assert_told(
        &text,
        &[
            "- breaks pve-no-totem: there is no section `totem` at the top: Proxmox VE adds no node",
            "1 misreads pve-name-with-colon: `totem: {` opens `totem` for corosync, but Proxmox VE takes the \
         colon into the name",
        ],
    );
}

#[test]
fn a_key_that_takes_the_place_of_a_section_hides_it() {
    let text = file(ENCRYPTED) + "logging {\n}\nlogging: x\n";
    assert_told(
        &text,
        &["21 misreads pve-section-replaced: the section `logging` is gone for Proxmox VE: the \
                          key of the same name in line 23 takes its place"],
    );
}

#[test]
fn an_empty_file_has_neither_nodes_nor_totem() {
    for text in ["", "# nothing\n", "0"] {
        let codes: Vec<_> =
            findings(&Document::parse(text.as_bytes())).into_iter().map(|f| f.code.name).collect();
        assert_eq!(codes[..2], ["pve-no-nodelist", "pve-no-totem"], "{text}");
    }
}

#[test]
fn of_two_nodes_of_one_name_only_the_later_one_is_seen() {
    let text = file(ENCRYPTED).replace("name: n2", "name: n1");
    assert_told(
        &text,
        &[
            "14 breaks pve-same-node: there is a second node `n1`, after line 8: Proxmox VE sees this one alone, \
         and its next write takes the other one out of the file",
        ],
    );
}

#[test]
fn a_node_without_a_name_goes_by_its_address() {
    let text = file(ENCRYPTED).replace("name: n2\n", "");
    assert_told(
        &text,
        &[
            "14 misreads pve-node-without-name: this node has no name: Proxmox VE calls it `10.0.0.2`, its \
         ring0_addr",
        ],
    );
    let text = text.replace("ring0_addr: 10.0.0.2\n", "");
    assert!(told(&text).contains(
        &"14 misreads pve-node-without-name: this node has neither name nor ring0_addr: Proxmox VE keeps it \
          without a name"
            .to_owned()
    ));
}

#[test]
fn a_node_name_with_a_dot_or_an_underscore_cannot_be_named_in_a_command() {
    for name in ["n2.example", "n_2", "-n2"] {
        let text = file(ENCRYPTED).replace("name: n2", &format!("name: {name}"));
        assert_told(
            &text,
            &[&format!(
                "15 breaks pve-node-name: `{name}` is no node name for Proxmox VE, which takes letters, digits \
             and inner dashes: no command can name this node"
            )],
        );
    }
}

#[test]
fn names_votes_and_addresses_that_deserve_a_word_are_told() {
    let text = file(ENCRYPTED)
        .replace("cluster_name: prod", "cluster_name: production-of-us")
        .replacen("quorum_votes: 1", "quorum_votes: 0", 1)
        .replace("ring0_addr: 10.0.0.2", "ring0_addr: n2.example");
    assert_told(
        &text,
        &[
            "3 advice pve-cluster-name: `production-of-us` is no cluster name that Proxmox VE would give: 1 to \
         15 letters, digits and inner dashes",
            "11 advice pve-no-votes: node `n1` has no vote and does not help to keep quorum",
            // warning: unable to resolve ring0_addr 'A' for node 'N' .. / resolves to 'IP' ..
            "18 advice pve-host-name-address: `ring0_addr` of node `n2` is the host name `n2.example`: Proxmox \
         VE warns, and corosync does not start where it cannot be resolved",
        ],
    );
}

#[test]
fn link_n_addr_is_an_address_for_proxmox_ve_alone() {
    let text = file(ENCRYPTED)
        .replace("ring0_addr: 10.0.0.2", "ring0_addr: 10.0.0.2\nlink1_addr: 10.1.0.2");
    assert_told(
        &text,
        &[
            // node 'n1' is missing link 1, which is configured on other nodes
            "8 breaks pve-uneven-links: link 1 is there for n2, but not for n1: Proxmox VE adds no node",
            "19 misreads pve-link-addr: Proxmox VE takes `link1_addr` for the address of node `n2` on link 1, \
         corosync does not know the key",
        ],
    );
}

#[test]
fn interface_sections_and_links_must_match_before_a_node_is_added() {
    // node 'n1' has 'ring0_addr', but there is no interface number 0 configured
    // node 'n1' is missing address forinterface number 1
    assert_told(
        &file("secauth: on\ninterface {\nlinknumber: 1\n}\n"),
        &[
            "6 breaks pve-interface-without-address: this section names link 1, on which there is no address for \
         n1, n2: Proxmox VE adds no node",
            "11 breaks pve-link-without-interface: link 0 has addresses (n1, n2) but no interface section, while \
         totem has such sections: Proxmox VE adds no node",
        ],
    );
}

#[test]
fn ringnumber_is_a_link_for_proxmox_ve_and_link_0_for_corosync() {
    let rings = "secauth: on\ninterface {\nringnumber: 0\n}\ninterface {\nringnumber: 1\n}\n";
    let text = file(rings).replace("ring0_addr: 10.0", "ring1_addr: 10.1.0.1\nring0_addr: 10.0");
    assert_told(
        &text,
        &["10 misreads pve-ringnumber: Proxmox VE takes `ringnumber: 1` for link 1, corosync 3 \
                          puts the section on link 0"],
    );
}

#[test]
fn linknumber_and_ringnumber_of_one_value_collide() {
    let both = "secauth: on\ninterface {\nlinknumber: 0\n}\ninterface {\nringnumber: 0\n}\n";
    assert_told(
        &file(both),
        &[
            "9 breaks pve-same-interface: there is a second interface `0`, after line 6: Proxmox VE sees this \
         one alone, and its next write takes the other one out of the file",
        ],
    );
}

#[test]
fn an_interface_without_a_number_is_no_link_for_proxmox_ve() {
    assert_told(
        &file("secauth: on\ninterface {\nmcastport: 5405\n}\n"),
        &[
            "6 misreads pve-interface-without-number: this interface section is link 0 for corosync and no link \
         for Proxmox VE",
            "11 breaks pve-link-without-interface: link 0 has addresses (n1, n2) but no interface section, while \
         totem has such sections: Proxmox VE adds no node",
        ],
    );
}

#[test]
fn encryption_that_is_not_there_or_not_seen_is_told() {
    // warning: authentication/encryption is not explicitly enabled (secauth / crypto_cipher / crypto_hash)
    let warned = "1 advice pve-not-encrypted: Proxmox VE sees no encryption here and warns whenever it adds \
                  a node";
    for totem in ["", "secauth: yes\n", "secauth: off\ncrypto_cipher: none\n"] {
        assert_told(&file(totem), &[warned]);
    }
    assert_told(
        &file("secauth: on\ncrypto_cipher: none\n"),
        &[
            "6 misreads pve-crypto-overridden: nothing is encrypted, since crypto_cipher is none; Proxmox VE \
         looks at `secauth: on` and does not warn",
        ],
    );
}

#[test]
fn without_a_version_proxmox_ve_changes_nothing() {
    // invalid corosync config: unable to read config version
    let text = file(ENCRYPTED).replace("config_version: 4\n", "");
    assert_told(
        &text,
        &["1 breaks pve-no-version: totem has no config_version: Proxmox VE cannot change this \
                          file"],
    );
}

#[test]
fn comments_and_repeated_keys_that_the_next_write_drops_are_told_in_advance() {
    let text = format!("# ours\n{}# the end\n", file("secauth: on\ntoken: 1000\ntoken: 2000\n"));
    assert_told(
        &text,
        &[
            "1 advice pve-rewrite: the next write of Proxmox VE drops this comment and 1 more, and sorts the \
         file",
            "7 advice pve-repeated-key: `token` is set again in line 8, which counts",
        ],
    );
}

#[test]
fn long_words_are_cut_in_messages() {
    let found = told(&"x".repeat(500));
    assert!(found[0].len() < 200, "{}", found[0]);
}

#[test]
fn codes_are_said_once_and_explained() {
    let mut names: Vec<_> = CODES.iter().map(|code| code.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), CODES.len());
    assert!(CODES.iter().all(|code| code.name.starts_with("pve-") && code.explanation.len() > 80));
}

/// Files of words that both parsers look at.
fn any_file() -> impl Strategy<Value = String> {
    let words = vec![
        "totem",
        "nodelist",
        "node",
        "interface",
        "name:",
        "token:",
        "one",
        "2",
        "{",
        "}",
        "# note",
        ":",
        "key:value",
        "totem {",
        "node {",
        "}\n",
        "\n",
        "\n",
        "\r\n",
        "a: b\n",
        "token: 7\n",
    ];
    prop::collection::vec(prop::sample::select(words), 0..40).prop_map(|words| words.join(" "))
}

/// `path/key` with its last value, of every key that corosync stores. Sections of `node` and `interface`
/// stay apart, other repeated ones are merged.
fn corosync_values(document: &Document) -> BTreeMap<String, Vec<u8>> {
    let mut values = BTreeMap::new();
    let mut open: Vec<(String, SectionView<'_>)> = vec![(String::new(), document.root())];
    while let Some((path, section)) = open.pop() {
        for (key, value) in section.keys() {
            values.insert(format!("{path}/{}", String::from_utf8_lossy(key)), value.bytes.to_vec());
        }
        for inner in section.all_sections() {
            let name = String::from_utf8_lossy(inner.name()).into_owned();
            open.push((format!("{path}/{name}@{}", inner.line()), inner));
        }
    }
    values
}

fn proxmox_values(tree: &Tree<'_>) -> BTreeMap<String, Vec<u8>> {
    let mut values = BTreeMap::new();
    let mut open = vec![(String::new(), tree.root())];
    while let Some((path, section)) = open.pop() {
        for (key, value) in section.values() {
            values.insert(format!("{path}/{}", String::from_utf8_lossy(key)), value.text.to_vec());
        }
        for inner in section.sections() {
            let name = String::from_utf8_lossy(inner.name()).into_owned();
            open.push((format!("{path}/{name}@{}", inner.line()), inner));
        }
    }
    values
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn where_nothing_is_told_both_parsers_read_the_same(text in any_file()) {
        let document = Document::parse(text.as_bytes());
        let silent = findings(&document)
            .iter()
            .all(|finding| matches!(finding.effect, Effect::Breaks | Effect::Advice));
        if silent && document.problems().is_empty() {
            let tree = Tree::parse(text.as_bytes());
            prop_assert_eq!(proxmox_values(&tree), corosync_values(&document));
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        findings(&Document::parse(&bytes));
    }
}
