//! The certificates for a QNetd that somebody else runs, on their way from a Secret to the hosts.

use age::x25519::Identity;
use k8s_openapi::ByteString;
use pvecm_core::device::SecretView;
use pvecm_crds::PveChangeStatus;
use pvecm_crds::change::SealedFor;

use super::decide::Effect;
use super::*;

const SECRET: &str = "/api/v1/namespaces/pve/secrets/qnetd";
const BUNDLE: &[u8] = &[0x30, 0x80, 0x02, 0x01, 0x03, 0x42];
const OF_QNETD: &[u8] = include_bytes!("../secret/qnetd-cacert.crt");

/// n1 alone, claimed, with a QNetd of somebody else that is to vote.
fn lent() -> Shared {
    let server = world();
    edit(&server, "pveclusters/prod", |cluster| {
        cluster["spec"]["quorum"] = json!({"device": {"type": "External", "address": "10.9.0.1",
            "algorithm": "LMS", "certificatesSecretRef": {"name": "qnetd"}}});
    });
    edit(&server, "pvehosts/n1", |host| {
        host["status"]["cluster"] = json!({"name": "prod", "uid": "u-1"});
    });
    server
}

fn put(server: &Shared, bundle: &[u8]) {
    let data = json!({"qnetd-cacert.crt": ByteString(OF_QNETD.to_vec()),
                      "qdevice-net-node.p12": ByteString(bundle.to_vec())});
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "data": data,
                        "metadata": {"name": "qnetd", "namespace": "pve"}});
    server.lock().unwrap().objects.insert(SECRET.to_owned(), secret);
}

async fn seen(server: &Shared) -> Observation {
    let context = context(server, Leadership::always());
    observe(&ClusterKey::new("pve", "prod"), Sight::Live, &context).await.unwrap()
}

#[tokio::test]
async fn a_secret_that_is_missing_that_may_not_be_read_or_is_of_no_use_is_told_with_what_to_do() {
    let server = lent();
    let said = async || match seen(&server).await.view.secret {
        Some(SecretView::Unusable(why)) => why,
        other => panic!("{other:?}"),
    };
    let missing = said().await;
    assert!(missing.contains("there is no Secret qnetd in the namespace pve"), "{missing}");
    let forbidden = status(403, "Forbidden");
    server.lock().unwrap().objects.insert(SECRET.to_owned(), forbidden);
    let forbidden = said().await;
    let role =
        "a Role with the verb `get` for `secrets`, resourceNames [qnetd], in the namespace pve";
    assert!(forbidden.contains(role), "{forbidden}");
    put(&server, b"none");
    assert_eq!(said().await, "the Secret qnetd has no PKCS#12 under qdevice-net-node.p12");
}

#[tokio::test]
async fn what_is_in_a_secret_stands_in_nothing_that_is_written_or_logged() {
    let server = lent();
    put(&server, BUNDLE);
    let seen = seen(&server).await;
    let found = seen.secret.as_ref().unwrap();
    assert_eq!(found.bundle.as_ref().map(|bundle| bundle.as_slice()), Some(BUNDLE));
    assert!(matches!(found.view, SecretView::Usable(_)));
    assert!(!format!("{seen:?}").contains("66]"), "the last byte of the key");
}

#[tokio::test]
async fn a_cluster_without_such_a_device_has_no_secret_read() {
    let server = world();
    server.lock().unwrap().objects.insert(SECRET.to_owned(), status(403, "Forbidden"));
    assert!(seen(&server).await.secret.is_none());
}

/// A change in which n1 takes what is in the Secret, sealed to this key, with the certificate of this QNetd.
fn importing(server: &Shared, key: &Identity, authority: &str) {
    let stage = |action: Value| {
        json!({"summary": "a stage", "risk": "Live", "course": "Local", "confirmTimeoutSeconds": 30,
               "config": {"version": 3, "digest": digest(""), "text": ""},
               "actions": [{"host": "n1", "actions": [action]}]})
    };
    let import = json!({"importCertificate": {"cluster": "prod", "authority": authority,
        "witness": "10.9.0.1", "generation": 0, "recipient": key.to_public().to_string()}});
    // As of a host that joins: the authkey is another secret of the same change.
    let stages = [
        stage(json!({"receiveAuthkey": {"generation": 0}})),
        stage(import),
        stage(json!({"startDevice": {}})),
    ];
    server.lock().unwrap().put(
        "pvechanges",
        json!({"apiVersion": "pvecm.io/v1alpha1", "kind": "PveChange",
               "metadata": {"name": "prod-42", "namespace": "pve", "resourceVersion": "7",
                            "finalizers": [IN_FLIGHT], "labels": {"pvecm.io/cluster": "prod"}},
               "spec": {"clusterRef": {"name": "prod", "uid": "u-1"}, "number": 42, "approved": true,
                        "plan": {"generation": 1, "summary": "a device", "risk": "Live",
                                 "stages": stages}},
               "status": {"releasedStage": 1}}),
    );
    confirmed(server, 1);
}

fn confirmed(server: &Shared, stage: i32) {
    let change: PveChange = object(server, "pvechanges/prod-42").unwrap();
    edit(server, "pvehosts/n1", |host| {
        host["status"]["applied"] = json!({
            "change": 42, "changeDigest": change.spec.plan.digest().to_string(), "stage": stage,
            "result": "Confirmed",
        });
    });
}

fn change(server: &Shared) -> PveChangeStatus {
    object::<PveChange>(server, "pvechanges/prod-42").unwrap().status.unwrap()
}

/// A change that takes what lies in the Secret now.
async fn under_way() -> (Shared, Identity) {
    let (server, key) = (lent(), Identity::generate());
    put(&server, BUNDLE);
    let Some(SecretView::Usable(authority)) = seen(&server).await.view.secret else { panic!() };
    importing(&server, &key, &authority.certificate);
    (server, key)
}

/// The outage: the key of a cluster that anybody reads who reads changes.
#[tokio::test]
async fn what_is_in_the_secret_is_sealed_once_to_its_receiver_before_the_stage_and_gone_after_it() {
    let (server, key) = under_way().await;
    pass(&server).await;
    let sealed = change(&server).sealed;
    let [SealedFor { host, data }] = sealed.as_slice() else { panic!("{sealed:?}") };
    assert_eq!(host, "n1");
    assert_eq!(age::decrypt(&key, data.as_bytes()).unwrap(), BUNDLE);
    assert_eq!(change(&server).released_stage, 1, "it is there before a host looks for it");
    pass(&server).await;
    assert_eq!((change(&server).released_stage, change(&server).sealed), (2, sealed.clone()));
    // Another Secret, or none: what was sealed is taken all the same.
    server.lock().unwrap().objects.remove(SECRET);
    pass(&server).await;
    assert_eq!(change(&server).sealed, sealed);
    confirmed(&server, 2);
    pass(&server).await;
    assert_eq!(change(&server).sealed, []);
    pass(&server).await;
    assert_eq!(change(&server).released_stage, 3);
}

#[tokio::test]
async fn a_stage_that_takes_it_waits_for_a_secret_and_ends_where_that_has_become_another_one() {
    let (server, key) = under_way().await;
    server.lock().unwrap().objects.remove(SECRET);
    let waits = decide(&seen(&server).await);
    assert!(waits.effect.is_none());
    assert_eq!((waits.stand, waits.reason.as_str()), (Stand::Stalled, "SecretUnusable"));
    assert!(
        waits.sentence.starts_with("stage 2 waits: there is no Secret qnetd"),
        "{}",
        waits.sentence
    );
    put(&server, BUNDLE);
    importing(&server, &key, "another QNetd's");
    let ended = decide(&seen(&server).await);
    let Some(Effect::Finish(drive::Ending::Superseded, why)) = ended.effect else { panic!() };
    assert!(why.contains("the certificates of another QNetd now"), "{why}");
    edit(&server, "pveclusters/prod", |o| {
        o["spec"]["quorum"] = json!({"device": {"type": "None"}});
    });
    let ended = decide(&seen(&server).await);
    let Some(Effect::Finish(drive::Ending::Superseded, why)) = ended.effect else { panic!() };
    assert!(why.contains("the spec names no Secret any more"), "{why}");
}

/// A key that is none is a defect of whoever wrote it: nothing is sealed for anybody.
#[tokio::test]
async fn what_cannot_be_sealed_is_a_failure_that_names_the_host() {
    let (server, _) = under_way().await;
    let stages = |o: &mut Value| {
        let action = &mut o["spec"]["plan"]["stages"][1]["actions"][0]["actions"][0];
        action["importCertificate"]["recipient"] = json!("age1none");
    };
    edit(&server, "pvechanges/prod-42", stages);
    confirmed(&server, 1);
    let (seen, context) = (seen(&server).await, context(&server, Leadership::always()));
    let effect = decide(&seen).effect.unwrap();
    let why = dispatch(effect, &seen, &context.access).await.unwrap_err().to_string();
    assert!(why.starts_with("cannot seal what is in the Secret for n1"), "{why}");
    assert_eq!(change(&server).sealed, []);
}
