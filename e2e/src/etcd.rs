//! What is written to a lab's etcd: the measure of how quiet operator and agents are. Reads and
//! watches, never writes.
//!
//! etcd listens on the loopback of the lab's control network, so every question is asked by a
//! thread that has entered that network.

use std::fs::File;
use std::future::Future;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use etcd_client::{Client, WatchOptions};
use nix::sched::{CloneFlags, setns};
use tokio::time::{Instant, timeout_at};

use crate::controlplane::ETCD_URL;
use crate::supervisor::Supervisor;

/// How long a watch may lag behind what is written.
const LAG: Duration = Duration::from_secs(10);

/// A handle on a lab's etcd.
#[derive(Clone, Copy, Debug)]
pub struct Etcd<'lab> {
    supervisor: &'lab Supervisor,
}

impl<'lab> Etcd<'lab> {
    /// A handle; asks nothing.
    #[must_use]
    pub fn new(supervisor: &'lab Supervisor) -> Self {
        Self { supervisor }
    }

    /// The store's revision: one more with every write.
    pub fn revision(&self) -> Result<i64> {
        self.ask(async |mut client| revision(&mut client).await)
    }

    /// Every key written from now on until `duration` has passed, once per write, in order.
    pub fn watch_writes(&self, duration: Duration) -> Result<Vec<String>> {
        self.ask(async |client| watch(client, duration).await)
    }

    fn ask<T: Send, F: Future<Output = Result<T>>>(
        self,
        question: impl FnOnce(Client) -> F + Send,
    ) -> Result<T> {
        let path = format!("/proc/{}/ns/net", self.supervisor.pid());
        let network = File::open(path).context("the lab's network is gone")?;
        // A network namespace belongs to a thread, and whatever the runtime starts inherits it.
        let inside = || {
            setns(&network, CloneFlags::CLONE_NEWNET).context("cannot enter the lab's network")?;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let client = Client::connect([ETCD_URL], None).await;
                question(client.context("etcd does not answer")?).await
            })
        };
        let asked = thread::scope(|scope| scope.spawn(inside).join());
        asked.map_err(|_| anyhow!("the thread that asked etcd panicked"))?
    }
}

async fn revision(client: &mut Client) -> Result<i64> {
    let answer = client.get("revision", None).await.context("etcd does not tell its revision")?;
    answer.header().map(etcd_client::ResponseHeader::revision).context("etcd sent no header")
}

async fn watch(mut client: Client, duration: Duration) -> Result<Vec<String>> {
    let end = Instant::now() + duration;
    let first = revision(&mut client).await? + 1;
    let options = WatchOptions::new().with_all_keys().with_start_revision(first);
    let mut stream = client.watch("", Some(options)).await.context("etcd allows no watch")?;
    let mut writes = Vec::new();
    while let Ok(message) = timeout_at(end, stream.message()).await {
        writes.extend(keys(&message?.context("etcd ended the watch")?));
    }
    // A watch lags behind: what was written until now has to arrive as well.
    let last = revision(&mut client).await?;
    let patience = Instant::now() + LAG;
    while writes.last().map_or(first - 1, |(at, _)| *at) < last {
        let message = timeout_at(patience, stream.message()).await.context("the watch lags")??;
        writes.extend(keys(&message.context("etcd ended the watch")?));
    }
    Ok(writes.into_iter().take_while(|(at, _)| *at <= last).map(|(_, key)| key).collect())
}

/// Revision and key of every write in a message.
fn keys(message: &etcd_client::WatchResponse) -> Vec<(i64, String)> {
    let written = message.events().iter().filter_map(etcd_client::Event::kv);
    written.map(|kv| (kv.mod_revision(), String::from_utf8_lossy(kv.key()).into_owned())).collect()
}
