//! How guests travel between nodes: `migration` and `replication` (pve.md 6.2).

use std::fmt;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::document::Document;
use super::schema::TRANSFER;
use super::value::{ValueError, boolean, network};

/// Which traffic is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Traffic {
    /// Guests on their way to another node.
    Migration,
    /// Volumes that are copied from time to time.
    Replication,
}

impl Traffic {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Migration, Self::Replication];

    /// The key in datacenter.cfg.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Migration => "migration",
            Self::Replication => "replication",
        }
    }
}

/// Whether traffic goes through SSH. The guides call the second one "unsafe"; Proxmox VE takes only
/// `insecure` (pve.md 9, item 18).
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum TransferType {
    /// `secure`: through SSH. Proxmox VE's default.
    #[default]
    Secure,
    /// `insecure`: in the clear, the guest's memory with all its secrets included. Storage content is
    /// encrypted all the same.
    Insecure,
}

impl TransferType {
    /// The word in datacenter.cfg.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Secure => "secure",
            Self::Insecure => "insecure",
        }
    }
}

/// A value of `migration` or `replication`. The default is what Proxmox VE does without either.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfer {
    /// Always given: Proxmox VE drops a line without it.
    pub kind: TransferType,
    /// The network in which every node has one address; `None`: the cluster network. Host bits stay as
    /// written. 8 to 32 bits of mask for IPv4, 8 to 128 for IPv6.
    pub network: Option<IpNet>,
}

impl Transfer {
    /// Reads a value as Proxmox VE does.
    pub fn read(text: &str) -> Result<Self, ValueError> {
        let values = TRANSFER.read(text)?;
        let insecure = values.get("type") == Some(&TransferType::Insecure.word());
        Ok(Self {
            kind: if insecure { TransferType::Insecure } else { TransferType::Secure },
            network: values.get("network").and_then(|value| network(value)),
        })
    }
}

impl fmt::Display for Transfer {
    /// In Proxmox VE's order: the type without its key, then the network. Proxmox VE repeats a network as it
    /// was written, here it has its usual spelling.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.word())?;
        self.network.map_or(Ok(()), |network| write!(f, ",network={network}"))
    }
}

impl Document {
    /// What the file says about this traffic; `None`: nothing. An error: Proxmox VE takes the line for none.
    pub fn transfer(&self, traffic: Traffic) -> Result<Option<Transfer>, ValueError> {
        let value = self.entry(traffic.key()).map(|entry| String::from_utf8_lossy(entry.value));
        value.map(|value| Transfer::read(&value)).transpose()
    }

    /// `migration_unsecure`, which Proxmox VE 4.3 replaced by `migration`; `None`: not there, or no
    /// boolean.
    #[must_use]
    pub fn migration_unsecure(&self) -> Option<bool> {
        boolean(&String::from_utf8_lossy(self.entry("migration_unsecure")?.value))
    }

    /// What Proxmox VE does with this traffic. A line that it drops counts for nothing: then
    /// `migration_unsecure` decides about migration, and migration about replication.
    #[must_use]
    pub fn in_force(&self, traffic: Traffic) -> Transfer {
        if let Ok(Some(transfer)) = self.transfer(traffic) {
            return transfer;
        }
        match traffic {
            Traffic::Replication => self.in_force(Traffic::Migration),
            Traffic::Migration if self.migration_unsecure() == Some(true) => {
                Transfer { kind: TransferType::Insecure, network: None }
            }
            Traffic::Migration => Transfer::default(),
        }
    }
}
