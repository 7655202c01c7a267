//! `kubectl pvecm import`: the `PveCluster` that describes what runs. Applies nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::ValueEnum;
use jiff::Timestamp;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt as _};
use pvecm_core::adopt::{Adoption, Finding, Kind, adopt, choose, places, read_alone};
use pvecm_core::ids::HostName;
use pvecm_core::observed::HostView;
use pvecm_crds::{PveCluster, PveHost, convert, yaml};
use serde_json::Value;

use super::{offline, read};
use crate::cli::{Connection, online};
use crate::exit::Verdict;
use crate::output::print_bytes;

/// What `import` is told.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The name of the `PveCluster` to write.
    name: String,
    /// The members' `PveHosts`; else those whose corosync.conf has the cluster's name, or any where none
    /// has it.
    #[arg(long, value_name = "HOST,...", value_delimiter = ',')]
    hosts: Vec<HostName>,
    /// Work offline: the corosync.conf in force.
    #[arg(long, value_name = "FILE", conflicts_with = "hosts")]
    conf: Option<PathBuf>,
    /// Offline: what is known of the hosts, as `kubectl get pvehosts -o yaml` prints it.
    #[arg(long, value_name = "FILE", requires = "conf")]
    known: Option<PathBuf>,
    /// The form of the object. With JSON, what was found goes to standard error.
    #[arg(short, long, value_enum, default_value_t)]
    output: Form,
}

/// The form of the object.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// With what was found in comments above it.
    #[default]
    Yaml,
    /// The object alone.
    Json,
}

/// What is printed.
struct Import {
    /// What was looked at and found, in lines.
    report: Vec<String>,
    /// `None`: refused.
    object: Option<Value>,
}

/// Looks and prints. Not fine when the cluster cannot be adopted.
pub fn run(args: &Args, connection: &Connection) -> anyhow::Result<Verdict> {
    let import = match &args.conf {
        Some(conf) => of_file(&args.name, conf, args.known.as_deref())?,
        None => online(async {
            let (client, namespace) = connection.connect().await?;
            of_cluster(&client, &namespace, args).await
        })?,
    };
    import.print(args.output)?;
    Ok(Verdict::when(import.object.is_some()))
}

async fn of_cluster(client: &Client, namespace: &str, args: &Args) -> anyhow::Result<Import> {
    let clusters: Api<PveCluster> = Api::namespaced(client.clone(), namespace);
    let there = clusters.get_opt(&args.name).await.context("cannot read the PveCluster")?;
    let api: Api<PveHost> = Api::namespaced(client.clone(), namespace);
    let found = api.list(&ListParams::default()).await.context("cannot read the PveHosts")?;
    let hosts = found.items.into_iter().map(|host| Ok((host.name_any().parse()?, host)));
    let hosts = hosts.collect::<anyhow::Result<BTreeMap<HostName, PveHost>>>()?;
    let changes = read::changes(client, namespace, &args.name).await?;
    let all = hosts.iter().map(|(name, host)| (name, host, read::heard(host)));
    let uid = there.as_ref().and_then(PveCluster::uid).unwrap_or_default();
    let observed =
        convert::observed(all, &changes.iter().collect::<Vec<_>>(), (&uid, Timestamp::now()))?;
    let hosts = chosen(observed.hosts, args)?;
    let mut import = Import::of(&args.name, Some(namespace), (&hosts, adopt(&hosts)))?;
    if there.is_some() {
        let said = "a PveCluster of this name exists already: applying this changes its spec";
        import.report.push(said.to_owned());
    }
    Ok(import)
}

fn chosen(
    mut all: BTreeMap<HostName, HostView>,
    args: &Args,
) -> anyhow::Result<BTreeMap<HostName, HostView>> {
    if args.hosts.is_empty() {
        return Ok(choose(all, &args.name));
    }
    let named = args.hosts.iter().map(|name| {
        let view = all.remove(name).with_context(|| format!("there is no PveHost {name}"))?;
        Ok((name.clone(), view))
    });
    named.collect()
}

fn of_file(name: &str, conf: &Path, known: Option<&Path>) -> anyhow::Result<Import> {
    let text = offline::read(conf)?;
    let known = known.map(offline::known).transpose()?.unwrap_or_default();
    let Some(hosts) = offline::members(&text, &known) else {
        let adoption = Adoption { desired: None, findings: read_alone(&text) };
        return Import::of(name, None, (&BTreeMap::new(), adoption));
    };
    let mut import = Import::of(name, None, (&hosts, adopt(&hosts)))?;
    import.report.push(
        "not known: whether every member runs this corosync.conf, is quorate and has all its links \
         connected; it is taken for granted"
            .to_owned(),
    );
    Ok(import)
}

impl Import {
    fn of(
        name: &str,
        namespace: Option<&str>,
        (hosts, adoption): (&BTreeMap<HostName, HostView>, Adoption),
    ) -> anyhow::Result<Self> {
        let mut findings = adoption.findings.clone();
        let object = match adoption.desired.as_ref().filter(|_| adoption.is_possible()) {
            Some(desired) => {
                let (mut cluster, left) = convert::adopted(name, desired)?;
                cluster.metadata.namespace = namespace.map(ToOwned::to_owned);
                let left = left.iter().map(ToString::to_string);
                findings.extend(left.map(|sentence| Finding { kind: Kind::Unmanaged, sentence }));
                match convert::desired(&cluster) {
                    Ok(_) => Some(bare(&cluster)?),
                    Err(why) => {
                        let sentence = why.to_string();
                        findings.push(Finding { kind: Kind::Refusal, sentence });
                        None
                    }
                }
            }
            None => None,
        };
        let mut report = vec![match &object {
            Some(_) => {
                format!("PveCluster {name}: applied as it is, it changes nothing on any host.")
            }
            None => {
                format!("PveCluster {name} is not written: the cluster cannot be adopted as it is.")
            }
        }];
        report.extend(hosts.iter().map(|(host, view)| format!("{host}: {}", places(view))));
        for kind in Kind::ALL {
            let of_kind: Vec<_> = findings.iter().filter(|found| found.kind == kind).collect();
            if !of_kind.is_empty() {
                report.push(format!("{kind}:"));
                report.extend(of_kind.iter().map(|found| format!("- {}", found.sentence)));
            }
        }
        Ok(Self { report, object })
    }

    fn print(&self, form: Form) -> anyhow::Result<()> {
        match (form, &self.object) {
            (Form::Yaml, _) => print_bytes(self.as_yaml()?.as_bytes()),
            (Form::Json, object) => {
                self.report.iter().for_each(|line| eprintln!("{line}"));
                let Some(object) = object else { return Ok(()) };
                print_bytes(format!("{}\n", serde_json::to_string_pretty(object)?).as_bytes())
            }
        }
    }

    fn as_yaml(&self) -> anyhow::Result<String> {
        let lines = self.report.iter().map(|line| format!("# {line}\n"));
        let mut text = lines.collect::<Vec<_>>().concat();
        if let Some(object) = &self.object {
            text.push_str(&yaml::write(object)?);
        }
        Ok(text)
    }
}

/// The object as a person would write it: without what has a default.
fn bare(cluster: &PveCluster) -> anyhow::Result<Value> {
    let mut value = serde_json::to_value(cluster)?;
    if let Some(spec) = value.get_mut("spec").and_then(Value::as_object_mut) {
        spec.remove("rollout");
        spec.remove("deletionPolicy");
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use pvecm_core::datacenter::DatacenterView;
    use pvecm_core::plan::{State, plan};
    use serde_json::json;

    use super::*;
    use crate::cluster::fake;

    const GROWN: &str = include_str!("../../../core/src/adopt/tests/grown.conf");
    const OLD: &str = include_str!("../../../core/src/adopt/tests/old.conf");
    const ALL: [(&str, &str); 5] = [
        ("pair", include_str!("../../../core/src/adopt/tests/pair.conf")),
        ("single", include_str!("../../../core/src/adopt/tests/single.conf")),
        ("names", include_str!("../../../core/src/adopt/tests/names.conf")),
        ("old", OLD),
        ("grown", GROWN),
    ];

    /// Members that report this text, each with its agent heard.
    fn hosts(text: &str, numbers: std::ops::RangeInclusive<u32>) -> BTreeMap<HostName, PveHost> {
        let digest = pvecm_core::ids::Digest::of(text.as_bytes()).to_string();
        let members: Vec<u32> = numbers.clone().collect();
        let host = |n: u32| {
            let file = json!({"version": 7, "digest": digest, "text": text});
            let addresses = [0, 1].map(|link| {
                json!({"interface": format!("eth{link}"), "cidr": format!("10.0.{link}.{n}/24")})
            });
            let object = json!({
                "apiVersion": "pvecm.io/v1alpha1", "kind": "PveHost",
                "metadata": {"name": format!("n{n}")}, "spec": {},
                "status": {"hostname": format!("n{n}"), "addresses": addresses,
                           "files": {"pmxcfs": file, "disk": file},
                           "running": {"configVersion": 7},
                           "membership": {"ringId": "1.5", "members": members, "localNodeId": n},
                           "quorum": {"quorate": true, "expectedVotes": 3, "totalVotes": 3, "quorumVotes": 2},
                           "pmxcfs": {"mounted": true, "writable": true}},
            });
            (format!("n{n}").parse().unwrap(), serde_json::from_value(object).unwrap())
        };
        numbers.map(host).collect()
    }

    fn views(text: &str, numbers: std::ops::RangeInclusive<u32>) -> BTreeMap<HostName, HostView> {
        let hosts = hosts(text, numbers);
        let heard = hosts.iter().map(|(name, host)| (name, host, true));
        convert::observed(heard, &[], ("u-1", Timestamp::UNIX_EPOCH)).unwrap().hosts
    }

    #[test]
    fn five_clusters_are_written_or_refused_with_all_reasons() {
        let mut all = String::new();
        for (name, text) in ALL {
            let hosts = views(text, if text.contains("n3") { 1..=3 } else { 1..=2 });
            let import = Import::of(name, Some("pve"), (&hosts, adopt(&hosts))).unwrap();
            all.push_str(&format!("{}\n", import.as_yaml().unwrap()));
        }
        insta::assert_snapshot!(all);
    }

    #[test]
    fn what_is_written_plans_to_nothing_when_it_is_read_again() {
        for (name, text) in ALL.into_iter().filter(|(name, _)| *name != "old") {
            let hosts = views(text, if text.contains("n3") { 1..=3 } else { 1..=2 });
            // Under another name, so that `clusterName` has to say the real one.
            let import = Import::of("other", None, (&hosts, adopt(&hosts))).unwrap();
            let written: PveCluster = yaml::read(&import.as_yaml().unwrap()).unwrap();
            assert_eq!(written.spec.cluster_name.as_deref(), Some(name));
            let desired = convert::desired(&written).unwrap();
            let observed = pvecm_core::observed::ObservedCluster { hosts, ..Default::default() };
            let report = plan(&desired, &observed).report;
            assert_eq!(report.state, State::Settled, "{name}: {}", report.sentence);
        }
    }

    #[test]
    fn how_guests_travel_is_written_as_it_is_found_and_a_danger_is_said() {
        let written = |text: &str| {
            let mut hosts = views(GROWN, 1..=3);
            for view in hosts.values_mut() {
                view.datacenter = Some(DatacenterView::of(text.as_bytes()));
            }
            let import = Import::of("grown", None, (&hosts, adopt(&hosts))).unwrap();
            let yaml = import.as_yaml().unwrap();
            let written: PveCluster = yaml::read(&yaml).unwrap();
            let desired = convert::desired(&written).unwrap();
            let observed = pvecm_core::observed::ObservedCluster { hosts, ..Default::default() };
            let report = plan(&desired, &observed).report;
            assert_eq!(report.state, State::Settled, "{}", report.sentence);
            (yaml, serde_json::to_value(written.spec).unwrap())
        };
        let (yaml, spec) =
            written("migration: insecure,network=10.0.1.7/24\nreplication: secure\n");
        let insecure =
            json!({"type": "Insecure", "network": "10.0.1.7/24", "unencryptedTraffic": "Accepted"});
        assert_eq!(spec["migration"], insecure);
        assert_eq!(spec["replication"], json!({"type": "Secure"}));
        assert!(yaml.contains("travels in the clear"), "{yaml}");
        let (yaml, spec) = written("migration: unsafe\n");
        assert_eq!((&spec["migration"], &spec["replication"]), (&Value::Null, &Value::Null));
        assert!(yaml.contains("counts for nothing to Proxmox VE"), "{yaml}");
    }

    #[test]
    fn a_number_that_no_spec_takes_is_left_out_and_said() {
        let text = GROWN.replace("token: 4000", "token: 700000");
        let hosts = views(&text, 1..=3);
        let import = Import::of("grown", None, (&hosts, adopt(&hosts))).unwrap();
        let yaml = import.as_yaml().unwrap();
        assert!(yaml.contains("- `spec.totem.tokenMillis` takes no 700000"), "{yaml}");
        assert!(!yaml.contains("tokenMillis:"), "{yaml}");
    }

    #[test]
    fn what_the_api_refuses_is_a_reason_and_nothing_is_written() {
        let text = GROWN.replace("10.0.1.", "ring1-n").replace("ring1-n2", "ring1-n1");
        let hosts = views(&text, 1..=3);
        let import = Import::of("grown", None, (&hosts, adopt(&hosts))).unwrap();
        assert_eq!(import.object, None);
        let yaml = import.as_yaml().unwrap();
        assert!(yaml.contains("`ring1-n1` is given to node n1 already"), "{yaml}");
        assert!(yaml.lines().all(|line| line.starts_with('#')), "{yaml}");
    }

    #[test]
    fn a_host_under_another_name_is_referred_to() {
        let mut hosts = views(GROWN, 1..=3);
        let view = hosts.remove(&"n2".parse().unwrap()).unwrap();
        hosts.insert("rack4-n2".parse().unwrap(), view);
        let import = Import::of("grown", None, (&hosts, adopt(&hosts))).unwrap();
        let written = import.object.unwrap();
        assert_eq!(written["spec"]["nodes"][1]["hostRef"], json!({"name": "rack4-n2"}));
        assert_eq!(written["spec"]["nodes"][0]["hostRef"], Value::Null);
    }

    fn online_hosts() -> Vec<Value> {
        let hosts = hosts(GROWN, 1..=3).into_values().map(|host| {
            let mut host = serde_json::to_value(host).unwrap();
            host["status"]["conditions"] = json!([{
                "type": "Connected", "status": "True", "reason": "Heard", "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            }]);
            host
        });
        hosts.collect()
    }

    fn args(name: &str, hosts: &[&str]) -> Args {
        let hosts = hosts.iter().map(|host| host.parse().unwrap()).collect();
        Args { name: name.to_owned(), hosts, conf: None, known: None, output: Form::Yaml }
    }

    async fn online(objects: &[Value], args: &Args) -> anyhow::Result<Import> {
        let server = fake::server(objects);
        let import = of_cluster(&fake::client(&server), "pve", args).await;
        assert_eq!(server.lock().unwrap().writes, [], "an import writes nothing");
        import
    }

    #[tokio::test]
    async fn the_enrolled_hosts_are_asked_and_nothing_is_written() {
        let import = online(&online_hosts(), &args("grown", &[])).await.unwrap();
        let object = import.object.unwrap();
        assert_eq!(object["metadata"]["namespace"], "pve");
        assert_eq!(object["spec"]["nodes"].as_array().map(Vec::len), Some(3));
        let there = json!({"apiVersion": "pvecm.io/v1alpha1", "kind": "PveCluster",
                           "metadata": {"name": "grown", "uid": "u-1"}, "spec": object["spec"]});
        let mut objects = online_hosts();
        objects.push(there);
        let again = online(&objects, &args("grown", &[])).await.unwrap();
        assert!(again.report.iter().any(|line| line.contains("exists already")));
    }

    #[tokio::test]
    async fn hosts_that_are_named_are_the_ones_and_one_that_is_missing_is_told() {
        let two = online(&online_hosts(), &args("grown", &["n1", "n2"])).await.unwrap();
        assert_eq!(two.object, None);
        assert!(two.report.iter().any(|l| l.starts_with("- node n3 has no PveHost")));
        let none = online(&online_hosts(), &args("grown", &["n9"])).await.map(drop).unwrap_err();
        assert_eq!(none.to_string(), "there is no PveHost n9");
    }

    #[test]
    fn what_is_known_of_hosts_gives_a_file_its_networks() {
        let hosts = json!({"items": online_hosts()}).to_string();
        let known: tempfile::NamedTempFile = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(known.path(), hosts).unwrap();
        let conf = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(conf.path(), GROWN).unwrap();
        let networks = |known: Option<&Path>| {
            let object = of_file("grown", conf.path(), known).unwrap().object.unwrap();
            object["spec"]["links"][1]["network"].clone()
        };
        assert_eq!(networks(Some(known.path())), "10.0.1.0/24");
        assert_eq!(networks(None), Value::Null);
    }
}
