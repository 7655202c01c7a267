//! What the planner says: one sentence for people, and why there is no plan where there is none.
//!
//! Owns the words for the outcome. Never decides it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The planner's answer in words. There always is one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// One sentence for people. Names the hosts that it is about.
    pub sentence: String,
    /// What it means.
    pub state: State,
    /// What has to come first, and what is planned to come later, each a phrase.
    pub waiting_for: Vec<String>,
}

/// What a report means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// Everything that the spec mentions is in force.
    Settled,
    /// There is a plan.
    Proposing,
    /// There would be a plan, but the rollout is paused.
    Waiting,
    /// There would be a plan that puts back what somebody changed, but `rollout.drift` is `Report`.
    Reported,
    /// There is no plan, for this reason.
    Blocked(Blocker),
}

/// Why nothing can be planned. The variant's name is the reason in the condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Blocker {
    /// The spec names a host of which there is no `PveHost`.
    HostMissing,
    /// A host's agent is not heard.
    HostNotConnected,
    /// A host obeys another `PveCluster`.
    HostClaimed,
    /// A host that has to act is paused.
    HostPaused,
    /// A host whose role is witness is named as a node.
    HostIsWitness,
    /// The machine's host name is not the node's name.
    NameMismatch,
    /// A host that shall receive an authkey has not published a sealing key yet.
    SealingKeyMissing,
    /// A host that shall join has a corosync.conf, or corosync runs there.
    HostNotEmpty,
    /// A host that shall join has guests.
    GuestsOnJoiner,
    /// The own name of a host that shall join leads to no address by which others reach it.
    NameNotResolved,
    /// A host that shall join has versions that do not work with those of the members, or these differ among each
    /// other.
    VersionsDiffer,
    /// The clock of a host that shall join differs from a member's.
    ClocksDiffer,
    /// A host belongs to a cluster of another name.
    ForeignCluster,
    /// Files or running versions differ between hosts or on one host.
    HostsDisagree,
    /// Nobody has reported the text in force yet.
    ConfigUnknown,
    /// The text in force is not understood in every point that a plan needs.
    ConfigNotUnderstood,
    /// A member does not run, is not quorate or sees another membership.
    NotQuorate,
    /// A member's /etc/pve takes no writes.
    ReadOnly,
    /// A link that is needed is not connected between every pair.
    LinkNotConnected,
    /// No working link would be left between some pair.
    LastLink,
    /// A node has no address for a link.
    AddressMissing,
    /// A host has more than one address in a link's network.
    AddressAmbiguous,
    /// A stated address is on no network card of its host.
    AddressNotOnHost,
    /// Two nodes would have the same address.
    AddressTaken,
    /// A wanted node id belongs to another node.
    NodeIdTaken,
    /// No node would have a vote.
    NoVotes,
    /// `config_version` cannot be counted on.
    VersionExhausted,
    /// The running cluster has a member that this spec never named.
    MemberNotManaged,
    /// The spec names none of the members of the running cluster.
    NobodyStays,
    /// Something in the cluster still refers to a member that is to leave.
    StillReferenced,
    /// A host that is to go on alone would share storages with the cluster, and nobody has said that it may.
    StorageShared,
    /// A machine that was declared dead is heard.
    DeadIsSeen,
    /// A member is away, and what is due cannot be done without it.
    HostAway,
    /// High availability runs its watchdog on a member, and one is to leave.
    HaNotIdle,
    /// A link has to move, and nothing can carry meanwhile: all numbers are in use, and no other link
    /// is connected between every pair.
    NoSpareLink,
    /// The spec wants another id for a member.
    NodeIdChangeNotSupported,
    /// High availability has to be disarmed, and a host's `ha-manager` cannot.
    HaCannotDisarm,
    /// The file's `quorum` section says more than the vote arithmetic here covers.
    QuorumOptionsNotSupported,
    /// Members have different authkeys.
    AuthkeysDiffer,
    /// A member has no authkey, or its agent has not said which.
    AuthkeyUnknown,
    /// The file says where the key is, and it is not where the operator manages it.
    AuthkeyElsewhere,
    /// The cluster runs on udp or udpu, or is to, and something does not go with that.
    OldTransport,
    /// The members have not all told of the same datacenter.cfg.
    DatacenterUnknown,
    /// A managed line of datacenter.cfg is none to Proxmox VE.
    DatacenterNotUnderstood,
    /// A member does not have exactly one address of its own in the network for guests.
    TransferNetworkUnfit,
    /// The host that is to vote from outside has another role.
    NotAWitness,
    /// The witness has no QNetd that runs yet.
    WitnessNotReady,
    /// The witness votes for another cluster of the same name.
    DeviceNameTaken,
    /// The Secret with the certificates for a QNetd cannot be used.
    SecretUnusable,
    /// A QDevice does not go with these nodes or their votes.
    DeviceUnfit,
}

impl fmt::Display for Blocker {
    /// The variant's name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

/// How a blocker is to be treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Class {
    /// It goes away by itself when somebody reports.
    Waiting,
    /// The world has to change; a person may have to act.
    Blocked,
    /// The spec has to change.
    Invalid,
}

impl Blocker {
    /// How to treat it.
    #[must_use]
    pub const fn class(self) -> Class {
        match self {
            Self::ConfigUnknown
            | Self::SealingKeyMissing
            | Self::AuthkeyUnknown
            | Self::DatacenterUnknown
            | Self::WitnessNotReady => Class::Waiting,
            Self::HostMissing
            | Self::HostNotConnected
            | Self::HostClaimed
            | Self::HostPaused
            | Self::HostIsWitness
            | Self::NameMismatch
            | Self::HostNotEmpty
            | Self::GuestsOnJoiner
            | Self::NameNotResolved
            | Self::VersionsDiffer
            | Self::ClocksDiffer
            | Self::ForeignCluster
            | Self::HostsDisagree
            | Self::ConfigNotUnderstood
            | Self::NotQuorate
            | Self::ReadOnly
            | Self::LinkNotConnected
            | Self::LastLink
            | Self::NoSpareLink
            | Self::AddressMissing
            | Self::AddressAmbiguous
            | Self::AddressNotOnHost
            | Self::VersionExhausted
            | Self::HaCannotDisarm
            | Self::HaNotIdle
            | Self::StillReferenced
            | Self::StorageShared
            | Self::DeadIsSeen
            | Self::HostAway
            | Self::MemberNotManaged
            | Self::QuorumOptionsNotSupported
            | Self::AuthkeysDiffer
            | Self::AuthkeyElsewhere
            | Self::OldTransport
            | Self::DatacenterNotUnderstood
            | Self::TransferNetworkUnfit
            | Self::NotAWitness
            | Self::DeviceNameTaken
            | Self::SecretUnusable => Class::Blocked,
            Self::AddressTaken
            | Self::NodeIdTaken
            | Self::NoVotes
            | Self::NobodyStays
            | Self::NodeIdChangeNotSupported
            | Self::DeviceUnfit => Class::Invalid,
        }
    }
}

/// A reason to plan nothing, with the sentence that explains it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Obstacle {
    pub blocker: Blocker,
    pub sentence: String,
}

impl Obstacle {
    pub fn new(blocker: Blocker, sentence: impl Into<String>) -> Self {
        Self { blocker, sentence: sentence.into() }
    }

    /// The usual way out of a check.
    pub fn stop<T>(blocker: Blocker, sentence: impl Into<String>) -> Result<T, Self> {
        Err(Self::new(blocker, sentence))
    }
}

impl From<Obstacle> for Report {
    fn from(obstacle: Obstacle) -> Self {
        let Obstacle { blocker, sentence } = obstacle;
        Self { sentence, state: State::Blocked(blocker), waiting_for: Vec::new() }
    }
}
