//! `cargo xtask`: the one entry point for people and for continuous integration.

mod bench;
mod cargo;
mod chart;
mod deny;
mod docs;
mod fuzz;
mod image;
mod package;
mod packages;
mod planted;
mod step;
mod test;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand, ValueEnum};

/// What this repository can do.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Bring up a lab with three hosts and show how one apply makes a cluster of them.
    Demo,
    /// Run everything that continuous integration runs.
    Test {
        /// Run every scenario, not one per capability.
        #[arg(long)]
        all: bool,
        /// Run the scenarios on the cluster that KUBECONFIG names, one file, in place of control planes of
        /// their own.
        #[arg(long)]
        use_cluster: bool,
        /// Run nothing but the scenarios whose names contain one of these.
        only: Vec<String>,
    },
    /// Bring a lab up or down, and work in it: `cargo xtask lab help`.
    #[command(disable_help_flag = true)]
    Lab {
        /// What the lab is told.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Look for inputs that the parsers do not bear.
    Fuzz {
        /// Which parser; else all of them, one after the other.
        #[arg(value_parser = fuzz::TARGETS)]
        target: Option<String>,
        /// For how long each.
        #[arg(long, default_value_t = 60)]
        seconds: u32,
    },
    /// Measure, beside what others do the same with.
    Bench {
        /// What is measured.
        what: Subject,
    },
    /// Run production operator and agents on simulated hosts: thousands of seeds, or one of them.
    #[command(disable_help_flag = true)]
    Sim {
        /// Instead of seeds: check that the simulation notices every bug that is planted for it.
        #[arg(long)]
        planted: bool,
        /// What the simulation is told: `cargo xtask sim --help`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Write everything generated anew: the CRDs, the chart's README, and the files of manifests/ that are made from the chart.
    Crds,
    /// Check the book in operator/docs, build it and print where it begins.
    Docs,
    /// Build the agent's Debian package and print its path.
    Package {
        /// With optimisation, as it is shipped.
        #[arg(long)]
        release: bool,
    },
    /// Build the operator's container image, its list of components and its provenance, and print their paths.
    Image {
        /// With optimisation, as it is shipped.
        #[arg(long)]
        release: bool,
    },
}

/// What `bench` can measure.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Subject {
    /// The model of corosync.conf beside pcs and crmsh, and the cold start of `conf lint`.
    Conf,
    /// The planner and the guards, from a small cluster to a large one.
    Plan,
}

fn main() -> Result<ExitCode> {
    match Args::parse().command {
        Command::Demo => {
            packages::ensure()?;
            cargo::build_what_hosts_run()?;
            cargo::lab(&["demo".to_owned()])
        }
        Command::Test { all, use_cluster, only } => test::run(all, use_cluster, &only),
        Command::Lab { arguments } => {
            packages::ensure()?;
            if arguments.first().is_some_and(|verb| verb == "up") {
                cargo::build_what_hosts_run()?;
            }
            cargo::lab(&arguments)
        }
        Command::Fuzz { target, seconds } => {
            packages::ensure()?;
            fuzz::run(target.as_deref(), seconds).map(|()| ExitCode::SUCCESS)
        }
        Command::Bench { what: Subject::Conf } => bench::conf().map(|()| ExitCode::SUCCESS),
        Command::Bench { what: Subject::Plan } => bench::plan().map(|()| ExitCode::SUCCESS),
        Command::Sim { planted: true, arguments: _ } => {
            packages::ensure()?;
            planted::run()
        }
        Command::Sim { planted: false, arguments } => {
            packages::ensure()?;
            cargo::simulate(&arguments)
        }
        Command::Crds => {
            packages::ensure()?;
            cargo::generate()
        }
        Command::Docs => docs::build().map(|()| ExitCode::SUCCESS),
        Command::Package { release } => {
            packages::ensure()?;
            package::package(release).map(|()| ExitCode::SUCCESS)
        }
        Command::Image { release } => {
            packages::ensure()?;
            image::build(release).map(|()| ExitCode::SUCCESS)
        }
    }
}
