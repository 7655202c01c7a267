//! Files of udp and udpu: how they are read, and how they get another transport.

use super::{as_text, changed_lines, formed, link, three_nodes};
use crate::conf::edit::{self, EditError, set_transport};
use crate::conf::{Cipher, Config, Crypto, Document, Hash, IpVersion, LinkOptions, Transport};

/// As corosync 2 read it as well.
fn udpu() -> Document {
    Document::parse(include_bytes!("../../../tests/corpus/corosync3-udpu.conf"))
}

fn udp() -> Document {
    Document::parse(include_bytes!("../../../tests/corpus/corosync3-udp.conf"))
}

/// Three nodes on knet as Proxmox VE lists them.
fn knet() -> Document {
    formed(&three_nodes())
}

fn with(document: &Document, old: &str, new: &str) -> Document {
    let text = as_text(document);
    assert!(text.contains(old), "{old}");
    Document::parse(text.replace(old, new).as_bytes())
}

#[test]
fn files_of_udp_and_udpu_are_read_with_what_corosync_2_left_in_them() {
    let config = Config::read(&udpu()).unwrap();
    assert_eq!(config.transport(), Transport::Udpu);
    assert_eq!(config.links(), [link(0)].into());
    assert_eq!((config.port(link(0)), config.ip_version()), (5405, IpVersion::Ipv6Then4));
    let config = Config::read(&udp()).unwrap();
    assert_eq!(config.transport(), Transport::Udp);
    assert_eq!((config.port(link(0)), config.ip_version()), (5407, IpVersion::Ipv4));
    assert_eq!(Config::read(&knet()).unwrap().transport(), Transport::Knet);
}

#[test]
fn what_keeps_corosync_from_starting_there_is_refused_with_its_line() {
    let refused = |document: &Document| Config::read(document).unwrap_err().to_string();
    let encrypted = with(&udpu(), "secauth: off", "secauth: on");
    let said = refused(&encrypted);
    assert!(said.starts_with("line 7: `transport: udpu` is not understood: corosync"), "{said}");
    assert!(said.contains("secauth"), "{said}");
    let signed = with(&udpu(), "secauth: off", "crypto_hash: sha1");
    assert!(refused(&signed).contains("secauth"));
    let plain = with(&udpu(), "secauth: off", "crypto_hash: none");
    assert!(Config::read(&plain).is_ok());
    let second = with(&udpu(), "ring0_addr: 10.10.10.", "ring1_addr: 10.10.10.");
    assert!(refused(&second).contains("link 0"), "{}", refused(&second));
}

#[test]
fn nodes_and_links_are_edited_on_knet_alone() {
    let addresses = (1..=3).map(|n| (n.try_into().unwrap(), format!("10.9.9.{n}"))).collect();
    let refused = [
        edit::add_link(&udpu(), link(1), &addresses, &LinkOptions::default()),
        edit::set_votes(&udpu(), 1.try_into().unwrap(), 2),
        edit::remove_node(&udpu(), 1.try_into().unwrap()),
    ];
    for refused in refused {
        let said = refused.unwrap_err().to_string();
        assert!(said.ends_with("nodes and links are only edited on knet"), "{said}");
    }
}

#[test]
fn on_the_way_to_knet_what_corosync_2_left_goes_and_nothing_is_encrypted_by_that() {
    let new = set_transport(&udpu(), Transport::Knet).unwrap();
    assert_eq!(
        changed_lines(&udpu(), &new),
        "-6:\"  transport: udpu\\n\"\n\
         -9:\"    ringnumber: 0\\n\"\n\
         -10:\"    bindnetaddr: 10.10.10.0\\n\"\n\
         -11:\"    mcastport: 5405\\n\"\n\
         -12:\"    ttl: 1\\n\"\n\
         +6:\"  transport: knet\\n\"\n\
         +9:\"    linknumber: 0\\n\"\n"
    );
    let silent = with(&udpu(), "  secauth: off\n", "");
    let new = Config::read(&set_transport(&silent, Transport::Knet).unwrap()).unwrap();
    assert_eq!(new.crypto(), Crypto { cipher: Cipher::None, hash: Hash::None });
}

#[test]
fn names_are_resolved_on_knet_as_they_were_on_udp() {
    let named = with(&udp(), "ring0_addr: 10.10.10.", "ring0_addr: host");
    let ip_version = |document: &Document| {
        let new = set_transport(document, Transport::Knet).unwrap();
        Config::read(&new).unwrap().ip_version()
    };
    assert_eq!(ip_version(&named), IpVersion::Ipv4);
    let numbers = Config::read(&set_transport(&udp(), Transport::Knet).unwrap()).unwrap();
    assert_eq!(numbers.totem.ip_version, None, "no name, no word");
    let unicast = with(&udpu(), "ring0_addr: 10.10.10.", "ring0_addr: host");
    assert_eq!(ip_version(&unicast), IpVersion::Ipv6Then4, "as it was");
}

#[test]
fn on_the_way_from_knet_only_what_corosync_refuses_goes() {
    let priority = LinkOptions {
        priority: Some(7),
        ping_interval_millis: Some(300),
        ..LinkOptions::default()
    };
    let old = edit::set_link_options(&knet(), link(0), &priority).unwrap();
    let old = with(&old, "  link_mode", "  crypto_cipher: aes128\n  link_mode");
    let new = set_transport(&old, Transport::Udpu).unwrap();
    let text = as_text(&new);
    for gone in ["crypto_", "knet_link_priority", "secauth: on"] {
        assert!(!text.contains(gone), "{gone}: {text}");
    }
    for kept in ["secauth: off", "knet_ping_interval: 300", "link_mode: passive", "linknumber: 0"] {
        assert!(text.contains(kept), "{kept}: {text}");
    }
    assert_eq!(Config::read(&new).unwrap().transport(), Transport::Udpu);
    let back = set_transport(&new, Transport::Knet).unwrap();
    assert_eq!(as_text(&back), text.replace("transport: udpu", "transport: knet"));
}

#[test]
fn between_udp_and_udpu_one_word_changes() {
    let new = set_transport(&udp(), Transport::Udpu).unwrap();
    assert_eq!(changed_lines(&udp(), &new).lines().count(), 2);
}

#[test]
fn a_text_that_knet_could_not_take_is_refused() {
    let unnumbered = with(&udpu(), "    nodeid: 2\n", "");
    let refused = set_transport(&unnumbered, Transport::Knet).unwrap_err();
    assert!(matches!(refused, EditError::Convert(_)), "{refused}");
}
