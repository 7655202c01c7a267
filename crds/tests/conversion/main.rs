//! The way between the wire form and the checked types.

mod datacenter;
mod device;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use pvecm_core::change::{Action, ConfText, Course, Parent, Plan, Probe, Risk, Stage, Tombstone};
use pvecm_core::conf::{
    Cipher, Compression, Hash, IpVersion, LinkMode, LinkOptions, LoggingOptions, TotemOptions,
    Transport,
};
use pvecm_core::datacenter::{DatacenterWrite, Traffic, Transfer, TransferType};
use pvecm_core::fitness::Limits;
use pvecm_core::ids::{ConfigVersion, Digest, HostName, LinkNumber, NodeId};
use pvecm_core::observed::Claim;
use pvecm_core::references::{Reference, ReferenceKind};
use pvecm_crds::convert::{
    ConvertError, adopted, desired, host_view, observed, plan_from_core, plan_stages,
    stage_from_core, stage_to_core, was_in_force,
};
use pvecm_crds::host::AfterRemoval;
use pvecm_crds::{PveChange, PveCluster, PveHost, cases, change, yaml};
use serde_json::{Value, json};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn cluster(spec: &Value) -> PveCluster {
    serde_json::from_value(json!({
        "apiVersion": "pvecm.io/v1alpha1", "kind": "PveCluster",
        "metadata": { "name": "prod", "generation": 4 }, "spec": spec,
    }))
    .expect("a cluster")
}

fn refused_field(spec: &Value) -> String {
    desired(&cluster(spec)).expect_err("a refused spec").field
}

fn host(name: &str) -> HostName {
    name.parse().expect("a host name")
}

fn node(id: u32) -> NodeId {
    NodeId::try_from(id).expect("a node id")
}

fn tombstone() -> Tombstone {
    Tombstone {
        name: "n4".parse().expect("a name"),
        node_id: node(4),
        machine_id: Some("0123".to_owned()),
        keeps_key: Some(2),
        lives_alone: true,
    }
}

fn storages() -> BTreeSet<String> {
    ["nfs".to_owned()].into()
}

fn datacenter_write() -> DatacenterWrite {
    let network = Some("10.2.0.0/24".parse().expect("a network"));
    let line = Transfer { kind: TransferType::Insecure, network };
    let lines = [(Traffic::Migration, Some(line)), (Traffic::Replication, None)];
    DatacenterWrite { parent: Digest::of(b""), lines: lines.into() }
}

/// Every action that the first host has not.
fn of_joiner() -> Vec<Action> {
    vec![
        Action::ReceiveAuthkey { generation: 1 },
        Action::LayAuthkey {},
        Action::Join { tombstones: [tombstone()].into() },
        Action::Sweep(tombstone()),
        Action::CleanReferences {
            node: "n4".parse().expect("a name"),
            references: [Reference {
                kind: ReferenceKind::Storage,
                name: "fast".to_owned(),
                names_others: true,
            }]
            .into(),
        },
        Action::WriteDatacenterConfig(datacenter_write()),
        Action::DisarmHa {},
        Action::ArmHa {},
        Action::RestartCorosync {},
        Action::StopCorosync {},
        Action::LeaveCluster {},
        Action::StopToSeparate { shared_storages: storages() },
        Action::Separate { shared_storages: storages() },
        Action::SetExpectedVotes { votes: 1, dead: [node(2), node(3)].into() },
        Action::Bury(tombstone()),
        Action::RequestCertificate {
            cluster: "prod".parse().expect("a name"),
            authority: "certificate".to_owned(),
            witness: "10.9.0.1".parse().expect("an address"),
            generation: 3,
        },
        Action::TakeCertificate {},
        Action::ImportCertificate {
            cluster: "prod".parse().expect("a name"),
            authority: "certificate".to_owned(),
            witness: "10.9.0.1".parse().expect("an address"),
            generation: 3,
            recipient: "age1x".to_owned(),
        },
        Action::StartDevice {},
        Action::StopDevice {},
        Action::PutDeviceAway {},
    ]
}

fn stage() -> Stage {
    let recipient = "age1x".to_owned();
    let link = LinkNumber::try_from(7).expect("a link");
    Stage {
        summary: "n2 joins".to_owned(),
        risk: Risk::NodeRestart,
        course: Course::Start,
        group: BTreeMap::from([(node(1), host("n1"))]),
        joining: BTreeMap::from([(node(2), host("n2"))]),
        config: ConfText::new(ConfigVersion(5), "totem {\n}\n".to_owned()),
        back: Some(ConfText::new(ConfigVersion(6), "old\n".to_owned())),
        actions: BTreeMap::from([
            (
                host("n1"),
                vec![
                    Action::FormCluster {},
                    Action::SealAuthkey { to: host("n2"), recipient: recipient.clone() },
                    Action::MakeAuthkey { receivers: [(host("n2"), recipient)].into() },
                    Action::ExchangeAuthkey { generation: 2 },
                ],
            ),
            (host("n2"), of_joiner()),
        ]),
        probes: vec![
            Probe::RunningValue { key: "totem.token".to_owned(), value: Some("3000".to_owned()) },
            Probe::RunningValue { key: "totem.interface.1.x".to_owned(), value: None },
            Probe::LinkConnected { link },
            Probe::StartedWith { key: "totem.link_mode".to_owned(), value: "rr".to_owned() },
            Probe::AuthkeyTaken {},
            Probe::Membership { nodes: vec![node(1), node(2)] },
        ],
        limits: [(link, Limits { round_trip_millis: 20, loss_percent: 2 })].into(),
        confirm_timeout_secs: 30,
    }
}

#[test]
fn a_plan_comes_back_from_yaml_as_it_went() {
    let parent = Parent { version: ConfigVersion(4), digest: Digest::of(b"old") };
    let plan = Plan::proposed(Some(parent), 3, "n2 joins".to_owned(), vec![stage()]);
    let text = yaml::write(&plan_from_core(&plan).expect("a wire plan")).expect("YAML");
    let back: change::Plan = yaml::read(&text).expect("a plan");
    assert_eq!(back.risk, change::Risk::NodeRestart);
    assert_eq!(plan_stages(&back).expect("stages"), (Some(parent), vec![stage()]));
}

#[test]
fn a_text_under_a_foreign_digest_is_refused() {
    let mut wire = stage_from_core(&stage()).expect("a wire stage");
    wire.config.text.push('#');
    assert!(matches!(stage_to_core(&wire), Err(ConvertError::Digest("stage.config"))));
}

#[test]
fn a_version_that_no_json_number_holds_is_refused() {
    let mut large = stage();
    large.config.version = ConfigVersion(1 << 53);
    assert!(matches!(stage_from_core(&large), Err(ConvertError::Number(_))));
}

#[test]
fn a_host_named_twice_in_the_actions_is_refused() {
    let mut wire = stage_from_core(&stage()).expect("a wire stage");
    wire.actions.push(wire.actions[0].clone());
    assert!(matches!(stage_to_core(&wire), Err(ConvertError::Twice("stage.actions", _))));
}

#[test]
fn a_spec_is_read_with_the_objects_name_and_lower_case_hosts() {
    let wanted = desired(&cluster(&json!({
        "nodes": [{ "name": "N1", "votes": 2 }, { "name": "n2", "hostRef": { "name": "h2" } }],
        "links": [{ "number": 1, "network": "10.1.0.0/24", "priority": 9 }],
    })))
    .expect("a valid spec");
    assert_eq!((wanted.name.as_str(), wanted.generation), ("prod", 4));
    assert_eq!(wanted.nodes[0].host.as_str(), "n1");
    assert_eq!((wanted.nodes[0].votes, wanted.nodes[1].host.as_str()), (Some(2), "h2"));
    assert_eq!((wanted.links[0].number.get(), wanted.links[0].options.priority), (1, Some(9)));
    assert_eq!((wanted.rollout.confirm_timeout_secs, wanted.rollout.paused), (30, false));
}

#[test]
fn options_of_links_and_totem_are_read() {
    let wanted = desired(&cluster(&json!({
        "nodes": [{ "name": "n1" }],
        "links": [{ "number": 0, "network": "10.0.0.0/24", "port": 65535, "pongCount": 3,
            "pingIntervalMillis": 200, "pingTimeoutMillis": 400, "pingPrecision": 512 }],
        "totem": { "transport": "Udpu", "tokenMillis": 2000, "tokenCoefficientMillis": 0, "consensusMillis": 4000,
            "mtuBytes": 1400, "linkMode": "RoundRobin", "ipVersion": "IPv6-4", "crypto": { "cipher": "AES128", "hash": "SHA384" },
            "compression": { "model": "Lz4hc", "thresholdBytes": 300, "level": -5 } },
    })))
    .expect("a valid spec");
    let options = LinkOptions {
        priority: None,
        ping_interval_millis: Some(200),
        ping_timeout_millis: Some(400),
        ping_precision: Some(512),
        pong_count: Some(3),
        port: Some(65535),
    };
    assert_eq!(wanted.links[0].options, options);
    let totem = TotemOptions {
        token_millis: Some(2000),
        token_coefficient_millis: Some(0),
        consensus_millis: Some(4000),
        ip_version: Some(IpVersion::Ipv6Then4),
        link_mode: Some(LinkMode::RoundRobin),
        mtu_bytes: Some(1400),
        cipher: Some(Cipher::Aes128),
        hash: Some(Hash::Sha384),
        compression: Some(Compression::Lz4hc),
        compression_threshold_bytes: Some(300),
        compression_level: Some(-5),
        transport: Some(Transport::Udpu),
    };
    assert_eq!(wanted.totem, totem);
}

#[test]
fn every_word_of_the_spec_is_the_same_word_in_the_file() {
    let words = |field: &str, value: Value| {
        let spec = json!({ "nodes": [{ "name": "n1" }], "totem": { field: value } });
        desired(&cluster(&spec)).expect("a valid spec").totem
    };
    for cipher in ["None", "AES128", "AES192", "AES256"] {
        let crypto = json!({ "cipher": cipher, "hash": "SHA256" });
        let word = words("crypto", crypto).cipher.expect("a cipher").to_string();
        assert_eq!(word, cipher.to_ascii_lowercase());
    }
    for version in ["IPv4", "IPv6", "IPv4-6", "IPv6-4"] {
        let word = words("ipVersion", json!(version)).ip_version.expect("a version").to_string();
        assert_eq!(word, version.to_ascii_lowercase());
    }
    for transport in ["Knet", "Udp", "Udpu"] {
        let word = words("transport", json!(transport)).transport.expect("a transport");
        assert_eq!(word.to_string(), transport.to_ascii_lowercase());
    }
    for hash in ["None", "MD5", "SHA1", "SHA256", "SHA384", "SHA512"] {
        let word = words("crypto", json!({ "cipher": "None", "hash": hash })).hash;
        assert_eq!(word.expect("a hash").to_string(), hash.to_ascii_lowercase());
    }
    for model in ["None", "Zlib", "Lz4", "Lz4hc", "Lzo2", "Lzma", "Bzip2", "Zstd"] {
        let word = words("compression", json!({ "model": model })).compression;
        assert_eq!(word.expect("a model").to_string(), model.to_ascii_lowercase());
    }
}

#[test]
fn every_word_of_logging_is_the_word_of_the_file() {
    let words = |logging: Value| {
        let spec = json!({ "nodes": [{ "name": "n1" }], "logging": logging });
        desired(&cluster(&spec)).expect("a valid spec").logging
    };
    assert_eq!(words(json!({})), LoggingOptions::default());
    for (debug, word) in [("Disabled", "off"), ("Enabled", "on"), ("Trace", "trace")] {
        let logging = words(json!({ "debug": debug }));
        assert_eq!(logging.to_string(), format!("debug {word}"));
    }
    for priority in ["Emerg", "Alert", "Crit", "Err", "Warning", "Notice", "Info", "Debug"] {
        let logging = words(json!({ "syslogPriority": priority })).to_string();
        assert_eq!(logging, format!("syslog_priority {}", priority.to_ascii_lowercase()));
    }
    for (on, word) in [(true, "yes"), (false, "no")] {
        assert_eq!(words(json!({ "toSyslog": on })).to_string(), format!("to_syslog {word}"));
    }
}

#[test]
fn a_spec_of_full_size_is_valid() {
    let full = serde_json::from_value(cases::full_size()).expect("a cluster");
    assert_eq!(desired(&full).expect("a valid spec").nodes.len(), 64);
}

#[test]
fn what_the_api_server_cannot_check_is_refused_with_the_field() {
    let nodes = |one: &str, other: &str| {
        json!({ "nodes": [
            { "name": "n1", "addresses": [{ "link": 0, "address": one }] },
            { "name": "n2", "addresses": [{ "link": 0, "address": other }] },
        ] })
    };
    let second = "spec.nodes[n2].addresses[0]";
    let links = |one: &str, other: &str| {
        json!({ "nodes": [{ "name": "n1" }], "links": [
            { "number": 0, "network": one }, { "number": 1, "network": other },
        ] })
    };
    let outside = json!({
        "nodes": [{ "name": "n1", "addresses": [{ "link": 0, "address": "10.1.0.1" }] }],
        "links": [{ "number": 0, "network": "10.0.0.0/24" }],
    });
    let table = [
        (nodes("10.0.0.1", "10.0.0.1"), second),
        (nodes("fd00::1", "fd00:0::0:1"), second),
        (nodes("n1.example", "N1.example"), second),
        (nodes("10.0.0.1", "fd00::2"), second),
        (nodes("10.0.0.1", "10.0.0.300"), second),
        (nodes("10.0.0.1", "n_2"), second),
        (links("10.0.0.0/24", "10.0.0.0/24"), "spec.links[1].network"),
        (links("10.0.0.0/16", "10.0.7.0/24"), "spec.links[1].network"),
        (links("10.0.0.0/24", "10.1.0.5/24"), "spec.links[1].network"),
        (outside, "spec.nodes[n1].addresses[0]"),
        (json!({ "nodes": [] }), "spec.nodes"),
        (json!({ "clusterName": "a_b", "nodes": [{ "name": "n1" }] }), "spec.clusterName"),
    ];
    for (spec, field) in table {
        assert_eq!(refused_field(&spec), field, "{spec}");
    }
    assert!(desired(&cluster(&nodes("10.0.0.1", "n2.example"))).is_ok());
}

fn reporting(status: &Value) -> PveHost {
    serde_json::from_value(json!({
        "apiVersion": "pvecm.io/v1alpha1", "kind": "PveHost",
        "metadata": { "name": "n1" }, "spec": { "role": "Witness", "paused": true },
        "status": status,
    }))
    .expect("a host")
}

#[test]
fn a_known_text_is_put_in_where_the_digest_is_the_same() {
    let known = ConfText::new(ConfigVersion(5), "known\n".to_owned());
    let other = Digest::of(b"other\n").to_string();
    let status = json!({
        "hostname": "n1",
        "cluster": { "name": "prod", "uid": "u1" },
        "addresses": [{ "interface": "eth0", "cidr": "10.0.0.1/24" }],
        "files": {
            "pmxcfs": { "version": 5, "digest": known.digest.to_string() },
            "disk": { "version": 4, "digest": other, "text": "other\n" },
        },
        "running": { "configVersion": 5 },
        "pmxcfs": { "mounted": true, "writable": true },
        "quorum": { "quorate": true, "expectedVotes": 1, "totalVotes": 1, "quorumVotes": 1 },
        "membership": { "ringId": "1.4", "members": [1], "localNodeId": 1 },
        "linkFaults": [{ "link": 1, "nodeId": 2 }, { "link": 0, "nodeId": 3, "class": "Lossy" }],
        "machineId": "0123",
        "references": [{ "kind": "Storage", "name": "fast", "namesOthers": true }],
        "tombstones": [{ "name": "n4", "nodeId": 4, "machineId": "4567" }],
    });
    let view = host_view(&reporting(&status), (true, NOW), "u1", Some(&known)).expect("a view");
    assert_eq!(view.claim, Claim::Ours);
    let stone = view.tombstones.first().expect("a tombstone");
    assert_eq!(
        (stone.name.as_str(), stone.node_id, view.machine_id.as_deref()),
        ("n4", node(4), Some("0123"))
    );
    assert_eq!(stone.machine_id.as_deref(), Some("4567"));
    let reference = view.references.first().expect("a reference");
    let wanted = (ReferenceKind::Storage, "fast", true);
    assert_eq!((reference.kind, reference.name.as_str(), reference.names_others), wanted);
    assert_eq!(view.pmxcfs_file.and_then(|file| file.text).as_deref(), Some("known\n"));
    assert_eq!(view.disk_file.and_then(|file| file.text).as_deref(), Some("other\n"));
    assert_eq!((view.running_version, view.ring.as_deref()), (Some(ConfigVersion(5)), Some("1.4")));
    assert!(view.connected && view.paused && view.witness && view.quorate && view.pmxcfs_writable);
    assert_eq!((view.addresses.len(), view.members.len(), view.link_faults.len()), (1, 1, 1));
    let other = host_view(&reporting(&status), (true, NOW), "u2", None).expect("a view");
    assert_eq!(other.claim, Claim::Other("prod".to_owned()));
    assert_eq!(other.pmxcfs_file.and_then(|file| file.text), None);
}

#[test]
fn a_host_that_never_reported_is_free_and_has_nothing() {
    let view = host_view(&reporting(&Value::Null), (false, NOW), "u1", None).expect("a view");
    assert_eq!(view.claim, Claim::Free);
    assert!(view.pmxcfs_file.is_none() && view.disk_file.is_none() && !view.quorate);
}

#[test]
fn a_status_that_cannot_be_read_is_no_host_without_files() {
    let status = json!({ "files": { "disk": { "digest": "0" } } });
    assert!(host_view(&reporting(&status), (true, NOW), "u1", None).is_err());
}

/// A change with these texts, one stage each, and how it ended after so many stages.
fn ended(number: i64, uid: &str, texts: &[&str], (outcome, released): (&str, i64)) -> PveChange {
    let text = |text: &str| json!({ "version": 7, "digest": Digest::of(text.as_bytes()).to_string(), "text": text });
    let stage = |new: &&str| {
        json!({ "summary": "s", "risk": "Live", "course": "Write", "group": [], "config": text(new),
            "back": text(&format!("before {new}")), "confirmTimeoutSeconds": 5 })
    };
    let stages: Vec<Value> = texts.iter().map(stage).collect();
    serde_json::from_value(json!({
        "apiVersion": "pvecm.io/v1alpha1", "kind": "PveChange", "metadata": { "name": "c" },
        "spec": { "clusterRef": { "name": "prod", "uid": uid }, "number": number,
            "plan": { "generation": 1, "summary": "s", "risk": "Live", "stages": stages } },
        "status": { "releasedStage": released, "outcome": outcome },
    }))
    .expect("a change")
}

#[test]
fn the_text_that_the_last_change_left_is_the_one_it_ended_with() {
    let first = ended(1, "u1", &["old"], ("Succeeded", 1));
    let left = |last: &PveChange| {
        let view = observed([], &[&first, last], ("u1", NOW)).expect("a view");
        view.left.expect("a text").text
    };
    assert_eq!(left(&ended(2, "u1", &["a", "b"], ("Succeeded", 2))), "b");
    assert_eq!(left(&ended(2, "u1", &["a", "b"], ("Superseded", 1))), "a");
    assert_eq!(left(&ended(2, "u1", &["a", "b"], ("Superseded", 0))), "old");
    assert_eq!(left(&ended(2, "u1", &["a", "b"], ("RolledBack", 2))), "before b");
    assert_eq!(left(&ended(2, "u2", &["a"], ("Succeeded", 1))), "old");
    let none: [&PveChange; 0] = [];
    assert_eq!(observed([], &none, ("u1", NOW)).expect("a view").left, None);
}

/// The outage: a host that boots gets a number from the API server that was reserved for an undo and never written;
/// it starts with that, and every other member that starts after it ends by itself.
#[test]
fn only_what_a_change_shows_to_have_been_in_force_is_given_to_a_host_that_boots() {
    let first = ended(1, "u1", &["old"], ("Succeeded", 1));
    let told = |last: &PveChange| was_in_force(&[&first, last], "u1").expect("a text").text;
    let superseded = |results: &[&str]| {
        let mut last = ended(2, "u1", &["a", "b"], ("Superseded", 2));
        let of = |result: &&str| {
            serde_json::from_value(json!({"host": "n1", "stage": 2, "result": result}))
        };
        let hosts = results.iter().map(of).collect::<Result<_, _>>().expect("words of hosts");
        last.status.as_mut().expect("a status").hosts = hosts;
        last
    };
    assert_eq!(told(&ended(2, "u1", &["a", "b"], ("Succeeded", 2))), "b");
    for outcome in ["RolledBack", "Failed"] {
        assert_eq!(told(&ended(2, "u1", &["a", "b"], (outcome, 2))), "a");
        assert_eq!(told(&ended(2, "u1", &["a", "b"], (outcome, 1))), "old");
    }
    assert_eq!(told(&superseded(&["Acting", "Confirmed"])), "b");
    assert_eq!(told(&superseded(&["Acting"])), "a");
    assert_eq!(told(&ended(2, "u1", &["a", "b"], ("Superseded", 0))), "old");
    assert_eq!(told(&ended(2, "u2", &["a"], ("Succeeded", 1))), "old");
    assert_eq!(was_in_force(&[], "u1"), None);
}

/// Everything that a spec can say of what a file has.
fn full_spec() -> Value {
    json!({
        "clusterName": "real",
        "nodes": [
            {"name": "n1", "nodeId": 1, "votes": 2, "addresses": [{"link": 1, "address": "a.example"}]},
            {"name": "N2", "nodeId": 7, "votes": 0, "hostRef": {"name": "rack-4"},
             "addresses": [{"link": 1, "address": "b.example"}]},
        ],
        "links": [
            {"number": 0, "network": "10.0.0.0/24", "priority": 0, "pingIntervalMillis": 200,
             "pingTimeoutMillis": 900, "pingPrecision": 2048, "pongCount": 3, "port": 5500},
            {"number": 1},
        ],
        "totem": {"transport": "Knet", "tokenMillis": 4000, "tokenCoefficientMillis": 0, "consensusMillis": 4800,
                  "linkMode": "RoundRobin", "ipVersion": "IPv6-4", "mtuBytes": 1400,
                  "crypto": {"cipher": "AES128", "hash": "SHA512"},
                  "compression": {"model": "Zstd", "thresholdBytes": 200, "level": -3}},
        "logging": {"debug": "Trace", "toSyslog": false, "syslogPriority": "Err"},
        "migration": {"type": "Insecure", "network": "10.2.0.0/24", "unencryptedTraffic": "Accepted"},
        "replication": {"type": "Secure", "network": "None"},
    })
}

#[test]
fn what_is_adopted_says_the_same_when_it_is_read_again() {
    let wanted = desired(&cluster(&full_spec())).expect("a spec");
    let (object, left) = adopted("prod", &wanted).expect("an object");
    assert_eq!(left, []);
    let mut again = desired(&object).expect("a spec");
    again.generation = wanted.generation;
    assert_eq!(again, wanted);
    let (named, _) = adopted("real", &wanted).expect("an object");
    assert_eq!(named.spec.cluster_name, None, "the object's own name says it");
}

#[test]
fn numbers_that_the_api_server_would_refuse_are_left_out_and_told() {
    let mut wanted = desired(&cluster(&full_spec())).expect("a spec");
    wanted.totem.token_millis = Some(125);
    wanted.links[0].options.pong_count = Some(0);
    wanted.totem.consensus_millis = Some(u32::MAX);
    let (object, left) = adopted("prod", &wanted).expect("an object");
    let fields: Vec<_> = left.iter().map(|left| left.field.as_str()).collect();
    let all = ["spec.links[0].pongCount", "spec.totem.consensusMillis", "spec.totem.tokenMillis"];
    assert_eq!(fields, all);
    assert_eq!(
        left[2].to_string(),
        "`spec.totem.tokenMillis` takes no 125, so the spec leaves it out"
    );
    assert_eq!(object.spec.links[0].pong_count, None);
    assert_eq!(object.spec.totem.and_then(|totem| totem.token_millis), None);
}

#[test]
fn a_statement_that_a_host_is_gone_holds_until_its_end() {
    let stated = |until: Option<&str>| {
        let mut host = reporting(&Value::Null);
        let absence = json!({"kind": "Dead", "because": "PDU port 7 off", "until": until});
        host.spec.absence = serde_json::from_value(absence).expect("a statement");
        let view = host_view(&host, (false, NOW), "u1", None).expect("a view");
        view.declared_dead().map(ToOwned::to_owned)
    };
    let holds = Some("PDU port 7 off".to_owned());
    assert_eq!(stated(None), holds);
    assert_eq!(stated(Some("1970-01-01T00:00:01Z")), holds);
    assert_eq!(stated(Some("1970-01-01T00:00:00Z")), None);
    let mut away = reporting(&Value::Null);
    let absence = json!({"kind": "Away", "because": "repair"});
    away.spec.absence = serde_json::from_value(absence).expect("a statement");
    let view = host_view(&away, (false, NOW), "u1", None).expect("a view");
    assert!(view.absence.is_some() && view.declared_dead().is_none());
}

/// A cluster that ends says nothing of what becomes of a machine that is removed from one.
#[test]
fn what_a_host_may_share_counts_whatever_is_said_of_its_removal() {
    let mut host = reporting(&Value::Null);
    host.spec.shared_storages = vec!["san".to_owned()];
    let view = host_view(&host, (true, NOW), "u1", None).expect("a view");
    assert!(!view.lives_alone && view.may_share == BTreeSet::from(["san".to_owned()]));
    host.spec.after_removal = AfterRemoval::LiveAlone;
    assert!(host_view(&host, (true, NOW), "u1", None).expect("a view").lives_alone);
}

#[test]
fn names_that_lead_elsewhere_are_read_and_no_address_is_taken_for_none() {
    let told = |here: &str| {
        let stray = json!({"name": "n2", "here": [here], "own": "10.0.0.2"});
        host_view(&reporting(&json!({"strayNames": [stray]})), (true, NOW), "u1", None)
    };
    let stray = told("fd00::9").expect("a view").fitness.stray_names;
    assert_eq!(stray.len(), 1);
    assert_eq!((stray[0].name.as_str(), stray[0].own.to_string().as_str()), ("n2", "10.0.0.2"));
    assert!(told("n2").is_err());
}
