//! The production agent on a simulated host: its process, its way to the API server, its heartbeat.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use pvecm_agent::agent::{Agent, Inputs};
use pvecm_agent::api::Wanted;
use pvecm_agent::ledger::Book;
use pvecm_agent::observe::Identity;
use pvecm_agent::ports::LedgerStore;
use pvecm_agent::seal::SealingKey;
use pvecm_crds::PveChange;
use pvecm_crds::host::PveHostStatus;
use serde_json::json;
use tokio::sync::{mpsc, watch};

use crate::api::{Kind, Watch, Write};
use crate::ports::Port;
use crate::world::{AgentProcess, Crash, Shared, World};

/// Between two heartbeats.
const HEARTBEAT_SECS: u64 = 5;

/// Keeps the agents of all hosts running, as systemd does.
pub async fn keep_running(shared: Shared, keys: Arc<Vec<Vec<u8>>>) {
    loop {
        let missing = shared.with(|world| {
            let hosts = world.hosts.iter().enumerate();
            let missing =
                hosts.filter(|(_, host)| host.up && host.gate.is_none() && host.agent.is_none());
            missing.map(|(at, _)| at).collect::<Vec<_>>()
        });
        for at in missing {
            start(&shared, at, &keys[at]);
        }
        tokio::time::sleep(Duration::from_millis(1_500)).await;
    }
}

/// A sealing key that lies on the host's disk already.
struct KeyFile(Vec<u8>);

impl LedgerStore for KeyFile {
    fn load(&self) -> std::io::Result<Option<Vec<u8>>> {
        Ok(Some(self.0.clone()))
    }
    fn save(&self, _: &[u8]) -> std::io::Result<()> {
        Ok(())
    }
}

fn start(shared: &Shared, at: usize, key: &[u8]) {
    let (events_in, events) = mpsc::unbounded_channel();
    let (wanted_in, wanted) = mpsc::unbounded_channel();
    let (status_in, status) = watch::channel(None);
    let (_, token_expiry) = watch::channel(None);
    let (life, name) = shared.with(|world| {
        let life = world.next_number();
        world.hosts[at].agent = Some(AgentProcess::new(life, events_in));
        world.note("agent starts", at, || life.to_string());
        world.connect_agent(at);
        (life, world.hosts[at].name.clone())
    });
    let port = Port::new(shared.clone(), at, life);
    let inputs = Inputs::new(events, wanted, token_expiry);
    let work = run(port, (name.clone(), key.to_vec()), inputs, status_in);
    let (held_in, held) = watch::channel(false);
    let tasks = [
        tokio::spawn(supervise(shared.clone(), (at, life), work)),
        tokio::spawn(publish(shared.clone(), (name.clone(), at), status, held_in)),
        tokio::spawn(listen(shared.clone(), name.clone(), (at, wanted_in))),
        tokio::spawn(beat(shared.clone(), (name, at), held)),
    ];
    shared.with(|world| {
        if let Some(agent) = &mut world.hosts[at].agent {
            for task in &tasks {
                agent.owns(task.abort_handle());
            }
        }
    });
}

async fn run(
    port: Port,
    (name, key): (String, Vec<u8>),
    inputs: Inputs,
    status: watch::Sender<Option<PveHostStatus>>,
) -> anyhow::Result<()> {
    let book = Book::open(Arc::new(port.clone()))?;
    let key = SealingKey::open(&KeyFile(key))?;
    let host = port.host();
    let boot_id = host.clock.now().boot_id;
    let identity = Identity { boot_id, sealing_key: key.public(), ..Identity::default() };
    Agent::new(host, name.parse()?, (identity, key), book).work(inputs, &status).await
}

/// An agent ends by being killed, or it is a defect of ours.
async fn supervise(
    shared: Shared,
    (at, life): (usize, u64),
    work: impl Future<Output = anyhow::Result<()>> + Send + 'static,
) {
    let ended = tokio::spawn(work);
    shared.with(|world| {
        if let Some(agent) = &mut world.hosts[at].agent {
            agent.owns(ended.abort_handle());
        }
    });
    let why = match ended.await {
        Ok(Ok(())) => "it ended".to_owned(),
        Ok(Err(error)) => format!("{error:#}"),
        Err(error) if error.is_cancelled() => return,
        Err(error) => match error.try_into_panic() {
            Ok(why) if why.is::<Crash>() => return,
            Ok(_) | Err(_) => "it panicked".to_owned(),
        },
    };
    shared.with(|world| {
        if world.lives(at, life) {
            world.broken(format!("the agent of n{} ended by itself: {why}", at + 1));
        }
    });
}

/// How a request of an agent fares: so long under way, and whether it arrives.
pub(crate) fn way(world: &mut World, at: usize) -> (u64, bool) {
    let slow = world.dice.chance(world.rates.api_slow);
    let wait = if slow { world.dice.below(9_000) } else { world.dice.between(2, 40) };
    let fails = world.rates.api > 0 && world.dice.chance(world.rates.api);
    (wait, !fails && !world.hosts[at].api_cut)
}

/// Sends what is told, each time that it is, and always the newest, and says whether it is held.
async fn publish(
    shared: Shared,
    (name, at): (String, usize),
    mut status: watch::Receiver<Option<PveHostStatus>>,
    held: watch::Sender<bool>,
) {
    while status.changed().await.is_ok() {
        while !send(&shared, &name, (at, &mut status)).await {
            held.send_replace(false);
        }
        held.send_replace(true);
    }
}

/// Whether the API server took it.
async fn send(
    shared: &Shared,
    name: &str,
    (at, status): (usize, &mut watch::Receiver<Option<PveHostStatus>>),
) -> bool {
    let body = json!({"status": status.borrow_and_update().clone()});
    let (wait, arrives) = shared.with(|world| way(world, at));
    tokio::time::sleep(Duration::from_millis(wait)).await;
    if !arrives {
        tokio::time::sleep(Duration::from_millis(500)).await;
        return false;
    }
    shared.with(|world| {
        let key = (Kind::Host, name);
        world.note("status", at, String::new);
        let write = Write { key, manager: "pvecm-agent", status: true, body };
        let taken = world.api.apply(write).is_ok();
        world.watch_writes(Kind::Host, name);
        taken
    })
}

/// Hands on what the API server holds for this host, as a watch does: late, and the newest at last.
async fn listen(
    shared: Shared,
    name: String,
    (at, wanted): (usize, mpsc::UnboundedSender<Wanted>),
) {
    let news = shared.with(|world| world.api.news(Watch::Host(name.clone())));
    let (mut host_known, mut changes_known): (_, Option<Changes>) = (None, None);
    loop {
        let (wait, arrives) = shared.with(|world| way(world, at));
        tokio::time::sleep(Duration::from_millis(wait)).await;
        if !arrives {
            tokio::time::sleep(Duration::from_secs(1)).await;
            continue;
        }
        let (host, changes) = shared.with(|world| (world.api.host(&name), world.api.changes()));
        if let Some(host) = host.filter(|host| !host_known.iter().any(|h| Arc::ptr_eq(h, host))) {
            let _ = wanted.send(Wanted::Host(Box::new((*host).clone())));
            host_known = Some(host);
        }
        if !changes_known.as_ref().is_some_and(|known| are_same(known, &changes)) {
            let _ = wanted.send(Wanted::Changes(changes.clone()));
            changes_known = Some(changes);
        }
        news.notified().await;
    }
}

/// Whether nothing moved: an object is read once per version.
fn are_same(known: &Changes, now: &Changes) -> bool {
    let same = |((name, one), (other_name, other)): ((&String, &_), (&String, &_))| {
        name == other_name && Arc::ptr_eq(one, other)
    };
    known.len() == now.len() && known.iter().zip(now).all(same)
}

type Changes = BTreeMap<String, Arc<PveChange>>;

/// Whose word is not held is not heard either.
async fn beat(shared: Shared, (name, at): (String, usize), mut held: watch::Receiver<bool>) {
    while held.wait_for(|held| *held).await.is_ok() {
        let (wait, arrives) = shared.with(|world| way(world, at));
        tokio::time::sleep(Duration::from_millis(wait)).await;
        if arrives {
            shared.with(|world| {
                world.heard(at);
                let second = world.now() / 1_000;
                let micros = world.next_number() % 1_000_000;
                let time = format!(
                    "2026-01-01T{:02}:{:02}:{:02}.{micros:06}Z",
                    second / 3600 % 24,
                    second / 60 % 60,
                    second % 60
                );
                let body = json!({"spec": {"holderIdentity": name, "renewTime": time,
                    "leaseDurationSeconds": 4 * HEARTBEAT_SECS}});
                let key = (Kind::Lease, name.as_str());
                // A Lease is made by the first heartbeat.
                let _ = world.api.apply(Write { key, manager: "pvecm-agent", status: false, body });
            });
        }
        tokio::time::sleep(Duration::from_secs(HEARTBEAT_SECS)).await;
    }
}
