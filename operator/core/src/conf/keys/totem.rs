//! `totem` and its `interface` sections.

use super::number::{Number, Unit, Width};
use super::{
    Key, Kind, Section, Standing, full_stop, live, logged, never, refused, second_reload, silent,
};

pub(super) const SECTIONS: &[Section] = &[
    Section { path: "totem", keys: TOTEM },
    Section { path: "totem.interface", keys: INTERFACE },
    Section { path: "totem.interface.member", keys: MEMBER },
];

/// A count in 32 bits without further checks.
const COUNT: Number = Number::of(Width::U32);

/// A time in milliseconds, 0 included.
const MILLIS: Number = COUNT.unit(Unit::Millis);

/// Words that corosync compares with `yes` alone.
const YES_OR_NO: &[&str] = &["yes", "no"];

const TOTEM: &[Key] = &[
    Key::new(
        "version",
        Kind::Number(COUNT.accepts(2, 2)),
        "none: it must be written",
        logged("corosync.md 5.6"),
    ),
    Key::new(
        "cluster_name",
        Kind::Text("a name; Proxmox VE takes 1 to 15 letters, digits and dashes"),
        "none; Proxmox VE and corosync-qdevice need it",
        logged("corosync.md 5.6"),
    ),
    Key::new(
        "config_version",
        Number::of(Width::U64).sensible(1, u64::MAX as i128),
        "0: joining nodes are not checked for a stale file",
        live("corosync.md 4"),
    ),
    Key::new(
        "transport",
        Kind::OneOf(&["knet", "udpu", "udp"]),
        "knet; udp in corosync 2",
        full_stop("corosync.md 5.6"),
    ),
    Key::new(
        "ip_version",
        Kind::OneOf(&["ipv4", "ipv6", "ipv4-6", "ipv6-4"]),
        "ipv6-4; ipv4 with udp and in corosync 2",
        logged("pve.md 2.5"),
    ),
    Key::new(
        "link_mode",
        Kind::OneOf(&["passive", "active", "rr"]),
        "passive",
        silent("corosync.md 5.3"),
    )
    .since("3.0"),
    Key::new(
        "netmtu",
        COUNT.unit(Unit::Bytes).any(),
        "65536; 1500 with udp and udpu",
        logged("pve.md 2.5"),
    ),
    Key::new("threads", COUNT.any(), "0", logged("pve.md 2.5")),
    Key::new(
        "ip_dscp",
        Kind::Text("0 to 63, or a name such as cs6, af41 or ef"),
        "0",
        logged("pve.md 2.5"),
    )
    .since("3.1.10"),
    Key::new(
        "clear_node_high_bit",
        Kind::Words { known: YES_OR_NO, otherwise: "taken for no" },
        "no",
        silent("pve.md 2.5"),
    ),
    Key::new("nodeid", COUNT.any(), "the nodelist's", never("corosync.md 11"))
        .standing(Standing::Deprecated),
    Key::new(
        "vsftype",
        Kind::Words { known: &["none", "ykd"], otherwise: "ignored" },
        "none",
        never("pve.md 2.5"),
    )
    .standing(Standing::Corosync2Only),
    Key::new(
        "rrp_mode",
        Kind::Words { known: &["none", "passive", "active"], otherwise: "ignored by corosync 3" },
        "none",
        never("corosync.md 11"),
    )
    .standing(Standing::Corosync2Only),
    rrp("rrp_problem_count_timeout", MILLIS.any()),
    rrp("rrp_problem_count_threshold", COUNT.any()),
    rrp("rrp_problem_count_mcast_threshold", COUNT.any()),
    rrp("rrp_token_expired_timeout", MILLIS.any()),
    rrp("rrp_autorecovery_check_timeout", MILLIS.any()),
    // Who may take part, and what is encrypted.
    Key::new(
        "secauth",
        Kind::Words { known: &["on", "off"], otherwise: "taken for off" },
        "off; on in corosync 2",
        live("pve.md 2.5"),
    ),
    Key::new(
        "crypto_cipher",
        Kind::OneOf(&["none", "aes256", "aes192", "aes128"]),
        "none, aes256 with secauth on; aes256 in corosync 2",
        live("corosync.md 5.5"),
    ),
    Key::new(
        "crypto_hash",
        Kind::OneOf(&["none", "md5", "sha1", "sha256", "sha384", "sha512"]),
        "none, sha256 with secauth on; sha1 in corosync 2",
        live("corosync.md 5.5"),
    ),
    // Which there are depends on how libknet was built; these are Debian's.
    Key::new("crypto_model", Kind::OneOf(&["nss", "openssl"]), "nss", live("pve.md 2.5"))
        .since("3.0"),
    Key::new("keyfile", Kind::Text("a path"), "/etc/corosync/authkey", live("pve.md 2.5")),
    Key::new("key", Kind::Text("the key itself"), "none: keyfile is read", live("pve.md 2.5")),
    Key::new(
        "block_unlisted_ips",
        Kind::Words { known: YES_OR_NO, otherwise: "taken for no" },
        "yes",
        live("pve.md 2.5"),
    )
    .since("3.0.2"),
    // Timers.
    Key::new(
        "token",
        Number::timer().sensible(1000, 60_000),
        "3000 ms; 1000 ms before 3.1.0",
        second_reload("corosync.md 5.4"),
    ),
    Key::new(
        "token_coefficient",
        MILLIS.sensible(0, 2000),
        "650 ms for every node beyond the second that has a ring0_addr",
        second_reload("corosync.md 5.4"),
    )
    .since("2.3.4"),
    Key::new(
        "token_warning",
        Kind::Number(COUNT.unit(Unit::Percent).accepts(0, 100)),
        "75 %",
        live("pve.md 2.5"),
    )
    .since("3.0"),
    Key::new(
        "token_retransmit",
        Number::timer().any(),
        "token / (token_retransmits_before_loss_const + 0.2)",
        live("pve.md 2.5"),
    ),
    Key::new("token_retransmits_before_loss_const", COUNT.any(), "4", live("pve.md 2.5")),
    Key::new("hold", MILLIS.any(), "0.8 * token_retransmit - 10 ms", live("pve.md 2.5")),
    Key::new("join", Number::timer().any(), "50 ms", live("corosync.md 5.4")),
    Key::new("send_join", MILLIS.any(), "0 ms", live("pve.md 2.5")),
    Key::new("consensus", Number::timer().any(), "1.2 * token", live("corosync.md 5.4")),
    Key::new("merge", Number::timer().any(), "200 ms", live("pve.md 2.5")),
    Key::new("downcheck", Number::timer().any(), "1000 ms", live("pve.md 2.5")),
    Key::new("fail_recv_const", COUNT.any(), "2500", live("pve.md 2.5")),
    Key::new("seqno_unchanged_const", COUNT.any(), "30", live("pve.md 2.5")),
    Key::new("heartbeat_failures_allowed", COUNT.any(), "0: no heartbeat", live("pve.md 2.5")),
    Key::new("max_network_delay", Number::timer().any(), "50 ms", live("pve.md 2.5")),
    Key::new("window_size", COUNT.any(), "50", live("pve.md 2.5")),
    Key::new("max_messages", COUNT.any(), "17", live("pve.md 2.5")),
    Key::new("miss_count_const", COUNT.any(), "5", live("pve.md 2.5")),
    Key::new(
        "cancel_token_hold_on_retransmit",
        Kind::Words { known: YES_OR_NO, otherwise: "taken for no" },
        "no",
        live("pve.md 2.5"),
    )
    .since("3.1.6"),
    // What knet does with all links.
    Key::new("knet_pmtud_interval", COUNT.unit(Unit::Secs).any(), "30 s", live("pve.md 2.5"))
        .since("3.0"),
    Key::new(
        "knet_mtu",
        COUNT.unit(Unit::Bytes).sensible(0, 65_535),
        "0: found out for each link",
        live("corosync.md 5.4"),
    )
    .since("3.1.7"),
    // `none` is what holds without it, but written out corosync 3.1.7 refuses it (measured). Which
    // there are depends on how libknet was built; these are Debian's.
    Key::new(
        "knet_compression_model",
        Kind::OneOf(&["zlib", "lz4", "lz4hc", "lzo2", "lzma", "bzip2", "zstd"]),
        "no compression",
        live("corosync.md 5.4"),
    )
    .since("3.0"),
    Key::new(
        "knet_compression_threshold",
        COUNT.unit(Unit::Bytes).any(),
        "100 bytes",
        live("pve.md 2.5"),
    )
    .since("3.0"),
    Key::new(
        "knet_compression_level",
        Number::of(Width::I32).any(),
        "0: the library's own",
        live("pve.md 2.5"),
    )
    .since("3.0"),
];

const fn rrp(name: &'static str, kind: Kind) -> Key {
    Key::new(name, kind, "corosync 2's", never("pve.md 2.5")).standing(Standing::Corosync2Only)
}

const INTERFACE: &[Key] = &[
    // corosync stores any 8 bits here; a link beyond 7 is a section that nothing belongs to.
    Key::new(
        "linknumber",
        Number::of(Width::U8).sensible(0, 7),
        "0: a section without it speaks of link 0",
        live("pve.md 2.5"),
    )
    .since("3.0"),
    // Not read as linknumber: such sections all speak of link 0 (corosync.md 11).
    Key::new("ringnumber", Kind::Text("0 or 1, for corosync 2"), "0", never("corosync.md 11"))
        .standing(Standing::Corosync2Only),
    Key::new(
        "knet_link_priority",
        Number::of(Width::U8).any(),
        "1, to which 0 is equal; the higher number is preferred",
        live("corosync.md 5.3"),
    )
    .since("3.0"),
    Key::new(
        "knet_ping_interval",
        MILLIS.any(),
        "token / (knet_pong_count * 2)",
        live("corosync.md 5.3"),
    )
    .since("3.0"),
    Key::new("knet_ping_timeout", MILLIS.any(), "token / knet_pong_count", live("corosync.md 5.3"))
        .since("3.0"),
    Key::new("knet_ping_precision", COUNT.any(), "2048", live("pve.md 2.5")).since("3.0"),
    Key::new("knet_pong_count", COUNT.any(), "2", live("pve.md 2.5")).since("3.0"),
    // sctp is taken by the parser, but deprecated.
    Key::new("knet_transport", Kind::OneOf(&["udp", "sctp"]), "udp", refused("corosync.md 5.3"))
        .since("3.0"),
    Key::new(
        "mcastport",
        Number::of(Width::U16).sensible(1, 65_535),
        "5405 + the link's number; 5405 on both rings of corosync 2",
        silent("corosync.md 5.3"),
    ),
    Key::new(
        "bindnetaddr",
        Kind::Text("an address or network of this host"),
        "taken from the nodelist",
        silent("pve.md 2.5"),
    )
    .standing(Standing::UdpOnly),
    Key::new(
        "mcastaddr",
        Kind::Address,
        "made of cluster_name and the ring's number",
        silent("pve.md 2.5"),
    )
    .standing(Standing::UdpOnly),
    Key::new(
        "broadcast",
        Kind::Words { known: YES_OR_NO, otherwise: "taken for no" },
        "no",
        silent("pve.md 2.5"),
    )
    .standing(Standing::UdpOnly),
    // With knet and udpu everything but 1 is refused (measured).
    Key::new("ttl", Number::of(Width::U8).any(), "1", silent("pve.md 2.5"))
        .standing(Standing::UdpOnly),
];

const MEMBER: &[Key] =
    &[Key::new("memberaddr", Kind::Address, "the nodelist", never("corosync.md 11"))
        .standing(Standing::Deprecated)];
