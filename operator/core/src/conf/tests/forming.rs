//! The text of new clusters, and what it must read back as.

use super::{entry, formed, link, three_nodes};
use crate::conf::{ConfError, Config, LinkOptions, form};

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
