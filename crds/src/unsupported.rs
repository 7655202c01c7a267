//! Which used fields have no behaviour yet. A field is never ignored in silence.
//!
//! Everything is taken apart without `..`, so that a new field does not compile until somebody has
//! said here whether it is built.

use std::fmt;

use crate::cluster::{
    Device, DeviceType, Link, Logging, Node, PveCluster, PveClusterSpec, Quorum, Rollout, Totem,
    Transfer,
};

/// A field of a spec, as `kubectl explain` would be asked for it, with keys in brackets.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FieldPath(String);

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Every field that this spec uses and that nothing acts on yet.
#[must_use]
pub fn not_supported(cluster: &PveCluster) -> Vec<FieldPath> {
    let PveClusterSpec {
        cluster_name: _,
        nodes,
        links,
        totem,
        logging,
        quorum,
        migration,
        replication,
        rollout,
        deletion_policy: _,
    } = &cluster.spec;
    let mut used = Used(Vec::new());
    for node in nodes {
        // All of a node is built; taking it apart keeps that sentence true.
        let Node { name: _, host_ref: _, node_id: _, votes: _, addresses: _ } = node;
    }
    for link in links {
        // So is all of a link.
        let Link {
            number: _,
            network: _,
            priority: _,
            ping_interval_millis: _,
            ping_timeout_millis: _,
            ping_precision: _,
            pong_count: _,
            port: _,
            limits: _,
        } = link;
    }
    // And all of these.
    if let Some(Totem {
        transport: _,
        token_millis: _,
        token_coefficient_millis: _,
        consensus_millis: _,
        link_mode: _,
        ip_version: _,
        mtu_bytes: _,
        crypto: _,
        compression: _,
        key_generation: _,
    }) = totem
    {}
    if let Some(Logging { debug: _, to_syslog: _, syslog_priority: _ }) = logging {}
    let Quorum { device } = quorum.clone().unwrap_or_default();
    if let Some(device) = &device {
        note_device(device, &mut used);
    }
    for transfer in [migration, replication].into_iter().flatten() {
        let Transfer { kind: _, network: _, unencrypted_traffic: _ } = transfer;
    }
    let Rollout {
        approval: _,
        max_risk: _,
        high_availability: _,
        confirm_timeout_seconds: _,
        drift: _,
        removal: _,
        paused: _,
    } = rollout;
    used.0
}

fn note_device(device: &Device, used: &mut Used) {
    let Device {
        kind,
        host_ref: _,
        address: _,
        certificates_secret_ref: _,
        algorithm: _,
        certificate_generation: _,
    } = device;
    used.note("spec.quorum.device.type External", *kind == DeviceType::External);
}

struct Used(Vec<FieldPath>);

impl Used {
    fn note(&mut self, field: &str, used: bool) {
        if used {
            self.0.push(FieldPath(field.to_owned()));
        }
    }
}
