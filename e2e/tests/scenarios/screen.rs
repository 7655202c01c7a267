//! What people see of a running cluster with the plugin.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{OpenOptionsExt as _, symlink};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pvecm_e2e::binaries;
use pvecm_e2e::command;
use pvecm_e2e::controlplane::tools::{self, Tool};
use pvecm_e2e::lab::Lab;
use pvecm_e2e::wait::wait_until;

use crate::approval::plugin;
use crate::support::{CLUSTER, HOSTS, apply_sample, formed, wait_ready};

const SOON: Duration = Duration::from_secs(30);

#[test]
#[ignore = "runs with cargo xtask test --all"]
fn a_screen_follows_a_change_and_a_report_holds_everything_but_secrets() -> Result<()> {
    let lab = formed("screen")?;
    let admin = lab.control_plane()?.kubeconfig();
    let ask = |words: &[&str]| plugin(&lab, &admin, &[words, &["--namespace", "pve"]].concat());

    let names = ask(&["hosts", CLUSTER, "-o", "name"])?;
    let wanted = HOSTS.map(|host| format!("pvehost.pvecm.io/{host}\n")).concat();
    ensure!(names.stdout == wanted, "{names:?}");
    println!("{}", ask(&["hosts", "-o", "wide"])?.stdout);

    follows(&lab)?;
    reported(&lab)?;
    completed(&lab)
}

/// Every state is shown while a link is added, from the first one on, and none of them twice.
fn follows(lab: &Lab) -> Result<()> {
    let seen = lab.state().join("watched.txt");
    let mut watching = Command::new("nsenter");
    watching.args(["-t", &lab.supervisor().pid().to_string(), "-n", "--"]);
    watching.arg(binaries::find("kubectl-pvecm")?);
    watching.args(["status", CLUSTER, "--namespace", "pve", "--watch"]);
    watching.env("KUBECONFIG", lab.control_plane()?.kubeconfig());
    let mut watching =
        watching.stdout(File::create(&seen)?).stderr(Stdio::null()).spawn().context("no watch")?;
    let followed = follow(lab, || Ok(fs::read_to_string(&seen)?));
    watching.kill()?;
    watching.wait()?;
    followed
}

fn follow(lab: &Lab, seen: impl Fn() -> Result<String>) -> Result<()> {
    let shown = |what: &str| {
        wait_until(SOON, &format!("`{what}` on the screen"), || {
            let text = seen().map_err(|error| format!("{error:#}"))?;
            if text.contains(what) { Ok(()) } else { Err(text) }
        })
    };
    shown("three-nodes: Ready, config_version")?;
    apply_sample(lab, "three-nodes-two-links.yaml")?;
    wait_ready(lab, SOON)?;
    shown("0=10.50.0.1 1=10.51.0.1")?;
    let text = seen()?;
    println!("{text}");
    ensure!(text.contains("not Ready (ChangeInProgress)") && text.contains(", stage 1/"), "{text}");
    let screens: Vec<_> = text.split("\n\n").collect();
    ensure!(screens.windows(2).all(|pair| pair[0] != pair[1]), "shown twice: {text}");
    ensure!(!text.contains('\x1b'), "colours in a pipe: {text}");
    Ok(())
}

fn reported(lab: &Lab) -> Result<()> {
    let admin = lab.control_plane()?.kubeconfig();
    let archive = lab.state().join("report.tar.gz");
    let path = archive.to_string_lossy();
    let report =
        || plugin(lab, &admin, &["report", CLUSTER, "--namespace", "pve", "--output", &path]);
    let said = report()?;
    println!("{}", said.stdout.trim());
    ensure!(said.success() && said.stdout.contains("3 hosts"), "{said:?}");
    let again = report()?;
    ensure!(again.code == 2 && again.stderr.contains("File exists"), "overwritten: {again:?}");

    let folder = lab.state().join("report");
    fs::create_dir(&folder)?;
    command::run(Command::new("tar").arg("-xzf").arg(&archive).arg("-C").arg(&folder))?;
    let text = command::run(Command::new("grep").args(["-r", "."]).arg(&folder))?;
    for part in ["cluster.yaml:", "hosts/n3.yaml:", "changes/three-nodes-1.yaml:", "versions.txt:"]
    {
        ensure!(text.contains(part), "no {part} in the report");
    }
    ensure!(text.contains("reason: ChangeSucceeded"), "no events in the report");
    ensure!(!text.contains("BEGIN AGE"), "a secret in the report");
    Ok(())
}

/// As a shell has it that completes kubectl: plugin and the program that `completion` prints lie on the PATH.
fn completed(lab: &Lab) -> Result<()> {
    let admin = lab.control_plane()?.kubeconfig();
    let folder = lab.state().join("bin");
    fs::create_dir(&folder)?;
    symlink(tools::path(Tool::Kubectl)?, folder.join("kubectl"))?;
    symlink(binaries::find("kubectl-pvecm")?, folder.join("kubectl-pvecm"))?;
    let program = plugin(lab, &admin, &["completion"])?.stdout;
    let mut options = OpenOptions::new();
    let made = options.write(true).create_new(true).mode(0o755);
    std::io::Write::write_all(
        &mut made.open(folder.join("kubectl_complete-pvecm"))?,
        program.as_bytes(),
    )?;
    let mut shell = Command::new("nsenter");
    shell.args(["-t", &lab.supervisor().pid().to_string(), "-n", "--"]);
    shell.args(["kubectl", "__complete", "pvecm", "-n", "pve", "status", "th"]);
    let path = std::env::var("PATH").unwrap_or_default();
    shell.env("PATH", format!("{}:{path}", folder.display())).env("KUBECONFIG", &admin);
    let offered = command::run(&mut shell)?;
    ensure!(offered.lines().next() == Some(CLUSTER), "offered: {offered}");
    Ok(())
}
