//! The text of new clusters, and what it must read back as.

use super::{as_text, entry, formed, link, three_nodes};
use crate::conf::{
    Cipher, ConfError, Config, Formation, Hash, IpVersion, LinkMode, LinkOptions, TotemOptions,
    form,
};

#[test]
fn a_new_cluster_looks_as_proxmox_ve_writes_it() {
    let text = String::from_utf8(form(&three_nodes()).unwrap()).unwrap();
    insta::assert_snapshot!(text, @r"
    logging {
      debug: off
      to_syslog: yes
    }

    nodelist {
      node {
        name: n1
        nodeid: 1
        quorum_votes: 1
        ring0_addr: 10.50.0.1
      }
      node {
        name: n2
        nodeid: 2
        quorum_votes: 1
        ring0_addr: 10.50.0.2
      }
      node {
        name: n3
        nodeid: 3
        quorum_votes: 1
        ring0_addr: 10.50.0.3
      }
    }

    quorum {
      provider: corosync_votequorum
    }

    totem {
      cluster_name: prod
      config_version: 1
      interface {
        linknumber: 0
      }
      ip_version: ipv4-6
      link_mode: passive
      secauth: on
      token_coefficient: 125
      version: 2
    }
    ");
}

#[test]
fn a_new_cluster_ends_with_a_blank_line_as_proxmox_ve_leaves_it() {
    let text = form(&three_nodes()).unwrap();
    assert!(text.ends_with(b"}\n\n") && !text.ends_with(b"\n\n\n"));
}

#[test]
fn priorities_and_second_links_are_written_only_where_given() {
    let mut formation = three_nodes();
    formation.nodes = vec![entry("b", 2, &[0, 1]), entry("B", 3, &[0, 1]), entry("a", 1, &[0, 1])];
    let options = LinkOptions { priority: Some(20), ..LinkOptions::default() };
    formation.links.insert(link(1), options);
    let text = String::from_utf8(form(&formation).unwrap()).unwrap();
    let at = |needle: &str| text.find(needle).unwrap_or_else(|| panic!("no {needle:?}"));
    assert!(at("name: B\n") < at("name: a\n") && at("name: a\n") < at("name: b\n"));
    at("    ring0_addr: 10.50.0.1\n    ring1_addr: 10.51.0.1\n  }\n");
    at("  interface {\n    linknumber: 0\n  }\n");
    at("  interface {\n    knet_link_priority: 20\n    linknumber: 1\n  }\n");
}

#[test]
fn what_is_formed_reads_back_as_what_was_asked_for() {
    let formation = three_nodes();
    let config = Config::read(&formed(&formation)).unwrap();
    assert_eq!(config.cluster_name, formation.cluster_name);
    assert_eq!(config.version, formation.version);
    assert_eq!(config.totem.token_coefficient_millis, Some(125));
    for (node, entry) in config.nodes.iter().zip(&formation.nodes) {
        assert_eq!((&node.name, node.id, node.votes()), (&entry.name, entry.id, entry.votes));
        assert_eq!(node.addresses, entry.addresses);
    }
}

#[test]
fn keys_of_totem_stand_where_proxmox_ve_sorts_them() {
    let totem = TotemOptions {
        token_millis: Some(2000),
        token_coefficient_millis: Some(300),
        ip_version: Some(IpVersion::Ipv4),
        link_mode: Some(LinkMode::Active),
        mtu_bytes: Some(1400),
        cipher: Some(Cipher::Aes128),
        hash: Some(Hash::Sha256),
        ..TotemOptions::default()
    };
    let document = formed(&Formation { totem, ..three_nodes() });
    assert_eq!(Config::read(&document).unwrap().totem, totem);
    let text = as_text(&document);
    let (_, section) = text.split_once("totem {\n").unwrap();
    let keys = section.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let keys: Vec<_> = keys.map(|line| line.trim().split([':', ' ']).next().unwrap()).collect();
    let mut sorted = keys.clone();
    sorted.retain(|key| *key != "}");
    assert!(sorted.is_sorted() && sorted.len() == 12, "{sorted:?}");
}

#[test]
fn parts_that_make_no_cluster_are_refused() {
    let refused = |change: &dyn Fn(&mut Formation)| {
        let mut formation = three_nodes();
        change(&mut formation);
        form(&formation).unwrap_err()
    };
    assert_eq!(refused(&|f| f.nodes.clear()), ConfError::NoNodes);
    let twice = refused(&|f| f.nodes[2].id = f.nodes[1].id);
    assert_eq!(twice.to_string(), "line 19: nodeid 2 is there a second time");
    let uneven = refused(&|f| f.nodes[2] = entry("n3", 3, &[0, 1]));
    assert!(matches!(uneven, ConfError::UnevenLinks { link: l, .. } if l == link(1)));
    let no_address = refused(&|f| _ = f.links.insert(link(4), LinkOptions::default()));
    assert!(matches!(no_address, ConfError::UnevenLinks { link: l, .. } if l == link(4)));
    let injected = "10.0.0.1\n    quorum_votes: 9".to_owned();
    let injected = refused(&|f| _ = f.nodes[0].addresses.insert(link(0), injected.clone()));
    assert!(matches!(injected, ConfError::Unwritable { .. }));
    let knet = refused(&|f| f.nodes[0].id = crate::conf::tests::node_id(70_000));
    assert_eq!(knet.to_string(), "line 9: `nodeid` is `70000`, but takes a number from 1 to 65535");
}
