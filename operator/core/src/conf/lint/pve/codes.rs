//! The pages behind Proxmox VE's findings.

use crate::conf::lint::Code;

/// Where the behaviour of the parser is known from.
const PARSER: &str = "src/PVE/Corosync.pm (parse_conf) of pve-cluster 9.1.6, run on the same texts";
/// Where the behaviour of the check is known from.
const VERIFY: &str = "src/PVE/Corosync.pm (verify_conf) of pve-cluster 9.1.6";
/// Where the behaviour of writing is known from.
const WRITER: &str = "src/PVE/Corosync.pm (write_conf) of pve-cluster 9.1.6";

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $title:literal, $source:expr, $explanation:literal;)+) => {
        $($(#[$doc])* pub(super) static $name: Code =
            Code { name: $code, title: $title, explanation: $explanation, source: $source };)+
        /// All of them.
        pub(in crate::conf::lint) static CODES: &[&Code] = &[$(&$name),+];
    };
}

codes! {
    /// `missing ':' after key 'key:value'`.
    NO_SPACE = "pve-no-space", "no space behind the colon", PARSER,
        "Proxmox VE cuts the file into words at white space; a key is a word that ends in a colon, and the \
         next word is its value. `key:value` is one word: it dies with `missing ':' after key`, and with it \
         every pvecm command and cluster page. corosync does not need the space. Write `key: value`.";
    /// `missing ':' after key 'key'`.
    SPACE_BEFORE_COLON = "pve-space-before-colon", "a space before the colon", PARSER,
        "For Proxmox VE the colon belongs to the key's own word. `key : value` dies with `missing ':' after \
         key 'key'`; corosync takes it. Write `key: value`.";
    /// `missing ':' after key 'totem{'`.
    BRACE_AT_NAME = "pve-brace-at-name", "no space before the opening brace", PARSER,
        "Proxmox VE opens a section at a name that is followed by `{` as a word of its own. `totem{` dies \
         with `missing ':' after key 'totem{'`; corosync takes it. Write `totem {`.";
    /// `missing ':' after key 'two'`.
    VALUE_WITH_SPACES = "pve-value-with-spaces", "a value of more than one word", PARSER,
        "A value is one word for Proxmox VE; the second is taken for a key and dies with `missing ':' after \
         key`. corosync takes the rest of the line, and some of its keys want several words (a heuristics \
         command with arguments, auto_tie_breaker_node with a list): they cannot be used in a cluster that \
         Proxmox VE manages. A script without arguments can take the place of a command.";
    /// The next key, or a closing brace, is taken for the value.
    EMPTY_VALUE = "pve-empty-value", "a key without a value takes the next word", PARSER,
        "Line ends mean nothing to Proxmox VE, and comments are gone before it looks for values. A key with \
         nothing behind it takes the next word for its value: the next key, which then has lost its name, \
         or the closing brace, so that the section never ends. Give the key a value or take it out.";
    /// `missing ':' after key 'word'`.
    NO_COLON = "pve-no-colon", "a word that is no key", PARSER,
        "A word that is neither followed by `{` nor `}` itself has to end in a colon; otherwise Proxmox VE \
         dies with `missing ':' after key`.";
    /// `parse error - no value for 'key'`.
    NO_VALUE = "pve-no-value", "the file ends behind a key", PARSER,
        "Proxmox VE dies with `parse error - no value for` when the last word of the file is a key. It is \
         what is left of a file that was cut off, for instance on a full disk.";
    /// `section 'totem' already exists and not marked as array!`.
    REPEATED_SECTION = "pve-repeated-section", "a section that may be there once is there twice", PARSER,
        "Only `node` and `interface` may repeat for Proxmox VE; at any other it dies with `section already \
         exists and not marked as array!`. A key of the same name counts as well. corosync merges repeated \
         sections and documents some of them (logger_subsys, uidgid), which a cluster that Proxmox VE \
         manages cannot have more than once.";
    /// `parse error - uncexpected '}'`.
    UNEXPECTED_CLOSING = "pve-unexpected-closing", "a brace closes nothing", PARSER,
        "Proxmox VE dies with a parse error at a closing brace that has no opening one. Look for a `}` too \
         many, or for an opening brace that a comment has swallowed.";
    /// Perl's `Can't use string ("x") as a HASH ref`.
    NOT_A_SECTION = "pve-not-a-section", "a key stands where a section has to", PARSER,
        "Proxmox VE takes totem and nodelist, and node and interface inside them, for sections without \
         looking. A key of such a name dies inside Perl with `Can't use string as a HASH ref`. Take the key \
         out.";
    /// `secauth: on # x`.
    COMMENT_CUT = "pve-comment-cut", "a comment behind a value is part of it for corosync", PARSER,
        "Proxmox VE deletes everything behind a `#`. For corosync only a line that begins with `#` is a \
         comment, and whatever stands behind a value belongs to it: `secauth: on # x` is not `on`, and the \
         cluster runs unencrypted, while Proxmox VE shows and checks `on`. The next write of Proxmox VE \
         drops the comment and so changes what corosync runs. Put comments on lines of their own.";
    /// Any other difference.
    OTHER_VALUE = "pve-other-value", "Proxmox VE reads another key or value", PARSER,
        "corosync splits a line at its first colon and takes the rest; Proxmox VE splits the file at white \
         space. Where a line holds more than `key: value`, the two can take different things out of it. \
         Write one `key: value` a line, with plain words.";
    /// The rest nests silently.
    UNCLOSED = "pve-unclosed-section", "a section is never closed", PARSER,
        "Proxmox VE does not look whether all braces are closed. Sections behind the missing one become \
         parts of the open one: the nodelist is not found where it should be, and the next write makes the \
         nesting permanent. corosync refuses such a file (`Missing closing brace`).";
    /// `totem: {`.
    NAME_WITH_COLON = "pve-name-with-colon", "a section's name with a colon", PARSER,
        "corosync drops colons behind a section's name, Proxmox VE does not: `totem: {` is a section named \
         `totem:` for it, and there is no totem. Write `totem {`.";
    /// `foo { .. } foo: x`.
    SECTION_REPLACED = "pve-section-replaced", "a key takes the place of a section", PARSER,
        "Keys and sections share their names for Proxmox VE: a key that comes after a section of the same \
         name takes its place, and the next write drops the section. corosync keeps both.";
    /// `no nodes found`.
    NO_NODELIST = "pve-no-nodelist", "Proxmox VE finds no nodelist", VERIFY,
        "Without a section nodelist at the top Proxmox VE knows no member: it adds no node (`no nodes \
         found`), and firewall and HA lose the addresses of the members. A missing brace above, or `nodelist: \
         {`, has the same effect.";
    /// `no totem found`.
    NO_TOTEM = "pve-no-totem", "Proxmox VE finds no totem", VERIFY,
        "Without a section totem at the top Proxmox VE adds no node (`no totem found`) and cannot raise the \
         version, so it changes nothing at all.";
    /// `invalid corosync config: unable to read config version`.
    NO_VERSION = "pve-no-version", "Proxmox VE finds no config_version in totem",
        "src/PVE/Corosync.pm (atomic_write_conf) of pve-cluster 9.1.6",
        "Proxmox VE raises totem.config_version with every change and refuses to write without one \
         (`invalid corosync config: unable to read config version`): no node can be added or removed.";
    /// The later one wins silently.
    SAME_NODE = "pve-same-node", "two nodes of one name", PARSER,
        "Proxmox VE keeps nodes by their name, or by ring0_addr where they have none. Of two that are equal \
         it sees the later one alone, without a word, and its next write takes the other one out of the \
         file and so out of the cluster. corosync takes both. Give every node its own name.";
    /// Keyed by `ring0_addr`.
    NODE_WITHOUT_NAME = "pve-node-without-name", "a node without a name", PARSER,
        "Where a node has no name, Proxmox VE calls it by its ring0_addr: `pvecm delnode` does not find it \
         by its host name, and adding it again makes a second entry. Give it `name:`, the host name up to \
         the first dot.";
    /// `value does not look like a valid node name`.
    NODE_NAME = "pve-node-name", "a node name that Proxmox VE does not take",
        "src/PVE/JSONSchema.pm (format pve-node) of pve-common 9.2.1",
        "Commands take letters, digits and inner dashes for a node (`value does not look like a valid node \
         name`). A name with a dot or an underscore is shown in lists but cannot be given to `pvecm delnode` \
         or to the API, and never equals the host name that Proxmox VE uses, which ends at the first dot.";
    /// Format and length of `clustername`.
    CLUSTER_NAME = "pve-cluster-name", "a cluster name that Proxmox VE would not give",
        "src/PVE/API2/ClusterConfig.pm of pve-cluster 9.1.6",
        "`pvecm create` takes 1 to 15 letters, digits and inner dashes. Proxmox VE reads longer names \
         without complaint, but tools around it may rely on the rule, and changing the name needs a restart \
         of corosync on every node.";
    /// `node 'N' has 'ringX_addr', but there is no interface number X configured`.
    LINK_WITHOUT_INTERFACE = "pve-link-without-interface", "a link has addresses but no interface section", VERIFY,
        "As soon as totem has one interface section, Proxmox VE wants one for every link and adds no node \
         otherwise (`there is no interface number configured`). corosync does not need them. Add `interface \
         { linknumber: N }` for the link, or take all of them out.";
    /// `node 'N' is missing address forinterface number X`.
    INTERFACE_WITHOUT_ADDRESS = "pve-interface-without-address", "an interface section's link has no address", VERIFY,
        "Proxmox VE adds no node while an interface section names a link on which a node has no address \
         (`missing address for interface number`). Add `ringN_addr` to the node or take the section out.";
    /// `node 'N' is missing link X, which is configured on other nodes`.
    UNEVEN_LINKS = "pve-uneven-links", "a node lacks a link that others have", VERIFY,
        "Proxmox VE adds no node while nodes differ in their links (`is missing link, which is configured \
         on other nodes`), and corosync does not start with such a file.";
    /// Two interface sections of one number.
    SAME_INTERFACE = "pve-same-interface", "two interface sections of one number", PARSER,
        "Proxmox VE keeps interface sections by linknumber, or by ringnumber where they have none, so that \
         `linknumber: 1` and `ringnumber: 1` collide. Of two that are equal it sees the later one alone, \
         and its next write drops the other one with its priority.";
    /// `ringnumber: 1`.
    RINGNUMBER = "pve-ringnumber", "ringnumber is a link for Proxmox VE alone", PARSER,
        "Proxmox VE takes ringnumber for the link's number. corosync 3 does not know the key and puts every \
         such section on link 0, where the last one wins: priorities and ports land on the wrong link while \
         Proxmox VE shows them on the right one. Write linknumber.";
    /// Neither `linknumber` nor `ringnumber`.
    INTERFACE_WITHOUT_NUMBER = "pve-interface-without-number", "an interface section without a number", PARSER,
        "corosync takes a section without linknumber for link 0. Proxmox VE takes it for no link, and adds \
         no node since link 0 has no interface section then. Write `linknumber: 0`.";
    /// `link1_addr`.
    LINK_ADDR = "pve-link-addr", "linkN_addr is an address for Proxmox VE alone", VERIFY,
        "Proxmox VE takes `linkN_addr` for an address as it takes `ringN_addr`; corosync stores the key and \
         does not use it. The link is shown and checked, but it does not exist. Write `ringN_addr`.";
    /// `unable to resolve ringX_addr` or `resolves to`.
    HOST_NAME_ADDRESS = "pve-host-name-address", "an address that is a host name", VERIFY,
        "corosync resolves host names when it starts or reloads, and does not start when that fails. \
         Proxmox VE warns when it adds a node: `unable to resolve`, or `consider replacing it with the \
         currently resolved IP address`. Write the address itself.";
    /// `authentication/encryption is not explicitly enabled`.
    NOT_ENCRYPTED = "pve-not-encrypted", "Proxmox VE sees no encryption", VERIFY,
        "Neither `secauth: on` nor a crypto_cipher other than none is there: corosync 3 then sends \
         everything readable and takes packets from anybody. Proxmox VE warns when it adds a node \
         (`authentication/encryption is not explicitly enabled`).";
    /// `secauth: on` with `crypto_cipher: none`.
    CRYPTO_OVERRIDDEN = "pve-crypto-overridden", "secauth is on, but crypto_cipher is none", VERIFY,
        "corosync lets crypto_cipher and crypto_hash decide where they are there, whatever secauth says. \
         Proxmox VE is content with `secauth: on` and does not warn, though nothing is encrypted. Take \
         crypto_cipher and crypto_hash out.";
    /// `quorum_votes: 0`.
    NO_VOTES = "pve-no-votes", "a node without a vote", VERIFY,
        "Proxmox VE takes 0 votes when a node joins, and never counts what is left: a node without a vote \
         helps nobody to keep quorum. That can be meant; if not, write `quorum_votes: 1`.";
    /// What a rewrite loses.
    REWRITE = "pve-rewrite", "Proxmox VE's next write drops comments", WRITER,
        "pvecm addnode, delnode and qdevice write the whole file anew: comments are gone, keys and sections \
         are sorted by name, nodes by name, and line ends and spacing are Proxmox VE's own. Unknown keys \
         stay. Keep what you want to remember elsewhere.";
    /// A repeated key.
    REPEATED_KEY = "pve-repeated-key", "a key is there twice", WRITER,
        "corosync and Proxmox VE both take the last value of a repeated key in one section, and the next \
         write of Proxmox VE drops the earlier ones. Keep the one that you mean.";
}
