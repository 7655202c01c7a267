//! `kubectl pvecm plan`: what the operator does next, on a cluster or on files.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::ArgGroup;
use pvecm_core::change::Stage;
use pvecm_core::desired::DesiredCluster;
use pvecm_core::observed::ObservedCluster;
use pvecm_crds::unsupported::not_supported;
use pvecm_crds::{PveChange, PveCluster, convert};

use super::answer::{Answer, Found, Shown, ask, shown};
use super::offline;
use super::read::{self, Picture};
use crate::cli::Connection;
use crate::output::{Format, print, refuse};

/// What `plan` is told.
#[derive(Debug, clap::Args)]
#[command(group = ArgGroup::new("of").required(true).args(["cluster", "file"]))]
pub struct Args {
    /// The `PveCluster`.
    cluster: Option<String>,
    /// Work offline: a file with the `PveCluster` that is wanted.
    #[arg(short, long, value_name = "SPEC")]
    file: Option<PathBuf>,
    /// Offline: the corosync.conf in force; without it there is no cluster yet.
    #[arg(long, value_name = "FILE", requires = "file")]
    conf: Option<PathBuf>,
    /// Offline: what is known of the hosts, as `kubectl get pvehosts -o yaml` prints it.
    #[arg(long, value_name = "FILE", requires = "file")]
    hosts: Option<PathBuf>,
    /// Show what each stage changes in corosync.conf.
    #[arg(long)]
    diff: bool,
    /// Print data instead of text; differences are always in it.
    #[arg(short, long)]
    output: Option<Format>,
}

/// Plans and prints. Refused, as an exit code, when something stops the operator.
pub async fn run(args: Args, connection: &Connection) -> anyhow::Result<ExitCode> {
    let answer = match (&args.cluster, &args.file) {
        (Some(cluster), _) => {
            let (client, namespace) = connection.connect().await?;
            online(&read::picture(&client, &namespace, cluster).await?)?
        }
        (None, Some(file)) => {
            let files = offline::Files { spec: file, conf: args.conf.as_deref() };
            offline::answer(files, args.hosts.as_deref())?
        }
        (None, None) => anyhow::bail!("name a cluster, or a file"),
    };
    print(args.output, &answer, |answer| shown(answer, args.diff))?;
    Ok(if answer.stopped { refuse("nothing can be planned now") } else { ExitCode::SUCCESS })
}

/// What is wanted, or why it cannot be carried out whatever the hosts say.
pub fn wanted(cluster: &PveCluster) -> anyhow::Result<DesiredCluster> {
    let fields: Vec<_> = not_supported(cluster).iter().map(ToString::to_string).collect();
    anyhow::ensure!(fields.is_empty(), "not supported yet: {}", fields.join(", "));
    convert::desired(cluster).context("the spec cannot be carried out")
}

/// The open change if there is one, else what the planner says.
fn online(picture: &Picture) -> anyhow::Result<Answer> {
    let desired = wanted(&picture.cluster)?;
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
    let name = change.metadata.name.clone().unwrap_or_default();
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
