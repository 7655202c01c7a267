//! What the account of a host may do, on a real API server: held by each of the two locks alone, the Role that
//! enrolment makes and the admission policy of the chart.
//!
//! Forbidden requests are dry runs: a lock that does not hold is told, and the lab goes on.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pvecm_e2e::command;
use pvecm_e2e::lab::{Lab, Level, Options};
use pvecm_e2e::wait::wait_until;
use serde_json::{Value, json};

use crate::support::kubectl;

const POLICY: &str = "pvecm-operator-agents";
const BINDING: &str = "validatingadmissionpolicybinding";
const KNOWN: Duration = Duration::from_secs(30);

#[test]
fn each_lock_alone_holds_a_hosts_account_to_its_own_objects() -> Result<()> {
    let options = Options { hosts: 2, level: Level::Bare, ..Options::scenario("rights") };
    let lab = Lab::up(options, &mut |_| ())?;
    lab.operator()?.install()?;
    let agent = Agent::enrol(&lab)?;
    let policy = kubectl(&lab, &["get", BINDING, POLICY, "-o", "json"])?;

    kubectl(&lab, &["delete", BINDING, POLICY])?;
    wait_until(KNOWN, "the policy to be off", || {
        agent.expect(&claiming("cluster"), &Held::No).map_err(|error| format!("{error:#}"))
    })?;
    let role = Held::By("is forbidden: User");
    let all = [writes(), reads(), about_admission()].concat();
    agent.expect_all(&all, &role)?;
    agent.expect_all(&allowed(), &Held::No)?;

    command::run_with_input(
        &mut lab.control_plane()?.kubectl_command(&["create", "-f", "-"])?,
        unmanaged(&policy)?.as_bytes(),
    )?;
    let everything = ["create", "clusterrolebinding", "mistake", "--clusterrole=cluster-admin"];
    let account = "--serviceaccount=pve:pvecm-host-n1";
    kubectl(&lab, &[&everything[..], &[account]].concat())?;
    let admission = Held::By("ValidatingAdmissionPolicy 'pvecm-operator-agents'");
    wait_until(KNOWN, "both to be known", || {
        let on = agent.expect(&claiming("cluster"), &admission);
        let on = on.and_then(|()| agent.expect(&reads()[0], &Held::No));
        on.map_err(|error| format!("{error:#}"))
    })?;
    let words = ["cluster", "clusters", "Connected"].map(claiming);
    agent.expect_all(&[writes(), words.to_vec()].concat(), &admission)?;
    agent.expect_all(&allowed(), &Held::No)?;
    println!(
        "{} requests held by the Role, {} by the policy, {} allowed by both",
        all.len(),
        writes().len() + words.len(),
        allowed().len()
    );
    Ok(())
}

/// An object as it was, without what the API server added.
fn unmanaged(object: &str) -> Result<String> {
    let mut object: Value = serde_json::from_str(object)?;
    let name = object["metadata"]["name"].take();
    object["metadata"] = json!({"name": name});
    Ok(object.to_string())
}

/// What has to become of a request.
enum Held {
    No,
    By(&'static str),
}

/// One request, as kubectl sends it.
#[derive(Clone)]
struct Request {
    arguments: Vec<String>,
    object: Option<Value>,
}

impl Request {
    fn raw(verb: &str, path: &str, object: Option<Value>) -> Self {
        let mut arguments = vec![verb.to_owned(), "--raw".to_owned()];
        let dry = if verb == "get" { "" } else { "?dryRun=All" };
        arguments.push(format!("{path}{dry}"));
        if object.is_some() {
            arguments.extend(["-f".to_owned(), "-".to_owned()]);
        }
        Self { arguments, object }
    }
}

/// The account of n1.
struct Agent<'lab> {
    lab: &'lab Lab,
    kubeconfig: PathBuf,
}

impl<'lab> Agent<'lab> {
    fn enrol(lab: &'lab Lab) -> Result<Self> {
        lab.enrol("n2", &[])?;
        let bootstrap: Value = serde_yaml::from_str(&lab.enrol("n1", &[])?)?;
        let token = bootstrap["token"].as_str().context("a file without a token")?;
        let kubeconfig = lab.control_plane()?.write_kubeconfig("n1", token)?;
        kubectl(lab, &["create", "namespace", "other"])?;
        // A collection is only defended where there is something in it.
        for object in [cluster(), change(), secret()] {
            lab.control_plane()?.apply(&object)?;
        }
        Ok(Self { lab, kubeconfig })
    }

    fn expect_all(&self, requests: &[Request], held: &Held) -> Result<()> {
        let told = |request| self.expect(request, held).err().map(|error| format!("{error:#}"));
        let wrong: Vec<_> = requests.iter().filter_map(told).collect();
        ensure!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), requests.len(), wrong.join("\n"));
        Ok(())
    }

    fn expect(&self, request: &Request, held: &Held) -> Result<()> {
        let words: Vec<&str> = request.arguments.iter().map(String::as_str).collect();
        let mut kubectl = self.lab.control_plane()?.kubectl_command(&words)?;
        kubectl.env("KUBECONFIG", &self.kubeconfig);
        let input = request.object.as_ref().map(Value::to_string).unwrap_or_default();
        let done = command::output_with_input(&mut kubectl, input.as_bytes())?;
        let words = format!("{} {input}", words.join(" "));
        match held {
            Held::No => ensure!(done.success(), "refused: {words}: {}", done.stderr.trim()),
            Held::By(lock) => {
                ensure!(!done.success(), "not refused: {words}");
                ensure!(done.stderr.contains(lock), "{words}: {}", done.stderr.trim());
            }
        }
        Ok(())
    }
}

const OURS: &str = "/apis/pvecm.io/v1alpha1/namespaces/pve";
const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/pve/leases";
const CORE: &str = "/api/v1/namespaces/pve";
const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

fn get(path: &str) -> Request {
    Request::raw("get", path, None)
}

fn delete(path: &str) -> Request {
    Request::raw("delete", path, None)
}

fn post(path: &str, object: Value) -> Request {
    Request::raw("create", path, Some(object))
}

/// A server-side apply, with more arguments of it.
fn apply(more: &[&str], object: Value) -> Request {
    let apply = ["apply", "--server-side", "--force-conflicts", "--field-manager=n1"];
    let arguments = [&apply[..], &["--validate=false", "-f", "-"], more].concat();
    let arguments = arguments.into_iter().map(str::to_owned).collect();
    Request { arguments, object: Some(object) }
}

fn patch(object: Value) -> Request {
    apply(&["--dry-run=server"], object)
}

fn patch_status(object: Value) -> Request {
    apply(&["--dry-run=server", "--subresource=status"], object)
}

fn object(kind: &str, (namespace, name): (&str, &str), rest: &Value) -> Value {
    let version = match kind {
        "PveHost" | "PveCluster" | "PveChange" => "pvecm.io/v1alpha1",
        "Lease" => "coordination.k8s.io/v1",
        "Role" | "RoleBinding" | "ClusterRole" | "ClusterRoleBinding" => {
            "rbac.authorization.k8s.io/v1"
        }
        _ => "v1",
    };
    let mut object = json!({"apiVersion": version, "kind": kind, "metadata": {"name": name}});
    if !namespace.is_empty() {
        object["metadata"]["namespace"] = json!(namespace);
    }
    for (key, value) in rest.as_object().into_iter().flatten() {
        object[key] = value.clone();
    }
    object
}

fn token_for(namespace: &str, account: &str) -> Request {
    let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token");
    let kind =
        json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
    post(&path, kind)
}

/// What only the operator says of a host. No Role tells a field from another.
fn claiming(word: &str) -> Request {
    let told = match word {
        "cluster" => json!({"cluster": {"name": "prod", "uid": "u-1"}}),
        "clusters" => json!({"clusters": [{"clusterName": "prod", "name": "prod", "uid": "u-1"}]}),
        connected => json!({"conditions": [{"type": connected, "status": "True", "reason": "Lease",
            "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}),
    };
    patch_status(object("PveHost", ("pve", "n1"), &json!({"status": told})))
}

/// Writes that nobody's agent makes.
fn writes() -> Vec<Request> {
    [of_hosts(), of_clusters(), of_leases(), of_accounts(), of_others()].concat()
}

fn of_hosts() -> Vec<Request> {
    let host = |at, rest: Value| object("PveHost", at, &rest);
    let own = ("pve", "n1");
    let says = json!({"status": {"hostname": "n1"}});
    vec![
        patch(host(own, json!({"spec": {"paused": true}}))),
        patch(host(
            own,
            json!({"metadata": {"name": "n1", "namespace": "pve", "labels": {"a": "b"}}}),
        )),
        post(&format!("{OURS}/pvehosts"), host(("pve", "n9"), json!({"spec": {}}))),
        delete(&format!("{OURS}/pvehosts/n1")),
        delete(&format!("{OURS}/pvehosts/n2")),
        delete(&format!("{OURS}/pvehosts")),
        patch(host(("pve", "n2"), json!({"spec": {"absence": {"kind": "Dead", "because": "so"}}}))),
        patch_status(host(("pve", "n2"), says.clone())),
    ]
}

fn cluster() -> Value {
    let links = json!([{"number": 0, "network": "10.50.0.0/24"}]);
    object(
        "PveCluster",
        ("pve", "prod"),
        &json!({"spec": {"nodes": [{"name": "n1"}], "links": links}}),
    )
}

fn change() -> Value {
    let config = json!({"version": 5, "text": "", "digest":
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"});
    let stage = json!({"summary": "s", "risk": "Live", "course": "Write", "config": config,
        "group": [{"nodeId": 1, "host": "n1"}], "confirmTimeoutSeconds": 30});
    let plan = json!({"generation": 1, "summary": "s", "risk": "Live", "stages": [stage]});
    let of = json!({"name": "prod", "uid": "u-1"});
    object(
        "PveChange",
        ("pve", "prod-1"),
        &json!({"spec": {"clusterRef": of, "number": 1, "plan": plan}}),
    )
}

fn of_clusters() -> Vec<Request> {
    let (mut approved, mut released) = (change(), change());
    approved["spec"]["approved"] = json!(true);
    released["status"] = json!({"releasedStage": 1});
    let mut others = (cluster(), change());
    others.0["metadata"]["name"] = json!("mine");
    others.1["metadata"]["name"] = json!("prod-2");
    others.1["spec"]["number"] = json!(2);
    vec![
        post(&format!("{OURS}/pveclusters"), others.0),
        patch(cluster()),
        delete(&format!("{OURS}/pveclusters/prod")),
        delete(&format!("{OURS}/pveclusters")),
        post(&format!("{OURS}/pvechanges"), others.1),
        patch(approved),
        patch_status(released),
        delete(&format!("{OURS}/pvechanges/prod-1")),
        delete(&format!("{OURS}/pvechanges")),
    ]
}

fn of_leases() -> Vec<Request> {
    let lease = |at| object("Lease", at, &json!({"spec": {"holderIdentity": "n1"}}));
    vec![
        patch(lease(("pve", "n2"))),
        patch(lease(("pve", "n9"))),
        post(LEASES, lease(("pve", "n9"))),
        patch(lease(("other", "n1"))),
        patch(lease(("pvecm-system", "pvecm-operator"))),
        patch(lease(("kube-system", "n1"))),
        delete(&format!("{LEASES}/n1")),
        delete(&format!("{LEASES}/n2")),
        delete(LEASES),
    ]
}

fn of_accounts() -> Vec<Request> {
    let account = |name| object("ServiceAccount", ("pve", name), &json!({}));
    let rule = json!([{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]);
    let to = |kind: &str, role: &str| {
        json!({"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role},
            "subjects": [{"kind": "ServiceAccount", "name": "pvecm-host-n1", "namespace": "pve"}]})
    };
    let rules = json!({"rules": rule});
    let bound = to("ClusterRole", "view");
    vec![
        token_for("pve", "pvecm-host-n2"),
        token_for("pve", "default"),
        token_for("pvecm-system", "pvecm-operator"),
        token_for("kube-system", "default"),
        post(&format!("{CORE}/serviceaccounts"), account("pvecm-host-n9")),
        patch(account("pvecm-host-n1")),
        delete(&format!("{CORE}/serviceaccounts/pvecm-host-n1")),
        delete(&format!("{CORE}/serviceaccounts/pvecm-host-n2")),
        patch(object("Role", ("pve", "pvecm-host-n1"), &rules)),
        patch(object("Role", ("pve", "more"), &rules)),
        delete(&format!("{RBAC}/namespaces/pve/roles/pvecm-host-n2")),
        patch(object("RoleBinding", ("pve", "more"), &bound)),
        delete(&format!("{RBAC}/namespaces/pve/rolebindings/pvecm-host-n2")),
        patch(object("ClusterRole", ("", "more"), &rules)),
        patch(object("ClusterRoleBinding", ("", "more"), &bound)),
    ]
}

fn secret() -> Value {
    object("Secret", ("pve", "a"), &json!({"data": {"a": "Yg=="}}))
}

fn of_others() -> Vec<Request> {
    let container = json!([{"name": "a", "image": "a"}]);
    let pod = object("Pod", ("pve", "a"), &json!({"spec": {"containers": container}}));
    let definition = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/pvehosts.pvecm.io";
    vec![
        post(&format!("{CORE}/secrets"), object("Secret", ("pve", "b"), &json!({}))),
        patch(secret()),
        delete(&format!("{CORE}/secrets")),
        patch(object(
            "ConfigMap",
            ("pve", "kube-root-ca.crt"),
            &json!({"data": {"ca.crt": "mine"}}),
        )),
        delete(&format!("{CORE}/configmaps/kube-root-ca.crt")),
        post(&format!("{CORE}/pods"), pod),
        delete("/apis/apps/v1/namespaces/pvecm-system/deployments/pvecm-operator"),
        post("/api/v1/namespaces", object("Namespace", ("", "mine"), &json!({}))),
        delete("/api/v1/namespaces/pve"),
        post("/api/v1/nodes", object("Node", ("", "n1"), &json!({}))),
        delete(definition),
    ]
}

/// Admission is never asked about the objects that it is made of.
fn about_admission() -> Vec<Request> {
    let group = "/apis/admissionregistration.k8s.io/v1";
    let of = |kind: &str| delete(&format!("{group}/{kind}/{POLICY}"));
    vec![
        of("validatingadmissionpolicies"),
        of("validatingadmissionpolicybindings"),
        delete(&format!("{group}/validatingwebhookconfigurations")),
    ]
}

/// Admission sees no reads.
fn reads() -> Vec<Request> {
    let of_namespace = [
        format!("{CORE}/secrets"),
        format!("{CORE}/configmaps"),
        format!("{CORE}/configmaps/other"),
        format!("{CORE}/serviceaccounts/pvecm-host-n1"),
        format!("{OURS}/pvehosts"),
        format!("{OURS}/pvehosts/n2"),
        format!("{OURS}/pvehosts?watch=true&timeoutSeconds=1"),
        format!("{OURS}/pveclusters"),
        format!("{LEASES}/n2"),
    ];
    let of_others = [
        LEASES,
        "/api/v1/namespaces/other/secrets",
        "/apis/pvecm.io/v1alpha1/namespaces/other/pvechanges",
        "/apis/pvecm.io/v1alpha1/pvechanges",
        "/api/v1/namespaces",
        "/api/v1/nodes",
    ];
    of_namespace.iter().map(|path| get(path)).chain(of_others.map(get)).collect()
}

/// What an agent does.
fn allowed() -> Vec<Request> {
    let says = json!({"status": {"hostname": "n1", "conditions": [{"type": "Ready", "status": "True",
        "reason": "AsExpected", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}});
    let beats = json!({"spec": {"holderIdentity": "n1", "leaseDurationSeconds": 8}});
    let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {"verb": "get", "resource": "secrets"}}});
    vec![
        apply(&["--subresource=status"], object("PveHost", ("pve", "n1"), &says)),
        apply(&[], object("Lease", ("pve", "n1"), &beats)),
        token_for("pve", "pvecm-host-n1"),
        get(&format!("{OURS}/pvehosts/n1")),
        get(&format!("{OURS}/pvehosts?fieldSelector=metadata.name%3Dn1")),
        get(&format!("{OURS}/pvechanges")),
        get(&format!("{CORE}/configmaps/kube-root-ca.crt")),
        post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review),
    ]
}
