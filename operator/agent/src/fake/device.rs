//! The QDevice of the host in memory: its daemon, its certificates, and `QNetd`.

use std::collections::BTreeSet;
use std::net::IpAddr;

use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use pvecm_core::ids::{ClusterName, Digest};
use pvecm_core::protocol::Attempt;

use super::FakeHost;
use crate::ports::{
    Certificates, DeviceState, Issuer, KeptCertificate, LyingCertificates, RequestFor, Unit, Voters,
};

/// What there is of it.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts of one host")]
pub struct Device {
    pub enabled: BTreeSet<Unit>,
    pub runs: bool,
    /// It ends at its start, having made itself known.
    pub ends: bool,
    /// It does not reach the witness.
    pub is_alone: bool,
    /// corosync goes on counting its votes.
    pub lingers: bool,
    pub registered: bool,
    pub starts: u32,
    pub lying: LyingCertificates,
    pub before: Option<KeptCertificate>,
    pub exchanged: Option<Attempt>,
    pub put_away: u32,
    /// corosync-qdevice is not installed.
    pub is_missing: bool,
    /// Where nobody takes a connection.
    pub refuses: Option<IpAddr>,
    /// `QNetd`: its own certificate, whether it runs, and how often it was asked to sign.
    pub authority: Option<String>,
    pub serves: bool,
    pub signed: u32,
    pub voters: Option<Voters>,
    pub signs_only_for: Option<String>,
}

impl Device {
    /// A node whose daemon votes.
    pub fn voting() -> Self {
        let lying = LyingCertificates { in_use: Some(certificate(1)), laid: None };
        let enabled = [Unit::Qdevice].into();
        Self { enabled, runs: true, registered: true, lying, ..Self::default() }
    }

    pub fn state(&self) -> DeviceState {
        let casts = self.runs && !self.is_alone || self.lingers;
        let votes = u32::from(self.registered);
        DeviceState { registered: self.registered, alive: self.runs, casts, votes }
    }

    pub fn start(&mut self, unit: Unit) -> Result<(), String> {
        self.starts += 1;
        if unit == Unit::Qnetd {
            self.serves = true;
            return Ok(());
        }
        let has_certificate = self.lying.in_use.as_ref().is_some_and(|kept| kept.is_issued);
        self.registered = true;
        self.runs = !self.ends && has_certificate;
        if self.runs { Ok(()) } else { Err("corosync-qdevice: failed".to_owned()) }
    }

    pub fn stop(&mut self, unit: Unit) {
        match unit {
            Unit::Qnetd => self.serves = false,
            _qdevice => (self.runs, self.registered) = (false, false),
        }
    }
}

/// An issued certificate of a node.
pub fn certificate(generation: u32) -> KeptCertificate {
    let authority = Digest::of(b"witness");
    KeptCertificate { authority, generation, is_issued: true, request: None }
}

impl Certificates for FakeHost {
    fn lying(&self) -> LyingCertificates {
        self.world().device.lying.clone()
    }
    fn request<'a>(
        &'a self,
        wanted: RequestFor<'a>,
        _: Attempt,
    ) -> BoxFuture<'a, Result<(), String>> {
        let kept = KeptCertificate {
            authority: Digest::of(wanted.authority.as_bytes()),
            generation: wanted.generation,
            is_issued: false,
            request: Some(format!("request of {}", wanted.cluster)),
        };
        self.world().device.lying.laid = Some(kept);
        ready(Ok(())).boxed()
    }
    fn import<'a>(
        &'a self,
        wanted: RequestFor<'a>,
        bundle: &'a [u8],
        _: Attempt,
    ) -> BoxFuture<'a, Result<(), String>> {
        let kept = KeptCertificate {
            authority: Digest::of(wanted.authority.as_bytes()),
            generation: wanted.generation,
            is_issued: true,
            request: None,
        };
        let imported = if bundle == b"secret" {
            self.world().device.lying.laid = Some(kept);
            Ok(())
        } else {
            Err("the key is none".to_owned())
        };
        ready(imported).boxed()
    }
    fn take<'a>(&'a self, certificate: &'a str) -> BoxFuture<'a, Result<(), String>> {
        let mut world = self.world();
        let laid = world.device.lying.laid.as_mut().filter(|_| certificate == "certificate");
        let taken = laid.map(|laid| laid.is_issued = true);
        ready(taken.ok_or_else(|| "the certificate is for another key".to_owned())).boxed()
    }
    fn exchange(&self, attempt: Attempt) -> Result<(), String> {
        let device = &mut self.world().device;
        assert!(!device.runs, "the daemon has the folder open");
        if let Some(laid) = device.lying.laid.take_if(|laid| laid.is_issued) {
            device.before = device.lying.in_use.replace(laid);
            device.exchanged = Some(attempt);
        }
        Ok(())
    }
    fn exchange_back(&self, attempt: Attempt) -> Result<(), String> {
        let device = &mut self.world().device;
        assert!(!device.runs, "the daemon has the folder open");
        if device.exchanged == Some(attempt) {
            device.lying.laid = std::mem::replace(&mut device.lying.in_use, device.before.take());
            device.exchanged = None;
        }
        Ok(())
    }
    fn put_away(&self, _: Attempt) -> Result<(), String> {
        let device = &mut self.world().device;
        assert!(!device.runs, "the daemon has the folder open");
        device.lying = LyingCertificates::default();
        device.put_away += 1;
        Ok(())
    }
}

impl Issuer for FakeHost {
    fn authority(&self) -> Option<String> {
        self.world().device.authority.clone()
    }
    fn serves(&self) -> bool {
        self.world().device.serves
    }
    fn voters(&self) -> Option<Voters> {
        self.world().device.voters.clone()
    }
    fn initialise(&self) -> BoxFuture<'_, Result<(), String>> {
        self.world().device.authority = Some("authority".to_owned());
        ready(Ok(())).boxed()
    }
    fn sign(&self, cluster: &ClusterName, request: &str) -> Result<String, String> {
        let device = &mut self.world().device;
        device.signed += 1;
        let refuses = |only: &String| only != cluster.as_str();
        if device.signs_only_for.as_ref().is_some_and(refuses) {
            return Err("the request asks for more".to_owned());
        }
        Ok(format!("{request} signed for {cluster}"))
    }
}
