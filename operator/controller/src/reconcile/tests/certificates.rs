//! Changes whose hosts take certificates that a witness issues.

use pvecm_crds::PveChangeStatus;
use pvecm_crds::change::CertificateFor;

use super::decide::Effect;
use super::witness::{AUTHORITY, asks, entry, fingerprint, told_before, voting};
use super::*;

const REQUEST: &str = "request of n1";

/// n1 has asked for a certificate in stage 1 of 2, and takes it in the second.
fn asked() -> Shared {
    let server = voting();
    told_before(&server, &[entry("prod", "u-1", &[REQUEST])]);
    asks(&server, "n1", REQUEST, AUTHORITY);
    let stage = |action: Value| {
        json!({"summary": "a stage", "risk": "Live", "course": "Local", "confirmTimeoutSeconds": 30,
               "config": {"version": 3, "digest": digest(""), "text": ""},
               "actions": [{"host": "n1", "actions": [action]}]})
    };
    let asking = json!({"requestCertificate": {"cluster": "prod", "authority": AUTHORITY,
                                               "witness": "10.9.0.1", "generation": 1}});
    server.lock().unwrap().put(
        "pvechanges",
        json!({"apiVersion": "pvecm.io/v1alpha1", "kind": "PveChange",
               "metadata": {"name": "prod-42", "namespace": "pve", "resourceVersion": "7",
                            "finalizers": [IN_FLIGHT], "labels": {"pvecm.io/cluster": "prod"}},
               "spec": {"clusterRef": {"name": "prod", "uid": "u-1"}, "number": 42, "approved": true,
                        "plan": {"generation": 1, "summary": "a device", "risk": "Live",
                                 "stages": [stage(asking), stage(json!({"takeCertificate": {}}))]}},
               "status": {"releasedStage": 1}}),
    );
    confirmed(&server, 1, "Confirmed");
    server
}

fn confirmed(server: &Shared, stage: i32, result: &str) {
    let change: PveChange = object(server, "pvechanges/prod-42").unwrap();
    edit(server, "pvehosts/n1", |host| {
        host["status"]["applied"] = json!({
            "change": 42, "changeDigest": change.spec.plan.digest().to_string(), "stage": stage,
            "result": result,
        });
    });
}

/// w1 has signed a request.
fn signed(server: &Shared, request: &str) {
    edit(server, "pvehosts/w1", |host| {
        host["status"]["witness"]["certificates"] =
            json!([{"request": digest(request), "certificate": "certificate"}]);
    });
}

fn change(server: &Shared) -> PveChangeStatus {
    object::<PveChange>(server, "pvechanges/prod-42").unwrap().status.unwrap()
}

fn certificate() -> CertificateFor {
    CertificateFor { host: "n1".to_owned(), certificate: "certificate".to_owned() }
}

/// What a pass comes to, with or without news from w1.
async fn verdict(server: &Shared, is_heard: bool) -> Verdict {
    let context = context(server, Leadership::always());
    if !is_heard {
        context.beats.forget(&HostKey::new("pve", "w1"));
    }
    decide(&observe(&ClusterKey::new("pve", "prod"), Sight::Live, &context).await.unwrap())
}

/// What a verdict ends the change with.
fn ends(verdict: &Verdict) -> Option<&str> {
    match &verdict.effect {
        Some(Effect::Finish(drive::Ending::Superseded, why)) => Some(why),
        _other => None,
    }
}

/// The outage: daemons without a certificate that the witness lets in, and votes that are expected and never cast.
#[tokio::test]
async fn a_stage_that_takes_certificates_begins_once_the_witness_has_signed_for_each_host() {
    let server = asked();
    let waits = verdict(&server, true).await;
    assert!(waits.effect.is_none());
    assert_eq!(waits.sentence, "stage 2 waits: w1 has not signed the certificates of n1 yet");
    assert_eq!((waits.stand, waits.reason.as_str()), (Stand::Waiting, "WaitingForHost"));
    signed(&server, "an earlier request of n1");
    pass(&server).await;
    assert_eq!((change(&server).released_stage, change(&server).certificates), (1, vec![]));
    signed(&server, REQUEST);
    pass(&server).await;
    assert_eq!(change(&server).released_stage, 1, "it is there before a host looks for it");
    assert_eq!(change(&server).certificates, [certificate()]);
    pass(&server).await;
    assert_eq!(change(&server).released_stage, 2);
    assert_eq!(change(&server).certificates, [certificate()]);
}

#[tokio::test]
async fn who_keeps_a_certificate_from_being_signed_is_named() {
    let server = asked();
    let silent = verdict(&server, false).await;
    let not_heard = "the agent on w1 is not heard, which has to sign the certificates of n1";
    assert_eq!(silent.sentence, format!("stage 2 waits: {not_heard}"));
    assert_eq!((silent.stand, silent.reason.as_str()), (Stand::Stalled, "HostNotConnected"));
    edit(&server, "pvehosts/w1", |host| host["spec"]["paused"] = json!(true));
    let paused = verdict(&server, true).await.sentence;
    assert!(paused.contains("w1 is paused, which has to sign"), "{paused}");
    edit(&server, "pvehosts/n1", |host| host["status"]["device"] = Value::Null);
    let unasked = verdict(&server, true).await.sentence;
    assert!(unasked.contains("n1 does not show its request for a certificate yet"), "{unasked}");
    asks(&server, "n1", REQUEST, AUTHORITY);
    server.lock().unwrap().objects.remove(&format!("{GROUP}/pvehosts/w1"));
    let gone = verdict(&server, true).await.sentence;
    assert!(gone.contains("the witness that n1 asked for certificates has no PveHost"), "{gone}");
}

/// The outage: a witness that is gone for good holds every other change of its cluster without end.
#[tokio::test]
async fn a_change_that_waits_for_a_witness_ends_with_another_spec_with_its_deletion_and_where_it_waits_in_vain()
 {
    let server = asked();
    edit(&server, "pveclusters/prod", |o| o["metadata"]["generation"] = json!(2));
    for is_heard in [true, false] {
        let verdict = verdict(&server, is_heard).await;
        assert!(ends(&verdict).unwrap().contains("the spec changed while this was waited for"));
    }
    signed(&server, REQUEST);
    for _ in 0..2 {
        pass(&server).await;
    }
    assert_eq!(
        change(&server).released_stage,
        2,
        "what does not wait goes on, as any other change"
    );

    let server = asked();
    edit(&server, "pvechanges/prod-42", |o| {
        o["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    });
    assert_eq!(ends(&verdict(&server, true).await), Some("deleted after stage 1 of 2"));

    let server = asked();
    edit(&server, "pveclusters/prod", |o| o["spec"]["rollout"]["paused"] = json!(true));
    assert_eq!(verdict(&server, true).await.sentence, "stage 2 waits: paused");

    let server = asked();
    edit(&server, "pvehosts/w1", |host| {
        host["status"]["witness"]["fingerprint"] = json!(fingerprint("b"));
    });
    let other = "w1 has another certificate than when n1 asked it for theirs";
    assert_eq!(ends(&verdict(&server, true).await), Some(other));
    assert_eq!(ends(&verdict(&server, false).await), None, "what it was is not what it is");
}

/// A host that dies between taking it and saying so finds it again.
#[tokio::test]
async fn a_certificate_goes_from_the_change_once_its_host_has_confirmed_it_and_not_before() {
    let server = asked();
    signed(&server, REQUEST);
    for _ in 0..2 {
        pass(&server).await;
    }
    edit(&server, "pvehosts/n1", |host| {
        host["status"]["device"]["request"] = Value::Null;
    });
    confirmed(&server, 2, "Acting");
    pass(&server).await;
    assert_eq!(change(&server).certificates, [certificate()]);
    confirmed(&server, 2, "Confirmed");
    pass(&server).await;
    assert_eq!(change(&server).certificates, []);
    pass(&server).await;
    assert_eq!(change(&server).outcome, Some(Outcome::Succeeded));
}

#[tokio::test]
async fn a_change_that_ends_leaves_no_certificate_behind() {
    let server = asked();
    signed(&server, REQUEST);
    pass(&server).await;
    edit(&server, "pvechanges/prod-42", |o| {
        o["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    });
    pass(&server).await;
    assert_eq!(change(&server).outcome, Some(Outcome::Superseded));
    assert_eq!(change(&server).certificates, []);
}

#[tokio::test]
async fn an_operator_that_has_not_heard_the_witness_yet_leaves_the_status_as_it_is() {
    let server = asked();
    for _ in 0..2 {
        pass(&server).await;
    }
    let context = context(&server, Leadership::always());
    let (key, lease) = (HostKey::new("pve", "w1"), lease());
    context.beats.forget(&key);
    context.beats.saw(&key, &lease, true);
    server.lock().unwrap().writes.clear();
    reconcile(ClusterKey::new("pve", "prod"), context).await;
    assert_eq!(server.lock().unwrap().writes, Vec::<String>::new());
}
