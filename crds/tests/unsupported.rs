//! Which fields are named as not built yet.

use pvecm_crds::{PveCluster, not_supported};
use serde_json::{Value, json};

fn named(mut extra: Value) -> Vec<String> {
    let spec = extra.as_object_mut().expect("fields of a spec");
    spec.entry("nodes").or_insert_with(|| json!([{ "name": "n1" }]));
    let cluster = json!({
        "apiVersion": "pvecm.io/v1alpha1", "kind": "PveCluster",
        "metadata": { "name": "prod" }, "spec": extra,
    });
    let cluster: PveCluster = serde_json::from_value(cluster).expect("a cluster");
    not_supported(&cluster).iter().map(ToString::to_string).collect()
}

#[test]
fn a_spec_of_built_fields_names_nothing() {
    let built = json!({
        "clusterName": "prod",
        "nodes": [{ "name": "n1", "hostRef": { "name": "n1" }, "nodeId": 1, "votes": 1,
            "addresses": [{ "link": 0, "address": "10.0.0.1" }] }],
        "links": [{ "number": 0, "network": "10.0.0.0/24", "priority": 5, "port": 5405,
            "pingIntervalMillis": 200, "pingTimeoutMillis": 400, "pingPrecision": 2048,
            "pongCount": 2, "limits": { "roundTripMillis": 20, "lossPercent": 2 } }],
        "totem": { "transport": "Knet", "tokenMillis": 3000, "tokenCoefficientMillis": 125, "consensusMillis": 4000,
            "mtuBytes": 1400, "linkMode": "Active", "ipVersion": "IPv4", "keyGeneration": 3, "crypto": { "cipher": "AES256", "hash": "SHA256" },
            "compression": { "model": "Zlib", "thresholdBytes": 200, "level": 3 } },
        "logging": { "debug": "Trace", "toSyslog": true, "syslogPriority": "Notice" },
        "quorum": { "device": { "type": "Managed", "hostRef": { "name": "w1" }, "address": "10.0.0.9",
            "algorithm": "LMS", "certificateGeneration": 2 } },
        "migration": { "type": "Insecure", "network": "10.2.0.0/24", "unencryptedTraffic": "Accepted" },
        "replication": { "type": "Default" },
        "rollout": { "confirmTimeoutSeconds": 60, "paused": true, "approval": "Manual",
            "maxRisk": "Outage", "drift": "Report", "highAvailability": "Disarm" },
        "deletionPolicy": "Dissolve",
    });
    assert_eq!(named(built), Vec::<String>::new());
}

#[test]
fn each_field_that_is_not_built_is_named() {
    let cases = [(
        "spec.quorum.device.type External",
        json!({ "quorum": { "device": { "type": "External", "address": "10.0.0.9",
            "certificatesSecretRef": { "name": "q" } } } }),
    )];
    for (field, spec) in cases {
        assert_eq!(named(spec), [field]);
    }
}
