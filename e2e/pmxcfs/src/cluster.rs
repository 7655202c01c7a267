//! The life of the tree in a process group: changes go out as messages and are applied on delivery, by all in the same order.
//!
//! Owns what is known about the group, and the order of delivery, merge and answer. The rules of the merge are in `merge`, the
//! connections in `group`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;

use nix::errno::Errno;
use parking_lot::MutexGuard;

use crate::cfs::{Cfs, State, layout, now};
use crate::confsync;
use crate::group::{self, Event, Outlet, Runtime};
use crate::merge::{Member, Merge, Next, Standing};
use crate::status::{Cluster, Peer};
use crate::tree::{Op, Origin, Tree};
use crate::wire::{Message, Reassembly};

const CONF: &str = "corosync.conf";

/// What this process knows about its group.
#[derive(Debug, Default)]
pub(crate) struct Link {
    quorum: bool,
    /// `quorum` was read after the last change of the membership. corosync tells the group before it counts the votes anew: a
    /// host that was just cut off must not take its old answer for the new one.
    confirmed: bool,
    me: Option<Member>,
    outlet: Option<Outlet>,
    merge: Merge,
    partial: Reassembly,
    /// Own operations under way; with an answer when they were delivered.
    waiting: BTreeMap<u64, Option<Answer>>,
    ticket: u64,
    runtime: Option<Runtime>,
}

/// What became of an own operation.
#[derive(Clone, Copy, Debug)]
enum Answer {
    /// Applied or refused by the rules; `reload` when corosync is to be told.
    Done { result: Result<(), Errno>, reload: bool },
    /// Delivered while the members' trees differed, and therefore applied by nobody.
    Again,
    /// The connection was lost before it was delivered.
    Lost,
}

impl Link {
    /// Whether changes are allowed: with quorum, and in the group.
    pub(crate) fn quorate(&self) -> bool {
        self.quorum && self.me.is_some_and(|me| self.merge.view().contains(&me))
    }

    /// What `.members` shows; `None` before corosync was ever reached.
    pub(crate) fn cluster(&self) -> Option<Cluster> {
        let runtime = self.runtime.as_ref()?;
        let online: Vec<u32> = self.merge.view().iter().map(|member| member.node).collect();
        let peer = |(id, (name, ip)): (&u32, &(String, String))| Peer {
            name: name.clone(),
            id: *id,
            online: online.contains(id),
            ip: Some(ip.clone()).filter(|ip| !ip.is_empty()),
        };
        Some(Cluster {
            name: runtime.name.clone(),
            version: runtime.version,
            quorate: self.quorate(),
            nodes: runtime.nodes.iter().map(peer).collect(),
        })
    }

    /// Names of the nodes in the running configuration.
    pub(crate) fn names(&self) -> Vec<String> {
        let nodes = self.runtime.iter().flat_map(|runtime| runtime.nodes.values());
        nodes.map(|(name, _)| name.clone()).collect()
    }

    fn answer(&mut self, ticket: u64, answer: Answer) {
        if let Some(waiting) = self.waiting.get_mut(&ticket) {
            *waiting = Some(answer);
        }
    }
}

/// Enters the cluster: connects to corosync, now or whenever it starts, and keeps the tree equal on all members.
pub fn enter(cfs: &Arc<Cfs>) {
    let text = cfs.state().tree.file(CONF).unwrap_or_default().to_vec();
    if confsync::sync(&text, &cfs.setup.corosync_conf) {
        confsync::reload();
    }
    let (sender, events) = channel();
    let engine = Arc::clone(cfs);
    thread::spawn(move || {
        for event in events {
            engine.handle(event);
        }
    });
    let keeper = Arc::clone(cfs);
    thread::spawn(move || keeper.keep_layout());
    group::connect(sender);
}

impl Cfs {
    /// Sends a change to all members and waits for its own delivery. While the members' trees differ it waits, without quorum
    /// it is refused.
    pub(crate) fn submit_to_group(&self, op: &Op) -> Result<(), Errno> {
        let mut state = self.state();
        loop {
            let (ticket, outlet) = self.ticket(&mut state)?;
            let message = Message::Op { ticket, time: now(), op: op.clone() };
            let sent = MutexGuard::unlocked(&mut state, || outlet.send(&message));
            if sent.is_err() {
                if let Some(link) = state.link.as_mut() {
                    link.waiting.remove(&ticket);
                }
                return Err(Errno::EACCES);
            }
            match self.answer_to(&mut state, ticket) {
                Answer::Again => {}
                Answer::Lost => return Err(Errno::EACCES),
                Answer::Done { result, reload } => {
                    drop(state);
                    if reload {
                        confsync::reload();
                    }
                    return result;
                }
            }
        }
    }

    /// A number for an operation, as soon as it may be sent.
    fn ticket(&self, state: &mut MutexGuard<'_, State>) -> Result<(u64, Outlet), Errno> {
        loop {
            let link = state.link.as_mut().filter(|link| link.quorate()).ok_or(Errno::EACCES)?;
            if link.merge.synced()
                && link.confirmed
                && let Some(outlet) = link.outlet.clone()
            {
                link.ticket += 1;
                link.waiting.insert(link.ticket, None);
                return Ok((link.ticket, outlet));
            }
            self.changed.wait(state);
        }
    }

    fn answer_to(&self, state: &mut MutexGuard<'_, State>, ticket: u64) -> Answer {
        loop {
            let Some(link) = state.link.as_mut() else { return Answer::Lost };
            if let Some(answer) = link.waiting.get(&ticket).copied().unwrap_or(Some(Answer::Lost)) {
                link.waiting.remove(&ticket);
                return answer;
            }
            self.changed.wait(state);
        }
    }

    /// Takes what corosync told; called by one thread, in corosync's order.
    fn handle(&self, event: Event) {
        let mut state = self.state();
        let Some(link) = state.link.as_mut() else { return };
        let mut reply = None;
        match event {
            Event::Joined { me, sender } => (link.me, link.outlet) = (Some(me), Some(sender)),
            Event::Left => leave(&mut state),
            Event::Quorum => ask_quorum(&mut state),
            Event::Runtime(runtime) => {
                link.runtime = Some(runtime);
                state.counters.note_members();
            }
            Event::View(view) => reply = change_view(&mut state, &view),
            Event::Piece { from, bytes } => {
                if let Some(message) = link.partial.take(from, &bytes) {
                    reply = self.deliver(&mut state, from, message);
                }
            }
        }
        let outlet = state.link.as_ref().and_then(|link| link.outlet.clone());
        if state.link.as_ref().is_some_and(|link| link.merge.synced() && !link.confirmed) {
            ask_quorum(&mut state);
        }
        drop(state);
        self.changed.notify_all();
        if let (Some(message), Some(outlet)) = (reply, outlet)
            && let Err(error) = outlet.send(&message)
        {
            tracing::warn!("[dcdb] crit: sending to the group failed: {error}");
        }
    }

    /// Takes a whole message; gives what is to be sent because of it.
    fn deliver(&self, state: &mut State, from: Member, message: Message) -> Option<Message> {
        let link = state.link.as_mut()?;
        match message {
            Message::State { view, standing } => match link.merge.standing(from, (&view, standing))
            {
                Next::Wait => None,
                Next::Synced => {
                    self.commit(state);
                    None
                }
                Next::SendTree(leader) => {
                    (link.me == Some(leader)).then(|| Message::Tree(state.tree.clone()))
                }
            },
            Message::Tree(tree) => {
                let digest = Standing::of(&tree).ok()?.digest;
                if link.merge.tree(from, digest) {
                    self.adopt(state, from, tree);
                    self.commit(state);
                }
                None
            }
            Message::Op { ticket, time, op } => {
                let own = link.me == Some(from);
                let answer = if link.merge.synced() {
                    self.apply_delivered(state, &op, Origin { node: from.node, time })
                } else {
                    // Some members are about to take another tree: nobody applies it, and its sender sends it again.
                    Answer::Again
                };
                if let Some(link) = state.link.as_mut().filter(|_| own) {
                    link.answer(ticket, answer);
                }
                None
            }
        }
    }

    fn apply_delivered(&self, state: &mut State, op: &Op, origin: Origin) -> Answer {
        let result = self.apply(state, op, origin);
        let reload = result.is_ok()
            && writes_conf(op)
            && confsync::sync(state.tree.file(CONF).unwrap_or_default(), &self.setup.corosync_conf);
        Answer::Done { result, reload }
    }

    fn adopt(&self, state: &mut State, from: Member, tree: Tree) {
        if state.tree == tree {
            return;
        }
        tracing::info!(
            "[dcdb] notice: adopting the tree of node {} (version = {})",
            from.node,
            tree.version
        );
        state.tree = tree;
        state.counters.note_all();
        // An error is logged there; the next change tries again.
        let _ = self.save(&state.tree);
    }

    /// All members hold the same tree: the disk follows, and nobody reloads.
    fn commit(&self, state: &mut State) {
        tracing::info!("[dcdb] notice: all data is up to date");
        confsync::sync(state.tree.file(CONF).unwrap_or_default(), &self.setup.corosync_conf);
    }

    /// Makes this host's directories again whenever the group's tree lacks them.
    fn keep_layout(&self) {
        let wanted = layout(&self.setup.host);
        loop {
            let mut state = self.state();
            while !can_write(&state) || wanted.iter().all(|path| state.tree.get(path).is_some()) {
                self.changed.wait(&mut state);
            }
            drop(state);
            if let Err(error) = self.lay_out() {
                tracing::warn!(
                    "[dcdb] notice: the directories of this host are not there yet: {error}"
                );
            }
        }
    }
}

fn can_write(state: &State) -> bool {
    state.link.as_ref().is_some_and(|link| link.quorate() && link.merge.synced() && link.confirmed)
}

fn writes_conf(op: &Op) -> bool {
    match op {
        Op::Create { path } | Op::Write { path, .. } | Op::Truncate { path, .. } => path == CONF,
        Op::Rename { to, .. } => to == CONF,
        Op::Mkdir { .. } | Op::Remove { .. } | Op::Touch { .. } | Op::Unlock { .. } => false,
    }
}

/// Asks corosync for the quorum. Once the merge is over, its answer is one for the current membership: the standings were sent
/// after the votes were counted, because nothing can be sent before.
fn ask_quorum(state: &mut MutexGuard<'_, State>) {
    let quorate = MutexGuard::unlocked(state, group::quorate);
    set_quorum(state, quorate);
}

fn set_quorum(state: &mut State, quorate: bool) {
    let Some(link) = state.link.as_mut() else { return };
    link.confirmed = link.merge.synced();
    if link.quorum != quorate {
        let what = if quorate { "has" } else { "missing" };
        tracing::info!("[status] notice: node {what} quorum");
        link.quorum = quorate;
        state.counters.note_members();
    }
}

fn leave(state: &mut State) {
    let Some(link) = state.link.as_mut().filter(|link| link.me.is_some()) else { return };
    tracing::error!("[dcdb] crit: the connection to the group is lost");
    (link.me, link.outlet) = (None, None);
    link.merge.start(&[]);
    link.partial = Reassembly::default();
    for answer in link.waiting.values_mut().filter(|answer| answer.is_none()) {
        *answer = Some(Answer::Lost);
    }
    state.counters.note_members();
}

/// A new membership: everybody says where its tree stands.
#[allow(clippy::cognitive_complexity, reason = "the lint counts the branches in tracing's macros")]
fn change_view(state: &mut State, view: &[Member]) -> Option<Message> {
    let link = state.link.as_mut()?;
    let nodes: Vec<u32> = view.iter().map(|member| member.node).collect();
    tracing::info!("[dcdb] notice: members: {nodes:?}");
    link.merge.start(view);
    link.confirmed = false;
    state.counters.note_members();
    let standing = match Standing::of(&state.tree) {
        Ok(standing) => standing,
        Err(error) => {
            tracing::error!("[dcdb] crit: the tree cannot be encoded: {error}");
            return None;
        }
    };
    Some(Message::State { view: link.merge.view(), standing })
}

#[cfg(test)]
mod tests;
