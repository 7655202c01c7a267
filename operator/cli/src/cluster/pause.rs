//! `kubectl pvecm pause|resume`: `spec.rollout.paused`, unless it belongs to somebody else.

use anyhow::Context as _;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, Resource as _, ResourceExt as _};
use pvecm_crds::PveCluster;
use serde_json::{Value, json};

use super::read;
use crate::cli::Connection;
use crate::exit::Verdict;
use crate::host::enrol::FIELD_MANAGER;
use crate::owner::owner;

/// The field.
const PAUSED: [&str; 3] = ["spec", "rollout", "paused"];

/// Pauses a cluster's rollout, or ends its pause.
pub async fn run(name: &str, paused: bool, connection: &Connection) -> anyhow::Result<Verdict> {
    let (client, namespace) = connection.connect().await?;
    set(&client, &namespace, (name, paused)).await
}

async fn set(
    client: &Client,
    namespace: &str,
    (name, paused): (&str, bool),
) -> anyhow::Result<Verdict> {
    let cluster = read::cluster(client, namespace, name).await?;
    if let Some(owner) = owner(&cluster, &PAUSED) {
        let wanted = if paused { "true" } else { "false" };
        return Ok(Verdict::refused(&format!(
            "`spec.rollout.paused` of {name} is kept by {owner}, which would put it back: set it to \
             {wanted} there"
        )));
    }
    let api: Api<PveCluster> = Api::namespaced(client.clone(), namespace);
    // Forced past those who own it only because the object was made with its defaults.
    let forced = PatchParams::apply(FIELD_MANAGER).force();
    let apply = async |rollout: Value| {
        let patch = patch(&cluster, &rollout);
        let applied = api.patch(name, &forced, &Patch::Apply(&patch)).await;
        applied.map(drop).with_context(|| format!("cannot set `spec.rollout.paused` of {name}"))
    };
    apply(json!({"paused": paused})).await?;
    if paused {
        println!("{name} is paused: nothing new is started");
    } else {
        // Let go of the field, so that whoever wants to keep it from now on meets no other owner.
        apply(json!({})).await?;
        println!("{name} is no longer paused");
    }
    Ok(Verdict::Fine)
}

/// Bound to the very object that was read, so that none is made by it.
fn patch(cluster: &PveCluster, rollout: &Value) -> Value {
    json!({
        "apiVersion": PveCluster::api_version(&()), "kind": PveCluster::kind(&()),
        "metadata": {"name": cluster.name_any(), "uid": cluster.uid()},
        "spec": {"rollout": rollout},
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::fake::{client, cluster, server};

    /// The exit code, and what was written as `spec.rollout`.
    async fn rollouts(object: Value, paused: bool) -> (Verdict, Vec<Value>) {
        let server = server(&[object]);
        let code = set(&client(&server), "pve", ("prod", paused)).await.unwrap();
        let writes = server.lock().unwrap().writes.clone();
        for (query, body) in &writes {
            assert!(query.contains("fieldManager=pvecm") && body["metadata"]["uid"] == "u-1");
        }
        let written = writes.iter().map(|(_, body)| body["spec"]["rollout"].clone());
        (code, written.collect())
    }

    fn managed(manager: &str, operation: &str) -> Value {
        let mut object = cluster();
        object["metadata"]["managedFields"] = json!([{
            "manager": manager, "operation": operation, "apiVersion": "pvecm.io/v1alpha1",
            "fieldsType": "FieldsV1",
            "fieldsV1": {"f:spec": {"f:rollout": {"f:paused": {}}}},
        }]);
        object
    }

    #[tokio::test]
    async fn a_pause_is_set_and_at_its_end_the_field_is_nobodys() {
        assert_eq!(rollouts(cluster(), true).await.1, [json!({"paused": true})]);
        assert_eq!(rollouts(cluster(), false).await.1, [json!({"paused": false}), json!({})]);
        let ours = managed("pvecm", "Apply");
        assert_eq!(rollouts(ours, false).await.1, [json!({"paused": false}), json!({})]);
    }

    #[tokio::test]
    async fn a_field_that_somebody_applies_again_and_again_is_refused() {
        let (code, written) = rollouts(managed("kustomize-controller", "Apply"), true).await;
        assert_eq!((code, written), (Verdict::Findings, Vec::new()));
        let flux: PveCluster =
            serde_json::from_value(managed("kustomize-controller", "Apply")).unwrap();
        assert!(owner(&flux, &PAUSED).unwrap().contains("kustomize-controller"));
    }

    #[tokio::test]
    async fn a_file_that_kubectl_applies_counts_only_if_it_names_the_field() {
        let applied = |spec: Value| {
            let mut object = managed("kubectl-client-side-apply", "Update");
            let file = json!({"spec": spec}).to_string();
            object["metadata"]["annotations"] =
                json!({"kubectl.kubernetes.io/last-applied-configuration": file});
            object
        };
        let silent = applied(json!({"rollout": {"maxRisk": "Outage"}}));
        assert_eq!(rollouts(silent, true).await.1, [json!({"paused": true})]);
        let names = applied(json!({"rollout": {"paused": false}}));
        assert_eq!(rollouts(names, true).await.1, Vec::<Value>::new());
    }
}
