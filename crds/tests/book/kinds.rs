//! One page per kind: every field with its type, meaning, bounds and default.

use pvecm_crds::install;
use serde_json::Value;

use crate::{cell, hold};

#[test]
fn the_reference_of_each_kind_says_what_its_definition_says() {
    for definition in install::definitions() {
        let names = &definition.spec.names;
        let (kind, plural) = (&names.kind, &names.plural);
        let short = names.short_names.iter().flatten().next().unwrap();
        let version = serde_json::to_value(&definition.spec.versions[0]).unwrap();
        let schema = &version["schema"]["openAPIV3Schema"];
        let mut page = format!(
            "# {kind}\n\n{} `kubectl get {plural}`, in short `{short}`; all kinds together: `kubectl get pve`. Group \
             `pvecm.io`, version `{}`.\n\nThis page is made of the definition in `crds/yaml/{plural}.yaml`.\n",
            text(&schema["description"]),
            definition.spec.versions[0].name,
        );
        page.push_str(&rules(schema));
        for part in ["spec", "status"] {
            section(part, &schema["properties"][part], &mut page);
        }
        hold(&format!("reference/{}.md", kind.to_lowercase()), &page);
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// An object's table, and behind it those of the objects inside.
fn section(path: &str, schema: &Value, page: &mut String) {
    let fields = schema["properties"].as_object().unwrap();
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().map(text).collect();
    page.push_str(&format!("\n## {path}\n\n{}\n", cell(text(&schema["description"]))));
    if schema.get("oneOf").is_some() {
        page.push_str("\nExactly one of these fields is there.\n");
    }
    page.push_str(&rules(schema));
    page.push_str("\n| field | type | meaning | bounds | default |\n|---|---|---|---|---|\n");
    for (name, field) in fields {
        let default = match &field["default"] {
            _ if required.contains(&name.as_str()) => "required".to_owned(),
            Value::Null => String::new(),
            default => format!("`{}`", plain(default)),
        };
        let (kind, meaning) =
            (kind(&format!("{path}.{name}"), field), cell(text(&field["description"])));
        page.push_str(&format!(
            "| `{name}` | {kind} | {meaning} | {} | {default} |\n",
            bounds(field)
        ));
    }
    for (name, field) in fields {
        let path = format!("{path}.{name}");
        if let Some((path, object)) = object(&path, field) {
            section(&path, object, page);
        }
    }
}

/// The object that a field or its elements are, and the heading under which it is told.
fn object<'a>(path: &str, field: &'a Value) -> Option<(String, &'a Value)> {
    let is_object =
        |schema: &Value| schema.get("properties").is_some_and(|fields| fields != &Value::Null);
    if is_object(field) {
        return Some((path.to_owned(), field));
    }
    let items = field.get("items").filter(|items| is_object(items))?;
    Some((format!("{path}[]"), items))
}

fn kind(path: &str, field: &Value) -> String {
    let linked = |path: &str| {
        let anchor: String = path.chars().filter(|c| c.is_alphanumeric()).collect();
        format!("[object](#{})", anchor.to_lowercase())
    };
    match (text(&field["type"]), object(path, field)) {
        ("array", Some((path, _))) => format!("list of {}", linked(&path)),
        ("array", None) => format!("list of {}", text(&field["items"]["type"])),
        (_, Some((path, _))) => linked(&path),
        (kind, None) => kind.to_owned(),
    }
}

/// What is refused whatever else the object says.
fn bounds(field: &Value) -> String {
    let range = |least: &str, most: &str, of: &str| match (&field[least], &field[most]) {
        (Value::Null, Value::Null) => None,
        (Value::Null, most) => Some(format!("at most {}{of}", plain(most))),
        (least, Value::Null) => Some(format!("at least {}{of}", plain(least))),
        (least, most) => Some(format!("{} to {}{of}", plain(least), plain(most))),
    };
    let words = |schema: &Value| -> Option<String> {
        let words: Vec<_> =
            schema["enum"].as_array()?.iter().filter(|word| !word.is_null()).collect();
        Some(words.iter().map(|word| format!("`{}`", plain(word))).collect::<Vec<_>>().join(", "))
    };
    let form = field["pattern"].as_str().map(|pattern| format!("`{}`", cell(pattern)));
    let all = [
        words(field),
        words(&field["items"]),
        range("minimum", "maximum", ""),
        range("minLength", "maxLength", " characters"),
        range("minItems", "maxItems", " elements"),
        form,
    ];
    let mut all: Vec<String> = all.into_iter().flatten().collect();
    if field.get("properties").is_none() {
        all.extend(messages(field).map(cell));
    }
    all.join("; ")
}

/// A number without the point that a schema gives it, and a word without quotes.
fn plain(value: &Value) -> String {
    match value {
        Value::String(word) => word.clone(),
        Value::Number(number) => {
            number.as_f64().map_or(number.to_string(), |number| format!("{number:.0}"))
        }
        other => other.to_string(),
    }
}

fn messages(schema: &Value) -> impl Iterator<Item = &str> {
    schema["x-kubernetes-validations"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|rule| text(&rule["message"]))
}

/// The rules about an object as a whole.
fn rules(schema: &Value) -> String {
    let rules: Vec<_> = messages(schema).map(|rule| format!("- {}\n", cell(rule))).collect();
    if rules.is_empty() {
        return String::new();
    }
    format!("\nThe API server refuses it unless:\n\n{}", rules.concat())
}
