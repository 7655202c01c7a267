//! `kubectl pvecm plan`: what the operator does next, on a cluster or on files.

use std::path::PathBuf;

use clap::ArgGroup;
use kube::ResourceExt as _;
use pvecm_core::change::Stage;
use pvecm_core::desired::DesiredCluster;
use pvecm_core::observed::ObservedCluster;
use pvecm_crds::{PveChange, convert};

use super::answer::{Answer, Found, Shown, ask, shown};
use super::offline;
use super::read::{self, Picture};
use crate::cli::{Connection, online};
use crate::completion;
use crate::exit::Verdict;
use crate::output::{Format, print};

/// What `plan` is told.
#[derive(Debug, clap::Args)]
#[command(group = ArgGroup::new("of").required(true).args(["cluster", "file"]))]
pub struct Args {
    /// The `PveCluster`.
    #[arg(add = completion::clusters())]
    cluster: Option<String>,
    /// Work offline: a file with the `PveCluster` that is wanted.
    #[arg(short, long, value_name = "SPEC")]
    file: Option<PathBuf>,
    /// Offline: the corosync.conf in force; without it there is no cluster yet.
    #[arg(long, value_name = "FILE", requires = "file")]
    conf: Option<PathBuf>,
    /// Offline: the datacenter.cfg in force; without it none is taken to be there.
    #[arg(long, value_name = "FILE", requires = "conf")]
    datacenter: Option<PathBuf>,
    /// Offline: what is known of the hosts, the witness among them, as `kubectl get pvehosts -o yaml` prints it.
    #[arg(long, value_name = "FILE", requires = "file")]
    hosts: Option<PathBuf>,
    /// Show what each stage changes in corosync.conf, or in datacenter.cfg.
    #[arg(long)]
    diff: bool,
    /// Print data instead of text; differences are always in it.
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

/// Plans and prints. Not fine when something stops the operator.
pub fn run(args: &Args, connection: &Connection) -> anyhow::Result<Verdict> {
    let answer = match (&args.cluster, &args.file) {
        (Some(cluster), _) => of_cluster(&online(async {
            let (client, namespace) = connection.connect().await?;
            read::picture(&client, &namespace, cluster).await
        })?)?,
        (None, Some(file)) => {
            let (conf, datacenter) = (args.conf.as_deref(), args.datacenter.as_deref());
            let files = offline::Files { spec: file, conf, datacenter };
            offline::answer(files, args.hosts.as_deref())?
        }
        (None, None) => anyhow::bail!("name a cluster, or a file"),
    };
    print(args.output, &answer, || shown(&answer, args.diff).into_bytes())?;
    Ok(Verdict::when(!answer.stopped))
}

/// The open change if there is one, else what the planner says.
pub(super) fn of_cluster(picture: &Picture) -> anyhow::Result<Answer> {
    let desired = match convert::desired(&picture.cluster) {
        Ok(desired) => desired,
        Err(why) => return Ok(Answer::invalid(picture.cluster.name_any(), &why)),
    };
    let observed = picture.observed()?;
    match picture.open() {
        Some(change) => open(change, &desired, &observed),
        None => Ok(ask(&desired, &observed)),
    }
}

fn open(
    change: &PveChange,
    desired: &DesiredCluster,
    observed: &ObservedCluster,
) -> anyhow::Result<Answer> {
    let (parent, stages) = convert::plan_stages(&change.spec.plan)?;
    let released = change.status.as_ref().map_or(0, |status| status.released_stage);
    let name = change.name_any();
    let found = Found {
        change: Some((name, u32::try_from(released)?)),
        approved: change.spec.approved,
        parent,
        stages: &stages,
    };
    let plan = Shown::of(&found, &desired.rollout, observed);
    let waits = plan.waits.is_some();
    let outdated = change.spec.plan.generation != desired.generation && released == 0;
    let gone = "this change is for an older spec: it ends unbegun and another one follows";
    Ok(Answer {
        cluster: desired.name.to_string(),
        reason: reason(waits).to_owned(),
        sentence: summary(change, &stages),
        stopped: false,
        plan: Some(plan),
        waiting_for: outdated.then(|| gone.to_owned()).into_iter().collect(),
        not_known: Vec::new(),
    })
}

const fn reason(waits: bool) -> &'static str {
    use pvecm_crds::condition::reason::{CHANGE_IN_PROGRESS, WAITING_FOR_APPROVAL};
    if waits { WAITING_FOR_APPROVAL } else { CHANGE_IN_PROGRESS }
}

fn summary(change: &PveChange, stages: &[Stage]) -> String {
    match stages.len() {
        1 => format!("{}, in one stage", change.spec.plan.summary),
        several => format!("{}, in {several} stages", change.spec.plan.summary),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::*;
    use crate::cluster::fake;

    fn picture(cluster: Value, changes: Vec<Value>) -> Picture {
        let change = |change| serde_json::from_value(change).unwrap();
        Picture {
            witness: None,
            cluster: serde_json::from_value(cluster).unwrap(),
            hosts: BTreeMap::new(),
            changes: changes.into_iter().map(change).collect(),
        }
    }

    #[test]
    fn a_change_that_waits_is_shown_with_its_risk_and_why_it_waits() {
        let answer = of_cluster(&picture(fake::cluster(), vec![fake::change(7, "NodeRestart")]));
        insta::assert_snapshot!(shown(&answer.unwrap(), true));
    }

    #[test]
    fn a_change_for_an_older_spec_is_told_from_one_that_is_wanted() {
        let mut edited = fake::cluster();
        edited["metadata"]["generation"] = json!(2);
        let answer = of_cluster(&picture(edited, vec![fake::change(7, "Live")])).unwrap();
        assert!(answer.waiting_for[0].contains("older spec"), "{:?}", answer.waiting_for);
    }

    #[test]
    fn a_spec_that_cannot_be_carried_out_is_an_answer_with_its_reason() {
        let mut twice = fake::cluster();
        let address = json!([{"link": 0, "address": "10.0.0.1"}]);
        for n in 0..2 {
            twice["spec"]["nodes"][n]["addresses"] = address.clone();
        }
        let answer = of_cluster(&picture(twice, Vec::new())).unwrap();
        assert_eq!((answer.reason.as_str(), answer.stopped), ("InvalidSpec", true));
        assert!(answer.sentence.contains("10.0.0.1"), "{}", answer.sentence);
    }

    #[test]
    fn hosts_that_nobody_hears_stop_the_plan_as_they_stop_the_operator() {
        let answer = of_cluster(&picture(fake::cluster(), Vec::new())).unwrap();
        assert_eq!((answer.reason.as_str(), answer.stopped), ("HostMissing", true));
    }
}
