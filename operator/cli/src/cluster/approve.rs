//! `kubectl pvecm approve`: a person's word for one plan, which never changes after it was made.

use anyhow::Context as _;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, Resource as _, ResourceExt as _};
use pvecm_crds::{PveChange, PveCluster};
use serde_json::{Value, json};

use super::read;
use crate::cli::Connection;
use crate::exit::Verdict;
use crate::host::enrol::FIELD_MANAGER;

/// Approves a change, named itself or by its cluster.
pub async fn run(name: &str, connection: &Connection) -> anyhow::Result<Verdict> {
    let (client, namespace) = connection.connect().await?;
    approve(&client, &namespace, name).await
}

pub(super) async fn approve(
    client: &Client,
    namespace: &str,
    name: &str,
) -> anyhow::Result<Verdict> {
    let change = match find(client, namespace, name).await? {
        Meant::Change(change) => change,
        Meant::Nothing(why) => return Ok(Verdict::refused(&why)),
    };
    let name = change.name_any();
    if let Some(outcome) = change.outcome() {
        return Ok(Verdict::refused(&format!("{name} has ended already: {outcome:?}")));
    }
    let summary = &change.spec.plan.summary;
    if change.spec.approved {
        println!("{name} is approved already: {summary}");
        return Ok(Verdict::Fine);
    }
    let api: Api<PveChange> = Api::namespaced(client.clone(), namespace);
    // The field is the user's; it is the operator's only because an object is made as a whole.
    let forced = PatchParams::apply(FIELD_MANAGER).force();
    api.patch(&name, &forced, &Patch::Apply(&approval(&change)))
        .await
        .with_context(|| format!("{name} is not approved"))?;
    println!("{name} approved: {summary}");
    Ok(Verdict::Fine)
}

/// Bound to the very object that was read: another one of the same name is another plan.
fn approval(change: &PveChange) -> Value {
    json!({
        "apiVersion": PveChange::api_version(&()), "kind": PveChange::kind(&()),
        "metadata": {"name": change.name_any(), "uid": change.uid()},
        "spec": {"approved": true},
    })
}

/// What a name means.
enum Meant {
    Change(Box<PveChange>),
    Nothing(String),
}

async fn find(client: &Client, namespace: &str, name: &str) -> anyhow::Result<Meant> {
    let changes: Api<PveChange> = Api::namespaced(client.clone(), namespace);
    let clusters: Api<PveCluster> = Api::namespaced(client.clone(), namespace);
    let change = changes.get_opt(name).await.context("cannot read the PveChange")?;
    let cluster = clusters.get_opt(name).await.context("cannot read the PveCluster")?;
    Ok(match (change, cluster) {
        (Some(change), None) => Meant::Change(Box::new(change)),
        (Some(_), Some(_)) => Meant::Nothing(format!(
            "`{name}` is a PveChange and a PveCluster: use kubectl to approve one of such a pair"
        )),
        (None, Some(_)) => {
            let mut changes = read::changes(client, namespace, name).await?.into_iter();
            match changes.find(|change| change.outcome().is_none()) {
                Some(change) => Meant::Change(Box::new(change)),
                None => Meant::Nothing(format!("{name} has no change that waits")),
            }
        }
        (None, None) => anyhow::bail!("there is neither a PveChange nor a PveCluster `{name}`"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::fake::{Shared, change, client, cluster, server};

    async fn approved(server: &Shared, name: &str) -> String {
        let code = approve(&client(server), "pve", name).await;
        code.map_or_else(|error| format!("{error:#}"), |code| format!("{code:?}"))
    }

    #[tokio::test]
    async fn the_open_change_of_a_cluster_is_approved_by_the_plugin_and_by_its_uid() {
        let mut ended = change(6, "NodeRestart");
        ended["status"] = json!({"outcome": "Superseded"});
        let server = server(&[cluster(), ended, change(7, "NodeRestart")]);
        approved(&server, "prod").await;
        let writes = server.lock().unwrap().writes.clone();
        let [(query, body)] = writes.as_slice() else { panic!("{writes:?}") };
        assert!(query.contains("fieldManager=pvecm"), "{query}");
        assert_eq!(body["spec"], json!({"approved": true}));
        assert_eq!(body["metadata"], json!({"name": "prod-7", "uid": "c-7"}));
    }

    #[tokio::test]
    async fn nothing_is_written_for_what_has_ended_is_approved_or_does_not_wait() {
        let mut ended = change(6, "Outage");
        ended["status"] = json!({"outcome": "Superseded"});
        let mut agreed = change(7, "Outage");
        agreed["spec"]["approved"] = json!(true);
        let server = server(&[ended, agreed]);
        assert_eq!(approved(&server, "prod-6").await, "Findings");
        assert_eq!(approved(&server, "prod-7").await, "Fine");
        assert!(approved(&server, "prod").await.contains("neither"));
        assert_eq!(server.lock().unwrap().writes, []);
    }

    #[tokio::test]
    async fn a_name_that_means_two_things_is_refused() {
        let mut namesake = cluster();
        namesake["metadata"]["name"] = json!("prod-7");
        let server = server(&[namesake, change(7, "Outage")]);
        approved(&server, "prod-7").await;
        assert_eq!(server.lock().unwrap().writes, []);
    }
}
