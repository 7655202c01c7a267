//! The lab on an API server that it did not start and reaches only through a kubeconfig.

use std::fs::File;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use nix::sched::{CloneFlags, setns};
use pvecm_e2e::{Lab, Level, Options};

use crate::support::{apply_sample, file_in_force, kubectl, wait_ready};

/// A lab without hosts' agents lends its API server: whoever is in its network reaches that as a
/// person reaches any cluster.
#[test]
#[ignore = "runs with cargo xtask test --all"]
fn a_cluster_forms_through_somebody_elses_api_server_and_leaves_nothing_there() -> Result<()> {
    let owner = Options { level: Level::Bare, hosts: 1, ..Options::scenario("owner") };
    let owner = Lab::up(owner, &mut |_| ())?;
    // `pve` is what the owner itself made as a lab; a person's cluster has nothing of the kind.
    kubectl(&owner, &["delete", "namespace", "pve"])?;
    kubectl(&owner, &["create", "namespace", "pve"])?;
    let refused =
        in_network_of(&owner, || guest(&owner))?.err().context("it took a used cluster")?;
    ensure!(format!("{refused:#}").contains("namespace pve that no lab made"), "{refused:#}");
    kubectl(&owner, &["delete", "namespace", "pve"])?;

    let guest = in_network_of(&owner, || guest(&owner))??;
    apply_sample(&guest, "three-nodes.yaml")?;
    wait_ready(&guest, Duration::from_secs(60))?;
    file_in_force(&guest)?;
    guest.control_plane()?.stop_api_server()?;
    ensure!(kubectl(&guest, &["get", "pve"]).is_err(), "the lab is not cut off");
    kubectl(&owner, &["get", "namespace", "pve"])?;
    in_network_of(&owner, || guest.control_plane()?.start_api_server())??;
    kubectl(&guest, &["get", "pve"])?;

    drop(guest);
    let left = kubectl(&owner, &["get", "namespaces,crd,clusterroles", "-o", "name"])?;
    let ours = left.lines().find(|name| name.contains("pve"));
    ensure!(ours.is_none(), "the lab left {ours:?} behind");
    Ok(())
}

fn guest(owner: &Lab) -> Result<Lab> {
    let use_cluster = Some(owner.control_plane()?.kubeconfig());
    Lab::up(Options { use_cluster, ..Options::scenario("guest") }, &mut |_| ())
}

/// Does something as a person whose machine is in a lab's network.
fn in_network_of<T: Send>(lab: &Lab, work: impl FnOnce() -> T + Send) -> Result<T> {
    let path = format!("/proc/{}/ns/net", lab.supervisor().pid());
    let network = File::open(path).context("the lab's network is gone")?;
    let inside = || {
        setns(&network, CloneFlags::CLONE_NEWNET).context("cannot enter the lab's network")?;
        Ok(work())
    };
    let done = std::thread::scope(|scope| scope.spawn(inside).join());
    done.map_err(|_| anyhow!("the thread panicked"))?
}
