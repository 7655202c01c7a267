//! Plans and stages: maps of the core are lists of named members on the wire.

use std::collections::BTreeMap;
use std::net::IpAddr;

use pvecm_core::change as core;
use pvecm_core::datacenter::Traffic;
use pvecm_core::ids::{ClusterName, ConfigVersion, Digest, HostName, NodeId};

use super::limits::{limits_from_core, limits_to_core};
use super::transfer::{write_from_core, write_to_core};
use super::{ConvertError, counter, id, id_number, number};
use crate::change::{
    Action, ConfigText, Course, HostActions, Member, Parent, Plan, Probe, Receiver, Risk, Stage,
    StageResult, Tombstone,
};
use crate::host::{HaState, LinkClass, ReferenceKind};

/// The wire form of a plan, in whatever state of proof.
pub fn plan_from_core<State>(plan: &core::Plan<State>) -> Result<Plan, ConvertError> {
    let parent = plan.parent.map(|parent| {
        let config_version = counter("plan.parent.configVersion", parent.version.0)?;
        Ok(Parent { config_version, digest: parent.digest.to_string() })
    });
    Ok(Plan {
        parent: parent.transpose()?,
        generation: plan.generation,
        summary: plan.summary.clone(),
        risk: plan.risk().into(),
        stages: plan.stages.iter().map(stage_from_core).collect::<Result<_, _>>()?,
    })
}

/// What a plan on the wire starts from, and its stages in their order.
pub fn plan_stages(plan: &Plan) -> Result<(Option<core::Parent>, Vec<core::Stage>), ConvertError> {
    let Plan { parent, generation: _, summary: _, risk: _, stages } = plan;
    let parent = parent.as_ref().map(|Parent { config_version, digest }| {
        Ok(core::Parent {
            version: ConfigVersion(number("plan.parent.configVersion", *config_version)?),
            digest: id("plan.parent.digest", digest)?,
        })
    });
    Ok((parent.transpose()?, stages.iter().map(stage_to_core).collect::<Result<_, _>>()?))
}

/// The wire form of a stage.
pub fn stage_from_core(stage: &core::Stage) -> Result<Stage, ConvertError> {
    let core::Stage {
        summary,
        risk,
        course,
        group,
        joining,
        config,
        back,
        actions,
        probes,
        limits,
        confirm_timeout_secs,
    } = stage;
    Ok(Stage {
        summary: summary.clone(),
        risk: (*risk).into(),
        course: (*course).into(),
        group: members_from_core(group),
        joining: members_from_core(joining),
        config: text_from_core(config)?,
        back: back.as_ref().map(text_from_core).transpose()?,
        actions: actions
            .iter()
            .map(|(host, actions)| HostActions {
                host: host.to_string(),
                actions: actions.iter().map(Action::from).collect(),
            })
            .collect(),
        probes: probes.iter().map(Probe::from).collect(),
        limits: limits_from_core(limits)?,
        confirm_timeout_seconds: number("stage.confirmTimeoutSeconds", *confirm_timeout_secs)?,
    })
}

/// The checked form of a stage. Refuses a text that is not the one its digest names.
pub fn stage_to_core(stage: &Stage) -> Result<core::Stage, ConvertError> {
    let Stage {
        summary,
        risk,
        course,
        group,
        joining,
        config,
        back,
        actions,
        probes,
        limits,
        confirm_timeout_seconds,
    } = stage;
    Ok(core::Stage {
        summary: summary.clone(),
        risk: (*risk).into(),
        course: (*course).into(),
        group: members_to_core("stage.group", group)?,
        joining: members_to_core("stage.joining", joining)?,
        config: text_to_core("stage.config", config)?,
        back: back.as_ref().map(|back| text_to_core("stage.back", back)).transpose()?,
        actions: actions_to_core(actions)?,
        probes: probes.iter().map(probe_to_core).collect::<Result<_, _>>()?,
        limits: limits_to_core(limits)?,
        confirm_timeout_secs: number("stage.confirmTimeoutSeconds", *confirm_timeout_seconds)?,
    })
}

fn members_from_core(members: &BTreeMap<NodeId, HostName>) -> Vec<Member> {
    members
        .iter()
        .map(|(id, host)| Member { node_id: i64::from(id.get()), host: host.to_string() })
        .collect()
}

fn members_to_core(
    field: &'static str,
    members: &[Member],
) -> Result<BTreeMap<NodeId, HostName>, ConvertError> {
    let mut found = BTreeMap::new();
    for Member { node_id, host } in members {
        let twice = found.insert(id_number(field, *node_id)?, id(field, host)?);
        if twice.is_some() {
            return Err(ConvertError::Twice(field, node_id.to_string()));
        }
    }
    Ok(found)
}

fn actions_to_core(
    actions: &[HostActions],
) -> Result<BTreeMap<HostName, Vec<core::Action>>, ConvertError> {
    let mut found = BTreeMap::new();
    for HostActions { host, actions } in actions {
        let of_host = actions.iter().map(action_to_core).collect::<Result<_, _>>()?;
        if found.insert(id("stage.actions.host", host)?, of_host).is_some() {
            return Err(ConvertError::Twice("stage.actions", host.clone()));
        }
    }
    Ok(found)
}

fn text_from_core(conf: &core::ConfText) -> Result<ConfigText, ConvertError> {
    let core::ConfText { version, digest, text } = conf;
    let version = counter("version", version.0)?;
    Ok(ConfigText { version, digest: digest.to_string(), text: text.clone() })
}

fn text_to_core(field: &'static str, conf: &ConfigText) -> Result<core::ConfText, ConvertError> {
    let ConfigText { version, digest, text } = conf;
    let conf = core::ConfText::new(ConfigVersion(number(field, *version)?), text.clone());
    if conf.digest == id::<Digest>(field, digest)? {
        Ok(conf)
    } else {
        Err(ConvertError::Digest(field))
    }
}

fn action_to_core(action: &Action) -> Result<core::Action, ConvertError> {
    Ok(match action {
        Action::FormCluster {} => core::Action::FormCluster {},
        Action::SealAuthkey { to, recipient } => core::Action::SealAuthkey {
            to: id("sealAuthkey.to", to)?,
            recipient: recipient.clone(),
        },
        Action::ReceiveAuthkey { generation } => core::Action::ReceiveAuthkey {
            generation: number("receiveAuthkey.generation", *generation)?,
        },
        Action::MakeAuthkey { receivers } => {
            core::Action::MakeAuthkey { receivers: receivers_to_core(receivers)? }
        }
        Action::LayAuthkey {} => core::Action::LayAuthkey {},
        Action::ExchangeAuthkey { generation } => core::Action::ExchangeAuthkey {
            generation: number("exchangeAuthkey.generation", *generation)?,
        },
        Action::Join { tombstones } => core::Action::Join {
            tombstones: tombstones
                .iter()
                .map(|gone| tombstone_to_core("join.tombstones", gone))
                .collect::<Result<_, _>>()?,
        },
        Action::RefreshStaleConfig {} => core::Action::RefreshStaleConfig {},
        Action::Reload {} => core::Action::Reload {},
        Action::DisarmHa {} => core::Action::DisarmHa {},
        Action::ArmHa {} => core::Action::ArmHa {},
        Action::RestartCorosync {} => core::Action::RestartCorosync {},
        Action::StopCorosync {} => core::Action::StopCorosync {},
        Action::LeaveCluster {} => core::Action::LeaveCluster {},
        Action::StopToSeparate { shared_storages } => core::Action::StopToSeparate {
            shared_storages: shared_storages.iter().cloned().collect(),
        },
        Action::Separate { shared_storages } => {
            core::Action::Separate { shared_storages: shared_storages.iter().cloned().collect() }
        }
        Action::SetExpectedVotes { votes, dead } => core::Action::SetExpectedVotes {
            votes: number("setExpectedVotes.votes", *votes)?,
            dead: dead
                .iter()
                .map(|node| id_number("setExpectedVotes.dead", *node))
                .collect::<Result<_, _>>()?,
        },
        Action::Bury(gone) => core::Action::Bury(tombstone_to_core("bury", gone)?),
        Action::Sweep(gone) => core::Action::Sweep(tombstone_to_core("sweep", gone)?),
        Action::CleanReferences { node, references } => core::Action::CleanReferences {
            node: id("cleanReferences.node", node)?,
            references: references.iter().cloned().map(Into::into).collect(),
        },
        Action::WriteDatacenterConfig { parent, migration, replication } => {
            let migration = (Traffic::Migration, migration.as_ref());
            let lines = [migration, (Traffic::Replication, replication.as_ref())];
            core::Action::WriteDatacenterConfig(write_to_core(parent, lines)?)
        }
        Action::RequestCertificate { cluster, authority, witness, generation } => {
            let (cluster, witness, generation) = certificate(cluster, witness, *generation)?;
            let authority = authority.clone();
            core::Action::RequestCertificate { cluster, authority, witness, generation }
        }
        Action::TakeCertificate {} => core::Action::TakeCertificate {},
        Action::ImportCertificate { cluster, authority, witness, generation, recipient } => {
            let (cluster, witness, generation) = certificate(cluster, witness, *generation)?;
            let (authority, recipient) = (authority.clone(), recipient.clone());
            core::Action::ImportCertificate { cluster, authority, witness, generation, recipient }
        }
        Action::StartDevice {} => core::Action::StartDevice {},
        Action::StopDevice {} => core::Action::StopDevice {},
        Action::PutDeviceAway {} => core::Action::PutDeviceAway {},
    })
}

/// For which cluster, and by whom, a certificate is, and which one it is.
fn certificate(
    cluster: &str,
    witness: &str,
    generation: i32,
) -> Result<(ClusterName, IpAddr, u32), ConvertError> {
    Ok((
        id("certificate.cluster", cluster)?,
        witness.parse().map_err(|why| ConvertError::Ip("certificate.witness", why))?,
        number("certificate.generation", generation)?,
    ))
}

/// The checked form of a tombstone.
pub(super) fn tombstone_to_core(
    field: &'static str,
    tombstone: &Tombstone,
) -> Result<core::Tombstone, ConvertError> {
    let Tombstone { name, node_id, machine_id, keeps_key, lives_alone } = tombstone;
    Ok(core::Tombstone {
        name: id(field, name)?,
        node_id: id_number(field, *node_id)?,
        machine_id: machine_id.clone(),
        keeps_key: keeps_key.map(|generation| number(field, generation)).transpose()?,
        lives_alone: *lives_alone,
    })
}

impl From<&core::Tombstone> for Tombstone {
    fn from(tombstone: &core::Tombstone) -> Self {
        let core::Tombstone { name, node_id, machine_id, keeps_key, lives_alone } = tombstone;
        Self {
            name: name.to_string(),
            node_id: node_id.get().into(),
            machine_id: machine_id.clone(),
            keeps_key: keeps_key.map(|generation| i32::try_from(generation).unwrap_or(i32::MAX)),
            lives_alone: *lives_alone,
        }
    }
}

fn receivers_to_core(receivers: &[Receiver]) -> Result<BTreeMap<HostName, String>, ConvertError> {
    let mut found = BTreeMap::new();
    for Receiver { to, recipient } in receivers {
        if found.insert(id("makeAuthkey.receivers", to)?, recipient.clone()).is_some() {
            return Err(ConvertError::Twice("makeAuthkey.receivers", to.clone()));
        }
    }
    Ok(found)
}

fn receiver((to, recipient): (&HostName, &String)) -> Receiver {
    Receiver { to: to.to_string(), recipient: recipient.clone() }
}

/// A generation as the schema has it. A spec that the API server took holds none that does not fit.
pub(super) fn generation(generation: u32) -> i32 {
    i32::try_from(generation).unwrap_or(i32::MAX)
}

impl From<&core::Action> for Action {
    fn from(action: &core::Action) -> Self {
        match action {
            core::Action::FormCluster {} => Self::FormCluster {},
            core::Action::SealAuthkey { to, recipient } => {
                Self::SealAuthkey { to: to.to_string(), recipient: recipient.clone() }
            }
            core::Action::ReceiveAuthkey { generation: of } => {
                Self::ReceiveAuthkey { generation: generation(*of) }
            }
            core::Action::MakeAuthkey { receivers } => {
                Self::MakeAuthkey { receivers: receivers.iter().map(receiver).collect() }
            }
            core::Action::LayAuthkey {} => Self::LayAuthkey {},
            core::Action::ExchangeAuthkey { generation: of } => {
                Self::ExchangeAuthkey { generation: generation(*of) }
            }
            core::Action::Join { tombstones } => {
                Self::Join { tombstones: tombstones.iter().map(Tombstone::from).collect() }
            }
            core::Action::RefreshStaleConfig {} => Self::RefreshStaleConfig {},
            core::Action::Reload {} => Self::Reload {},
            core::Action::DisarmHa {} => Self::DisarmHa {},
            core::Action::ArmHa {} => Self::ArmHa {},
            core::Action::RestartCorosync {} => Self::RestartCorosync {},
            core::Action::StopCorosync {} => Self::StopCorosync {},
            core::Action::LeaveCluster {} => Self::LeaveCluster {},
            core::Action::StopToSeparate { shared_storages } => {
                Self::StopToSeparate { shared_storages: shared_storages.iter().cloned().collect() }
            }
            core::Action::Separate { shared_storages } => {
                Self::Separate { shared_storages: shared_storages.iter().cloned().collect() }
            }
            core::Action::SetExpectedVotes { votes, dead } => Self::SetExpectedVotes {
                votes: i32::try_from(*votes).unwrap_or(i32::MAX),
                dead: dead.iter().map(|id| id.get().into()).collect(),
            },
            core::Action::Bury(gone) => Self::Bury(gone.into()),
            core::Action::Sweep(gone) => Self::Sweep(gone.into()),
            core::Action::CleanReferences { node, references } => Self::CleanReferences {
                node: node.to_string(),
                references: references.iter().cloned().map(Into::into).collect(),
            },
            core::Action::WriteDatacenterConfig(write) => {
                let (parent, migration, replication) = write_from_core(write);
                Self::WriteDatacenterConfig { parent, migration, replication }
            }
            core::Action::RequestCertificate { cluster, authority, witness, generation: of } => {
                let (cluster, witness) = (cluster.to_string(), witness.to_string());
                let (authority, generation) = (authority.clone(), generation(*of));
                Self::RequestCertificate { cluster, authority, witness, generation }
            }
            core::Action::TakeCertificate {} => Self::TakeCertificate {},
            core::Action::ImportCertificate {
                cluster,
                authority,
                witness,
                generation: of,
                recipient,
            } => {
                let (cluster, witness) = (cluster.to_string(), witness.to_string());
                let (authority, recipient) = (authority.clone(), recipient.clone());
                let generation = generation(*of);
                Self::ImportCertificate { cluster, authority, witness, generation, recipient }
            }
            core::Action::StartDevice {} => Self::StartDevice {},
            core::Action::StopDevice {} => Self::StopDevice {},
            core::Action::PutDeviceAway {} => Self::PutDeviceAway {},
        }
    }
}

fn probe_to_core(probe: &Probe) -> Result<core::Probe, ConvertError> {
    Ok(match probe {
        Probe::RunningValue { key, value } => {
            core::Probe::RunningValue { key: key.clone(), value: value.clone() }
        }
        Probe::LinkConnected { link } => {
            core::Probe::LinkConnected { link: id_number("linkConnected.link", (*link).into())? }
        }
        Probe::StartedWith { key, value } => {
            core::Probe::StartedWith { key: key.clone(), value: value.clone() }
        }
        Probe::AuthkeyTaken {} => core::Probe::AuthkeyTaken {},
        Probe::Membership { nodes } => core::Probe::Membership {
            nodes: nodes
                .iter()
                .map(|node| id_number("membership.nodes", *node))
                .collect::<Result<_, _>>()?,
        },
    })
}

impl From<&core::Probe> for Probe {
    fn from(probe: &core::Probe) -> Self {
        match probe {
            core::Probe::RunningValue { key, value } => {
                Self::RunningValue { key: key.clone(), value: value.clone() }
            }
            core::Probe::LinkConnected { link } => Self::LinkConnected { link: link.get().into() },
            core::Probe::StartedWith { key, value } => {
                Self::StartedWith { key: key.clone(), value: value.clone() }
            }
            core::Probe::AuthkeyTaken {} => Self::AuthkeyTaken {},
            core::Probe::Membership { nodes } => {
                Self::Membership { nodes: nodes.iter().map(|id| id.get().into()).collect() }
            }
        }
    }
}

/// Two enums with the same unit variants, turned into each other.
macro_rules! same_variants {
    ($wire:ty, $core:ty: $($variant:ident),+) => {
        impl From<$core> for $wire {
            fn from(value: $core) -> Self {
                match value { $(<$core>::$variant => Self::$variant),+ }
            }
        }
        impl From<$wire> for $core {
            fn from(value: $wire) -> Self {
                match value { $(<$wire>::$variant => Self::$variant),+ }
            }
        }
    };
}

same_variants!(Risk, core::Risk: Live, NodeRestart, Outage, Recovery, Dissolution);
same_variants!(LinkClass, pvecm_core::fitness::LinkClass: Good, Slow, Lossy, Broken);
same_variants!(HaState, pvecm_core::ha::HaState: Absent, Idle, Active, Disarmed, Unknown);
same_variants!(
    ReferenceKind, pvecm_core::references::ReferenceKind:
    ReplicationJob, HaRule, HaGroup, Storage, BackupJob, HaResource
);
same_variants!(Course, core::Course: Local, Write, Start, Restart, Outage, Datacenter);
same_variants!(
    StageResult, core::StageResult: Prepared, Acting, Confirmed, RolledBack, Refused, Failed
);
