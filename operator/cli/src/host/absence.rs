//! `kubectl pvecm host dead|away|back`: `spec.absence`, a person's statement that a machine is powered off.

use anyhow::Context as _;
use jiff::{SignedDuration, Timestamp};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, ResourceExt as _};
use pvecm_crds::PveHost;
use pvecm_crds::host::AbsenceKind;
use serde_json::{Value, json};

use super::enrol::FIELD_MANAGER;
use crate::cli::Connection;
use crate::cluster::heard;
use crate::exit::Verdict;
use crate::owner::owner;

/// What is stated.
#[derive(Debug, Clone)]
pub struct Statement {
    /// Whether the machine comes back.
    pub kind: AbsenceKind,
    /// How the person knows.
    pub because: String,
    /// How long it may be acted upon; without it, until it is taken back.
    pub holds: Option<SignedDuration>,
}

/// States the absence of a host, or takes the statement back.
pub async fn run(
    name: &str,
    statement: Option<Statement>,
    connection: &Connection,
) -> anyhow::Result<Verdict> {
    let (client, namespace) = connection.connect().await?;
    set(&client, &namespace, (name, statement), Timestamp::now()).await
}

/// The same with a client.
pub async fn set(
    client: &Client,
    namespace: &str,
    (name, statement): (&str, Option<Statement>),
    now: Timestamp,
) -> anyhow::Result<Verdict> {
    let api: Api<PveHost> = Api::namespaced(client.clone(), namespace);
    let host = api.get(name).await.with_context(|| format!("cannot read PveHost {name}"))?;
    if let Some(owner) = owner(&host, &["spec", "absence"]) {
        return Ok(Verdict::refused(&format!(
            "`spec.absence` of {name} is kept by {owner}, which would put it back: change it there"
        )));
    }
    let is_dead = statement.as_ref().is_some_and(|stated| stated.kind == AbsenceKind::Dead);
    if is_dead && heard(&host) {
        return Ok(Verdict::refused(&format!(
            "{name} is not dead: its agent is heard; power the machine off first, or name another one"
        )));
    }
    let absence = statement.as_ref().map_or(Ok(Value::Null), |stated| absence(stated, now))?;
    // Bound to the object that was judged.
    let patch = json!({
        "metadata": {"resourceVersion": host.resource_version()}, "spec": {"absence": absence},
    });
    let params =
        PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    let applied = api.patch(name, &params, &Patch::Merge(&patch)).await;
    applied.with_context(|| format!("cannot set `spec.absence` of {name}"))?;
    println!("{}", said(name, statement.map(|stated| stated.kind)));
    Ok(Verdict::Fine)
}

fn absence(stated: &Statement, now: Timestamp) -> anyhow::Result<Value> {
    let Statement { kind, because, holds } = stated;
    let mut absence = json!({"kind": kind, "because": because});
    if let Some(holds) = holds {
        let end = now.checked_add(*holds).context("`--for` is longer than time lasts")?;
        absence["until"] = json!(end.round(jiff::Unit::Second).context("no such time")?);
    }
    Ok(absence)
}

fn said(name: &str, kind: Option<AbsenceKind>) -> String {
    let back = format!("take that back with `kubectl pvecm host back {name}`");
    match kind {
        Some(AbsenceKind::Dead) => format!(
            "{name} is declared dead: the others take it off their list once none of them hears it, and take another \
             authkey; {back}"
        ),
        Some(AbsenceKind::Away) => {
            format!(
                "{name} is declared away: it stays a member; once nobody hears it, links, timing, logging and \
                 datacenter.cfg change without it, and all else waits for it; {back}"
            )
        }
        None => format!("{name} is expected to be there"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::fake::{client, server};

    fn host(connected: &str) -> Value {
        json!({
            "apiVersion": "pvecm.io/v1alpha1", "kind": "PveHost",
            "metadata": {"name": "n3", "namespace": "pve", "resourceVersion": "7"}, "spec": {},
            "status": {"conditions": [{
                "type": "Connected", "status": connected, "reason": "Lease", "message": "",
                "lastTransitionTime": "1970-01-01T00:00:00Z",
            }]},
        })
    }

    fn dead(holds: Option<SignedDuration>) -> Statement {
        Statement { kind: AbsenceKind::Dead, because: "PDU port 7 off".to_owned(), holds }
    }

    /// The verdict, and what was written as `spec.absence`.
    async fn written(object: Value, statement: Option<Statement>) -> (Verdict, Vec<Value>) {
        let server = server(&[object]);
        let asked = ("n3", statement);
        let verdict = set(&client(&server), "pve", asked, Timestamp::UNIX_EPOCH).await.unwrap();
        let writes = server.lock().unwrap().writes.clone();
        for (query, body) in &writes {
            assert!(query.contains("fieldManager=pvecm"), "{query}");
            assert_eq!(body["metadata"]["resourceVersion"], "7");
        }
        (verdict, writes.into_iter().map(|(_, body)| body["spec"]["absence"].clone()).collect())
    }

    #[tokio::test]
    async fn a_silent_host_is_declared_dead_with_the_reason_and_an_end() {
        let stated = json!({"kind": "Dead", "because": "PDU port 7 off"});
        assert_eq!(
            written(host("False"), Some(dead(None))).await,
            (Verdict::Fine, vec![stated.clone()])
        );
        let mut ends = stated;
        ends["until"] = json!("1970-01-01T01:00:00Z");
        let hour = Some(SignedDuration::from_hours(1));
        assert_eq!(written(host("False"), Some(dead(hour))).await.1, [ends]);
    }

    #[tokio::test]
    async fn a_host_that_is_heard_is_not_dead_and_may_be_sent_away() {
        assert_eq!(written(host("True"), Some(dead(None))).await, (Verdict::Findings, Vec::new()));
        let away = Statement { kind: AbsenceKind::Away, ..dead(None) };
        let (verdict, written) = written(host("True"), Some(away)).await;
        assert_eq!((verdict, &written[0]["kind"]), (Verdict::Fine, &json!("Away")));
    }

    #[tokio::test]
    async fn a_statement_is_taken_back_unless_somebody_else_keeps_it() {
        assert_eq!(written(host("False"), None).await, (Verdict::Fine, vec![Value::Null]));
        let mut kept = host("False");
        kept["metadata"]["managedFields"] = json!([{
            "manager": "kustomize-controller", "operation": "Apply", "apiVersion": "pvecm.io/v1alpha1",
            "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:absence": {"f:kind": {}}}},
        }]);
        assert_eq!(written(kept, None).await, (Verdict::Findings, Vec::new()));
    }
}
