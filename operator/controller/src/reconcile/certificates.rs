//! The certificates that hosts of a change wait for: a witness signs by itself what stands at it, in its own time, and a
//! person puts those of a `QNetd` that somebody else runs into a Secret. Pure.

use std::collections::BTreeMap;

use pvecm_core::change::Stage;
use pvecm_core::device::{LaidView, SecretView};
use pvecm_core::ids::{Digest, HostName};
use pvecm_core::observed::HostView;
use pvecm_core::plan::Blocker;

use super::drive::OpenChange;
use super::observe::Observation;
use super::witnesses::Witness;

/// Where a host's next certificate is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Issued<'a> {
    /// A witness has issued it.
    Here(&'a String),
    /// The host has it.
    Taken,
    /// The host does not ask for one.
    Unasked,
    /// It was asked of the witness with this certificate.
    Unsigned(Digest),
}

/// Looks for a host's next certificate.
pub fn issued<'a>(host: &HostView, witnesses: &'a BTreeMap<HostName, Witness>) -> Issued<'a> {
    let (certificate, request) = match &host.device.laid {
        None => return Issued::Unasked,
        Some(LaidView { request: None, .. }) => return Issued::Taken,
        Some(LaidView { certificate, request: Some(request) }) => (certificate, request),
    };
    let request = Digest::of(request.as_bytes());
    let mut issuers = witnesses.values().map(|witness| &witness.view.certificates);
    let found = issuers.find_map(|certificates| certificates.get(&request));
    found.map_or(Issued::Unsigned(certificate.authority), Issued::Here)
}

/// Why the next stage cannot begin without a witness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Awaited {
    /// In words.
    pub why: String,
    /// A person has to act, for this reason: the agent of that witness is not heard, or the Secret is of no use.
    pub stalls: Option<Blocker>,
    /// It will never be so: the witness, or the Secret, got another certificate since then.
    pub is_void: bool,
}

impl Awaited {
    /// Why it is waited for no longer: it would be in vain, or another spec may not need it. What was to be signed is in
    /// use nowhere yet.
    pub fn given_up(&self, edited: bool) -> Option<String> {
        let Self { why, is_void, .. } = self;
        let edited = edited.then(|| format!("the spec changed while this was waited for: {why}"));
        is_void.then(|| why.clone()).or(edited)
    }
}

/// What the stage after the released one waits for, if its hosts take certificates that are not there.
pub fn awaited(change: &OpenChange, seen: &Observation) -> Option<Awaited> {
    let stage = change.stages.get(usize::try_from(change.released).ok()?)?;
    let takers = stage.actions.keys().filter(|host| stage.receives_certificate(host));
    let (mut unasked, mut unsigned) = (Vec::new(), Vec::new());
    for host in takers {
        match seen.view.hosts.get(host).map(|view| issued(view, &seen.witnesses)) {
            None | Some(Issued::Unasked) => unasked.push(host.as_str()),
            Some(Issued::Unsigned(authority)) => unsigned.push((host.as_str(), authority)),
            Some(Issued::Here(_) | Issued::Taken) => {}
        }
    }
    if let Some(first) = unasked.first() {
        let why = format!("{first} does not show its request for a certificate yet");
        return Some(Awaited { why, stalls: None, is_void: false });
    }
    if let Some(awaited) = ungiven(stage, seen) {
        return Some(awaited);
    }
    let authority = unsigned.first()?.1;
    let hosts: Vec<&str> = unsigned.into_iter().map(|(host, _)| host).collect();
    Some(unsigned_by(authority, &hosts.join(", "), seen))
}

/// That what a host is to be given of the Secret is not there.
fn ungiven(stage: &Stage, seen: &Observation) -> Option<Awaited> {
    let status = seen.open.as_ref().and_then(|(_, object)| object.status.as_ref());
    let is_sealed = |host: &HostName| {
        status.is_some_and(|status| status.sealed.iter().any(|held| held.host == host.as_str()))
    };
    let (host, ..) = stage.imports().find(|(host, ..)| !is_sealed(host))?;
    let void = |why: &str| (format!("{why}, whose certificate {host} was to take"), true);
    let (why, is_void) = match &seen.view.secret {
        Some(SecretView::Unusable(why)) => (why.clone(), false),
        Some(SecretView::Usable(_)) => void("the Secret has the certificates of another QNetd now"),
        None => void("the spec names no Secret any more"),
    };
    Some(Awaited { why, stalls: Some(Blocker::SecretUnusable), is_void })
}

fn unsigned_by(authority: Digest, hosts: &str, seen: &Observation) -> Awaited {
    let has = |witness: &&Witness| {
        witness.view.authority.as_ref().is_some_and(|own| own.fingerprint == authority)
    };
    let asked = seen.witnesses.iter().find(|(_, witness)| has(witness));
    let named = seen.cluster.as_ref().and_then(|cluster| cluster.spec.witness());
    let now = seen.witnesses.iter().find(|(name, _)| named == Some(name.as_str()));
    let Some((name, witness)) = asked.or(now) else {
        let why = format!("the witness that {hosts} asked for certificates has no PveHost");
        return Awaited { why, stalls: None, is_void: false };
    };
    let is_other = witness.view.authority.is_some() && asked.is_none();
    let is_silent = !witness.view.connected;
    let why = if is_silent {
        format!("the agent on {name} is not heard, which has to sign the certificates of {hosts}")
    } else if is_other {
        format!("{name} has another certificate than when {hosts} asked it for theirs")
    } else if witness.view.paused {
        format!("{name} is paused, which has to sign the certificates of {hosts}")
    } else {
        format!("{name} has not signed the certificates of {hosts} yet")
    };
    let stalls = is_silent.then_some(Blocker::HostNotConnected);
    Awaited { why, stalls, is_void: is_other && !is_silent }
}
