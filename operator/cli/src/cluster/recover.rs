//! `kubectl pvecm recover`: lost quorum, on a person's word for every machine that is given up.
//!
//! Asks, states the absences, waits for the operator's plan, shows it, and approves that one. Everything that it does
//! can be done with `host dead`, `plan` and `approve`; whether it is safe is decided by the operator and the hosts.

use std::collections::BTreeSet;
use std::io::{IsTerminal as _, Write as _, stdin, stdout};
use std::time::Duration;

use anyhow::Context as _;
use jiff::{SignedDuration, Timestamp};
use kube::{Client, ResourceExt as _};
use pvecm_core::desired::DesiredCluster;
use pvecm_core::quorum::is_quorate;
use pvecm_crds::host::AbsenceKind;
use pvecm_crds::{PveChange, change::Risk, convert};
use tokio::time::{Instant, sleep};

use super::answer::shown;
use super::read::{self, Picture};
use super::{approve, plan};
use crate::cli::Connection;
use crate::completion;
use crate::exit::Verdict;
use crate::host::absence::{self, Statement};

const LOOK: Duration = Duration::from_secs(1);

/// What `recover` is told.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The `PveCluster`.
    #[arg(add = completion::clusters())]
    cluster: String,
    /// The nodes that are left: all of them.
    #[arg(long, value_name = "NODES", value_delimiter = ',', required = true)]
    survivors: Vec<String>,
    /// The nodes whose machines are powered off and never come back as what they were: all others.
    #[arg(long, value_name = "NODES", value_delimiter = ',', required = true)]
    dead: Vec<String>,
    /// How you know, in words: "room 2 burnt down".
    #[arg(long, value_name = "TEXT")]
    because: String,
    /// How long the statements may be acted upon.
    #[arg(long = "for", default_value = "1h", value_name = "DURATION")]
    holds: SignedDuration,
    /// Instead of being asked: the dead once more, by name.
    #[arg(long, value_name = "NODES", value_delimiter = ',')]
    yes_they_are_off: Option<Vec<String>>,
    /// How long to wait for the plan.
    #[arg(long, default_value = "2m", value_name = "DURATION")]
    timeout: SignedDuration,
}

/// Asks a person and returns what was typed; `None` where there is no terminal.
type Ask<'a> = &'a mut dyn FnMut(&str) -> anyhow::Result<Option<String>>;

/// Recovers quorum.
pub async fn run(args: &Args, connection: &Connection) -> anyhow::Result<Verdict> {
    let (client, namespace) = connection.connect().await?;
    recover(&client, &namespace, args, &mut typed).await
}

fn typed(question: &str) -> anyhow::Result<Option<String>> {
    if !stdin().is_terminal() {
        return Ok(None);
    }
    print!("{question}: ");
    stdout().flush()?;
    let mut line = String::new();
    stdin().read_line(&mut line).context("cannot read what is typed")?;
    Ok(Some(line.trim().to_owned()))
}

async fn recover(
    client: &Client,
    namespace: &str,
    args: &Args,
    ask: Ask<'_>,
) -> anyhow::Result<Verdict> {
    let picture = read::picture(client, namespace, &args.cluster).await?;
    let desired = convert::desired(&picture.cluster)?;
    if let Err(why) = refuse(args, &picture, &desired) {
        return Ok(Verdict::refused(&why));
    }
    println!("{}", who_wins(args, &picture));
    if let Err(why) = are_off(args, ask)? {
        return Ok(Verdict::refused(&why));
    }
    for name in &args.dead {
        let because = args.because.clone();
        let dead = Statement { kind: AbsenceKind::Dead, because, holds: Some(args.holds) };
        let host = host_of(&desired, name).context("no such node")?;
        let stated = (host.as_str(), Some(dead));
        if absence::set(client, namespace, stated, Timestamp::now()).await? != Verdict::Fine {
            return Ok(Verdict::Findings);
        }
    }
    let picture = proposed(client, namespace, args).await?;
    let Some(change) = offered(&picture) else {
        let report = picture.cluster.status.as_ref().and_then(|status| status.plan.as_ref());
        let why = report.map_or("the operator has not answered", |plan| plan.sentence.as_str());
        return Ok(Verdict::refused(&format!("there is no plan of a recovery: {why}")));
    };
    print!("{}", shown(&plan::of_cluster(&picture)?, true));
    let is_agreed = args.yes_they_are_off.is_some()
        || ask(&format!("Type {} to approve it", args.cluster))?.as_ref() == Some(&args.cluster);
    if !is_agreed {
        return Ok(Verdict::refused(&format!(
            "not approved; take the statements back with `kubectl pvecm host back`, or approve it with \
             `kubectl pvecm approve {}`",
            change.name_any()
        )));
    }
    approve::approve(client, namespace, &change.name_any()).await
}

/// What can be seen from here. The rest is the operator's.
fn refuse(args: &Args, picture: &Picture, desired: &DesiredCluster) -> Result<(), String> {
    let [survivors, dead] = [&args.survivors, &args.dead].map(|names| names.iter().collect());
    let (survivors, dead): (BTreeSet<&String>, BTreeSet<&String>) = (survivors, dead);
    let status = picture.cluster.status.as_ref();
    let nodes = status.into_iter().flat_map(|status| &status.nodes);
    let listed: BTreeSet<_> =
        nodes.filter(|node| node.node_id.is_some()).map(|node| &node.name).collect();
    if let Some(name) = survivors.intersection(&dead).next() {
        return Err(format!("{name} is named as a survivor and as dead"));
    }
    let named: BTreeSet<_> = survivors.union(&dead).copied().collect();
    if let Some(name) = named.symmetric_difference(&listed).next() {
        let is_forgotten = listed.contains(name);
        return Err(if is_forgotten {
            format!("{name} is a node of {} and in neither list", args.cluster)
        } else {
            format!("{name} is no node of {}", args.cluster)
        });
    }
    for name in &named {
        let host = host_of(desired, name).and_then(|host| picture.hosts.get(&host.parse().ok()?));
        let Some(host) = host else {
            return Err(format!("{name} is not in `spec.nodes`, or has no PveHost"));
        };
        match (dead.contains(name), read::heard(host)) {
            (true, true) => return Err(format!("{name} is not dead: its agent is heard")),
            (false, false) => return Err(format!("{name} is no survivor: its agent is not heard")),
            _ => {}
        }
    }
    Ok(())
}

fn host_of(desired: &DesiredCluster, name: &str) -> Option<String> {
    let node = desired.nodes.iter().find(|node| node.name.as_str() == name);
    node.map(|node| node.host.to_string())
}

/// To whom the dead would be a cluster, this is the moment to look at their plugs.
fn who_wins(args: &Args, picture: &Picture) -> String {
    let status = picture.cluster.status.as_ref();
    let nodes: Vec<_> = status.into_iter().flat_map(|status| &status.nodes).collect();
    let held = |dead: bool| -> u64 {
        let of = nodes.iter().filter(|node| !dead || args.dead.contains(&node.name));
        of.map(|node| u64::try_from(node.votes.unwrap_or(1)).unwrap_or(0)).sum()
    };
    let (theirs, all, dead) = (held(true), held(false), args.dead.join(", "));
    if is_quorate(theirs, all) {
        format!(
            "{dead} hold {theirs} of {all} votes: if they run, or are switched on together, they are a second quorate \
             cluster, and both start the guests of the other."
        )
    } else {
        format!("{dead} hold {theirs} of {all} votes: alone they are not quorate.")
    }
}

/// A machine is off because somebody looked at it, so each is asked for.
fn are_off(args: &Args, ask: Ask<'_>) -> anyhow::Result<Result<(), String>> {
    let dead: BTreeSet<_> = args.dead.iter().collect();
    if let Some(off) = &args.yes_they_are_off {
        let fits = off.iter().collect::<BTreeSet<_>>() == dead;
        let why = "`--yes-they-are-off` has to name the same nodes as `--dead`";
        return Ok(if fits { Ok(()) } else { Err(why.to_owned()) });
    }
    for name in dead {
        match ask(&format!("Is {name} powered off for good? Type {name}"))? {
            Some(said) if said == *name => {}
            Some(_) => return Ok(Err("nothing was done".to_owned())),
            None => {
                let dead = args.dead.join(",");
                return Ok(Err(format!(
                    "nobody can be asked here: say `--yes-they-are-off {dead}`"
                )));
            }
        }
    }
    Ok(Ok(()))
}

/// The cluster with the plan, or as it is when the patience ends.
async fn proposed(client: &Client, namespace: &str, args: &Args) -> anyhow::Result<Picture> {
    let until = Instant::now() + args.timeout.unsigned_abs();
    loop {
        let picture = read::picture(client, namespace, &args.cluster).await?;
        if offered(&picture).is_some() || Instant::now() >= until {
            return Ok(picture);
        }
        sleep(LOOK).await;
    }
}

fn offered(picture: &Picture) -> Option<&PveChange> {
    picture.open().filter(|change| change.spec.plan.risk == Risk::Recovery)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::cluster::fake::{change, client, cluster, server};

    fn args(words: &[&str]) -> Args {
        use clap::Parser as _;
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            args: Args,
        }
        let line = ["recover", "prod", "--because", "burnt", "--timeout", "0s"];
        Line::parse_from([&line, words].concat()).args
    }

    const WORDS: [&str; 4] = ["--survivors", "n1", "--dead", "n2,n3"];

    fn host(name: &str, connected: bool) -> Value {
        let connected = if connected { "True" } else { "False" };
        json!({
            "apiVersion": "pvecm.io/v1alpha1", "kind": "PveHost",
            "metadata": {"name": name, "namespace": "pve", "resourceVersion": "7"}, "spec": {},
            "status": {"hostname": name, "conditions": [{
                "type": "Connected", "status": connected, "reason": "Lease", "message": "",
                "lastTransitionTime": "1970-01-01T00:00:00Z",
            }]},
        })
    }

    fn lost() -> Vec<Value> {
        let mut cluster = cluster();
        let node =
            |n: u32| json!({"name": format!("n{n}"), "nodeId": n, "votes": 1, "online": false});
        cluster["status"] = json!({
            "nodes": [node(1), node(2), node(3)], "plan": {"sentence": "n1 sees n2"},
        });
        let hosts = [host("n1", true), host("n2", false), host("n3", false)];
        [vec![cluster], hosts.to_vec(), vec![change(7, "Recovery")]].concat()
    }

    /// The verdict, what was asked, and what was written.
    async fn said(
        objects: &[Value],
        args: &Args,
        answers: &[&str],
    ) -> (Verdict, Vec<String>, Vec<Value>) {
        let server = server(objects);
        let (mut asked, mut answers) = (Vec::new(), answers.iter());
        let mut ask = |question: &str| {
            asked.push(question.to_owned());
            Ok(answers.next().map(|word| (*word).to_owned()))
        };
        let verdict = recover(&client(&server), "pve", args, &mut ask).await.unwrap();
        let writes = server.lock().unwrap().writes.clone();
        (verdict, asked, writes.into_iter().map(|(_, body)| body["spec"].clone()).collect())
    }

    #[tokio::test]
    async fn each_of_the_dead_is_asked_for_and_stated_with_an_end_before_the_plan_is_approved() {
        let (verdict, asked, written) = said(&lost(), &args(&WORDS), &["n2", "n3", "prod"]).await;
        assert_eq!((verdict, asked.len(), written.len()), (Verdict::Fine, 3, 3));
        for stated in &written[..2] {
            assert_eq!(stated["absence"]["kind"], "Dead");
            assert!(stated["absence"]["until"].is_string(), "{stated}");
        }
        assert_eq!(written[2], json!({"approved": true}));
    }

    #[tokio::test]
    async fn another_word_ends_it_and_a_pipe_has_to_name_them() {
        for answers in [&["n2", "n2"][..], &["yes"], &[]] {
            let (verdict, _, written) = said(&lost(), &args(&WORDS), answers).await;
            assert_eq!((verdict, written.len()), (Verdict::Findings, 0), "{answers:?}");
        }
        let (verdict, _, written) = said(&lost(), &args(&WORDS), &["n2", "n3", "no"]).await;
        assert_eq!((verdict, written.len()), (Verdict::Findings, 2), "stated, and not approved");
        let named = |names| args(&[&WORDS[..], &["--yes-they-are-off", names]].concat());
        let (verdict, asked, written) = said(&lost(), &named("n3,n2"), &[]).await;
        assert_eq!((verdict, asked.len(), written.len()), (Verdict::Fine, 0, 3));
        let (verdict, _, written) = said(&lost(), &named("n2"), &[]).await;
        assert_eq!((verdict, written.len()), (Verdict::Findings, 0));
    }

    /// A forgotten node may run somewhere, and one that is heard does.
    #[tokio::test]
    async fn every_node_is_named_once_and_heard_as_it_is_said() {
        let everybody = ["n2", "n3", "prod"];
        for words in [["n1", "n2"], ["n1,n2", "n2,n3"], ["n1", "n2,n3,n4"], ["n1,n2", "n3"]] {
            let words = args(&["--survivors", words[0], "--dead", words[1]]);
            let (verdict, _, written) = said(&lost(), &words, &everybody).await;
            assert_eq!((verdict, written.len()), (Verdict::Findings, 0), "{words:?}");
        }
        let mut alive = lost();
        alive[2] = host("n2", true);
        let (verdict, _, written) = said(&alive, &args(&WORDS), &everybody).await;
        assert_eq!((verdict, written.len()), (Verdict::Findings, 0));
    }

    #[tokio::test]
    async fn only_the_plan_of_a_recovery_is_approved() {
        let mut other = lost();
        other[4] = change(7, "NodeRestart");
        let (verdict, _, written) = said(&other, &args(&WORDS), &["n2", "n3", "prod"]).await;
        assert_eq!((verdict, written.len()), (Verdict::Findings, 2), "the statements alone");
    }

    #[tokio::test]
    async fn the_first_line_says_who_would_win() {
        let server = server(&lost());
        let picture = read::picture(&client(&server), "pve", "prod").await.unwrap();
        let said = who_wins(&args(&WORDS), &picture);
        assert!(said.starts_with("n2, n3 hold 2 of 3 votes: if they run"), "{said}");
        let said = who_wins(&args(&["--survivors", "n1,n2", "--dead", "n3"]), &picture);
        assert!(said.ends_with("not quorate."), "{said}");
    }
}
