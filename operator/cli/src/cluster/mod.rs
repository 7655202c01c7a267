//! `kubectl pvecm plan|approve|recover|pause|resume|history|explain|import|status|report|whatif CLUSTER`: one file per verb.
//!
//! Owns what is asked of the API server and how the answer reads. Decides nothing about a cluster: that
//! is the operator's `pvecm-core`, asked here in the same way.

mod absence;
mod answer;
mod approve;
mod explain;
mod history;
mod import;
mod links;
mod offline;
mod pause;
mod plan;
mod read;
mod recover;
mod report;
mod status;
mod whatif;

#[cfg(test)]
pub mod fake;

use clap::Subcommand;

pub use self::read::heard;
use crate::cli::{Connection, online};
use crate::completion;
use crate::exit::Verdict;
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
        #[arg(add = completion::clusters_and_changes())]
        name: String,
    },
    /// Give those who are left quorum without the dead, when those held what is missing.
    ///
    /// States of each dead machine that it is powered off for good, shows the plan and approves it. Asks before, by
    /// name: what runs on where nobody sees it is a second cluster.
    Recover(recover::Args),
    /// Start nothing new on a cluster; a stage that has begun ends.
    Pause {
        /// The `PveCluster`.
        #[arg(add = completion::clusters())]
        cluster: String,
    },
    /// End a pause.
    Resume {
        /// The `PveCluster`.
        #[arg(add = completion::clusters())]
        cluster: String,
    },
    /// List the changes of a cluster, the newest first.
    History {
        /// The `PveCluster`.
        #[arg(add = completion::clusters())]
        cluster: String,
        /// Print data instead of a table.
        #[arg(short, long, value_enum, default_value_t)]
        output: Format,
    },
    /// Write the `PveCluster` that describes a cluster that runs, with what was found above it.
    ///
    /// Applies nothing. Offline it takes a file: `kubectl pvecm import prod --conf corosync.conf`.
    Import(import::Args),
    /// Answer "why is nothing happening?": reasons, what they mean, what to do.
    Explain(explain::Args),
    /// Foretell who keeps quorum when something fails: each node, each link, the witness, or what is asked for.
    ///
    /// Nothing is touched. Ends with exit code 1 when a failure is not survived: nobody keeps quorum, or two parts do; and
    /// when the rules of the file let two parts keep it in whatever way they fall apart.
    /// Offline it takes a file: `kubectl pvecm whatif --conf corosync.conf`.
    Whatif(whatif::Args),
    /// Show a cluster on one screen: quorum, nodes, links that are not as they should be, change, next action.
    Status(status::Args),
    /// Gather what somebody needs who is to help: the objects, their events, and what the operator wrote of them.
    ///
    /// Secrets are left out, also in their encrypted form. Nothing is sent anywhere.
    Report(report::Args),
}

impl Verb {
    /// Does it. What works on files or on nothing at all pays for no runtime.
    pub fn run(self, connection: &Connection) -> anyhow::Result<Verdict> {
        match self {
            Self::Plan(args) => plan::run(&args, connection),
            Self::Approve { name } => online(approve::run(&name, connection)),
            Self::Recover(args) => online(recover::run(&args, connection)),
            Self::Pause { cluster } => online(pause::run(&cluster, true, connection)),
            Self::Resume { cluster } => online(pause::run(&cluster, false, connection)),
            Self::History { cluster, output } => online(history::run(&cluster, output, connection)),
            Self::Import(args) => import::run(&args, connection),
            Self::Explain(args) => explain::run(&args, connection),
            Self::Whatif(args) => whatif::run(&args, connection),
            Self::Status(args) => online(status::run(&args, connection)),
            Self::Report(args) => online(report::run(&args, connection)),
        }
    }
}
