//! The command line, and the log that it asks for.

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use tracing_subscriber::EnvFilter;

use crate::leader::LeaseTimes;

/// Watches `PveCluster`s, plans the next safe change, and releases it stage by stage to the agents.
#[derive(Debug, Clone, Parser)]
#[command(name = "pvecm-operator", version)]
pub struct Flags {
    /// Serve only this namespace; may be given several times. Absent: all of them.
    #[arg(long = "namespace", value_name = "NAME")]
    pub namespaces: Vec<String>,

    /// Where /live, /ready and /metrics are served.
    #[arg(long, default_value = "0.0.0.0:8080", value_name = "ADDRESS")]
    pub listen: SocketAddr,

    /// Seconds after which a silent leader is replaced.
    #[arg(long, default_value_t = 15, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(3..=600))]
    pub lease_duration: u32,

    /// Seconds after which a leader that cannot renew stops writing; less than the duration.
    #[arg(long, default_value_t = 10, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(2..=599))]
    pub lease_renew_deadline: u32,

    /// Seconds between two tries to get or renew the lease.
    #[arg(long, default_value_t = 2, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=60))]
    pub lease_retry_period: u32,

    /// The namespace of the leader's lease. Absent: the client's default namespace.
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAME")]
    pub lease_namespace: Option<String>,

    /// This process's name in the lease. Absent: a random one.
    #[arg(long, env = "POD_NAME", value_name = "NAME")]
    pub identity: Option<String>,

    /// How log lines are written; what is logged follows from `RUST_LOG`.
    #[arg(long, value_enum, default_value = "text")]
    pub log_format: LogFormat,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object per line.
    Json,
    /// For people.
    Text,
}

impl Flags {
    /// The lease's three times. Errors when a leader could still write after its successor began.
    pub fn lease_times(&self) -> anyhow::Result<LeaseTimes> {
        let (duration, deadline) = (self.lease_duration, self.lease_renew_deadline);
        anyhow::ensure!(
            deadline < duration,
            "--lease-renew-deadline must be below --lease-duration"
        );
        anyhow::ensure!(
            self.lease_retry_period < deadline,
            "--lease-retry-period must be below --lease-renew-deadline"
        );
        let seconds = |n: u32| Duration::from_secs(u64::from(n));
        Ok(LeaseTimes {
            duration: seconds(duration),
            renew_deadline: seconds(deadline),
            retry_period: seconds(self.lease_retry_period),
        })
    }

    /// The name of this process in the lease: two processes must never share one.
    #[must_use]
    pub fn identity(&self) -> String {
        let unique = format!("{:08x}", fastrand::u32(..));
        match &self.identity {
            Some(name) => format!("{name}_{unique}"),
            None => format!("pvecm-operator_{unique}"),
        }
    }

    /// Starts the log.
    pub fn start_log(&self) {
        let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
        let lines = tracing_subscriber::fmt().with_env_filter(filter);
        match self.log_format {
            LogFormat::Json => lines.json().init(),
            LogFormat::Text => lines.init(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_renew_deadline_at_or_above_the_duration_is_refused() {
        let flags = |args: &[&str]| Flags::try_parse_from([&["x"], args].concat()).unwrap();
        assert!(flags(&[]).lease_times().is_ok());
        let bad = flags(&["--lease-duration=5", "--lease-renew-deadline=5"]);
        assert!(bad.lease_times().is_err());
    }

    #[test]
    fn two_processes_of_one_pod_name_have_different_identities() {
        let flags = Flags::try_parse_from(["x", "--identity=pod-1"]).unwrap();
        assert_ne!(flags.identity(), flags.identity());
    }
}
