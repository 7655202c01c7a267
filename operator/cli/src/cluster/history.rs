//! `kubectl pvecm history`: the changes of a cluster.

use jiff::Timestamp;
use pvecm_crds::PveChange;
use serde::Serialize;

use super::read;
use crate::cli::Connection;
use crate::exit::Verdict;
use crate::output::{Format, age, print, table};

/// One change.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    name: String,
    number: i64,
    /// The outcome, or what goes on.
    outcome: String,
    risk: String,
    approved: bool,
    /// Released and all stages.
    stages: String,
    age_secs: i64,
    summary: String,
    /// Why it ended so.
    message: String,
}

/// Prints the changes, the newest first.
pub async fn run(name: &str, output: Format, connection: &Connection) -> anyhow::Result<Verdict> {
    let (client, namespace) = connection.connect().await?;
    read::cluster(&client, &namespace, name).await?;
    let changes = read::changes(&client, &namespace, name).await?;
    let now = Timestamp::now();
    let lines: Vec<_> = changes.iter().rev().map(|change| line(change, now)).collect();
    print(output, &lines, || shown(&lines).into_bytes())?;
    Ok(Verdict::Fine)
}

fn line(change: &PveChange, now: Timestamp) -> Line {
    let status = change.status.clone().unwrap_or_default();
    let plan = &change.spec.plan;
    let outcome = match (status.outcome, status.released_stage) {
        (Some(outcome), _) => format!("{outcome:?}"),
        (None, 0) => "Waiting".to_owned(),
        (None, _) => "InProgress".to_owned(),
    };
    let created = change.metadata.creation_timestamp.as_ref();
    Line {
        name: change.metadata.name.clone().unwrap_or_default(),
        number: change.spec.number,
        outcome,
        risk: format!("{:?}", plan.risk),
        approved: change.spec.approved,
        stages: format!("{}/{}", status.released_stage, plan.stages.len()),
        age_secs: created.map_or(0, |created| now.as_second() - created.0.as_second()),
        summary: plan.summary.clone(),
        message: status.message.unwrap_or_default(),
    }
}

fn shown(lines: &[Line]) -> String {
    let row = |line: &Line| {
        let why = if line.message.is_empty() || line.outcome == "Succeeded" {
            line.summary.clone()
        } else {
            format!("{} ({})", line.summary, line.message)
        };
        let Line { number, outcome, risk, stages, age_secs, .. } = line;
        [number.to_string(), outcome.clone(), risk.clone(), stages.clone(), age(*age_secs), why]
    };
    let header = ["NUMBER", "OUTCOME", "RISK", "STAGES", "AGE", "SUMMARY"];
    table(header, &lines.iter().map(row).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::fake;

    #[test]
    fn a_history_says_how_each_change_ended_and_why() {
        let mut changes = [1, 2, 3, 4].map(|number| fake::change(number, "Live"));
        changes[0]["status"] = json!({"releasedStage": 1, "outcome": "Succeeded", "message": "ok"});
        changes[1]["status"] =
            json!({"releasedStage": 1, "outcome": "RolledBack", "message": "n2: link 1 is down"});
        changes[2]["status"] = json!({"releasedStage": 1});
        let now = "2026-01-01T03:00:00Z".parse().unwrap();
        let lines = changes.map(|change| line(&serde_json::from_value(change).unwrap(), now));
        let wanted = "\
NUMBER   OUTCOME      RISK   STAGES   AGE   SUMMARY
1        Succeeded    Live   1/1      3h    Add link 1
2        RolledBack   Live   1/1      3h    Add link 1 (n2: link 1 is down)
3        InProgress   Live   1/1      3h    Add link 1
4        Waiting      Live   0/1      3h    Add link 1
";
        assert_eq!(shown(&lines), wanted);
    }
}
