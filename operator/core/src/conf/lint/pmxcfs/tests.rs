//! pmxcfs's verdicts, and that a good file has none.

use super::findings;
use crate::conf::Document;

fn told(bytes: &[u8]) -> Vec<String> {
    let tell = |finding: super::Finding| {
        let line = finding.line.map_or_else(|| "-".to_owned(), |line| line.to_string());
        format!("{line} {} {}: {}", finding.effect, finding.code, finding.message)
    };
    findings(&Document::parse(bytes)).into_iter().map(tell).collect()
}

#[track_caller]
fn assert_told(text: &str, expected: &str) {
    assert_eq!(told(text.as_bytes()), [expected], "{text}");
}

#[test]
fn a_plain_version_in_totem_is_nothing_to_tell() {
    for text in [
        "totem {\n  config_version: 4\n}\n",
        "totem {\r\n\tconfig_version:4\r\n}\r\n",
        "# Zürich\ntotem {\n  config_version: 007\n}\n",
        "# the config_version goes up\ntotem {\n  config_version: 18446744073709551615\n}\n",
    ] {
        assert_eq!(told(text.as_bytes()), [""; 0], "{text}");
    }
}

#[test]
fn a_version_in_a_comment_is_the_one_that_pmxcfs_compares() {
    assert_told(
        "# was config_version: 9\ntotem {\n  config_version: 4\n}\n",
        "1 misreads pmxcfs-other-version: pmxcfs compares version 9, the first one in the text, though it \
         stands in a comment, but corosync takes `4` of line 3",
    );
}

#[test]
fn of_two_versions_pmxcfs_takes_the_first_and_corosync_the_last() {
    assert_told(
        "totem {\n  config_version: 4\n  config_version: 5\n}\n",
        "2 misreads pmxcfs-other-version: pmxcfs compares version 4, the first one in the text, but \
         corosync takes `5` of line 3",
    );
}

#[test]
fn a_version_outside_of_totem_counts_for_pmxcfs_alone() {
    assert_told(
        "quorum {\n  config_version: 4\n}\n",
        "2 misreads pmxcfs-other-version: pmxcfs compares version 4 of this line, but it is not in totem \
         and corosync does not take it",
    );
}

#[test]
fn digits_of_a_version_that_aborts_every_corosync_are_handed_out() {
    for value in ["4a", "4.5", "4 # new"] {
        assert_told(
            &format!("totem {{\n  config_version: {value}\n}}\n"),
            &format!(
                "2 breaks pmxcfs-version-prefix: pmxcfs reads config_version `{value}` as 4 and hands the \
                 file out; every corosync that reloads it aborts"
            ),
        );
    }
}

#[test]
fn a_version_of_twenty_digits_ends_all_versions() {
    assert_told(
        "totem {\n  config_version: 18446744073709551616\n}\n",
        "2 breaks pmxcfs-version-too-large: pmxcfs takes `18446744073709551616` as 18446744073709551615, \
         and no later file can have a higher version",
    );
}

#[test]
fn without_a_version_the_file_is_handed_to_nobody() {
    for value in ["", ": -1", ": four", " 4"] {
        assert_told(
            &format!("totem {{\n  config_version{value}\n}}\n"),
            "- refuses pmxcfs-no-version: there is no `config_version: N`, so pmxcfs hands the file to no \
             node",
        );
    }
    for value in ["0", "0x5"] {
        assert_told(
            &format!("totem {{\n  config_version: {value}\n}}\n"),
            "2 refuses pmxcfs-no-version: pmxcfs takes version 0 for none and hands the file to no node",
        );
    }
}

#[test]
fn a_byte_that_is_not_utf8_hides_the_version() {
    assert_eq!(
        told(b"totem {\n  config_version: 4\n}\n# Z\xfcrich\n"),
        [
            "4 refuses pmxcfs-not-utf8: the byte 0xfc is not UTF-8, so pmxcfs finds no config_version and \
          hands the file to no node"
        ]
    );
}

#[test]
fn an_empty_file_is_handed_to_nobody_in_silence() {
    assert_told(
        "",
        "- refuses pmxcfs-empty: the file is empty: pmxcfs hands it to no node and says nothing",
    );
}

#[test]
fn a_file_beyond_the_limit_is_refused_and_one_beyond_the_older_limit_is_told() {
    let file = |bytes: usize| {
        let text = "totem {\nconfig_version: 4\n}\n";
        told(&(text.to_owned() + &"#\n".repeat(bytes)).as_bytes()[..bytes])
    };
    assert_eq!(file(524_288), [""; 0]);
    assert_eq!(
        file(524_289),
        [
            "- advice pmxcfs-too-large: the file has 524289 bytes: before Proxmox VE 7 pmxcfs took 524288 \
          at most"
        ]
    );
    assert!(file(1_048_576)[0].starts_with("- advice"));
    assert_eq!(
        file(1_048_577),
        [
            "- refuses pmxcfs-too-large: the file has 1048577 bytes: pmxcfs takes 1048576 at most and \
          answers `File too large`"
        ]
    );
}
