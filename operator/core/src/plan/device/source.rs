//! Who votes from outside, and whether the nodes can get certificates for it.

use std::fmt;
use std::net::IpAddr;

use super::super::report::{Blocker, Obstacle};
use crate::desired::DesiredCluster;
use crate::device::{Authority, SecretView, Voter, WitnessView};
use crate::ids::HostName;
use crate::observed::ObservedCluster;

/// Who votes, and where certificates for it come from.
#[derive(Debug)]
pub(super) enum Source<'a> {
    /// A witness, which signs what its nodes ask for.
    Witness(&'a HostName, &'a WitnessView),
    /// A `QNetd` that somebody else runs, who made a key and a certificate for the cluster.
    Secret {
        /// The name of the Secret that has them.
        name: &'a str,
        /// What is in it.
        view: Option<&'a SecretView>,
        /// Where that `QNetd` is.
        address: IpAddr,
    },
}

impl fmt::Display for Source<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Witness(name, _) => name.fmt(f),
            Self::Secret { address, .. } => f.write_str(&at(*address)),
        }
    }
}

/// A `QNetd` that has no name here.
pub(super) fn at(address: IpAddr) -> String {
    format!("the QNetd at {address}")
}

impl<'a> Source<'a> {
    /// Who votes, and where it is reached.
    pub fn of(
        voter: &'a Voter,
        desired: &DesiredCluster,
        observed: &'a ObservedCluster,
    ) -> Result<(Self, IpAddr), Obstacle> {
        match voter {
            Voter::Managed { witness, address } => {
                let view = may_vote(witness, desired, observed)?;
                Ok((Self::Witness(witness, view), reached_at((witness, *address), view)?))
            }
            Voter::External { address, secret } => {
                let (view, address) = (observed.secret.as_ref(), *address);
                Ok((Self::Secret { name: secret, view, address }, address))
            }
        }
    }

    /// Its own certificate, as far as it is known.
    pub fn authority(&self) -> Option<&'a Authority> {
        match self {
            Self::Witness(_, view) => view.authority.as_ref(),
            Self::Secret { view: Some(SecretView::Usable(authority)), .. } => Some(authority),
            Self::Secret { view: Some(SecretView::Unusable(_)) | None, .. } => None,
        }
    }

    /// Whether nodes get certificates, and are let in with them.
    pub fn is_ready(&self) -> Result<&'a Authority, Obstacle> {
        match self {
            Self::Witness(name, view) => serves(name, view),
            Self::Secret { view: Some(SecretView::Usable(authority)), .. } => Ok(authority),
            Self::Secret { view: Some(SecretView::Unusable(why)), .. } => {
                Obstacle::stop(Blocker::SecretUnusable, why)
            }
            Self::Secret { name, view: None, .. } => {
                let sentence = format!("nobody has looked into the Secret {name}");
                Obstacle::stop(Blocker::SecretUnusable, sentence)
            }
        }
    }
}

fn may_vote<'a>(
    witness: &HostName,
    desired: &DesiredCluster,
    observed: &'a ObservedCluster,
) -> Result<&'a WitnessView, Obstacle> {
    let Some(view) = &observed.witness else {
        let sentence = format!("there is no PveHost {witness}, which the spec names as witness");
        return Obstacle::stop(Blocker::HostMissing, sentence);
    };
    if !view.is_witness {
        let sentence =
            format!("{witness} is to vote as QDevice, and its PveHost has not the role Witness");
        return Obstacle::stop(Blocker::NotAWitness, sentence);
    }
    if let Some(holder) = view.holder(&desired.name) {
        let sentence = format!(
            "{witness} votes for a cluster `{}` already, which is {holder}: QNetd tells clusters by their names",
            desired.name
        );
        return Obstacle::stop(Blocker::DeviceNameTaken, sentence);
    }
    Ok(view)
}

fn reached_at(
    (witness, stated): (&HostName, Option<IpAddr>),
    view: &WitnessView,
) -> Result<IpAddr, Obstacle> {
    match (stated, &view.addresses[..]) {
        (Some(stated), addresses) if addresses.contains(&stated) => Ok(stated),
        (Some(stated), _) => Obstacle::stop(
            Blocker::AddressNotOnHost,
            format!("{witness} has no address {stated}, at which the nodes are to reach it"),
        ),
        (None, [only]) => Ok(*only),
        (None, []) => Obstacle::stop(
            Blocker::AddressMissing,
            format!("{witness} has told of no address at which the nodes could reach it"),
        ),
        (None, several) => {
            let several: Vec<_> = several.iter().map(IpAddr::to_string).collect();
            let sentence = format!(
                "{witness} has the addresses {}: name the one at which the nodes reach it in \
                 `quorum.device.address`",
                several.join(", ")
            );
            Obstacle::stop(Blocker::AddressAmbiguous, sentence)
        }
    }
}

fn serves<'a>(witness: &HostName, view: &'a WitnessView) -> Result<&'a Authority, Obstacle> {
    if !view.connected {
        let sentence = format!("the agent on {witness}, the witness, is not heard");
        return Obstacle::stop(Blocker::HostNotConnected, sentence);
    }
    if view.paused {
        let sentence = format!("{witness}, the witness, is paused and issues no certificates");
        return Obstacle::stop(Blocker::HostPaused, sentence);
    }
    let authority = view.authority.as_ref().filter(|_| view.serves);
    authority.ok_or_else(|| {
        let sentence = format!("QNetd does not run on {witness} yet");
        Obstacle::new(Blocker::WitnessNotReady, sentence)
    })
}
