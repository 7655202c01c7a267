//! How long it takes to parse a corosync.conf, add a link, raise the version and write the text.
//!
//! `cargo xtask bench conf` runs it beside `peers.py`, on the same files, and prints both. Takes the
//! folder to leave the files in (`3x2.conf`, ...) and prints `SIZE MICROSECONDS` a line: the median.

#![expect(clippy::unwrap_used, reason = "a benchmark ends at the first thing that goes wrong")]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use pvecm_core::conf::edit::{add_link, bump};
use pvecm_core::conf::{
    Document, Formation, LinkOptions, LoggingOptions, NodeEntry, TotemOptions, form,
};
use pvecm_core::ids::{ConfigVersion, LinkNumber, NodeId};

/// Nodes and links of the file after the edit: corosync has eight links, so 64x8 begins with seven.
const SIZES: [(u32, u32); 5] = [(3, 2), (16, 2), (32, 2), (64, 2), (64, 8)];

/// Enough for a median that stays where it is from run to run.
const ROUNDS: usize = 2_000;

fn main() {
    // Cargo adds `--bench` behind the folder.
    let Some(folder) = std::env::args().nth(1).filter(|word| !word.starts_with('-')) else {
        eprintln!("cargo xtask bench conf runs this: the folder for the files is missing");
        return;
    };
    for (nodes, links) in SIZES {
        let text = file(nodes, links - 1);
        let path = Path::new(&folder).join(format!("{nodes}x{links}.conf"));
        std::fs::write(path, &text).unwrap();
        println!("{nodes}x{links} {:.2}", median(&text, nodes, link(links - 1)));
    }
}

/// A cluster as Proxmox VE 9 writes it.
fn file(nodes: u32, links: u32) -> Vec<u8> {
    let node = |id: u32| NodeEntry {
        name: format!("node{id}").parse().unwrap(),
        id: NodeId::try_from(id).unwrap(),
        votes: 1,
        addresses: (0..links).map(|n| (link(n), address(n, id))).collect(),
    };
    let formation = Formation {
        cluster_name: "bench".parse().unwrap(),
        version: ConfigVersion(7),
        nodes: (1..=nodes).map(node).collect(),
        links: (0..links).map(|n| (link(n), LinkOptions::default())).collect(),
        totem: TotemOptions::default(),
        logging: LoggingOptions::default(),
    };
    form(&formation).unwrap()
}

/// The median time of the whole way from bytes to bytes, in microseconds.
fn median(text: &[u8], nodes: u32, new: LinkNumber) -> f64 {
    let ids = (1..=nodes).map(|id| NodeId::try_from(id).unwrap());
    let addresses: BTreeMap<NodeId, String> =
        ids.map(|id| (id, address(u32::from(new), id.get()))).collect();
    let once = || {
        let began = Instant::now();
        let document = Document::parse(black_box(text));
        let document = add_link(&document, new, &addresses, &LinkOptions::default()).unwrap();
        let document = bump(&document).unwrap();
        black_box(document.to_bytes());
        began.elapsed().as_secs_f64() * 1e6
    };
    let mut times: Vec<f64> = (0..ROUNDS).map(|_| once()).collect();
    times.sort_by(f64::total_cmp);
    times[ROUNDS / 2]
}

fn link(number: u32) -> LinkNumber {
    LinkNumber::try_from(number).unwrap()
}

fn address(link: u32, id: u32) -> String {
    format!("10.{link}.0.{id}")
}
