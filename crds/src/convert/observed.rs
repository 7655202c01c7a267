//! The objects of one cluster as the planner sees them together.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kube::ResourceExt as _;
use pvecm_core::change::ConfText;
use pvecm_core::ids::{ChangeNumber, ConfigVersion, HostName};
use pvecm_core::observed::{HostView, ObservedCluster};

use super::{ConvertError, host_view};
use crate::change::{ConfigText, Outcome, PveChange};
use crate::host::PveHost;

/// A host's object that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("PveHost {host} is not understood")]
pub struct HostNotUnderstood {
    /// Its name.
    pub host: String,
    /// What is wrong.
    #[source]
    pub why: ConvertError,
}

/// Everything known about one cluster. `hosts` come with whether their agent is heard; `changes` are
/// all that are kept under the cluster's name; `uid` is the cluster's, `now` the time of day.
///
/// The numbers of an open change are not counted as reserved: they are its own, and the guards look at
/// it once more before it begins.
pub fn observed<'a>(
    hosts: impl IntoIterator<Item = (&'a HostName, &'a PveHost, bool)>,
    changes: &[&PveChange],
    (uid, now): (&str, Timestamp),
) -> Result<ObservedCluster, HostNotUnderstood> {
    let texts = texts(changes.iter().copied());
    let mut views: BTreeMap<HostName, HostView> = BTreeMap::new();
    let mut ledgers = Vec::new();
    for (name, host, connected) in hosts {
        let refused = |why| HostNotUnderstood { host: host.name_any(), why };
        let mut view = host_view(host, (connected, now), uid, None).map_err(refused)?;
        for file in view.pmxcfs_file.iter_mut().chain(&mut view.disk_file) {
            let known = texts.get(file.digest.to_string().as_str());
            file.text = file.text.take().or_else(|| known.map(|known| known.text.clone()));
        }
        views.insert(name.clone(), view);
        let ledger = host.status.as_ref().and_then(|status| status.ledger.as_ref());
        ledgers.extend(ledger.map(|ledger| ledger.highest_change));
    }
    let highest = changes.iter().map(|change| change.spec.number).chain(ledgers).max();
    let ended = changes.iter().copied().filter(|change| change.outcome().is_some());
    let reserved = self::texts(ended).values().map(|text| text.version).max();
    let number = |n: Option<i64>| u64::try_from(n.unwrap_or(0)).unwrap_or(0);
    Ok(ObservedCluster {
        hosts: views,
        last_change: ChangeNumber(number(highest)),
        reserved_version: ConfigVersion(number(reserved)),
        left: left(changes, uid),
    })
}

/// The text that the newest ended change of this very cluster left; `changes` in the order of their numbers.
/// What an undone stage went back to has another number than the text before, and says the same.
#[must_use]
pub fn left(changes: &[&PveChange], uid: &str) -> Option<ConfText> {
    let ours = changes.iter().rev().filter(|change| change.spec.cluster_ref.uid == uid);
    let text = ours.filter_map(|change| {
        let outcome = change.outcome()?;
        let stages = &change.spec.plan.stages;
        let released = change.status.as_ref().map_or(0, |status| status.released_stage);
        let released = usize::try_from(released).unwrap_or(0).min(stages.len());
        let (last, before) = (released.checked_sub(1), released.checked_sub(2));
        match outcome {
            Outcome::Succeeded | Outcome::Superseded => last.map(|last| &stages[last].config),
            Outcome::RolledBack | Outcome::Failed => {
                let back = last.and_then(|last| stages[last].back.as_ref());
                back.or_else(|| before.map(|before| &stages[before].config))
            }
        }
    });
    let ConfigText { version, digest: _, text } = text.into_iter().next()?;
    Some(ConfText::new(ConfigVersion(u64::try_from(*version).ok()?), text.clone()))
}

/// Every text that these changes wrote or reserved, by digest.
pub fn texts<'a>(
    changes: impl IntoIterator<Item = &'a PveChange>,
) -> BTreeMap<&'a str, &'a ConfigText> {
    let stages = changes.into_iter().flat_map(|change| &change.spec.plan.stages);
    let texts = stages.flat_map(|stage| [Some(&stage.config), stage.back.as_ref()]).flatten();
    texts.map(|text| (text.digest.as_str(), text)).collect()
}
