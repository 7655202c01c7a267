//! A plan with its texts read, as the guards look at it.
//!
//! Owns the walk from text to text: what was in force before each stage and who ran then. Reads
//! everything from the bytes; the planner's own idea of them is not used.

use std::collections::{BTreeMap, BTreeSet};

use super::away;
use super::refusal::Refusal;
use crate::change::{Action, ConfText, Course, Plan, Proposed, Stage};
use crate::conf::{Config, Document};
use crate::desired::{DesiredCluster, DesiredNode};
use crate::ids::{HostName, NodeId, NodeName};
use crate::leaving::has_left;
use crate::observed::{HostView, ObservedCluster};
use crate::quorum::Votes;
use crate::separation::separates;

/// Everything that a guard may look at.
#[derive(Debug)]
pub(super) struct Case<'a> {
    pub desired: &'a DesiredCluster,
    pub observed: &'a ObservedCluster,
    /// The nodes that the spec names no more.
    leaving: &'a [DesiredNode],
    /// Members that are to leave and that have stopped already.
    pub stopped: BTreeSet<NodeId>,
    /// Members that are away by a person's word and that nobody hears.
    pub away: BTreeSet<NodeId>,
    /// The text that the plan starts from.
    pub parent: Option<Text>,
    /// The nodes of that text which run, as far as their hosts say anything at all.
    pub members: BTreeSet<NodeId>,
    pub steps: Vec<Step<'a>>,
}

/// A stage with its texts read.
#[derive(Debug)]
pub(super) struct Step<'a> {
    /// Counted from 1.
    pub number: usize,
    pub stage: &'a Stage,
    /// In force before the stage; nothing before a cluster is formed.
    pub before: Option<Text>,
    pub config: Text,
    pub back: Option<Text>,
    /// The nodes that are members before the stage, also the one that restarts or stops in it.
    pub running: BTreeSet<NodeId>,
    /// The nodes that stop in it for good.
    pub stops: BTreeSet<NodeId>,
}

/// A text, read.
#[derive(Debug, Clone)]
pub(super) struct Text {
    pub conf: ConfText,
    pub document: Document,
    pub config: Config,
}

impl Text {
    fn read(conf: &ConfText, stage: usize) -> Result<Self, Refusal> {
        let document = Document::parse(conf.text.as_bytes());
        let config = Config::read(&document)
            .map_err(|error| Refusal::TextNotUnderstood { stage, why: error.to_string() })?;
        Ok(Self { conf: conf.clone(), document, config })
    }

    pub fn ids(&self) -> BTreeSet<NodeId> {
        self.config.nodes.iter().map(|node| node.id).collect()
    }

    pub fn votes(&self) -> Votes {
        self.config.nodes.iter().map(|node| (node.id, node.votes())).collect()
    }
}

impl<'a> Case<'a> {
    /// Reads all texts of a plan.
    pub fn read(
        plan: &'a Plan<Proposed>,
        (desired, leaving): (&'a DesiredCluster, &'a [DesiredNode]),
        observed: &'a ObservedCluster,
    ) -> Result<Self, Refusal> {
        if plan.stages.is_empty() {
            return Err(Refusal::EmptyPlan);
        }
        if plan.generation != desired.generation {
            let (plan, spec) = (plan.generation, desired.generation);
            return Err(Refusal::WrongGeneration { plan, spec });
        }
        let parent = read_parent(plan, observed)?;
        let (members, stopped, away) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let mut case =
            Self { desired, observed, leaving, stopped, away, parent, members, steps: Vec::new() };
        case.stopped = case.stopped();
        case.away = away::left_out(&case);
        case.members = case.members();
        let mut before = case.parent.clone();
        let mut running = case.members.clone();
        for (number, stage) in (1..).zip(&plan.stages) {
            let config = Text::read(&stage.config, number)?;
            let back = stage.back.as_ref().map(|back| Text::read(back, number)).transpose()?;
            let after = config.clone();
            let going = case.stopping(stage, &config);
            let members = running.clone();
            running.extend(stage.joining.keys());
            running.retain(|id| !going.contains(id));
            case.steps.push(Step {
                number,
                stage,
                before,
                config,
                back,
                running: members,
                stops: going,
            });
            before = Some(after);
        }
        Ok(case)
    }

    /// Members that are to leave and whose hosts say that corosync does not run, or are dead by a person's word.
    fn stopped(&self) -> BTreeSet<NodeId> {
        let listed = self.parent.iter().flat_map(|parent| &parent.config.nodes);
        let has_stopped = |view: &HostView| {
            view.connected && view.running_version.is_none() || view.declared_dead().is_some()
        };
        let stopped = listed.filter(|listed| {
            let leaver = self.leaving.iter().find(|node| node.name == listed.name);
            leaver.and_then(|node| self.view(node)).is_some_and(has_stopped)
        });
        stopped.map(|node| node.id).collect()
    }

    /// All that the parent lists, but for those that have stopped or are away and for a host that has nothing
    /// of a cluster: a join ended before its start.
    fn members(&self) -> BTreeSet<NodeId> {
        let has_nothing =
            |name| self.node(name).and_then(|node| self.view(node)).is_some_and(HostView::is_empty);
        let listed = self.parent.iter().flat_map(|parent| &parent.config.nodes);
        let is_down = |id| self.stopped.contains(id) || self.away.contains(id);
        let run = listed.filter(|n| !is_down(&n.id) && !has_nothing(&n.name));
        run.map(|node| node.id).collect()
    }

    /// The nodes whose hosts stop for good in a stage.
    fn stopping(&self, stage: &Stage, config: &Text) -> BTreeSet<NodeId> {
        let stops = |node: &&DesiredNode| {
            let actions = stage.actions.get(&node.host);
            actions.is_some_and(|actions| actions.iter().any(Action::stops_for_good))
        };
        let nodes = config.config.nodes.iter();
        let stopping = nodes.filter(|node| self.node(&node.name).is_some_and(|node| stops(&node)));
        stopping.map(|node| node.id).collect()
    }

    /// The node of this name: a wanted one, or one that leaves.
    pub fn node(&self, name: &NodeName) -> Option<&'a DesiredNode> {
        self.nodes().find(|node| node.name == *name)
    }

    /// The wanted nodes, and those that leave.
    pub fn nodes(&self) -> impl Iterator<Item = &'a DesiredNode> {
        self.desired.nodes.iter().chain(self.leaving)
    }

    /// Whether votes are taken from those who are not there: the members have no quorum, and are to have it again.
    pub fn recovers(&self) -> bool {
        self.steps.iter().any(|step| step.lowers().next().is_some())
    }

    /// Whether a text is one of before a recovery: it lists one of the dead.
    pub fn is_before_recovery(&self, text: &Text) -> bool {
        self.recovers() && !text.ids().is_disjoint(&self.stopped)
    }

    /// Whether a host is one that leaves.
    pub fn leaves(&self, host: &HostName) -> bool {
        self.leaving.iter().any(|node| node.host == *host)
    }

    /// Whether a host that the spec names is one that had left before, and still has something of the
    /// cluster.
    pub fn has_left(&self, host: &HostName) -> bool {
        let mut named = self.desired.nodes.iter().filter(|node| node.host == *host);
        named.any(|node| has_left(node, self.observed))
    }

    /// The storages that a host may go on sharing, where it goes on alone once it has left.
    pub fn separates(&self, host: &HostName) -> Option<BTreeSet<String>> {
        let node = self.nodes().find(|node| node.host == *host)?;
        separates(self.desired, node, self.observed)
    }

    /// Whether a host puts away in this plan what it has of the cluster, or is one that leaves.
    pub fn goes(&self, host: &HostName) -> bool {
        let own = self.steps.iter().filter_map(|step| step.stage.actions.get(host));
        let puts_away = own.flatten().any(Action::leaves_for_good);
        let joins = self.joining().values().any(|joiner| *joiner == host);
        self.leaves(host) || puts_away && !joins
    }

    /// Whether a node is one that nobody waits for.
    pub fn is_away(&self, node: &DesiredNode) -> bool {
        let mut listed = self.parent.iter().flat_map(|parent| &parent.config.nodes);
        listed.any(|listed| listed.name == node.name && self.away.contains(&listed.id))
    }

    /// The host of a node.
    pub fn view(&self, node: &DesiredNode) -> Option<&'a HostView> {
        self.observed.hosts.get(&node.host)
    }

    /// The stage that puts a host's disk right, counted from 1.
    pub fn refreshed(&self, host: &HostName) -> Option<usize> {
        self.stage_of(host, &Action::RefreshStaleConfig {})
    }

    /// The stage after which a host's daemon runs what its disk says, counted from 1.
    pub fn reloaded(&self, host: &HostName) -> Option<usize> {
        self.stage_of(host, &Action::Reload {})
    }

    fn stage_of(&self, host: &HostName, action: &Action) -> Option<usize> {
        let acts = |step: &&Step<'_>| {
            step.stage.actions.get(host).is_some_and(|actions| actions.contains(action))
        };
        self.steps.iter().find(acts).map(|step| step.number)
    }

    /// The nodes that become members in some stage.
    pub fn joining(&self) -> BTreeMap<NodeId, &'a HostName> {
        let starts = self.steps.iter().filter(|step| step.stage.course == Course::Start);
        let all = starts.flat_map(|step| &step.stage.joining);
        all.map(|(id, host)| (*id, host)).collect()
    }
}

impl Step<'_> {
    /// Whether the members take a new text in this stage.
    pub fn writes(&self) -> bool {
        match self.stage.course {
            Course::Write | Course::Outage => true,
            Course::Local | Course::Start | Course::Restart | Course::Datacenter => false,
        }
    }

    /// The actions that take votes from those who are not there, with their hosts.
    pub fn lowers(&self) -> impl Iterator<Item = (&HostName, &Action)> {
        let all =
            self.stage.actions.iter().flat_map(|(host, own)| own.iter().map(move |a| (host, a)));
        all.filter(|(_, action)| matches!(action, Action::SetExpectedVotes { .. }))
    }

    /// The nodes that the list had before the stage and has no more.
    pub fn dropped(&self) -> BTreeSet<NodeId> {
        let before = self.before.as_ref().map(Text::ids).unwrap_or_default();
        before.difference(&self.config.ids()).copied().collect()
    }

    /// The nodes that are up all the time while the stage runs.
    pub fn staying(&self) -> BTreeSet<NodeId> {
        let mut staying = self.running.clone();
        staying.retain(|id| !self.stage.joining.contains_key(id) && !self.stops.contains(id));
        staying
    }

    /// The texts that may be in force while the stage runs: its own, and the one that undoes it.
    pub fn texts(&self) -> impl Iterator<Item = &Text> {
        [&self.config].into_iter().chain(&self.back)
    }
}

fn read_parent(plan: &Plan<Proposed>, observed: &ObservedCluster) -> Result<Option<Text>, Refusal> {
    let Some(parent) = plan.parent else {
        return Ok(None);
    };
    let mut files =
        observed.hosts.values().flat_map(|host| host.pmxcfs_file.iter().chain(&host.disk_file));
    let text = files.find_map(|file| file.text.as_ref().filter(|_| file.digest == parent.digest));
    let text = text.ok_or(Refusal::ParentUnknown)?;
    let read = Text::read(&ConfText::new(parent.version, text.clone()), 0)?;
    if read.config.version != parent.version || read.conf.digest != parent.digest {
        return Err(Refusal::ParentUnknown);
    }
    Ok(Some(read))
}
