//! The properties on every seed, and on every seed cut off at every byte, without a fuzzer.

#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that goes wrong")]

use std::fs;
use std::path::Path;

/// The seeds of a target.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target);
    let files = fs::read_dir(folder).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap());
    let files: Vec<_> = files.collect();
    assert!(!files.is_empty(), "{target} has no seeds");
    files
}

fn all_prefixes(target: &str, property: impl Fn(&[u8])) {
    for seed in seeds(target) {
        (0..=seed.len()).for_each(|end| property(&seed[..end]));
    }
}

#[test]
fn every_property_of_corosync_conf_holds_for_every_seed_cut_off_anywhere() {
    all_prefixes("corosync-conf", pvecm_fuzz::corosync_conf);
}

#[test]
fn every_property_of_datacenter_cfg_holds_for_every_seed_cut_off_anywhere() {
    all_prefixes("datacenter-cfg", pvecm_fuzz::datacenter_cfg);
}

#[test]
fn every_property_of_property_strings_holds_for_every_seed_cut_off_anywhere() {
    all_prefixes("property-string", pvecm_fuzz::property_string);
}
