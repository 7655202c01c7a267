//! Metrics, alerts and the dashboard fit each other.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pvecm_e2e::lab::Lab;
use pvecm_e2e::operator::repository;
use pvecm_e2e::{chart, command, promtool, wait_until};
use serde_json::Value;

use crate::support::formed;

/// What every metric of the operator begins with.
const PREFIX: &str = "pvecm_operator_";

#[test]
fn each_alert_fires_when_it_should_and_not_before() -> Result<()> {
    let folder = tempfile::tempdir()?;
    fs::copy(chart::folder().join("files/alerts.yaml"), folder.path().join("alerts.yaml"))?;
    let tests = repository().join("e2e/alerts.yaml");
    fs::copy(&tests, folder.path().join("tests.yaml"))?;
    let tests = fs::read_to_string(&tests)?;
    for rule in alerts()? {
        let name = rule["alert"].as_str().context("an alert without a name")?;
        ensure!(tests.matches(&format!("alertname: {name}\n")).count() >= 2, "{name}: no test");
    }
    let promtool = promtool::path()?;
    for check in [["check", "rules", "alerts.yaml"], ["test", "rules", "tests.yaml"]] {
        let mut promtool = Command::new(&promtool);
        command::run(promtool.args(check).current_dir(folder.path()))?;
    }
    Ok(())
}

#[test]
#[ignore = "runs with cargo xtask test --all"]
fn alerts_and_dashboard_ask_for_what_the_operator_serves() -> Result<()> {
    let lab = formed("metrics")?;
    let served = wait_until(Duration::from_secs(30), "the metrics of a ready cluster", || {
        let text = metrics(&lab).map_err(|error| format!("{error:#}"))?;
        let ready = text.lines().any(|line| {
            line.contains(r#"name="three-nodes",condition="Ready""#) && line.ends_with(" 1")
        });
        if ready { Ok(text) } else { Err(text) }
    })?;
    let served: BTreeSet<&str> = served.lines().flat_map(names).collect();
    let board = fs::read_to_string(chart::folder().join("files/dashboard.json"))?;
    let mut asked: BTreeSet<String> = names(&board).map(str::to_owned).collect();
    for rule in alerts()? {
        asked.extend(names(&rule["expr"].to_string()).map(str::to_owned));
    }
    ensure!(!asked.is_empty(), "nobody asks for anything");
    for name in &asked {
        ensure!(served.contains(&**name), "`{name}` is not among {served:?}");
    }
    Ok(())
}

fn metrics(lab: &Lab) -> Result<String> {
    lab.operator()?.ask(0, "/metrics")
}

fn alerts() -> Result<Vec<Value>> {
    let text = fs::read_to_string(chart::folder().join("files/alerts.yaml"))?;
    let file = chart::read(&text)?.pop().context("no alerts")?;
    file["groups"][0]["rules"].as_array().cloned().context("no alerts")
}

/// The operator's metrics that a text names.
fn names(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices(PREFIX).map(|(at, _)| {
        let rest = &text[at..];
        &rest[..rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())]
    })
}
