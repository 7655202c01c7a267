//! What stands in the archive, and what never does.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use kube::ResourceExt as _;
use pvecm_crds::yaml;
use serde::Serialize;
use serde_json::Value;

use super::super::read::Picture;
use super::super::{answer, explain, plan, status};

/// Begins what is encrypted or is a key, wherever it may stand.
const SECRETS: [&str; 2] = ["BEGIN AGE ENCRYPTED FILE", "PRIVATE KEY"];
const REDACTED: &str = "(left out of the report)";

/// A log of one operator.
#[derive(Debug)]
pub struct Log {
    pub namespace: String,
    pub name: String,
    pub text: String,
}

/// All that was gathered.
#[derive(Debug)]
pub struct Bundle {
    pub picture: Picture,
    /// Version of the API server.
    pub server: Option<String>,
    /// The events of the namespace.
    pub events: Vec<Event>,
    pub logs: Vec<Log>,
    /// What could not be had, and why.
    pub missing: Vec<String>,
}

impl Bundle {
    /// One line for people.
    pub fn summary(&self) -> String {
        let Picture { hosts, changes, .. } = &self.picture;
        let mut said = format!("{} hosts, {} changes", hosts.len(), changes.len());
        if !self.missing.is_empty() {
            said.push_str(&format!("; without {}", self.missing.join("; without ")));
        }
        said
    }

    /// Writes the archive; all of it lies in one folder.
    pub fn write(&self, to: impl Write, folder: &str, now: Timestamp) -> anyhow::Result<()> {
        let mut archive = tar::Builder::new(GzEncoder::new(to, Compression::default()));
        for (path, text) in self.files()? {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len().try_into()?);
            header.set_mode(0o644);
            header.set_mtime(now.as_second().try_into()?);
            header.set_uid(0);
            header.set_gid(0);
            archive.append_data(&mut header, format!("{folder}/{path}"), text.as_bytes())?;
        }
        archive.into_inner()?.finish()?.flush()?;
        Ok(())
    }

    /// Path and text of each file.
    fn files(&self) -> anyhow::Result<Vec<(String, String)>> {
        let Picture { cluster, hosts, witness, changes } = &self.picture;
        let mut files = vec![
            ("versions.txt".to_owned(), self.versions()),
            ("status.txt".to_owned(), status::shown(cluster, false)),
            ("explain.txt".to_owned(), explain::told(cluster)),
            ("plan.txt".to_owned(), self.plan()),
            ("cluster.yaml".to_owned(), object(cluster)?),
        ];
        for host in hosts.values().chain(witness.iter().map(|(witness, _)| witness)) {
            files.push((format!("hosts/{}.yaml", host.name_any()), object(host)?));
        }
        for change in changes {
            files.push((format!("changes/{}.yaml", change.name_any()), object(change)?));
        }
        let events: Vec<_> = self.events.iter().filter(|event| self.is_about(event)).collect();
        files.push(("events.yaml".to_owned(), object(&events)?));
        for Log { namespace, name, text } in &self.logs {
            files.push((format!("operators/{namespace}/{name}.log"), lines(text)));
        }
        Ok(files)
    }

    fn versions(&self) -> String {
        let server = self.server.as_deref().unwrap_or("not known");
        let mut out = format!("kubectl-pvecm {}\nKubernetes {server}\n", env!("CARGO_PKG_VERSION"));
        for missing in &self.missing {
            out.push_str(&format!("missing: {missing}\n"));
        }
        out
    }

    /// What the planner says of it now; why it says nothing is worth reading as well.
    fn plan(&self) -> String {
        match plan::of_cluster(&self.picture) {
            Ok(answer) => answer::shown(&answer, true),
            Err(error) => format!("{error:#}\n"),
        }
    }

    /// Whether an event is about this cluster, a change or a host of it.
    fn is_about(&self, event: &Event) -> bool {
        let of = &event.involved_object;
        let Picture { cluster, hosts, changes, .. } = &self.picture;
        let name = of.name.as_deref().unwrap_or_default();
        match of.kind.as_deref() {
            Some("PveCluster") => name == cluster.name_any(),
            Some("PveChange") => changes.iter().any(|change| change.name_any() == name),
            Some("PveHost") => hosts.values().any(|host| host.name_any() == name),
            _ => false,
        }
    }
}

/// An object as a file: without what only machines read, and without secrets.
fn object(value: &impl Serialize) -> anyhow::Result<String> {
    let mut value = serde_json::to_value(value)?;
    redact(&mut value);
    Ok(yaml::write(&value)?)
}

fn redact(value: &mut Value) {
    match value {
        Value::String(text) if SECRETS.iter().any(|secret| text.contains(secret)) => {
            REDACTED.clone_into(text);
        }
        Value::Array(items) => items.iter_mut().for_each(redact),
        Value::Object(fields) => {
            fields.remove("managedFields");
            fields.remove("kubectl.kubernetes.io/last-applied-configuration");
            fields.values_mut().for_each(redact);
        }
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A log without the lines in which something secret could stand. None of ours has any; a log is text all the same.
fn lines(text: &str) -> String {
    let line = |line: &str| {
        let is_secret = SECRETS.iter().any(|secret| line.contains(secret));
        format!("{}\n", if is_secret { REDACTED } else { line })
    };
    text.lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Read as _;

    use flate2::read::GzDecoder;
    use serde_json::json;

    use super::*;
    use crate::cluster::fake;

    const SEALED: &str =
        "-----BEGIN AGE ENCRYPTED FILE-----\nYWdlLWVuY3J5c\n-----END AGE ENCRYPTED FILE-----\n";

    fn bundle() -> Bundle {
        let host = json!({"apiVersion": "pvecm.io/v1alpha1", "kind": "PveHost",
            "metadata": {"name": "n1", "namespace": "pve",
                         "managedFields": [{"manager": "pvecm-agent"}]},
            "spec": {},
            "status": {"sealed": [{"change": 7, "to": "n2", "data": SEALED}],
                       "sealingKey": "age1public"}});
        let mut change = fake::change(7, "Live");
        change["status"] = json!({"releasedStage": 1, "sealed": [{"host": "n2", "data": SEALED}]});
        let mut cluster = fake::cluster();
        cluster["metadata"]["annotations"] =
            json!({"kubectl.kubernetes.io/last-applied-configuration": "{}", "team": "infra"});
        let event = |kind: &str, name: &str| {
            json!({"metadata": {"name": format!("e-{kind}-{name}")}, "message": "told",
                   "involvedObject": {"kind": kind, "name": name}})
        };
        let of = |value| serde_json::from_value(value).unwrap();
        Bundle {
            picture: Picture {
                cluster: of(cluster),
                hosts: BTreeMap::from([(
                    "n1".parse().unwrap(),
                    serde_json::from_value(host).unwrap(),
                )]),
                witness: None,
                changes: vec![serde_json::from_value(change).unwrap()],
            },
            server: Some("v1.36.3".to_owned()),
            events: [
                event("PveChange", "prod-7"),
                event("PveChange", "other-1"),
                event("Pod", "n1"),
            ]
            .map(|event| serde_json::from_value(event).unwrap())
            .to_vec(),
            logs: vec![Log {
                namespace: "pvecm-system".to_owned(),
                name: "pvecm-0".to_owned(),
                text: "a stage begins\n-----BEGIN PRIVATE KEY----- AAAA\n".to_owned(),
            }],
            missing: vec!["events: forbidden".to_owned()],
        }
    }

    fn unpacked(bundle: &Bundle) -> BTreeMap<String, String> {
        let mut bytes = Vec::new();
        bundle.write(&mut bytes, "report", Timestamp::UNIX_EPOCH).unwrap();
        let mut archive = tar::Archive::new(GzDecoder::new(bytes.as_slice()));
        let file = |entry: std::io::Result<tar::Entry<'_, _>>| {
            let mut entry = entry.unwrap();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            (entry.path().unwrap().display().to_string(), text)
        };
        archive.entries().unwrap().map(file).collect()
    }

    #[test]
    fn a_report_has_the_objects_what_was_told_of_them_and_what_is_missing() {
        let files = unpacked(&bundle());
        let names: Vec<_> = files.keys().map(String::as_str).collect();
        let wanted = [
            "report/changes/prod-7.yaml",
            "report/cluster.yaml",
            "report/events.yaml",
            "report/explain.txt",
            "report/hosts/n1.yaml",
            "report/operators/pvecm-system/pvecm-0.log",
            "report/plan.txt",
            "report/status.txt",
            "report/versions.txt",
        ];
        assert_eq!(names, wanted);
        assert!(files["report/versions.txt"].contains("missing: events: forbidden\n"));
        assert!(files["report/cluster.yaml"].contains("team: infra"));
        let events = &files["report/events.yaml"];
        assert!(events.contains("e-PveChange-prod-7"), "{events}");
        assert!(!events.contains("other-1") && !events.contains("e-Pod"), "{events}");
    }

    #[test]
    fn no_secret_is_in_a_report_not_even_encrypted() {
        let files = unpacked(&bundle());
        let all: String = files.values().cloned().collect();
        for secret in ["YWdlLWVuY3J5c", "AAAA", "managedFields", "last-applied"] {
            assert!(!all.contains(secret), "{secret} in {all}");
        }
        assert!(files["report/hosts/n1.yaml"].contains("sealingKey: age1public"));
        assert!(files["report/hosts/n1.yaml"].contains(REDACTED));
        assert!(files["report/changes/prod-7.yaml"].contains(REDACTED));
        assert_eq!(
            files["report/operators/pvecm-system/pvecm-0.log"],
            format!("a stage begins\n{REDACTED}\n")
        );
    }
}
