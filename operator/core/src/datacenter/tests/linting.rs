//! What is told about a datacenter.cfg.

use proptest::prelude::*;

use super::document;
use crate::datacenter::{Document, codes, lint};

fn told(text: &str) -> Vec<String> {
    let tell = |finding: &crate::conf::lint::Finding| {
        let line = finding.line.unwrap_or_default();
        format!("{line} {} {}: {}", finding.effect, finding.code, finding.message)
    };
    lint(&document(text)).iter().map(tell).collect()
}

#[track_caller]
fn assert_told(text: &str, expected: &[&str]) {
    assert_eq!(told(text), expected, "{text}");
}

#[test]
fn a_file_as_proxmox_ve_writes_it_is_nothing_to_tell() {
    assert_told(
        "# notes%3A here\n\nbwlimit: default=1000,migration=0.5\nconsole: html5\ncrs: ha=static,ha-rebalance-on-start=1\n\
         email_from: a@b.c\nfencing: watchdog\nha: shutdown_policy=migrate\nhttp_proxy: http://p:3128\n\
         keyboard: de-ch\nlanguage: de\nmac_prefix: BC:24:11\nmax_workers: 4\n\
         migration: secure,network=10.1.2.0/24\nnext-id: lower=100,upper=200\nreplication: secure\n\
         tag-style: shape=full\nu2f: appid=x\n",
        &[],
    );
    assert_told("", &[]);
    assert_told("crs:\nnext-id: lower=5\n", &[]);
}

#[test]
fn keys_and_lines_that_proxmox_ve_drops_are_told() {
    // parse error in 'datacenter.cfg' - 'x': property is not defined in schema ..
    // ignore config line: migration = secure
    assert_told(
        "futurekey: 1\nmigration = secure\ndescription: hello\n",
        &[
            "1 misreads datacenter-unknown-key: Proxmox VE does not know `futurekey` and drops this line with its \
         next write",
            "2 misreads datacenter-ignored-line: Proxmox VE ignores this line, which is no `key: value`, and \
         drops it with its next write",
            "3 misreads datacenter-description-key: the comments take the place of this key, and the next write \
         drops it",
        ],
    );
}

#[test]
fn values_that_proxmox_ve_drops_are_told_with_the_reason() {
    let dropped = |key: &str, why: &str| {
        format!(
            "1 misreads datacenter-bad-value: `{key}` counts for nothing and is dropped with the next write \
             of Proxmox VE: {why}"
        )
    };
    for (line, key, why) in [
        ("migration: network=10.1.2.0/24", "migration", "`type` must be given"),
        (
            "replication: unsafe",
            "replication",
            "`type` is `unsafe`, but takes one of secure, insecure",
        ),
        ("migration_unsecure: maybe", "migration_unsecure", "`maybe` is not 1 or 0"),
        ("max_workers: 0", "max_workers", "`0` is not a whole number from 1 up"),
        ("max_workers: many", "max_workers", "`many` is not a whole number from 1 up"),
        ("fencing: none", "fencing", "`none` is not one of watchdog, hardware, both"),
        ("http_proxy: p:3128", "http_proxy", "`p:3128` is not an address that begins with http://"),
        ("ha: freeze", "ha", "`freeze` has no key"),
        (
            "crs: ha-auto-rebalance=1,ha-auto-rebalance-margin=101",
            "crs",
            "`ha-auto-rebalance-margin` is `101`, but takes a number \
                                                      from 0 to 100",
        ),
        ("crs: ha-auto-rebalance-margin=1", "crs", "`ha-auto-rebalance` must be given"),
        ("ha:", "ha", "`shutdown_policy` must be given"),
        ("bwlimit: move=-1", "bwlimit", "`move` is `-1`, but takes a number from 0 up"),
        ("bwlimit: move=inf", "bwlimit", "`move` is `inf`, but takes a number from 0 up"),
        ("next-id: lower=x", "next-id", "`lower` is `x`, but takes a whole number"),
    ] {
        assert_told(line, &[&dropped(key, why)]);
    }
}

#[test]
fn repeated_keys_and_comments_that_will_not_stay_are_told() {
    assert_told(
        " # aside\nkeyboard: de\n# behind\nkeyboard: fr\n",
        &[
            "1 advice datacenter-indented-comment: the next write of Proxmox VE drops this comment: `#` must be \
         the first character",
            "2 advice datacenter-repeated-key: `keyboard` is set again in line 4, which counts",
            "3 advice datacenter-comment-moves: the next write of Proxmox VE moves this comment to the top of the \
         file",
        ],
    );
}

#[test]
fn guests_in_the_clear_are_told() {
    assert_told(
        "migration: insecure\nreplication: insecure\n",
        &[
            "1 advice datacenter-insecure: `migration` sends guests and their secrets in the clear",
            "2 advice datacenter-insecure: `replication` sends guests and their secrets in the clear",
        ],
    );
}

#[test]
fn the_key_before_migration_is_out_of_use_and_may_be_ignored() {
    assert_told(
        "migration_unsecure: 1\n",
        &["1 advice datacenter-migration-unsecure: write `migration: insecure` in its place"],
    );
    assert_told(
        "migration: secure\nmigration_unsecure: on\n",
        &[
            "2 misreads datacenter-migration-unsecure: `migration_unsecure` is ignored, since `migration` says \
         secure",
        ],
    );
    assert_told(
        "migration: secure\nmigration_unsecure: 0\n",
        &["2 advice datacenter-migration-unsecure: `migration` says the same; take this line out"],
    );
}

#[test]
fn bounds_in_the_wrong_order_stop_every_write() {
    // lower (L) <= upper (U) boundary rule broken
    assert_told(
        "next-id: lower=2000000\n",
        &[
            "1 breaks datacenter-next-id-order: the lower bound 2000000 is above the upper bound 1000000: Proxmox \
         VE cannot write this file",
        ],
    );
}

#[test]
fn codes_are_said_once_and_explained() {
    let names: Vec<_> = codes().map(|code| code.name).collect();
    assert!(names.is_sorted() && names.len() == 10, "{names:?}");
    assert!(
        codes().all(|code| code.name.starts_with("datacenter-") && code.explanation.len() > 80)
    );
}

proptest! {
    #[test]
    fn any_bytes_are_judged_line_by_line(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let lines = bytes.split(|byte| *byte == b'\n').count();
        prop_assert!(lint(&Document::parse(&bytes)).iter().all(|found| found.line <= Some(lines)));
    }
}
