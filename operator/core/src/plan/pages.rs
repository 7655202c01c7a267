//! The page of each blocker. What hosts and corosync do is measured: corosync.md and pmxcfs.md.

use super::report::Blocker;
use crate::explain::pages;

pages! { Blocker:
    HostMissing {
        means: "The spec names a machine of which there is no PveHost, so nobody speaks for it.",
        prevents: "A machine that nobody hears may run the cluster already; a second one would be formed beside it, or a vote would be counted that nobody holds.",
        act: "Enrol it with `kubectl pvecm host enrol NAME` and start the agent there, or correct the node's name or hostRef in the spec."
    }
    HostNotConnected {
        means: "A host's agent has sent no heartbeat for a while.",
        prevents: "A silent member misses the change, keeps the old corosync.conf and is cut off by it, or is the vote that was missing in the next failure.",
        act: "See on that host that it is up, that `systemctl status pvecm-agent` is running and that it reaches the API server. Work goes on by itself once it is heard."
    }
    HostClaimed {
        means: "A host obeys another PveCluster.",
        prevents: "Two operators' plans on one machine overwrite each other's corosync.conf, and both clusters lose that member.",
        act: "Take the host out of one of the two specs. The first claim holds until that PveCluster lets it go."
    }
    HostPaused {
        means: "A host that has to act is paused: `spec.paused` of its PveHost is true.",
        prevents: "A stage that a member does not take part in is confirmed by nobody and undone on all.",
        act: "End the pause on the PveHost when the work on that machine is done."
    }
    HostIsWitness {
        means: "The spec lists a host whose role is Witness as a node.",
        prevents: "A machine that votes through a QDevice and as a member would count twice, and quorum would survive a split that it must not survive.",
        act: "Take it out of `spec.nodes`, or enrol another machine."
    }
    NameMismatch {
        means: "The machine calls itself differently than the spec calls the node.",
        prevents: "Proxmox VE finds its own entry in corosync.conf by the host name: under another name pmxcfs does not start, and the host has no /etc/pve.",
        act: "Give a member that was renamed its old name back (`hostnamectl set-hostname`, and /etc/hosts); a new name takes removing the node and joining the machine anew. Else correct the node's name in the spec, or point hostRef to the right PveHost."
    }
    SealingKeyMissing {
        means: "A host that shall receive an authkey has not published the key yet to which that is encrypted.",
        prevents: "The authkey in the clear would let anybody who reads the API into the cluster network.",
        act: "Nothing: the agent publishes it with its first report. If it stays away, look at the agent's log on that host."
    }
    HostNotEmpty {
        means: "A host that shall join has a corosync.conf already, or corosync runs there.",
        prevents: "Joining would replace its configuration database: what it knows of another cluster, and the guests in it, would be gone.",
        act: "If it is left over from an earlier cluster, separate the host from that one first; else take it out of the spec."
    }
    GuestsOnJoiner {
        means: "A host that shall join has guests.",
        prevents: "Joining replaces /etc/pve by the cluster's: the configuration of those guests would vanish, or two guests would have one id and one disk.",
        act: "Back the guests up, remove them, let the host join and restore them, or move them elsewhere."
    }
    NameNotResolved {
        means: "On a host that shall join, its own name leads to a loopback address, or to none.",
        prevents: "pmxcfs ends at its start on such a host: it would be listed, hold a vote that is missing, and never have an /etc/pve.",
        act: "Give the name an address of the host in /etc/hosts there (not 127.0.1.1). The agent notices it by itself."
    }
    VersionsDiffer {
        means: "A host that shall join has a corosync or a Proxmox VE that does not work with the members', or members have different corosyncs and a text is to be written.",
        prevents: "corosync 2 and 3 do not understand each other: a vote would be listed that never comes. Files in /etc/pve of releases far apart are not read by both. A reload of different versions is not supported by corosync: one may take what another refuses.",
        act: "Upgrade the older side, host by host, before the join; finish an upgrade that is under way before anything else is changed. Only a release and the next one may share a cluster, for the time of an upgrade."
    }
    ClocksDiffer {
        means: "The clock of a host that shall join differs from a member's by more than 5 s.",
        prevents: "pmxcfs settles by modification times which copy of a file is newer: with a wrong clock an old one wins. Tickets and certificates are refused.",
        act: "Set the wrong clock, and have all hosts follow the same time servers (`chronyc sources`). It is looked at with each heartbeat."
    }
    ForeignCluster {
        means: "A host of this spec belongs to a cluster of another name.",
        prevents: "Its corosync.conf would be replaced and the other cluster would lose a member.",
        act: "Set `spec.clusterName` to the cluster's real name, or take the host out of the spec."
    }
    HostsDisagree {
        means: "The corosync.conf in /etc/pve, the one on the disk and the running daemon are not the same on every member.",
        prevents: "A reload makes every member read its own disk: with different files the cluster splits where it was whole.",
        act: "Compare them on the host that is named. A member that only missed an update mends itself when /etc/pve is writable there; what somebody edited on a disk goes back to what /etc/pve has."
    }
    ConfigUnknown {
        means: "No host has reported the text of the corosync.conf in force yet.",
        prevents: "A plan made without it would overwrite keys that nobody here knows of.",
        act: "Nothing: the agents send it within seconds. If it stays so, look at their logs."
    }
    ConfigNotUnderstood {
        means: "The corosync.conf in force says something that not all its readers understand alike.",
        prevents: "corosync, Proxmox VE and pmxcfs would each act on another meaning; a config_version that is no number ends corosync on every member at once.",
        act: "Correct the line that the sentence names, in /etc/pve/corosync.conf, with a config_version one higher."
    }
    NotQuorate {
        means: "A member does not run corosync, is not quorate or sees another membership than corosync.conf lists.",
        prevents: "One further stop, or one vote moved, would take quorum from the rest.",
        act: "Bring that member back: `systemctl status corosync pve-cluster` there, then its network. If it is gone for good, it has to be removed first. If quorum is lost because the others are gone for good: `kubectl pvecm recover CLUSTER`."
    }
    ReadOnly {
        means: "/etc/pve takes no writes on a member although it is quorate.",
        prevents: "A change would reach some members and not this one, and it could not be undone through it.",
        act: "See `systemctl status pve-cluster` and the free space on that host's root file system."
    }
    LinkNotConnected {
        means: "A link that the change relies on is not connected between every pair of members.",
        prevents: "The pair without it would lose each other in the middle of the change and the membership would break.",
        act: "Mend the network of that link: cable, switch, VLAN, firewall (UDP 5405 and the link's number). Or take the link out of the spec."
    }
    LastLink {
        means: "After the change some pair of members would have no working link.",
        prevents: "Every member would find itself alone and without quorum within seconds.",
        act: "Mend the links that stay first, or add another one."
    }
    AddressMissing {
        means: "A node has no address for a link.",
        prevents: "corosync refuses a list in which one node lacks a link that the others have, on every member.",
        act: "Give the host an address inside the link's network, or state one under the node's `addresses`."
    }
    AddressAmbiguous {
        means: "A host has more than one address in a link's network.",
        prevents: "The wrong one, say a service address that moves between hosts, would cut the node off when it moves.",
        act: "State the right one under the node's `addresses`, or narrow the link's network."
    }
    AddressNotOnHost {
        means: "The spec states an address that no network card of that host has.",
        prevents: "corosync logs no error for it: the node runs on alone, outside of the cluster.",
        act: "Put the address on the host first, or correct the spec."
    }
    AddressTaken {
        means: "Two nodes would have the same address.",
        prevents: "corosync accepts it and silently loses one of the two.",
        act: "Correct the address in the spec or on the host."
    }
    NodeIdTaken {
        means: "The spec gives a node an id that another one has.",
        prevents: "Of two members with one id one never gets in, and corosync says so on neither.",
        act: "Choose another `nodeId`, or leave it out: the lowest free one is taken."
    }
    NoVotes {
        means: "No node would have a vote.",
        prevents: "Without votes there is no quorum, and every /etc/pve is read-only.",
        act: "Give at least one node a vote."
    }
    VersionExhausted {
        means: "A host has a config_version above which there is no room.",
        prevents: "A version that starts again below is ignored by every member: change and undo would both be lost.",
        act: "Find the host with that number and put its file right by hand."
    }
    MemberNotManaged {
        means: "The cluster has a member that this PveCluster never named while its PveHost was there: it joined by hand, was forgotten when the cluster was adopted, or its PveHost is gone.",
        prevents: "A node that works and that nobody asked to be removed would be thrown out with its guests, because a list was short.",
        act: "List it and enrol its host; take it out of the list again if it is to go. Or power it off and remove it with `pvecm delnode`."
    }
    NobodyStays {
        means: "The spec names none of the members that the cluster has.",
        prevents: "A cluster is its members: with the last one everything that /etc/pve holds would be gone.",
        act: "Keep one member in the list until a new one has joined."
    }
    StillReferenced {
        means: "Something in the cluster still refers to a member that is to leave: guests on it, replication jobs, rules or groups of high availability, `nodes` of storages, backup jobs.",
        prevents: "Its guests would stop being the cluster's: nobody starts, backs up or migrates them, their ids stay taken in the directory of a node that is gone, and the machine itself knows them no more. A replication job to a node that is gone can neither run nor be removed.",
        act: "Migrate the guests to members that stay, or remove them. Remove the replication jobs that are named, and take the node out of the rules, groups, storages and backup jobs. With `rollout.removal: CleanReferences` the operator takes it out of every list that names other nodes as well; what names it alone stays yours to decide about."
    }
    StorageShared {
        means: "A host is to leave and go on alone with its guests (`afterRemoval: LiveAlone`), and it would go on using storages that the others reach as well.",
        prevents: "Proxmox VE's locks end at the cluster: two clusters on one storage start the same disk twice, give two guests one id, and prune each other's backups.",
        act: "Move its disks to a storage of its own and take the node out of `nodes` of the others in storage.cfg. Where both sides may use a storage, name it in `spec.sharedStorages` of its PveHost."
    }
    DeadIsSeen {
        means: "A person declared a machine dead, and its agent is heard, or a member has it in the membership or a connected link to it.",
        prevents: "A machine that runs on while the others throw it out keeps its guests running, and they can be started elsewhere as well: two copies write to one disk.",
        act: "Power the machine off, at its plug or by its management card, and see that nothing starts it. Was it the wrong one: `kubectl pvecm host back NAME`."
    }
    HostAway {
        means: "A member is declared away. Links, timing, logging and datacenter.cfg change without it; members, votes, restarts, encryption, the authkey and outages wait for it.",
        prevents: "Its vote is missing already: with another one moved or stopped, one failure more takes quorum from the rest. Without the key or the transport of the others it would come back and find nobody.",
        act: "Nothing until the machine is back: it is waited for without end. `kubectl pvecm host back NAME` takes the statement back; one that never comes back is declared dead instead (`kubectl pvecm host dead NAME`)."
    }
    HaNotIdle {
        means: "A member is to leave, and high availability runs its watchdog on some host.",
        prevents: "Its CRM would fence the host that stops, start its guests elsewhere, and a minute without quorum resets every host with a watchdog.",
        act: "Take the guests out of high availability, or off the leaving host, and wait about ten minutes until every LRM is idle."
    }
    NoSpareLink {
        means: "A link has to move, and nothing can carry meanwhile: all eight numbers are in use, and no other link is connected between every pair.",
        prevents: "Without a second link the move would be a break: corosync takes no new address on a link that carries, and every member would be alone.",
        act: "Mend another link, or take one out of the spec first: its number then carries while this one moves."
    }
    NodeIdChangeNotSupported {
        means: "The spec wants another id for a member.",
        prevents: "Under a new id the member is a new node to all others: it drops out until it restarts, and its old vote is counted for nobody.",
        act: "Set `nodeId` to what it is, or leave it out."
    }
    HaCannotDisarm {
        means: "High availability is active and to be disarmed for the change, and a host has no `ha-manager` that can.",
        prevents: "The watchdogs would run while corosync stops, and reset hosts with their guests.",
        act: "Upgrade pve-ha-manager to 5.1.3 or newer on the host that is named and restart its agent, or set `rollout.highAvailability: RequireIdle` and take the guests out of high availability for the change."
    }
    QuorumOptionsNotSupported {
        means: "The file's quorum section has options besides the provider, and the change touches votes or members.",
        prevents: "With two_node, a device or expected_votes the majority is another one than the one that was proved.",
        act: "Take the option out by hand if it is not needed, or leave members and votes as they are."
    }
    AuthkeysDiffer {
        means: "The file /etc/corosync/authkey is not the same on every member.",
        prevents: "Every reload makes the daemons read it: whoever has another key than the rest is thrown out within seconds, and the rest may lose quorum while that is found out.",
        act: "The fingerprints stand in `status.authkey` of the PveHosts. Copy the key of the majority over the odd one, mode 0400, and reload nothing before."
    }
    AuthkeyUnknown {
        means: "The authkey is to be exchanged, or encryption to begin with knet, and a member has no key or has not said which.",
        prevents: "A member that has another key than the rest, or none, hears nobody afterwards.",
        act: "If it stays so, look on that host whether /etc/corosync/authkey is there and whether its agent is of this version."
    }
    AuthkeyElsewhere {
        means: "The authkey is to be exchanged, and corosync.conf names another key: `totem.key`, or a `totem.keyfile` that is not /etc/corosync/authkey.",
        prevents: "The exchange would be reported as done while the daemons go on with the old key.",
        act: "Copy that key to /etc/corosync/authkey on every member, mode 0400, then take the line out of /etc/pve/corosync.conf with a config_version one higher."
    }
    OldTransport {
        means: "corosync runs on udp or udpu, or is to, and something is wanted that does not go with that.",
        prevents: "With a second link or a cipher in the file no corosync starts on udp or udpu; a host that starts on another transport than the rest is alone.",
        act: "Set `totem.transport: Knet`: with your approval every member stops, and all start on knet. What else the spec wants comes after that. The way to udp or udpu takes link 0 alone and `crypto` with cipher and hash None."
    }
    DatacenterUnknown {
        means: "The members have not all told of the same /etc/pve/datacenter.cfg: one has not looked yet since it was changed, or runs an agent that knows nothing of it.",
        prevents: "A line would be written over what a person just changed there, unseen.",
        act: "Nothing: they tell within seconds. If it stays so, see that the agents on all hosts are of this version, and compare the file on the hosts that are named."
    }
    DatacenterNotUnderstood {
        means: "datacenter.cfg has a line `migration` or `replication` that counts for nothing to Proxmox VE, and the spec wants something of it.",
        prevents: "What was meant by the line would be lost with the change: guests would travel over another network than the person who wrote it believes.",
        act: "Correct the line in /etc/pve/datacenter.cfg, or take it out. `kubectl pvecm explain` and the sentence say what Proxmox VE does not take; the type must be given, the word is `insecure`."
    }
    TransferNetworkUnfit {
        means: "A member has no address in the network that the spec wants for migration or replication, or several, or the same one as another member.",
        prevents: "Proxmox VE asks each node for its one address there: no guest could be moved to or from that node any more, and an evacuation would find that out.",
        act: "Give every node exactly one address inside the network, take the others off its cards, or name a narrower or another network in the spec."
    }
    NotAWitness {
        means: "`quorum.device.hostRef` names a host whose role is not Witness.",
        prevents: "A machine that is a member somewhere would vote from outside as well: it fails together with what it is to outlive.",
        act: "Enrol a machine outside of the cluster with `kubectl pvecm host enrol NAME --witness`, or name the one that is."
    }
    WitnessNotReady {
        means: "The agent of the witness has not told of a QNetd that runs there, with a certificate to sign by.",
        prevents: "A device whose daemons nobody answers is expected to vote and does not: with `lms` no node may fail then.",
        act: "Nothing: the agent sets QNetd up within seconds. If it stays so, see on the witness that the package corosync-qnetd is installed, and look at `systemctl status corosync-qnetd pvecm-agent`."
    }
    DeviceNameTaken {
        means: "The witness votes for another cluster of the same name, or for nodes that are not this cluster's and vote there under it: those of a PveCluster that was deleted, say, whose nodes go on. Names that differ in case only are the same.",
        prevents: "QNetd tells clusters by their names alone: it would take the nodes of both for one cluster, and give its vote to one of them for the other.",
        act: "Use another witness, or a cluster name that is not taken there. A name is free again when its PveCluster has no device there any more. Nodes that nobody manages any more are adopted again, or have their device taken away (`pvecm qdevice remove`)."
    }
    SecretUnusable {
        means: "A QNetd that somebody else runs is to vote (`type: External`), and the Secret with the certificates for it cannot be read or does not hold what the nodes need.",
        prevents: "corosync-qdevice would not be let in there while its votes are expected: with `lms` no node may fail then.",
        act: "The sentence says what is wrong: a Secret that is missing, a Role that lets the operator read it, a key in it, or a certificate for another cluster's name. It is looked at again every two minutes."
    }
    DeviceUnfit {
        means: "The wanted QDevice does not go with these nodes: ffsplit with an odd number, or a node with other votes than one.",
        prevents: "Every corosync-qdevice ends at its start with such votes, while the votes of the device stay expected: the next failure of a node takes quorum from all. With an odd number ffsplit adds a voter and no failure that is survived.",
        act: "Say `algorithm: Auto` to have a device with even numbers only, or LMS after reading what it costs; give every node one vote."
    }
}
