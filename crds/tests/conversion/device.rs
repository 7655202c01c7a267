//! The `QDevice`: what is wanted of it, and what hosts and a witness say.

use pvecm_core::device::{AlgorithmWish, CertificateView, DeviceView, DeviceWish, LaidView};
use pvecm_crds::convert::witness_view;

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
            DeviceWish::Managed(managed) => managed,
            DeviceWish::Absent => panic!("no device"),
        }
    };
    let device = managed(None);
    assert_eq!((device.witness.as_str(), device.generation), ("w1", 2));
    assert_eq!(device.address, Some("fd00::9".parse().expect("an address")));
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
    let named = |device: Value| {
        let spec = json!({ "nodes": [{ "name": "n1" }], "quorum": { "device": device } });
        cluster(&spec).spec.witness().map(ToOwned::to_owned)
    };
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
    let read = |status: &Value| witness_view(&reporting(status), true, |served| served.uid != "u1");
    let view = read(&status).expect("a view");
    assert!(view.connected && view.is_witness && view.paused && view.serves);
    let addresses: Vec<_> = view.addresses.iter().map(ToString::to_string).collect();
    assert_eq!(addresses, ["10.9.0.1", "fd00::9"]);
    let authority = view.authority.expect("an authority");
    assert_eq!(authority.certificate, "certificate");
    assert_eq!(authority.fingerprint, Digest::of(b"certificate"));
    assert_eq!(view.certificates[&Digest::of(b"please")], "here");
    let names: Vec<_> = view.names.iter().map(|(name, of)| (name.as_str(), of.as_str())).collect();
    assert_eq!(names, [("test", "the PveCluster lab")]);
    let silent = read(&Value::Null).expect("a view");
    assert!(!silent.serves && silent.authority.is_none() && silent.addresses.is_empty());
    let refused = json!({ "witness": { "serves": true, "authority": "a", "fingerprint": "0" } });
    assert!(read(&refused).is_err());
}
