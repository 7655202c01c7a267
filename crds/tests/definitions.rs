//! The generated definitions: current, and bounded everywhere.

use pvecm_crds::{install, yaml};
use serde_json::Value;

#[test]
fn the_checked_in_definitions_are_current() {
    for definition in install::definitions() {
        let name = install::file_name(&definition);
        let path = format!("{}/yaml/{name}", env!("CARGO_MANIFEST_DIR"));
        let kept = std::fs::read_to_string(&path).expect("a checked-in definition");
        let made = yaml::write(&definition).expect("YAML");
        assert!(kept == made, "{name} is old: cargo run -p pvecm-crds --example generate");
    }
}

/// The cost of a CEL rule is estimated from these limits, and an object without them has no size.
#[test]
fn every_string_list_and_number_of_ours_is_bounded() {
    let mut unbounded = Vec::new();
    for definition in install::definitions() {
        let definition = serde_json::to_value(definition).expect("JSON");
        let root = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        find_unbounded("", root, &mut unbounded);
    }
    assert!(unbounded.is_empty(), "{}", unbounded.join("\n"));
}

fn find_unbounded(path: &str, schema: &Value, unbounded: &mut Vec<String>) {
    // The metav1.Condition of Kubernetes comes without limits; no rule of ours reads one.
    if path.ends_with(".conditions") {
        return;
    }
    let has = |key: &str| schema.get(key).is_some();
    let fine = match schema["type"].as_str() {
        Some("string") => has("maxLength") || has("enum") || schema["format"] == "date-time",
        Some("integer") => has("minimum") && has("maximum"),
        Some("array") => has("maxItems"),
        Some("object") => !has("additionalProperties"),
        Some("boolean") => true,
        _ => false,
    };
    if !fine {
        unbounded.push(path.to_owned());
    }
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        find_unbounded(&format!("{path}.{name}"), field, unbounded);
    }
    if let Some(items) = schema.get("items") {
        find_unbounded(&format!("{path}[]"), items, unbounded);
    }
}

#[test]
fn every_field_is_explained() {
    let mut silent = Vec::new();
    for definition in install::definitions() {
        let definition = serde_json::to_value(definition).expect("JSON");
        let root = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        for part in ["spec", "status"] {
            find_silent(part, &root["properties"][part], &mut silent);
        }
    }
    assert!(silent.is_empty(), "{}", silent.join("\n"));
}

fn find_silent(path: &str, schema: &Value, silent: &mut Vec<String>) {
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        if field.get("description").is_none() {
            silent.push(path.clone());
        }
        find_silent(&path, field, silent);
        find_silent(&path, &field["items"], silent);
    }
}
