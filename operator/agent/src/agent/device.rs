//! The part of the loop that has corosync-qdevice running where it is wanted. Where it is not enabled a person or a
//! stage wants it off, and it stays off.
//!
//! systemd starts one that crashed, and none that went with corosync: the unit requires that one, and nothing brings it
//! back (measured).

use std::time::Duration;

use futures::FutureExt;
use pvecm_crds::host::{HostCertificate, HostDevice};
use tokio::time::Instant;

use super::Agent;
use super::tries::Tries;
use crate::host_ports::Host;
use crate::ports::{DeviceState, KeptCertificate, Unit};
use crate::stage::device::MODEL;

/// So long none has to have made itself known: systemd needs a tenth of a second after a crash.
const ABSENT: Duration = Duration::from_secs(3);
/// So long one that made itself known has to be silent. It is so for 8 s after its start when the witness does not
/// answer, and that is no reason to start it anew (measured).
const SILENT: Duration = Duration::from_secs(15);

/// What is remembered of the daemon.
#[derive(Debug, Default)]
pub(super) struct DeviceWatch {
    /// Since when it is not heard.
    missing: Option<Instant>,
    tries: Tries,
}

impl DeviceWatch {
    /// A stage was at it: what was before does not count.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}

impl Agent {
    /// Starts the daemon anew where corosync expects it and does not hear it.
    pub(super) fn keep_device(&mut self) {
        let paused = self.wanted_host.as_ref().is_none_or(|host| host.spec.paused);
        let device = self.wanted_device().filter(|device| !paused && !device.alive);
        let Some(device) = device else { return self.device.forget() };
        let patience = if device.registered { SILENT } else { ABSENT };
        let since = *self.device.missing.get_or_insert_with(Instant::now);
        if since.elapsed() >= patience {
            self.device
                .tries
                .again(&self.host, "corosync-qdevice", |host| begin_anew(host).boxed());
        }
    }

    /// The device as corosync has it, where one is wanted.
    fn wanted_device(&self) -> Option<DeviceState> {
        let corosync = self.seen.corosync.as_ref().filter(|_| self.seen.device_enabled)?;
        corosync.values.contains_key(MODEL).then_some(corosync.device)
    }

    /// This host's part of the device, where it has one.
    pub(super) fn device_status(&self) -> Option<HostDevice> {
        let (seen, corosync) = (&self.seen, self.seen.corosync.as_ref());
        let certificate = |kept: &KeptCertificate| HostCertificate {
            authority: kept.authority.to_string(),
            generation: i32::try_from(kept.generation).unwrap_or(i32::MAX),
        };
        let device = corosync.map(|corosync| corosync.device).unwrap_or_default();
        let in_use = seen.certificates.in_use.as_ref().filter(|kept| kept.is_issued);
        let laid = seen.certificates.laid.as_ref();
        let open = laid.filter(|laid| !laid.is_issued);
        let status = HostDevice {
            enabled: seen.device_enabled,
            alive: device.alive,
            casts: device.casts,
            certificate: in_use.map(certificate),
            laid: laid.map(certificate),
            request: open.and_then(|laid| laid.request.clone()),
        };
        (status != HostDevice::default()).then_some(status)
    }
}

/// One that hangs is not started by a start.
async fn begin_anew(host: Host) -> Result<(), String> {
    let stopped = host.services.stop(Unit::Qdevice).await;
    let started = host.services.start(Unit::Qdevice).await;
    stopped.and(started)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use pvecm_core::change::{Parent, Plan};
    use pvecm_core::ids::{ConfigVersion, Digest};
    use pvecm_crds::change::{CertificateFor, PveChangeSpec, PveChangeStatus};
    use pvecm_crds::convert::plan_from_core;
    use pvecm_crds::host::{HostCluster, PveHostStatus};
    use pvecm_crds::reference::ClusterRef;
    use pvecm_crds::{PveChange, PveHost, PveHostSpec};

    use super::*;
    use crate::api::Wanted;
    use crate::fake::{Device, FakeHost, MemoryStore, certificate};
    use crate::ledger::Book;
    use crate::observe::{Identity, Observation};
    use crate::seal::SealingKey;

    const TEXT: &str = "totem {\n  config_version: 1\n}\n";

    /// A member whose daemon votes.
    fn member() -> (FakeHost, Agent) {
        let fake = FakeHost::member(TEXT);
        fake.world().device = Device::voting();
        fake.world().cmap.extend([(MODEL.to_owned(), "net".to_owned())]);
        let book = Book::open(Arc::new(MemoryStore::default())).unwrap();
        let key = SealingKey::open(&MemoryStore::default()).unwrap();
        let own = (Identity::default(), key);
        let mut agent = Agent::new(fake.host(), "n1".parse().unwrap(), own, book);
        agent.wanted_host = Some(Box::new(PveHost::new("n1", PveHostSpec::default())));
        (fake, agent)
    }

    async fn look(agent: &mut Agent, later: Duration) {
        tokio::time::advance(later).await;
        agent.seen = Observation::take(&agent.host);
        agent.keep_device();
    }

    /// A try is over: it goes on in a thread.
    async fn looks_until(fake: &FakeHost, agent: &mut Agent, later: Duration) -> u32 {
        let before = fake.world().device.starts;
        look(agent, later).await;
        if agent.device.tries.goes_on() {
            assert!(fake.comes(|world| world.device.starts > before));
            while agent.device.tries.goes_on() {
                std::thread::yield_now();
            }
        }
        fake.world().device.starts
    }

    const SECOND: Duration = Duration::from_secs(1);

    /// corosync took it along when it was restarted, and systemd leaves it at that.
    #[tokio::test(start_paused = true)]
    async fn a_daemon_that_went_with_corosync_is_started_again_after_seconds() {
        let (fake, mut agent) = member();
        fake.world().device.stop(Unit::Qdevice);
        assert_eq!(looks_until(&fake, &mut agent, SECOND).await, 0);
        assert_eq!(looks_until(&fake, &mut agent, 2 * SECOND).await, 0);
        assert_eq!(looks_until(&fake, &mut agent, SECOND).await, 1);
        assert!(fake.world().device.runs);
    }

    /// For 8 s after its start it waits for a witness that does not answer. Started anew each time it would never be
    /// heard.
    #[tokio::test(start_paused = true)]
    async fn one_that_made_itself_known_has_fifteen_seconds() {
        let (fake, mut agent) = member();
        fake.world().device.runs = false;
        assert_eq!(looks_until(&fake, &mut agent, SECOND).await, 0);
        assert_eq!(looks_until(&fake, &mut agent, 14 * SECOND).await, 0);
        assert_eq!(looks_until(&fake, &mut agent, SECOND).await, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_help_is_tried_again_after_longer_and_longer_pauses() {
        let (fake, mut agent) = member();
        fake.world().device.ends = true;
        fake.world().device.runs = false;
        let mut pauses = Vec::new();
        let mut seconds = 0;
        while pauses.len() < 6 {
            seconds += 1;
            let starts = usize::try_from(looks_until(&fake, &mut agent, SECOND).await).unwrap();
            if starts > pauses.len() {
                pauses.push(seconds);
                seconds = 0;
            }
        }
        assert_eq!(pauses, [16, 10, 20, 40, 60, 60]);
    }

    /// Whoever wants it off disables it, and is not fought.
    #[tokio::test(start_paused = true)]
    async fn one_that_nobody_wants_stays_off() {
        for off in [
            |fake: &FakeHost, _: &mut Agent| fake.world().device.enabled.clear(),
            |fake: &FakeHost, _: &mut Agent| fake.world().cmap.clear(),
            |_: &FakeHost, agent: &mut Agent| {
                agent.wanted_host.as_mut().unwrap().spec.paused = true;
            },
        ] {
            let (fake, mut agent) = member();
            fake.world().device.stop(Unit::Qdevice);
            off(&fake, &mut agent);
            look(&mut agent, SECOND).await;
            assert_eq!(looks_until(&fake, &mut agent, 60 * SECOND).await, 0);
        }
    }

    #[test]
    fn a_host_tells_of_its_part_and_one_without_tells_nothing() {
        let (fake, mut agent) = member();
        let laid = KeptCertificate {
            is_issued: false,
            request: Some("request".to_owned()),
            ..certificate(2)
        };
        fake.world().device.lying.laid = Some(laid);
        agent.seen = Observation::take(&agent.host);
        let authority = certificate(1).authority.to_string();
        let told = HostDevice {
            enabled: true,
            alive: true,
            casts: true,
            certificate: Some(HostCertificate { authority: authority.clone(), generation: 1 }),
            laid: Some(HostCertificate { authority, generation: 2 }),
            request: Some("request".to_owned()),
        };
        assert_eq!(agent.device_status(), Some(told));
        fake.world().device = Device::default();
        agent.seen = Observation::take(&agent.host);
        assert_eq!(agent.device_status(), None);
    }

    /// The change of the host's cluster in which it takes a certificate, once that is there.
    fn changes(certificate: Option<&str>) -> BTreeMap<String, Arc<PveChange>> {
        let stage = serde_json::from_value(serde_json::json!({
            "summary": "", "risk": "Live", "course": "Local", "group": {},
            "config": {"version": 1, "digest": Digest::of(TEXT.as_bytes()), "text": TEXT},
            "actions": {"n1": [{"takeCertificate": {}}]}, "confirmTimeoutSecs": 30,
        }));
        let parent = Parent { version: ConfigVersion(1), digest: Digest::of(TEXT.as_bytes()) };
        let plan = Plan::proposed(Some(parent), 1, String::new(), vec![stage.unwrap()]);
        let cluster_ref = ClusterRef { name: "prod".to_owned(), uid: "uid".to_owned() };
        let plan = plan_from_core(&plan).unwrap();
        let spec = PveChangeSpec { cluster_ref, number: 1, plan, approved: false };
        let passed = |certificate: &str| CertificateFor {
            host: "n1".to_owned(),
            certificate: certificate.to_owned(),
        };
        let status = PveChangeStatus {
            released_stage: 1,
            certificates: certificate.into_iter().map(passed).collect(),
            ..PveChangeStatus::default()
        };
        let mut change = PveChange::new("prod-1", spec);
        change.status = Some(status);
        [("prod-1".to_owned(), Arc::new(change))].into()
    }

    /// The host obeys the changes of its cluster.
    fn claim(agent: &mut Agent) {
        let cluster = HostCluster {
            name: "prod".to_owned(),
            uid: "uid".to_owned(),
            ..HostCluster::default()
        };
        let status = PveHostStatus { cluster: Some(cluster), ..PveHostStatus::default() };
        agent.wanted_host.as_mut().unwrap().status = Some(status);
    }

    /// The witness signs in its own time: a stage that began without would be refused.
    #[test]
    fn a_certificate_is_waited_for_and_comes_with_the_change() {
        let (fake, mut agent) = member();
        let laid = KeptCertificate { is_issued: false, ..certificate(2) };
        fake.world().device.lying.laid = Some(laid);
        claim(&mut agent);
        agent.look().unwrap();
        agent.wanted(Wanted::Changes(changes(None)));
        agent.step().unwrap();
        assert!(!agent.busy() && agent.book.ledger().pending.is_none());
        agent.wanted(Wanted::Changes(changes(Some("certificate"))));
        agent.step().unwrap();
        let is_issued = |world: &crate::fake::World| {
            world.device.lying.laid.as_ref().is_some_and(|laid| laid.is_issued)
        };
        assert!(fake.comes(is_issued));
    }

    /// The operator passes on what is asked for, and this host asks for nothing any more.
    #[test]
    fn one_that_an_earlier_change_left_is_taken_already() {
        let (fake, mut agent) = member();
        fake.world().device.lying.laid = Some(certificate(2));
        claim(&mut agent);
        agent.look().unwrap();
        agent.wanted(Wanted::Changes(changes(None)));
        agent.step().unwrap();
        assert!(agent.busy());
    }

    /// Nothing tells of it: it is looked at.
    #[test]
    fn a_device_that_comes_or_goes_is_noticed() {
        let (fake, mut agent) = member();
        agent.look().unwrap();
        agent.seen.corosync.as_mut().unwrap().links.clear();
        agent.moved();
        let moved = agent.moved();
        fake.world().device.is_alone = true;
        assert!(!moved && agent.moved());
        agent.look().unwrap();
        fake.world().device.enabled.clear();
        assert!(agent.moved());
    }
}
