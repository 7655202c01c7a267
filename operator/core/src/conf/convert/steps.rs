//! The single changes of a conversion, line by line.

use std::collections::BTreeSet;

use super::super::dialect::Dialect;
use super::super::document::{Document, SectionView, Value};
use super::super::keys::{Standing, Width, find};
use super::super::patch::Patch;
use super::super::reader::Mark;
use super::super::settings::Settings;
use super::super::values::text;
use super::{ConvertError, Step};

/// The ring or link that an interface section speaks of: what corosync 3 reads, else what
/// corosync 2 does, else 0.
pub(super) fn ring_of(section: &SectionView<'_>) -> u32 {
    let number = |key: &str| Width::U8.read(section.value(key)?.bytes);
    let ring = number("linknumber").or_else(|| number("ringnumber"));
    ring.and_then(|ring| u32::try_from(ring).ok()).unwrap_or(0)
}

const WHY_SECAUTH: &str = "corosync 3 encrypts nothing unless told to; it means aes256 and sha256 \
                           where the file names no others";

/// A key of a section as it stands there, with name, value and line.
type Entry<'a> = (&'a Mark, String, String, usize);

/// Changes collected so far.
pub(super) struct Steps<'a> {
    dialect: Dialect,
    patch: Patch<'a>,
    done: Vec<Step>,
}

impl<'a> Steps<'a> {
    pub(super) fn new(document: &'a Document, dialect: Dialect) -> Self {
        Self { dialect, patch: Patch::of(document), done: Vec::new() }
    }

    pub(super) fn finish(mut self) -> (Document, Vec<Step>) {
        self.done.sort_by_key(|step| step.line.unwrap_or(usize::MAX));
        (self.patch.apply(), self.done)
    }

    fn say(&mut self, line: Option<usize>, what: String) {
        self.done.push(Step { line, what });
    }

    /// The keys of `totem` itself.
    pub(super) fn totem(&mut self, section: &SectionView<'a>) -> Result<(), ConvertError> {
        for (place, name, value, line) in keys(section) {
            if name == "transport" {
                match value.as_str() {
                    "knet" => {}
                    "udp" | "udpu" => {
                        self.patch.replace_value(place, "knet");
                        self.say(Some(line), format!("transport {value} becomes knet"));
                    }
                    _ => return Err(ConvertError::Transport { line, transport: value }),
                }
            } else if self.dialect == Dialect::Corosync2 && is_word_for_on(&name, &value) {
                self.patch.replace_value(place, "on");
                self.say(Some(line), format!("secauth {value} becomes on: {WHY_SECAUTH}"));
            } else if name == "crypto_cipher" && value == "3des" {
                self.patch.replace_value(place, "aes256");
                let why = "corosync 3 does not have 3des any more";
                self.say(Some(line), format!("crypto_cipher 3des becomes aes256: {why}"));
            } else if is_obsolete("totem", &name) {
                self.patch.remove(place);
                self.say(Some(line), format!("{name} is taken out: {}", why_obsolete(&name)));
            }
        }
        Ok(())
    }

    /// One interface section.
    pub(super) fn interface(&mut self, ring: u32, section: &SectionView<'a>) {
        let numbered = section.value("linknumber").is_some();
        let mut renamed = false;
        for (place, name, value, line) in keys(section) {
            if name == "ringnumber" {
                self.patch.remove(place);
                if numbered || renamed {
                    self.say(Some(line), format!("ringnumber {value} is taken out"));
                } else {
                    let pair = ("linknumber", ring.to_string());
                    self.patch.insert_behind(place, &[pair]);
                    self.say(Some(line), format!("ringnumber {value} becomes linknumber {ring}"));
                    renamed = true;
                }
            } else if is_obsolete("totem.interface", &name) || self.is_default_port(&name, &value) {
                self.patch.remove(place);
                self.say(Some(line), format!("{name} is taken out: {}", why_obsolete(&name)));
            }
        }
        if !numbered && !renamed {
            let pair = ("linknumber", ring.to_string());
            self.patch.insert_keys(section, &[pair]);
            self.say(Some(section.line()), format!("linknumber {ring} is written out"));
        }
        for member in section.sections("member") {
            self.patch.remove_section(&member);
            let what = "member is taken out: the nodelist names the nodes";
            self.say(Some(member.line()), what.to_owned());
        }
    }

    /// Both rings of corosync 2 use 5405; left there it would keep link 1 from its own port.
    fn is_default_port(&self, name: &str, value: &str) -> bool {
        self.dialect != Dialect::Knet && name == "mcastport" && value == "5405"
    }

    /// Proxmox VE refuses `addnode` when only some links have an interface section (pve.md 2.3).
    pub(super) fn missing_interfaces(
        &mut self,
        totem: &SectionView<'a>,
        links: &BTreeSet<u32>,
        rings: &BTreeSet<u32>,
    ) {
        if rings.is_empty() {
            return;
        }
        for link in links.difference(rings) {
            let pair = ("linknumber", link.to_string());
            self.patch.append_sections(totem, "interface", &[vec![pair]]);
            self.say(None, format!("an interface section for link {link} is added"));
        }
    }

    pub(super) fn name(&mut self, node: &SectionView<'a>, name: &str) {
        self.patch.insert_keys(node, &[("name", name)]);
        let what =
            format!("name {name} is added, taken from its address; it must be the host name");
        self.say(Some(node.line()), what);
    }

    /// corosync 2 encrypts unless told not to, corosync 3 only when told to (pve.md 2.4).
    pub(super) fn crypto(&mut self, totem: &SectionView<'a>, settings: &Settings) {
        if settings.totem("secauth").is_none() {
            self.patch.insert_keys(totem, &[("secauth", "on")]);
            let what = format!("secauth on is written: {WHY_SECAUTH}");
            self.say(None, what);
        }
    }

    /// corosync 2 resolves names to IPv4 alone, and so does udp; knet resolves to IPv6 first (pve.md 2.4).
    pub(super) fn ip_version(&mut self, totem: &SectionView<'a>, settings: &Settings) {
        let is_name = |address: &str| address.parse::<std::net::IpAddr>().is_err();
        let mut nodes = settings.nodes.iter();
        let has_names = nodes.any(|node| node.addresses().into_values().any(is_name));
        if has_names && settings.totem("ip_version").is_none() {
            self.patch.insert_keys(totem, &[("ip_version", "ipv4")]);
            let what = "ip_version ipv4 is written, as names were resolved; the default is now IPv6 \
                        first";
            self.say(None, what.to_owned());
        }
    }
}

fn keys<'a>(section: &SectionView<'a>) -> impl Iterator<Item = Entry<'a>> + use<'a> {
    let places = section.places();
    let entry = |(place, (name, value)): (&'a Mark, (&'a [u8], Value<'a>))| {
        (place, text(name), text(value.bytes), value.line)
    };
    places.zip(section.keys()).map(entry)
}

/// Only `off` is that for corosync 2, only `on` for corosync 3.
fn is_word_for_on(name: &str, value: &str) -> bool {
    name == "secauth" && value != "on" && value != "off"
}

/// Whether knet has no use for the key.
fn is_obsolete(section: &str, name: &str) -> bool {
    let standing = find(section, name).map(|key| key.standing);
    matches!(standing, Some(Standing::Corosync2Only | Standing::Deprecated | Standing::UdpOnly))
}

fn why_obsolete(name: &str) -> &'static str {
    match name {
        "bindnetaddr" => "knet takes the addresses from the nodelist",
        "mcastaddr" | "broadcast" | "ttl" => "knet sends to each node by itself",
        "mcastport" => "knet uses 5405 + the link's number",
        "nodeid" => "the nodelist gives the ids",
        _ => "links that fail are knet's own business",
    }
}
