//! What can be asked, and what cannot.

use super::super::{Misasked, pairs, singles};
use super::*;

fn called(electorate: &Electorate, events: &[Event]) -> Vec<String> {
    events.iter().map(|event| event.called(electorate).to_string()).collect()
}

#[test]
fn everything_that_can_fail_alone_is_asked_about_without_a_word() {
    let two = electorate(&ONES[..2], FFSPLIT);
    let all = ["n1 lost", "n2 lost", "link 0 cut", "link 1 cut", "the witness lost"];
    assert_eq!(called(&two, &singles(&two)), all);
    assert_eq!(called(&two, &pairs(&two)), [""; 0], "nobody would be left");
    let one = electorate(&ONES[..1], "");
    assert_eq!(called(&one, &singles(&one)), ["link 0 cut", "link 1 cut"]);
    let three = electorate(&ONES[..3], "");
    assert_eq!(called(&three, &pairs(&three)), ["n1, n2 lost", "n1, n3 lost", "n2, n3 lost"]);
}

#[test]
fn a_question_is_told_back_in_its_own_words() {
    let four = electorate(&ONES[..4], FFSPLIT);
    let asked = Asked {
        lose: vec!["n4".to_owned()],
        cut: vec!["link:1".to_owned()],
        partition: Some("n1, witness/n2,n3".to_owned()),
    };
    let event = Event::read(&four, &asked).unwrap();
    assert_eq!(called(&four, &[event]), ["n4 lost, link 1 cut, n1,witness / n2,n3 apart"]);
}

#[test]
fn a_question_that_makes_no_sense_is_refused() {
    let four = electorate(&ONES[..4], FFSPLIT);
    let refused = |asked: &Asked| Event::read(&four, asked).unwrap_err();
    let text = str::to_owned;
    assert_eq!(refused(&lose("n9")), Misasked::NoNode(text("n9"), text("n1, n2, n3, n4")));
    assert_eq!(refused(&lose("n1,n2,n3,n4")), Misasked::NobodyLeft);
    let cut = Asked { cut: vec![text("link:2")], ..Asked::default() };
    assert_eq!(refused(&cut), Misasked::NoLink(text("link:2"), text("link 0, link 1")));
    assert_eq!(refused(&apart("n1,n2,n3,n4")), Misasked::OnePart);
    assert_eq!(refused(&apart("n1,n2/n2,n3,n4")), Misasked::InTwoParts(text("n2")));
    assert_eq!(
        refused(&apart("n1,witness/n2,n3,n4,witness")),
        Misasked::InTwoParts(text("witness"))
    );
    assert_eq!(refused(&apart("n1/n4")), Misasked::InNoPart(text("n2, n3")));
    let both = Asked { lose: vec![text("n1")], ..apart("n1/n2,n3,n4") };
    assert_eq!(refused(&both), Misasked::LostInPart(text("n1")));
    let three = electorate(&ONES[..3], "");
    assert_eq!(Event::read(&three, &lose("witness")), Err(Misasked::NoWitness));
}

#[test]
fn a_node_that_is_called_witness_is_no_witness() {
    let named = |quorum: &str| {
        let text = conf(&ONES[..2], quorum).replace("name: n2", "name: witness");
        Electorate::of(&Document::parse(text.as_bytes())).unwrap()
    };
    assert_eq!(Event::read(&named(FFSPLIT), &lose("witness")), Err(Misasked::TwoWitnesses));
    let plain = named("");
    assert_eq!(called(&plain, &[Event::read(&plain, &lose("witness")).unwrap()]), ["witness lost"]);
}
