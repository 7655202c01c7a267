//! `kubectl pvecm report`: an archive with what somebody needs who is to help, and with no secret.

mod bundle;

use std::fs::OpenOptions;
use std::path::PathBuf;

use anyhow::Context as _;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::{ListParams, LogParams};
use kube::{Api, Client, ResourceExt as _};

use self::bundle::{Bundle, Log};
use super::read;
use crate::cli::Connection;
use crate::completion;
use crate::exit::Verdict;

/// Lines of each operator's log, the newest ones.
const LINES: i64 = 5000;

/// What `report` is told.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The `PveCluster`.
    #[arg(add = completion::clusters())]
    cluster: String,
    /// The archive to write; else pvecm-report-CLUSTER-DATE.tar.gz here.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Gathers and writes the archive.
pub async fn run(args: &Args, connection: &Connection) -> anyhow::Result<Verdict> {
    let (client, namespace) = connection.connect().await?;
    let now = Timestamp::now();
    let name = &args.cluster;
    let stem = format!("pvecm-report-{name}-{}", now.strftime("%Y%m%dT%H%M%SZ"));
    let bundle = gather(&client, &namespace, name).await?;
    let path = args.output.clone().unwrap_or_else(|| format!("{stem}.tar.gz").into());
    let at = || format!("cannot write {}", path.display());
    let file = OpenOptions::new().write(true).create_new(true).open(&path).with_context(at)?;
    bundle.write(file, &stem, now).with_context(at)?;
    println!("{}: {}", path.display(), bundle.summary());
    Ok(Verdict::Fine)
}

/// What may be missing does not keep the rest from being gathered.
async fn gather(client: &Client, namespace: &str, name: &str) -> anyhow::Result<Bundle> {
    let picture = read::picture(client, namespace, name).await?;
    let mut missing = Vec::new();
    let mut told = |what: &str, error: &kube::Error| missing.push(format!("{what}: {error}"));
    let server = client.apiserver_version().await;
    let server = server.inspect_err(|error| told("version of the API server", error)).ok();
    let events: Api<Event> = Api::namespaced(client.clone(), namespace);
    let events = events.list(&ListParams::default()).await;
    let events = events.inspect_err(|error| told("events", error)).map(|list| list.items);
    let logs = match operators(client).await {
        Ok(logs) => logs,
        Err(error) => {
            told("logs of the operator", &error);
            Vec::new()
        }
    };
    Ok(Bundle {
        server: server.map(|server| server.git_version),
        events: events.unwrap_or_default(),
        logs,
        missing,
        picture,
    })
}

/// The logs of all operators that this account may read.
async fn operators(client: &Client) -> Result<Vec<Log>, kube::Error> {
    let ours = ListParams::default().labels("app.kubernetes.io/name=pvecm-operator");
    let pods = Api::<Pod>::all(client.clone()).list(&ours).await?;
    let mut logs = Vec::new();
    for pod in pods {
        let (namespace, name) = (pod.namespace().unwrap_or_default(), pod.name_any());
        let api: Api<Pod> = Api::namespaced(client.clone(), &namespace);
        let asked = LogParams { tail_lines: Some(LINES), ..LogParams::default() };
        logs.push(Log { text: api.logs(&name, &asked).await?, namespace, name });
    }
    Ok(logs)
}
