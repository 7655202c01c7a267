//! Objects that the rules must accept or refuse, for tests only: here against the rules themselves,
//! in the end-to-end tests against a real API server.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::yaml;

/// One object and what must become of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// What the case is about, in words.
    pub name: String,
    /// The object that is there before; `None`: `object` is created.
    pub old: Option<Value>,
    /// The object that is sent.
    pub object: Value,
    /// A part of the message with which it must be refused; `None`: it must be accepted.
    pub refused: Option<String>,
    /// The object is sent to the subresource `status`.
    pub status: bool,
    /// Only an API server can say so: the schema decides, not a CEL rule.
    pub schema_only: bool,
}

#[derive(Deserialize)]
struct File {
    base: Value,
    cases: Vec<Entry>,
}

/// `object` and `old` are merge patches over the file's `base`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    #[serde(default)]
    old: Option<Value>,
    object: Value,
    #[serde(default)]
    refused: Option<String>,
    #[serde(default)]
    status: bool,
    #[serde(default)]
    by: Option<By>,
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
enum By {
    Schema,
}

/// Every case, the accepted object of full size among them.
pub fn all() -> Result<Vec<Case>, yaml::YamlError> {
    let files = [
        include_str!("../tests/cases/clusters.yaml"),
        include_str!("../tests/cases/hosts.yaml"),
        include_str!("../tests/cases/changes.yaml"),
    ];
    let mut cases = vec![accepted("a cluster of full size", full_size())];
    for file in files {
        let File { base, cases: entries } = yaml::read(file)?;
        cases.extend(entries.into_iter().map(|entry| case(&base, entry)));
    }
    Ok(cases)
}

fn case(base: &Value, entry: Entry) -> Case {
    let Entry { name, old, object, refused, status, by } = entry;
    Case {
        name,
        old: old.map(|patch| merged(base, &patch)),
        object: merged(base, &object),
        refused,
        status,
        schema_only: by == Some(By::Schema),
    }
}

fn accepted(name: &str, object: Value) -> Case {
    Case {
        name: name.to_owned(),
        old: None,
        object,
        refused: None,
        status: false,
        schema_only: false,
    }
}

/// JSON merge patch (RFC 7396).
fn merged(base: &Value, patch: &Value) -> Value {
    let Value::Object(changes) = patch else { return patch.clone() };
    let mut fields = base.as_object().cloned().unwrap_or_default();
    for (name, change) in changes {
        let before = fields.remove(name).unwrap_or_default();
        if !change.is_null() {
            fields.insert(name.clone(), merged(&before, change));
        }
    }
    Value::Object(fields)
}

/// 64 nodes with names of full length and an address on each of 8 links.
#[must_use]
pub fn full_size() -> Value {
    let nodes: Vec<Value> = (1..=64)
        .map(|node| {
            let addresses: Vec<Value> = (0..8)
                .map(|link| json!({ "link": link, "address": format!("fd00:{link}::{node:x}") }))
                .collect();
            let name = format!("{node:0>63}");
            json!({
                "name": name, "hostRef": { "name": name }, "nodeId": node, "votes": 1,
                "addresses": addresses,
            })
        })
        .collect();
    let links: Vec<Value> = (0..8)
        .map(|link| {
            json!({
                "number": link, "network": format!("fd00:{link}::/64"), "priority": link,
                "pingIntervalMillis": 200, "pingTimeoutMillis": 400, "pingPrecision": 2048,
                "pongCount": 2, "port": 5405 + link,
            })
        })
        .collect();
    json!({
        "apiVersion": "pvecm.io/v1alpha1", "kind": "PveCluster",
        "metadata": { "name": "full-size" },
        "spec": { "clusterName": "full-size-15-ch", "nodes": nodes, "links": links,
            "totem": { "transport": "Knet", "crypto": { "cipher": "AES256", "hash": "SHA256" } },
            "quorum": { "device": { "type": "Managed", "hostRef": { "name": "w1" } } },
        },
    })
}
