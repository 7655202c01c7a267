//! The managed lines of datacenter.cfg.

use pvecm_core::datacenter::{DatacenterView, TransferWish};
use pvecm_crds::host::HostDatacenter;

use super::*;

#[test]
fn each_word_for_how_guests_travel_is_a_wish_of_its_own() {
    let wish = |migration: Value| {
        let spec = json!({ "nodes": [{ "name": "n1" }], "migration": migration });
        desired(&cluster(&spec)).map(|wanted| wanted.datacenter[&Traffic::Migration])
    };
    let network = Some("10.2.0.7/24".parse().expect("a network"));
    let line = |network| TransferWish::Line(Transfer { kind: TransferType::Secure, network });
    assert_eq!(wish(json!({"type": "Default"})), Ok(TransferWish::NoLine));
    assert_eq!(wish(json!({"type": "Secure"})), Ok(TransferWish::Type(TransferType::Secure)));
    assert_eq!(wish(json!({"type": "Secure", "network": "None"})), Ok(line(None)));
    assert_eq!(wish(json!({"type": "Secure", "network": "10.2.0.7/24"})), Ok(line(network)));
    let refused = |migration| wish(migration).expect_err("a reason").to_string();
    let told = refused(json!({"type": "Insecure"}));
    assert_eq!(told, "spec.migration: `type` Insecure needs `unencryptedTraffic: Accepted`");
    assert!(refused(json!({"type": "Default", "network": "None"})).contains("needs `type` Secure"));
    assert!(refused(json!({"type": "Secure", "network": "0.0.0.0/0"})).contains("8 bits"));
    let none = json!({ "nodes": [{ "name": "n1" }] });
    assert!(desired(&cluster(&none)).expect("a spec").datacenter.is_empty());
}

#[test]
fn what_a_host_tells_of_datacenter_cfg_comes_back_as_it_was() {
    let view =
        DatacenterView::of(b"migration: insecure,network=10.2.0.7/24\nreplication: unsafe\n");
    let told = serde_json::to_value(HostDatacenter::from(&view)).expect("JSON");
    assert_eq!(told["migration"], json!({"type": "Insecure", "network": "10.2.0.7/24"}));
    let status = json!({ "datacenter": told });
    let read = host_view(&reporting(&status), (true, NOW), "u1", None).expect("a view");
    assert_eq!(read.datacenter, Some(view));
}

#[test]
fn what_changes_left_in_datacenter_cfg_is_what_those_wrote_that_succeeded() {
    let change = |number: i64, uid: &str, line: Value, outcome: &str| -> PveChange {
        let mut change = ended(number, uid, &["a"], (outcome, 1));
        let action = json!({"writeDatacenterConfig": {
            "parent": Digest::of(b"").to_string(), "migration": line,
        }});
        let stage = &mut change.spec.plan.stages[0];
        stage.course = change::Course::Datacenter;
        stage.actions =
            serde_json::from_value(json!([{"host": "n1", "actions": [action]}])).expect("actions");
        change
    };
    let secure = json!({"type": "Secure"});
    let insecure = json!({"type": "Insecure"});
    let first = change(1, "u1", secure.clone(), "Succeeded");
    let left = |last: &PveChange| {
        let view = observed([], &[&first, last], ("u1", NOW)).expect("a view");
        view.left_datacenter[&Traffic::Migration].map(|line| line.kind)
    };
    assert_eq!(left(&change(2, "u1", insecure.clone(), "Succeeded")), Some(TransferType::Insecure));
    assert_eq!(left(&change(2, "u1", insecure.clone(), "RolledBack")), Some(TransferType::Secure));
    assert_eq!(left(&change(2, "u2", insecure, "Succeeded")), Some(TransferType::Secure));
    assert_eq!(left(&change(2, "u1", json!({"type": "Default"}), "Succeeded")), None);
}
