//! What became of a stage on the members, for a host that starts in it and cannot hear them any more: they
//! undid it, and list it no longer. Pure.

use std::collections::BTreeMap;

use pvecm_core::change::{Course, StageResult};
use pvecm_core::ids::HostName;
use pvecm_core::observed::HostView;
use pvecm_crds::PveChange;

use super::drive::{OpenChange, current_stage};

/// Whether a host that starts is at work on what a member has undone, and the change does not say so yet. The
/// word of one is enough, since all end alike: so the change is written once for it.
pub fn due(change: &OpenChange, object: &PveChange, hosts: &BTreeMap<HostName, HostView>) -> bool {
    let Some(stage) = current_stage(change).filter(|stage| stage.course == Course::Start) else {
        return false;
    };
    let result = |host: &HostName| {
        let applied = hosts.get(host).and_then(|view| view.applied.as_ref());
        let applied = applied.filter(|at| change.is_of(at) && at.stage == change.released);
        applied.map(|at| at.result)
    };
    let works = |host| matches!(result(host), Some(StageResult::Prepared | StageResult::Acting));
    let is_undone = |host| result(host).is_some_and(StageResult::is_against);
    let is_told = object.status.iter().flat_map(|status| &status.hosts).any(|host| {
        u32::try_from(host.stage) == Ok(change.released)
            && StageResult::from(host.result).is_against()
    });
    !is_told && stage.joining.values().any(works) && stage.group.values().any(is_undone)
}
