//! The inventory of keys put before the real `corosync -t`: every bound and every word that
//! corosync is said to take is taken, and the next one is refused.

#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that goes wrong")]

mod desk;

use std::fmt::Write as _;

use pvecm_core::conf::Document;
use pvecm_core::conf::keys::{Key, Kind, Number, Section, Width, sections};

use desk::Desk;

/// The file around one key: one node on the loopback address, found by it.
fn file(desk: &Desk, section: &Section, key: &Key, value: &str) -> String {
    let line = format!("{}: {value}", key.name.replace("ringX", "ring1"));
    let mut text = format!(
        "totem {{\n version: 2\n cluster_name: x\n keyfile: {}\n transport: {}\n}}\nlogging {{\n to_stderr: yes\n to_syslog: no\n}}\n\
         nodelist {{\n node {{\n  name: one\n  nodeid: 1\n  ring0_addr: 127.0.0.1\n",
        desk.key_file(),
        // A time to live other than 1 is only for udp.
        if key.name == "ttl" { "udp" } else { "knet" },
    );
    if section.path == "nodelist.node" {
        writeln!(text, "{line}\n }}\n}}").unwrap();
        return text;
    }
    text.push_str(" }\n}\n");
    for step in section.path.split('.') {
        writeln!(text, "{} {{", step.replace('*', "memory_used")).unwrap();
    }
    if section.path == "logging.logger_subsys" {
        text.push_str("subsys: QUORUM\n");
    }
    // A cipher needs a hash.
    if key.name == "crypto_cipher" {
        text.push_str("crypto_hash: sha256\n");
    }
    text.push_str(&line);
    text.push_str(&"\n}".repeat(section.path.split('.').count()));
    text.push('\n');
    text
}

/// Values that the number should be taken with, and ones that it should not.
fn numbers(key: &Key, number: &Number) -> (Vec<i128>, Vec<i128>) {
    let (least, most) = (number.accepted.least, number.accepted.most);
    let width = number.width.bounds();
    // -1 is the largest number of 64 bits, and what follows that one aborts; see `keys::tests`.
    let below = (number.width != Width::U64 && least > i128::MIN).then_some(least - 1);
    let is_taken = |value: &i128| number.accepts_value(*value);
    let refused: Vec<i128> =
        below.into_iter().chain([most + 1, width.most + 1]).filter(|v| !is_taken(v)).collect();
    // Some have to fit others: a consensus above join, a hold that is not shorter than the
    // retransmits leave room for.
    let taken = match key.name {
        "token" => vec![0, 1000, most],
        "consensus" => vec![0, 51, most],
        "join" => vec![0, 30, 3600],
        "hold" => vec![0, 180, most],
        "token_retransmits_before_loss_const" => vec![0, 1, 30],
        _ => vec![least, most, number.sensible.least, number.sensible.most],
    };
    (taken, refused)
}

#[test]
fn corosync_takes_every_number_within_the_bounds_and_none_beyond() {
    let Some(desk) = Desk::new("key-numbers") else { return };
    let mut tried = 0;
    for (section, key) in sections().flat_map(|s| s.keys.iter().map(move |key| (s, key))) {
        let Kind::Number(number) = &key.kind else { continue };
        if number.width == Width::Text {
            continue;
        }
        let (taken, refused) = numbers(key, number);
        let verdict =
            |value: i128| desk.verdict(file(&desk, section, key, &value.to_string()).as_bytes());
        for value in taken {
            let (code, messages) = verdict(value);
            assert_eq!(code, Some(0), "{}.{}: {value}: {messages}", section.path, key.name);
        }
        for value in refused {
            let (code, messages) = verdict(value);
            assert_ne!(code, Some(0), "{}.{}: {value}: {messages}", section.path, key.name);
        }
        tried += 1;
    }
    assert!(tried > 50, "{tried} numbers");
}

#[test]
fn corosync_takes_every_word_and_another_only_where_the_inventory_says_so() {
    let Some(desk) = Desk::new("key-words") else { return };
    for (section, key) in sections().flat_map(|s| s.keys.iter().map(move |key| (s, key))) {
        let verdict = |word: &str| desk.verdict(file(&desk, section, key, word).as_bytes());
        for word in key.kind.words().unwrap_or_default() {
            // 127.0.0.1 is no address of IPv6.
            if *word == "ipv6" {
                continue;
            }
            let (code, messages) = verdict(word);
            assert_eq!(code, Some(0), "{}.{}: {word}: {messages}", section.path, key.name);
        }
        let (code, messages) = verdict("neither");
        match key.kind {
            Kind::OneOf(_) => {
                assert_ne!(code, Some(0), "{}.{}: {messages}", section.path, key.name);
            }
            Kind::Words { .. } => {
                assert_eq!(code, Some(0), "{}.{}: {messages}", section.path, key.name);
            }
            Kind::Number(_) | Kind::Address | Kind::Text(_) => {}
        }
    }
}

#[test]
fn the_file_around_a_key_is_one_that_corosync_takes() {
    let Some(desk) = Desk::new("key-file") else { return };
    let totem = sections().next().unwrap();
    let document = Document::parse(file(&desk, totem, &totem.keys[0], "2").as_bytes());
    desk.accepts(&document);
}
