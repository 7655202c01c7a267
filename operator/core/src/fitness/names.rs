//! Names of other nodes that lead a machine astray. A cluster works without any of them (pve.md G02), so a name that
//! leads nowhere is none; one that leads to another machine has ssh, and whoever asks for a node by its name, end
//! there.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// A node's name that two machines take for different addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StrayName {
    /// The name.
    pub name: String,
    /// What it resolves to on the machine that tells.
    pub here: BTreeSet<IpAddr>,
    /// What the node itself has for it.
    pub own: IpAddr,
}

/// What goes astray, by what names resolve to here and what each node has for its own.
pub fn stray_names(
    resolved: &BTreeMap<String, BTreeSet<IpAddr>>,
    nodes: &BTreeMap<String, IpAddr>,
) -> impl Iterator<Item = StrayName> {
    nodes.iter().filter_map(|(name, own)| {
        let here = resolved.get(name).filter(|here| !here.is_empty() && !here.contains(own))?;
        Some(StrayName { name: name.clone(), here: here.clone(), own: *own })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_astray_where_it_leads_elsewhere_and_not_where_it_leads_nowhere() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let own = address("10.0.0.2");
        let nodes = BTreeMap::from([("n2".to_owned(), own)]);
        for (here, is_stray) in [
            (Some(&["10.0.0.9"][..]), true),
            (Some(&["127.0.1.1", "::1"]), true),
            (Some(&["fd00::2", "10.0.0.2"]), false),
            (Some(&[]), false),
            (None, false),
        ] {
            let told = here.map(|here| here.iter().copied().map(address).collect());
            let resolved = told.map(|told| ("n2".to_owned(), told)).into_iter().collect();
            let found: Vec<_> = stray_names(&resolved, &nodes).collect();
            assert_eq!(found.len(), usize::from(is_stray), "{here:?}");
            assert!(found.iter().all(|stray| stray.name == "n2" && stray.own == own));
        }
    }
}
