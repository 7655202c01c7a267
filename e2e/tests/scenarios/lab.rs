//! The lab itself: what scenarios rely on.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pvecm_e2e::network::Network;
use pvecm_e2e::{Host, Lab, Level, Lifetime, Options, binaries, wait_until};

use crate::support::kubectl;

const SOON: Duration = Duration::from_secs(30);

#[test]
fn hosts_boot_and_a_file_written_by_hand_makes_them_a_cluster() -> Result<()> {
    let lab = up(&plain("boot", 3))?;
    let node = |n| format!("node {{\n name: n{n}\n nodeid: {n}\n ring0_addr: 10.50.0.{n}\n }}\n");
    let conf = format!(
        "totem {{\n version: 2\n cluster_name: byhand\n transport: knet\n crypto_cipher: none\n \
         crypto_hash: none\n}}\nquorum {{\n provider: corosync_votequorum\n}}\n\
         nodelist {{\n{}}}\n",
        [1, 2, 3].map(node).concat()
    );
    for host in lab.hosts() {
        ensure!(host.run(&["hostname"])?.trim() == host.name(), "{} is misnamed", host.name());
        host.write_file("/etc/corosync/corosync.conf", conf.as_bytes(), 0o644)?;
        host.run(&["systemctl", "start", "--no-block", "corosync"])?;
    }
    for host in lab.hosts() {
        wait_until(SOON, &format!("{} to see three votes", host.name()), || {
            let seen = host.exec(&["corosync-quorumtool", "-s"]).map_err(|e| format!("{e:#}"))?;
            let all = seen.stdout.contains("Total votes:      3");
            if all { Ok(()) } else { Err(format!("{}{}", seen.stdout, seen.stderr)) }
        })?;
    }
    Ok(())
}

#[test]
fn a_cut_cable_stops_both_directions_and_a_block_only_one() -> Result<()> {
    let lab = up(&plain("cut", 2))?;
    let (n1, n2) = (lab.host("n1")?, lab.host("n2")?);
    for network in Network::ALL {
        ensure!(arrives(&n1, &n2, network)?, "n2 does not hear n1 on {network}");
    }

    n2.cut(Network::Net1)?;
    ensure!(!arrives(&n1, &n2, Network::Net1)?, "n2 hears n1 through a cut cable");
    ensure!(!arrives(&n2, &n1, Network::Net1)?, "n1 hears n2 through a cut cable");
    ensure!(arrives(&n1, &n2, Network::Net0)?, "another network was cut as well");
    n2.heal(Network::Net1)?;
    ensure!(arrives(&n1, &n2, Network::Net1)?, "n2 does not hear n1 after the cable is back");

    n2.block_from(&n1, Network::Net0)?;
    ensure!(!arrives(&n1, &n2, Network::Net0)?, "n2 hears n1 in spite of the block");
    ensure!(arrives(&n2, &n1, Network::Net0)?, "the block stops the other direction as well");
    n2.heal(Network::Net0)?;
    ensure!(arrives(&n1, &n2, Network::Net0)?, "n2 does not hear n1 after the block is lifted");
    Ok(())
}

#[test]
fn a_host_that_crashed_boots_with_its_disk_and_nothing_of_its_memory() -> Result<()> {
    let lab = up(&plain("crash", 1))?;
    let n1 = lab.host("n1")?;
    n1.write_file("/root/disk", b"kept", 0o600)?;
    n1.write_file("/run/memory", b"lost", 0o600)?;
    n1.crash()?;
    ensure!(!n1.is_on()?, "n1 is on after a crash");
    n1.boot()?;
    ensure!(n1.run(&["cat", "/root/disk"])? == "kept", "the disk is another one");
    ensure!(!n1.exec(&["test", "-e", "/run/memory"])?.success(), "/run outlived the crash");
    Ok(())
}

#[test]
fn down_leaves_nothing_and_what_a_killed_lab_left_does_not_stop_the_next() -> Result<()> {
    let options = Options { lifetime: Lifetime::Detached, ..plain("down", 1) };
    let before = nics()?;
    let killed = up(&options)?;
    killed.supervisor().kill()?;
    ensure!(!traces(&killed)?.is_empty(), "a killed lab left nothing: this test tests nothing");

    let lab = up(&options)?;
    let namespaces = Namespaces::of(&lab)?;
    ensure!(namespaces.0.len() > 3, "the host has no namespaces of its own: {namespaces:?}");
    ensure!(!namespaces.inhabited()?.is_empty(), "nobody lives in {namespaces:?}");
    Lab::down(&options.name)?;
    let left = namespaces.inhabited()?;
    ensure!(left.is_empty(), "somebody still lives in the lab's namespaces: {left:?}");
    ensure!(traces(&lab)?.is_empty(), "traces of the lab: {:?}", traces(&lab)?);
    ensure!(nics()? == before, "network cards of the machine: {before:?}, now {:?}", nics()?);
    Ok(())
}

#[test]
#[ignore = "runs with cargo xtask test --all"]
fn two_labs_side_by_side_reach_only_their_own_hosts() -> Result<()> {
    let small = up(&plain("side-a", 1))?;
    let large = up(&plain("side-b", 2))?;
    let n2 = Network::Mgmt.address(2);
    ensure!(!pinged(&small.host("n1")?, &n2)?, "a host of one lab reaches one of the other");
    ensure!(pinged(&large.host("n1")?, &n2)?, "two hosts of one lab do not reach each other");
    large.host("n1")?.write_file("/root/whose", b"large", 0o600)?;
    let seen = small.host("n1")?.exec(&["cat", "/root/whose"])?;
    ensure!(!seen.success(), "n1 of one lab has the disk of n1 of the other");
    Lab::down(&large.options().name)?;
    small.host("n1")?.run(&["true"]).map(|_| ())
}

#[test]
#[ignore = "runs with cargo xtask test --all"]
fn the_api_server_stops_and_comes_back_with_what_it_knew() -> Result<()> {
    let lab = up(&Options { level: Level::Bare, hosts: 1, ..Options::scenario("api") })?;
    kubectl(&lab, &["create", "configmap", "kept"])?;
    let revision = lab.etcd()?.revision()?;
    lab.control_plane()?.stop_api_server()?;
    ensure!(kubectl(&lab, &["get", "configmap", "kept"]).is_err(), "it answers while stopped");
    lab.control_plane()?.start_api_server()?;
    kubectl(&lab, &["get", "configmap", "kept"])?;
    ensure!(lab.etcd()?.revision()? >= revision, "the store went back in time");
    Ok(())
}

#[test]
#[ignore = "runs with cargo xtask test --all"]
fn a_write_to_the_api_is_seen_in_etcd() -> Result<()> {
    let lab = up(&Options { level: Level::Bare, hosts: 1, ..Options::scenario("writes") })?;
    let written = std::thread::scope(|scope| {
        let watching = scope.spawn(|| lab.etcd()?.watch_writes(Duration::from_secs(5)));
        std::thread::sleep(Duration::from_secs(2));
        kubectl(&lab, &["create", "configmap", "seen"])?;
        watching.join().map_err(|_| anyhow::anyhow!("the watcher panicked"))?
    })?;
    let key = "/registry/configmaps/pve/seen".to_owned();
    ensure!(written.contains(&key), "{key} is not among {written:?}");
    Ok(())
}

#[test]
#[ignore = "runs with cargo xtask test --all"]
fn a_bound_lab_dies_with_the_process_that_brought_it_up() -> Result<()> {
    let name = Options::scenario("bound").name;
    let mut holder = Command::new(binaries::own()?)
        .args(["up", "--bound", "--bare", "--hosts", "1", "--name", &name])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()?;
    let lab = wait_until(Duration::from_secs(60), "the lab to be up", || {
        let lab = Lab::open(&name).map_err(|e| format!("{e:#}"))?;
        lab.host("n1").and_then(|n1| n1.run(&["true"])).map_err(|e| format!("{e:#}"))?;
        Ok(lab)
    })?;
    let namespaces = Namespaces::of(&lab)?;
    holder.kill()?;
    holder.wait()?;
    wait_until(SOON, "the lab's processes to end", || {
        let left = namespaces.inhabited().map_err(|e| format!("{e:#}"))?;
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    })?;
    ensure!(!lab.state().is_alive(), "the lab counts as alive");
    Lab::down(&name)
}

/// Hosts without anything of ours.
fn plain(name: &str, hosts: u8) -> Options {
    Options { level: Level::Debian, hosts, ..Options::scenario(name) }
}

fn up(options: &Options) -> Result<Lab> {
    Lab::up(options.clone(), &mut |_| ())
}

/// Whether an echo request that one host sends comes in at another; the answer may get lost.
fn arrives(from: &Host<'_>, to: &Host<'_>, network: Network) -> Result<bool> {
    let before = echo_requests(to)?;
    let _answered = pinged(from, &to.address(network))?;
    Ok(echo_requests(to)? > before)
}

fn pinged(from: &Host<'_>, address: &str) -> Result<bool> {
    Ok(from.exec(&["ping", "-q", "-c1", "-W1", address])?.success())
}

/// The kernel's count of echo requests that came in, by the name of its column.
fn echo_requests(host: &Host<'_>) -> Result<u64> {
    let table = host.run(&["grep", "^Icmp:", "/proc/net/snmp"])?;
    let mut rows = table.lines().map(str::split_whitespace);
    let (names, values) = (rows.next().context("no names")?, rows.next().context("no values")?);
    let found = names.zip(values).find(|(name, _)| *name == "InEchos");
    Ok(found.context("the kernel does not count echo requests")?.1.parse()?)
}

/// What a lab leaves on the machine by name: its directory, cgroups and mounts.
fn traces(lab: &Lab) -> Result<Vec<PathBuf>> {
    let state = lab.state();
    let mut paths = state.host_cgroups("n1");
    paths.extend(state.host_cgroups(""));
    paths.push(state.path());
    paths.retain(|path| path.exists());
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    let own = mounts.split_whitespace().filter(|word| word.contains(state.name()));
    paths.extend(own.map(PathBuf::from));
    Ok(paths)
}

/// The namespaces of a lab's supervisor and of its hosts. They are held open: the kernel would give the number
/// of one that is gone to the next that is made, perhaps in another lab.
#[derive(Debug)]
struct Namespaces(BTreeMap<PathBuf, File>);

impl Namespaces {
    fn of(lab: &Lab) -> Result<Self> {
        let mut pids = vec![lab.supervisor().pid()];
        for host in lab.hosts() {
            pids.push(host.leader()?);
        }
        let mut found = BTreeMap::new();
        for (namespace, path) in pids.into_iter().flat_map(namespaces) {
            found.insert(namespace, File::open(path)?);
        }
        for (ours, _) in namespaces(i32::try_from(std::process::id())?) {
            found.remove(&ours);
        }
        Ok(Self(found))
    }

    /// Those that a process is still in. A mount or a network that no process and no other namespace holds
    /// is gone.
    fn inhabited(&self) -> Result<BTreeSet<PathBuf>> {
        let names = fs::read_dir("/proc")?.flatten().map(|entry| entry.file_name());
        let pids = names.filter_map(|name| name.to_str()?.parse().ok());
        let lived_in = pids.flat_map(namespaces).map(|(namespace, _)| namespace);
        Ok(lived_in.filter(|namespace| self.0.contains_key(namespace)).collect())
    }
}

/// The namespaces of a process, and where each can be opened. A process that has just ended is in none.
fn namespaces(pid: i32) -> Vec<(PathBuf, PathBuf)> {
    let path = |kind| PathBuf::from(format!("/proc/{pid}/ns/{kind}"));
    let namespace = |path: PathBuf| Some((fs::read_link(&path).ok()?, path));
    ["mnt", "net", "pid", "uts", "ipc"].into_iter().map(path).filter_map(namespace).collect()
}

fn nics() -> Result<BTreeSet<PathBuf>> {
    Ok(fs::read_dir("/sys/class/net")?.flatten().map(|nic| nic.path()).collect())
}
