//! The command line of the stand-in for pmxcfs.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Parser;
use pmxcfs_standin::cfs::{Cfs, Setup};
use pmxcfs_standin::store::{self, Store};
use pmxcfs_standin::tree::Tree;
use pmxcfs_standin::{cluster, daemon, mount};
use tracing_subscriber::EnvFilter;

/// A stand-in for Proxmox's pmxcfs, for the lab only. It is NOT Proxmox's pmxcfs: its database has another format, and it shares
/// no cluster with the real one.
#[derive(Debug, Parser)]
#[command(version, long_version = concat!(env!("CARGO_PKG_VERSION"), " (stand-in for the lab, not Proxmox's pmxcfs)"))]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
struct Options {
    /// Log more
    #[arg(short = 'd', long)]
    debug: bool,
    /// Stay in the foreground
    #[arg(short = 'f', long)]
    foreground: bool,
    /// Local mode: writable without a cluster, whatever corosync.conf says
    #[arg(short = 'l', long)]
    local: bool,
    /// Where to mount
    #[arg(long, default_value = "/etc/pve")]
    mount: PathBuf,
    /// The database file
    #[arg(long, default_value = "/var/lib/pve-cluster/config.db")]
    database: PathBuf,
    /// Where the host's own corosync.conf is
    #[arg(long, default_value = "/etc/corosync")]
    corosync_dir: PathBuf,
    /// The PID file
    #[arg(long, default_value = "/run/pve-cluster.pid")]
    pid_file: PathBuf,
    /// Set by the parent that waits for the mount
    #[arg(long, hide = true)]
    detached: bool,
}

fn main() -> Result<()> {
    let options = Options::parse();
    // First of all: a fork after the first thread would lose the threads.
    if !options.foreground && !options.detached {
        return daemon::detach();
    }
    if options.detached {
        daemon::leave_terminal()?;
    }
    let level = if options.debug { "debug" } else { "info" };
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_env_filter(EnvFilter::new(level))
        .init();
    tracing::info!("[main] notice: this is a stand-in for the lab, not Proxmox's pmxcfs");
    run(&options)
}

fn run(options: &Options) -> Result<()> {
    let ends = daemon::hold_signals()?;
    let store = Store::lock(&options.database)?;
    let setup = Setup {
        host: host_name()?,
        corosync_conf: options.corosync_dir.join("corosync.conf"),
        store,
    };
    daemon::clear_mount_point(&options.mount)?;
    let tree = match setup.store.load()? {
        Some(tree) => tree,
        None => first_tree(&setup, options.local)?,
    };
    let clustered = tree.file("corosync.conf").is_some() && !options.local;
    if options.local && tree.file("corosync.conf").is_some() {
        tracing::warn!("[main] notice: forcing local mode (although corosync.conf exists)");
    }
    let cfs = Arc::new(Cfs::new(setup, tree, clustered));
    if clustered {
        cluster::enter(&cfs);
    } else {
        cfs.lay_out().context("laying the directories out")?;
    }
    let session = mount::mount(Arc::clone(&cfs), &options.mount)
        .with_context(|| format!("mounting {}", options.mount.display()))?;
    let pid_file = daemon::PidFile::write(&options.pid_file)?;
    if options.detached {
        daemon::report_ready()?;
    }
    daemon::serve(session, ends, (&options.mount, &pid_file))
}

/// The tree of a host without a database, stored at once: what was imported stays, whatever becomes of the host's own file.
fn first_tree(setup: &Setup, local: bool) -> Result<Tree> {
    // A forced local mode starts with nothing: only a host that is to join takes its file along.
    let conf = if local { None } else { std::fs::read(&setup.corosync_conf).ok() };
    let tree = store::fresh(conf);
    setup.store.save(&tree).context("storing the first database")?;
    Ok(tree)
}

/// The node name: the host name without its domain, as PVE does it.
fn host_name() -> Result<String> {
    let name =
        std::fs::read_to_string("/proc/sys/kernel/hostname").context("reading the host name")?;
    Ok(name.trim().split('.').next().unwrap_or_default().to_owned())
}
