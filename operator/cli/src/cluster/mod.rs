//! `kubectl pvecm plan|approve|pause|resume|history|explain|status CLUSTER`: one file per verb.

mod answer;
mod approve;
mod explain;
mod history;
mod offline;
mod pause;
mod plan;
mod read;
mod status;

#[cfg(test)]
mod fake;

use std::process::ExitCode;

use clap::Subcommand;

use crate::cli::Connection;
use crate::output::Format;

/// What people do with a cluster.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Show what the operator does next: stages, risk, who is interrupted, and the file's differences.
    ///
    /// Writes nothing. Without a cluster's name it works on files alone:
    /// `kubectl pvecm plan --file SPEC.yaml --conf corosync.conf`.
    Plan(plan::Args),
    /// Let a change begin that waits for approval.
    Approve {
        /// A `PveChange`, or a `PveCluster` whose open change is meant.
        name: String,
    },
    /// Start nothing new on a cluster; a stage that has begun ends.
    Pause {
        /// The `PveCluster`.
        cluster: String,
    },
    /// End a pause.
    Resume {
        /// The `PveCluster`.
        cluster: String,
    },
    /// List the changes of a cluster, the newest first.
    History {
        /// The `PveCluster`.
        cluster: String,
        /// Print data instead of a table.
        #[arg(short, long)]
        output: Option<Format>,
    },
    /// Answer "why is nothing happening?": reasons, what they mean, what to do.
    Explain(explain::Args),
    /// Show a cluster on one screen: quorum, nodes, broken links, change, next action.
    Status {
        /// The `PveCluster`.
        cluster: String,
        /// Print data instead of text.
        #[arg(short, long)]
        output: Option<Format>,
    },
}

impl Verb {
    /// Does it.
    pub async fn run(self, connection: &Connection) -> anyhow::Result<ExitCode> {
        match self {
            Self::Plan(args) => plan::run(args, connection).await,
            Self::Approve { name } => approve::run(&name, connection).await,
            Self::Pause { cluster } => pause::run(&cluster, true, connection).await,
            Self::Resume { cluster } => pause::run(&cluster, false, connection).await,
            Self::History { cluster, output } => history::run(&cluster, output, connection).await,
            Self::Explain(args) => explain::run(args, connection).await,
            Self::Status { cluster, output } => status::run(&cluster, output, connection).await,
        }
    }
}
