//! Members that a stage leaves out because a person said that they are powered off.
//!
//! This host looks for itself before it votes: what the operator was told may be old by now, and a machine that
//! was switched on meanwhile is a member that nobody asked (design: each host checks again). One that comes
//! later is noticed by the probes, since the membership is then another one than the stage's.

use std::collections::BTreeSet;

use pvecm_core::change::Stage;
use pvecm_core::conf::{Config, Document};
use pvecm_core::ids::NodeId;

use crate::ports::CorosyncView;

/// The nodes that are listed before and after a stage and have no part in it.
#[must_use]
pub fn left_out(stage: &Stage, parent: Option<&str>) -> BTreeSet<NodeId> {
    let ids = |text: &str| -> BTreeSet<NodeId> {
        // What is not understood is for other checks to refuse.
        let config = Config::read(&Document::parse(text.as_bytes()));
        config.map(|config| config.nodes.iter().map(|node| node.id).collect()).unwrap_or_default()
    };
    let before = parent.map(ids).unwrap_or_default();
    let mut listed = ids(&stage.config.text);
    listed.retain(|id| before.contains(id));
    listed.retain(|id| !stage.group.contains_key(id) && !stage.joining.contains_key(id));
    listed
}

/// That this host hears none of them.
pub fn the_left_out_are_silent(
    stage: &Stage,
    parent: Option<&str>,
    corosync: Option<&CorosyncView>,
) -> Result<(), String> {
    let Some(corosync) = corosync else { return Err("corosync does not run".to_owned()) };
    for id in left_out(stage, parent) {
        if corosync.members.contains(&id) {
            return Err(format!("node {id} has no part in the stage and is in the membership"));
        }
        let mut links = corosync.links.iter().filter(|((node, _), _)| *node == id);
        if let Some(((_, link), _)) = links.find(|(_, connected)| **connected) {
            return Err(format!(
                "node {id} has no part in the stage, and link {link} to it is connected"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use pvecm_core::change::{ConfText, Course, Risk};
    use pvecm_core::ids::{ConfigVersion, LinkNumber};

    use super::*;

    fn node(id: u32) -> NodeId {
        NodeId::try_from(id).unwrap()
    }

    fn text(nodes: &[u32]) -> String {
        let node = |id: &u32| {
            format!(
                "  node {{\n    name: n{id}\n    nodeid: {id}\n    ring0_addr: 10.0.0.{id}\n  }}\n"
            )
        };
        format!(
            "totem {{\n  version: 2\n  cluster_name: prod\n  config_version: 2\n}}\nquorum {{\n  provider: \
             corosync_votequorum\n}}\nnodelist {{\n{}}}\n",
            nodes.iter().map(node).collect::<String>()
        )
    }

    /// A stage of the nodes 1 and 2 that ends with these nodes on the list.
    fn stage(nodes: &[u32]) -> Stage {
        Stage {
            summary: String::new(),
            risk: Risk::Live,
            course: Course::Write,
            group: [1, 2].map(|id| (node(id), format!("n{id}").parse().unwrap())).into(),
            joining: BTreeMap::new(),
            config: ConfText::new(ConfigVersion(2), text(nodes)),
            back: None,
            actions: BTreeMap::new(),
            probes: Vec::new(),
            limits: BTreeMap::new(),
            confirm_timeout_secs: 10,
        }
    }

    /// Node 1 with node 2 there and node 3 silent.
    fn seen() -> CorosyncView {
        let link = |id, is_up| ((node(id), LinkNumber::ZERO), is_up);
        CorosyncView {
            members: [node(1), node(2)].into(),
            links: [link(2, true), link(3, false)].into(),
            ..CorosyncView::default()
        }
    }

    #[test]
    fn who_joins_leaves_or_takes_part_is_not_left_out() {
        let before = text(&[1, 2, 3]);
        assert_eq!(left_out(&stage(&[1, 2, 3]), Some(&before)), [node(3)].into());
        assert!(left_out(&stage(&[1, 2]), Some(&before)).is_empty(), "it leaves");
        assert!(left_out(&stage(&[1, 2, 3]), Some(&text(&[1, 2]))).is_empty(), "it is new");
        assert!(left_out(&stage(&[1, 2, 3]), None).is_empty(), "there was no cluster");
        let mut starts = stage(&[1, 2, 3]);
        starts.joining.insert(node(3), "n3".parse().unwrap());
        assert!(left_out(&starts, Some(&before)).is_empty(), "it starts");
    }

    /// Its old file has other links: it would be cut off, and its vote with it.
    #[test]
    fn a_stage_without_a_member_that_is_there_again_is_refused() {
        let (stage, before) = (stage(&[1, 2, 3]), text(&[1, 2, 3]));
        let judge = |corosync: Option<&CorosyncView>| {
            the_left_out_are_silent(&stage, Some(&before), corosync)
        };
        assert_eq!(judge(Some(&seen())), Ok(()));
        assert!(judge(None).is_err());
        let mut there = seen();
        there.members.insert(node(3));
        assert!(judge(Some(&there)).unwrap_err().contains("in the membership"));
        let mut starting = seen();
        starting.links.insert((node(3), LinkNumber::ZERO), true);
        assert!(judge(Some(&starting)).unwrap_err().contains("link 0"));
    }
}
