//! The `QDevice`: what is wanted of it, and what hosts and a witness say.

use pvecm_core::device::{
    AlgorithmWish, CertificateView, DeviceView, DeviceWish, LaidView, Voter, WitnessView,
};
use pvecm_crds::convert::{ConvertError, Holder, witness_view};
use pvecm_crds::host::ServedCluster;

use super::*;

#[test]
fn every_wish_for_a_device_is_read_and_none_is_none_of_it() {
    let wish = |device: Value| {
        let spec = json!({ "nodes": [{ "name": "n1" }], "quorum": { "device": device } });
        desired(&cluster(&spec)).map(|wanted| wanted.device.expect("a wish"))
    };
    assert_eq!(wish(json!({ "type": "None" })), Ok(DeviceWish::Absent));
    let managed = |algorithm: Option<&str>| {
        let device =
            wish(json!({ "type": "Managed", "hostRef": { "name": "w1" }, "algorithm": algorithm,
            "address": "fd00::9", "certificateGeneration": 2 }));
        match device.expect("a wish") {
            DeviceWish::Present(device) => device,
            DeviceWish::Absent => panic!("no device"),
        }
    };
    let device = managed(None);
    let address = "fd00::9".parse().expect("an address");
    let witness = "w1".parse().expect("a name");
    assert_eq!(device.voter, Voter::Managed { witness, address: Some(address) });
    assert_eq!(device.generation, 2);
    let words = [
        ("Auto", AlgorithmWish::Auto),
        ("FFSplit", AlgorithmWish::FfSplit),
        ("LMS", AlgorithmWish::Lms),
    ];
    for (word, algorithm) in words {
        assert_eq!(managed(Some(word)).algorithm, algorithm);
    }
    assert_eq!(device.algorithm, AlgorithmWish::Auto);
    let without = wish(json!({ "type": "Managed" })).expect_err("a reason");
    assert_eq!(without.field, "spec.quorum.device.hostRef");
    let lent = json!({ "type": "External", "address": "fd00::9",
        "certificatesSecretRef": { "name": "qnetd" }, "certificateGeneration": 2 });
    let Ok(DeviceWish::Present(device)) = wish(lent.clone()) else { panic!("no device") };
    assert_eq!(device.voter, Voter::External { address, secret: "qnetd".to_owned() });
    assert_eq!(device.generation, 2);
    for field in ["address", "certificatesSecretRef"] {
        let mut without = lent.clone();
        without.as_object_mut().expect("fields").remove(field);
        let why = wish(without).expect_err("a reason");
        assert_eq!(why.field, format!("spec.quorum.device.{field}"));
    }
}

#[test]
fn who_votes_and_which_secret_is_read_are_those_of_the_type() {
    let spec = |device: Value| {
        cluster(&json!({ "nodes": [{ "name": "n1" }], "quorum": { "device": device } })).spec
    };
    let named = |device: Value| spec(device).witness().map(ToOwned::to_owned);
    let lent = spec(json!({ "type": "External", "address": "10.9.0.1",
        "certificatesSecretRef": { "name": "qnetd" } }));
    assert_eq!((lent.witness(), lent.secret()), (None, Some("qnetd")));
    let managed = spec(json!({ "type": "Managed", "hostRef": { "name": "w1" } }));
    assert_eq!((managed.witness(), managed.secret()), (Some("w1"), None));
    assert_eq!(
        named(json!({ "type": "Managed", "hostRef": { "name": "w1" } })).as_deref(),
        Some("w1")
    );
    assert_eq!(named(json!({ "type": "None" })), None);
    assert_eq!(cluster(&json!({ "nodes": [{ "name": "n1" }] })).spec.witness(), None);
}

#[test]
fn what_a_host_says_of_its_device_is_read() {
    let view = |device: Value| {
        let status = json!({ "device": device });
        host_view(&reporting(&status), (true, NOW), "u1", None).map(|view| view.device)
    };
    assert_eq!(view(Value::Null).expect("a view"), DeviceView::default());
    let certificate = |of: &str, generation: u32| json!({ "authority": Digest::of(of.as_bytes()).to_string(), "generation": generation });
    let read = view(json!({ "enabled": true, "alive": true, "casts": true, "request": "please",
        "certificate": certificate("old", 1), "laid": certificate("new", 2) }));
    let is =
        |of: &str, generation| CertificateView { authority: Digest::of(of.as_bytes()), generation };
    let wanted = DeviceView {
        enabled: true,
        alive: true,
        casts: true,
        certificate: Some(is("old", 1)),
        laid: Some(LaidView { certificate: is("new", 2), request: Some("please".to_owned()) }),
    };
    assert_eq!(read.expect("a view"), wanted);
    let alive = view(json!({ "alive": true })).expect("a view");
    assert_eq!(alive, DeviceView { alive: true, ..DeviceView::default() });
    assert!(view(json!({ "certificate": { "authority": "0", "generation": 1 } })).is_err());
}

/// What a witness says to the cluster `u1`, whose hosts have these addresses. `u9` is there no more.
fn heard(status: &Value, own: &[&str]) -> Result<WitnessView, ConvertError> {
    let holder = |served: &ServedCluster| match served.uid.as_str() {
        "u1" => Holder::Own,
        "u9" => Holder::Nobody,
        _other => Holder::Other,
    };
    let own = own.iter().map(|address| address.parse().expect("an address")).collect();
    witness_view(&reporting(status), true, (holder, &own))
}

#[test]
fn what_a_witness_says_is_read_and_the_names_that_it_has_are_those_of_others() {
    let digest = |of: &str| Digest::of(of.as_bytes()).to_string();
    let status = json!({
        "addresses": [{ "interface": "eth0", "cidr": "10.9.0.1/24" }, { "interface": "eth1", "cidr": "fd00::9/64" }],
        "witness": { "serves": true, "authority": "certificate", "fingerprint": digest("certificate"),
            "certificates": [{ "request": digest("please"), "certificate": "here" }] },
        "clusters": [{ "clusterName": "prod", "name": "prod", "uid": "u1" },
            { "clusterName": "test", "name": "lab", "uid": "u2" }],
    });
    let view = heard(&status, &[]).expect("a view");
    assert!(view.connected && view.is_witness && view.paused && view.serves);
    let addresses: Vec<_> = view.addresses.iter().map(ToString::to_string).collect();
    assert_eq!(addresses, ["10.9.0.1", "fd00::9"]);
    let authority = view.authority.clone().expect("an authority");
    assert_eq!(authority.certificate, "certificate");
    assert_eq!(authority.fingerprint, Digest::of(b"certificate"));
    assert_eq!(view.certificates[&Digest::of(b"please")], "here");
    let names: Vec<_> = view.names.iter().map(|(name, of)| (name.as_str(), of.as_str())).collect();
    assert_eq!(names, [("test", "the PveCluster lab")]);
    // Its nodes would be let in as those of the other one.
    let holder = |name: &str| view.holder(&name.parse().expect("a name"));
    assert_eq!((holder("TEST"), holder("prod")), (Some("the PveCluster lab"), None));
    let silent = heard(&Value::Null, &[]).expect("a view");
    assert!(!silent.serves && silent.authority.is_none() && silent.addresses.is_empty());
    let refused = json!({ "witness": { "serves": true, "authority": "a", "fingerprint": "0" } });
    assert!(heard(&refused, &[]).is_err());
}

/// The outage: a cluster that was deleted and runs on, and another one that is formed under its name: QNetd lets the
/// nodes of the second in nowhere, or votes for one of them in the first.
#[test]
fn a_name_under_which_nodes_of_somebody_else_vote_is_theirs_whoever_has_the_entry() {
    let status = |uid: &str| {
        let nodes = json!([{ "clusterName": "prod", "addresses": ["10.0.0.1", "10.0.0.2"] },
            { "clusterName": "no name here", "addresses": ["10.0.0.9"] }]);
        json!({ "witness": { "serves": true, "voters": nodes },
            "clusters": [{ "clusterName": "prod", "name": "prod", "uid": uid }] })
    };
    let taken = |uid: &str, own: &[&str]| {
        let view = heard(&status(uid), own).expect("a view");
        view.holder(&"prod".parse().expect("a name")).map(ToOwned::to_owned)
    };
    let strangers = Some("that of nodes which vote there from 10.0.0.2".to_owned());
    assert_eq!(taken("u9", &["10.0.0.1", "10.0.0.3"]), strangers);
    // The same cluster, adopted again.
    assert_eq!(taken("u9", &["10.0.0.1", "10.0.0.2"]), None);
    // Its own nodes may come from anywhere.
    assert_eq!(taken("u1", &[]), None);
    let mut nobody = status("u9");
    nobody["clusters"] = json!([]);
    let view = heard(&nobody, &["10.0.0.1"]).expect("a view");
    assert_eq!(view.names.into_values().next(), strangers);
    assert_eq!(taken("u2", &[]).as_deref(), Some("the PveCluster prod"));
}
