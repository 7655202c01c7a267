//! The page of each guard. A refusal is mostly a defect of the planner: the guards do not trust it.

use super::refusal::Refusal;
use crate::explain::pages;

pages! { Refusal:
    EmptyPlan {
        means: "The plan has no stage.",
        prevents: "It would count as done at once, and what the spec wants would never happen.",
        act: "Report it: this is a defect of the operator."
    }
    WrongGeneration {
        means: "The plan was made for another state of the spec.",
        prevents: "What nobody wants any more would be carried out.",
        act: "Nothing: a plan for the present spec follows."
    }
    ParentUnknown {
        means: "No host has the corosync.conf that the plan starts from.",
        prevents: "An edit that somebody made meanwhile would be overwritten unseen.",
        act: "Nothing: a plan for the file in force follows."
    }
    TextNotUnderstood {
        means: "A stage's corosync.conf is not understood by all its readers.",
        prevents: "One bad config_version ends corosync on every member at once; a line read in two ways splits the cluster.",
        act: "Report it with the sentence: this is a defect of the operator."
    }
    WrongDigest {
        means: "A stage's digest is not that of its text.",
        prevents: "The hosts would take another text for the one that was proved.",
        act: "Report it: this is a defect of the operator."
    }
    WrongVersion {
        means: "A stage's text says another config_version than the one it is known under.",
        prevents: "Members take the higher number: the file that nobody meant would win.",
        act: "Report it: this is a defect of the operator."
    }
    OtherCluster {
        means: "A stage's text names another cluster.",
        prevents: "After the next restart the members would look for a cluster that does not exist, and each would be alone.",
        act: "Report it: this is a defect of the operator."
    }
    VersionNotAbove {
        means: "A stage's config_version was seen or reserved before.",
        prevents: "Two texts under one number: members keep the one that they saw first, and the cluster splits by who saw which.",
        act: "Nothing if it passes; else report it."
    }
    OtherText {
        means: "A stage that writes nothing carries another text than the one in force.",
        prevents: "A joining host would start with a file that no member has, and find nobody.",
        act: "Report it: this is a defect of the operator."
    }
    NoWayBack {
        means: "A stage has no text to undo it with.",
        prevents: "A new link that does not work would stay, and the members cut off by it stay off.",
        act: "Report it: this is a defect of the operator."
    }
    WrongWayBack {
        means: "The text that undoes a stage is not the old one under a new number.",
        prevents: "Undoing would be a second, unproved change in the worst moment.",
        act: "Report it: this is a defect of the operator."
    }
    ViewNotSound {
        means: "A host is not in the state that the plan starts from.",
        prevents: "A member that is silent, without quorum or on another file is lost by the next change.",
        act: "Bring the host that is named back into order; the plan is proved again by itself."
    }
    WrongName {
        means: "A stage names a node that no host of the spec is named as.",
        prevents: "Proxmox VE finds its entry by the host name: pmxcfs would not start on that host.",
        act: "Report it: this is a defect of the operator."
    }
    WrongGroup {
        means: "The hosts that confirm a stage are not the members of the text in force.",
        prevents: "A member that nobody asks could be cut off while the change counts as confirmed.",
        act: "Report it: this is a defect of the operator."
    }
    MembersMove {
        means: "A stage lists a node that is no member at that time, or drops one.",
        prevents: "Votes of nodes that do not run count against quorum: two at once can take it from all.",
        act: "Report it: this is a defect of the operator."
    }
    AddressNotOnHost {
        means: "A stage gives a node an address that its host does not have.",
        prevents: "corosync logs no error for it: the node runs on alone, outside of the cluster.",
        act: "Put the address back on the host, or change the spec."
    }
    AddressTwice {
        means: "A stage gives two nodes one address.",
        prevents: "corosync accepts it and silently loses one of the two.",
        act: "Take the address from one of the hosts, or change the spec."
    }
    ArithmeticUnknown {
        means: "Votes or members change while the file has quorum options besides the provider.",
        prevents: "With two_node, a device or expected_votes the majority is another one than the one that was proved.",
        act: "Take the option out by hand if it is not needed, or leave members and votes as they are."
    }
    NotQuorate {
        means: "At some point of the plan the members that run would not hold a majority of the votes.",
        prevents: "Every member would lose quorum and /etc/pve would be read-only, with nobody able to write the way back.",
        act: "Give the change more votes to stand on: bring absent members back, or change votes first."
    }
    VotesMoveTooFar {
        means: "A stage moves more than one vote.",
        prevents: "While some members have the old list and some the new one, two parts could both hold a majority.",
        act: "Report it: this is a defect of the operator."
    }
    AddressMoves {
        means: "A stage edits an address of a link that stays.",
        prevents: "corosync refuses that in a reload; members that restart would find no one under the new address.",
        act: "Report it: this is a defect of the operator."
    }
    PortMoves {
        means: "A stage edits the port of a link that stays.",
        prevents: "corosync shows the new port and keeps the old socket; a member that restarts later listens where nobody sends and is alone.",
        act: "Report it: this is a defect of the operator."
    }
    SharedSocket {
        means: "A stage gives a node two links on one address and port.",
        prevents: "corosync takes both for one socket without a word: what looks like two links fails as one.",
        act: "Give the links different ports or networks in the spec; else report it."
    }
    CryptoMoves {
        means: "A stage changes how traffic is encrypted, and the spec does not ask for it.",
        prevents: "Dropped crypto keys take effect at once: the cluster would talk in the clear while everybody believes that it is encrypted.",
        act: "Report it: this is a defect of the operator."
    }
    TokenShrinks {
        means: "A stage shortens the token timeout in force, and the spec does not ask for it.",
        prevents: "corosync counts nodes by their address on link 0: without it the timeout becomes shorter unseen, and a short stall loses members.",
        act: "Report it: this is a defect of the operator."
    }
    PingsLate {
        means: "A stage changes the token timeout, and no later one proves the ping times.",
        prevents: "corosync derives ping times only at the next reload: links would be declared up or down by the old timeout.",
        act: "Report it: this is a defect of the operator."
    }
    NoVerifiedLink {
        means: "A stage leaves a pair of nodes without a link that is known to work.",
        prevents: "The pair loses each other and the membership breaks; without any other link every member is alone.",
        act: "Mend the link that stays; the plan is proved again by itself."
    }
    ActionMisplaced {
        means: "A host is given an action that has no place in its stage.",
        prevents: "A running member told to form a cluster would leave its own.",
        act: "Report it: this is a defect of the operator."
    }
    WrongRecipient {
        means: "The authkey, or the key of the QDevice, is sealed to another key than the receiving host's own, or for a host that is no member and does not join.",
        prevents: "Somebody else could read it and speak in the cluster network as a member, or for the cluster at its QNetd.",
        act: "If the host was installed anew, enrol it again; else find out who changed its key."
    }
    AuthkeysDiffer {
        means: "A member's authkey is not that of the others, or is not known where it is to be exchanged.",
        prevents: "The reload of any stage makes the daemons read their keys: whoever has another one is thrown out, and the rest may lose quorum.",
        act: "The fingerprints stand in `status.authkey` of the PveHosts. Copy the key of the majority over the odd one, mode 0400, and reload nothing before."
    }
    ExchangeHalf {
        means: "An exchange of the authkey leaves a member out, or a member that was not given the new key.",
        prevents: "The new key on two of three hosts and one reload: the third is thrown out, or the two part, and quorum is gone for seconds.",
        act: "Report it: this is a defect of the operator."
    }
    ExchangeUnwanted {
        means: "The authkey would be exchanged although the key in force is of the generation that the spec wants.",
        prevents: "The key would be exchanged again with every plan, each time with a moment in which a reload by somebody else parts the hosts.",
        act: "Report it: this is a defect of the operator."
    }
    HaActive {
        means: "High availability runs its watchdog on a host, and the change stops corosync there or on all.",
        prevents: "A minute without quorum, and the watchdog resets every host that it runs on, with all their guests.",
        act: "Take the guests out of high availability and wait about ten minutes until the LRM is idle; or set `rollout.highAvailability: Disarm`, and the change disarms it before and arms it after."
    }
    DisarmNotNeeded {
        means: "A plan disarms high availability which is not active: it was disarmed by hand, or its guests are gone since the plan was made.",
        prevents: "What a person disarmed for work of his own would be armed behind his back, and hosts be reset under his hands.",
        act: "Nothing: a plan that leaves high availability alone follows."
    }
    DisarmHalf {
        means: "A stage has some members disarm or arm high availability, and not every one.",
        prevents: "A member that does not know would not arm it again when the others are gone.",
        act: "Report it: this is a defect of the operator."
    }
    StaysDisarmed {
        means: "A plan disarms high availability and does not arm it again.",
        prevents: "The next host that fails takes its guests along, and nobody starts them elsewhere.",
        act: "Report it: this is a defect of the operator."
    }
    Unproven {
        means: "A stage changes something that no probe looks at.",
        prevents: "It would count as confirmed while a member runs on the old value.",
        act: "Report it: this is a defect of the operator."
    }
    DropsMember {
        means: "A plan takes a node off the list that the spec names, or that it never named.",
        prevents: "A node that works would be cut off from its own cluster, with the guests on it.",
        act: "Nothing if the spec was changed meanwhile: a plan for it follows. Else report it."
    }
    SeveralMove {
        means: "A plan takes more than one node off the list, or takes one off and lets another in, or a second member that is to leave has stopped.",
        prevents: "Two missing votes where one was counted: the rest loses quorum, and /etc/pve is read-only with nobody able to write the way back.",
        act: "Start corosync on all but one of the members that are to leave; they go one by one. Else report it."
    }
    LeavesReferenced {
        means: "A plan removes a host on which guests are configured, or which jobs, rules or storages of the cluster name.",
        prevents: "Nobody would start, back up or migrate the guests any more, and the machine itself would know them no more; a replication job to it could never be removed.",
        act: "Migrate or remove the guests, and take the host out of what names it; a plan for what is then so follows."
    }
    DeadIsSeen {
        means: "A plan takes a node off the list that was declared dead, and that somebody hears.",
        prevents: "A machine that runs on while the others throw it out keeps its guests running, and they can be started elsewhere as well: two copies write to one disk.",
        act: "Power it off, or take the statement back (`kubectl pvecm host back NAME`); a plan for what is then so follows."
    }
    RecoveryNotNeeded {
        means: "A plan takes votes from nodes that were declared dead, and those who are left are quorate, or hold the majority of the votes without that.",
        prevents: "Votes that are taken without need let two parts of one cluster both hold a majority: each starts the guests of the other.",
        act: "Nothing: a plan for what is then so follows; of a quorate cluster the dead are removed one by one."
    }
    RecoveryNotWhole {
        means: "A plan recovers lost quorum, and takes votes from a node that nobody declared dead, or leaves one of the dead on the list.",
        prevents: "A part of the cluster that runs somewhere else would be left out, and both go on as the cluster; or the next reload takes quorum again.",
        act: "This is a defect of the planner: please report it, with `kubectl pvecm plan CLUSTER -o yaml`."
    }
    StorageShared {
        means: "A host that is to go on alone uses a storage that the others reach as well, and `spec.sharedStorages` does not name it: it came after the plan was made.",
        prevents: "Two clusters on one storage start the same disk twice and give two guests one id, since no lock of Proxmox VE reaches over.",
        act: "Take the node out of that storage's `nodes`, or name the storage in `spec.sharedStorages` of its PveHost."
    }
    AwayIsNeeded {
        means: "A plan moves members or votes, stops a daemon or changes keys while a member is away.",
        prevents: "One vote is missing already: with another one moved or stopped, one failure more takes quorum from the rest. Without the key or the transport of the others the member would come back and find nobody.",
        act: "Nothing: it waits until the machine is back. One that never comes back is declared dead (`kubectl pvecm host dead NAME`)."
    }
    NotBuried {
        means: "A plan takes a node off the list, and some member does not remember its name, number and machine.",
        prevents: "A removed machine that is switched on again with its old files is taken for a new one; with one member on an old file too, all lose quorum.",
        act: "Nothing if it passes: the plan was made from another state. Else report it."
    }
    NodeIdBuried {
        means: "A node would get the number of one that has left.",
        prevents: "The old machine still has that number on its disk: when it is switched on, two nodes call themselves the same, and one of them is thrown out.",
        act: "Leave `nodeId` out of the spec, or take a number that was never used."
    }
    TombstonesNotHandedOn {
        means: "A host joins without being told of exactly those who have left the cluster.",
        prevents: "When the members that saw them go have left as well, nobody remembers: a removed machine is taken for a new one, and its number is given away.",
        act: "Nothing if it passes: the plan was made from another state. Else report it."
    }
    CleansTooMuch {
        means: "A plan takes a node out of storages or rules that does not stop in it, or without the spec's word, or where nothing else would be left.",
        prevents: "A member loses its storages and the place of its guests; a list that becomes empty means every node.",
        act: "Nothing if it passes: the files were edited meanwhile. Else report it."
    }
    SweepsMember {
        means: "A plan puts away the folder and the keys of a node that is listed, or that nobody remembers as one that has left.",
        prevents: "A member without its folder in /etc/pve has no certificates and no guests any more.",
        act: "Report it: this is a defect of the operator."
    }
    RestartMissing {
        means: "A stage changes a key that corosync takes only when it starts, and a member is not restarted after it.",
        prevents: "The member runs on the old value while its file and its cmap show the new one; its next boot changes the traffic by itself, on that host alone.",
        act: "Report it: this is a defect of the operator."
    }
    StopMissing {
        means: "A stage changes a key for which every member has to stop corosync, and they do not stop.",
        prevents: "A reload keeps the old value; the first host that boots later starts with the new one and may be alone.",
        act: "Report it: this is a defect of the operator."
    }
    OutageNotNeeded {
        means: "A stage stops corosync on every member for something that is changed without that.",
        prevents: "Every guest's storage and network would do without a writable /etc/pve, and high availability without quorum, for nothing.",
        act: "Report it: this is a defect of the operator."
    }
    OldTransport {
        means: "A plan changes more than the transport of a cluster that runs on udp or udpu.",
        prevents: "With a second link or a cipher in the file no corosync starts there; what a reload does to it was never proven.",
        act: "Nothing if it passes: the plan was made from another state. Else report it."
    }
    TransportUnwanted {
        means: "A stage moves the cluster to a transport that the spec does not name.",
        prevents: "On udp and udpu nothing is encrypted and one link carries all; every member is stopped for a move that nobody asked for.",
        act: "Report it: this is a defect of the operator."
    }
    RiskHidden {
        means: "A stage stops corosync, or changes the encryption or its key, and calls itself less risky than that.",
        prevents: "It would begin by itself where the rollout says that a person is asked before anything stops.",
        act: "Report it: this is a defect of the operator."
    }
    DatacenterHalf {
        means: "A stage that changes datacenter.cfg is not the same for every member, does more than that, or comes twice in one plan.",
        prevents: "A host that derives another file than the others confirms what is not there, or has the change undone for all.",
        act: "Report it: this is a defect of the operator."
    }
    DatacenterReplaced {
        means: "A member has another datacenter.cfg than the one that the plan starts from, or has not told of it.",
        prevents: "What a person just changed there, in the web interface say, would be written over unseen.",
        act: "Nothing: a plan for the file in force follows."
    }
    DatacenterUnwanted {
        means: "A stage sets or takes out a line of datacenter.cfg that the spec does not speak of, or to another value.",
        prevents: "The memory of guests, with passwords and keys in it, would travel over a network that nobody chose, or in the clear.",
        act: "Report it with the sentence: this is a defect of the operator."
    }
    TransferAddress {
        means: "A member does not have exactly one address in the network for guests, or one that another member has as well.",
        prevents: "Proxmox VE asks each node for its one address there: no guest could be moved to or from that node, also when its host has to be emptied.",
        act: "Give every node exactly one address inside the network, or name another network in the spec. A plan for that follows."
    }
    DeviceCasts {
        means: "A stage writes another QDevice, or takes one out, while corosync-qdevice runs on a member.",
        prevents: "While the text spreads, one part counts the device's votes and one does not: where the network breaks then, both can be quorate, and each starts the other's guests.",
        act: "Nothing if a person just started corosync-qdevice by hand: a plan that stops it follows. Else report it: this is a defect of the operator."
    }
    DeviceWrong {
        means: "A stage writes a QDevice with which no corosync-qdevice starts: ffsplit without `votes: 1` or for an odd number of nodes, or nodes with other votes than one.",
        prevents: "corosync takes it in silence and expects the votes: a cluster of two nodes loses quorum with the first failure.",
        act: "Report it with the sentence: this is a defect of the operator."
    }
    DeviceUnwanted {
        means: "A stage writes a QDevice at an address that the witness of the spec does not have, or with another algorithm.",
        prevents: "Somebody else's machine would decide which half survives a split.",
        act: "Nothing if the witness just got another address: a plan for that follows. Else report it: this is a defect of the operator."
    }
    CertificateForeign {
        means: "A stage has a host ask for a certificate of another witness or for another cluster, take one that it did not ask for or that the Secret does not hold, or start corosync-qdevice without any.",
        prevents: "corosync-qdevice is not let in by QNetd, and the device's vote is missing in the next failure; or a host could speak for another cluster there.",
        act: "Nothing if the witness or the Secret was just made anew: a plan for that follows. Else report it: this is a defect of the operator."
    }
}
