//! Events: what a user would like to have been told, once each, on transitions only.

use kube::Resource;
use kube::runtime::events::{Event, EventType};

use super::dispatch::Sent;
use super::drive::Ending;
use super::observe::Observation;
use crate::context::Context;

/// Tells what a pass has just done.
pub async fn tell(seen: &Observation, sent: &Sent, context: &Context) {
    let (type_, reason, note) = match sent {
        Sent::Created(name) => {
            tracing::info!(cluster = %seen.key, change = name, "change created");
            (EventType::Normal, "ChangeCreated", format!("created change {name}"))
        }
        Sent::Released(name, stage) => {
            // Stages come and go within seconds: the change's own object shows them.
            tracing::info!(cluster = %seen.key, change = name, stage, "stage released");
            return;
        }
        Sent::Finished(name, ending, why) => {
            tracing::info!(cluster = %seen.key, change = name, ?ending, why, "change ended");
            let (type_, reason, outcome) = match ending {
                Ending::Succeeded => (EventType::Normal, "ChangeSucceeded", "Succeeded"),
                Ending::RolledBack => (EventType::Warning, "ChangeRolledBack", "RolledBack"),
                Ending::Superseded => (EventType::Normal, "ChangeSuperseded", "Superseded"),
                Ending::Failed => (EventType::Warning, "ChangeFailed", "Failed"),
            };
            context.metrics.ended(outcome);
            (type_, reason, format!("{name}: {why}"))
        }
        Sent::Quietly | Sent::Nothing => return,
    };
    publish(seen, type_, reason, note, context).await;
}

/// Tells that a cluster now needs a person.
pub async fn stalled(seen: &Observation, note: &str, context: &Context) {
    publish(seen, EventType::Warning, "Stalled", note.to_owned(), context).await;
}

/// Publishes an event. One that gets lost is logged and not tried again: the conditions say the same.
async fn publish(
    seen: &Observation,
    type_: EventType,
    reason: &str,
    note: String,
    context: &Context,
) {
    let Some(cluster) = &seen.cluster else { return };
    let event = Event {
        type_,
        reason: reason.to_owned(),
        note: Some(super::limited(&note)),
        action: "Reconcile".to_owned(),
        secondary: None,
    };
    context.tell(&event, &cluster.object_ref(&())).await;
}
