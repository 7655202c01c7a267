//! The API server: what is wanted comes in, what is so goes out. Everything here may fail for hours;
//! the host is kept safe without it.

mod connect;
mod publish;
mod token;
mod watch;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use pvecm_crds::bootstrap::Bootstrap;
use pvecm_crds::host::PveHostStatus;
use pvecm_crds::{PveChange, PveHost};
use tokio::sync::{mpsc, watch as latest};

pub use connect::{client, read_bootstrap};

/// The most that one call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// The name under which the agent owns fields.
const FIELD_MANAGER: &str = "pvecm-agent";

/// What the API server holds for this host.
#[derive(Debug, Clone)]
pub enum Wanted {
    /// The host's own object.
    Host(Box<PveHost>),
    /// All changes of the namespace, by name.
    Changes(BTreeMap<String, Arc<PveChange>>),
}

/// Starts everything that talks to the API server. Returns where the end of the token is told.
#[must_use]
pub fn start(
    client: &kube::Client,
    bootstrap: &Arc<Bootstrap>,
    wanted: mpsc::UnboundedSender<Wanted>,
    status: latest::Receiver<Option<PveHostStatus>>,
) -> latest::Receiver<Option<jiff::Timestamp>> {
    let (expiry_in, expiry) = latest::channel(None);
    tokio::spawn(watch::watch_host(client.clone(), bootstrap.clone(), wanted.clone()));
    tokio::spawn(watch::watch_changes(client.clone(), bootstrap.clone(), wanted));
    tokio::spawn(publish::publish(client.clone(), bootstrap.clone(), status));
    tokio::spawn(publish::heartbeat(client.clone(), bootstrap.clone()));
    tokio::spawn(token::keep_fresh(client.clone(), bootstrap.clone(), expiry_in));
    expiry
}

/// Waits longer after every failure, up to half a minute.
#[derive(Debug, Default)]
struct Backoff(u32);

impl Backoff {
    async fn wait(&mut self) {
        let millis = 250_u64 << self.0.min(7);
        self.0 += 1;
        tokio::time::sleep(Duration::from_millis(millis.min(30_000))).await;
    }

    fn reset(&mut self) {
        self.0 = 0;
    }
}

/// A call that ends in time, one way or the other.
async fn in_time<T>(
    call: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, anyhow::Error> {
    Ok(tokio::time::timeout(CALL_TIMEOUT, call).await??)
}
