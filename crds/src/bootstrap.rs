//! What a host's agent starts from: the file that enrolment makes and the agent reads.

use std::fmt;

use pvecm_core::ids::HostName;
use serde::{Deserialize, Serialize};

/// Where the agent looks for the file.
pub const BOOTSTRAP_PATH: &str = "/etc/pvecm-agent/bootstrap.yaml";

/// The `ServiceAccount` of a host's agent.
#[must_use]
pub fn account_name(host: &HostName) -> String {
    format!("pvecm-host-{host}")
}

/// The bootstrap file. It holds a token, so only root may read it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Bootstrap {
    /// The API server's address as the host reaches it, for example `https://192.0.2.1:6443`.
    pub server: String,
    /// The name that the API server's certificate is made out to, where `server` says another: behind a
    /// forwarded port or a load balancer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_server_name: Option<String>,
    /// The certificates that the API server's own is checked against (PEM).
    pub certificate_authority: String,
    /// Where the host's objects live.
    pub namespace: String,
    /// The name of the host's `PveHost` and of its heartbeat Lease.
    pub host: HostName,
    /// The first token of the host's account.
    pub token: String,
    /// Seconds between two heartbeats.
    pub heartbeat_seconds: u32,
    /// Seconds of life that are asked for on every renewal of the token.
    pub expiration_seconds: i64,
    /// Seconds after the last stage of a change after which the hosts arm high availability that was
    /// disarmed for it, though the operator has not come back.
    #[serde(default = "arm_after_seconds")]
    pub arm_after_seconds: u32,
}

/// What counts where a bootstrap file does not say: design section 6.
#[must_use]
pub const fn arm_after_seconds() -> u32 {
    300
}

impl fmt::Debug for Bootstrap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { server, certificate_authority: _, namespace, host, token: _, .. } = self;
        write!(f, "Bootstrap({namespace}/{host} at {server}, secrets left out)")
    }
}
