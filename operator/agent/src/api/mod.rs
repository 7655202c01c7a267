//! The API server: what is wanted comes in, what is so goes out. Everything here may fail for hours;
//! the host is kept safe without it.

mod connect;
mod past;
mod publish;
mod reach;
mod token;
mod watch;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pvecm_crds::bootstrap::Bootstrap;
use pvecm_crds::host::PveHostStatus;
use pvecm_crds::{PveChange, PveHost};
use tokio::sync::{mpsc, watch as latest};
use tokio::task::JoinSet;

use connect::client;
pub use connect::{read_bootstrap, renewed};
pub use past::{left_by_changes, left_for};
pub use reach::{Reached, Unreached, reach, token_end};

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

/// Where the host's side of the agent is reached.
#[derive(Debug, Clone)]
pub struct Outlets {
    /// What the API server holds goes here.
    pub wanted: mpsc::UnboundedSender<Wanted>,
    /// What is to be published.
    pub status: latest::Receiver<Option<PveHostStatus>>,
    /// When the token ends goes here.
    pub token_expiry: Arc<latest::Sender<Option<jiff::Timestamp>>>,
}

/// Talks to the API server for ever, with a new client whenever its certificates change. Returns only
/// with the reason why there is no client.
pub async fn serve(
    bootstrap: Arc<Bootstrap>,
    path: PathBuf,
    outlets: Outlets,
) -> anyhow::Result<()> {
    loop {
        let client = client(&bootstrap, &path).await?;
        let own = || (client.clone(), bootstrap.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(watch::watch_host(own(), outlets.wanted.clone()));
        tasks.spawn(watch::watch_changes(own(), outlets.wanted.clone()));
        let (held_in, held) = latest::channel(false);
        tasks.spawn(publish::publish(own(), outlets.status.clone(), held_in));
        tasks.spawn(publish::heartbeat(own(), held));
        token::keep_fresh(&client, &bootstrap, &outlets.token_expiry).await;
        tasks.shutdown().await;
    }
}

/// A client, and whose.
type Own = (kube::Client, Arc<Bootstrap>);

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
