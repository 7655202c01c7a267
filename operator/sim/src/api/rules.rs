//! How parts of several managers become one object, and what the CRDs' own rules refuse.

use serde_json::Value;

use super::Kind;

/// Lays one manager's part over what others said. Conditions are a list by type.
pub(super) fn merge(into: &mut Value, from: &Value, key: &str) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key.clone()).or_insert(Value::Null), value, key);
            }
        }
        (Value::Array(into), Value::Array(from)) if key == "conditions" => {
            into.retain(|old| from.iter().all(|new| new["type"] != old["type"]));
            into.extend(from.iter().cloned());
        }
        (into, from) => *into = from.clone(),
    }
}

/// The transition rules of a change: nothing of the plan moves, no release and no outcome goes back.
pub(super) fn keep(kind: Kind, old: &Value, new: &Value) -> Result<(), String> {
    if kind != Kind::Change {
        return Ok(());
    }
    if old["spec"]["plan"] != new["spec"]["plan"] {
        return Err("`plan` is immutable".to_owned());
    }
    let released = |value: &Value| value["status"]["releasedStage"].as_i64().unwrap_or(0);
    if released(new) < released(old) {
        return Err("`status.releasedStage` must never go down".to_owned());
    }
    let (before, after) = (&old["status"]["outcome"], &new["status"]["outcome"]);
    if !before.is_null() && before != after {
        return Err("`outcome` is final".to_owned());
    }
    Ok(())
}
