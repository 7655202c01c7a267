//! Who of several operators writes: a claim on one `Lease`, by the scheme of client-go.
//!
//! Judged by local monotonic time alone: a holder is gone when its record has not changed for the
//! lease's duration *as seen here*; the clocks of two machines are never compared. Leadership is not
//! fencing (a stopped process wakes up believing): what stops a stale leader is the ledger on every
//! host. It never decides anything about clusters.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

/// The name of the lease, as the chart's Role knows it.
pub const LEASE: &str = "pvecm-operator";

/// The three times of a lease.
#[derive(Debug, Clone, Copy)]
pub struct LeaseTimes {
    /// After so long without a change a holder counts as gone.
    pub duration: Duration,
    /// A holder that could not renew for so long stops writing.
    pub renew_deadline: Duration,
    /// Between two tries.
    pub retry_period: Duration,
}

/// What a process has of the lease.
#[derive(Debug, Clone, Copy, Default)]
struct Hold {
    /// It may write until then.
    until: Option<Instant>,
    /// Counts how often it began to hold, also after a hold that ran out by itself.
    term: u64,
}

impl Hold {
    fn holds(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() < until)
    }
}

/// Whether this process may write, asked before every write.
#[derive(Debug, Clone)]
pub struct Leadership {
    held: watch::Receiver<Hold>,
    /// The last term that [`Leadership::gained`] told of.
    told: u64,
}

impl Leadership {
    const fn new(held: watch::Receiver<Hold>) -> Self {
        Self { held, told: 0 }
    }

    /// Whether this process holds the lease at this moment.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.held.borrow().holds()
    }

    /// Resolves when the lease changes from not held to held. A lease that ran out for a moment and was
    /// renewed counts: what came up in between was not worked on.
    pub async fn gained(&mut self) -> Option<()> {
        let told = self.told;
        let held = self.held.wait_for(|held| held.term != told && held.until.is_some()).await;
        self.told = held.ok()?.term;
        Some(())
    }

    /// A claim that holds for a day.
    #[cfg(test)]
    #[must_use]
    pub fn always() -> Self {
        let until = Some(Instant::now() + Duration::from_hours(24));
        Self::new(watch::channel(Hold { until, term: 1 }).1)
    }

    /// A claim that somebody else holds.
    #[cfg(test)]
    #[must_use]
    pub fn never() -> Self {
        Self::new(watch::channel(Hold::default()).1)
    }
}

/// The holder's record as seen last, and when it was first seen so.
#[derive(Debug, Clone)]
struct Seen {
    spec: LeaseSpec,
    version: Option<String>,
    at: Instant,
}

/// What to do with the lease now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Move {
    Create,
    Renew,
    TakeOver,
    Release,
    Wait,
}

/// One process's claim on the lease.
#[derive(Debug)]
pub struct Claim {
    api: Api<Lease>,
    identity: String,
    times: LeaseTimes,
    seen: Option<Seen>,
    held: watch::Sender<Hold>,
}

impl Claim {
    /// A claim that is not held yet, and what tells whether it is.
    #[must_use]
    pub fn new(
        client: Client,
        namespace: &str,
        identity: String,
        times: LeaseTimes,
    ) -> (Self, Leadership) {
        let (held, leadership) = watch::channel(Hold::default());
        let api = Api::namespaced(client, namespace);
        (Self { api, identity, times, seen: None, held }, Leadership::new(leadership))
    }

    /// Gets and keeps the lease until `stop` resolves. The lease is then still held.
    pub async fn keep(&mut self, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        loop {
            self.attempt().await;
            let pause = crate::backoff::spread(self.times.retry_period);
            tokio::select! {
                () = sleep(pause) => {}
                () = &mut stop => return,
            }
        }
    }

    /// Gives the lease back, so that a successor need not wait for it to run out.
    pub async fn release(mut self) {
        let until = self.held.borrow().until;
        self.hold(None);
        if until.is_none() {
            return;
        }
        let released = timeout(self.times.retry_period, self.write(Move::Release)).await;
        let ok = released.is_ok_and(|released| released.is_ok());
        tracing::info!(ok, "lease given back");
    }

    /// One try to get or renew the lease. The deadline counts from before the request: the server
    /// may have taken it at any moment since.
    async fn attempt(&mut self) {
        let started = Instant::now();
        let deadline = started + self.times.renew_deadline;
        let tried = timeout(self.times.renew_deadline / 2, self.try_once()).await;
        let had = self.held.borrow().until;
        let tried = tried.map_err(|_| "no answer".to_owned());
        let now = match tried.and_then(|tried| tried.map_err(|error| crate::chain(&error))) {
            Ok(true) => Some(deadline),
            Ok(false) => None,
            Err(why) => {
                tracing::warn!(why, "lease not renewed");
                had.filter(|until| Instant::now() < *until)
            }
        };
        self.hold(now);
    }

    fn hold(&self, until: Option<Instant>) {
        let mut changed = false;
        self.held.send_modify(|held| {
            changed = held.holds() != until.is_some();
            held.term += u64::from(changed && until.is_some());
            held.until = until;
        });
        if changed {
            tracing::info!(
                leader = until.is_some(),
                identity = self.identity,
                "leadership changed"
            );
        }
    }

    /// Whether this process holds the lease after this try.
    async fn try_once(&mut self) -> Result<bool, kube::Error> {
        let lease = self.api.get_opt(LEASE).await?;
        self.look_at(lease, Instant::now());
        let step = decide(self.seen.as_ref(), &self.identity, Instant::now());
        if step == Move::Wait {
            return Ok(false);
        }
        match self.write(step).await {
            Ok(()) => Ok(true),
            // Somebody was faster; the next look tells who.
            Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Remembers a record that differs from the last one, with the moment it was seen.
    fn look_at(&mut self, lease: Option<Lease>, now: Instant) {
        let Some(Lease { metadata, spec }) = lease else {
            self.seen = None;
            return;
        };
        let (spec, version) = (spec.unwrap_or_default(), metadata.resource_version);
        match &mut self.seen {
            Some(seen) if seen.spec == spec => seen.version = version,
            _ => self.seen = Some(Seen { spec, version, at: now }),
        }
    }

    /// Writes the record that a step asks for, over the version that was looked at last.
    async fn write(&mut self, step: Move) -> Result<(), kube::Error> {
        let seen = self.seen.as_ref();
        let old = seen.map(|seen| &seen.spec);
        let metadata = ObjectMeta {
            name: Some(LEASE.to_owned()),
            resource_version: seen.and_then(|seen| seen.version.clone()),
            ..ObjectMeta::default()
        };
        let spec = Some(record(step, old, &self.identity, self.times.duration));
        let lease = Lease { metadata, spec };
        let written = if step == Move::Create {
            self.api.create(&PostParams::default(), &lease).await?
        } else {
            self.api.replace(LEASE, &PostParams::default(), &lease).await?
        };
        self.look_at(Some(written), Instant::now());
        Ok(())
    }
}

/// What a process does with a record: renew its own, take over a free or silent one, else wait.
fn decide(seen: Option<&Seen>, identity: &str, now: Instant) -> Move {
    let Some(Seen { spec, version: _, at }) = seen else { return Move::Create };
    let holder = spec.holder_identity.as_deref().unwrap_or_default();
    let seconds = u64::try_from(spec.lease_duration_seconds.unwrap_or(0)).unwrap_or(0);
    if holder == identity {
        Move::Renew
    } else if holder.is_empty() || now.duration_since(*at) > Duration::from_secs(seconds) {
        Move::TakeOver
    } else {
        Move::Wait
    }
}

/// The record after a step.
fn record(step: Move, old: Option<&LeaseSpec>, identity: &str, duration: Duration) -> LeaseSpec {
    let now = MicroTime(Timestamp::now());
    let transitions = old.and_then(|old| old.lease_transitions).unwrap_or(0);
    let kept = old.and_then(|old| old.acquire_time.clone()).filter(|_| step == Move::Renew);
    let seconds = i32::try_from(duration.as_secs()).unwrap_or(i32::MAX);
    let released = step == Move::Release;
    LeaseSpec {
        holder_identity: Some(if released { String::new() } else { identity.to_owned() }),
        // client-go's word for "nobody": an empty holder and the shortest duration.
        lease_duration_seconds: Some(if released { 1 } else { seconds }),
        acquire_time: Some(kept.unwrap_or_else(|| now.clone())),
        renew_time: Some(now),
        lease_transitions: Some(transitions + i32::from(step == Move::TakeOver)),
        ..LeaseSpec::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(holder: &str, at: Instant) -> Seen {
        let spec = LeaseSpec {
            holder_identity: Some(holder.to_owned()),
            lease_duration_seconds: Some(15),
            ..LeaseSpec::default()
        };
        Seen { spec, version: None, at }
    }

    #[tokio::test(start_paused = true)]
    async fn a_foreign_lease_is_taken_only_after_its_duration_without_a_change() {
        let start = Instant::now();
        let other = seen("other", start);
        let after = |secs| decide(Some(&other), "me", start + Duration::from_secs(secs));
        assert_eq!(after(15), Move::Wait);
        assert_eq!(after(16), Move::TakeOver);
        assert_eq!(decide(Some(&seen("", start)), "me", start), Move::TakeOver);
        assert_eq!(decide(Some(&seen("me", start)), "me", start), Move::Renew);
        assert_eq!(decide(None, "me", start), Move::Create);
    }

    #[tokio::test(start_paused = true)]
    async fn a_claim_ends_by_itself_at_its_deadline() {
        let until = Some(Instant::now() + Duration::from_secs(10));
        let (sender, receiver) = watch::channel(Hold { until, term: 1 });
        let leadership = Leadership::new(receiver);
        assert!(leadership.holds());
        tokio::time::advance(Duration::from_secs(11)).await;
        assert!(!leadership.holds());
        drop(sender);
    }

    #[tokio::test(start_paused = true)]
    async fn a_claim_that_ran_out_and_was_renewed_counts_as_gained_again() {
        let service = tower::service_fn(|_: http::Request<kube::client::Body>| async {
            Ok::<_, std::convert::Infallible>(http::Response::new(kube::client::Body::empty()))
        });
        let times = LeaseTimes {
            duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry_period: Duration::from_secs(2),
        };
        let client = Client::new(service, "pve");
        let (claim, mut leadership) = Claim::new(client, "pve", "me".to_owned(), times);
        let in_ten = || Some(Instant::now() + Duration::from_secs(10));
        claim.hold(in_ten());
        assert_eq!(leadership.gained().await, Some(()));
        tokio::time::advance(Duration::from_secs(5)).await;
        claim.hold(in_ten());
        let soon = Duration::from_millis(1);
        assert!(timeout(soon, leadership.gained()).await.is_err(), "it was held all the time");
        tokio::time::advance(Duration::from_secs(11)).await;
        claim.hold(in_ten());
        assert_eq!(timeout(soon, leadership.gained()).await, Ok(Some(())));
    }

    #[test]
    fn a_takeover_counts_a_transition_and_a_renewal_keeps_the_time_of_acquiring() {
        let old = record(Move::Create, None, "me", Duration::from_secs(15));
        let renewed = record(Move::Renew, Some(&old), "me", Duration::from_secs(15));
        assert_eq!(renewed.acquire_time, old.acquire_time);
        assert_eq!(renewed.lease_transitions, Some(0));
        let taken = record(Move::TakeOver, Some(&old), "you", Duration::from_secs(15));
        assert_eq!(taken.lease_transitions, Some(1));
    }
}
