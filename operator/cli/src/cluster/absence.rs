//! The machines that a person declared off, in words.

use pvecm_crds::cluster::{NodeStatus, PveClusterStatus};
use pvecm_crds::host::{Absence, AbsenceKind};

/// A sentence for each node of which a statement may be acted upon.
pub fn sentences(status: &PveClusterStatus) -> Vec<String> {
    status.nodes.iter().filter_map(sentence).collect()
}

fn sentence(node: &NodeStatus) -> Option<String> {
    let NodeStatus { name, online, absence, .. } = node;
    let Absence { kind, because, until } = absence.as_ref()?;
    let word = match kind {
        AbsenceKind::Away => "away",
        AbsenceKind::Dead => "dead",
    };
    let until = until.as_ref().map(|end| format!(" until {}", end.0)).unwrap_or_default();
    let heard = if *online {
        format!(", but is a member that is there: `kubectl pvecm host back {name}` takes that back")
    } else {
        String::new()
    };
    Some(format!("{name} is declared {word}{until} ({because}){heard}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_absence_is_told_with_its_reason_and_its_end() {
        let status: PveClusterStatus = serde_json::from_value(json!({"nodes": [
            {"name": "n1", "online": true},
            {"name": "n2", "online": false,
             "absence": {"kind": "Away", "because": "new board", "until": "2026-01-01T00:00:00Z"}},
            {"name": "n3", "online": true, "absence": {"kind": "Dead", "because": "fire"}},
        ]}))
        .unwrap();
        let wanted = [
            "n2 is declared away until 2026-01-01T00:00:00Z (new board)",
            "n3 is declared dead (fire), but is a member that is there: `kubectl pvecm host back n3` takes \
             that back",
        ];
        assert_eq!(sentences(&status), wanted);
    }
}
