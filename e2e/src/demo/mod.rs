//! The demo: three hosts, one apply, and every step of what follows told as it happens.

mod story;

use std::io::{IsTerminal, Write, stdout};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use pvecm_e2e::operator::repository;
use pvecm_e2e::state::StateDir;
use pvecm_e2e::{Lab, Level, Lifetime, Options};

use story::{Scene, Story};

/// The demo's lab, unless it is told another name.
pub const NAME: &str = "demo";

const SAMPLE: &str = "manifests/samples/three-nodes.yaml";
const SAMPLE_TWO_LINKS: &str = "manifests/samples/three-nodes-two-links.yaml";
const READY_WITHIN: Duration = Duration::from_secs(180);
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// What a narrow terminal shows without a line break, which the next update could not take back.
const LIVE_WIDTH: usize = 79;

/// Shows it, and leaves the lab up.
pub fn run(name: &str) -> Result<()> {
    let mut teller = Teller::new();
    if StateDir::of(name)?.path().exists() {
        teller.line("taking the last demo's lab down")?;
        Lab::down(name)?;
    }
    let options = Options {
        name: name.to_owned(),
        hosts: 3,
        witnesses: 0,
        level: Level::Full,
        lifetime: Lifetime::Detached,
        use_cluster: None,
    };
    let mut unheard = Ok(());
    let lab = Lab::up(options, &mut |step| unheard = teller.line(step))?;
    unheard?;
    teller.line(&format!("kubectl apply -f {SAMPLE}"))?;
    kubectl(&lab, &["apply", "-f", &repository().join(SAMPLE).to_string_lossy()])?;
    let began = Instant::now();
    follow(&lab, &mut teller)?;
    let took = began.elapsed().as_secs_f64();
    teller.line(&format!("three hosts are one cluster, {took:.1} s after the apply"))?;
    println!("\n$ kubectl get pve\n{}", kubectl(&lab, &["get", "pve"])?);
    print!("{}", what_next(name));
    Ok(())
}

/// Tells what happens until the cluster is ready.
fn follow(lab: &Lab, teller: &mut Teller) -> Result<()> {
    let mut story = Story::default();
    let end = Instant::now() + READY_WITHIN;
    loop {
        let list = kubectl(lab, &["get", "pveclusters,pvechanges,pvehosts", "-o", "json"])?;
        let scene = Scene::parse(&list)?;
        for line in story.news(&scene) {
            teller.line(&line)?;
        }
        if scene.is_ready() {
            return Ok(());
        }
        if Instant::now() >= end {
            let why = scene.stalled().unwrap_or_else(|| scene.now());
            let logs = lab.state().join("logs");
            bail!("not ready after {} s: {why}; logs: {}", READY_WITHIN.as_secs(), logs.display());
        }
        teller.live(&scene.now())?;
        thread::sleep(LOOK_EVERY);
    }
}

fn kubectl(lab: &Lab, arguments: &[&str]) -> Result<String> {
    let done = lab.control_plane()?.kubectl(arguments)?;
    ensure!(done.success(), "kubectl {}: {}", arguments.join(" "), done.stderr.trim());
    Ok(done.stdout)
}

fn what_next(name: &str) -> String {
    let lab = |verb: &str, rest: &str| format!("  cargo xtask lab {verb} --name {name}{rest}\n");
    let link = format!(" -- apply -f {SAMPLE_TWO_LINKS}");
    format!(
        "The lab stays up. Add a link, look at a host, take it all down:\n\n{}{}{}",
        lab("kubectl", &link),
        lab("exec", " n1 -- corosync-cfgtool -n"),
        lab("down", "")
    )
}

/// Prints lines with the time since the beginning, and on a terminal a live line below them.
struct Teller {
    began: Instant,
    terminal: bool,
}

impl Teller {
    fn new() -> Self {
        Self { began: Instant::now(), terminal: stdout().is_terminal() }
    }

    fn line(&mut self, text: &str) -> Result<()> {
        self.wipe()?;
        writeln!(stdout(), "{} {text}", self.clock()).context("nobody listens")
    }

    fn live(&mut self, text: &str) -> Result<()> {
        if self.terminal {
            self.wipe()?;
            let line: String =
                format!("{} ... {text}", self.clock()).chars().take(LIVE_WIDTH).collect();
            write!(stdout(), "{line}")?;
            stdout().flush()?;
        }
        Ok(())
    }

    fn wipe(&self) -> Result<()> {
        if self.terminal {
            write!(stdout(), "\r\x1b[2K")?;
        }
        Ok(())
    }

    fn clock(&self) -> String {
        format!("[{:5.1} s]", self.began.elapsed().as_secs_f64())
    }
}
