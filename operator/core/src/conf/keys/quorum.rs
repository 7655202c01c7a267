//! `quorum` with its device. What is below `device.net` and `device.heuristics` corosync stores as
//! text; corosync-qdevice reads it.

use super::number::{Number, Unit, Width};
use super::{Key, Kind, Section, live, logged, qdevice, silent};

pub(super) const SECTIONS: &[Section] = &[
    Section { path: "quorum", keys: QUORUM },
    Section { path: "quorum.device", keys: DEVICE },
    Section { path: "quorum.device.net", keys: NET },
    Section { path: "quorum.device.heuristics", keys: HEURISTICS },
];

const VOTES: Number = Number::of(Width::U32).unit(Unit::Votes);
const MILLIS: Number = Number::of(Width::U32).unit(Unit::Millis);
/// Milliseconds that corosync-qdevice reads.
const DAEMON_MILLIS: Number =
    Number::of(Width::Text).unit(Unit::Millis).accepts(1, i32::MAX as i128);
/// What corosync-qdevice does with a word that it does not know.
const DAEMON_EXITS: &str = "taken by corosync; corosync-qdevice does not start with it";

const QUORUM: &[Key] = &[
    Key::new(
        "provider",
        // corosync itself checks it only when it starts for real, not with -t.
        Kind::Words {
            known: &["corosync_votequorum"],
            otherwise: "taken by corosync -t; corosync does not start with it",
        },
        "none: no quorum is counted, and Proxmox VE does not work",
        logged("corosync.md 5.6"),
    ),
    Key::new(
        "expected_votes",
        VOTES.sensible(1, u32::MAX as i128),
        "the sum over the nodelist, and the device's votes",
        live("corosync.md 5.7"),
    ),
    Key::new("votes", VOTES.any(), "1, where the nodelist says nothing", live("pve.md 2.5")),
    Key::new("two_node", Number::flag(), "0", live("corosync.md 5.7")),
    Key::new("wait_for_all", Number::flag(), "0; 1 with two_node", silent("corosync.md 5.7")),
    Key::new("last_man_standing", Number::flag(), "0", silent("corosync.md 5.7")),
    Key::new("last_man_standing_window", MILLIS.any(), "10000 ms", silent("pve.md 2.5")),
    Key::new("auto_tie_breaker", Number::flag(), "0", silent("corosync.md 5.7")),
    Key::new(
        "auto_tie_breaker_node",
        Kind::Text("lowest, highest, or node ids with spaces between"),
        "lowest",
        silent("pve.md 2.5"),
    ),
    Key::new("allow_downscale", Number::flag(), "0", silent("pve.md 2.5")),
    Key::new("expected_votes_tracking", Number::flag(), "0", silent("pve.md 2.5")),
    // In no manual page, but read as a number (measured).
    Key::new("leaving_timeout", MILLIS.any(), "corosync's own", silent("pve.md 2.5")),
];

const DEVICE: &[Key] = &[
    Key::new(
        "model",
        Kind::Words { known: &["net"], otherwise: DAEMON_EXITS },
        "none: there is no device",
        qdevice("pve.md 2.5"),
    ),
    Key::new(
        "votes",
        VOTES.any(),
        "the sum over the nodelist, less 1; ffsplit works only with 1 written out",
        live("pve.md 2.5"),
    ),
    Key::new("timeout", MILLIS.any(), "10000 ms", qdevice("pve.md 2.5")),
    Key::new("sync_timeout", MILLIS.any(), "30000 ms", qdevice("pve.md 2.5")),
    Key::new("master_wins", Number::flag(), "0", live("pve.md 2.5")),
];

const NET: &[Key] = &[
    Key::new("host", Kind::Address, "none: it must be written", qdevice("pve.md 2.5")),
    Key::new(
        "port",
        Kind::Number(Number::of(Width::Text).accepts(1, 65_535)),
        "5403",
        qdevice("pve.md 2.5"),
    ),
    Key::new(
        "tls",
        Kind::Words { known: &["on", "off", "required"], otherwise: DAEMON_EXITS },
        "on",
        qdevice("pve.md 2.5"),
    ),
    // A change makes the running daemons exit (corosync.md 5.8).
    Key::new(
        "algorithm",
        Kind::Words { known: &["ffsplit", "lms", "2nodelms", "test"], otherwise: DAEMON_EXITS },
        "ffsplit",
        qdevice("corosync.md 5.8"),
    ),
    Key::new(
        "tie_breaker",
        Kind::Text("lowest, highest, or a node id"),
        "lowest",
        qdevice("pve.md 2.5"),
    ),
    Key::new("connect_timeout", DAEMON_MILLIS.any(), "0.8 * device.timeout", qdevice("pve.md 2.5")),
    Key::new(
        "force_ip_version",
        Kind::Words { known: &["0", "4", "6"], otherwise: DAEMON_EXITS },
        "0: both, IPv6 first",
        qdevice("pve.md 2.5"),
    ),
    Key::new(
        "keep_active_partition_tie_breaker",
        Kind::Words { known: &["on", "off"], otherwise: DAEMON_EXITS },
        "on",
        qdevice("pve.md 2.5"),
    ),
];

const HEURISTICS: &[Key] = &[
    Key::new(
        "mode",
        Kind::Words { known: &["off", "on", "sync"], otherwise: DAEMON_EXITS },
        "off",
        live("pve.md 2.5"),
    ),
    Key::new("timeout", DAEMON_MILLIS.any(), "0.5 * device.timeout", live("pve.md 2.5")),
    Key::new("sync_timeout", DAEMON_MILLIS.any(), "0.5 * device.sync_timeout", live("pve.md 2.5")),
    Key::new("interval", DAEMON_MILLIS.any(), "3 * device.timeout", live("pve.md 2.5")),
    Key::new("exec_*", Kind::Text("a command with its arguments"), "none", live("pve.md 2.5")),
];
