//! The reader of corosync 3 against the real `corosync -t`: on every file both accept or both
//! refuse, or the reason stands in the table.
//!
//! A sample runs with the other tests. `PVECM_VERDICTS=10000 cargo test -p pvecm-core --test verdicts
//! -- --nocapture` runs long (some 20 ms a file) and prints the figures.

#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that goes wrong")]

mod desk;
#[path = "verdicts/files.rs"]
mod files;
#[path = "verdicts/messages.rs"]
mod messages;

use std::collections::BTreeMap;

use pvecm_core::conf::Document;
use pvecm_core::conf::lint::{Effect, Finding, Reader, lint};

use desk::Desk;
use messages::{MESSAGES, Message, SOUND};

use files::{Chance, Lent, bytes, mutate, sound};

/// A reason why the two may differ.
struct Reason {
    name: &'static str,
    /// Whether it explains this file: what corosync wrote, what the reader found.
    explains: fn(&Seen<'_>) -> bool,
}

/// One file, seen by both.
struct Seen<'a> {
    findings: &'a [Finding],
    is_accepted: bool,
    messages: &'a str,
}

impl Seen<'_> {
    fn found(&self, effect: Effect, codes: &[&str]) -> bool {
        self.findings.iter().any(|found| found.effect == effect && codes.contains(&found.code.name))
    }

    fn is_refused_by_reader(&self) -> bool {
        self.findings.iter().any(|found| found.effect == Effect::Refuses)
    }
}

/// Every known difference. The first that explains a file counts.
const REASONS: &[Reason] = &[
    Reason {
        name: "only a real start looks: provider, quorum options, priority",
        explains: |both| {
            let start = ["provider-unknown", "quorum-conflict", "system-priority"];
            let mut refusals = both.findings.iter().filter(|found| found.effect == Effect::Refuses);
            both.is_accepted && refusals.all(|found| start.contains(&found.code.name))
        },
    },
    Reason {
        name: "host: the key file",
        explains: |both| {
            let messages = ["Could not open", "Could only read", "Could not read"];
            !both.is_accepted && messages.iter().any(|message| both.messages.contains(message))
        },
    },
    Reason {
        name: "host: a name that does not resolve",
        explains: |both| {
            !both.is_accepted
                && (both.messages.contains("failed to parse node address")
                    || both.messages.contains("failed to parse bindnet address")
                    || both.messages.contains("failed to parse mcast address"))
                && (both.found(Effect::Advice, &["address-is-name"])
                    || both.messages.contains("mcast"))
        },
    },
    Reason {
        name: "host: this machine is none of the nodes",
        explains: |both| {
            !both.is_accepted && both.messages.contains("No valid name found for local host")
        },
    },
    Reason {
        name: "host: this machine's own entry is the incomplete one",
        explains: |both| {
            let own = [
                "explicit nodeid for the local node",
                "No multicast port specified",
                "Can only set ttl",
            ];
            let incomplete = ["node-without-address", "nodeid-missing", "node-unfindable"];
            !both.is_accepted
                && own.iter().any(|message| both.messages.contains(message))
                && both.found(Effect::Breaks, &incomplete)
        },
    },
    Reason {
        name: "host: users and groups",
        explains: |both| !both.is_accepted && both.messages.contains("is not found in /etc/"),
    },
    Reason {
        name: "host: the state directory",
        explains: |both| {
            !both.is_accepted && both.messages.contains("Cannot chdir to state directory")
        },
    },
    Reason {
        name: "host: a log file that cannot be opened",
        explains: |both| !both.is_accepted && both.messages.contains("logfile"),
    },
];

/// How often what happened, and the files without an explanation.
#[derive(Default)]
struct Figures {
    accepted: usize,
    refused: usize,
    crashed: usize,
    explained: BTreeMap<&'static str, usize>,
    unexplained: Vec<String>,
}

impl Figures {
    fn take(&mut self, desk: &Desk, name: &str, file: &[u8]) {
        let (code, messages) = desk.verdict(file);
        let findings = lint(&Document::parse(file), &[Reader::Corosync3]);
        let is_accepted = code == Some(0);
        self.crashed += usize::from(code.is_none());
        let mut both = Seen { findings: &findings, is_accepted, messages: &messages };
        // Who crashes has to be told why.
        let crash = ["number-aborts-corosync", "nested-section-aborts-corosync"];
        let is_told = code.is_some() || both.found(Effect::Breaks, &crash);
        if is_accepted != both.is_refused_by_reader() && is_told {
            self.accepted += usize::from(is_accepted);
            self.refused += usize::from(!is_accepted);
            return;
        }
        // The file itself may have sent the message elsewhere.
        let loud = b"\nlogging {\nto_stderr: yes\nlogfile_priority: info\n}\n";
        let (_, loud) = desk.verdict(&[file, loud].concat());
        let all = format!("{messages}{loud}");
        both.messages = &all;
        if let Some(reason) = REASONS.iter().find(|reason| (reason.explains)(&both)) {
            *self.explained.entry(reason.name).or_default() += 1;
            return;
        }
        let refusals = findings.iter().filter(|found| found.effect == Effect::Refuses);
        let refusals: Vec<_> = refusals.map(|found| &found.message).collect();
        let text = String::from_utf8_lossy(file);
        self.unexplained.push(format!(
            "{name}: corosync ended with {code:?} (none: a signal): {all}\nreader: {refusals:#?}\n{text}"
        ));
    }
}

#[test]
fn the_reader_of_corosync_3_and_corosync_agree_on_made_and_mangled_files() {
    let Some(desk) = Desk::new("verdicts") else { return };
    let count = std::env::var("PVECM_VERDICTS").map_or(400, |count| count.parse().unwrap());
    let lent = Lent { key_file: desk.key_file() };
    let mut figures = Figures::default();
    for seed in 0..count {
        let mut chance = Chance::new(seed);
        let mut lines = sound(&mut chance, &lent);
        for _ in 0..chance.below(5) {
            mutate(&mut chance, &mut lines);
        }
        let file = bytes(&mut chance, &lines);
        figures.take(&desk, &format!("seed {seed}"), &file);
    }
    let Figures { accepted, refused, crashed, explained, unexplained } = figures;
    println!(
        "{count} files: both accept {accepted}, both refuse {refused} (corosync crashed on \
         {crashed} of all)"
    );
    println!("explained: {explained:#?}, unexplained: {}", unexplained.len());
    assert!(unexplained.is_empty(), "{}", unexplained.join("\n=====\n"));
    assert!(
        accepted * 10 > refused && refused * 10 > accepted,
        "too few of one kind: {accepted}, {refused}"
    );
}

#[test]
fn every_message_of_corosync_about_a_refused_file_has_a_finding() {
    let Some(desk) = Desk::new("messages") else { return };
    desk.accepts(&Document::parse(SOUND.as_bytes()));
    let wrong: Vec<_> = MESSAGES.iter().filter_map(|message| differs(&desk, message)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n=====\n"));
}

/// What corosync or the reader says otherwise than the table.
fn differs(desk: &Desk, (old, new, message, code): &Message) -> Option<String> {
    assert!(SOUND.contains(old), "{old:?}");
    let file = match *old {
        "" => format!("{SOUND}{new}"),
        old => SOUND.replacen(old, new, 1),
    };
    let file = file.replace("KEY", &desk.key_file());
    let (exit, messages) = desk.verdict(file.as_bytes());
    let findings = lint(&Document::parse(file.as_bytes()), &[Reader::Corosync3]);
    let is_it = |found: &Finding| found.code.name == *code && found.effect == Effect::Refuses;
    let fits = exit != Some(0) && messages.contains(message) && findings.iter().any(is_it);
    let codes: Vec<_> = findings.iter().map(|found| (found.effect, found.code.name)).collect();
    (!fits).then(|| format!("{new:?} should say {message:?} and {code}: {messages} {codes:?}"))
}
