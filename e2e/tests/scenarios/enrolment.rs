//! A host and its account: what ends it, and how the host comes back. The cluster does not notice any of it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use pvecm_e2e::command;
use pvecm_e2e::lab::Lab;
use pvecm_e2e::wait::wait_until;
use serde_json::{Value, json};

use crate::support::{HOSTS, assert_undisturbed, formed, get, kubectl, now_ms, wait_ready};

const SOON: Duration = Duration::from_secs(60);
const TOKEN: &str = "/var/lib/pvecm-agent/token";
const BOOTSTRAP: &str = "/etc/pvecm-agent/bootstrap.yaml";

#[test]
#[ignore = "runs with cargo xtask test --all"]
fn a_host_comes_back_after_its_token_the_certificates_and_its_object_were_gone() -> Result<()> {
    let lab = formed("enrol")?;
    let began = now_ms();
    let (said, is_well) = doctor(&lab, "n1")?;
    println!("{said}");
    ensure!(is_well, "something is wrong with a healthy host:\n{said}");
    a_file_for_another_host_changes_nothing(&lab)?;

    let expired = expired_token(&lab)?;
    lab.host("n1")?.write_file(TOKEN, expired.as_bytes(), 0o600)?;
    lab.host("n1")?.run(&["systemctl", "restart", "pvecm-agent"])?;
    wait_connected(&lab, "n1", false)?;
    says(&lab, "n1", "which ended at 2001-09-09T01:46:40Z: paste on this host")?;
    renew(&lab, "n1")?;
    wait_ready(&lab, SOON)?;
    println!("back with another token");

    lab.control_plane()?.change_certificates()?;
    // The operator's pod is started anew with the cluster's certificates.
    lab.operator()?.kill()?;
    lab.operator()?.start()?;
    says(&lab, "n2", "is not accepted: ")?;
    says(&lab, "n2", "if its CA was changed, paste on this host")?;
    for host in HOSTS {
        renew(&lab, host)?;
    }
    wait_ready(&lab, SOON)?;
    println!("back with other certificates");

    let token = lab.host("n3")?.run(&["cat", TOKEN])?;
    kubectl(&lab, &["delete", "pvehost", "n3"])?;
    is_revoked(&lab, &token)?;
    says(&lab, "n3", "which was ended with the account")?;
    let line = lab.enrol("n3", &["--one-line"])?;
    lab.host("n3")?.sh(&line)?;
    wait_ready(&lab, SOON)?;
    println!("back after its object was deleted");
    assert_undisturbed(&lab, began)
}

/// What `doctor` says on a host, and whether it finds nothing wrong.
fn doctor(lab: &Lab, host: &str) -> Result<(String, bool)> {
    let done = lab.host(host)?.exec(&["pvecm-agent", "doctor"])?;
    ensure!(done.code < 2, "doctor cannot look: {}", done.stderr);
    Ok((done.stdout, done.code == 0))
}

fn says(lab: &Lab, host: &str, sentence: &str) -> Result<()> {
    wait_until(SOON, &format!("doctor to say: {sentence}"), || match doctor(lab, host) {
        Ok((said, false)) if said.contains(sentence) => Ok(()),
        other => Err(format!("{other:?}")),
    })
}

fn a_file_for_another_host_changes_nothing(lab: &Lab) -> Result<()> {
    let n2 = lab.host("n2")?.run(&["cat", BOOTSTRAP])?;
    let n1 = lab.host("n1")?;
    let before = n1.run(&["sha256sum", BOOTSTRAP, TOKEN])?;
    n1.write_file("/root/other.yaml", n2.as_bytes(), 0o600)?;
    let refused = n1.exec(&["pvecm-agent", "enrol", "/root/other.yaml"])?;
    let said = refused.stderr;
    ensure!(refused.code == 1 && said.contains("this file is for n2"), "{said}");
    ensure!(n1.run(&["sha256sum", BOOTSTRAP, TOKEN])? == before, "a refused file was taken");
    Ok(())
}

/// Pastes on the host what the plugin prints.
fn renew(lab: &Lab, host: &str) -> Result<()> {
    let line = lab.enrol(host, &["--renew"])?;
    ensure!(line.lines().count() == 1, "not one line: {line}");
    let said = lab.host(host)?.sh(&line)?;
    ensure!(said.contains("pvecm-agent.service runs with it"), "{said}");
    wait_connected(lab, host, true)
}

fn wait_connected(lab: &Lab, host: &str, wanted: bool) -> Result<()> {
    let status = if wanted { "True" } else { "False" };
    wait_until(SOON, &format!("{host} to be heard or not"), || {
        let object = get(lab, &["pvehost", host]).map_err(|error| format!("{error:#}"))?;
        let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let heard = conditions.iter().find(|condition| condition["type"] == "Connected");
        if heard.is_some_and(|heard| heard["status"] == status) {
            Ok(())
        } else {
            Err(format!("{heard:?}"))
        }
    })
}

/// A token of n1 as the API server itself would have made it, that ended long ago.
fn expired_token(lab: &Lab) -> Result<String> {
    let account = get(lab, &["serviceaccount", "pvecm-host-n1"])?;
    let issuer = "https://kubernetes.default.svc";
    let claims = json!({
        "iss": issuer, "aud": [issuer], "iat": 999_996_400, "nbf": 999_996_400,
        "exp": 1_000_000_000, "sub": "system:serviceaccount:pve:pvecm-host-n1",
        "kubernetes.io": {"namespace": "pve", "serviceaccount":
            {"name": "pvecm-host-n1", "uid": account["metadata"]["uid"]}},
    });
    let encode = |part: &Value| BASE64_URL_SAFE_NO_PAD.encode(part.to_string());
    let signed = format!("{}.{}", encode(&json!({"alg": "RS256", "typ": "JWT"})), encode(&claims));
    let key = lab.state().join("kube/service-accounts.key");
    let mut openssl = std::process::Command::new("openssl");
    openssl.args(["dgst", "-sha256", "-sign"]).arg(key).arg("-hex");
    let said = command::run_with_input(&mut openssl, signed.as_bytes())?;
    let hex = said.trim().rsplit(' ').next().context("openssl signed nothing")?;
    let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16);
    let signature = (0..hex.len()).step_by(2).map(byte).collect::<Result<Vec<_>, _>>()?;
    Ok(format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature)))
}

/// Nothing is left of a host's account, and its token is of no use.
fn is_revoked(lab: &Lab, token: &str) -> Result<()> {
    let owned =
        "serviceaccount/pvecm-host-n3,role/pvecm-host-n3,rolebinding/pvecm-host-n3,lease/n3";
    let names: Vec<&str> = owned.split(',').collect();
    let kubeconfig = lab.control_plane()?.write_kubeconfig("n3", token.trim())?;
    wait_until(SOON, "the account to be gone", || {
        let look = [&["get", "--ignore-not-found", "-o", "name"][..], &names].concat();
        let left = kubectl(lab, &look).map_err(|error| format!("{error:#}"))?;
        if left.is_empty() { Ok(()) } else { Err(left) }
    })?;
    wait_until(SOON, "the token to be refused", || {
        let mut asks =
            lab.control_plane().and_then(|plane| plane.kubectl_command(&["get", "pvehost", "n3"]));
        let asks = asks.as_mut().map_err(|error| format!("{error:#}"))?;
        let said = command::output(asks.env("KUBECONFIG", &kubeconfig));
        let said = said.map_err(|error| format!("{error:#}"))?.stderr;
        if said.contains("must be logged in") || said.contains("Unauthorized") {
            Ok(())
        } else {
            Err(said)
        }
    })
}
