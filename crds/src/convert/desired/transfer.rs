//! `spec.migration` and `spec.replication` as lines of datacenter.cfg.

use std::collections::BTreeMap;

use ipnet::IpNet;
use pvecm_core::datacenter::{self as core, Traffic, TransferWish};

use super::InvalidSpec;
use crate::cluster::{PveClusterSpec, Transfer, TransferType, UnencryptedTraffic};

/// What a spec wants of either line. What the rules of the schema refuse is refused here as well: a file on a
/// desk has passed no API server.
pub(super) fn wishes(
    spec: &PveClusterSpec,
) -> Result<BTreeMap<Traffic, TransferWish>, InvalidSpec> {
    let fields = [(Traffic::Migration, &spec.migration), (Traffic::Replication, &spec.replication)];
    let wanted = fields.into_iter().filter_map(|(traffic, field)| Some((traffic, field.as_ref()?)));
    wanted.map(|(traffic, transfer)| Ok((traffic, wish(traffic, transfer)?))).collect()
}

fn wish(traffic: Traffic, transfer: &Transfer) -> Result<TransferWish, InvalidSpec> {
    let field = format!("spec.{}", traffic.key());
    let Transfer { kind, network, unencrypted_traffic } = transfer;
    let kind = match (kind, unencrypted_traffic) {
        (TransferType::Default, _) if network.is_some() => {
            let sentence = "`network` needs `type` Secure or Insecure";
            return Err(InvalidSpec::new(field, sentence));
        }
        (TransferType::Default, _) => return Ok(TransferWish::NoLine),
        (TransferType::Secure, _) => core::TransferType::Secure,
        (TransferType::Insecure, Some(UnencryptedTraffic::Accepted)) => {
            core::TransferType::Insecure
        }
        (TransferType::Insecure, None) => {
            let sentence = "`type` Insecure needs `unencryptedTraffic: Accepted`";
            return Err(InvalidSpec::new(field, sentence));
        }
    };
    Ok(match network.as_deref() {
        None => TransferWish::Type(kind),
        Some(Transfer::NO_NETWORK) => TransferWish::Line(core::Transfer { kind, network: None }),
        Some(text) => {
            let network = Some(parsed(&format!("{field}.network"), text)?);
            TransferWish::Line(core::Transfer { kind, network })
        }
    })
}

/// With the bounds of Proxmox VE, which takes host bits.
fn parsed(field: &str, text: &str) -> Result<IpNet, InvalidSpec> {
    let network = text.parse().ok().filter(|network: &IpNet| network.prefix_len() >= 8);
    network.ok_or_else(|| {
        let sentence =
            format!("`{text}` is no network with a mask of 8 bits at least, and not None");
        InvalidSpec::new(field, sentence)
    })
}
