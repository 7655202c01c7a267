//! A cluster that runs, as the object that describes it: the way back from `desired`.
//!
//! Owns which of the file's values a spec takes. The schema says so, and is asked here: the file of an
//! adopted cluster may have numbers that the API server would refuse.

use std::fmt;

use kube::CustomResourceExt as _;
use pvecm_core::conf::{self, LoggingOptions, TotemOptions};
use pvecm_core::datacenter::Traffic;
use pvecm_core::desired::{DesiredCluster, DesiredLink, DesiredNode};
use serde_json::Value;

use super::ConvertError;
use crate::cluster::{
    Cipher, Compression, CompressionModel, Crypto, DebugMessages, DeletionPolicy, Hash, IpVersion,
    Link, LinkAddress, LinkMode, Logging, Node, PveCluster, PveClusterSpec, Rollout,
    SyslogPriority, Totem, Transport,
};
use crate::reference::HostRef;

/// A number of the file that a spec does not take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// The field that it would have been in.
    pub field: String,
    /// The number.
    pub value: String,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, value } = self;
        write!(f, "`{field}` takes no {value}, so the spec leaves it out")
    }
}

/// The object under this name that wants what is adopted, with the numbers that it has no room for.
pub fn adopted(
    name: &str,
    wanted: &DesiredCluster,
) -> Result<(PveCluster, Vec<LeftOut>), ConvertError> {
    let transfer = |traffic| wanted.datacenter.get(&traffic).copied().map(super::transfer::adopted);
    let spec = PveClusterSpec {
        cluster_name: Some(wanted.name.to_string()).filter(|real| real != name),
        nodes: wanted.nodes.iter().map(node).collect(),
        links: wanted.links.iter().map(link).collect(),
        totem: Some(totem(&wanted.totem)).filter(|totem| *totem != Totem::default()),
        logging: Some(logging(wanted.logging)).filter(|logging| *logging != Logging::default()),
        quorum: None,
        migration: transfer(Traffic::Migration),
        replication: transfer(Traffic::Replication),
        rollout: Rollout::default(),
        deletion_policy: DeletionPolicy::default(),
    };
    let not_written = |_| ConvertError::Number("spec");
    let mut value = serde_json::to_value(&spec).map_err(not_written)?;
    let schema = serde_json::to_value(PveCluster::crd()).map_err(not_written)?;
    let schema = &schema["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    let mut left = Vec::new();
    fit(&mut value, schema, "spec", &mut left);
    let spec = serde_json::from_value(value).map_err(not_written)?;
    Ok((PveCluster::new(name, spec), left))
}

/// Takes out the numbers that are beyond the schema's bounds.
fn fit(value: &mut Value, schema: &Value, field: &str, left: &mut Vec<LeftOut>) {
    match value {
        Value::Object(fields) => fields.retain(|key, inner| {
            let (schema, field) = (&schema["properties"][key.as_str()], format!("{field}.{key}"));
            fit(inner, schema, &field, left);
            let fits = is_within(inner, schema);
            if !fits {
                left.push(LeftOut { field, value: inner.to_string() });
            }
            fits
        }),
        Value::Array(items) => {
            for (at, item) in items.iter_mut().enumerate() {
                let key = [&item["name"], &item["number"]].into_iter().find(|key| !key.is_null());
                let key = key.map_or(at.to_string(), |key| key.to_string().replace('"', ""));
                fit(item, &schema["items"], &format!("{field}[{key}]"), left);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn is_within(value: &Value, schema: &Value) -> bool {
    let Some(number) = value.as_f64() else { return true };
    schema["minimum"].as_f64().is_none_or(|least| number >= least)
        && schema["maximum"].as_f64().is_none_or(|most| number <= most)
}

/// What is larger than the wire's numbers is larger than every bound as well.
fn number<T: TryInto<i32>>(value: T) -> i32 {
    value.try_into().unwrap_or(i32::MAX)
}

fn node(node: &DesiredNode) -> Node {
    let DesiredNode { name, host, node_id, votes, addresses } = node;
    let by_name = name.as_str().to_ascii_lowercase() == host.as_str();
    let address = |(link, address): (&pvecm_core::ids::LinkNumber, &String)| LinkAddress {
        link: number(u32::from(*link)),
        address: address.clone(),
    };
    Node {
        name: name.to_string(),
        host_ref: (!by_name).then(|| HostRef { name: host.to_string() }),
        node_id: node_id.map(|id| number(u32::from(id))),
        votes: votes.map(number),
        addresses: addresses.iter().map(address).collect(),
    }
}

fn link(link: &DesiredLink) -> Link {
    let DesiredLink { number: link, network, options, limits: _ } = link;
    Link {
        number: number(u32::from(*link)),
        network: network.map(|network| network.to_string()),
        priority: options.priority.map(number),
        ping_interval_millis: options.ping_interval_millis.map(number),
        ping_timeout_millis: options.ping_timeout_millis.map(number),
        ping_precision: options.ping_precision.map(number),
        pong_count: options.pong_count.map(number),
        port: options.port.map(number),
        limits: None,
    }
}

fn totem(options: &TotemOptions) -> Totem {
    let crypto = options.cipher.zip(options.hash);
    let crypto = crypto
        .map(|(cipher, hash)| Crypto { cipher: self::cipher(cipher), hash: self::hash(hash) });
    Totem {
        transport: options.transport.map(transport),
        token_millis: options.token_millis.map(number),
        token_coefficient_millis: options.token_coefficient_millis.map(number),
        consensus_millis: options.consensus_millis.map(number),
        link_mode: options.link_mode.map(link_mode),
        ip_version: options.ip_version.map(ip_version),
        mtu_bytes: options.mtu_bytes.map(number),
        crypto,
        compression: options.compression.map(|model| Compression {
            model: compression(model),
            threshold_bytes: options.compression_threshold_bytes.map(number),
            level: options.compression_level,
        }),
        key_generation: None,
    }
}

const fn transport(transport: conf::Transport) -> Transport {
    match transport {
        conf::Transport::Knet => Transport::Knet,
        conf::Transport::Udp => Transport::Udp,
        conf::Transport::Udpu => Transport::Udpu,
    }
}

const fn link_mode(mode: conf::LinkMode) -> LinkMode {
    match mode {
        conf::LinkMode::Passive => LinkMode::Passive,
        conf::LinkMode::Active => LinkMode::Active,
        conf::LinkMode::RoundRobin => LinkMode::RoundRobin,
    }
}

const fn ip_version(version: conf::IpVersion) -> IpVersion {
    match version {
        conf::IpVersion::Ipv4 => IpVersion::IPv4,
        conf::IpVersion::Ipv6 => IpVersion::IPv6,
        conf::IpVersion::Ipv4Then6 => IpVersion::IPv4Then6,
        conf::IpVersion::Ipv6Then4 => IpVersion::IPv6Then4,
    }
}

const fn cipher(cipher: conf::Cipher) -> Cipher {
    match cipher {
        conf::Cipher::None => Cipher::None,
        conf::Cipher::Aes128 => Cipher::AES128,
        conf::Cipher::Aes192 => Cipher::AES192,
        conf::Cipher::Aes256 => Cipher::AES256,
    }
}

const fn hash(hash: conf::Hash) -> Hash {
    match hash {
        conf::Hash::None => Hash::None,
        conf::Hash::Md5 => Hash::MD5,
        conf::Hash::Sha1 => Hash::SHA1,
        conf::Hash::Sha256 => Hash::SHA256,
        conf::Hash::Sha384 => Hash::SHA384,
        conf::Hash::Sha512 => Hash::SHA512,
    }
}

const fn compression(model: conf::Compression) -> CompressionModel {
    match model {
        conf::Compression::None => CompressionModel::None,
        conf::Compression::Zlib => CompressionModel::Zlib,
        conf::Compression::Lz4 => CompressionModel::Lz4,
        conf::Compression::Lz4hc => CompressionModel::Lz4hc,
        conf::Compression::Lzo2 => CompressionModel::Lzo2,
        conf::Compression::Lzma => CompressionModel::Lzma,
        conf::Compression::Bzip2 => CompressionModel::Bzip2,
        conf::Compression::Zstd => CompressionModel::Zstd,
    }
}

fn logging(options: LoggingOptions) -> Logging {
    let LoggingOptions { debug, syslog_priority, to_syslog } = options;
    Logging {
        debug: debug.map(|debug| match debug {
            conf::Debugging::Off => DebugMessages::Disabled,
            conf::Debugging::On => DebugMessages::Enabled,
            conf::Debugging::Trace => DebugMessages::Trace,
        }),
        to_syslog: to_syslog.map(|switch| match switch {
            conf::Switch::Yes | conf::Switch::On => true,
            conf::Switch::No | conf::Switch::Off => false,
        }),
        syslog_priority: syslog_priority.map(priority),
    }
}

const fn priority(priority: conf::Priority) -> SyslogPriority {
    match priority {
        conf::Priority::Emerg => SyslogPriority::Emerg,
        conf::Priority::Alert => SyslogPriority::Alert,
        conf::Priority::Crit => SyslogPriority::Crit,
        conf::Priority::Err | conf::Priority::Error => SyslogPriority::Err,
        conf::Priority::Warning => SyslogPriority::Warning,
        conf::Priority::Notice => SyslogPriority::Notice,
        conf::Priority::Info => SyslogPriority::Info,
        conf::Priority::Debug => SyslogPriority::Debug,
    }
}
