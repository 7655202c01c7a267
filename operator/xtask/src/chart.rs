//! The chart's README, from the comments of its values.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};

use crate::cargo;

const INTRODUCTION: &str = "\
# pvecm-operator

Proxmox VE clusters described by custom resources: the operator's Helm chart, for Kubernetes 1.33 and later.
This page is generated from `values.yaml`: `cargo xtask crds`.

```console
$ helm install pvecm-operator charts/pvecm-operator --namespace pvecm-system --create-namespace
$ helm upgrade pvecm-operator charts/pvecm-operator --namespace pvecm-system
$ helm uninstall pvecm-operator --namespace pvecm-system
```

Definitions come with the chart and are upgraded with it. Uninstalling leaves them and every PveCluster in the API (`crds.keep`), and
the Proxmox VE clusters run on as they are; the next installation goes on with them. The names of cluster-wide objects
begin with the release's name.

`--wait` waits for the operator's Deployment. For a cluster: `kubectl wait pvecluster/NAME --for=condition=Ready`.

| value | default | what it is |
|---|---|---|
";

/// Writes it.
pub fn write_readme() -> Result<()> {
    let path = folder().join("README.md");
    let text = readme(&values()?)?;
    fs::write(&path, text).with_context(|| format!("could not write {}", path.display()))
}

fn folder() -> PathBuf {
    cargo::root().join("charts/pvecm-operator")
}

fn values() -> Result<String> {
    let path = folder().join("values.yaml");
    fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))
}

fn readme(values: &str) -> Result<String> {
    Ok(INTRODUCTION.to_owned() + &rows(values)?)
}

/// A value with a comment, which is one row.
struct Row<'a> {
    path: String,
    default: String,
    what: Vec<&'a str>,
}

/// One row per value that has a comment; values below such a one are its default.
fn rows(values: &str) -> Result<String> {
    let mut rows: Vec<Row<'_>> = Vec::new();
    // The values around the line: how far each is indented, and its name.
    let mut around: Vec<(usize, &str)> = Vec::new();
    let mut comment = Vec::new();
    for line in values.lines() {
        let text = line.trim_start();
        let indent = line.len() - text.len();
        if let Some(words) = text.strip_prefix('#') {
            comment.push(words.trim());
            continue;
        }
        let Some((name, default)) = text.split_once(':') else {
            ensure!(text.is_empty(), "values.yaml has a line that is no value: `{line}`");
            continue;
        };
        around.retain(|(outer, _)| *outer < indent);
        around.push((indent, name));
        let path = around.iter().map(|(_, name)| *name).collect::<Vec<_>>().join(".");
        let default = default.trim();
        match rows.last_mut() {
            Some(row) if path.starts_with(&format!("{}.", row.path)) => {
                let comma = if row.default.is_empty() { "" } else { ", " };
                row.default.push_str(&format!("{comma}{name}: {default}"));
            }
            _ if !comment.is_empty() => {
                let what = std::mem::take(&mut comment);
                rows.push(Row { path, default: default.to_owned(), what });
            }
            _ => ensure!(default.is_empty(), "values.yaml says nothing of `{path}`: comment it"),
        }
    }
    let row = |row: &Row<'_>| {
        format!("| `{}` | `{}` | {} |\n", row.path, row.default, row.what.join(" "))
    };
    Ok(rows.iter().map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_of_the_chart_is_fresh() {
        let written = fs::read_to_string(folder().join("README.md")).unwrap();
        let fresh = readme(&values().unwrap()).unwrap();
        assert!(written == fresh, "the chart's README.md is stale: cargo xtask crds");
    }

    #[test]
    fn a_row_has_path_default_and_all_lines_of_the_comment() {
        let values =
            "# One\n# two.\na: 1\n\nb:\n  # In b.\n  c: x\n# Both.\nd:\n  e: {f: 1}\n  g: 2\n";
        let wanted = "| `a` | `1` | One two. |\n| `b.c` | `x` | In b. |\n| `d` | `e: {f: 1}, g: 2` | Both. |\n";
        assert_eq!(rows(values).unwrap(), wanted);
    }

    #[test]
    fn a_value_without_a_comment_is_refused() {
        let error = rows("a:\n  # Told.\n  b: 1\n  c: 2\n").unwrap_err().to_string();
        assert!(error.contains("says nothing of `a.c`"), "{error}");
    }
}
