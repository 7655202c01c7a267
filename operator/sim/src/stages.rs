//! What the rules know of every stage that was planned, and what the hosts' ledgers said of it.

use std::collections::{BTreeMap, BTreeSet};

use memchr::memmem;
use pvecm_agent::ports::DiskFile;
use pvecm_core::ids::{Digest, NodeId};
use pvecm_core::protocol::{Attempt, Phase, Record};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::gone::Buried;
use crate::votes::Votes;
use crate::world::World;

/// A change and a stage of it, counted from 1.
pub type StageKey = (u64, u32);

/// One planned stage.
#[derive(Debug, Clone)]
pub struct KnownStage {
    /// Places of those who vote.
    pub group: BTreeSet<usize>,
    /// Places of those who join.
    pub joining: BTreeSet<usize>,
    /// Its text's version.
    pub version: u64,
    /// It writes its text.
    pub writes: bool,
    /// Its text.
    pub digest: Option<Digest>,
    /// The text that undoes it.
    pub back: Option<Digest>,
    /// Links that must be connected at the end.
    pub links: Vec<u8>,
    /// Whom its text takes off the list.
    pub buries: Vec<Buried>,
    /// It was released.
    released: bool,
    votes: Votes,
    phases: BTreeMap<usize, Phase>,
    held: BTreeSet<usize>,
    writer: Option<usize>,
}

/// All planned stages.
#[derive(Debug, Default)]
pub struct Stages(BTreeMap<StageKey, KnownStage>);

/// The digest of a text in a plan.
#[must_use]
pub fn digest_of(text: &Value) -> Option<Digest> {
    text["digest"].as_str().and_then(|hex| hex.parse().ok())
}

fn buried(tombstone: &Value) -> Option<Buried> {
    let place: usize = tombstone["name"].as_str()?.strip_prefix('n')?.parse().ok()?;
    let id = u32::try_from(tombstone["nodeId"].as_u64()?).ok()?;
    let dead = !tombstone["keepsKey"].is_null();
    Some(Buried { at: place.checked_sub(1)?, id: NodeId::try_from(id).ok()?, dead })
}

impl KnownStage {
    fn read(stage: &Value) -> Self {
        let place = |member: &Value| {
            let number: usize = member["host"].as_str()?.strip_prefix('n')?.parse().ok()?;
            number.checked_sub(1)
        };
        let places = |list: &Value| -> BTreeSet<usize> {
            list.as_array().into_iter().flatten().filter_map(place).collect()
        };
        let actions = stage["actions"].as_array().into_iter().flatten();
        let actions = actions.filter_map(|host| host["actions"].as_array()).flatten();
        let mut buries: Vec<Buried> =
            actions.filter_map(|action| buried(&action["bury"])).collect();
        buries.dedup();
        let link = |probe: &Value| u8::try_from(probe["linkConnected"]["link"].as_u64()?).ok();
        let group = places(&stage["group"]);
        Self {
            votes: Votes::new(group.len()),
            group,
            joining: places(&stage["joining"]),
            version: stage["config"]["version"].as_u64().unwrap_or(0),
            writes: stage["course"] == "Write",
            digest: digest_of(&stage["config"]),
            back: digest_of(&stage["back"]),
            links: stage["probes"].as_array().into_iter().flatten().filter_map(link).collect(),
            buries,
            released: false,
            phases: BTreeMap::new(),
            held: BTreeSet::new(),
            writer: None,
        }
    }

    fn others(&self, at: usize) -> impl Iterator<Item = usize> + '_ {
        self.group.iter().chain(&self.joining).copied().filter(move |other| *other != at)
    }
}

impl Stages {
    /// A change was planned; false: that was known. A number is given once more when the first change
    /// that had it was lost before any host took it up.
    pub fn planned(&mut self, change: u64, stages: &[Value]) -> bool {
        let known = (1..).map_while(|number| self.0.get(&(change, number)));
        if known
            .map(|stage| stage.digest)
            .eq(stages.iter().map(|stage| digest_of(&stage["config"])))
        {
            return false;
        }
        self.0.retain(|(of, _), _| *of != change);
        let read = |(number, stage)| ((change, number), KnownStage::read(stage));
        self.0.extend((1..).zip(stages).map(read));
        true
    }

    /// A text of ours lands in /etc/pve: votes must have allowed it, and one host alone may write.
    pub fn lands(&mut self, at: usize, digest: Digest) -> Result<(), String> {
        let wrote = |(_, s): &(&StageKey, &mut KnownStage)| s.writes && s.digest == Some(digest);
        // The same text comes again in a later change when the first one wrote nothing.
        if let Some((key, stage)) = self.0.iter_mut().rev().find(wrote) {
            let writer = *stage.writer.get_or_insert(at);
            if !stage.votes.begins() {
                return Err(format!("{key:?} is written before the vote to begin was won"));
            }
            if writer != at {
                return Err(format!("{key:?} has two writers"));
            }
        }
        let undone: Vec<_> = self.0.iter().filter(|(_, s)| s.back == Some(digest)).collect();
        let fails = |p: &Phase| matches!(p, Phase::Failed { .. });
        let decided = |s: &KnownStage| s.votes.undone() || s.phases.values().any(fails);
        if !undone.is_empty() && !undone.iter().any(|(_, stage)| decided(stage)) {
            let keys: Vec<_> = undone.iter().map(|(key, _)| *key).collect();
            return Err(format!("{keys:?} is written back before that was decided"));
        }
        Ok(())
    }

    /// Whom this text takes off the list.
    #[must_use]
    pub fn buried(&self, digest: Digest) -> Vec<Buried> {
        let stages = self.0.values().filter(|stage| stage.digest == Some(digest));
        stages.flat_map(|stage| stage.buries.clone()).collect()
    }

    /// Whether hosts have one outcome of a stage.
    #[must_use]
    pub fn is_together(&self, key: StageKey) -> bool {
        self.0.get(&key).is_none_or(|stage| !stage.group.is_empty())
    }

    /// Whom the stages of a change take off the list.
    #[must_use]
    pub fn buried_by(&self, change: u64) -> Vec<Buried> {
        let stages = self.0.range((change, 0)..=(change, u32::MAX));
        stages.flat_map(|(_, stage)| stage.buries.clone()).collect()
    }

    /// A stage counts as released; whom it takes off the list, where that is news.
    pub fn released(&mut self, key: StageKey) -> Vec<Buried> {
        let Some(stage) = self.0.get_mut(&key) else { return Vec::new() };
        let is_news = !std::mem::replace(&mut stage.released, true);
        if is_news { stage.buries.clone() } else { Vec::new() }
    }

    /// A stage whose own text this is.
    #[must_use]
    pub fn writing(&self, digest: Digest) -> Option<&KnownStage> {
        self.0.values().rev().find(|stage| stage.writes && stage.digest == Some(digest))
    }
}

/// The value behind a pattern of a ledger's JSON. Inside of strings quotes are escaped, so a pattern
/// with quotes is found in its own place only; reading the whole ledger each time would take longer
/// than all the rest.
fn behind<T: DeserializeOwned>(bytes: &[u8], pattern: &str) -> Option<T> {
    let at = memmem::find(bytes, pattern.as_bytes())?;
    serde_json::Deserializer::from_slice(&bytes[at + pattern.len()..]).into_iter().next()?.ok()
}

impl World {
    /// A host's ledger was written.
    pub fn watch_ledger(&mut self, at: usize, before: Option<&[u8]>, now: &[u8]) {
        let highest = |bytes: &[u8]| behind::<u64>(bytes, "{\"highest\":").unwrap_or(0);
        if before.is_some_and(|before| highest(before) > highest(now)) {
            self.broken(format!("n{} forgets the highest change that it accepted", at + 1));
        }
        let Some(attempt) = behind::<Attempt>(now, "\"pending\":{\"attempt\":") else { return };
        let Some(Record { phase, .. }) = behind::<Record>(now, "\"record\":").filter(|_| {
            // A stage that was just admitted has no record.
            memmem::find(now, b"\"record\":null").is_none()
        }) else {
            return;
        };
        if let Err(why) = self.judge(at, (attempt.change.0, attempt.stage), &phase) {
            let stage = (attempt.change.0, attempt.stage);
            self.broken(format!("{stage:?} on n{}: {why}", at + 1));
        }
    }

    fn judge(&mut self, at: usize, key: StageKey, phase: &Phase) -> Result<(), String> {
        let Some(stage) = self.stages.0.get_mut(&key) else { return Ok(()) };
        let before = stage.phases.insert(at, phase.clone());
        let prepared = before.is_none() && matches!(phase, Phase::Prepared { .. });
        let starts_from_disk = prepared && stage.writes && stage.group.contains(&at);
        if stage.group.contains(&at) {
            stage.votes.cast(at, before.as_ref(), phase)?;
        }
        // What else is noted in the ledger later says nothing anew.
        let holds = matches!(phase, Phase::Holds) && before.as_ref() != Some(phase);
        if holds {
            stage.held.insert(at);
        }
        let all = stage.others(at).chain([at]).all(|other| stage.held.contains(&other));
        if matches!(phase, Phase::Sealed) && !all {
            return Err("sealed, and not everybody held".to_owned());
        }
        let stage = stage.clone();
        if starts_from_disk {
            self.disk_is_level(at)?;
        }
        if holds { self.in_truth(at, &stage) } else { Ok(()) }
    }

    /// A host that is prepared has looked at its disk: what a person wrote there would be lost.
    fn disk_is_level(&self, at: usize) -> Result<(), String> {
        const JUST_NOW_MS: u64 = 50;
        let host = &self.hosts[at];
        let level = host.disk.get(&DiskFile::Conf) == host.db.conf.as_ref();
        if level || self.now() < self.checks.outside_at + JUST_NOW_MS {
            return Ok(());
        }
        Err("prepared, and its disk differs from /etc/pve".to_owned())
    }

    /// What a host says of the links and of its daemon when it says that all holds.
    fn in_truth(&self, at: usize, stage: &KnownStage) -> Result<(), String> {
        // An agent speaks of its last look, and while a stage runs it looks each 200 ms.
        const JUST_NOW_MS: u64 = 1_000;
        let Some(daemon) = &self.hosts[at].daemon else {
            return Err("holds, and corosync does not run".to_owned());
        };
        if daemon.version() != stage.version {
            let (runs, version) = (daemon.version(), stage.version);
            return Err(format!("holds, and version {runs} runs, not {version}"));
        }
        for link in &stage.links {
            for other in stage.others(at) {
                let just_lost = |lost_at: u64| self.now() < lost_at + JUST_NOW_MS;
                let fits = self
                    .link(at, other, *link)
                    .is_some_and(|state| state.up || state.lost_at.is_some_and(just_lost));
                if !fits {
                    let other = other + 1;
                    return Err(format!("holds, and link {link} to n{other} is not connected"));
                }
            }
        }
        Ok(())
    }
}
