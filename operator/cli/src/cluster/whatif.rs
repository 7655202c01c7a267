//! `kubectl pvecm whatif`: who keeps quorum when something fails, on a cluster or on a file.
//!
//! Owns where the file comes from and how the answer reads. What follows from a failure is `pvecm-core`'s
//! business.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use clap::ArgGroup;
use kube::ResourceExt as _;
use pvecm_core::conf::Document;
use pvecm_core::ha::HaState;
use pvecm_core::ids::NodeId;
use pvecm_core::observed::{Claim, HostView, ObservedCluster};
use pvecm_core::whatif::{Asked, Electorate, Event, Outcome, Part, SplitBrain, pairs, singles};
use serde::Serialize;

use super::{offline, read};
use crate::cli::{Connection, online};
use crate::completion;
use crate::exit::Verdict;
use crate::output::{Format, print, table};

/// What `whatif` is told.
#[derive(Debug, clap::Args)]
#[command(group = ArgGroup::new("of").required(true).args(["cluster", "conf"]))]
pub struct Args {
    /// The `PveCluster`.
    #[arg(add = completion::clusters())]
    cluster: Option<String>,
    /// Work offline: a corosync.conf that all its nodes run.
    #[arg(long, value_name = "FILE")]
    conf: Option<PathBuf>,
    /// These nodes fail at once; `witness` stands for the QDevice's host.
    #[arg(long, value_name = "NODE,...", value_delimiter = ',')]
    lose: Vec<String>,
    /// These links fail, for everybody.
    #[arg(long, value_name = "link:N,...", value_delimiter = ',')]
    cut: Vec<String>,
    /// The nodes fall into parts that do not hear each other, like `n1/n2,n3`. With `witness` in one of the
    /// parts, the others do not reach the QDevice's host.
    #[arg(long, value_name = "NODE,.../NODE,...")]
    partition: Option<String>,
    /// Every two nodes that could fail together.
    #[arg(long, conflicts_with_all = ["lose", "cut", "partition"])]
    all_pairs: bool,
    /// Print data instead of text.
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

/// What follows from each failure that was asked about.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    cluster: String,
    /// All of it in one sentence.
    verdict: String,
    failures: Vec<Told>,
    /// A way to fall apart with which two parts are quorate, whether it was asked about or not.
    #[serde(skip_serializing_if = "Option::is_none")]
    split_brain_when: Option<String>,
    /// What the file says and corosync does not do.
    notes: Vec<String>,
    /// What was taken for granted.
    assumed: Vec<String>,
}

/// One failure.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    failure: String,
    /// Whether one part goes on, and one only.
    survived: bool,
    split_brain: bool,
    verdict: String,
    #[serde(flatten)]
    outcome: Outcome,
}

/// A cluster to ask about.
struct Cluster {
    name: String,
    text: String,
    /// As far as it is known.
    ha: BTreeMap<String, HaState>,
    assumed: Vec<String>,
}

/// Foretells and prints. Not fine when something is not survived, or two parts can be quorate at once.
pub fn run(args: &Args, connection: &Connection) -> anyhow::Result<Verdict> {
    let cluster = match (&args.cluster, &args.conf) {
        (Some(name), _) => {
            let picture = online(async {
                let (client, namespace) = connection.connect().await?;
                read::picture(&client, &namespace, name).await
            })?;
            Cluster::of(&picture.cluster.name_any(), &picture.observed()?)?
        }
        (None, Some(file)) => Cluster {
            name: file.display().to_string(),
            text: offline::read(file)?,
            ha: BTreeMap::new(),
            assumed: vec!["all nodes run this file, are up and quorate".to_owned()],
        },
        (None, None) => anyhow::bail!("name a cluster, or a file"),
    };
    let answer = answer(&cluster, args)?;
    print(args.output, &answer, || shown(&answer).into_bytes())?;
    let is_safe = answer.split_brain_when.is_none();
    Ok(Verdict::when(is_safe && answer.failures.iter().all(|failure| failure.survived)))
}

impl Cluster {
    /// As the hosts report it. Hosts that disagree about the file stop the question.
    fn of(name: &str, observed: &ObservedCluster) -> anyhow::Result<Self> {
        let heard = |host: &&HostView| host.connected && host.claim == Claim::Ours;
        let hosts: Vec<&HostView> = observed.hosts.values().filter(heard).collect();
        let files = || hosts.iter().filter_map(|host| host.pmxcfs_file.as_ref());
        let digests: BTreeSet<_> = files().map(|file| file.digest).collect();
        ensure!(
            digests.len() < 2,
            "the hosts of {name} do not agree on corosync.conf: wait until they do, see `kubectl pvecm \
             status {name}`"
        );
        let text = files().find_map(|file| file.text.clone()).with_context(|| {
            format!(
                "no host of {name} that is heard reports its corosync.conf: is there a cluster yet?"
            )
        })?;
        let ha = hosts.iter().map(|host| (host.hostname.clone(), host.ha)).collect();
        let members: BTreeSet<NodeId> =
            hosts.iter().flat_map(|host| host.members.clone()).collect();
        Ok(Self { name: name.to_owned(), assumed: vec![as_if_up(&text, &members)], text, ha })
    }
}

/// The question is always about a cluster that is up as a whole.
fn as_if_up(text: &str, members: &BTreeSet<NodeId>) -> String {
    let nodes = Electorate::of(&Document::parse(text.as_bytes()));
    let nodes = nodes.iter().flat_map(Electorate::nodes);
    let away: Vec<&str> =
        nodes.filter(|node| !members.contains(&node.id)).map(|node| node.name.as_str()).collect();
    match away[..] {
        [] => "all nodes are up and quorate, as they are now".to_owned(),
        _ => format!("all nodes are up and quorate, though {} is not now", away.join(", ")),
    }
}

fn answer(cluster: &Cluster, args: &Args) -> anyhow::Result<Answer> {
    let Cluster { name, text, ha, assumed } = cluster;
    let electorate = Electorate::of(&Document::parse(text.as_bytes()))?;
    let named = |(at, state): (&String, &HaState)| {
        let node = electorate.nodes().iter().find(|node| node.name == *at)?;
        Some((node.id, *state))
    };
    let ha = ha.iter().filter_map(named).collect();
    let failure = |event: &Event| {
        let outcome = Outcome::of(&electorate, event)?;
        anyhow::Ok(Told {
            failure: event.called(&electorate).to_string(),
            survived: outcome.is_survived(),
            split_brain: outcome.is_split_brain(),
            verdict: outcome.verdict(&ha),
            outcome,
        })
    };
    let events = events(&electorate, args)?;
    let failures = events.iter().map(failure).collect::<Result<Vec<_>, _>>()?;
    let mut assumed = assumed.clone();
    let split_brain_when = match SplitBrain::of(&electorate) {
        SplitBrain::Impossible => None,
        SplitBrain::Possible(event) => Some(event.called(&electorate).to_string()),
        SplitBrain::Unknown => {
            assumed.push(
                "no way to fall in two leaves both parts quorate: there are too many".to_owned(),
            );
            None
        }
    };
    Ok(Answer {
        cluster: name.clone(),
        verdict: verdict(&failures, args.all_pairs),
        failures,
        split_brain_when,
        notes: electorate.notes().to_vec(),
        assumed,
    })
}

fn events(electorate: &Electorate, args: &Args) -> anyhow::Result<Vec<Event>> {
    let Args { lose, cut, partition, all_pairs, .. } = args;
    if *all_pairs {
        let pairs = pairs(electorate);
        ensure!(!pairs.is_empty(), "a pair is lost only where a third node is left");
        return Ok(pairs);
    }
    if lose.is_empty() && cut.is_empty() && partition.is_none() {
        return Ok(singles(electorate));
    }
    let asked = Asked { lose: lose.clone(), cut: cut.clone(), partition: partition.clone() };
    Ok(vec![Event::read(electorate, &asked)?])
}

fn verdict(failures: &[Told], pairs: bool) -> String {
    if let [only] = failures {
        return format!("{}: {}", only.failure, only.verdict);
    }
    let what = if pairs { "pairs of nodes" } else { "single failures" };
    let fatal: Vec<&str> = failures
        .iter()
        .filter(|failure| !failure.survived)
        .map(|failure| failure.failure.as_str())
        .collect();
    let all = failures.len();
    match fatal[..] {
        [] => format!("each of {all} {what} is survived"),
        _ => format!(
            "{} of {all} {what} are survived; not survived: {}",
            all - fatal.len(),
            fatal.join("; ")
        ),
    }
}

fn shown(answer: &Answer) -> String {
    let Answer { cluster, verdict, failures, split_brain_when, notes, assumed } = answer;
    let mut out = format!("{cluster}: {verdict}\n");
    out.push_str(&match &failures[..] {
        [only] => table(
            ["PART", "VOTES", "NEEDED", "DEVICE", "QUORUM"],
            &only.outcome.parts.iter().flat_map(rows).collect::<Vec<_>>(),
        ),
        several => table(
            ["FAILURE", "SURVIVED", "WHAT FOLLOWS"],
            &several.iter().map(row).collect::<Vec<_>>(),
        ),
    });
    if let Some(when) = split_brain_when {
        out.push_str(&format!(
            "SPLIT BRAIN is possible: with {when} two parts keep quorum, and each starts the guests of the \
             other\n"
        ));
    }
    for note in notes {
        out.push_str(&format!("Note: {note}\n"));
    }
    for taken in assumed {
        out.push_str(&format!("Taken for granted: {taken}\n"));
    }
    out
}

fn row(failure: &Told) -> [String; 3] {
    let survived = match (failure.survived, failure.split_brain) {
        (true, _) => "yes",
        (false, true) => "SPLIT",
        (false, false) => "no",
    };
    [failure.failure.clone(), survived.to_owned(), failure.verdict.clone()]
}

/// A part; one row for those that see the device alike.
fn rows(part: &Part) -> Vec<[String; 5]> {
    let yes = |is: bool| if is { "yes" } else { "no" }.to_owned();
    let alike = |has_device: bool| {
        let members: Vec<_> =
            part.members.iter().filter(|member| member.has_device == has_device).collect();
        let first = *members.first()?;
        let names: Vec<&str> = members.iter().map(|member| member.name.as_str()).collect();
        let mut needed = part.needed.to_string();
        if let Some(millis) = part.lowered_after_millis {
            needed.push_str(&format!(" after {} s", millis / 1000));
        }
        let votes = format!("{} of {}", first.present, part.expected);
        let device = if has_device { "yes" } else { "-" }.to_owned();
        Some([names.join(", "), votes, needed, device, yes(first.quorate)])
    };
    [true, false].into_iter().filter_map(alike).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(words: &str) -> Args {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            args: Args,
        }
        let words = ["whatif"].into_iter().chain(words.split_whitespace());
        <Line as clap::Parser>::try_parse_from(words).unwrap().args
    }

    /// Nodes n1, n2, ... on two links, with these lines of `quorum`.
    fn cluster(nodes: u32, quorum: &str) -> Cluster {
        let node = |n: u32| {
            format!(
                "  node {{\n    name: n{n}\n    nodeid: {n}\n    ring0_addr: 10.0.0.{n}\n    \
                 ring1_addr: 10.0.1.{n}\n  }}\n"
            )
        };
        let nodes: String = (1..=nodes).map(node).collect();
        let text = format!(
            "totem {{\n  version: 2\n  cluster_name: prod\n  config_version: 1\n  secauth: on\n}}\n\
             nodelist {{\n{nodes}}}\nquorum {{\n  provider: corosync_votequorum\n{quorum}}}\n"
        );
        Cluster { name: "prod".to_owned(), text, ha: BTreeMap::new(), assumed: Vec::new() }
    }

    fn told(cluster: &Cluster, words: &str) -> String {
        match answer(cluster, &args(words)) {
            Ok(answer) => format!("$ whatif {words}\n{}\n", shown(&answer)),
            Err(why) => format!("$ whatif {words}\nerror: {why:#}\n\n"),
        }
    }

    #[test]
    fn an_answer_fits_on_one_screen() {
        let lms = "  device {\n    model: net\n    net {\n      host: w1\n      algorithm: lms\n      \
                   tie_breaker: 3\n    }\n  }\n";
        let ffsplit =
            "  device {\n    model: net\n    votes: 1\n    net {\n      host: w1\n    }\n  }\n";
        let odd = "  auto_tie_breaker: 1\n";
        let said = [
            told(&cluster(3, ""), "prod"),
            told(&cluster(4, ffsplit), "prod"),
            told(&cluster(4, ffsplit), "prod --all-pairs"),
            told(&cluster(3, ""), "prod --lose n1"),
            told(&cluster(3, ""), "prod --lose n1,n3"),
            told(&cluster(3, odd), "prod --cut link:0,link:1"),
            told(&cluster(4, lms), "prod --partition n1,n2/n3,n4"),
            told(&cluster(4, ffsplit), "prod --lose witness --partition n1,n2/n3,n4"),
            told(&cluster(2, "  two_node: 1\n"), "prod"),
            told(&cluster(2, "  two_node: 1\n"), "prod --partition n1/n2"),
            told(&cluster(4, "  two_node: 1\n"), "prod --lose n1"),
            told(&cluster(5, "  last_man_standing: 1\n"), "prod --lose n1,n2"),
        ];
        insta::assert_snapshot!(said.concat());
    }

    #[test]
    fn a_question_that_makes_no_sense_is_refused_in_words() {
        let three = cluster(3, "");
        let said = [
            "prod --lose n7",
            "prod --lose witness",
            "prod --lose n1,n2,n3",
            "prod --cut link:4",
            "prod --cut 0",
            "prod --partition n1",
            "prod --partition n1/n2",
            "prod --partition n1/n2,n3,n1",
            "prod --lose n1 --partition n1/n2,n3",
        ];
        let said = said.map(|words| told(&three, words)).concat();
        insta::assert_snapshot!(said + &told(&cluster(2, ""), "prod --all-pairs"));
    }

    /// Three hosts that report this cluster, all well.
    fn observed() -> ObservedCluster {
        let mut hosts = offline::members(&cluster(3, "").text, &offline::Facts::new()).unwrap();
        for host in hosts.values_mut() {
            host.claim = Claim::Ours;
        }
        ObservedCluster { hosts, ..ObservedCluster::default() }
    }

    #[test]
    fn a_cluster_is_asked_about_as_its_hosts_report_it() {
        let mut observed = observed();
        let of = |observed: &ObservedCluster| Cluster::of("prod", observed).unwrap();
        assert_eq!(of(&observed).assumed, ["all nodes are up and quorate, as they are now"]);
        for (name, host) in &mut observed.hosts {
            host.connected = name.as_str() != "n3";
            host.members.retain(|id| id.get() != 3);
            host.ha = HaState::Active;
        }
        let cluster = of(&observed);
        assert_eq!(cluster.assumed, ["all nodes are up and quorate, though n3 is not now"]);
        let verdict = answer(&cluster, &args("prod --lose n1,n3")).unwrap().verdict;
        assert!(verdict.ends_with("and reset by high availability after about 60 s"), "{verdict}");
    }

    /// An answer about a file that only some of them run would be about no cluster at all.
    #[test]
    fn hosts_that_disagree_or_say_nothing_stop_the_question() {
        let mut observed = observed();
        let why = |observed: &ObservedCluster| {
            Cluster::of("prod", observed).map(|cluster| cluster.text).unwrap_err().to_string()
        };
        let file = observed.hosts.values_mut().next().unwrap().pmxcfs_file.as_mut().unwrap();
        file.digest = pvecm_core::ids::Digest::of(b"another");
        assert!(why(&observed).contains("do not agree on corosync.conf"), "{}", why(&observed));
        for host in observed.hosts.values_mut() {
            host.claim = Claim::Other("test".to_owned());
        }
        assert!(why(&observed).contains("is there a cluster yet?"), "{}", why(&observed));
    }

    #[test]
    fn what_high_availability_does_is_told_of_the_hosts_that_report_it() {
        let mut three = cluster(3, "");
        three.ha.insert("n1".to_owned(), HaState::Active);
        let verdict = |cluster: &Cluster| {
            answer(cluster, &args("prod --partition n1/n2,n3")).unwrap().verdict
        };
        assert!(verdict(&three).ends_with("and reset by high availability after about 60 s"));
        three.ha.insert("n1".to_owned(), HaState::Idle);
        assert!(verdict(&three).ends_with("n1 stands still, with /etc/pve read-only"));
    }
}
