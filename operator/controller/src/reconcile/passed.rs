//! What somebody has for a host, on its way through a change: secrets of other hosts, copied and never read, the key
//! that a person put into a Secret, and certificates that a witness issued. Pure.
//!
//! A sender publishes what only one receiver can decrypt, and a witness what only the one with the key can use; the copy
//! in the change is where the receiver may read it. Copies go once the receiver has confirmed. What is in a Secret the
//! operator seals itself, each copy once, when the stage that takes it is the next.

use std::collections::BTreeMap;
use std::sync::Arc;

use pvecm_core::change::Stage;
use pvecm_core::device::SecretView;
use pvecm_core::ids::HostName;
use pvecm_crds::change::{CertificateFor, SealedFor};
use pvecm_crds::{PveChange, PveHost};

use super::certificates::{Issued, issued};
use super::drive::OpenChange;
use super::observe::Observation;

/// What a change holds of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Passed {
    /// Secrets.
    pub sealed: Vec<SealedFor>,
    /// The hosts for which what is in the Secret has yet to be sealed, with the keys to which it is.
    pub unsealed: BTreeMap<HostName, String>,
    /// Certificates.
    pub certificates: Vec<CertificateFor>,
}

/// What the open change should hold, if it holds something else.
pub fn due(change: &OpenChange, object: &PveChange, seen: &Observation) -> Option<Passed> {
    let status = object.status.clone().unwrap_or_default();
    let held = Passed {
        sealed: status.sealed,
        unsealed: BTreeMap::new(),
        certificates: status.certificates,
    };
    let (kept, unsealed) = imported(change, &held.sealed, seen);
    let mut all = sealed_by_hosts(change, &seen.hosts);
    all.extend(kept);
    let wanted = Passed {
        sealed: all,
        unsealed,
        certificates: certificates(change, &held.certificates, seen),
    };
    (wanted != held).then_some(wanted)
}

/// What was sealed of the Secret for hosts that have yet to confirm it, and for whom it has yet to be. A Secret that
/// holds something else than what the plan was made for is given to nobody.
fn imported(
    change: &OpenChange,
    held: &[SealedFor],
    seen: &Observation,
) -> (Vec<SealedFor>, BTreeMap<HostName, String>) {
    let (mut kept, mut unsealed) = (Vec::new(), BTreeMap::new());
    let within = usize::try_from(change.released).unwrap_or(usize::MAX).saturating_add(1);
    let stages = change.stages.iter().take(within);
    for (host, recipient, authority) in stages.flat_map(Stage::imports) {
        // One that joined has received the authkey before, which is another secret.
        let is_open = !received(change, host, &seen.hosts, imports);
        match held.iter().find(|held| held.host == host.as_str()).filter(|_| is_open) {
            Some(held) => kept.push(held.clone()),
            None if is_open && holds(seen, authority) => {
                unsealed.insert(host.clone(), recipient.clone());
            }
            None => {}
        }
    }
    (kept, unsealed)
}

fn imports(stage: &Stage, name: &HostName) -> bool {
    stage.imports().any(|(host, ..)| host == name)
}

/// Whether the Secret is the one that a plan was made for.
fn holds(seen: &Observation, authority: &str) -> bool {
    match &seen.view.secret {
        Some(SecretView::Usable(held)) => held.certificate == authority,
        Some(SecretView::Unusable(_)) | None => false,
    }
}

fn sealed_by_hosts(
    change: &OpenChange,
    hosts: &BTreeMap<HostName, Arc<PveHost>>,
) -> Vec<SealedFor> {
    let number = i64::try_from(change.number.0).unwrap_or(i64::MAX);
    let statuses = hosts.values().filter_map(|host| host.status.as_ref());
    let offered =
        statuses.flat_map(|status| &status.sealed).filter(|sealed| sealed.change == number);
    let is_open = |to: &str| {
        let to = to.parse::<HostName>();
        to.is_ok_and(|to| !received(change, &to, hosts, Stage::receives_secret))
    };
    let open = offered.filter(|sealed| is_open(&sealed.to));
    let copies: BTreeMap<_, _> = open.map(|sealed| (&sealed.to, &sealed.data)).collect();
    let copy =
        |(host, data): (&String, &String)| SealedFor { host: host.clone(), data: data.clone() };
    copies.into_iter().map(copy).collect()
}

/// A host that has taken its certificate shows no request any more, and may yet have to confirm: what it was given
/// stays until it has.
fn certificates(
    change: &OpenChange,
    held: &[CertificateFor],
    seen: &Observation,
) -> Vec<CertificateFor> {
    let open = seen
        .view
        .hosts
        .iter()
        .filter(|(name, _)| !received(change, name, &seen.hosts, Stage::receives_certificate));
    let copy = |(name, view)| match issued(view, &seen.witnesses) {
        Issued::Here(certificate) => Some(CertificateFor {
            host: HostName::to_string(name),
            certificate: certificate.clone(),
        }),
        Issued::Taken => held.iter().find(|held| held.host == name.as_str()).cloned(),
        Issued::Unasked | Issued::Unsigned(_) => None,
    };
    open.filter_map(copy).collect()
}

/// Whether a receiver has confirmed the stage in which it takes what is for it, or there is no such stage.
fn received(
    change: &OpenChange,
    name: &HostName,
    hosts: &BTreeMap<HostName, Arc<PveHost>>,
    receives: impl Fn(&Stage, &HostName) -> bool,
) -> bool {
    let stage = change.stages.iter().position(|stage| receives(stage, name));
    let Some(stage) = stage.and_then(|index| i32::try_from(index + 1).ok()) else { return true };
    let status = hosts.get(name).and_then(|host| host.status.as_ref());
    let Some(applied) = status.and_then(|status| status.applied.as_ref()) else { return false };
    let same = u64::try_from(applied.change) == Ok(change.number.0);
    let confirmed = applied.result == pvecm_crds::change::StageResult::Confirmed;
    same && (applied.stage > stage || applied.stage == stage && confirmed)
}
