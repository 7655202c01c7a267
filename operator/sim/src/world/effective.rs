//! The numbers that corosync works with, as cmap shows them under `runtime.config.`. Computed from
//! the file's words alone, not by the production code that expects them.

use std::collections::{BTreeMap, BTreeSet};

/// cmap's keys and values of a text.
type Values = BTreeMap<String, String>;

/// Milliseconds and counts that corosync 3.1.7 takes where the file says nothing.
const TOKEN_MS: u64 = 3_000;
const COEFFICIENT_MS: u64 = 650;
const PONG_COUNT: u64 = 2;

/// The token timeout in milliseconds: it grows with the nodes that have a `ring0_addr`, from the third
/// on (facts/pve.md 2.7).
#[must_use]
pub fn token_in_force(values: &Values) -> u64 {
    let node = |key: &&String| key.starts_with("nodelist.node.") && key.ends_with(".ring0_addr");
    let nodes = values.keys().filter(node).count() as u64;
    let coefficient = number(values, "totem.token_coefficient").unwrap_or(COEFFICIENT_MS);
    let token = number(values, "totem.token").unwrap_or(TOKEN_MS);
    token + nodes.saturating_sub(2) * coefficient
}

/// What cmap shows for a text, with pings that follow from this token timeout (facts/corosync.md 5.4).
#[must_use]
pub fn effective(values: &Values, pings_follow: u64) -> Values {
    let token = token_in_force(values);
    let mut shown = Values::new();
    let mut show =
        |key: String, value: String| shown.insert(format!("runtime.config.totem.{key}"), value);
    show("token".to_owned(), token.to_string());
    let consensus = number(values, "totem.consensus").unwrap_or(token * 12 / 10);
    show("consensus".to_owned(), consensus.to_string());
    let model = values.get("totem.knet_compression_model");
    show("knet_compression_model".to_owned(), model.map_or("none", String::as_str).to_owned());
    for key in ["knet_mtu", "knet_compression_threshold", "knet_compression_level"] {
        let value = values.get(&format!("totem.{key}"));
        show(key.to_owned(), value.map_or("0", String::as_str).to_owned());
    }
    for link in links(values) {
        let own = |key: &str| number(values, &format!("totem.interface.{link}.{key}"));
        let pongs = own("knet_pong_count").filter(|count| *count > 0).unwrap_or(PONG_COUNT);
        let interval = own("knet_ping_interval").unwrap_or(pings_follow / (pongs * 2));
        let timeout = own("knet_ping_timeout").unwrap_or(pings_follow / pongs);
        show(format!("interface.{link}.knet_ping_interval"), interval.to_string());
        show(format!("interface.{link}.knet_ping_timeout"), timeout.to_string());
    }
    shown
}

fn links(values: &Values) -> BTreeSet<&str> {
    values.keys().filter_map(|key| link(key)).collect()
}

fn link(key: &str) -> Option<&str> {
    let (_, word) = key.strip_prefix("nodelist.node.")?.split_once('.')?;
    word.strip_prefix("ring")?.strip_suffix("_addr")
}

fn number(values: &Values, key: &str) -> Option<u64> {
    values.get(key)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three(more: &[(&str, &str)]) -> Values {
        let node = |at: u32| (format!("nodelist.node.{at}.ring0_addr"), format!("10.0.0.{at}"));
        let more = more.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        (0..3).map(node).chain(more).collect()
    }

    /// What corosync 3.1.7 showed for three nodes (facts/corosync.md 5.4).
    #[test]
    fn the_token_grows_with_nodes_on_link_0_and_the_pings_lag_by_one_reload() {
        let (before, after) = (three(&[]), three(&[("totem.token", "5000")]));
        assert_eq!((token_in_force(&before), token_in_force(&after)), (3650, 5650));
        let interval = "runtime.config.totem.interface.0.knet_ping_interval";
        assert_eq!(effective(&after, token_in_force(&before))[interval], "912");
        assert_eq!(effective(&after, token_in_force(&after))[interval], "1412");
    }

    #[test]
    fn a_value_of_the_file_counts_before_the_derived_one() {
        let set = three(&[("totem.interface.0.knet_ping_timeout", "700")]);
        let timeout = "runtime.config.totem.interface.0.knet_ping_timeout";
        assert_eq!(effective(&set, 3650)[timeout], "700");
        assert_eq!(effective(&three(&[]), 3650)[timeout], "1825");
    }
}
