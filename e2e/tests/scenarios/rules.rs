//! The rules of the custom resources on a real API server: everything that its own CEL and schema have
//! to accept or refuse.

use anyhow::{Context, Result, ensure};
use pvecm_crds::cases::{self, Case};
use pvecm_e2e::command;
use pvecm_e2e::lab::{Lab, Level, Options};
use pvecm_e2e::operator::repository;
use serde_json::Value;

#[test]
fn a_real_api_server_accepts_and_refuses_what_the_rules_say() -> Result<()> {
    let options = Options { hosts: 1, level: Level::Bare, ..Options::scenario("rules") };
    let lab = Lab::up(options, &mut |_| ())?;
    let definitions = repository().join("crds/yaml").display().to_string();
    kubectl(&lab, &["apply", "--server-side", "-k", &definitions], "")?;
    kubectl(&lab, &["wait", "--for=condition=Established", "crd", "--all", "--timeout=30s"], "")?;
    let cases = cases::all()?;
    ensure!(cases.iter().any(|case| case.refused.is_none()), "no case is accepted");
    for case in &cases {
        replay(&lab, case).with_context(|| format!("case `{}`", case.name))?;
    }
    println!("{} cases on a real API server", cases.len());
    Ok(())
}

fn replay(lab: &Lab, case: &Case) -> Result<()> {
    let apply = ["apply", "--server-side", "--field-manager=rules", "-f", "-"];
    let status = [&apply[..], &["--subresource=status"]].concat();
    if let Some(old) = &case.old {
        kubectl(lab, &apply, &old.to_string())?;
        if case.status && !old["status"].is_null() {
            kubectl(lab, &status, &old.to_string())?;
        }
    }
    let verb = match (&case.old, case.status) {
        (None, false) => &["create", "-f", "-"][..],
        (Some(_), false) => &apply,
        (_, true) => &status,
    };
    let sent = kubectl(lab, verb, &case.object.to_string());
    // Whatever became of it, the next case finds nothing.
    kubectl(lab, &["delete", "--ignore-not-found", &named(&case.object)?], "")?;
    match (&case.refused, sent) {
        (None, sent) => sent.map(|_| ()).context("should be accepted"),
        (Some(wanted), Ok(_)) => anyhow::bail!("should be refused: {wanted}"),
        (Some(wanted), Err(error)) => {
            let said = format!("{error:#}");
            ensure!(said.contains(wanted), "refused for another reason than `{wanted}`: {said}");
            Ok(())
        }
    }
}

fn named(object: &Value) -> Result<String> {
    let kind = object["kind"].as_str().context("no kind")?;
    let name = object["metadata"]["name"].as_str().context("no name")?;
    Ok(format!("{kind}/{name}"))
}

fn kubectl(lab: &Lab, arguments: &[&str], input: &str) -> Result<String> {
    let mut kubectl = lab.control_plane()?.kubectl_command(arguments)?;
    command::run_with_input(&mut kubectl, input.as_bytes())
}
