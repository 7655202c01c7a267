//! What concerns the daemon itself: `logging`, `system`, `resources`, `uidgid` and `nozzle`.

use super::number::{Number, Unit, Width};
use super::{Key, Kind, Section, Standing, live, logged, silent};

pub(super) const SECTIONS: &[Section] = &[
    Section { path: "logging", keys: LOGGING },
    Section { path: "logging", keys: TARGETS },
    Section { path: "logging.logger_subsys", keys: SUBSYS },
    Section { path: "logging.logger_subsys", keys: TARGETS },
    Section { path: "system", keys: SYSTEM },
    Section { path: "resources", keys: RESOURCES },
    Section { path: "resources.system.*", keys: WATCHED },
    Section { path: "resources.process.*", keys: WATCHED },
    Section { path: "uidgid", keys: UIDGID },
    Section { path: "nozzle", keys: NOZZLE },
];

const ON_OFF: Kind = Kind::OneOf(&["on", "off"]);
/// corosync takes `on` and `off` as well, Proxmox VE writes these.
const YES_NO: Kind = Kind::OneOf(&["yes", "no", "on", "off"]);
const PRIORITY: Kind =
    Kind::OneOf(&["emerg", "alert", "crit", "err", "error", "warning", "notice", "info", "debug"]);

/// For all of corosync.
const LOGGING: &[Key] = &[
    Key::new("timestamp", Kind::OneOf(&["on", "off", "hires"]), "hires", live("corosync.md 5.6")),
    Key::new("fileline", ON_OFF, "off", live("corosync.md 5.6")),
    Key::new("function_name", ON_OFF, "off", live("corosync.md 5.6")),
    Key::new("blackbox", ON_OFF, "on", live("corosync.md 5.6")),
];

/// For all of corosync, or for one subsystem.
const TARGETS: &[Key] = &[
    Key::new("to_syslog", YES_NO, "yes", live("corosync.md 5.6")),
    Key::new("to_stderr", YES_NO, "yes", live("corosync.md 5.6")),
    Key::new("to_logfile", YES_NO, "no", live("corosync.md 5.6")),
    // 3.1.7 checks and obeys both, and logs that they are obsolete (measured).
    Key::new("to_file", YES_NO, "what to_logfile says", live("corosync.md 5.6"))
        .standing(Standing::OldName),
    Key::new("syslog_level", PRIORITY, "what syslog_priority says", live("corosync.md 5.6"))
        .standing(Standing::OldName),
    // A file that cannot be opened stops a start, to_logfile or not.
    Key::new("logfile", Kind::Text("a path"), "none", live("corosync.md 5.6")),
    Key::new("logfile_priority", PRIORITY, "info", live("corosync.md 5.6")),
    Key::new("syslog_priority", PRIORITY, "info", live("corosync.md 5.6")),
    Key::new("syslog_facility", Kind::OneOf(FACILITIES), "daemon", live("corosync.md 5.6")),
    Key::new("debug", Kind::OneOf(&["on", "off", "trace"]), "off", live("corosync.md 5.6")),
];

/// What libqb knows; the manual page names daemon and local0 to local7.
const FACILITIES: &[&str] = &[
    "daemon", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
    "auth", "authpriv", "cron", "ftp", "kern", "lpr", "mail", "news", "syslog", "user", "uucp",
];

const SUBSYS: &[Key] = &[Key::new(
    "subsys",
    Kind::Text("a subsystem's name, such as QUORUM; without the key the file is refused"),
    "none: it must be written",
    live("corosync.md 5.6"),
)];

const SYSTEM: &[Key] = &[
    Key::new(
        "qb_ipc_type",
        Kind::OneOf(&["native", "shm", "socket"]),
        "native",
        logged("pve.md 2.5"),
    )
    .since("3.0"),
    Key::new("sched_rr", Kind::OneOf(&["yes", "no"]), "yes", logged("corosync.md 5.6"))
        .since("3.0"),
    Key::new(
        "priority",
        Kind::Text("max, min, or a number as nice takes it; used when sched_rr is no"),
        "max",
        logged("pve.md 2.5"),
    )
    .since("3.0"),
    Key::new(
        "move_to_root_cgroup",
        Kind::OneOf(&["auto", "yes", "no"]),
        "auto",
        logged("pve.md 2.5"),
    )
    .since("3.0"),
    Key::new(
        "state_dir",
        Kind::Text("a directory that exists"),
        "/var/lib/corosync",
        logged("pve.md 2.5"),
    )
    .since("3.0"),
    Key::new("allow_knet_handle_fallback", Kind::OneOf(&["yes", "no"]), "no", logged("pve.md 2.5"))
        .since("3.1.1"),
];

const RESOURCES: &[Key] = &[
    Key::new("watchdog_device", Kind::Text("a device, or off"), "off", silent("pve.md 2.5"))
        .since("2.4"),
    Key::new(
        "watchdog_timeout",
        Number::of(Width::U32).any(),
        "corosync's own",
        silent("pve.md 2.5"),
    ),
];

/// What the watchdog looks at. corosync stores all but the period as text.
const WATCHED: &[Key] = &[
    Key::new("recovery", Kind::Text("what to do"), "none", silent("pve.md 2.5")),
    Key::new("max", Kind::Text("the most that is allowed"), "none", silent("pve.md 2.5")),
    // 64 bits, so text aborts the daemon as it does in config_version (measured).
    Key::new(
        "poll_period",
        Number::of(Width::U64).unit(Unit::Millis).any(),
        "corosync's own",
        silent("pve.md 2.5"),
    ),
];

const UIDGID: &[Key] = &[
    Key::new("uid", Kind::Text("a user of this host, or a number"), "none", live("pve.md 2.5")),
    Key::new("gid", Kind::Text("a group of this host, or a number"), "none", live("pve.md 2.5")),
];

const NOZZLE: &[Key] = &[
    Key::new("name", Kind::Text("the interface's name"), "none", live("pve.md 2.5")).since("3.0.2"),
    Key::new("ipaddr", Kind::Text("the network's address"), "none", live("pve.md 2.5"))
        .since("3.0.2"),
    Key::new("ipprefix", Kind::Text("the network's prefix"), "none", live("pve.md 2.5"))
        .since("3.0.2"),
    Key::new("macaddr", Kind::Text("the interface's address"), "made up", live("pve.md 2.5"))
        .since("3.0.2"),
];
