//! The rules, checked where the world changes. Owns the first that was broken; never stops anything.

use std::collections::{BTreeMap, BTreeSet};

use pvecm_core::ids::Digest;

use crate::gone::Graves;
use crate::world::Parsed;

/// What was seen, as far as a rule needs it.
#[derive(Debug, Default)]
pub struct Checks {
    /// The first rule that was broken.
    pub broken: Option<String>,
    /// When something from outside disturbed the cluster last.
    pub outside_at: u64,
    /// When the API server came back from a backup last.
    pub restored_at: Option<u64>,
    /// When requests that take seconds ended: what they brought is late for a while yet.
    pub slow_until: Option<u64>,
    /// Who was taken off the list.
    pub graves: Graves,
    /// No text may be written: the cluster is adopted, or at rest.
    pub at_rest: bool,
    /// The highest change of which a text has landed.
    newest: i64,
    /// The text under each number that we wrote.
    numbers: BTreeMap<u64, Digest>,
    /// Every text of ours that was written somewhere.
    landed: BTreeSet<Digest>,
    /// The change whose stage has this text.
    texts: BTreeMap<Digest, i64>,
    /// Changes that have their outcome.
    ended: BTreeSet<String>,
    /// What hosts said of a stage: whether it is confirmed.
    outcomes: BTreeMap<StageOf, BTreeMap<usize, bool>>,
}

/// A change, the digest of its plan and a stage. An API server that was restored gives a number once more.
pub type StageOf = (i64, String, i32);

impl Checks {
    /// A rule was broken; the first one counts.
    pub fn fail(&mut self, why: String) {
        self.broken.get_or_insert(why);
    }

    /// A host wrote something to its own disk.
    pub fn host_wrote(&mut self, at: usize) {
        if self.at_rest {
            self.fail(format!("n{} writes to its disk at rest", at + 1));
        }
    }

    /// Texts of a change that was created.
    pub fn planned(&mut self, change: i64, digests: impl Iterator<Item = Digest>) {
        for digest in digests {
            self.texts.entry(digest).or_insert(change);
        }
    }

    /// A text of ours is about to be in `place`. `over` is the version that is in /etc/pve there.
    pub fn written(
        &mut self,
        at: usize,
        (bytes, parsed): (&[u8], &Parsed),
        (place, over): (&str, u64),
    ) -> Result<(), String> {
        self.host_wrote(at);
        let digest = Digest::of(bytes);
        let version = parsed.version;
        let known = *self.numbers.entry(version).or_insert(digest);
        if known != digest {
            return Err(format!("two texts of ours under version {version}"));
        }
        let Some(change) = self.texts.get(&digest).copied() else {
            return Err(format!("n{} writes a text of no change to {place}", at + 1));
        };
        if change < self.newest {
            let newest = self.newest;
            return Err(format!("a text of change {change} lands after one of {newest}"));
        }
        self.newest = change;
        if version < over && place == "/etc/pve" {
            return Err(format!("version {version} is written over {over}"));
        }
        self.landed.insert(digest);
        Ok(())
    }

    /// A text of a change that was never written.
    #[must_use]
    pub fn is_planned_alone(&self, bytes: &[u8]) -> bool {
        let digest = Digest::of(bytes);
        self.texts.contains_key(&digest) && !self.landed.contains(&digest)
    }

    /// A change counts as in force: its last text was written.
    pub fn succeeded(&mut self, name: &str, last: Option<Digest>) {
        if last.is_some_and(|digest| !self.landed.contains(&digest)) {
            self.fail(format!("{name} succeeded, and its last text was never written"));
        }
    }

    /// A change has its outcome; true: that is news.
    pub fn ended(&mut self, name: &str) -> bool {
        !self.ended.contains(name) && self.ended.insert(name.to_owned())
    }

    /// A host says what became of a stage for good. What each does for itself may end differently (`together`).
    pub fn outcome(&mut self, at: usize, stage: &StageOf, (confirmed, together): (bool, bool)) {
        let told = self.outcomes.entry(stage.clone()).or_default();
        if told.insert(at, confirmed).is_some_and(|before| before != confirmed) {
            return self.fail(format!("n{} changes the outcome of {stage:?}", at + 1));
        }
        if together && told.values().any(|other| *other != confirmed) {
            self.fail(format!("stage {stage:?} is confirmed here and not there"));
        }
    }
}
