//! What-if against the real thing: for each case of a table the model foretells who keeps quorum, and then real
//! corosync, corosync-qdevice and corosync-qnetd daemons are asked, node by node.
//!
//! Where both disagree the model is wrong.

mod cluster;
mod table;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use pvecm_core::conf::Document;
use pvecm_core::whatif::{Electorate, Event, Outcome};
use pvecm_e2e::wait::wait_until;
use pvecm_e2e::{Lab, Level, Options};

use cluster::{Cluster, View};
use table::{CASES, Case};

/// Token, consensus, the device's time to answer, and a busy machine.
const SETTLED: Duration = Duration::from_secs(60);

#[test]
fn what_is_foretold_is_what_real_daemons_do() -> Result<()> {
    agree("whatif", &CASES.iter().filter(|case| case.always).collect::<Vec<_>>())
}

#[test]
#[ignore = "runs with cargo xtask test --all"]
fn all_that_is_foretold_is_what_real_daemons_do() -> Result<()> {
    ensure!(CASES.len() >= 40, "the table has {} cases only", CASES.len());
    agree("whatif-all", &CASES.iter().collect::<Vec<_>>())
}

/// Puts every case before a real cluster; all that disagree are told at the end.
fn agree(name: &str, cases: &[&Case]) -> Result<()> {
    let hosts = cases.iter().map(|case| case.nodes()).max().unwrap_or_default();
    let options = Options { level: Level::Debian, hosts, witnesses: 1, ..Options::scenario(name) };
    let lab = Lab::up(options, &mut |_| ())?;
    cluster::prepare(&lab)?;
    let mut differ = Vec::new();
    for (number, case) in (1..).zip(cases) {
        let began = Instant::now();
        let said = match held_against(&lab, case) {
            Ok(said) => said,
            Err(error) => {
                differ.push(format!("{case}: {error:#}"));
                format!("DIFFERS: {error:#}")
            }
        };
        println!("{number:>2} {case} ({:.1} s): {said}", began.elapsed().as_secs_f64());
    }
    let agree = cases.len() - differ.len();
    println!("{agree} of {} cases agree with real daemons", cases.len());
    ensure!(
        differ.is_empty(),
        "{} of {} differ:\n{}",
        differ.len(),
        cases.len(),
        differ.join("\n")
    );
    Ok(())
}

/// One case: a fresh cluster, the event, and what each node says once it has settled.
fn held_against(lab: &Lab, case: &Case) -> Result<String> {
    let text = case.conf();
    let electorate = Electorate::of(&Document::parse(text.as_bytes()))?;
    let event = Event::read(&electorate, &case.asked()).context("the case makes no sense")?;
    let outcome = Outcome::of(&electorate, &event)?;
    let cluster = Cluster::start(lab, case, &text, &electorate)?;
    cluster.suffer(&event)?;
    let foretold = views(&outcome);
    // Once it has settled: links that change over may cost a token, and nodes come together again.
    let mut since: Option<Instant> = None;
    wait_until(SETTLED, "the foretold to stay", || match cluster.shows(&foretold) {
        Ok(()) if since.get_or_insert_with(Instant::now).elapsed() >= case.stays() => Ok(()),
        Ok(()) => Err("the foretold, not for long enough yet".to_owned()),
        Err(seen) => {
            since = None;
            Err(seen)
        }
    })?;
    Ok(outcome.verdict(&BTreeMap::new()))
}

/// What each node that runs has to see.
fn views(outcome: &Outcome) -> BTreeMap<u32, View> {
    let of_part = |part: &pvecm_core::whatif::Part| {
        let members: Vec<u32> = part.members.iter().map(|member| member.id.get()).collect();
        let view = |member: &pvecm_core::whatif::Member| View {
            members: members.clone(),
            quorate: member.quorate,
            total: member.present,
            expected: part.expected,
            needed: part.needed,
        };
        part.members.iter().map(|member| (member.id.get(), view(member))).collect::<Vec<_>>()
    };
    outcome.parts.iter().flat_map(of_part).collect()
}
