//! `nodelist.node`.

use super::number::{Number, Unit, Width};
use super::{Key, Kind, Section, live, refused, silent};

pub(super) const SECTIONS: &[Section] = &[Section { path: "nodelist.node", keys: NODE }];

const NODE: &[Key] = &[
    // Adding or removing a link on all nodes is live; only another address for the same node and
    // link is refused, and with it the whole file.
    Key::new(
        "ringX_addr",
        Kind::Address,
        "none: the node is not on this link",
        refused("corosync.md 5.2"),
    ),
    // With udp and udpu corosync takes all 32 bits; knet needs one, up to 65535. The node itself
    // keeps its old number until it starts again, the others drop it (corosync.md 5.1).
    Key::new(
        "nodeid",
        Kind::Number(Number::of(Width::U32).accepts(1, 65_535)),
        "none: knet needs it; made of the address with udp and udpu",
        silent("corosync.md 5.1"),
    ),
    Key::new(
        "name",
        Kind::Text("the machine's host name"),
        "none: needed with more than one link, and by Proxmox VE",
        live("corosync.md 5.1"),
    ),
    Key::new(
        "quorum_votes",
        Number::of(Width::U32).unit(Unit::Votes).any(),
        "1",
        live("corosync.md 5.7"),
    ),
];
