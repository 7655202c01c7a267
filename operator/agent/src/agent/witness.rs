//! The part of the loop of a witness: `QNetd` runs, and what the nodes of its clusters ask for is signed.
//!
//! A witness takes part in no change. What it signed stays in the ledger until nobody asks for it any more, so that
//! one request is signed once.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use futures::FutureExt;
use pvecm_core::ids::{ClusterName, Digest};
use pvecm_crds::condition::{kind, reason};
use pvecm_crds::host::{ConnectedNodes, HostWitness, IssuedCertificate, Role};
use tokio::time::Instant;

use super::Agent;
use super::tries::Tries;
use crate::certificate::fingerprint;
use crate::host_ports::Host;
use crate::observe::Fact;
use crate::ports::{Unit, Voters};

/// When something that could not be signed is tried again.
const SIGN_AGAIN: Duration = Duration::from_secs(60);
/// How often it is looked who is connected.
const VOTERS_AGAIN: Duration = Duration::from_secs(5);

/// What is remembered of the work of a witness.
#[derive(Debug, Default)]
pub(super) struct WitnessWork {
    tries: Tries,
    /// What could not be signed for a cluster, when, and why.
    unsigned: BTreeMap<(ClusterName, Digest), (Instant, String)>,
    /// Who was connected when it was looked at last, and when that was.
    voters: Voters,
    looked: Option<Instant>,
}

impl Agent {
    pub(super) fn is_witness(&self) -> bool {
        self.wanted_host.as_ref().is_some_and(|host| host.spec.role == Role::Witness)
    }

    /// Brings about what is missing of a witness.
    pub(super) fn keep_witness(&mut self) -> anyhow::Result<()> {
        if !self.is_witness() {
            return Ok(());
        }
        self.see_voters();
        if self.wanted_host.as_ref().is_none_or(|host| host.spec.paused) {
            return Ok(());
        }
        if self.serves() && self.host.services.is_enabled(Unit::Qnetd) {
            self.witness.tries.forget();
        } else {
            self.witness.tries.again(&self.host, "corosync-qnetd", |host| serve(host).boxed());
        }
        self.sign_requests()
    }

    /// Nothing tells of it. A `QNetd` that does not answer may be back in a moment, and its nodes with it.
    fn see_voters(&mut self) {
        if self.witness.looked.is_some_and(|at| at.elapsed() < VOTERS_AGAIN) {
            return;
        }
        self.witness.looked = Some(Instant::now());
        if let Some(voters) = self.host.issuer.voters() {
            self.witness.voters = voters;
        }
    }

    /// A name is of the cluster that the operator says has it, and nobody else gets a certificate for it.
    fn sign_requests(&mut self) -> anyhow::Result<()> {
        let asked = self.requests();
        let is_open = |digest: &Digest| asked.iter().any(|(_, at, _)| at == digest);
        self.witness.unsigned.retain(|(_, digest), _| is_open(digest));
        if self.book.ledger().issued.keys().any(|digest| !is_open(digest)) {
            self.book.change(|ledger| ledger.issued.retain(|digest, _| is_open(digest)))?;
        }
        for (cluster, digest, request) in asked {
            let known = self.book.ledger().issued.contains_key(&digest);
            let tried = self.witness.unsigned.get(&(cluster.clone(), digest));
            if !known && tried.is_none_or(|(at, _)| at.elapsed() >= SIGN_AGAIN) {
                self.sign(cluster, digest, &request)?;
            }
        }
        Ok(())
    }

    fn sign(&mut self, cluster: ClusterName, digest: Digest, request: &str) -> anyhow::Result<()> {
        let signed = self.host.issuer.sign(&cluster, request);
        tracing::info!(%cluster, refused = signed.as_ref().err(), "a certificate was asked for");
        match signed {
            Ok(certificate) => {
                self.witness.unsigned.remove(&(cluster, digest));
                self.book.change(|ledger| _ = ledger.issued.insert(digest, certificate))?;
            }
            Err(why) => {
                let why = format!("a request of {cluster} is not signed: {why}");
                self.witness.unsigned.insert((cluster, digest), (Instant::now(), why));
            }
        }
        Ok(())
    }

    /// What is asked for, each once.
    fn requests(&self) -> BTreeSet<(ClusterName, Digest, String)> {
        let status = self.wanted_host.as_ref().and_then(|host| host.status.as_ref());
        let clusters = status.map(|status| status.clusters.as_slice()).unwrap_or_default();
        let named = clusters.iter().filter_map(|served| {
            let name: ClusterName = served.cluster_name.parse().ok()?;
            Some(served.requests.iter().map(move |request| (name.clone(), request)))
        });
        named.flatten().map(|(name, r)| (name, Digest::of(r.as_bytes()), r.clone())).collect()
    }

    fn serves(&self) -> bool {
        self.host.issuer.serves() && self.host.issuer.authority().is_some()
    }

    /// What a witness says of itself.
    pub(super) fn witness_status(&self) -> Option<HostWitness> {
        if !self.is_witness() {
            return None;
        }
        let issued = self.book.ledger().issued.iter().take(256);
        let certificate = |(request, certificate): (&Digest, &String)| IssuedCertificate {
            request: request.to_string(),
            certificate: certificate.clone(),
        };
        let authority = self.host.issuer.authority();
        let fingerprint = authority.as_deref().and_then(|pem| fingerprint(pem).ok());
        Some(HostWitness {
            serves: self.host.issuer.serves(),
            authority,
            fingerprint: fingerprint.map(|digest| digest.to_string()),
            certificates: issued.map(certificate).collect(),
            voters: self.witness.voters.iter().take(256).map(connected).collect(),
        })
    }

    /// It has no cluster of its own: that corosync does not run there is as it should be.
    pub(super) fn witness_facts(&self) -> Vec<Fact> {
        let unsigned = self.witness.unsigned.values().map(|(_, why)| why.clone()).next();
        let silent = "corosync-qnetd does not run here: see that its package is installed; the log of \
            pvecm-agent says what it tried";
        let why = if self.serves() { unsigned } else { Some(silent.to_owned()) };
        let reason = if why.is_none() { reason::AS_WANTED } else { "NotReady" };
        vec![(kind::READY, why.is_none(), reason, why.unwrap_or_default())]
    }
}

fn connected((cluster, from): (&String, &BTreeSet<IpAddr>)) -> ConnectedNodes {
    let addresses = from.iter().take(64).map(ToString::to_string).collect();
    ConnectedNodes { cluster_name: cluster.clone(), addresses }
}

async fn serve(host: Host) -> Result<(), String> {
    if host.issuer.authority().is_none() {
        host.issuer.initialise().await?;
    }
    if !host.services.is_enabled(Unit::Qnetd) {
        host.services.enable(Unit::Qnetd).await?;
    }
    host.services.start(Unit::Qnetd).await
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use pvecm_crds::host::{PveHostStatus, ServedCluster};
    use pvecm_crds::{PveHost, PveHostSpec};

    use super::*;
    use crate::fake::{FakeHost, MemoryStore};
    use crate::ledger::Book;
    use crate::observe::Identity;
    use crate::seal::SealingKey;

    fn witness(fake: &FakeHost) -> Agent {
        let book = Book::open(Arc::new(MemoryStore::default())).unwrap();
        let key = SealingKey::open(&MemoryStore::default()).unwrap();
        let own = (Identity::default(), key);
        let mut agent = Agent::new(fake.host(), "w1".parse().unwrap(), own, book);
        let spec = PveHostSpec { role: Role::Witness, ..PveHostSpec::default() };
        agent.wanted_host = Some(Box::new(PveHost::new("w1", spec)));
        agent
    }

    /// A witness whose `QNetd` runs, and what its clusters ask for.
    fn serving(requests: &[&str]) -> (FakeHost, Agent) {
        let fake = FakeHost::default();
        fake.world().device.authority = Some("authority".to_owned());
        fake.world().device.serves = true;
        fake.world().device.enabled.insert(Unit::Qnetd);
        let mut agent = witness(&fake);
        ask(&mut agent, requests);
        (fake, agent)
    }

    fn ask(agent: &mut Agent, requests: &[&str]) {
        ask_for(agent, &[("prod", requests)]);
    }

    fn ask_for(agent: &mut Agent, clusters: &[(&str, &[&str])]) {
        let served = |(name, requests): &(&str, &[&str])| ServedCluster {
            cluster_name: (*name).to_owned(),
            requests: requests.iter().map(ToString::to_string).collect(),
            ..ServedCluster::default()
        };
        let clusters = clusters.iter().map(served).collect();
        let status = PveHostStatus { clusters, ..PveHostStatus::default() };
        agent.wanted_host.as_mut().unwrap().status = Some(status);
    }

    fn is_ready(agent: &Agent) -> (bool, String) {
        let facts = agent.witness_facts();
        let [(kind::READY, holds, _, why)] = facts.as_slice() else { panic!("{facts:?}") };
        (*holds, why.clone())
    }

    #[tokio::test(start_paused = true)]
    async fn a_witness_has_qnetd_made_enabled_and_running_and_then_leaves_it_alone() {
        let fake = FakeHost::default();
        let mut agent = witness(&fake);
        assert!(!is_ready(&agent).0);
        agent.keep_witness().unwrap();
        assert!(fake.comes(|world| world.device.serves));
        let is_enabled = fake.world().device.enabled.contains(&Unit::Qnetd);
        assert!(is_enabled && fake.world().device.authority.is_some());
        tokio::time::advance(SIGN_AGAIN * 2).await;
        agent.keep_witness().unwrap();
        assert_eq!(fake.world().device.starts, 1);
        assert!(is_ready(&agent).0);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_asked_for_is_signed_once_and_forgotten_when_nobody_asks_any_more() {
        let (fake, mut agent) = serving(&["a", "b"]);
        for _ in 0..2 {
            agent.keep_witness().unwrap();
            assert_eq!(fake.world().device.signed, 2);
        }
        let told = agent.witness_status().unwrap();
        let issued = told.certificates.iter().find(|c| c.request == Digest::of(b"a").to_string());
        assert_eq!(issued.unwrap().certificate, "a signed for prod");
        assert!(told.serves && told.certificates.len() == 2);
        ask(&mut agent, &["b"]);
        agent.keep_witness().unwrap();
        assert_eq!(agent.book.ledger().issued.len(), 1);
        assert_eq!(fake.world().device.signed, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_signed_is_told_and_tried_again_after_a_minute() {
        let (fake, mut agent) = serving(&["a"]);
        fake.world().device.signs_only_for = Some("other".to_owned());
        agent.keep_witness().unwrap();
        agent.keep_witness().unwrap();
        assert_eq!(fake.world().device.signed, 1);
        let (ready, why) = is_ready(&agent);
        assert!(!ready && why.contains("a request of prod is not signed"), "{why}");
        fake.world().device.signs_only_for = None;
        tokio::time::advance(SIGN_AGAIN).await;
        agent.keep_witness().unwrap();
        assert!(is_ready(&agent).0 && agent.book.ledger().issued.len() == 1);
    }

    /// Requests are no secrets: a member of `other` can show one of `prod` as its own.
    #[tokio::test(start_paused = true)]
    async fn what_is_refused_to_one_cluster_is_signed_for_another() {
        let (fake, mut agent) = serving(&[]);
        ask_for(&mut agent, &[("other", &["a"]), ("prod", &["a"])]);
        fake.world().device.signs_only_for = Some("prod".to_owned());
        agent.keep_witness().unwrap();
        let issued: Vec<_> = agent.book.ledger().issued.values().collect();
        assert_eq!(issued, ["a signed for prod"]);
        assert!(is_ready(&agent).1.contains("a request of other is not signed"));
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_connected_is_told_and_looked_at_again_and_kept_while_qnetd_is_silent() {
        let (fake, mut agent) = serving(&[]);
        let told = |agent: &Agent| {
            let nodes = agent.witness_status().unwrap().voters;
            nodes.into_iter().map(|c| (c.cluster_name, c.addresses)).collect::<Vec<_>>()
        };
        let from =
            |address: &str| Voters::from([("prod".to_owned(), [address.parse().unwrap()].into())]);
        let prod = |address: &str| vec![("prod".to_owned(), vec![address.to_owned()])];
        fake.world().device.voters = Some(from("10.0.0.1"));
        agent.keep_witness().unwrap();
        assert_eq!(told(&agent), prod("10.0.0.1"));
        for (voters, told_then) in [(Some(from("10.0.0.2")), "10.0.0.2"), (None, "10.0.0.2")] {
            fake.world().device.voters = voters;
            tokio::time::advance(VOTERS_AGAIN).await;
            agent.keep_witness().unwrap();
            assert_eq!(told(&agent), prod(told_then));
        }
    }

    /// A member that signed could let anybody in.
    #[tokio::test(start_paused = true)]
    async fn a_member_and_a_paused_witness_sign_nothing_and_start_nothing() {
        for change in [
            |spec: &mut PveHostSpec| spec.role = Role::Member,
            |spec: &mut PveHostSpec| spec.paused = true,
        ] {
            let (fake, mut agent) = serving(&["a"]);
            fake.world().device.serves = false;
            change(&mut agent.wanted_host.as_mut().unwrap().spec);
            agent.keep_witness().unwrap();
            let world = fake.world();
            assert_eq!((world.device.signed, world.device.starts), (0, 0));
        }
        let mut member = witness(&FakeHost::default());
        member.wanted_host.as_mut().unwrap().spec.role = Role::Member;
        assert_eq!(member.witness_status(), None);
    }
}
