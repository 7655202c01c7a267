//! Changes in the field's terms, and what is said of them.

use super::super::keys::TakesEffect;
use super::super::tests::{as_text, entry, formed, link, node_id, three_nodes};
use super::super::{Document, LinkOptions, convert, edit};
use super::{Diff, Reload, diff};
use crate::ids::ConfigVersion;

/// Two links, three nodes, encrypted.
fn cluster() -> Document {
    let mut formation = three_nodes();
    formation.nodes = (1..=3).map(|id| entry(&format!("n{id}"), id, &[0, 1])).collect();
    formation.links.insert(link(1), LinkOptions { priority: Some(10), ..LinkOptions::default() });
    formed(&formation)
}

/// The difference that replacing these texts makes, with the version raised.
fn edited(edits: &[(&str, &str)]) -> Diff {
    let old = cluster();
    let mut text = as_text(&old).replace("config_version: 1", "config_version: 2");
    for (from, to) in edits {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    without_version(&diff(&old, &Document::parse(text.as_bytes())))
}

/// The change of the version is in every good file; most tests are about others.
fn without_version(diff: &Diff) -> Diff {
    let mut diff = diff.clone();
    diff.changes.retain(|change| !change.summary.starts_with("config_version"));
    diff
}

fn summaries(diff: &Diff) -> Vec<(&str, TakesEffect)> {
    diff.changes.iter().map(|c| (c.summary.as_str(), c.takes_effect)).collect()
}

#[track_caller]
fn assert_warns(diff: &Diff, words: &str) {
    assert!(diff.warnings.iter().any(|warning| warning.contains(words)), "{:#?}", diff.warnings);
}

#[test]
fn equal_files_do_not_differ_and_comments_are_only_text() {
    let old = cluster();
    let same = diff(&old, &old);
    assert_eq!((same.changes.len(), same.reload), (0, Reload::Nothing));
    assert!(same.warnings.is_empty(), "{:?}", same.warnings);
    for text in [format!("# ours\n{}", as_text(&old)), as_text(&old).replace("  name", "\tname")] {
        let diff = diff(&old, &Document::parse(text.as_bytes()));
        assert_eq!(summaries(&diff), [("comments, order or spacing", TakesEffect::Never)]);
        assert_eq!(diff.reload, Reload::Nothing);
    }
}

#[test]
fn timers_and_priorities_are_told_with_their_values_and_defaults() {
    let diff = edited(&[
        ("knet_link_priority: 10", "knet_link_priority: 20"),
        ("token_coefficient: 125", "token: 5000\n  token_coefficient: 125"),
    ]);
    assert_eq!(
        summaries(&diff),
        [
            ("priority of link 1: 10 -> 20", TakesEffect::Live),
            (
                "token: not written (3000 ms; 1000 ms before 3.1.0) -> 5000",
                TakesEffect::LiveAfterSecondReload
            ),
        ]
    );
    assert_eq!(diff.reload, Reload::Applied);
    assert_warns(&diff, "from 3125 to 5125 ms");
}

#[test]
fn an_address_of_a_link_that_stays_refuses_the_whole_file() {
    let diff = edited(&[("10.50.0.2", "10.60.0.2"), ("link_mode: passive", "link_mode: active")]);
    assert_eq!(
        summaries(&diff),
        [
            ("address of n2 on link 0: 10.50.0.2 -> 10.60.0.2", TakesEffect::RefusesFile),
            ("link_mode: passive -> active", TakesEffect::RestartSilent),
        ]
    );
    assert_eq!(diff.reload, Reload::Refused);
    assert_warns(&diff, "none of the others takes effect");
}

#[test]
fn links_come_and_go_live_while_another_one_stays() {
    let two = cluster();
    let one = edit::remove_link(&two, link(1)).unwrap();
    let removed = diff(&two, &one);
    assert_eq!(summaries(&removed), [("link 1 removed", TakesEffect::Live)]);
    let added = diff(&one, &two);
    let words = "link 1 added: n1 at 10.51.0.1, n2 at 10.51.0.2, n3 at 10.51.0.3";
    assert_eq!(summaries(&added), [(words, TakesEffect::Live)]);
    assert_eq!(added.reload, Reload::Applied);
    assert_warns(&added, "config_version stays");
}

#[test]
fn replacing_the_only_link_in_one_step_is_warned_of() {
    let one = edit::remove_link(&cluster(), link(1)).unwrap();
    let other = as_text(&one).replace("ring0_addr", "ring1_addr").replace("10.50.", "10.51.");
    let diff = diff(&one, &Document::parse(other.as_bytes()));
    assert_warns(&diff, "no link stays");
    assert_warns(&diff, "from 3125 to 3000 ms");
}

#[test]
fn nodes_that_differ_in_their_links_refuse_the_file() {
    let diff = edited(&[("    ring1_addr: 10.51.0.3\n", "")]);
    let words = "address of n3 on link 1: 10.51.0.3 -> none";
    assert_eq!(summaries(&diff), [(words, TakesEffect::RefusesFile)]);
}

#[test]
fn a_node_that_comes_counts_at_once_and_many_take_the_quorum_away() {
    let mut formation = three_nodes();
    let old = formed(&formation);
    formation.nodes.push(entry("n4", 4, &[0]));
    let four = diff(&old, &formed(&formation));
    assert_eq!(summaries(&four)[0], ("node n4 added at 10.50.0.4", TakesEffect::Live));
    assert!(four.changes[0].consequence.contains("from 3 to 4"), "{:?}", four.changes[0]);
    assert!(!four.warnings.iter().any(|w| w.contains("quorum is lost")), "{:?}", four.warnings);
    formation.nodes.extend((5..=6).map(|id| entry(&format!("n{id}"), id, &[0])));
    assert_warns(&diff(&old, &formed(&formation)), "quorum is lost at the reload: 4 of 6");
}

#[test]
fn a_node_is_itself_by_its_id_and_else_by_its_name() {
    let renamed = edited(&[("name: n2", "name: box2")]);
    assert_eq!(summaries(&renamed), [("name of n2: n2 -> box2", TakesEffect::Live)]);
    let other_id = edited(&[("nodeid: 2", "nodeid: 22")]);
    assert_eq!(summaries(&other_id), [("id of n2: 2 -> 22", TakesEffect::RestartSilent)]);
    let removed = diff(&cluster(), &edit::remove_node(&cluster(), node_id(3)).unwrap());
    assert_eq!(summaries(&removed), [("node n3 removed", TakesEffect::Live)]);
    assert!(removed.changes[0].consequence.contains("6.8 s"), "{:?}", removed.changes[0]);
    let swapped = edited(&[
        ("nodeid: 2", "nodeid: 9"),
        ("nodeid: 3", "nodeid: 2"),
        ("nodeid: 9", "nodeid: 3"),
    ]);
    assert_eq!(swapped.reload, Reload::Refused, "each id has the other's address now: {swapped:?}");
}

#[test]
fn votes_are_told_with_what_is_expected_then() {
    let diff = diff(&cluster(), &edit::set_votes(&cluster(), node_id(1), 3).unwrap());
    assert_eq!(summaries(&diff), [("votes of n1: 1 -> 3", TakesEffect::Live)]);
    assert!(diff.changes[0].consequence.contains("from 3 to 5"), "{:?}", diff.changes[0]);
}

#[test]
fn dropped_encryption_takes_effect_though_the_transport_in_the_same_file_does_not() {
    let diff = edited(&[
        ("  secauth: on\n", "  secauth: off\n  transport: udpu\n"),
        ("  link_mode: passive\n", ""),
        ("    linknumber: 0\n", ""),
        ("    linknumber: 1\n", ""),
        ("    knet_link_priority: 10\n", ""),
    ]);
    let found = summaries(&diff);
    assert!(found.contains(&("transport: knet -> udpu", TakesEffect::FullStop)), "{found:?}");
    assert!(found.contains(&("encryption: aes256/sha256 -> none", TakesEffect::Live)), "{found:?}");
    assert_eq!(diff.reload, Reload::InPart);
    assert_warns(&diff, "until then the cluster runs unencrypted");
}

#[test]
fn encryption_is_compared_as_a_whole_and_not_key_by_key() {
    let same = edited(&[("secauth: on", "secauth: on\n  crypto_cipher: aes256")]);
    let words =
        "crypto_cipher: not written (none, aes256 with secauth on; aes256 in corosync 2) -> aes256";
    assert_eq!(summaries(&same), [(words, TakesEffect::Live)]);
    assert!(!same.warnings.iter().any(|w| w.contains("unencrypted")), "{:?}", same.warnings);
    let trap = edited(&[("secauth: on", "secauth: on # really")]);
    assert_eq!(summaries(&trap), [("encryption: aes256/sha256 -> none", TakesEffect::Live)]);
    assert_warns(&trap, "unencrypted");
    let unsigned = edited(&[("secauth: on", "crypto_cipher: aes128\n  crypto_hash: none")]);
    assert_eq!(unsigned.reload, Reload::Refused);
}

#[test]
fn a_number_that_does_not_parse_refuses_the_file_and_a_bad_version_aborts() {
    let words = edited(&[("token_coefficient: 125", "token_coefficient: 125ms")]);
    assert_eq!(words.reload, Reload::Refused);
    let short = edited(&[("token_coefficient: 125", "token: 20\n  token_coefficient: 125")]);
    assert_eq!(short.reload, Reload::Applied, "a reload does not check it");
    assert!(short.changes[0].consequence.contains("A start refuses"), "{:?}", short.changes);
    let text = as_text(&cluster()).replace("config_version: 1", "config_version: 4a");
    let abort = diff(&cluster(), &Document::parse(text.as_bytes()));
    assert_eq!(abort.reload, Reload::Aborts);
    assert!(abort.changes[0].consequence.contains("aborts"), "{:?}", abort.changes);
    let watch = "resources {\n  system {\n    memory_used {\n      poll_period: x\n    }\n  }\n}\n";
    assert_eq!(edited(&[("logging {", &format!("{watch}logging {{"))]).reload, Reload::Aborts);
}

#[test]
fn what_is_put_off_is_told_from_what_nobody_reads() {
    let diff = edited(&[
        ("provider: corosync_votequorum", "provider: corosync_votequorum\n  wait_for_all: 1"),
        ("debug: off", "debug: on"),
        ("cluster_name: prod", "cluster_name: test\n  colour: red"),
        ("    linknumber: 1\n", "    linknumber: 1\n    mcastport: 5500\n"),
    ]);
    assert_eq!(
        summaries(&diff),
        [
            (
                "port of link 1: not written (5405 + the link's number; 5405 on both rings of \
                 corosync 2) -> 5500",
                TakesEffect::RestartSilent
            ),
            ("logging.debug: off -> on", TakesEffect::Live),
            (
                "quorum.wait_for_all: not written (0; 1 with two_node) -> 1",
                TakesEffect::RestartSilent
            ),
            ("cluster_name: prod -> test", TakesEffect::RestartLogged),
            ("colour: not written -> red", TakesEffect::Never),
        ]
    );
    assert_eq!(diff.reload, Reload::InPart);
}

#[test]
fn files_that_lose_the_cluster_are_said_to() {
    let start = as_text(&cluster());
    let (before, rest) = start.split_once("nodelist {").unwrap();
    let (_, after) = rest.split_once("\nquorum").unwrap();
    let empty = format!("{before}nodelist {{\n}}\nquorum{after}");
    assert_warns(&diff(&cluster(), &Document::parse(empty.as_bytes())), "lists no node");
    assert_warns(&edited(&[("  provider: corosync_votequorum\n", "")]), "no quorum provider");
    let lower = edit::set_version(&cluster(), ConfigVersion(0)).unwrap();
    assert_warns(&diff(&cluster(), &lower), "goes down");
    let broken = as_text(&cluster()).replacen("}\n", "", 1);
    let broken = diff(&cluster(), &Document::parse(broken.as_bytes()));
    assert_eq!(broken.reload, Reload::Refused);
    assert_warns(&broken, "corosync refuses the new file");
}

#[test]
fn a_ring_of_corosync_2_waits_for_restarts_and_its_conversion_for_a_full_stop() {
    let rings = include_bytes!("../../../tests/corpus/pve5-two-rings.conf");
    let own = include_bytes!("../../../tests/corpus/pve5-own-network.conf");
    let (one, two) = (Document::parse(own), Document::parse(rings));
    let ring = diff(&one, &two);
    let first = summaries(&ring)[0];
    let words = "link 1 added: due at 10.10.20.2, tre at 10.10.20.3, uno at 10.10.20.1";
    assert_eq!(first, (words, TakesEffect::RestartSilent));
    let knet = diff(&two, &convert(&two).unwrap().document);
    let found = summaries(&knet);
    let words = ("transport: udp of corosync 2 -> knet", TakesEffect::FullStop);
    assert!(found.contains(&words), "{found:?}");
}

#[test]
fn a_difference_in_json() {
    let diff = edited(&[("knet_link_priority: 10", "knet_link_priority: 20")]);
    insta::assert_snapshot!(serde_json::to_string_pretty(&diff).unwrap());
}
