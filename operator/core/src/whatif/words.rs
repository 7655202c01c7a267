//! An outcome in one sentence.

use std::collections::BTreeMap;

use super::outcome::{Member, Outcome, Part};
use crate::ha::HaState;
use crate::ids::NodeId;

/// What high availability does on the nodes of which it is known.
type Ha = BTreeMap<NodeId, HaState>;

impl Outcome {
    /// Who keeps quorum, who loses it, and who is reset for that. `ha` may know of no node.
    #[must_use]
    pub fn verdict(&self, ha: &Ha) -> String {
        let going: Vec<String> = self.quorate().map(|part| list(&part.quorate_names())).collect();
        let mut said = match &going[..] {
            [] => vec!["nobody keeps quorum".to_owned()],
            [one] => vec![format!("{one} {} quorum", verb(one, "keeps", "keep"))],
            several => vec![format!(
                "SPLIT BRAIN: {} keep quorum without hearing each other, and each starts the guests \
                 of the other",
                several.iter().map(|part| format!("[{part}]")).collect::<Vec<_>>().join(" and ")
            )],
        };
        said.extend(self.losers(ha));
        let losers = self.parts.iter().any(|part| part.members.iter().any(|m| !m.quorate));
        if losers && self.waits_for_all {
            said.push(
                "who lost quorum gets it back from a part that has it, or when all are there \
                 (wait_for_all)"
                    .to_owned(),
            );
        }
        said.join("; ")
    }

    /// Those without quorum, by what becomes of them.
    fn losers(&self, ha: &Ha) -> Vec<String> {
        let members = self.parts.iter().flat_map(|part| &part.members);
        let (mut still, mut reset, mut perhaps) = (Vec::new(), Vec::new(), Vec::new());
        for Member { id, name, .. } in members.filter(|member| !member.quorate) {
            let into = match ha.get(id) {
                Some(HaState::Active) => &mut reset,
                Some(HaState::Absent | HaState::Idle | HaState::Disarmed) => &mut still,
                Some(HaState::Unknown) | None => &mut perhaps,
            };
            into.push(name.as_str());
        }
        let stand = |names: &[&str]| {
            let list = list(names);
            format!("{list} {} still, with /etc/pve read-only", verb(&list, "stands", "stand"))
        };
        let said = [
            (&still, String::new()),
            (&reset, ", and reset by high availability after about 60 s".to_owned()),
            (
                &perhaps,
                ", and where high availability is active, reset after about 60 s".to_owned(),
            ),
        ];
        let told = said.into_iter().filter(|(names, _)| !names.is_empty());
        told.map(|(names, more)| stand(names) + &more).collect()
    }
}

impl Part {
    /// The names of its members that are quorate.
    fn quorate_names(&self) -> Vec<&str> {
        let quorate = self.members.iter().filter(|member| member.quorate);
        quorate.map(|member| member.name.as_str()).collect()
    }
}

fn list(names: &[&str]) -> String {
    names.join(", ")
}

/// The verb behind a list of names.
fn verb(list: &str, one: &'static str, several: &'static str) -> &'static str {
    if list.contains(", ") { several } else { one }
}
