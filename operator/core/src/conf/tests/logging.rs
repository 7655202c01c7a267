//! The managed keys of `logging`: read without judging, compared by meaning, written where they are wanted.

use super::{as_text, by_hand, changed_lines, formed, three_nodes};
use crate::conf::edit::set_logging;
use crate::conf::lint::{Reader, lint};
use crate::conf::{
    Config, Debugging, Document, Formation, LoggingOptions, Priority, Switch, changed_values,
};

const ALL: LoggingOptions = LoggingOptions {
    debug: Some(Debugging::On),
    syslog_priority: Some(Priority::Err),
    to_syslog: Some(Switch::No),
};

fn logging(body: &str) -> Document {
    let text = as_text(&formed(&three_nodes()));
    let (_, rest) = text.split_once("}\n\n").unwrap();
    Document::parse(format!("logging {{\n{body}}}\n{rest}").as_bytes())
}

fn read(document: &Document) -> LoggingOptions {
    Config::read(document).unwrap().logging
}

#[test]
fn what_is_written_is_read_and_nothing_else_is_made_up() {
    assert_eq!(read(&by_hand()), LoggingOptions::default());
    let formed_options = read(&formed(&three_nodes()));
    assert_eq!(formed_options.to_string(), "debug off, to_syslog yes");
    let all = logging("  to_syslog: no\n  debug: on\n  syslog_priority: err\n  timestamp: on\n");
    assert_eq!(read(&all), ALL);
    let twice = format!("{}logging {{\n  debug: trace\n}}\n", as_text(&all));
    let twice = read(&Document::parse(twice.as_bytes()));
    assert_eq!(twice, LoggingOptions { debug: Some(Debugging::Trace), ..ALL });
    let subsystem = logging("  logger_subsys {\n    subsys: QUORUM\n    debug: on\n  }\n");
    assert_eq!(read(&subsystem), LoggingOptions::default());
}

#[test]
fn a_word_that_corosync_does_not_know_is_kept_named_by_lint_and_no_reason_to_refuse_the_file() {
    let text = logging("  debug: loud\n  to_syslog: yes\n");
    let found = read(&text);
    assert_eq!(found.to_string(), "to_syslog yes");
    let findings = lint(&text, &[Reader::Corosync3]);
    let codes: Vec<_> = findings.iter().map(|finding| finding.code.name).collect();
    assert!(codes.contains(&"word-refused"), "{codes:?}");
    let wish = LoggingOptions { to_syslog: Some(Switch::No), ..LoggingOptions::default() };
    let edited = set_logging(&text, &wish).unwrap();
    assert!(as_text(&edited).contains("  debug: loud\n  to_syslog: no\n"));
    let off = LoggingOptions { debug: Some(Debugging::Off), ..LoggingOptions::default() };
    assert_eq!(off.beyond(found), off, "what is wanted takes the wrong word's place");
}

#[test]
fn two_words_for_one_thing_are_equal() {
    let wish = LoggingOptions { to_syslog: Some(Switch::Yes), ..ALL };
    for body in [
        "  to_syslog: on\n  syslog_priority: error\n",
        "  to_syslog: yes\n  syslog_priority: err\n",
    ] {
        let beyond = wish.beyond(read(&logging(body)));
        assert_eq!(beyond.to_string(), "debug on");
    }
    for (body, missing) in [
        ("  to_syslog: off\n", "debug on, syslog_priority err, to_syslog yes"),
        (
            "  to_syslog: no\n  syslog_priority: crit\n",
            "debug on, syslog_priority err, to_syslog yes",
        ),
        ("  to_syslog: on\n", "debug on, syslog_priority err"),
        ("", "debug on, syslog_priority err, to_syslog yes"),
    ] {
        assert_eq!(wish.beyond(read(&logging(body))).to_string(), missing, "{body}");
    }
    assert_eq!(LoggingOptions::default().beyond(ALL), LoggingOptions::default());
}

#[test]
fn an_edit_touches_the_wanted_keys_alone() {
    let old = logging("  # loud enough\n  to_syslog:yes\n  timestamp: hires\n");
    let edited = set_logging(&old, &ALL).unwrap();
    let lines = changed_lines(&old, &edited);
    assert_eq!(
        lines,
        "-2:\"  to_syslog:yes\\n\"\n+2:\"  to_syslog:no\\n\"\n+4:\"  debug: on\\n\"\n\
         +5:\"  syslog_priority: err\\n\"\n"
    );
    assert_eq!(read(&edited), ALL);
    let same = set_logging(&old, &LoggingOptions::default()).unwrap();
    assert_eq!(same.to_bytes(), old.to_bytes());
}

#[test]
fn a_file_without_the_section_gets_one_and_one_with_two_is_not_edited() {
    let edited = set_logging(&by_hand(), &ALL).unwrap();
    let added = "oddity {\n}\nlogging {\n\tdebug: on\n\tsyslog_priority: err\n\tto_syslog: no\n}\n";
    assert!(as_text(&edited).ends_with(added), "{}", as_text(&edited));
    assert_eq!(read(&edited), ALL);
    let nothing = set_logging(&by_hand(), &LoggingOptions::default()).unwrap();
    assert_eq!(nothing.to_bytes(), by_hand().to_bytes());
    let twice = Document::parse(format!("{}logging {{\n}}\n", as_text(&edited)).as_bytes());
    let refused = set_logging(&twice, &ALL).unwrap_err().to_string();
    assert!(refused.contains("section `logging` is there a second time"), "{refused}");
}

/// cmap shows the word as it is written: `error` is not `err` there (measured with 3.1.7).
#[test]
fn keys_of_logging_are_proven_by_their_words() {
    let old = logging("  syslog_priority: error\n");
    let new = set_logging(&old, &LoggingOptions { syslog_priority: None, ..ALL }).unwrap();
    let [old, new] = [old, new].map(|document| Config::read(&document).unwrap());
    let changed = changed_values(&old, &new);
    let set: Vec<_> = changed.set.iter().map(|(key, value)| format!("{key} {value}")).collect();
    assert_eq!(set, ["logging.debug on", "logging.to_syslog no"]);
    let back = changed_values(&new, &old);
    assert_eq!(back.gone.iter().collect::<Vec<_>>(), ["logging.debug", "logging.to_syslog"]);
    assert!(old.logging.syslog_priority == Some(Priority::Error) && back.set.is_empty());
}

#[test]
fn a_new_cluster_has_the_keys_of_the_spec_in_place_of_proxmox_ves() {
    let text = as_text(&formed(&Formation { logging: ALL, ..three_nodes() }));
    let section =
        "logging {\n  debug: on\n  syslog_priority: err\n  to_syslog: no\n}\n\nnodelist {\n";
    assert!(text.starts_with(section), "{text}");
}
