//! How the hosts of a cluster agree on one stage, with no control plane.
//!
//! Owns: the [`Machine`] of one host in one [`Attempt`], what it says and what it has done. Never
//! reads a clock, a file or the network: events come in, effects go out. Local stages need none.
//!
//! # Why votes
//!
//! corosync delivers in one order to all members, but not safely: a host may be cut off just after it
//! delivered a message that no other host got, and still believe itself quorate. The quorum service
//! and the process group are also two connections without a common order, so "quorate at delivery"
//! is not the same moment everywhere. A decision can therefore not rest on delivery alone.
//!
//! So both questions of a stage are put to a vote, of the hosts in `group` (their number: n):
//!
//! | question | yes | decided with | no | decided with |
//! |---|---|---|---|---|
//! | does it begin? | `Going` | more than n/2 | `GaveUp` | n/2 or more, or one host that never prepared |
//! | does it stay? | `Sealed` | more than n/2 | `RollingBack` | n/2 or more |
//!
//! A vote is persisted before it is sent and changed only once the question is decided. Yes and no
//! can then never both be decided, whatever is lost, cut off, reordered or restarted, and when
//! all have voted one of them is (a tie is a no). The order of the group still makes everybody cast the
//! same vote in all but the rare cases, and the second round costs a millisecond (facts/corosync 7.1).
//!
//! A host whose checks fail decides alone: `Going` needs everybody prepared, and it never is. Every
//! part that corosync calls quorate holds n/2 hosts or more (one vote lent, or one device vote on an
//! even number), so it can decide to undo, unless some in it have voted otherwise: then it waits for the
//! others. So do the last survivor of a last-man-standing device, and a part that is quorate by the vote
//! of the joining host or of one that was away, and came back while the stage ran without it.
//!
//! Both questions may end in no: of two hosts one went and the other gave up. The one then says
//! "rolled back" and the other "refused"; both mean that the stage is not in force.
//!
//! A host without outcome repeats its state every two seconds, and one with an outcome answers: the
//! change of the group that tells of a quick restart can be lost with the ring that it happened in.
//!
//! # Who writes
//!
//! The lowest id whose `Prepared` said writable: a function of messages that everybody has before
//! anybody goes, and that never change, so there is one writer per attempt and no successor. It writes
//! only when the vote to begin is won. It votes to undo only with no write in flight. Once it tried to
//! write, or as long as it is silent (crashed, cut off), whoever writes back writes over the parent as
//! well: an error says nothing of the rename, and "parent" may be a host's old view. The higher number
//! then fences a late rename: inside the lock a writer compares the file with its parent.
//!
//! # Who is away on purpose
//!
//! In a `Start` stage a joining host comes, in a `Restart` stage a member goes and comes again. Neither
//! votes: the group has to be able to decide without it. A joiner acts by itself. A member that restarts
//! prepares with the group, which does not begin without it, and goes only when the vote to begin is
//! won: it hears nothing while it is away, and a group that gave up would be one host short for nothing.
//! Its leaving is no loss; when it does not hold in time, both sides go back to the same text.
//!
//! A joiner that held and was cut off stays as it is: its word may have been the last that was missing. If the
//! members kept the stage, they list it, and it hears so when it is back. If they undid it, they list it no
//! more, and no daemon of theirs ever hears it again: that the control plane passes on. It gives up then, and
//! only while it has no quorum ten seconds after the deadline: who hears the others needs nobody else.
//!
//! # Without quorum
//!
//! Ten seconds after the deadline a host without quorum votes to undo and puts the back text on its
//! own disk; the vote makes sure that it can never count as one where the stage stays. A host that
//! sealed does not: all hosts held, so the new text is not what cut it off. When the others decided
//! otherwise it learns so from their repeats and takes the cluster's file.
//!
//! # Outage
//!
//! What no reload takes and no host can have alone is taken by all at once: everybody prepares and votes, and
//! when all have voted to begin each persists that and stops. The text of the stage lies on every own disk
//! before it lies in /etc/pve, since pmxcfs would have the daemons read it live:
//!
//! | | forward | back |
//! |---|---|---|
//! | own disk, then corosync starts | all went, and the deadline is ahead | undone by vote; or no quorum by the deadline and two seconds more |
//! | /etc/pve | the writer has seen everybody run it | the leader runs the back text and is quorate with it |
//!
//! Hosts that run different texts may not hear each other. Who is alone past its deadline therefore tries both
//! texts in turn, its own vote's for two turns of three, until it hears what the others decided. Both texts have
//! the same nodes and votes, so that the hosts under one and those under the other never both hold a majority.
//! A host tells the outcome when its daemon runs the text that belongs to it, and touches the daemon no more.
//!
//! # The authkey
//!
//! A daemon reads its key at each reload, whoever asked for it, and of two daemons with different keys
//! neither hears the other (facts/corosync.md 5.5). So all hosts lay the same key, or nobody reloads:
//!
//! | | forward | back |
//! |---|---|---|
//! | a host lays the key | all went, and who holds the lock asks | undoing is decided, all members have voted for it, and who holds the lock asks |
//! | the text is written, with the reload inside | all say that the new key lies | all members say that the old key lies |
//!
//! That no write is in flight is part of the writer's vote, so none lands between. Where nothing was ever
//! written nobody reloads either: each lays the old key as soon as undoing is decided.
//!
//! A host that is alone may have a daemon with another key than the others: what they decided, it cannot
//! hear. Without quorum ten seconds after the deadline it tries the old key and the new one in turn, until
//! it hears them.
//!
//! # datacenter.cfg
//!
//! A `Datacenter` stage is one that writes, of a file that lies in /etc/pve alone and has no number. What undoes
//! it are the bytes from before, so that `Parent` and `Back` look alike: a host that reads the old file sees
//! `Parent`, and whoever wrote it back says `Back`. No own disk is restored. Nothing fences a rename that lands
//! after that; it is one of two proven texts, nobody's quorum hangs on it, and the next plan starts from it.

mod machine;
mod message;
mod tally;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use crate::change::Course;
use crate::ids::{HostName, NodeId};

pub use machine::Machine;
pub use message::{Attempt, Key, KeyWord, Keys, Message, Phase, Record};

/// All that a host has to know before it takes part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    /// This host.
    pub me: NodeId,
    /// Which attempt.
    pub attempt: Attempt,
    /// `Write`, `Start`, `Restart`, `Outage` or `Datacenter`; a `Local` stage has no use for a machine.
    pub course: Course,
    /// The members that prepare, vote and confirm. Never empty.
    pub group: BTreeSet<NodeId>,
    /// Hosts that start corosync in this stage and confirm, but do not vote.
    pub joining: BTreeSet<NodeId>,
    /// What people call the hosts; one without a name is `host` and its number.
    pub names: BTreeMap<NodeId, HostName>,
    /// Whether there is a text that undoes the stage.
    pub has_back: bool,
    /// From the start of acting until the stage is undone, in milliseconds.
    pub confirm_timeout_ms: u64,
    /// What the file that the stage writes is now.
    pub in_force: InForce,
    /// Where the stage exchanges the authkey: the two keys, as they lie now.
    pub keys: Option<Keys>,
    /// The text on the own disk, if this host's daemon runs it; else `Other`. Only an outage asks.
    pub runs: InForce,
    /// What the ledger holds of this very attempt.
    pub recovered: Option<Record>,
}

impl Setup {
    /// A host as sentences call it.
    fn name(&self, id: NodeId) -> String {
        self.names.get(&id).map_or_else(|| format!("host {id}"), HostName::to_string)
    }
}

/// Which of the texts that a stage knows its file in /etc/pve is, byte for byte: corosync.conf, or datacenter.cfg.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InForce {
    /// The one before the stage.
    Parent,
    /// The stage's own. In a `Start` stage, which writes none, this comes before `Parent`.
    New,
    /// The one that undoes the stage.
    Back,
    /// None of them, or none at all.
    Other,
}

/// What corosync and pmxcfs say at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct View {
    /// The quorum service says so.
    pub quorate: bool,
    /// /etc/pve takes writes.
    pub writable: bool,
    /// Node ids in the corosync membership.
    pub members: BTreeSet<NodeId>,
    /// Node ids in the process group: members whose agent runs.
    pub agents: BTreeSet<NodeId>,
}

/// What the executor reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Time passed. To be sent about every 500 ms until the outcome.
    Tick,
    /// The membership, the process group, quorum or writability changed, or is known for the first
    /// time. Every change of the process group must be reported, in order with the messages.
    View(View),
    /// A message was delivered, this host's own included.
    Delivered(Message),
    /// [`Effect::RunChecks`] ended; an error is one sentence that names what is wrong, also when that came
    /// later, while this host waits for the others.
    Checks(Result<(), String>),
    /// [`Effect::Write`] ended: the new text was read back, or one sentence why not.
    Written(Result<(), String>),
    /// One round of probes on this host: all hold, or the sentence of the first that does not.
    Probes(Result<(), String>),
    /// What is in force, after each change of /etc/pve/corosync.conf.
    InForce(InForce),
    /// [`Effect::Act`] ended, or one sentence why it failed.
    Acted(Result<(), String>),
    /// [`Effect::WriteBack`] ended: what is in force now, or why the attempt failed (it is repeated).
    WrittenBack(Result<InForce, String>),
    /// [`Effect::Undo`] ended, or one sentence why it could not.
    Undone(Result<(), String>),
    /// [`Effect::Lock`] ended: the lock is held, or one sentence why not.
    Locked(Result<(), String>),
    /// A key was laid where corosync reads it, or one sentence why not.
    Laid(Result<Key, String>),
    /// In an outage: the text on the own disk, if the daemon runs it; else `Other`. After each change, and
    /// after each [`Event::Started`] also without one.
    Runs(InForce),
    /// [`Effect::StartWith`] ended, or one sentence why the daemon did not start.
    Started(Result<(), String>),
    /// The control plane passes on that a member has undone the stage, or that it never began, and why.
    Told(String),
}

/// What the executor has to do, in the order given, each finished before the next unless it answers
/// by an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Probes before, `corosync -t`, parent equal in all places. Answer: [`Event::Checks`].
    RunChecks,
    /// Put this into the ledger and fsync it. When that fails, the agent must stop, not go on.
    Persist(Record),
    /// Multicast this to the process group; before the group is joined it can be dropped.
    Send(Message),
    /// Under the locks: compare with the parent, rename, read back; fine as well when the new text
    /// is already in force. Answer: [`Event::Written`]. A lock that [`Effect::Lock`] took serves, and
    /// stays.
    Write,
    /// Run the probes again and again until the outcome. Answers: [`Event::Probes`].
    StartProbing,
    /// Joining host: carry out this host's actions. Answer: [`Event::Acted`].
    Act,
    /// Under the locks: write the back text over the stage's own text, and over nothing else except as
    /// said here. Answer: [`Event::WrittenBack`].
    WriteBack {
        /// Write it over the parent too, since a write of the new text may still be under way.
        over_parent: bool,
    },
    /// Put the back text on the own disk and reload only this host's daemon. Where keys are exchanged
    /// nothing of that, if this host has quorum by now.
    RestoreOwnDisk,
    /// Copy the cluster's file over the own disk's and reload: this host restored alone, and the
    /// others kept the stage; or the daemon has yet to read the old authkey, since a person's file, or
    /// the one that undoes the stage, was in force before that lay here.
    TakeClusterFile,
    /// Joining host: undo its actions. Answer: [`Event::Undone`].
    Undo,
    /// Take the locks, and keep them. Answer: [`Event::Locked`].
    Lock,
    /// Give the locks back that [`Effect::Lock`] took, or takes just now.
    Unlock,
    /// Lay this key where corosync reads it, and keep the other one. Nobody reloads. Answer:
    /// [`Event::Laid`].
    Lay(Key),
    /// This host is alone: lay this key and reload its own daemon, unless it has quorum by now. Answer:
    /// [`Event::Laid`], with the key that lies there.
    TryKey(Key),
    /// See that this key lies where corosync reads it, and remove the copies of both. Answer:
    /// [`Event::Laid`].
    KeepKey(Key),
    /// Stop corosync, put this text of the stage on the own disk and start corosync with it. Answer:
    /// [`Event::Started`].
    StartWith(InForce),
    /// The outcome. The machine goes on answering late hosts: keep it until the next attempt.
    Done(Outcome),
}

/// What became of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// In force everywhere.
    Confirmed,
    /// Undone, and why.
    RolledBack(String),
    /// Not begun, and why.
    Refused(String),
    /// Neither in force nor undone, and why.
    Failed(String),
}
