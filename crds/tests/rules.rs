//! The rules, one accepting and one refusing case each at least, without an API server.

use kube::CustomResourceExt;
use pvecm_crds::cases::{Case, all};
use pvecm_crds::{PveChange, PveCluster, PveHost};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// What the rules say of a case: nothing, or their messages.
fn messages(case: &Case) -> String {
    match case.object["kind"].as_str() {
        Some("PveCluster") => said::<PveCluster>(case),
        Some("PveHost") => said::<PveHost>(case),
        Some("PveChange") => said::<PveChange>(case),
        other => format!("there is no kind {other:?}"),
    }
}

/// The way through the type fills in defaults, as the API server does before it asks the rules.
fn said<T: CustomResourceExt + Serialize + DeserializeOwned>(case: &Case) -> String {
    let typed =
        |value: &Value| -> T { serde_json::from_value(value.clone()).expect("a typed object") };
    let object = typed(&case.object);
    let result = match &case.old {
        Some(old) => kube::core::cel::validate_cel_update(&object, &typed(old)),
        None => kube::core::cel::validate_cel(&object),
    };
    result.err().map(|errors| errors.to_string()).unwrap_or_default()
}

#[test]
fn every_case_is_accepted_or_refused_as_it_says() {
    let mut wrong = Vec::new();
    for case in all().expect("readable cases").iter().filter(|case| !case.schema_only) {
        let said = messages(case);
        let right = match &case.refused {
            None => said.is_empty(),
            Some(part) => said.contains(part.as_str()),
        };
        if !right {
            wrong.push(format!("{}: wanted {:?}, rules said {said:?}", case.name, case.refused));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_message_of_a_rule_is_seen_in_a_refusing_case() {
    let cases = all().expect("readable cases");
    let mut messages = Vec::new();
    for definition in pvecm_crds::install::definitions() {
        collect(&serde_json::to_value(definition).expect("JSON"), &mut messages);
    }
    assert!(messages.len() >= 20, "only {} rules found", messages.len());
    for message in messages {
        let seen = cases.iter().filter_map(|case| case.refused.as_ref());
        assert!(
            seen.into_iter().any(|part| message.contains(part.as_str())),
            "untested: {message}"
        );
    }
}

fn collect(schema: &Value, messages: &mut Vec<String>) {
    match schema {
        Value::Object(fields) => {
            if let Some(Value::Array(rules)) = fields.get("x-kubernetes-validations") {
                messages.extend(rules.iter().map(|rule| {
                    rule["message"].as_str().expect("every rule has a message").to_owned()
                }));
            }
            fields.values().for_each(|value| collect(value, messages));
        }
        Value::Array(items) => items.iter().for_each(|value| collect(value, messages)),
        _ => {}
    }
}
