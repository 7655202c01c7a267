//! What somebody changed beside the operator, as the status shows it. Pure.

use pvecm_core::drift::{self, Difference};
use pvecm_crds::cluster::{Drifted, PveClusterStatus};
use pvecm_crds::condition::kind;
use pvecm_crds::{PveCluster, convert};

use super::Observation;

/// Everything that differs. A spec that is not understood wants nothing that could be held against it.
pub fn differences(cluster: &PveCluster, seen: &Observation) -> Vec<Difference> {
    let desired = convert::desired(cluster);
    desired.map(|desired| drift::differences(&desired, &seen.view)).unwrap_or_default()
}

/// A row of the status.
pub fn row(difference: &Difference) -> Drifted {
    let Difference { hosts, key, spec, pmxcfs, disk, running } = difference;
    let clipped =
        |value: &Option<String>| value.as_ref().map(|value| value.chars().take(128).collect());
    Drifted {
        hosts: hosts.iter().map(ToString::to_string).collect(),
        key: key.chars().take(512).collect(),
        spec: clipped(spec),
        pmxcfs: clipped(pmxcfs),
        disk: clipped(disk),
        running: clipped(running),
    }
}

/// What has drifted, if it has since the status that the cluster had.
pub fn begun(cluster: &PveCluster, now: &PveClusterStatus) -> Option<String> {
    let drifted = |status: &PveClusterStatus| {
        let mut conditions = status.conditions.iter();
        let found = conditions.find(|c| c.type_ == kind::DRIFTED && c.status == "True");
        found.map(|condition| condition.message.clone())
    };
    let before = cluster.status.as_ref().and_then(drifted);
    drifted(now).filter(|_| before.is_none())
}
