//! Files for corosync: sound ones of every shape, and what becomes of them by a few changes.
//!
//! Owns chance: a seed makes the same file for ever. Addresses are numeric, node 1 is found by
//! 127.0.0.1, so that corosync asks the host as little as possible.

use std::fmt::Write as _;

use pvecm_core::conf::keys::{Key, Kind, Number, Standing, sections};

/// A stream of numbers that its seed determines (splitmix64).
pub struct Chance(u64);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end.max(1)).unwrap()).unwrap()
    }

    /// True once in `times`.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub fn one<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }
}

/// Values that have hurt somebody, or are at a bound.
const NASTY: &[&str] = &[
    "",
    "0",
    "-1",
    "1",
    "2",
    "3",
    "7",
    "8",
    "13",
    "14",
    "29",
    "30",
    "49",
    "50",
    "64",
    "100",
    "101",
    "127",
    "128",
    "255",
    "256",
    "1000",
    "65535",
    "65536",
    "70000",
    "2147483647",
    "2147483648",
    "4294967295",
    "4294967296",
    "18446744073709551615",
    "18446744073709551616",
    "99999999999999999999",
    "4a",
    "0x5",
    "1.5",
    "+5",
    "007",
    "1e3",
    "\x0b5",
    "5 # five",
    "on",
    "off",
    "yes",
    "no",
    "On",
    "none",
    "on # x",
    "# x",
    "a b",
    "knet",
    "udp",
    "udpu",
    "iba",
    "aes256",
    "3des",
    "sha256",
    "md5",
    "ipv4",
    "ipv6",
    "ipv6-4",
    "active",
    "rr",
    "bogus",
    "trace",
    "INFO",
    "127.0.0.1",
    "127.0.0.2",
    "127.0.0.1 # x",
    "10.0.0.1",
    "::1",
    "fd00::9",
    "::ffff:10.0.0.1",
    "224.0.0.1",
    "239.192.1.1",
    "ff15::1",
    "300.1.1.1",
    "127.1",
    "0x7f.2",
    "1",
    "nosuch.example",
    "bad_name",
    "bad name",
    "bad!name",
    "}",
    "{",
    ":",
    "a:b",
    "corosync_votequorum",
    "quorum_x",
    "net",
    "é",
    "max",
];

/// Lines that no key of the inventory makes.
const LINES: &[&str] = &[
    "{",
    "}",
    "x",
    "x: y",
    "ab: c",
    ": y",
    "tokn: 5",
    "# config_version: 9",
    "foo {",
    "foo {\nbar: 1\n}",
    "totem {\n}",
    "nodelist {\n}",
    "nodelist {\nnode {\nname: extra\nnodeid: 77\n}\n}",
    "node {\n}",
    "interface {\nlinknumber: 1\nknet_link_priority: 5\n}",
    "interface {\nringnumber: 1\nttl: 3\n}",
    "interface {\nlinknumber: 9\nmcastport: 5499\n}",
    "interface {\nlinknumber: 9\n}",
    "interface {\nbindnetaddr: 10.0.0.0\n}",
    "interface {\nlinknumber: 2\nmcastport: 0\n}",
    "interface {\nmember {\nmemberaddr: 10.0.0.1\n}\n}",
    "interface {\nfoo {\nbar: 1\n}\n}",
    "logger_subsys {\nsubsys: TOTEM\ndebug: on\n}",
    "logger_subsys {\ndebug: on\n}",
    "logger_subsys {\nsubsys: a b\n}",
    "logging_daemon {\nname: corosync\ndebug: maybe\n}",
    "uidgid {\nuid: 0\n}",
    "uidgid {\ncolour: red\n}",
    "member {\nmemberaddr: 1.2.3.4\n}",
    "resources {\nsystem {\npoll_period: soon\n}\n}",
    "system {\nsched_rr: maybe\n}",
    "quorum {\ndevice {\nmodel: net\nvotes: many\n}\n}",
    "device {\nmodel: net\n}",
    "link0_addr: 10.0.0.7",
    "ring8_addr: 10.0.0.7",
    "ring01_addr: 10.0.0.7",
    "ring-1_addr: 10.0.0.7",
    "ring4294967297_addr: 10.0.0.7",
    "ringx_addr: 10.0.0.7",
    "a b: c",
    "é: c",
    "totem.version: 2",
    "nodelist.node {\nring0_addr: 127.0.0.9\n}",
    "totem.interface {\nmcastport: 99999\n}",
];

/// A file as lines without their ends.
pub type Lines = Vec<Vec<u8>>;

/// What the desk lends: paths that exist.
pub struct Lent {
    pub key_file: String,
}

/// A file that makes sense: 1 to 5 nodes on 1 to 3 links, with options.
pub fn sound(chance: &mut Chance, lent: &Lent) -> Lines {
    let transport = if chance.once_in(4) { chance.one(&["udp", "udpu"]) } else { "knet" };
    let is_knet = transport == "knet";
    let nodes = 1 + chance.below(5);
    let links = if is_knet { 1 + chance.below(3) } else { 1 };
    let mut text = format!(
        "totem {{\nversion: 2\ncluster_name: lab\nconfig_version: {}\n",
        1 + chance.below(99)
    );
    writeln!(text, "transport: {transport}\nkeyfile: {}", lent.key_file).unwrap();
    if is_knet {
        text.push_str(chance.one(&[
            "secauth: on\n",
            "",
            "crypto_cipher: aes128\ncrypto_hash: sha512\n",
        ]));
    }
    options(chance, "totem", &mut text);
    for link in 0..links {
        if chance.once_in(2) {
            writeln!(text, "interface {{\nlinknumber: {link}").unwrap();
            if is_knet {
                options(chance, "totem.interface", &mut text);
            }
            text.push_str("}\n");
        }
    }
    text.push_str("}\nnodelist {\n");
    let is_v6: Vec<bool> = (0..links).map(|link| link > 0 && chance.once_in(4)).collect();
    for id in 1..=nodes {
        writeln!(text, "node {{\nname: pvecm-test-{id}\nnodeid: {id}").unwrap();
        for (link, is_v6) in is_v6.iter().enumerate() {
            let address =
                if *is_v6 { format!("fd00:{link}::{id}") } else { format!("127.0.{link}.{id}") };
            writeln!(text, "ring{link}_addr: {address}").unwrap();
        }
        if chance.once_in(3) {
            writeln!(text, "quorum_votes: {}", chance.below(3)).unwrap();
        }
        text.push_str("}\n");
    }
    text.push_str("}\nquorum {\nprovider: corosync_votequorum\n");
    options(chance, "quorum", &mut text);
    if chance.once_in(3) {
        text.push_str(
            "device {\nmodel: net\nvotes: 1\nnet {\nhost: 10.0.0.200\nalgorithm: ffsplit\n}\n}\n",
        );
    }
    text.push_str("}\nlogging {\nto_stderr: yes\nto_syslog: no\n");
    options(chance, "logging", &mut text);
    text.push_str("}\n");
    text.lines().map(|line| line.as_bytes().to_vec()).collect()
}

/// Keys that the host has the say over, or that a sound file has already.
const LEFT_OUT: &[&str] = &[
    "version",
    "config_version",
    "transport",
    "keyfile",
    "key",
    "secauth",
    "crypto_cipher",
    "crypto_hash",
    "logfile",
    "to_stderr",
    "to_syslog",
    "linknumber",
    "provider",
    "ip_version",
    "cluster_name",
    "bindnetaddr",
    "mcastaddr",
    "ttl",
    "to_logfile",
];

fn options(chance: &mut Chance, section: &str, text: &mut String) {
    let keys = sections().filter(|known| known.path == section).flat_map(|known| known.keys);
    let keys: Vec<&Key> = keys.filter(|key| !LEFT_OUT.contains(&key.name)).collect();
    for _ in 0..chance.below(4) {
        let key = chance.one(&keys);
        if matches!(key.standing, Standing::InUse | Standing::OldName) {
            writeln!(text, "{}: {}", key.name, fitting(chance, &key.kind)).unwrap();
        }
    }
}

/// A value that the key takes, often at a bound.
fn fitting(chance: &mut Chance, kind: &Kind) -> String {
    match kind {
        Kind::Number(Number { sensible, .. }) => {
            let inner = sensible.least + i128::try_from(chance.below(5000)).unwrap();
            let numbers =
                [sensible.least, sensible.most, inner.min(sensible.most), inner.min(sensible.most)];
            numbers[chance.below(4)].to_string()
        }
        Kind::OneOf(words) | Kind::Words { known: words, .. } => chance.one(words).to_owned(),
        Kind::Address => format!("10.9.8.{}", chance.below(200)),
        Kind::Text(_) => "word".to_owned(),
    }
}

/// One change to the file, for the worse more often than not.
pub fn mutate(chance: &mut Chance, lines: &mut Lines) {
    if lines.is_empty() {
        lines.push(b"totem {".to_vec());
    }
    let (at, other) = (chance.below(lines.len()), chance.below(lines.len()));
    match chance.below(16) {
        0 => drop(lines.remove(at)),
        1 => lines.insert(other, lines[at].clone()),
        2 => lines.swap(at, other),
        3..=6 => with_value(lines, at, chance.one(NASTY)),
        7 | 13 => any_key(chance, lines),
        8 => {
            let line = chance.one(LINES);
            insert(lines, at, line);
        }
        9 => any_byte(chance, &mut lines[at]),
        10 => odd_space(chance, &mut lines[at]),
        11 => whole_section(chance, lines, at),
        12 => known_setting(chance, lines),
        14 => lines[at].extend_from_slice(
            chance.one(&[" # a comment", "\t", ":", " }", " {", "\r"]).as_bytes(),
        ),
        _ => everywhere(chance, lines),
    }
}

fn insert(lines: &mut Lines, at: usize, text: &str) {
    for line in text.split('\n').rev() {
        lines.insert(at, line.as_bytes().to_vec());
    }
}

fn with_value(lines: &mut Lines, at: usize, value: &str) {
    let Some(colon) = lines[at].iter().position(|byte| *byte == b':') else { return };
    lines[at].truncate(colon + 1);
    lines[at].push(b' ');
    lines[at].extend_from_slice(value.as_bytes());
}

/// A key of the inventory, where it belongs, with a value that fits or does not.
fn any_key(chance: &mut Chance, lines: &mut Lines) {
    let all: Vec<_> = sections()
        .flat_map(|section| section.keys.iter().map(move |key| (section.path, key)))
        .collect();
    let (path, key) = all[chance.below(all.len())];
    if matches!(key.name, "logfile" | "state_dir") {
        return;
    }
    let value =
        if chance.once_in(2) { chance.one(NASTY).to_owned() } else { fitting(chance, &key.kind) };
    let name = key.name.replace("ringX", &format!("ring{}", chance.below(9))).replace('*', "x");
    let line = format!("{name}: {value}").into_bytes();
    let last = path.rsplit('.').next().unwrap();
    let opening = format!("{last} {{").into_bytes();
    let places: Vec<usize> = (0..lines.len()).filter(|at| lines[*at] == opening).collect();
    if let Some(at) = (!places.is_empty()).then(|| places[chance.below(places.len())]) {
        return lines.insert(at + 1, line);
    }
    let steps: Vec<&str> = path.split('.').collect();
    lines.extend(steps.iter().map(|step| format!("{} {{", step.replace('*', "load")).into_bytes()));
    lines.push(line);
    lines.extend(steps.iter().map(|_| b"}".to_vec()));
}

fn any_byte(chance: &mut Chance, line: &mut Vec<u8>) {
    let at = chance.below(line.len() + 1);
    let bytes = [0, 0xa0, b'\t', b'\r', b'{', b'}', b'#', b':', 0xff, 0x0b, b' ', b'.'];
    if at < line.len() && chance.once_in(3) {
        line.remove(at);
    } else {
        line.insert(at, bytes[chance.below(bytes.len())]);
    }
}

fn odd_space(chance: &mut Chance, line: &mut Vec<u8>) {
    let text = String::from_utf8_lossy(line).into_owned();
    let odd = match chance.below(6) {
        0 => text.replace(": ", ":"),
        1 => text.replace(": ", " :\t "),
        2 => text.replace(" {", "{"),
        3 => format!("  \t{text}\t "),
        4 => format!("{text} #{}", "x".repeat(460 + chance.below(80))),
        _ => format!("#{}", "x".repeat(500 + chance.below(30))),
    };
    *line = odd.into_bytes();
}

/// Takes a section out, or puts it in a second time.
fn whole_section(chance: &mut Chance, lines: &mut Lines, at: usize) {
    let Some(start) = (0..=at).rev().find(|at| lines[*at].ends_with(b"{")) else { return };
    let mut depth = 0_i32;
    let end = (start..lines.len()).find(|at| {
        depth += i32::from(lines[*at].ends_with(b"{")) - i32::from(lines[*at] == b"}");
        depth == 0
    });
    let Some(end) = end else { return };
    if chance.once_in(2) {
        lines.drain(start..=end);
    } else {
        let copy = lines[start..=end].to_vec();
        let to = if chance.once_in(2) { end + 1 } else { lines.len() };
        lines.splice(to..to, copy);
    }
}

/// Settings that others depend on.
fn known_setting(chance: &mut Chance, lines: &mut Lines) {
    let settings = [
        "transport: udp",
        "transport: udpu",
        "transport: knet",
        "secauth: on",
        "secauth: off",
        "crypto_cipher: none",
        "crypto_cipher: aes256",
        "crypto_hash: none",
        "crypto_hash: sha1",
        "ip_version: ipv4",
        "ip_version: ipv6",
        "ip_version: ipv4-6",
        "link_mode: active",
        "rrp_mode: passive",
        "token: 40",
        "token: 100",
        "join: 5000",
        "token_retransmits_before_loss_const: 200",
        "hold: 13",
        "consensus: 49",
        "nodeid: 5",
        "vsftype: none",
    ];
    if let Some(at) = lines.iter().position(|line| line == b"totem {") {
        let setting = chance.one(&settings);
        let key = setting.split(':').next().unwrap();
        lines.retain(|line| !line.starts_with(key.as_bytes()) || chance.once_in(4));
        lines.insert(at + 1, setting.as_bytes().to_vec());
    }
}

fn everywhere(chance: &mut Chance, lines: &mut Lines) {
    match chance.below(3) {
        0 => lines.iter_mut().for_each(|line| line.push(b'\r')),
        1 => lines.truncate(lines.len() - chance.below(4).min(lines.len() - 1)),
        _ => lines.iter_mut().for_each(|line| line.splice(0..0, *b"  \t").for_each(drop)),
    }
}

/// The bytes, now and then without a line end at the last line.
pub fn bytes(chance: &mut Chance, lines: &Lines) -> Vec<u8> {
    let mut bytes = lines.join(&b'\n');
    if !chance.once_in(5) {
        bytes.push(b'\n');
    }
    bytes
}
