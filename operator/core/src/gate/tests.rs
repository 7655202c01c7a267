//! What is held against a host, and what is not.

use super::*;

const ALL: [(u32, &str); 4] = [(1, "n1"), (2, "n2"), (3, "n3"), (4, "n4")];

fn text_of(cluster: &str, version: u64, nodes: &[(u32, &str)]) -> String {
    let node = |(id, name): &(u32, &str)| {
        format!(
            "  node {{\n    name: {name}\n    nodeid: {id}\n    ring0_addr: 10.0.0.{id}\n  }}\n"
        )
    };
    format!(
        "totem {{\n  version: 2\n  cluster_name: {cluster}\n  config_version: {version}\n}}\n\
         nodelist {{\n{}}}\nquorum {{\n  provider: corosync_votequorum\n}}\n",
        nodes.iter().map(node).collect::<String>()
    )
}

fn text(version: u64, nodes: &[(u32, &str)]) -> String {
    text_of("prod", version, nodes)
}

fn said(weight: Weight, text: String) -> Said {
    Said { by: "n1".to_owned(), text, weight }
}

/// n3, which has version 5 and knows all.
fn own() -> Own {
    Own::read([text(5, &ALL).as_bytes()], "n3").unwrap()
}

fn held(version: u64) -> Held {
    Held { version: ConfigVersion(version), because: "as before".to_owned() }
}

fn is_held(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Hold(_))
}

const WEIGHTS: [Weight; 3] = [Weight::Quorate, Weight::Change, Weight::Alone];

/// The outage: after a power cut nobody is there yet, and everybody would wait for everybody.
#[test]
fn with_nobody_to_ask_a_host_starts() {
    assert_eq!(own().decide(&[], None), Verdict::Start);
}

/// The outage: two removed hosts that are booted together are two of three in their old file, and make a
/// second cluster beside the one that goes on.
#[test]
fn a_host_that_a_higher_version_does_not_list_is_held_whoever_says_so() {
    for weight in WEIGHTS {
        let verdict = own().decide(&[said(weight, text(6, &ALL[..2]))], None);
        let Verdict::Hold(held) = verdict else { panic!("{weight:?}: {verdict:?}") };
        assert_eq!(held.version, ConfigVersion(6));
        assert!(held.because.contains("does not list n3 as node 3"), "{}", held.because);
    }
}

/// The outage: its corosync would end by itself, and the votes of this host are missing.
#[test]
fn a_member_takes_the_higher_version_that_lists_it() {
    for weight in WEIGHTS {
        let new = said(weight, text(9, &ALL[1..3]));
        let verdict = own().decide(std::slice::from_ref(&new), None);
        assert_eq!(verdict, Verdict::Refresh(new));
    }
}

#[test]
fn what_is_not_newer_changes_nothing() {
    for version in [4, 5] {
        for nodes in [&ALL[..], &ALL[..2]] {
            let old = said(Weight::Quorate, text(version, nodes));
            assert_eq!(own().decide(&[old], None), Verdict::Start);
        }
    }
    let newest = Own::read([text(5, &ALL), text(7, &ALL)].iter().map(String::as_bytes), "n3");
    let said = said(Weight::Quorate, text(6, &ALL[..2]));
    assert_eq!(newest.unwrap().decide(&[said], None), Verdict::Start, "the newest copy counts");
}

/// The outage: a healthy member is kept out because some other cluster lies at an address of its own.
#[test]
fn only_a_file_of_the_same_cluster_counts() {
    let anew = text(9, &[(7, "n7")]);
    let reinstalled = text(9, &[(1, "other")]);
    for foreign in [text_of("lab", 9, &ALL), anew, reinstalled, "torn {".to_owned(), String::new()]
    {
        let verdict = own().decide(&[said(Weight::Quorate, foreign.clone())], None);
        assert_eq!(verdict, Verdict::Start, "{foreign}");
    }
}

/// The outage: a machine that was removed and is listed again under a new number starts as the old one.
#[test]
fn another_number_under_the_same_name_is_another_node() {
    let again = text(9, &[(1, "n1"), (2, "n2"), (5, "n3")]);
    assert!(is_held(&own().decide(&[said(Weight::Quorate, again)], None)));
}

/// The outage: a node that is no member itself any more has the rest held by what it tells.
#[test]
fn without_quorum_a_word_counts_only_as_long_as_nobody_quorate_speaks() {
    let alone = said(Weight::Alone, text(9, &ALL[..2]));
    let member = said(Weight::Quorate, text(6, &ALL));
    assert!(is_held(&own().decide(std::slice::from_ref(&alone), None)));
    assert_eq!(own().decide(&[alone, member.clone()], None), Verdict::Refresh(member));
}

#[test]
fn of_several_words_the_newest_counts_and_two_texts_under_one_number_do_not() {
    let (removed, listed) = (text(7, &ALL[..2]), text(6, &ALL));
    let words = [said(Weight::Change, listed.clone()), said(Weight::Quorate, removed.clone())];
    assert!(is_held(&own().decide(&words, None)));
    let same = [said(Weight::Change, listed.clone()), said(Weight::Quorate, text(6, &ALL[1..]))];
    assert_eq!(own().decide(&same, None), Verdict::Start);
    let either = [said(Weight::Change, text(6, &ALL[..2])), said(Weight::Quorate, listed)];
    assert_eq!(own().decide(&either, None), Verdict::Start, "doubt holds nobody");
}

/// The outage: held hosts that are booted once more with nobody in reach find each other.
#[test]
fn who_was_held_stays_held_until_somebody_knows_better() {
    let before = held(6);
    let decide = |words: &[Said]| own().decide(words, Some(&before));
    assert_eq!(decide(&[]), Verdict::Hold(before.clone()));
    assert!(is_held(&decide(&[said(Weight::Alone, text(5, &ALL))])), "it is held itself");
    assert!(is_held(&decide(&[said(Weight::Change, text(5, &ALL))])));
    assert_eq!(decide(&[said(Weight::Quorate, text(5, &ALL))]), Verdict::Start);
    let back = said(Weight::Quorate, text(7, &ALL));
    assert_eq!(decide(std::slice::from_ref(&back)), Verdict::Refresh(back));
}

#[test]
fn one_quorate_member_of_this_cluster_settles_it() {
    let (own, newer) = (own(), text(6, &ALL));
    assert!(own.is_settled_by(&said(Weight::Quorate, newer.clone())));
    assert!(!own.is_settled_by(&said(Weight::Alone, newer.clone())));
    assert!(!own.is_settled_by(&said(Weight::Change, newer)));
    assert!(!own.is_settled_by(&said(Weight::Quorate, text_of("lab", 6, &ALL))));
}

#[test]
fn a_file_that_is_not_understood_or_does_not_list_this_host_is_left_to_corosync() {
    assert_eq!(Own::read([b"torn {".as_slice()], "n3"), None);
    assert_eq!(Own::read([text(5, &ALL).as_bytes()], "n9"), None);
    assert_eq!(Own::read(std::iter::empty(), "n3"), None);
}

#[test]
fn every_other_node_is_a_peer() {
    let names: Vec<String> = own().peers().iter().map(|peer| peer.name.to_string()).collect();
    assert_eq!(names, ["n1", "n2", "n4"]);
    assert_eq!(own().peers()[1].addresses, ["10.0.0.2"]);
}

#[test]
fn a_journal_tells_of_the_last_daemon_alone_that_its_version_ended_it() {
    let begin = "  [MAIN  ] Corosync Cluster Engine  starting up\n";
    let end = "  [CMAP  ] Received config version (8) is different than my config version (6)! Exiting\n\
               \x20 [MAIN  ] Corosync Cluster Engine exiting normally\n";
    let outrun = |text: String| outrun(&text);
    assert_eq!(outrun(format!("{begin}{end}")), Some(Idle::Outrun { theirs: 8, mine: 6 }));
    assert_eq!(
        outrun(format!("{begin}{end}{begin}")),
        None,
        "started again and stopped by a person"
    );
    assert_eq!(outrun(begin.to_owned()), None);
    let sentence = Idle::Outrun { theirs: 8, mine: 6 }.sentence();
    assert!(sentence.contains("version 6") && sentence.contains("run version 8"), "{sentence}");
}
