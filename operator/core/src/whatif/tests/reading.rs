//! Files about which nothing is foretold.

use super::*;

fn why(votes: &[u64], quorum: &str) -> String {
    read(votes, quorum).unwrap_err().to_string()
}

#[test]
fn a_file_that_corosync_does_not_start_with_is_refused_with_the_reason() {
    let said = why(&ONES[..2], &format!("two_node: 1; {FFSPLIT}"));
    assert!(said.starts_with("corosync does not start with this file: line "), "{said}");
    assert!(said.contains("exclude each other"), "{said}");
}

#[test]
fn what_hosts_remember_is_not_foretold() {
    for key in ["allow_downscale", "expected_votes_tracking"] {
        let said = why(&ONES[..3], &format!("{key}: 1;"));
        assert!(said.starts_with(&format!("`quorum.{key}` is not foretold")), "{said}");
        assert!(read(&ONES[..3], &format!("{key}: 0;")).is_ok());
    }
}

#[test]
fn an_algorithm_or_a_model_that_is_not_known_is_not_foretold() {
    let said = why(&ONES[..2], &LMS.replace("lms", "2nodelms"));
    assert!(said.contains("`quorum.device.net.algorithm: 2nodelms`"), "{said}");
    let said = why(&ONES[..2], &LMS.replace("model: net", "model: disk"));
    assert!(said.contains("`quorum.device.model: disk`"), "{said}");
}

/// Whichever corosync-qdevice came first wins: nobody can tell from a file.
#[test]
fn a_tie_breaker_that_names_nobody_is_not_foretold() {
    let two = electorate(&ONES[..2], &FFSPLIT.replace("host: w;", "host: w; tie_breaker: 7;"));
    let event = |asked: &Asked| Event::read(&two, asked).unwrap();
    let why = Outcome::of(&two, &event(&apart("n1/n2"))).unwrap_err().to_string();
    assert!(why.contains("it names no node of the list"), "{why}");
    assert!(Outcome::of(&two, &event(&lose("n1"))).unwrap().is_survived());
}

#[test]
fn a_cluster_that_never_had_quorum_has_none_to_lose() {
    let said = why(&ONES[..4], "expected_votes: 9;");
    assert!(
        said.starts_with("even with all nodes up nobody has quorum: 4 votes are there, 5"),
        "{said}"
    );
    let said = why(&ONES[..4], "expected_votes: 5; wait_for_all: 1;");
    assert!(said.contains("4 votes are there, 5 are needed"), "{said}");
}

#[test]
fn a_file_without_votes_or_names_is_refused() {
    let text = conf(&ONES[..2], "");
    let of = |text: &str| Electorate::of(&Document::parse(text.as_bytes())).unwrap_err();
    assert_eq!(of(&text.replace("provider: corosync_votequorum\n", "")), Unclear::NoProvider);
    let one_link = text.replace("ring1_addr", "other");
    assert_eq!(of(&one_link.replace("name: n2\n", "")), Unclear::Nameless(2));
}
