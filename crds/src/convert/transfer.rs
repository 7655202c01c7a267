//! The lines of datacenter.cfg between the wire and the core.

use pvecm_core::datacenter::{
    self as core, DatacenterView, DatacenterWrite, Lines, Traffic, TransferWish,
};

use super::{ConvertError, id};
use crate::change::DatacenterLine;
use crate::cluster::{Transfer, TransferType, UnencryptedTraffic};
use crate::host::{HostDatacenter, HostTransfer};

impl From<core::TransferType> for TransferType {
    fn from(kind: core::TransferType) -> Self {
        match kind {
            core::TransferType::Secure => Self::Secure,
            core::TransferType::Insecure => Self::Insecure,
        }
    }
}

/// What was adopted, as a person would write it.
pub(super) fn adopted(wish: TransferWish) -> Transfer {
    let line = |kind: core::TransferType, network| Transfer {
        kind: kind.into(),
        network,
        unencrypted_traffic: (kind == core::TransferType::Insecure)
            .then_some(UnencryptedTraffic::Accepted),
    };
    match wish {
        TransferWish::NoLine => {
            Transfer { kind: TransferType::Default, network: None, unencrypted_traffic: None }
        }
        TransferWish::Type(kind) => line(kind, None),
        TransferWish::Line(core::Transfer { kind, network }) => {
            let word = || Transfer::NO_NETWORK.to_owned();
            line(kind, Some(network.map_or_else(word, |network| network.to_string())))
        }
    }
}

/// The wire form of a change of the file.
pub(super) fn write_from_core(
    write: &DatacenterWrite,
) -> (String, Option<DatacenterLine>, Option<DatacenterLine>) {
    let line = |traffic: Traffic| {
        let line = write.lines.get(&traffic)?;
        Some(DatacenterLine {
            kind: line.map_or(TransferType::Default, |line| line.kind.into()),
            network: line.and_then(|line| line.network).map(|network| network.to_string()),
        })
    };
    (write.parent.to_string(), line(Traffic::Migration), line(Traffic::Replication))
}

/// Its checked form.
pub(super) fn write_to_core(
    parent: &str,
    lines: [(Traffic, Option<&DatacenterLine>); 2],
) -> Result<DatacenterWrite, ConvertError> {
    let lines = lines.into_iter().filter_map(|(traffic, line)| Some((traffic, line?)));
    let lines = lines.map(|(traffic, line)| Ok((traffic, line_to_core(line)?)));
    Ok(DatacenterWrite {
        parent: id("writeDatacenterConfig.parent", parent)?,
        lines: lines.collect::<Result<Lines, ConvertError>>()?,
    })
}

fn line_to_core(line: &DatacenterLine) -> Result<Option<core::Transfer>, ConvertError> {
    let DatacenterLine { kind, network } = line;
    let kind = match kind {
        TransferType::Secure => core::TransferType::Secure,
        TransferType::Insecure => core::TransferType::Insecure,
        TransferType::Default => return Ok(None),
    };
    let network = network.as_deref().map(network_to_core).transpose()?;
    Ok(Some(core::Transfer { kind, network }))
}

fn network_to_core(text: &str) -> Result<ipnet::IpNet, ConvertError> {
    text.parse().map_err(|why| ConvertError::Address("datacenter.network", why))
}

impl From<&DatacenterView> for HostDatacenter {
    fn from(view: &DatacenterView) -> Self {
        let line = |traffic: Traffic| match view.lines.get(&traffic)? {
            Ok(core::Transfer { kind, network }) => Some(HostTransfer {
                kind: Some((*kind).into()),
                network: network.map(|network| network.to_string()),
                ignored: None,
            }),
            Err(why) => Some(HostTransfer {
                ignored: Some(why.chars().take(512).collect()),
                ..HostTransfer::default()
            }),
        };
        Self {
            digest: view.digest.to_string(),
            migration: line(Traffic::Migration),
            replication: line(Traffic::Replication),
        }
    }
}

/// What a host tells of its file.
pub(super) fn view_to_core(told: HostDatacenter) -> Result<DatacenterView, ConvertError> {
    let HostDatacenter { digest, migration, replication } = told;
    let lines = [(Traffic::Migration, migration), (Traffic::Replication, replication)];
    let lines = lines.into_iter().filter_map(|(traffic, line)| Some((traffic, line?)));
    let lines = lines.map(|(traffic, line)| Ok((traffic, told_line(line)?)));
    Ok(DatacenterView {
        digest: id("status.datacenter.digest", &digest)?,
        lines: lines.collect::<Result<_, ConvertError>>()?,
    })
}

fn told_line(line: HostTransfer) -> Result<Result<core::Transfer, String>, ConvertError> {
    let HostTransfer { kind, network, ignored } = line;
    let kind = match kind {
        Some(TransferType::Secure) => core::TransferType::Secure,
        Some(TransferType::Insecure) => core::TransferType::Insecure,
        Some(TransferType::Default) | None => return Ok(Err(ignored.unwrap_or_default())),
    };
    let network = network.as_deref().map(network_to_core).transpose()?;
    Ok(Ok(core::Transfer { kind, network }))
}
