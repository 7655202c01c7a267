//! A host that starts in a stage and cannot hear what became of it.

use super::*;

/// How a host stands in a change.
fn applied(server: &Shared, host: &str, (plan, result): (&str, &str)) {
    edit(server, &format!("pvehosts/{host}"), |host| {
        host["status"]["cluster"] = json!({"name": "prod", "uid": "u-1"});
        host["status"]["applied"] = json!({
            "change": 42, "changeDigest": plan, "stage": 1, "result": result,
            "message": "n1 left the membership",
        });
    });
}

/// n2 has undone the start of n1, which held and is still at it. The digest of the plan, too.
fn undone(course: &str, result: &str) -> (Shared, String) {
    let server = world();
    server.lock().unwrap().put("pvehosts", host("n2"));
    let text = json!({"version": 8, "digest": digest(""), "text": ""});
    let plan = json!({"generation": 1, "summary": "n1 joins", "risk": "Live", "stages": [{
        "summary": "Start corosync and pmxcfs on n1", "risk": "Live", "course": course,
        "group": [{"nodeId": 2, "host": "n2"}], "joining": [{"nodeId": 1, "host": "n1"}],
        "config": text, "confirmTimeoutSeconds": 30,
    }]});
    server.lock().unwrap().put(
        "pvechanges",
        json!({"apiVersion": "pvecm.io/v1alpha1", "kind": "PveChange",
               "metadata": {"name": "prod-42", "namespace": "pve", "resourceVersion": "9",
                            "finalizers": [IN_FLIGHT]},
               "spec": {"clusterRef": {"name": "prod", "uid": "u-1"}, "number": 42, "plan": plan},
               "status": {"releasedStage": 1, "stage": "1/1"}}),
    );
    let digest = first(&server).spec.plan.digest().to_string();
    applied(&server, "n1", (&digest, "Acting"));
    applied(&server, "n2", (&digest, result));
    (server, digest)
}

fn first(server: &Shared) -> PveChange {
    object(server, "pvechanges/prod-42").unwrap()
}

/// Without this the change waits for n1, and n1 for a word of hosts that list it no more.
#[tokio::test]
async fn a_joiner_is_told_once_that_the_members_undid_its_start_and_the_change_ends_with_it() {
    for result in ["RolledBack", "Refused", "Failed"] {
        let (server, digest) = undone("Start", result);
        let change = format!("PATCH {GROUP}/pvechanges/prod-42/status");
        assert!(pass(&server).await.contains(&change), "{result}");
        let status = first(&server).status.unwrap();
        assert_eq!((status.released_stage, status.outcome), (1, None));
        let n2 = status.hosts.iter().find(|host| host.host == "n2").unwrap();
        assert_eq!((n2.stage, n2.message.as_str()), (1, "n1 left the membership"));
        assert_eq!(pass(&server).await, Vec::<String>::new(), "{result}");

        applied(&server, "n1", (&digest, "RolledBack"));
        pass(&server).await;
        let ended = first(&server).outcome().unwrap();
        let failed = result == "Failed";
        assert_eq!(ended, if failed { Outcome::Failed } else { Outcome::RolledBack });
    }
}

/// At work is what every host is for a moment: nobody else needs the operator to hear of the rest.
#[tokio::test]
async fn nothing_is_passed_on_while_nobody_has_undone_the_stage_or_to_who_stays_on_the_list() {
    for (course, result) in [("Start", "Acting"), ("Start", "Confirmed"), ("Restart", "RolledBack")]
    {
        let (server, _) = undone(course, result);
        pass(&server).await;
        assert!(first(&server).status.unwrap().hosts.is_empty(), "{course} {result}");
    }
}

/// Another change has its number, since the API server was restored from a backup.
#[tokio::test]
async fn what_a_host_says_of_another_plan_is_not_passed_on() {
    let (server, own) = undone("Start", "RolledBack");
    applied(&server, "n1", (&own, "RolledBack"));
    applied(&server, "n2", (&digest("another"), "RolledBack"));
    pass(&server).await;
    let status = first(&server).status.unwrap();
    assert!(status.outcome.is_some());
    let names: Vec<_> = status.hosts.iter().map(|host| host.host.as_str()).collect();
    assert_eq!(names, ["n1"]);
}
