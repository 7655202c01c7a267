//! Who keeps a field of an object: the plugin writes none that somebody else would put back.

use kube::Resource;
use serde_json::Value;

use crate::host::enrol::FIELD_MANAGER;

/// What kubectl remembers of the file that it applied.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Who keeps a field: somebody who applies it by server-side apply again and again, or a file that kubectl
/// applies. An owner by a plain write made it once, perhaps only as a default.
pub fn owner(object: &impl Resource, path: &[&str]) -> Option<String> {
    let meta = object.meta();
    let applies = meta.managed_fields.iter().flatten().find(|entry| {
        let fields = entry.fields_v1.as_ref().map(|fields| &fields.0);
        let step = |fields: &'_ Value, key: &str| fields.get(format!("f:{key}")).cloned();
        let owned =
            fields.and_then(|all| path.iter().try_fold(all.clone(), |at, key| step(&at, key)));
        entry.operation.as_deref() == Some("Apply")
            && entry.manager.as_deref() != Some(FIELD_MANAGER)
            && owned.is_some()
    });
    if let Some(entry) = applies {
        return Some(format!("field manager `{}`", entry.manager.as_deref().unwrap_or_default()));
    }
    let file: Value = serde_json::from_str(meta.annotations.as_ref()?.get(LAST_APPLIED)?).ok()?;
    let kept = file.pointer(&format!("/{}", path.join("/"))).is_some_and(|kept| !kept.is_null());
    kept.then(|| "the file that `kubectl apply` was given".to_owned())
}
