//! Another version of the agent is installed while a stage is under way.

use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pvecm_e2e::lab::Lab;
use serde_json::json;

use crate::interruptions::UNTIL_PENDING;
use crate::support::{
    HOSTS, apply, assert_undisturbed, changes, file_in_force, formed, now_ms, wait_ready,
    with_links,
};

const SOON: Duration = Duration::from_secs(90);

/// Makes packages of the one that the host was given, with other versions.
const REPACK: &str = "cd /root; for version in 99.0 0.0.1; do rm -rf unpacked; \
    dpkg-deb --raw-extract pvecm-agent.deb unpacked; \
    sed -i \"s/^Version: .*/Version: $version/\" unpacked/DEBIAN/control; \
    dpkg-deb -Zgzip -z1 --build unpacked $version.deb; done";

#[test]
#[ignore = "runs with cargo xtask test --all"]
fn an_upgrade_and_a_downgrade_in_the_middle_of_a_stage_end_it_well() -> Result<()> {
    let lab = formed("upgrade")?;
    for host in HOSTS {
        lab.host(host)?.sh(REPACK)?;
    }
    let began = now_ms();
    let rounds = [
        ("99.0", &HOSTS[..1]),
        ("0.0.1", &HOSTS[..1]),
        ("99.0", &HOSTS[..]),
        ("0.0.1", &HOSTS[..]),
    ];
    for (round, (version, hosts)) in (1_u64..).zip(rounds) {
        let installing = hosts
            .iter()
            .map(|host| install_when_pending(&lab, host, version))
            .collect::<Result<Vec<_>>>()?;
        let link = json!([{"number": 0, "network": "10.50.0.0/24", "priority": 10 + round}]);
        apply(&lab, &with_links(&link))?;
        for (installation, host) in installing.into_iter().zip(hosts) {
            let done = installation.wait_with_output().context("the installation is gone")?;
            let said = String::from_utf8_lossy(&done.stderr);
            ensure!(done.status.success(), "{version} was not installed on {host}: {said}");
        }
        wait_ready(&lab, SOON)?;
        let wanted = format!("knet_link_priority: {}", 10 + round);
        ensure!(file_in_force(&lab)?.contains(&wanted), "{wanted} is not in force");
        for host in hosts {
            let installed = ["dpkg-query", "--show", "--showformat=${Version}", "pvecm-agent"];
            let installed = lab.host(host)?.run(&installed)?;
            ensure!(installed == version, "{host} has {installed}");
        }
        println!("{version} on {hosts:?}: {:?}", outcomes(&lab)?);
    }
    assert_undisturbed(&lab, began)
}

fn outcomes(lab: &Lab) -> Result<Vec<String>> {
    let outcome = |change: &serde_json::Value| change["status"]["outcome"].to_string();
    Ok(changes(lab)?.iter().map(outcome).collect())
}

fn install_when_pending(lab: &Lab, host: &str, version: &str) -> Result<Child> {
    let script = format!("{UNTIL_PENDING}; dpkg --install --force-downgrade /root/{version}.deb");
    let mut shell = lab.host(host)?.command(&["timeout", "90", "sh", "-ec", &script])?;
    shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    shell.spawn().context("cannot watch the agent's ledger")
}
