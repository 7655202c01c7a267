//! The simulated hosts are without a QDevice, as hosts are on which its packages are not installed.

use futures::FutureExt;
use futures::future::BoxFuture;
use pvecm_agent::ports::{Certificates, Issuer, LyingCertificates, RequestFor, Voters};
use pvecm_core::ids::ClusterName;
use pvecm_core::protocol::Attempt;

use super::Port;

/// What whoever asks for it is told.
pub(super) const NOT_THERE: &str = "there is no QDevice on this host";

fn not_there<T>() -> Result<T, String> {
    Err(NOT_THERE.to_owned())
}

impl Certificates for Port {
    fn lying(&self) -> LyingCertificates {
        LyingCertificates::default()
    }
    fn request<'a>(&'a self, _: RequestFor<'a>, _: Attempt) -> BoxFuture<'a, Result<(), String>> {
        async { not_there() }.boxed()
    }
    fn import<'a>(
        &'a self,
        _: RequestFor<'a>,
        _: &'a [u8],
        _: Attempt,
    ) -> BoxFuture<'a, Result<(), String>> {
        async { not_there() }.boxed()
    }
    fn take<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<(), String>> {
        async { not_there() }.boxed()
    }
    fn exchange(&self, _: Attempt) -> Result<(), String> {
        not_there()
    }
    fn exchange_back(&self, _: Attempt) -> Result<(), String> {
        not_there()
    }
    fn put_away(&self, _: Attempt) -> Result<(), String> {
        Ok(())
    }
}

impl Issuer for Port {
    fn authority(&self) -> Option<String> {
        None
    }
    fn serves(&self) -> bool {
        false
    }
    fn voters(&self) -> Option<Voters> {
        None
    }
    fn initialise(&self) -> BoxFuture<'_, Result<(), String>> {
        async { not_there() }.boxed()
    }
    fn sign(&self, _: &ClusterName, _: &str) -> Result<String, String> {
        not_there()
    }
}
