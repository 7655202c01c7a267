//! What happens at boot before corosync starts: the API server and the other nodes are asked whether the
//! cluster has gone on without this host. What that means is judged by `pvecm_core::gate`.
//!
//! A unit of its own ordered before corosync, and nothing depends on it: when it fails, crashes or is
//! killed, corosync starts with the file that it has.

mod hold;
mod peers;

use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use anyhow::Context;
use futures::{Stream, StreamExt, stream};
use pvecm_core::gate::{Own, Peer, Said, Verdict};

pub use hold::{Hold, Holding};
pub use peers::QUESTION;

use crate::api;
use crate::host_ports::Host;
use crate::ports::DiskFile;

/// With what comes after it, the gate is over within 10 s.
const ASK: Duration = Duration::from_millis(9_500);

/// Asks, judges and acts. Called by hand it does the same.
pub async fn run(bootstrap: &Path) -> anyhow::Result<()> {
    let ask = |peers| words(peers, bootstrap);
    let outcome = pass(&Host::real()?, &Hold::here(), ask).await?;
    tracing::info!(outcome, "the gate has ended");
    Ok(())
}

/// What is said by the API server and by the other nodes, as it comes.
fn words(peers: Vec<Peer>, bootstrap: &Path) -> impl Stream<Item = Said> {
    let changes = async {
        let left = api::left_by_changes(bootstrap).await;
        left.unwrap_or_else(|error| {
            tracing::info!(error = format!("{error:#}"), "the API server says nothing");
            Vec::new()
        })
    };
    let changes = stream::once(changes).flat_map(stream::iter);
    stream::select(peers::ask(peers), changes)
}

/// Has those asked whom its file names, and says in one sentence what came of it.
pub async fn pass<S: Stream<Item = Said>>(
    host: &Host,
    hold: &impl Holding,
    ask: impl FnOnce(Vec<Peer>) -> S,
) -> anyhow::Result<String> {
    if host.corosync.view().is_some() {
        return Ok("corosync runs already: nothing is touched".to_owned());
    }
    let Some(disk) = host.disk.read(DiskFile::Conf).context("cannot read corosync.conf")? else {
        hold.lift()?;
        return Ok("there is no corosync.conf".to_owned());
    };
    let copy = host.cluster_files.read_conf().ok().flatten();
    let copies = [Some(disk.as_slice()), copy.as_deref()].into_iter().flatten();
    let Some(own) = Own::read(copies, &host.machine.hostname()) else {
        hold.lift()?;
        return Ok("corosync.conf is not understood, or does not list this host".to_owned());
    };
    let said = gather(&own, ask(own.peers())).await;
    act(host, hold, &disk, own.decide(&said, hold.reason(&disk).as_ref()))
}

/// What is told within the time: nothing more once a quorate member has spoken.
async fn gather(own: &Own, words: impl Stream<Item = Said>) -> Vec<Said> {
    let mut words = pin!(words);
    let mut said = Vec::new();
    let listen = async {
        while let Some(word) = words.next().await {
            tracing::info!(by = word.by, weight = ?word.weight, "somebody tells of the cluster's file");
            let is_settled = own.is_settled_by(&word);
            said.push(word);
            if is_settled {
                break;
            }
        }
    };
    if tokio::time::timeout(ASK, listen).await.is_err() {
        tracing::info!("nobody else is waited for");
    }
    said
}

fn act(host: &Host, hold: &impl Holding, disk: &[u8], verdict: Verdict) -> anyhow::Result<String> {
    match verdict {
        Verdict::Start => {
            hold.lift()?;
            Ok("nothing speaks against the file on this disk".to_owned())
        }
        Verdict::Hold(found) => {
            hold.set(disk, &found).context("cannot hold corosync")?;
            Ok(format!("corosync is held: {}", found.because))
        }
        Verdict::Refresh(said) => {
            hold.lift()?;
            let Said { by, text, weight: _ } = said;
            // Whatever corosync does not take would keep it down; with the old file it tells why it ends.
            if let Err(why) = host.corosync.check(&text) {
                return Ok(format!("the newer file of {by} does not fit this host: {why}"));
            }
            hold.keep(disk).context("cannot keep the file that is replaced")?;
            host.disk.replace(DiskFile::Conf, text.as_bytes())?;
            Ok(format!("corosync.conf is refreshed with what {by} has"))
        }
    }
}

#[cfg(test)]
mod tests {
    use pvecm_core::gate::{Held, Weight};
    use pvecm_core::ids::ConfigVersion;

    use super::*;
    use crate::fake::FakeHost;

    const OLD: &[u8] = b"totem {\n  config_version: 5\n}\n";

    fn on_disk() -> (FakeHost, tempfile::TempDir, Hold) {
        let (fake, folder) = (FakeHost::fresh(), tempfile::tempdir().unwrap());
        fake.world().disk.insert(DiskFile::Conf, OLD.to_vec());
        let hold = Hold::at(folder.path());
        (fake, folder, hold)
    }

    fn refresh() -> Verdict {
        let text = "totem {\n  config_version: 9\n}\n".to_owned();
        Verdict::Refresh(Said { by: "n1".to_owned(), text, weight: Weight::Quorate })
    }

    fn held() -> Held {
        Held { version: ConfigVersion(9), because: "version 9 does not list n3".to_owned() }
    }

    #[test]
    fn a_refreshed_file_lifts_the_hold_and_the_old_one_is_kept() {
        let (fake, folder, hold) = on_disk();
        act(&fake.host(), &hold, OLD, Verdict::Hold(held())).unwrap();
        act(&fake.host(), &hold, OLD, refresh()).unwrap();
        let disk = fake.world().disk[&DiskFile::Conf].clone();
        assert!(disk.ends_with(b"config_version: 9\n}\n"));
        assert_eq!(hold.reason(&disk), None);
        assert_eq!(std::fs::read(folder.path().join("replaced/corosync.conf.5")).unwrap(), OLD);
    }

    /// The outage: the host would stay down with a file that its corosync refuses.
    #[test]
    fn a_file_that_corosync_refuses_is_not_taken_and_holds_nobody() {
        let (fake, _folder, hold) = on_disk();
        fake.world().refuses_conf = true;
        act(&fake.host(), &hold, OLD, refresh()).unwrap();
        assert_eq!(fake.world().disk[&DiskFile::Conf], OLD);
        assert_eq!(hold.reason(OLD), None);
    }

    #[test]
    fn a_hold_is_about_one_file_and_goes_when_nothing_speaks_for_it() {
        let (fake, _folder, hold) = on_disk();
        act(&fake.host(), &hold, OLD, Verdict::Hold(held())).unwrap();
        assert_eq!(hold.reason(OLD), Some(held()));
        assert_eq!(hold.reason(b"what somebody wrote to join again"), None);
        act(&fake.host(), &hold, OLD, Verdict::Start).unwrap();
        assert_eq!(hold.reason(OLD), None);
        act(&fake.host(), &hold, OLD, Verdict::Start).unwrap();
    }
}
