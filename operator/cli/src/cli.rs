//! The command line: commands, flags, and where they lead.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args as ClapArgs, Parser, Subcommand};
use jiff::SignedDuration;
use kube::config::KubeConfigOptions;
use kube::{Client, Config};
use pvecm_crds::host::AbsenceKind;

use crate::cluster::Verb;
use crate::completion;
use crate::conf::Conf;
use crate::exit::{Verdict, code};
use crate::host::enrol::Form;
use crate::host::{absence, enrol, list, replace};
use crate::output::{Listing, print_bytes};

/// Proxmox VE clusters described by custom resources.
#[derive(Debug, Parser)]
#[command(name = "kubectl-pvecm", bin_name = "kubectl pvecm", version)]
pub struct Args {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    command: Command,
}

/// Which API server and namespace to speak to, as kubectl has it.
#[derive(Debug, ClapArgs)]
pub struct Connection {
    /// The namespace of the hosts and clusters; else the one of the kubeconfig's context.
    #[arg(short, long, global = true)]
    pub namespace: Option<String>,
    /// The kubeconfig's context.
    #[arg(long, global = true)]
    pub context: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the machines: whose they are, whether they are heard, which file runs, what is amiss.
    Hosts {
        /// Only those of this `PveCluster`.
        #[arg(add = completion::clusters())]
        cluster: Option<String>,
        /// What to print of them.
        #[arg(short, long, value_enum, default_value_t)]
        output: Listing,
    },
    /// The machines that run an agent.
    #[command(subcommand)]
    Host(Host),
    #[command(subcommand)]
    Conf(Conf),
    #[command(flatten)]
    Cluster(Verb),
    /// Print the program through which a shell completes `kubectl pvecm`.
    ///
    /// kubectl (1.26 and later, with its own completion set up) looks for it on the PATH:
    /// `kubectl pvecm completion > ~/.local/bin/kubectl_complete-pvecm && chmod +x ~/.local/bin/kubectl_complete-pvecm`.
    Completion,
}

#[derive(Debug, Subcommand)]
enum Host {
    /// Give a machine an account of its own and print the file that its agent starts from.
    ///
    /// Creates the `PveHost` (unless it exists), a `ServiceAccount`, and a `Role` and `RoleBinding` that
    /// allow just this host's own objects. The printed file holds a token: give it to `pvecm-agent enrol FILE` on
    /// the host, or paste there what `--one-line` prints. Deleting the `PveHost` ends all of it.
    Enrol(Enrol),
    /// State that a machine is powered off and never comes back as what it was: it is removed.
    ///
    /// The others take it off their list once none of them hears it. Refused while its agent is heard.
    Dead(Absent),
    /// State that a machine is powered off and comes back.
    Away(Absent),
    /// Put another machine in the place of one that is gone, under the same name.
    ///
    /// Declares the old one dead and waits until the others have taken it off their list. Typed again when the
    /// new machine is installed and enrolled, it takes that back, and the new one joins.
    Replace {
        /// The host's name.
        #[arg(add = completion::hosts())]
        name: String,
        /// How you know that the old machine is powered off, in words: "disk died, unplugged".
        #[arg(long, value_name = "TEXT")]
        because: Option<String>,
        /// How long to wait until it is off the list.
        #[arg(long, default_value = "5m", value_name = "DURATION")]
        timeout: SignedDuration,
    },
    /// Take such a statement back.
    Back {
        /// The host's name.
        #[arg(add = completion::hosts())]
        name: String,
    },
}

/// What `host dead` and `host away` are told.
#[derive(Debug, ClapArgs)]
struct Absent {
    /// The host's name.
    #[arg(add = completion::hosts())]
    name: String,
    /// How you know, in words: "PDU port 7 off".
    #[arg(long, value_name = "TEXT")]
    because: String,
    /// How long the statement may be acted upon, like 2h or 30m; else until it is taken back.
    #[arg(long = "for", value_name = "DURATION")]
    holds: Option<SignedDuration>,
}

/// What `host enrol` is told.
#[derive(Debug, ClapArgs)]
struct Enrol {
    /// The host's name: the machine's host name in lower case.
    name: String,
    /// A machine that votes through a `QDevice` and never becomes a member.
    #[arg(long)]
    witness: bool,
    /// Print one line to paste on the host as root, in place of the file.
    #[arg(long)]
    one_line: bool,
    /// Make the account of a host that is enrolled anew, and print one line to paste there: its token has expired or
    /// was seen by somebody, or the API server has other certificates. All tokens that it had end at once.
    #[arg(long)]
    renew: bool,
    /// Seconds between two heartbeats of the agent.
    #[arg(long, default_value_t = 30, value_name = "SECONDS",
          value_parser = clap::value_parser!(u32).range(1..=600))]
    heartbeat: u32,
    /// Seconds after the last stage of a change after which the hosts arm high availability that was
    /// disarmed for it, though the operator has not come back.
    #[arg(long, default_value_t = pvecm_crds::bootstrap::arm_after_seconds(), value_name = "SECONDS",
          value_parser = clap::value_parser!(u32).range(5..=3600))]
    arm_after: u32,
    /// The API server's address as the host reaches it; else the one in the kubeconfig.
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// The name in the API server's certificate, where its address says another; else, for the
    /// kubeconfig's own server, what the kubeconfig says.
    #[arg(long, value_name = "NAME")]
    tls_server_name: Option<String>,
    /// Write the file here (mode 0600) instead of to standard output.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Args {
    /// Does what the command line says.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Conf(conf) => Ok(conf.run()),
            Command::Hosts { cluster, output } => {
                Ok(code(online(list::run(cluster.as_deref(), output, &self.connection))))
            }
            Command::Completion => {
                print_bytes(completion::PROGRAM.as_bytes())?;
                Ok(ExitCode::SUCCESS)
            }
            Command::Cluster(verb) => Ok(code(verb.run(&self.connection))),
            Command::Host(Host::Enrol(enrol)) => {
                online(self.connection.enrol(enrol))?;
                Ok(ExitCode::SUCCESS)
            }
            Command::Host(Host::Dead(absent)) => {
                Ok(code(absent.state(AbsenceKind::Dead, &self.connection)))
            }
            Command::Host(Host::Away(absent)) => {
                Ok(code(absent.state(AbsenceKind::Away, &self.connection)))
            }
            Command::Host(Host::Replace { name, because, timeout }) => {
                let asked = (because, timeout.unsigned_abs());
                Ok(code(online(replace::run(&name, asked, &self.connection))))
            }
            Command::Host(Host::Back { name }) => {
                Ok(code(online(absence::run(&name, None, &self.connection))))
            }
        }
    }
}

impl Absent {
    fn state(self, kind: AbsenceKind, connection: &Connection) -> anyhow::Result<Verdict> {
        let Self { name, because, holds } = self;
        let statement = absence::Statement { kind, because, holds };
        online(absence::run(&name, Some(statement), connection))
    }
}

/// Carries out what speaks to an API server. Only these commands pay for a runtime and for TLS.
pub fn online<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    // The provider is named here because a second one in the dependency tree would make the choice
    // ambiguous, and rustls then panics at the first connection.
    let _ = rustls::crypto::ring::default_provider().install_default();
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

impl Connection {
    async fn enrol(self, enrol: Enrol) -> anyhow::Result<()> {
        let config = self.config().await?;
        let same_server = enrol.server.is_none();
        let known_as = config.tls_server_name.clone().filter(|_| same_server);
        let server = enrol.server.unwrap_or_else(|| config.cluster_url.to_string());
        let namespace = self.namespace.unwrap_or_else(|| config.default_namespace.clone());
        let request = enrol::Request {
            host: enrol.name.parse().context("no host can be enrolled under this name")?,
            namespace,
            witness: enrol.witness,
            renew: enrol.renew,
            heartbeat_secs: enrol.heartbeat,
            arm_after_secs: enrol.arm_after,
            server: server.trim_end_matches('/').to_owned(),
            tls_server_name: enrol.tls_server_name.or(known_as),
        };
        let client = Client::try_from(config).context("no client for this kubeconfig")?;
        let bootstrap = enrol::enrol(&client, &request).await?;
        let is_line = enrol.one_line || (enrol.renew && enrol.output.is_none());
        let form = if is_line { Form::Line } else { Form::File };
        enrol::hand_over(&bootstrap, form, enrol.output.as_deref())
    }

    /// A client, and the namespace to work in.
    pub async fn connect(&self) -> anyhow::Result<(Client, String)> {
        let config = self.config().await?;
        let namespace = self.namespace.clone();
        let namespace = namespace.unwrap_or_else(|| config.default_namespace.clone());
        Ok((Client::try_from(config).context("no client for this kubeconfig")?, namespace))
    }

    async fn config(&self) -> anyhow::Result<Config> {
        let options =
            KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        Config::from_kubeconfig(&options).await.context("no usable kubeconfig")
    }
}
