//! Which of the hosts at hand are looked at for a cluster.

use std::collections::{BTreeMap, BTreeSet};

use super::files;
use crate::conf::{Document, Overview};
use crate::ids::{Digest, HostName};
use crate::observed::HostView;

/// The hosts whose corosync.conf has this cluster's name; where nobody has it, all that have a
/// corosync.conf. With them those of which no text is known, and those that such a file lists and that
/// have nothing: leaving them out would hide what is wrong.
#[must_use]
pub fn choose(hosts: BTreeMap<HostName, HostView>, name: &str) -> BTreeMap<HostName, HostView> {
    let all = || hosts.values().flat_map(files);
    let texts: BTreeMap<Digest, Overview> = all()
        .filter_map(|file| Some((file.digest, file.text.as_deref()?)))
        .map(|(digest, text)| (digest, Overview::of(&Document::parse(text.as_bytes()))))
        .collect();
    let is_it = |view: &Overview| view.cluster_name.as_deref() == Some(name);
    let anybody = texts.values().any(is_it);
    let ours: BTreeMap<&Digest, &Overview> =
        texts.iter().filter(|(_, view)| !anybody || is_it(view)).collect();
    let nodes = ours.values().flat_map(|view| &view.nodes);
    let names: BTreeSet<String> = nodes.filter_map(|node| node.name.clone()).collect();
    let wanted = |view: &HostView| {
        names.contains(&view.hostname)
            || files(view).any(|file| ours.contains_key(&file.digest))
            || files(view).next().is_some() && !files(view).any(|f| texts.contains_key(&f.digest))
    };
    let chosen: BTreeSet<HostName> =
        hosts.iter().filter(|(_, view)| wanted(view)).map(|(host, _)| host.clone()).collect();
    hosts.into_iter().filter(|(host, _)| chosen.contains(host)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Digest;
    use crate::plan::tests::world::{World, host};

    /// n1 to n3 are `prod`, n4 and n5 another cluster, n6 has nothing.
    fn hosts() -> BTreeMap<HostName, HostView> {
        let mut all = World::running(3, &[0]).observed.hosts;
        let mut other = World::running(2, &[0]);
        other.rewrite(|text| text.replace(": prod", ": test").replace("name: n", "name: m"));
        let others = other.observed.hosts.into_values();
        all.extend(
            others
                .zip(4..)
                .map(|(view, n)| (host(n), HostView { hostname: format!("m{}", n - 3), ..view })),
        );
        let empty = World::new(6).observed.hosts.remove(&host(6)).unwrap();
        all.insert(host(6), empty);
        all
    }

    fn chosen(hosts: BTreeMap<HostName, HostView>, name: &str) -> String {
        choose(hosts, name).keys().map(HostName::as_str).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_hosts_of_the_named_cluster_are_chosen_and_else_all_with_a_file() {
        assert_eq!(chosen(hosts(), "prod"), "n1 n2 n3");
        assert_eq!(chosen(hosts(), "test"), "n4 n5");
        assert_eq!(chosen(hosts(), "another"), "n1 n2 n3 n4 n5");
    }

    #[test]
    fn a_member_without_files_and_one_with_an_unknown_text_are_not_left_out() {
        let mut all = hosts();
        all.insert(host(2), World::new(2).observed.hosts.remove(&host(2)).unwrap());
        assert_eq!(chosen(all, "prod"), "n1 n2 n3");
        let mut all = hosts();
        let view = all.get_mut(&host(5)).unwrap();
        for file in view.pmxcfs_file.iter_mut().chain(&mut view.disk_file) {
            (file.text, file.digest) = (None, Digest::of(b"unknown"));
        }
        assert_eq!(chosen(all, "prod"), "n1 n2 n3 n5");
    }
}
