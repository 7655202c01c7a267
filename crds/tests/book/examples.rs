//! Every object, and every part of a spec, that a page shows is one that the API server takes.

use std::fs;
use std::path::Path;

use kube::CustomResourceExt;
use pvecm_crds::{PveChange, PveCluster, PveHost};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::folder;

#[test]
fn every_object_in_the_book_is_one_that_the_definitions_take() {
    let (mut faults, mut objects) = (Vec::new(), 0);
    for (page, example) in examples() {
        let said = judge(&example);
        objects += usize::from(said.is_some());
        faults.extend(said.into_iter().flatten().map(|fault| format!("{page}: {fault}")));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(objects > 5, "the book shows only {objects} objects");
}

#[test]
fn an_example_that_the_definitions_do_not_take_is_told() {
    let node = |rest: Value| json!({"kind": "PveCluster", "metadata": {"name": "c"}, "spec": rest});
    let cases = [
        (
            json!({"spec": {"rollout": {"drfit": "Report"}}}),
            ".spec.rollout.drfit: there is no such field",
        ),
        (json!({"links": [{"number": 8}]}), ".links[].number: 8 is out of bounds"),
        (json!({"rollout": {"drift": "Maybe"}}), ".rollout.drift: \"Maybe\" is no word of it"),
        (node(json!({})), "missing field `nodes`"),
        (
            node(json!({"nodes": [{"name": "a", "nodeId": 1}, {"name": "b", "nodeId": 1}]})),
            "every `nodeId` must be given to one node only",
        ),
    ];
    for (example, told) in cases {
        let faults = judge(&example).unwrap();
        assert!(faults.iter().any(|fault| fault.contains(told)), "{example}: {faults:?}");
    }
    assert_eq!(judge(&json!({"image": {"tag": "x"}})), None);
}

/// Every YAML document in a fenced block of the book, and where it stands.
fn examples() -> Vec<(String, Value)> {
    let mut found = Vec::new();
    let mut folders = vec![folder()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.extend(of_page(&path));
            }
        }
    }
    found
}

fn of_page(path: &Path) -> Vec<(String, Value)> {
    let text = fs::read_to_string(path).unwrap();
    let blocks = text.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let documents = blocks.flat_map(|block| block.split("---\n"));
    let read = |document: &str| match pvecm_crds::yaml::read(document) {
        Ok(value) => (path.display().to_string(), value),
        Err(error) => panic!("{}: {error:?}\n{document}", path.display()),
    };
    documents.filter(|document| !document.trim().is_empty()).map(read).collect()
}

/// What the definitions have against an example; `None`: it is about something else.
fn judge(example: &Value) -> Option<Vec<String>> {
    match example["kind"].as_str() {
        Some("PveCluster") => return Some(whole::<PveCluster>(example)),
        Some("PveHost") => return Some(whole::<PveHost>(example)),
        Some("PveChange") => return Some(whole::<PveChange>(example)),
        Some(_) => return None,
        None => {}
    }
    // A part of a cluster's spec, with `spec` above it or not.
    let root = schema::<PveCluster>();
    let part = example.get("spec").unwrap_or(example);
    let spec = &root["properties"]["spec"];
    let is_part = part.as_object()?.keys().any(|key| spec["properties"].get(key).is_some());
    let prefix = if example.get("spec").is_some() { ".spec" } else { "" };
    is_part.then(|| {
        let mut faults = Vec::new();
        walk(prefix, part, spec, &mut faults);
        faults
    })
}

fn schema<T: CustomResourceExt>() -> Value {
    let definition = serde_json::to_value(T::crd()).unwrap();
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
}

/// What schema, type and rules have against a whole object.
fn whole<T: CustomResourceExt + Serialize + DeserializeOwned>(example: &Value) -> Vec<String> {
    let (mut faults, root) = (Vec::new(), schema::<T>());
    for part in ["spec", "status"] {
        if let Some(value) = example.get(part) {
            walk(&format!(".{part}"), value, &root["properties"][part], &mut faults);
        }
    }
    let mut object = example.clone();
    object["apiVersion"] = json!("pvecm.io/v1alpha1");
    match serde_json::from_value::<T>(object) {
        Err(error) => faults.push(error.to_string()),
        Ok(object) => faults
            .extend(kube::core::cel::validate_cel(&object).err().map(|errors| errors.to_string())),
    }
    faults
}

/// Fields that there are not, words that a field does not take, and numbers out of bounds.
fn walk(path: &str, value: &Value, schema: &Value, faults: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let path = format!("{path}.{name}");
                match schema["properties"].get(name) {
                    Some(schema) => walk(&path, value, schema, faults),
                    None => faults.push(format!("{path}: there is no such field")),
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                walk(&format!("{path}[]"), item, &schema["items"], faults);
            }
        }
        Value::Number(number) => {
            let bound = |name: &str| schema[name].as_f64();
            let number = number.as_f64().unwrap();
            let is_low = bound("minimum").is_some_and(|least| number < least);
            if is_low || bound("maximum").is_some_and(|most| number > most) {
                faults.push(format!("{path}: {number} is out of bounds"));
            }
        }
        word => {
            let words = schema["enum"].as_array();
            if words.is_some_and(|words| !words.contains(word)) {
                faults.push(format!("{path}: {word} is no word of it"));
            }
        }
    }
}
