//! Why a plan is refused. Stages are counted from 1.

use ipnet::IpNet;

use crate::conf::{Cipher, Hash, Transport};
use crate::ids::{ConfigVersion, HostName, LinkNumber, NodeId, NodeName};

/// The guard that refused a plan. The variant's name is the reason in the condition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A plan without stages would count as done at once.
    #[error("the plan has no stage")]
    EmptyPlan,
    /// The plan was made for an older or a newer spec.
    #[error("the plan is for generation {plan} of the spec, which is at {spec}")]
    WrongGeneration {
        /// The plan's generation.
        plan: i64,
        /// The spec's generation.
        spec: i64,
    },
    /// The text that the plan starts from is known to nobody.
    #[error("no host has the corosync.conf that the plan starts from")]
    ParentUnknown,
    /// A text that not every reader understands alike.
    #[error("stage {stage}: its corosync.conf is not understood: {why}")]
    TextNotUnderstood {
        /// The stage.
        stage: usize,
        /// The reader's words.
        why: String,
    },
    /// A digest that is not that of the text.
    #[error("stage {stage}: the digest is not that of the text")]
    WrongDigest {
        /// The stage.
        stage: usize,
    },
    /// A version that is not the one inside the text.
    #[error("stage {stage}: the text is named version {named}, but says {inside}")]
    WrongVersion {
        /// The stage.
        stage: usize,
        /// The version that it is known under.
        named: ConfigVersion,
        /// `config_version` in the text.
        inside: ConfigVersion,
    },
    /// A text of another cluster.
    #[error("stage {stage}: the text is of the cluster `{name}`")]
    OtherCluster {
        /// The stage.
        stage: usize,
        /// `cluster_name` in the text.
        name: String,
    },
    /// A version that is not above everything before it.
    #[error("stage {stage}: version {version} is not above all that was seen or reserved")]
    VersionNotAbove {
        /// The stage.
        stage: usize,
        /// The version.
        version: ConfigVersion,
    },
    /// A stage that writes nothing carries another text than the one in force.
    #[error("stage {stage} writes nothing, but carries another text than the one in force")]
    OtherText {
        /// The stage.
        stage: usize,
    },
    /// A stage that could not be undone.
    #[error("stage {stage} has no text to undo it with")]
    NoWayBack {
        /// The stage.
        stage: usize,
    },
    /// A stage whose undoing would not lead back.
    #[error("stage {stage}: the text that undoes it is not the old one under a new number")]
    WrongWayBack {
        /// The stage.
        stage: usize,
    },
    /// A host is not in the state that the plan starts from.
    #[error("{host} {why}")]
    ViewNotSound {
        /// The host.
        host: HostName,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A node's name is not its host's name.
    #[error("stage {stage}: no host of the spec is named `{name}`")]
    WrongName {
        /// The stage.
        stage: usize,
        /// The node's name in the text.
        name: String,
    },
    /// The hosts that confirm a stage are not the members.
    #[error("stage {stage}: the hosts that take part are not the members of the text in force")]
    WrongGroup {
        /// The stage.
        stage: usize,
    },
    /// More than one node would come, one would go, or one would be listed and never start.
    #[error("stage {stage}: node {node} is listed without being a member at the right time")]
    MembersMove {
        /// The stage.
        stage: usize,
        /// The node.
        node: NodeId,
    },
    /// A new address that the host does not have.
    #[error("stage {stage}: {host} does not have the address {address}")]
    AddressNotOnHost {
        /// The stage.
        stage: usize,
        /// The host.
        host: HostName,
        /// The address.
        address: String,
    },
    /// Two nodes with one address.
    #[error("stage {stage}: the address {address} is on two nodes")]
    AddressTwice {
        /// The stage.
        stage: usize,
        /// The address.
        address: String,
    },
    /// Votes or members change where the file says more about quorum than a list of nodes.
    #[error("stage {stage} changes votes while the file has quorum options beside the provider")]
    ArithmeticUnknown {
        /// The stage.
        stage: usize,
    },
    /// The members would be without quorum at some point.
    #[error("stage {stage}: the members would hold {present} of {expected} votes")]
    NotQuorate {
        /// The stage.
        stage: usize,
        /// The votes of those that run.
        present: u64,
        /// All votes of the text.
        expected: u64,
    },
    /// Two parts could both count themselves the majority.
    #[error("stage {stage} moves more than one vote")]
    VotesMoveTooFar {
        /// The stage.
        stage: usize,
    },
    /// An address of a link that stays is edited.
    #[error("stage {stage} edits the address of node {node} on link {link}")]
    AddressMoves {
        /// The stage.
        stage: usize,
        /// The node.
        node: NodeId,
        /// The link.
        link: LinkNumber,
    },
    /// The port of a link that stays is edited.
    #[error("stage {stage} edits the port of link {link}")]
    PortMoves {
        /// The stage.
        stage: usize,
        /// The link.
        link: LinkNumber,
    },
    /// A link that is another one under a second number.
    #[error("stage {stage}: node {node} would have link {link} on the socket of another link")]
    SharedSocket {
        /// The stage.
        stage: usize,
        /// The node.
        node: NodeId,
        /// The link.
        link: LinkNumber,
    },
    /// The traffic would be encrypted or signed in a way that nobody asked for.
    #[error("stage {stage} changes the encryption to {cipher} and {hash}, which the spec does not")]
    CryptoMoves {
        /// The stage.
        stage: usize,
        /// The cipher in force afterwards.
        cipher: Cipher,
        /// The hash in force afterwards.
        hash: Hash,
    },
    /// Nodes would be thrown out sooner than before.
    #[error("stage {stage} shortens the token timeout from {from_millis} ms to {to_millis} ms")]
    TokenShrinks {
        /// The stage.
        stage: usize,
        /// The timeout in force before.
        from_millis: u32,
        /// The timeout in force afterwards.
        to_millis: u32,
    },
    /// The ping times would stay those of the old token timeout.
    #[error(
        "stage {stage} changes the token timeout, and nothing proves the ping times afterwards"
    )]
    PingsLate {
        /// The stage.
        stage: usize,
    },
    /// A pair of nodes without a link that is known to work.
    #[error("stage {stage} leaves nodes {one} and {other} without a verified link")]
    NoVerifiedLink {
        /// The stage.
        stage: usize,
        /// A node.
        one: NodeId,
        /// Another one.
        other: NodeId,
    },
    /// A host would do something that has no place in this stage.
    #[error("stage {stage}: {host} is given an action that has no place there")]
    ActionMisplaced {
        /// The stage.
        stage: usize,
        /// The host.
        host: HostName,
    },
    /// A secret would be readable to somebody else.
    #[error("stage {stage}: the secret for {to} is not sealed to that host's own key")]
    WrongRecipient {
        /// The stage.
        stage: usize,
        /// The host that shall read it.
        to: HostName,
    },
    /// A member would be thrown out by the reload.
    #[error("{host} has another authkey than the other members, or has not said which")]
    AuthkeysDiffer {
        /// The host.
        host: HostName,
    },
    /// A member would be left with another authkey than the rest.
    #[error("stage {stage} exchanges the authkey without {host}, or {host} was given none before")]
    ExchangeHalf {
        /// The stage.
        stage: usize,
        /// The host.
        host: HostName,
    },
    /// A node would go that is not to leave.
    #[error("stage {stage} takes node {node} off the list, which is not to leave")]
    DropsMember {
        /// The stage.
        stage: usize,
        /// The node.
        node: NodeId,
    },
    /// More than one node would go, or one would go and another come.
    #[error("at stage {stage} a second node goes, or one comes while another goes")]
    SeveralMove {
        /// The stage.
        stage: usize,
    },
    /// Something still refers to a host that leaves.
    #[error(
        "{host} leaves at stage {stage}, and guests, jobs, rules or storages still refer to it"
    )]
    LeavesReferenced {
        /// The stage.
        stage: usize,
        /// The host.
        host: HostName,
    },
    /// A host that goes on alone would share a storage, and nobody has said that it may.
    #[error(
        "{host} goes on alone at stage {stage}, and shares the storage {storage}, of which nobody has said so"
    )]
    StorageShared {
        /// The stage.
        stage: usize,
        /// The host.
        host: HostName,
        /// The storage.
        storage: String,
    },
    /// Some member would not remember who has left.
    #[error("stage {stage} takes a node off the list, and not every member remembers that one")]
    NotBuried {
        /// The stage.
        stage: usize,
    },
    /// The number of a node that has left would be given away.
    #[error("stage {stage} gives a node the number {node}, which belongs to one that has left")]
    NodeIdBuried {
        /// The stage.
        stage: usize,
        /// The node.
        node: NodeId,
    },
    /// A machine that was declared dead lives.
    #[error("{host} was declared dead, and somebody hears it")]
    DeadIsSeen {
        /// The host.
        host: HostName,
    },
    /// More would change than what changes without everybody.
    #[error(
        "stage {stage} changes more than links, timing, logging and datacenter.cfg, and {host} is away"
    )]
    AwayIsNeeded {
        /// The stage.
        stage: usize,
        /// The host.
        host: HostName,
    },
    /// Votes would be taken from nodes although those who are left are quorate, or would be.
    #[error(
        "votes are taken from the dead although {host} is quorate, or they do not hold what is missing"
    )]
    RecoveryNotNeeded {
        /// A host that is left.
        host: HostName,
    },
    /// Votes would be taken from others than the dead, by others than all who are left, or not for good.
    #[error(
        "stage {stage} takes votes from others than the dead, or leaves some of them on the list"
    )]
    RecoveryNotWhole {
        /// The stage.
        stage: usize,
    },
    /// A host would join and not know who has left.
    #[error("{host} joins at stage {stage} and is not told exactly who has left the cluster")]
    TombstonesNotHandedOn {
        /// The stage.
        stage: usize,
        /// The host.
        host: HostName,
    },
    /// The files of a node would be put away that has not left.
    #[error("stage {stage} puts away what the cluster keeps of {node}, which has not left")]
    SweepsMember {
        /// The stage.
        stage: usize,
        /// The node.
        node: NodeName,
    },
    /// A node would be taken out of the cluster's own files that does not leave, or something else than it.
    #[error("stage {stage} takes {node} out of the cluster's own files, which is not wanted so")]
    CleansTooMuch {
        /// The stage.
        stage: usize,
        /// The node.
        node: NodeName,
    },
    /// Nobody asked for another authkey.
    #[error("stage {stage} exchanges the authkey, which the spec does not ask for")]
    ExchangeUnwanted {
        /// The stage.
        stage: usize,
    },
    /// A host would be reset if the change took quorum from it for a minute.
    #[error(
        "high availability may reset {host} while corosync stops there: wait until no guest on it is under \
         high availability and its LRM is idle (about 10 minutes later), or set \
         `rollout.highAvailability: Disarm`"
    )]
    HaActive {
        /// A host whose watchdog runs.
        host: HostName,
    },
    /// High availability would be disarmed, and armed again, though nobody's watchdog runs.
    #[error("stage {stage} disarms high availability, which is not active on any host")]
    DisarmNotNeeded {
        /// The stage.
        stage: usize,
    },
    /// Not every member would know that high availability is disarmed.
    #[error("stage {stage} disarms or arms high availability without some member's knowledge")]
    DisarmHalf {
        /// The stage.
        stage: usize,
    },
    /// High availability would stay disarmed.
    #[error("the plan disarms high availability and does not arm it again")]
    StaysDisarmed,
    /// A stage would count as confirmed without proof.
    #[error("stage {stage} does not prove `{what}`")]
    Unproven {
        /// The stage.
        stage: usize,
        /// The cmap key, link or membership that is not probed.
        what: String,
    },
    /// A member would go on with the old value of a key that a reload ignores.
    #[error(
        "stage {stage} changes what corosync takes at its start, and node {node} is not restarted"
    )]
    RestartMissing {
        /// The stage.
        stage: usize,
        /// The node.
        node: NodeId,
    },
    /// A member would go on with the old value of a key that only an outage changes, or be alone with it.
    #[error("stage {stage} changes what everybody has to stop for, and they do not stop")]
    StopMissing {
        /// The stage.
        stage: usize,
    },
    /// Everybody would stop for what is changed without that.
    #[error(
        "stage {stage} stops corosync everywhere, and something that it changes does not need that"
    )]
    OutageNotNeeded {
        /// The stage.
        stage: usize,
    },
    /// Something would be changed of a cluster on udp or udpu.
    #[error("stage {stage} changes a cluster that is not on knet, where only the transport moves")]
    OldTransport {
        /// The stage.
        stage: usize,
    },
    /// The cluster would go on with a transport that nobody asked for.
    #[error("stage {stage} moves the cluster to {to}, which the spec does not ask for")]
    TransportUnwanted {
        /// The stage.
        stage: usize,
        /// The transport.
        to: Transport,
    },
    /// datacenter.cfg would be another file on one host than on the rest, or one that nobody can undo.
    #[error(
        "stage {stage}: not all members change datacenter.cfg in the same way, and nothing else"
    )]
    DatacenterHalf {
        /// The stage.
        stage: usize,
    },
    /// What a person changed in datacenter.cfg meanwhile would be lost.
    #[error("stage {stage}: {host} has another datacenter.cfg than the plan starts from")]
    DatacenterReplaced {
        /// The stage.
        stage: usize,
        /// The host.
        host: HostName,
    },
    /// Guests would travel in a way that nobody asked for.
    #[error("stage {stage} changes `{key}` in datacenter.cfg to what the spec does not ask for")]
    DatacenterUnwanted {
        /// The stage.
        stage: usize,
        /// The key.
        key: &'static str,
    },
    /// No guest could be moved to or from a node.
    #[error(
        "stage {stage}: {host} does not have exactly one address of its own in {network}, the network of `{key}`"
    )]
    TransferAddress {
        /// The stage.
        stage: usize,
        /// The host.
        host: HostName,
        /// The key in datacenter.cfg.
        key: &'static str,
        /// The network.
        network: IpNet,
    },
    /// Two parts could both be quorate.
    #[error("stage {stage} changes the QDevice while corosync-qdevice may cast votes on {host}")]
    DeviceCasts {
        /// The stage.
        stage: usize,
        /// The host.
        host: HostName,
    },
    /// The device's votes would be expected for ever and never come.
    #[error("stage {stage}: no corosync-qdevice starts with the QDevice of its text")]
    DeviceWrong {
        /// The stage.
        stage: usize,
    },
    /// Somebody would decide over the next split whom nobody asked for.
    #[error("stage {stage}: its text has a QDevice that the spec does not ask for")]
    DeviceUnwanted {
        /// The stage.
        stage: usize,
    },
    /// A host would be let in nowhere, or by somebody else.
    #[error("stage {stage}: {host} has no certificate of the wanted witness for this cluster")]
    CertificateForeign {
        /// The stage.
        stage: usize,
        /// The host.
        host: HostName,
    },
    /// A stage interrupts somebody and says that it does not.
    #[error("stage {stage} stops corosync and calls itself less than that")]
    RiskHidden {
        /// The stage.
        stage: usize,
    },
}

impl Refusal {
    /// What a sentence about a refusal begins with: a few reasons are those of blockers as well.
    pub const BEGINS: &str = "the plan is refused: ";

    /// The refusal in one sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        format!("{}{self}", Self::BEGINS)
    }

    /// Whether the world may become again what the plan was made for, so that waiting is enough.
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::ViewNotSound { .. } | Self::NoVerifiedLink { .. } | Self::HaActive { .. }
        )
    }
}
