//! Events: what a user would like to have been told, once each, on transitions only.

use kube::Resource;
use kube::runtime::events::{Event, EventType};

use super::dispatch::Sent;
use super::drive::Ending;
use super::observe::Observation;
use crate::context::Context;

/// A type, a reason and a note.
type Words = (EventType, &'static str, String);

/// Tells what a pass has just done.
pub async fn tell(seen: &Observation, sent: &Sent, context: &Context) {
    if let Sent::Finished(_, ending, _) = sent {
        context.metrics.ended(words(*ending).2);
    }
    if let Some(words) = wording(seen, sent) {
        publish(seen, words, context).await;
    }
}

/// Tells that a cluster now needs a person.
pub async fn stalled(seen: &Observation, note: &str, context: &Context) {
    publish(seen, (EventType::Warning, "Stalled", note.to_owned()), context).await;
}

/// A release is no event: stages come and go within seconds, and the change's own object shows them.
fn wording(seen: &Observation, sent: &Sent) -> Option<Words> {
    let (words, change) = match sent {
        Sent::Created(name) => {
            ((EventType::Normal, "ChangeCreated", format!("created change {name}")), name)
        }
        Sent::Finished(name, ending, why) => {
            let (type_, reason, _) = words(*ending);
            ((type_, reason, format!("{name}: {why}")), name)
        }
        Sent::Released(..) | Sent::Quietly | Sent::Nothing => return None,
    };
    tracing::info!(cluster = %seen.key, change, reason = words.1, note = words.2, "change moved");
    Some(words)
}

/// Type and reason of an event, and the label of the metric.
const fn words(ending: Ending) -> (EventType, &'static str, &'static str) {
    match ending {
        Ending::Succeeded => (EventType::Normal, "ChangeSucceeded", "Succeeded"),
        Ending::RolledBack => (EventType::Warning, "ChangeRolledBack", "RolledBack"),
        Ending::Superseded => (EventType::Normal, "ChangeSuperseded", "Superseded"),
        Ending::Failed => (EventType::Warning, "ChangeFailed", "Failed"),
    }
}

/// Publishes an event. One that gets lost is not tried again: the conditions say the same.
async fn publish(seen: &Observation, words: Words, context: &Context) {
    let Some(cluster) = &seen.cluster else { return };
    let (type_, reason, note) = words;
    let event = Event {
        type_,
        reason: reason.to_owned(),
        note: Some(crate::reconcile::limited(&note)),
        action: "Reconcile".to_owned(),
        secondary: None,
    };
    context.tell(&event, &cluster.object_ref(&())).await;
}
