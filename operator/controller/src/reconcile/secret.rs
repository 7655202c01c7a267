//! The Secret with the certificates for a `QNetd` that somebody else runs. It is read in the pass that looks at it, and
//! kept by nobody: no watch, no copy.
//!
//! What is in it goes to the hosts sealed, as it is. The key stays closed here: who opens it is the host that uses it,
//! which also sees whose certificate comes with it.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use pvecm_core::device::{Authority, SecretView};
use pvecm_core::ids::Digest;
use pvecm_crds::PveCluster;
use x509_cert::Certificate;
use x509_cert::der::pem::LineEnding;
use x509_cert::der::{Decode, DecodePem, Encode, EncodePem};
use zeroize::Zeroizing;

use crate::access::{Access, AccessError};
use crate::keys::ClusterKey;

/// `QNetd`'s own certificate, as its own tool writes it: words, and PEM after them.
const AUTHORITY: &str = "qnetd-cacert.crt";
/// Key and certificate of the cluster, as corosync's own tool writes them.
const BUNDLE: &str = "qdevice-net-node.p12";
/// Some have 3300 bytes, and sealed it has to fit into a change.
const LARGEST: usize = 8192;

/// What was found in it.
pub struct Found {
    /// What everybody may know of it.
    pub view: SecretView,
    /// Key and certificate of the cluster (PKCS#12).
    pub bundle: Option<Zeroizing<Vec<u8>>>,
}

impl std::fmt::Debug for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Found").field("view", &self.view).finish_non_exhaustive()
    }
}

/// Reads the Secret that a spec names.
pub async fn read(
    cluster: Option<&PveCluster>,
    key: &ClusterKey,
    access: &Access,
) -> Result<Option<Found>, AccessError> {
    let Some(name) = cluster.and_then(|cluster| cluster.spec.secret()) else { return Ok(None) };
    let namespace = &key.namespace;
    let judged = match access.get::<Secret>(namespace, name).await {
        Ok(Some(secret)) => {
            judge(secret.data.unwrap_or_default()).map_err(|why| format!("the Secret {name} {why}"))
        }
        Ok(None) => Err(format!(
            "there is no Secret {name} in the namespace {namespace}, which `quorum.device.certificatesSecretRef` \
             names: make it of {AUTHORITY} and {BUNDLE}"
        )),
        Err(AccessError::Refused(error)) if is_forbidden(&error) => Err(format!(
            "the operator may not read the Secret {name}: give its ServiceAccount a Role with the verb `get` for \
             `secrets`, resourceNames [{name}], in the namespace {namespace}"
        )),
        Err(error) => return Err(error),
    };
    Ok(Some(match judged {
        Ok((authority, bundle)) => {
            Found { view: SecretView::Usable(authority), bundle: Some(bundle) }
        }
        Err(why) => Found { view: SecretView::Unusable(why), bundle: None },
    }))
}

fn is_forbidden(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.is_forbidden())
}

/// What is in it, or what is the matter with it.
fn judge(
    mut data: BTreeMap<String, ByteString>,
) -> Result<(Authority, Zeroizing<Vec<u8>>), String> {
    let bundle = data.remove(BUNDLE).map(|ByteString(bytes)| Zeroizing::new(bytes));
    let authority = data.remove(AUTHORITY).ok_or_else(|| {
        format!(
            "has no key {AUTHORITY}: QNetd's own certificate, from /etc/corosync/qnetd/nssdb there"
        )
    })?;
    let authority = certificate(&authority.0).ok_or_else(|| {
        format!("has no certificate under {AUTHORITY}, neither in PEM nor in DER")
    })?;
    let bundle = bundle.ok_or_else(|| {
        format!("has no key {BUNDLE}: what `corosync-qdevice-net-certutil -M` makes of the signed certificate")
    })?;
    if !is_pkcs12(&bundle) {
        return Err(format!("has no PKCS#12 under {BUNDLE}"));
    }
    if bundle.len() > LARGEST {
        let size = bundle.len();
        return Err(format!(
            "has {size} bytes under {BUNDLE}: key and certificate of a cluster are {LARGEST} at most"
        ));
    }
    Ok((authority, bundle))
}

fn certificate(bytes: &[u8]) -> Option<Authority> {
    let parsed = Certificate::from_pem(bytes).or_else(|_| Certificate::from_der(bytes)).ok()?;
    let certificate = parsed.to_pem(LineEnding::LF).ok()?;
    Some(Authority { certificate, fingerprint: Digest::of(&parsed.to_der().ok()?) })
}

/// A sequence that begins with the number 3. What NSS writes has no lengths that a strict parser takes, and what is
/// in it takes the better part of a second to open.
fn is_pkcs12(bytes: &[u8]) -> bool {
    let Some((&0x30, rest)) = bytes.split_first() else { return false };
    let more = match rest.first() {
        Some(length) if *length > 0x80 => usize::from(length & 0x7f),
        Some(_) | None => 0,
    };
    rest.get(1 + more..).is_some_and(|content| content.starts_with(&[0x02, 0x01, 0x03]))
}

#[cfg(test)]
mod tests {
    use super::*;

    // Made by the real corosync-qnetd-certutil.
    const OF_QNETD: &[u8] = include_bytes!("secret/qnetd-cacert.crt");
    /// What that of the real tools begins with.
    const OF_CLUSTER: &[u8] = &[0x30, 0x80, 0x02, 0x01, 0x03, 0x30, 0x80];

    fn judged(edit: impl FnOnce(&mut BTreeMap<&str, Vec<u8>>)) -> Result<Authority, String> {
        let mut data =
            BTreeMap::from([(AUTHORITY, OF_QNETD.to_vec()), (BUNDLE, OF_CLUSTER.to_vec())]);
        edit(&mut data);
        let data = data.into_iter().map(|(key, bytes)| (key.to_owned(), ByteString(bytes)));
        judge(data.collect()).map(|(authority, bundle)| {
            assert_eq!(*bundle, OF_CLUSTER);
            authority
        })
    }

    #[test]
    fn what_the_tools_of_corosync_write_is_taken_as_it_is_and_in_other_forms() {
        let authority = judged(|_| ()).unwrap();
        assert!(authority.certificate.starts_with("-----BEGIN CERTIFICATE-----\n"));
        let der = Certificate::from_pem(OF_QNETD).unwrap().to_der().unwrap();
        let pem = authority.certificate.clone().into_bytes();
        for form in [der, pem] {
            assert_eq!(judged(|data| _ = data.insert(AUTHORITY, form)).unwrap(), authority);
        }
        assert!(is_pkcs12(&[0x30, 0x82, 0x0c, 0xf5, 0x02, 0x01, 0x03]));
        assert!(is_pkcs12(&[0x30, 0x05, 0x02, 0x01, 0x03]));
    }

    #[test]
    fn what_is_missing_or_something_else_is_named() {
        let refused = |edit: fn(&mut BTreeMap<&str, Vec<u8>>), word: &str| {
            let why = judged(edit).unwrap_err();
            assert!(why.contains(word), "{why}");
        };
        refused(|data| _ = data.remove(AUTHORITY), "has no key qnetd-cacert.crt");
        refused(|data| _ = data.remove(BUNDLE), "has no key qdevice-net-node.p12");
        refused(|data| _ = data.insert(AUTHORITY, b"none".to_vec()), "has no certificate under");
        refused(|data| _ = data.insert(BUNDLE, b"none".to_vec()), "has no PKCS#12 under");
        refused(|data| _ = data.insert(BUNDLE, OF_QNETD.to_vec()), "has no PKCS#12 under");
        refused(|data| data.get_mut(BUNDLE).unwrap().resize(LARGEST + 1, 0), "has 8193 bytes");
    }
}
