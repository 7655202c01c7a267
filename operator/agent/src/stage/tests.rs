//! Stages against a host in memory.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::executor::block_on;
use pvecm_core::change::{Action, ConfText, Course, Parent, Risk, Stage, StageResult, Tombstone};
use pvecm_core::ids::{ChangeNumber, ConfigVersion, NodeId};
use pvecm_core::protocol::{Attempt, Event, InForce, Message, Phase};
use tokio::sync::mpsc::{self, UnboundedReceiver};

use super::action::{Task, join, may_join, restart, run as run_actions};
use super::action::{start_with, undo_join};
use super::run::{GroupRun, JobEvent, Jobs};
use super::{Undone, keys};
use crate::fake::{FakeHost, MemoryStore, World};
use crate::ledger::{Book, Pending};
use crate::observe::Observation;
use crate::ports::{Clock, ClusterFiles, DiskFile};
use crate::seal::{SealingKey, seal};

mod datacenter;
mod device;
mod exchange;
mod leaving;
mod leftovers;
mod separating;

fn text(version: u64) -> String {
    format!("totem {{\n  config_version: {version}\n  version: 2\n}}\n")
}

fn conf(version: u64) -> ConfText {
    ConfText::new(ConfigVersion(version), text(version))
}

fn parent() -> Parent {
    let ConfText { version, digest, text: _ } = conf(1);
    Parent { version, digest }
}

fn stage(course: Course) -> Stage {
    Stage {
        summary: "a stage".to_owned(),
        risk: Risk::Live,
        course,
        group: BTreeMap::from([(NodeId::try_from(1).unwrap(), "n1".parse().unwrap())]),
        joining: BTreeMap::new(),
        config: conf(2),
        back: Some(conf(3)),
        actions: BTreeMap::new(),
        probes: Vec::new(),
        limits: BTreeMap::new(),
        confirm_timeout_secs: 5,
    }
}

fn pending(fake: &FakeHost, stage: Stage, expects: Option<Parent>) -> Pending {
    let had_authkey = fake.world().disk.contains_key(&DiskFile::Authkey);
    let daemon = fake.world().started;
    let datacenter = Some(fake.world().datacenter.clone());
    Pending {
        attempt: Attempt { change: ChangeNumber(1), stage: 1, attempt: 1 },
        stage,
        expects,
        parent: fake.read_conf().unwrap().map(|bytes| String::from_utf8(bytes).unwrap()),
        datacenter,
        daemon,
        had_authkey,
        keys: keys::laid(&fake.host()),
        record: None,
        recorded_at: fake.now(),
    }
}

fn with_task<T>(fake: &FakeHost, pending: &Pending, act: impl FnOnce(&Task<'_>) -> T) -> T {
    let key = SealingKey::open(&MemoryStore::default()).unwrap();
    let sealed = seal(&key.public(), b"secret").unwrap();
    let deadline_ms = fake.now().millis + 5000;
    let pinned = BTreeMap::new();
    let (sealed, certificate) = (Some(sealed.as_str()), Some("certificate"));
    act(&Task { pending, key: &key, sealed, certificate, pinned: &pinned, deadline_ms })
}

fn form(fake: &FakeHost) -> Result<(), Undone> {
    form_from(fake, None)
}

fn form_from(fake: &FakeHost, expects: Option<Parent>) -> Result<(), Undone> {
    with_task(fake, &pending(fake, stage(Course::Local), expects), |task| {
        block_on(run_actions(&fake.host(), task, &[Action::FormCluster {}])).map(|_| ())
    })
}

#[test]
fn a_fresh_host_forms_a_cluster_and_forming_again_changes_nothing() {
    let fake = FakeHost::fresh();
    assert_eq!(form(&fake), Ok(()));
    let key = fake.world().disk[&DiskFile::Authkey].clone();
    assert_eq!(key.len(), 256);
    assert_eq!(fake.world().pmxcfs_conf.as_deref(), Some(text(2).as_bytes()));
    assert_eq!(form(&fake), Ok(()));
    assert_eq!(fake.world().disk[&DiskFile::Authkey], key);
}

#[test]
fn a_host_on_which_forming_fails_is_left_as_it_was() {
    for fails in [
        |world: &mut World| world.corosync_starts = false,
        |world: &mut World| world.corosync_ends = true,
        |world: &mut World| world.refuses_conf = true,
        |world: &mut World| world.foreign_lock = true,
    ] {
        let fake = FakeHost::fresh();
        fails(&mut fake.world());
        assert!(matches!(form(&fake), Err(Undone::PutBack(_))));
        assert_eq!(fake.world().pmxcfs_conf, None);
        assert!(fake.world().disk.is_empty(), "the key that the stage made is gone as well");
        assert!(fake.world().pmxcfs_runs && !fake.world().corosync_runs);
    }
}

#[test]
fn a_cluster_that_a_person_makes_at_the_same_moment_is_left_alone() {
    let fake = FakeHost::fresh();
    fake.world().meanwhile = Some(text(7).into());
    assert!(matches!(form(&fake), Err(Undone::Stuck(_))));
    assert_eq!(fake.world().pmxcfs_conf.as_deref(), Some(text(7).as_bytes()));
}

#[test]
fn an_authkey_that_was_there_before_outlives_a_failed_forming() {
    let fake = FakeHost::fresh();
    fake.world().disk.insert(DiskFile::Authkey, b"old".to_vec());
    fake.world().corosync_starts = false;
    assert!(matches!(form(&fake), Err(Undone::PutBack(_))));
    assert_eq!(fake.world().disk[&DiskFile::Authkey], b"old");
}

#[test]
fn no_cluster_is_formed_over_another_one() {
    let fake = FakeHost::member(&text(9));
    assert!(matches!(form(&fake), Err(Undone::NotBegun(_))));
    assert_eq!(fake.world().pmxcfs_conf.as_deref(), Some(text(9).as_bytes()));
}

#[test]
fn a_host_joins_with_the_key_that_was_sealed_for_it_and_leaves_again_when_undone() {
    let fake = FakeHost::fresh();
    let pending = pending(&fake, stage(Course::Start), None);
    assert!(may_join(&fake.host(), &pending.stage).is_err(), "it has no authkey yet");
    with_task(&fake, &pending, |task| {
        block_on(run_actions(&fake.host(), task, &[Action::ReceiveAuthkey { generation: 0 }]))
            .unwrap();
        assert_eq!(fake.world().disk[&DiskFile::Authkey], b"secret");
        may_join(&fake.host(), &pending.stage).unwrap();
        block_on(join(&fake.host(), task)).unwrap();
    });
    assert_eq!(fake.world().pmxcfs_conf.as_deref(), Some(text(2).as_bytes()));
    block_on(undo_join(&fake.host(), pending.attempt)).unwrap();
    assert_eq!(fake.world().pmxcfs_conf, None);
    assert!(fake.world().disk.is_empty());
    assert!(!fake.world().corosync_runs && fake.world().pmxcfs_runs);
}

#[test]
fn a_join_ends_with_a_sentence_when_corosync_ends_long_before_the_deadline() {
    let fake = FakeHost::fresh();
    fake.world().corosync_ends = true;
    let pending = pending(&fake, stage(Course::Start), None);
    with_task(&fake, &pending, |task| {
        let deadline_ms = task.deadline_ms + 60_000;
        let why = block_on(join(&fake.host(), &Task { deadline_ms, ..*task })).unwrap_err();
        assert_eq!(why, "corosync ended after it was started");
    });
    assert!(fake.now().millis < 10_000);
}

/// A one-member group, its messages delivered back to itself as corosync does.
struct Lone {
    fake: FakeHost,
    store: Arc<MemoryStore>,
    book: Book,
    run: GroupRun,
    answers: UnboundedReceiver<JobEvent>,
}

impl Lone {
    fn start(fake: FakeHost, store: Arc<MemoryStore>) -> Self {
        Self::begin(fake, store, stage(Course::Write))
    }

    fn begin(fake: FakeHost, store: Arc<MemoryStore>, stage: Stage) -> Self {
        let mut book = Book::open(store.clone()).unwrap();
        let fresh = || pending(&fake, stage, Some(parent()));
        let pending = book.ledger().pending.clone().unwrap_or_else(fresh);
        let (sender, answers) = mpsc::unbounded_channel();
        let key = Arc::new(SealingKey::open(&MemoryStore::default()).unwrap());
        let jobs = Jobs { host: fake.host(), key, answers: sender };
        let run = GroupRun::start(pending, &"n1".parse().unwrap(), jobs, &mut book);
        let run = run.unwrap().unwrap();
        Self { fake, store, book, run, answers }
    }

    fn turn(&mut self) {
        let agents = std::iter::once(NodeId::try_from(1).unwrap()).collect();
        let seen = Observation::take(&self.fake.host());
        self.run.look(&seen, &agents, &mut self.book).unwrap();
        let sent = std::mem::take(&mut self.fake.world().sent);
        for bytes in sent {
            let message: Message = serde_json::from_slice(&bytes).unwrap();
            self.run.on(Event::Delivered(message), &mut self.book).unwrap();
        }
        while let Ok((_, event)) = self.answers.try_recv() {
            self.run.on(event, &mut self.book).unwrap();
        }
        block_on(self.fake.sleep_ms(100));
        self.run.on(Event::Tick, &mut self.book).unwrap();
        std::thread::sleep(Duration::from_millis(2));
    }

    fn until(&mut self, done: impl Fn(&Self) -> bool) {
        let end = Instant::now() + Duration::from_secs(20);
        while !done(self) {
            assert!(Instant::now() < end, "{:?} {:?}", self.run, self.book);
            self.turn();
        }
    }

    fn result(&mut self) -> StageResult {
        self.until(|lone| lone.run.outcome.is_some());
        self.run.outcome.clone().unwrap().0
    }
}

#[test]
fn a_write_is_prepared_written_and_confirmed() {
    let mut lone = Lone::start(FakeHost::member(&text(1)), Arc::default());
    assert_eq!(lone.result(), StageResult::Confirmed);
    assert_eq!(lone.fake.world().pmxcfs_conf.as_deref(), Some(text(2).as_bytes()));
}

#[test]
fn a_crash_after_the_write_is_recovered_to_the_same_outcome() {
    let mut lone = Lone::start(FakeHost::member(&text(1)), Arc::default());
    lone.until(|lone| lone.fake.world().pmxcfs_conf.as_deref() == Some(text(2).as_bytes()));
    let (fake, store) = (lone.fake.clone(), lone.store.clone());
    drop(lone);
    fake.world().sent.clear();
    let mut again = Lone::start(fake, store);
    assert_eq!(again.result(), StageResult::Confirmed);
    assert_eq!(again.fake.world().pmxcfs_conf.as_deref(), Some(text(2).as_bytes()));
}

#[test]
fn a_file_that_a_person_changed_in_all_places_before_the_stage_is_left_alone() {
    let mut lone = Lone::start(FakeHost::member(&text(7)), Arc::default());
    assert_eq!(lone.result(), StageResult::Refused);
    assert!(lone.run.outcome.as_ref().unwrap().1.contains("not what the change starts from"));
    assert_eq!(lone.fake.world().pmxcfs_conf.as_deref(), Some(text(7).as_bytes()));
}

#[test]
fn a_file_that_a_person_changed_on_the_way_to_the_disk_is_left_alone() {
    let fake = FakeHost::member(&text(1));
    fake.world().disk.insert(DiskFile::Conf, text(7).into());
    assert_eq!(Lone::start(fake, Arc::default()).result(), StageResult::Refused);
}

#[test]
fn a_host_that_waits_for_the_others_gives_up_when_a_person_writes_to_its_disk() {
    let said = gives_up(stage(Course::Write), |fake| {
        fake.world().disk.insert(DiskFile::Conf, text(7).into());
    });
    assert_eq!(said, "n1: /etc/corosync/corosync.conf was changed after the checks");
}

/// Its vote would be taken while it votes.
#[test]
fn a_host_that_waits_for_the_others_gives_up_when_a_dead_machine_is_switched_on() {
    let dead = NodeId::try_from(4).unwrap();
    let gone = Tombstone {
        name: "n4".parse().unwrap(),
        node_id: dead,
        machine_id: None,
        keeps_key: Some(0),
        lives_alone: false,
    };
    let mut drops = stage(Course::Write);
    drops.actions.insert("n1".parse().unwrap(), vec![Action::Bury(gone)]);
    let said = gives_up(drops, |fake| {
        fake.world().links.insert((dead, 0.try_into().unwrap()), true);
    });
    assert_eq!(said, "n1: n4 is to be taken off the list and still runs");
}

/// What a host says that is prepared for a stage of three when this happens to it.
fn gives_up(mut three: Stage, happens: impl FnOnce(&FakeHost)) -> String {
    for id in [2, 3] {
        three.group.insert(NodeId::try_from(id).unwrap(), format!("n{id}").parse().unwrap());
    }
    let mut lone = Lone::begin(FakeHost::member(&text(1)), Arc::default(), three);
    let phase = |lone: &Lone| {
        let pending = lone.book.ledger().pending.as_ref();
        pending.and_then(|pending| Some(pending.record.as_ref()?.phase.clone()))
    };
    lone.until(|lone| matches!(phase(lone), Some(Phase::Prepared { .. })));
    lone.turn();
    assert!(matches!(phase(&lone), Some(Phase::Prepared { .. })), "it waits for the others");
    happens(&lone.fake);
    lone.turn();
    match phase(&lone) {
        Some(Phase::GaveUp { sentence }) => sentence,
        other => panic!("{other:?}: {:?}", lone.book),
    }
}

#[test]
fn a_cluster_is_formed_only_where_the_plan_says_that_there_is_none() {
    let fake = FakeHost::fresh();
    assert!(matches!(form_from(&fake, Some(parent())), Err(Undone::NotBegun(_))));
    assert!(fake.world().disk.is_empty());
}

#[test]
fn no_secret_is_sealed_when_another_file_than_the_plans_is_in_force() {
    let seal_on = |fake: FakeHost| {
        fake.world().disk.insert(DiskFile::Authkey, b"secret".to_vec());
        with_task(&fake, &pending(&fake, stage(Course::Local), Some(parent())), |task| {
            let recipient = task.key.public();
            let to = "n2".parse().unwrap();
            block_on(run_actions(&fake.host(), task, &[Action::SealAuthkey { to, recipient }]))
        })
    };
    assert!(seal_on(FakeHost::member(&text(1))).is_ok());
    assert!(matches!(seal_on(FakeHost::member(&text(7))), Err(Undone::NotBegun(_))));
}

#[test]
fn a_lock_that_somebody_else_keeps_lets_nothing_be_written() {
    let fake = FakeHost::member(&text(1));
    fake.world().foreign_lock = true;
    let mut lone = Lone::start(fake, Arc::default());
    for _ in 0..100 {
        lone.turn();
    }
    assert_eq!(lone.fake.world().pmxcfs_conf.as_deref(), Some(text(1).as_bytes()));
    assert_ne!(lone.run.outcome.as_ref().map(|outcome| outcome.0), Some(StageResult::Confirmed));
}

/// The only member, whose /etc/pve has the stage's text.
fn strayed(disk: &str, running: &str) -> FakeHost {
    let fake = FakeHost::member(&text(2));
    fake.world().disk.insert(DiskFile::Conf, disk.into());
    fake.world().running = Some(running.to_owned());
    fake
}

fn put_right(fake: &FakeHost, action: Action) -> Result<(), Undone> {
    with_task(fake, &pending(fake, stage(Course::Local), Some(parent())), |task| {
        block_on(run_actions(&fake.host(), task, &[action])).map(|_| ())
    })
}

fn on_disk(fake: &FakeHost) -> String {
    String::from_utf8(fake.world().disk[&DiskFile::Conf].clone()).unwrap()
}

#[test]
fn an_edited_disk_goes_back_to_what_etc_pve_has_and_the_daemon_is_left_alone() {
    let fake = strayed(&text(900), &text(2));
    assert_eq!(put_right(&fake, Action::RefreshStaleConfig {}), Ok(()));
    assert_eq!(on_disk(&fake), text(2));
    assert_eq!(put_right(&fake, Action::RefreshStaleConfig {}), Ok(()));
    let world = fake.world();
    assert_eq!((world.running.as_ref(), world.reloads), (Some(&text(2)), 0));
}

#[test]
fn an_edited_disk_is_not_touched_while_somebody_else_writes_or_has_written() {
    let held = strayed(&text(900), &text(2));
    held.world().foreign_lock = true;
    let faster = strayed(&text(900), &text(2));
    faster.world().meanwhile = Some(text(5).into());
    for fake in [held, faster] {
        let ended = put_right(&fake, Action::RefreshStaleConfig {});
        assert!(matches!(ended, Err(Undone::NotBegun(_))), "{ended:?}");
        assert_eq!(on_disk(&fake), text(900));
    }
}

#[test]
fn a_daemon_that_runs_something_else_reads_its_file_and_one_that_does_not_is_left_alone() {
    let edited = text(2).replace("version: 2\n}", "version: 2\n  token: 9000\n}");
    for running in [text(900), edited] {
        let fake = strayed(&text(2), &running);
        assert_eq!(put_right(&fake, Action::Reload {}), Ok(()));
        assert_eq!(fake.world().running, Some(text(2)));
        let reloads = fake.world().reloads;
        assert_eq!(put_right(&fake, Action::Reload {}), Ok(()));
        assert_eq!(fake.world().reloads, reloads);
    }
}

#[test]
fn no_daemon_reads_a_disk_that_is_still_wrong() {
    let fake = strayed(&text(900), &text(1));
    assert!(matches!(put_right(&fake, Action::Reload {}), Err(Undone::NotBegun(_))));
    assert_eq!(fake.world().running, Some(text(1)));
}

#[test]
fn a_daemon_that_does_not_take_its_file_ends_the_stage_with_the_key() {
    let fake = strayed(&text(2), &text(1));
    fake.world().refuses_reload = true;
    let ended = put_right(&fake, Action::Reload {});
    assert!(
        matches!(&ended, Err(Undone::PutBack(why)) if why.contains("config_version")),
        "{ended:?}"
    );
}

/// A member that restarts with the text in force, and goes back to another one.
fn restarting(fake: &FakeHost) -> Pending {
    let stage = Stage { config: conf(1), back: Some(conf(3)), ..stage(Course::Restart) };
    pending(fake, stage, Some(parent()))
}

#[test]
fn a_restart_starts_another_daemon_once_even_when_the_agent_ends_in_between() {
    let fake = FakeHost::member(&text(1));
    let pending = restarting(&fake);
    for _ in 0..2 {
        with_task(&fake, &pending, |task| block_on(restart(&fake.host(), task)).unwrap());
        assert_eq!(fake.world().started, Some(2));
        assert!(fake.world().corosync_runs);
    }
}

#[test]
fn a_restart_that_ends_in_the_old_daemon_or_none_is_none() {
    let fake = FakeHost::member(&text(1));
    let pending = restarting(&fake);
    fake.world().corosync_ends = true;
    with_task(&fake, &pending, |task| {
        assert_eq!(
            block_on(restart(&fake.host(), task)).unwrap_err(),
            "corosync ended after it was started"
        );
    });
}

async fn undone(fake: &FakeHost, pending: &Pending) -> Result<(), String> {
    start_with(&fake.host(), &pending.stage, pending.parent.as_deref(), InForce::Back).await
}

#[test]
fn a_member_that_does_not_come_back_starts_with_the_old_text() {
    let fake = FakeHost::member(&text(1));
    let pending = restarting(&fake);
    fake.world().corosync_starts = false;
    with_task(&fake, &pending, |task| block_on(restart(&fake.host(), task)).unwrap_err());
    fake.world().corosync_starts = true;
    block_on(undone(&fake, &pending)).unwrap();
    assert_eq!(fake.world().disk[&DiskFile::Conf], text(3).as_bytes());
    assert!(fake.world().corosync_runs && fake.world().running == Some(text(3)));
}

#[test]
fn a_file_that_a_person_put_on_the_disk_meanwhile_survives_the_undoing_of_a_restart() {
    let fake = FakeHost::member(&text(1));
    let pending = restarting(&fake);
    fake.world().disk.insert(DiskFile::Conf, text(9).into());
    assert!(block_on(undone(&fake, &pending)).is_err());
    assert_eq!(fake.world().disk[&DiskFile::Conf], text(9).as_bytes());
    assert_eq!(fake.world().started, Some(1));
}

fn outage(fake: FakeHost, store: Arc<MemoryStore>) -> Lone {
    Lone::begin(fake, store, stage(Course::Outage))
}

/// The texts in /etc/pve, on the disk and in the daemon.
fn places(fake: &FakeHost) -> [Option<String>; 3] {
    let world = fake.world();
    let text = |bytes: &Vec<u8>| String::from_utf8(bytes.clone()).unwrap();
    [
        world.pmxcfs_conf.as_ref().map(text),
        world.disk.get(&DiskFile::Conf).map(text),
        world.running.clone().filter(|_| world.corosync_runs),
    ]
}

fn everywhere(version: u64) -> [Option<String>; 3] {
    [(); 3].map(|()| Some(text(version)))
}

#[test]
fn in_an_outage_the_daemon_starts_with_the_new_text_and_etc_pve_gets_it_at_the_end() {
    let mut lone = outage(FakeHost::member(&text(1)), Arc::default());
    lone.until(|lone| lone.fake.world().started == Some(2));
    assert_eq!(lone.result(), StageResult::Confirmed);
    assert_eq!(places(&lone.fake), everywhere(2));
    assert!(!lone.fake.world().disk.contains_key(&DiskFile::TrialConf));
    assert_eq!(lone.fake.world().started, Some(2), "once");
}

#[test]
fn an_agent_that_ends_in_an_outage_goes_on_with_it() {
    let mut lone = outage(FakeHost::member(&text(1)), Arc::default());
    lone.fake.world().corosync_starts = false;
    lone.until(|lone| !lone.fake.world().corosync_runs);
    let (fake, store) = (lone.fake.clone(), lone.store.clone());
    drop(lone);
    fake.world().sent.clear();
    fake.world().corosync_starts = true;
    let mut again = outage(fake, store);
    assert_eq!(again.result(), StageResult::Confirmed);
    assert_eq!(places(&again.fake), everywhere(2));
}

#[test]
fn a_daemon_that_does_not_start_with_the_new_text_starts_with_the_old_one_by_itself() {
    let fake = FakeHost::member(&text(1));
    fake.world().starts_not_with = Some(text(2));
    let mut lone = outage(fake, Arc::default());
    assert_eq!(lone.result(), StageResult::RolledBack);
    assert_eq!(places(&lone.fake), everywhere(3));
}

#[test]
fn an_outage_begins_only_where_the_text_and_the_disk_are_right() {
    for (spoil, why) in [
        ((|world| world.refuses_conf = true) as fn(&mut World), "corosync says no"),
        (|world| world.disk_is_full = true, "the disk takes no corosync.conf"),
    ] {
        let fake = FakeHost::member(&text(1));
        spoil(&mut fake.world());
        let mut lone = outage(fake, Arc::default());
        assert_eq!(lone.result(), StageResult::Refused);
        let said = lone.run.outcome.clone().unwrap().1;
        assert!(said.contains(why), "{said}");
        assert_eq!((places(&lone.fake), lone.fake.world().started), (everywhere(1), Some(1)));
    }
}

#[test]
fn no_host_stays_down_because_its_disk_takes_no_text() {
    let fake = FakeHost::member(&text(1));
    fake.world().disk_is_full = true;
    let stage = stage(Course::Outage);
    assert!(block_on(start_with(&fake.host(), &stage, Some(&text(1)), InForce::New)).is_err());
    assert_eq!((places(&fake), fake.world().started), (everywhere(1), Some(2)));
}

#[test]
fn what_a_person_put_on_the_disk_is_not_replaced_in_an_outage() {
    let fake = FakeHost::member(&text(1));
    fake.world().disk.insert(DiskFile::Conf, text(9).into());
    let stage = stage(Course::Outage);
    assert!(block_on(start_with(&fake.host(), &stage, Some(&text(1)), InForce::New)).is_err());
    assert_eq!(fake.world().disk[&DiskFile::Conf], text(9).as_bytes());
    assert_eq!(fake.world().started, Some(1), "not even stopped");
}
