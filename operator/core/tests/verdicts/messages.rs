//! What corosync says about a refused file, and the finding that says the same.

/// A sound file: three nodes on one link, found by 127.0.0.1. `KEY` is the key file.
pub const SOUND: &str = "\
totem {
  version: 2
  cluster_name: lab
  config_version: 7
  secauth: on
  keyfile: KEY
  interface {
    linknumber: 0
  }
}
nodelist {
  node {
    name: pvecm-test-1
    nodeid: 1
    ring0_addr: 127.0.0.1
  }
  node {
    name: pvecm-test-2
    nodeid: 2
    ring0_addr: 127.0.0.2
  }
  node {
    name: pvecm-test-3
    nodeid: 3
    ring0_addr: 127.0.0.3
  }
}
quorum {
  provider: corosync_votequorum
}
logging {
  to_stderr: yes
  to_syslog: no
}
";

/// What is replaced in the sound file (an empty text: the end), by what, corosync's words, and our
/// code.
pub type Message = (&'static str, &'static str, &'static str, &'static str);

pub const MESSAGES: &[Message] = &[
    // Syntax: pve.md 2.2.
    ("secauth: on", "secauth: on\nab\0c: d", "Line too long", "line-too-long"),
    ("quorum {", "quorum { x", "Extra characters after opening bracket", "text-behind-brace"),
    ("quorum {", " {", "Missing section name before opening bracket", "section-without-name"),
    ("no\n}", "no\n} x", "Extra characters before or after closing bracket", "text-beside-brace"),
    ("", "}\n", "Unexpected closing brace", "closing-without-opening"),
    ("", "system {\n", "Missing closing brace", "section-not-closed"),
    (
        "secauth: on",
        "secauth",
        "Line is not opening or closing section or key value",
        "not-a-statement",
    ),
    ("secauth: on", "sec auth: on", "Can't store key", "name-not-storable"),
    // Values: pve.md 2.2, corosync.md 9.1.
    (
        "nodeid: 2",
        "nodeid: two",
        "is expected to be integer in range (0..4294967295), but \"two\" was given",
        "not-a-number",
    ),
    (
        "linknumber: 0",
        "linknumber: 256",
        "is expected to be integer in range (0..255)",
        "not-a-number",
    ),
    ("config_version: 7", "config_version: 4a", "Assertion", "number-aborts-corosync"),
    (
        "secauth: on",
        "crypto_cipher: 3des",
        "Invalid cipher type. Should be none, aes256, aes192 or aes128",
        "word-refused",
    ),
    ("secauth: on", "crypto_hash: crc", "Invalid hash type", "word-refused"),
    ("secauth: on", "crypto_model: gnutls", "Invalid crypto model. Should be", "word-refused"),
    (
        "secauth: on",
        "knet_compression_model: gzip",
        "Invalid compression model. Should be",
        "word-refused",
    ),
    ("secauth: on", "ip_version: ipv5", "Invalid ip_version type", "word-refused"),
    (
        "secauth: on",
        "transport: iba",
        "Invalid transport type. Should be udpu, udp or knet",
        "word-refused",
    ),
    (
        "secauth: on",
        "link_mode: bogus",
        "The Knet link mode \"bogus\" specified is invalid",
        "word-refused",
    ),
    ("linknumber: 0", "knet_transport: tcp", "Unrecognised knet_transport", "word-refused"),
    ("", "system {\nqb_ipc_type: pipe\n}\n", "Invalid system.qb_ipc_type", "word-refused"),
    ("", "system {\nsched_rr: on\n}\n", "Invalid system.sched_rr value", "word-refused"),
    (
        "",
        "system {\nmove_to_root_cgroup: 1\n}\n",
        "Invalid system.move_to_root_cgroup",
        "word-refused",
    ),
    ("to_syslog: no", "debug: yes", "unknown value for debug", "word-refused"),
    ("to_syslog: no", "to_syslog: maybe", "unknown value for to_syslog", "word-refused"),
    ("to_syslog: no", "timestamp: yes", "unknown value for timestamp", "word-refused"),
    ("to_syslog: no", "syslog_facility: here", "unknown syslog facility specified", "word-refused"),
    ("to_syslog: no", "syslog_priority: loud", "unknown syslog priority specified", "word-refused"),
    ("", "uidgid {\nname: root\n}\n", "uidgid: Only uid and gid are allowed items", "foreign-key"),
    (
        "linknumber: 0",
        "member {\nname: x\n}",
        "Only memberaddr is allowed in member section",
        "foreign-key",
    ),
    (
        "to_syslog: no",
        "logger_subsys {\n}",
        "No subsys key in logger_subsys directive",
        "logger-without-name",
    ),
    (
        "to_syslog: no",
        "logging_daemon {\n}",
        "No name key in logging_daemon directive",
        "logger-without-name",
    ),
    ("to_syslog: no", "logger_subsys {\nsubsys: A B\n}", "Can't store key", "logger-name"),
    (
        "linknumber: 0\n  }",
        "knet_transport: udp\n foo {\n }\n }",
        "double free",
        "nested-section-aborts-corosync",
    ),
    (
        "  version: 2\n",
        "",
        "This totem parser can only parse version 2 configurations.",
        "not-version-2",
    ),
    // Timers.
    (
        "secauth: on",
        "token: 29\ntoken_coefficient: 0",
        "The token timeout parameter (29 ms) may not be less than (30 ms)",
        "out-of-range",
    ),
    (
        "secauth: on",
        "token_warning: 101",
        "The token warning parameter (101%) must be between 0 (disabled) and 100",
        "out-of-range",
    ),
    (
        "secauth: on",
        "max_network_delay: 1",
        "The max_network_delay parameter (1 ms) may not be less than (30 ms)",
        "out-of-range",
    ),
    (
        "secauth: on",
        "join: 1",
        "The join timeout parameter (1 ms) may not be less than (30 ms)",
        "out-of-range",
    ),
    (
        "secauth: on",
        "merge: 1",
        "The merge timeout parameter (1 ms) may not be less than (30 ms)",
        "out-of-range",
    ),
    (
        "secauth: on",
        "downcheck: 1",
        "The downcheck timeout parameter (1 ms) may not be less than (30 ms)",
        "out-of-range",
    ),
    (
        "secauth: on",
        "consensus: 1",
        "The consensus timeout parameter (1 ms) may not be less than (30 ms)",
        "out-of-range",
    ),
    (
        "secauth: on",
        "token_retransmit: 1",
        "The token retransmit timeout parameter (1 ms) may not be less than (30 ms)",
        "out-of-range",
    ),
    (
        "secauth: on",
        "hold: 1",
        "The token hold timeout parameter (1 ms) may not be less than (14 ms)",
        "timer-too-short",
    ),
    (
        "secauth: on",
        "token: 40\ntoken_coefficient: 0",
        "Not appropriate token or token_retransmits_before_loss_const value set",
        "timer-too-short",
    ),
    (
        "secauth: on",
        "join: 9000",
        "The consensus timeout parameter (4380 ms) may not be less than join timeout (9000 ms)",
        "consensus-below-join",
    ),
    // Encryption.
    (
        "secauth: on",
        "crypto_cipher: aes256",
        "crypto_cipher requires crypto_hash with value other than none",
        "cipher-without-hash",
    ),
    (
        "secauth: on",
        "secauth: on\ntransport: udpu",
        "crypto_cipher & crypto_hash are only valid for the Knet transport",
        "crypto-needs-knet",
    ),
    ("keyfile: KEY", "key: short", "key is too short", "key-too-short"),
    // Nodes and links: corosync.md 9.1, pve.md 2.8.
    ("nodelist {", "nodes {", "No interfaces defined", "nodelist-empty"),
    (
        "linknumber: 0\n  }\n}\nnodelist {",
        "bindnetaddr: 127.0.0.0\n  }\n}\nnodes {",
        "No valid name found for local host",
        "nodelist-empty",
    ),
    (
        "    nodeid: 2\n",
        "",
        "Knet requires an explicit nodeid to be specified for address '127.0.0.2'",
        "nodeid-missing",
    ),
    (
        "nodeid: 1",
        "nodeid: 0",
        "Knet requires an explicit nodeid for the local node",
        "nodeid-missing",
    ),
    (
        "nodeid: 2",
        "nodeid: 70000",
        "Knet requires nodeid to be less than 65536 for address '127.0.0.2'",
        "nodeid-too-large",
    ),
    ("nodeid: 2", "nodeid: 1", "Nodeid 1 appears twice in corosync.conf", "nodeid-twice"),
    (
        "ring0_addr: 127.0.0.1",
        "ring0_addr: 127.0.0.1\nring1_addr: 127.0.1.1",
        "Not all nodes have the same number of links",
        "links-uneven",
    ),
    (
        "    name: pvecm-test-1\n    nodeid: 1\n",
        "    nodeid: 1\n ring1_addr: 127.0.1.1\n",
        "for a multi-link configuration, all nodes must have a 'name' attribute",
        "names-needed",
    ),
    (
        "127.0.0.2",
        "127.0.0.2\nring8_addr: 127.0.0.2",
        "interface ring number 8 is bigger than allowed maximum 7",
        "link-too-high",
    ),
    (
        "127.0.0.2",
        "127.0.0.2 # x",
        "failed to parse node address '127.0.0.2 # x'",
        "address-unusable",
    ),
    ("127.0.0.2", "fd00::2", "Nodes for link 0 have different IP families", "families-mixed"),
    (
        "",
        "totem {\ntransport: udpu\n}\nnodelist.node.0 {\nring1_addr: 127.0.1.1\n}\nnodelist.node.1 {\n\
         ring1_addr: 127.0.1.2\n}\nnodelist.node.2 {\nring1_addr: 127.0.1.3\n}\n",
        "2 is too many configured interfaces for non-Knet transport.",
        "one-link-only",
    ),
    (
        "secauth: on\n  keyfile: KEY\n  interface {",
        "transport: udpu\ninterface {\nknet_link_priority: 3",
        "Can only set link priority on knet transport type for interface 0",
        "knet-only-option",
    ),
    (
        "linknumber: 0",
        "ttl: 3",
        "Can only set ttl on multicast transport types for interface 0",
        "multicast-only-option",
    ),
    (
        "linknumber: 0",
        "linknumber: 3\nmcastport: 0",
        "No multicast port specified for interface 3",
        "port-missing",
    ),
    (
        "linknumber: 0",
        "linknumber: 3\nbindnetaddr: the lan",
        "failed to parse bindnet address 'the lan'",
        "bindnetaddr-unusable",
    ),
    (
        "linknumber: 0",
        "mcastaddr: the lan",
        "failed to parse mcast address 'the lan'",
        "multicast-address",
    ),
    (
        "  cluster_name: lab\n  config_version: 7\n  secauth: on",
        "transport: udp",
        "No multicast address specified for interface 0",
        "multicast-address",
    ),
    (
        "secauth: on\n  keyfile: KEY\n  interface {",
        "transport: udp\ninterface {\nmcastaddr: 10.0.0.1",
        "mcastaddr is not a correct multicast address for interface 0",
        "multicast-address",
    ),
    (
        "secauth: on\n  keyfile: KEY\n  interface {",
        "transport: udp\nip_version: ipv4-6\ninterface {\nmcastaddr: ff15::1",
        "Multicast address family does not match bind address family for interface 0",
        "multicast-address",
    ),
];
