//! Builds the stages of a plan one behind the other: texts, numbers, probes.
//!
//! Owns the numbering: a stage that writes takes one version for its text and the next one for the
//! text that would undo it, used or not, so that whoever rolls back writes the same bytes and no
//! number ever names two texts (design rule 4).

use std::collections::{BTreeMap, BTreeSet};

use super::ground::InForce;
use super::links;
use super::report::{Blocker, Obstacle};
use crate::change::{
    Action, ConfText, Course, Parent, Plan, Probe, Proposed, Risk, Stage, Tombstone,
};
use crate::conf::{
    Config, Document, EditError, changed_values, derived_pings, edit, ping_timeout_millis,
    values_at_start,
};
use crate::datacenter::DatacenterWrite;
use crate::desired::DesiredCluster;
use crate::ids::{ConfigVersion, HostName, LinkNumber, NodeId, NodeName};
use crate::observed::ObservedCluster;
use crate::references::{Reference, ReferenceKind};

/// The first version that nobody has seen or reserved. There must be room for a whole plan above.
pub(super) fn first_free(observed: &ObservedCluster) -> Result<ConfigVersion, Obstacle> {
    const ROOM: u64 = 1 << 16;
    let highest = observed.highest_version();
    if highest.0 > u64::MAX - ROOM {
        let sentence =
            format!("a host has config_version {highest}, and there is nothing above to go to");
        return Obstacle::stop(Blocker::VersionExhausted, sentence);
    }
    Ok(highest.next())
}

/// The text as far as the stages so far have brought it.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    desired: &'a DesiredCluster,
    parent: Parent,
    group: BTreeMap<NodeId, HostName>,
    conf: ConfText,
    document: Document,
    config: Config,
    next: ConfigVersion,
    connected: BTreeSet<LinkNumber>,
    buried: BTreeSet<Tombstone>,
    stages: Vec<Stage>,
}

impl<'a> Draft<'a> {
    /// Begins with the text in force.
    pub fn new(
        desired: &'a DesiredCluster,
        observed: &ObservedCluster,
        ground: &InForce<'_>,
    ) -> Result<Self, Obstacle> {
        Ok(Self {
            desired,
            parent: Parent { version: ground.conf.version, digest: ground.conf.digest },
            group: ground.up().map(|(id, m)| (*id, m.node.host.clone())).collect(),
            conf: ground.conf.clone(),
            document: ground.document.clone(),
            config: ground.config.clone(),
            next: first_free(observed)?,
            connected: links::connected(ground),
            buried: ground.up().flat_map(|(_, m)| &m.view.tombstones).cloned().collect(),
            stages: Vec::new(),
        })
    }

    /// The text after the last stage.
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// What the text says after the last stage.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The links that are in force and connected between every pair at the beginning.
    pub fn links(&self) -> &BTreeSet<LinkNumber> {
        &self.connected
    }

    /// Who runs, after the last stage.
    pub fn group(&self) -> &BTreeMap<NodeId, HostName> {
        &self.group
    }

    /// Whether some host does this in some stage.
    pub fn has_action(&self, action: &Action) -> bool {
        self.stages.iter().any(|stage| stage.has_action(action))
    }

    /// How many stages there are.
    pub fn stages(&self) -> usize {
        self.stages.len()
    }

    /// A stage in which the group takes an edited text. `links` are those that must be connected
    /// between every pair at the end.
    pub fn write(
        &mut self,
        summary: String,
        links: &BTreeSet<LinkNumber>,
        change: impl FnOnce(&Document) -> Result<Document, EditError>,
    ) -> Result<(), Obstacle> {
        let (version, undo) = (self.next, self.next.next());
        let edited = change(&self.document).and_then(|text| edit::set_version(&text, version));
        let edited = edited.map_err(|error| not_editable(&error))?;
        let back = edit::set_version(&self.document, undo).map_err(|error| not_editable(&error))?;
        let config = Config::read(&edited).map_err(|error| not_editable(&error.into()))?;

        let changed = changed_values(&self.config, &config);
        let set = changed.set.into_iter().map(|(key, value)| (key, Some(value)));
        let gone = changed.gone.into_iter().map(|key| (key, None));
        let values = set.chain(gone).map(|(key, value)| Probe::RunningValue { key, value });
        let connected = links.iter().map(|link| Probe::LinkConnected { link: *link });
        let membership = Probe::Membership { nodes: self.group.keys().copied().collect() };

        self.conf = text(version, &edited)?;
        self.stages.push(Stage {
            risk: Risk::of_reload(&self.config, &config, false),
            probes: values.chain(connected).chain([membership]).collect(),
            back: Some(text(undo, &back)?),
            limits: links::limits(self.desired, &config),
            ..self.stage(summary, Course::Write)
        });
        (self.document, self.config, self.next) = (edited, config, undo.next());
        Ok(())
    }

    /// A stage in which the group reads the same text again, under a new number. corosync computes the
    /// ping times that follow from the token timeout only at the reload after the one that changes
    /// it (corosync.md 5.4).
    pub fn read_again(
        &mut self,
        summary: String,
        links: &BTreeSet<LinkNumber>,
    ) -> Result<(), Obstacle> {
        self.write(summary, links, |text| Ok(text.clone()))?;
        let pings = derived_pings(&self.config).into_iter();
        let pings = pings.map(|(key, value)| Probe::RunningValue { key, value: Some(value) });
        if let Some(stage) = self.stages.last_mut() {
            stage.probes.splice(0..0, pings);
        }
        Ok(())
    }

    /// A stage in which the group exchanges its authkey: the same text under a new number, whose reload
    /// makes every daemon read the key.
    pub fn exchange(
        &mut self,
        summary: String,
        links: &BTreeSet<LinkNumber>,
        generation: u32,
    ) -> Result<(), Obstacle> {
        self.write(summary, links, |text| Ok(text.clone()))?;
        let actions = self.group.values().map(|host| {
            let exchange = Action::ExchangeAuthkey { generation };
            (host.clone(), vec![exchange])
        });
        // The proof takes its time, and so does the write.
        let needed_secs = 10 + ping_timeout_millis(&self.config).div_ceil(1000);
        if let Some(stage) = self.stages.last_mut() {
            stage.risk = Risk::of_reload(&self.config, &self.config, true);
            stage.actions = actions.collect();
            stage.probes.push(Probe::AuthkeyTaken {});
            stage.confirm_timeout_secs = stage.confirm_timeout_secs.max(needed_secs);
        }
        Ok(())
    }

    /// A stage for which every member stops corosync and starts it again with an edited text.
    pub fn outage(
        &mut self,
        summary: String,
        change: impl FnOnce(&Document) -> Result<Document, EditError>,
    ) -> Result<(), Obstacle> {
        let links = self.connected.clone();
        self.write(summary, &links, change)?;
        let started = values_at_start(&self.config).into_iter();
        let started = started.map(|(key, value)| Probe::StartedWith { key, value });
        // Nobody undoes in time what only takes long: 32 nodes need 38 s to find each other (corosync.md 3).
        let needs = 30 + 2 * u32::try_from(self.group.len()).unwrap_or(u32::MAX / 4);
        if let Some(stage) = self.stages.last_mut() {
            (stage.course, stage.risk) = (Course::Outage, Risk::Outage);
            stage.probes.splice(0..0, started);
            stage.confirm_timeout_secs = stage.confirm_timeout_secs.max(needs);
        }
        Ok(())
    }

    /// A stage in which single hosts act beside the cluster.
    pub fn local(&mut self, summary: String, actions: BTreeMap<HostName, Vec<Action>>) {
        let stage = self.stage(summary, Course::Local);
        self.stages.push(Stage { group: BTreeMap::new(), actions, ..stage });
    }

    /// A stage in which a host that the text lists already starts. Undone with the same bytes as
    /// the stage before, which listed it.
    pub fn start(&mut self, summary: String, joiner: (NodeId, HostName)) {
        let back = self.stages.last().and_then(|stage| stage.back.clone());
        self.start_or(summary, joiner, back);
    }

    /// The same for a host that was listed by a change before this one. Undone by taking it off the list.
    pub fn start_listed(
        &mut self,
        summary: String,
        joiner: (NodeId, HostName),
    ) -> Result<(), Obstacle> {
        let back = edit::remove_node(&self.document, joiner.0);
        let back = back.and_then(|text| edit::set_version(&text, self.next));
        let back = text(self.next, &back.map_err(|error| not_editable(&error))?)?;
        self.next = self.next.next();
        self.start_or(summary, joiner, Some(back));
        Ok(())
    }

    fn start_or(
        &mut self,
        summary: String,
        (id, host): (NodeId, HostName),
        back: Option<ConfText>,
    ) {
        let links = self.config.links();
        let connected = links.into_iter().map(|link| Probe::LinkConnected { link });
        let nodes = self.group.keys().copied().chain([id]).collect::<BTreeSet<_>>();
        let membership = Probe::Membership { nodes: nodes.into_iter().collect() };
        let join = Action::Join { tombstones: self.buried.clone() };
        let stage = Stage {
            joining: BTreeMap::from([(id, host.clone())]),
            back,
            actions: BTreeMap::from([(host.clone(), vec![join])]),
            probes: connected.chain([membership]).collect(),
            ..self.stage(summary, Course::Start)
        };
        self.stages.push(stage);
        self.group.insert(id, host);
    }

    /// A stage in which a member starts corosync anew while the others watch. Undone with what was in
    /// force before the plan, under the votes that are in force now: whoever is lent one keeps it.
    pub fn restart(&mut self, id: NodeId, origin: &Document) -> Result<(), Obstacle> {
        let Some(host) = self.group.get(&id).cloned() else { return Ok(()) };
        let back = edit::with_votes(origin, &self.config);
        let back = back.and_then(|text| edit::set_version(&text, self.next));
        let back = text(self.next, &back.map_err(|error| not_editable(&error))?)?;
        let started = values_at_start(&self.config).into_iter();
        let started = started.map(|(key, value)| Probe::StartedWith { key, value });
        let connected = self.connected.iter().map(|link| Probe::LinkConnected { link: *link });
        let membership = Probe::Membership { nodes: self.group.keys().copied().collect() };
        let mut stage = Stage {
            risk: Risk::NodeRestart,
            joining: BTreeMap::from([(id, host.clone())]),
            back: Some(back),
            probes: started.chain(connected).chain([membership]).collect(),
            ..self.stage(format!("Restart corosync on {host}"), Course::Restart)
        };
        stage.group.remove(&id);
        stage.actions.insert(host, vec![Action::RestartCorosync {}]);
        self.stages.push(stage);
        self.next = self.next.next();
        Ok(())
    }

    /// A stage in which a member that stays takes one that leaves out of the cluster's own files.
    pub fn clean(&mut self, (id, node): (NodeId, &NodeName), references: BTreeSet<Reference>) {
        let mut staying = self.group.iter().filter(|(member, _)| **member != id);
        let Some(host) = staying.next().map(|(_, host)| host.clone()) else { return };
        let files = items(&references).join("; ");
        let summary = format!("{host} takes {node} out of {files}");
        let clean = Action::CleanReferences { node: node.clone(), references };
        self.local(summary, BTreeMap::from([(host, vec![clean])]));
    }

    /// A stage in which a member stops for good. It is no longer of the group, and its votes still count.
    /// One that goes on alone comes with the storages that it may go on sharing.
    pub fn stop(&mut self, id: NodeId, host: &HostName, alone: Option<BTreeSet<String>>) {
        self.group.remove(&id);
        let summary = format!("Stop corosync and pmxcfs on {host}");
        let action = match alone {
            None => Action::StopCorosync {},
            Some(shared_storages) => Action::StopToSeparate { shared_storages },
        };
        self.local(summary, BTreeMap::from([(host.clone(), vec![action])]));
        let risk = self.leaving_risk();
        if let Some(stage) = self.stages.last_mut() {
            stage.risk = risk;
        }
    }

    /// A stage in which a host that is off the list, or the last one of it, has nothing of the cluster any more
    /// afterwards. The last one stops in it; any other has stopped before.
    pub fn leave(&mut self, summary: String, host: &HostName, action: Action) {
        self.local(summary, BTreeMap::from([(host.clone(), vec![action])]));
        let is_last = self.group.values().any(|member| member == host);
        let risk = self.leaving_risk();
        if let Some(stage) = self.stages.last_mut().filter(|_| is_last) {
            stage.risk = risk;
        }
    }

    const fn leaving_risk(&self) -> Risk {
        if self.desired.dissolves { Risk::Dissolution } else { Risk::NodeRestart }
    }

    /// A stage in which every member has corosync expect no more votes than all of them have.
    pub fn lower(&mut self, votes: u32, dead: &BTreeSet<NodeId>) {
        let hosts: Vec<_> = self.group.values().map(HostName::to_string).collect();
        let summary = format!("Lower the expected votes on {}: {votes}", hosts.join(", "));
        let lower = Action::SetExpectedVotes { votes, dead: dead.clone() };
        let actions = self.group.values().map(|host| (host.clone(), vec![lower.clone()])).collect();
        self.local(summary, actions);
        if let Some(stage) = self.stages.last_mut() {
            stage.risk = Risk::Recovery;
        }
    }

    /// A stage in which the others take a stopped node off the list, and remember it.
    pub fn remove(&mut self, gone: &Tombstone) -> Result<(), Obstacle> {
        let risk = self.leaving_risk();
        self.take_off(std::slice::from_ref(gone), risk, |text| Ok(text.clone()))
    }

    /// The same with the device in one text: without it nobody would be left to write the second one. corosync takes the
    /// device's vote before what is expected of all, so that for an instant nobody has quorum (seen with 3.1.7).
    pub fn remove_with_device(&mut self, gone: &Tombstone) -> Result<(), Obstacle> {
        let risk = self.leaving_risk().max(Risk::Outage);
        self.take_off(std::slice::from_ref(gone), risk, edit::remove_device)?;
        if let Some(stage) = self.stages.last_mut() {
            stage.summary.push_str(", and the QDevice out: without quorum for an instant");
        }
        Ok(())
    }

    /// The same of all the dead at once: with one of them on the list the next reload would take quorum again
    /// (corosync.md 9.2).
    pub fn remove_dead(&mut self, gone: &[Tombstone]) -> Result<(), Obstacle> {
        self.take_off(gone, Risk::Recovery, |text| Ok(text.clone()))
    }

    fn take_off(
        &mut self,
        gone: &[Tombstone],
        risk: Risk,
        first: impl FnOnce(&Document) -> Result<Document, EditError>,
    ) -> Result<(), Obstacle> {
        let links = self.connected.clone();
        let names: Vec<_> =
            gone.iter().map(|gone| format!("{}, node {}", gone.name, gone.node_id)).collect();
        let summary = format!("Take {}, off the list", names.join(", "));
        let without = |text: Document, gone: &Tombstone| edit::remove_node(&text, gone.node_id);
        self.write(summary, &links, |text| gone.iter().try_fold(first(text)?, without))?;
        let bury =
            |host: &HostName| (host.clone(), gone.iter().cloned().map(Action::Bury).collect());
        if let Some(stage) = self.stages.last_mut() {
            stage.risk = stage.risk.max(risk);
            stage.actions = stage.group.values().map(bury).collect();
        }
        Ok(())
    }

    /// A stage in which one member puts away what the cluster's own files keep of a node that has left.
    pub fn sweep(&mut self, gone: &Tombstone) {
        let Some(host) = self.group.values().next().cloned() else { return };
        let summary = format!("{host} puts away what /etc/pve keeps of {}", gone.name);
        self.local(summary, BTreeMap::from([(host, vec![Action::Sweep(gone.clone())])]));
    }

    /// A stage in which the group changes lines of datacenter.cfg.
    pub fn datacenter(&mut self, summary: String, write: &DatacenterWrite) {
        let action = Action::WriteDatacenterConfig(write.clone());
        let actions = self.group.values().map(|host| (host.clone(), vec![action.clone()]));
        let stage = Stage {
            actions: actions.collect(),
            probes: vec![Probe::Membership { nodes: self.group.keys().copied().collect() }],
            ..self.stage(summary, Course::Datacenter)
        };
        self.stages.push(stage);
    }

    /// The finished plan.
    pub fn finish(self, summary: String) -> Plan<Proposed> {
        Plan::proposed(Some(self.parent), self.desired.generation, summary, self.stages)
    }

    fn stage(&self, summary: String, course: Course) -> Stage {
        Stage {
            summary,
            risk: Risk::Live,
            course,
            group: self.group.clone(),
            joining: BTreeMap::new(),
            config: self.conf.clone(),
            back: None,
            actions: BTreeMap::new(),
            probes: Vec::new(),
            limits: BTreeMap::new(),
            confirm_timeout_secs: self.desired.rollout.confirm_timeout_secs,
        }
    }
}

/// Each file with what in it names a node.
fn items(references: &BTreeSet<Reference>) -> Vec<String> {
    let of = |kind: ReferenceKind| {
        let those = references.iter().filter(|reference| reference.kind == kind);
        let names: Vec<&str> = those.map(|reference| reference.name.as_str()).collect();
        (!names.is_empty()).then(|| format!("{}: {}", kind.file(), names.join(", ")))
    };
    ReferenceKind::ALL.into_iter().filter_map(of).collect()
}

/// Names the bytes of a document that was made from a text and ASCII edits.
fn text(version: ConfigVersion, document: &Document) -> Result<ConfText, Obstacle> {
    let text = String::from_utf8(document.to_bytes()).map_err(|error| {
        let sentence = format!("the corosync.conf in force is not UTF-8: {error}");
        Obstacle::new(Blocker::ConfigNotUnderstood, sentence)
    })?;
    Ok(ConfText::new(version, text))
}

fn not_editable(error: &EditError) -> Obstacle {
    let sentence = format!("the corosync.conf in force cannot be changed as wanted: {error}");
    Obstacle::new(Blocker::ConfigNotUnderstood, sentence)
}
