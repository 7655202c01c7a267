//! Events: what a user would like to have been told, once each, on transitions only.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Resource;
use kube::runtime::events::{Event, EventType};
use pvecm_crds::PveChange;
use pvecm_crds::condition::reason;

use super::dispatch::Sent;
use super::drive::Ending;
use super::observe::Observation;
use crate::context::Context;

/// What is told.
struct Words {
    type_: EventType,
    reason: &'static str,
    note: String,
    /// The change that it is about: equal events are counted as one unless this differs.
    change: Option<String>,
}

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
    let (type_, reason, note) = (EventType::Warning, "Stalled", note.to_owned());
    publish(seen, Words { type_, reason, note, change: None }, context).await;
}

/// Tells that a change now waits until somebody approves it.
pub async fn asks(seen: &Observation, note: &str, context: &Context) {
    let (type_, reason, note) = (EventType::Normal, reason::WAITING_FOR_APPROVAL, note.to_owned());
    let change = seen.open.as_ref().map(|(change, _)| change.name.clone());
    publish(seen, Words { type_, reason, note, change }, context).await;
}

/// Tells that somebody changed something beside the operator.
pub async fn drifted(seen: &Observation, note: &str, context: &Context) {
    let (type_, reason, note) = (EventType::Warning, "Drifted", note.to_owned());
    publish(seen, Words { type_, reason, note, change: None }, context).await;
}

/// A release is no event: stages come and go within seconds, and the change's own object shows them.
fn wording(seen: &Observation, sent: &Sent) -> Option<Words> {
    let (type_, reason, note, name) = match sent {
        Sent::Created(name) => {
            (EventType::Normal, "ChangeCreated", format!("created change {name}"), name)
        }
        Sent::Finished(name, ending, why) => {
            let (type_, reason, _) = words(*ending);
            (type_, reason, format!("{name}: {why}"), name)
        }
        Sent::Released(..) | Sent::Quietly | Sent::LetEnd | Sent::Nothing => return None,
    };
    tracing::info!(cluster = %seen.key, change = name, reason, note, "change moved");
    Some(Words { type_, reason, note, change: Some(name.clone()) })
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
    let Words { type_, reason, note, change } = words;
    let related = change.map(|name| ObjectReference {
        api_version: Some(PveChange::api_version(&()).into_owned()),
        kind: Some(PveChange::kind(&()).into_owned()),
        namespace: Some(seen.key.namespace.clone()),
        name: Some(name),
        ..ObjectReference::default()
    });
    let event = Event {
        type_,
        reason: reason.to_owned(),
        note: Some(crate::reconcile::limited(&note)),
        action: "Reconcile".to_owned(),
        secondary: related,
    };
    context.tell(&event, &cluster.object_ref(&())).await;
}
