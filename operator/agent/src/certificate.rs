//! Certificates of the QDevice, as far as they have to be understood. Pure.
//!
//! `QNetd` lets a node in by the name in its certificate, so a request is signed only when it asks for the name of its
//! own cluster and for nothing else: the tool that signs copies whatever a request asks for, another name beside the
//! first or the right to sign for others included (measured).

use pvecm_core::ids::{ClusterName, Digest};
use rustls::crypto::ring::default_provider;
use x509_cert::Certificate;
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::der::pem::{LineEnding, PemLabel};
use x509_cert::der::{Decode, DecodePem, Encode, EncodePem, Tag, Tagged};
use x509_cert::name::Name;
use x509_cert::request::CertReq;

/// `commonName`.
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

/// What QNetd would say to it.
const FOREIGN: &str = "the certificate is not signed by the witness that is to vote";

/// The fingerprint of a certificate in PEM: SHA-256 of what it is made of, whatever its lines look like.
pub fn fingerprint(certificate: &str) -> Result<Digest, String> {
    to_der::<Certificate>(certificate).map(|bytes| Digest::of(&bytes))
}

/// PEM as the tools of `QNetd` want it: bare bytes.
pub fn to_der<T>(pem: &str) -> Result<Vec<u8>, String>
where
    T: DecodePem + Encode + PemLabel,
{
    T::from_pem(pem).and_then(|parsed| parsed.to_der()).map_err(not_understood::<T>)
}

/// What those tools write, as it travels.
pub fn to_pem<T>(bytes: &[u8]) -> Result<String, String>
where
    T: for<'a> Decode<'a> + EncodePem + PemLabel,
{
    let parsed = T::from_der(bytes).and_then(|parsed| parsed.to_pem(LineEnding::LF));
    parsed.map_err(not_understood::<T>)
}

fn not_understood<T: PemLabel>(error: x509_cert::der::Error) -> String {
    format!("what is given as a {} is none: {error}", T::PEM_LABEL.to_lowercase())
}

/// Whether a request asks for this cluster's name and nothing else.
pub fn asks_for(request: &str, cluster: &ClusterName) -> Result<(), String> {
    let request = CertReq::from_pem(request).map_err(not_understood::<CertReq>)?;
    if !is_named(&request.info.subject, cluster) {
        let asked = &request.info.subject;
        return Err(format!("the request is for `{asked}`, and not for `CN={cluster}` alone"));
    }
    if !request.info.attributes.is_empty() {
        return Err(format!("the request for CN={cluster} asks for more than that name"));
    }
    Ok(())
}

/// Whether that is the name of this cluster and nothing else.
fn is_named(subject: &Name, cluster: &ClusterName) -> bool {
    let mut names = subject.0.iter().flat_map(|name| name.0.iter());
    let (Some(name), None) = (names.next(), names.next()) else { return false };
    let is_text = matches!(name.value.tag(), Tag::PrintableString | Tag::Utf8String);
    let is_own = name.value.value() == cluster.as_str().as_bytes();
    name.oid == COMMON_NAME && is_text && is_own
}

/// Whether a certificate that was made elsewhere is for this cluster, and signed by the certificate of this witness.
pub fn is_for(certificate: &str, cluster: &ClusterName, authority: &str) -> Result<(), String> {
    let parse = |pem| Certificate::from_pem(pem).map_err(not_understood::<Certificate>);
    let (issued, authority) = (parse(certificate)?, parse(authority)?);
    let named = &issued.tbs_certificate.subject;
    if !is_named(named, cluster) {
        return Err(format!("the certificate is for `{named}`, and the cluster is `{cluster}`"));
    }
    if !is_signed(&issued, &authority) {
        return Err(FOREIGN.to_owned());
    }
    Ok(())
}

/// Whether a certificate is the answer to a request, and signed by the certificate of this witness.
pub fn answers(certificate: &str, request: &str, authority: &str) -> Result<(), String> {
    let parse = |pem| Certificate::from_pem(pem).map_err(not_understood::<Certificate>);
    let (issued, authority) = (parse(certificate)?, parse(authority)?);
    let request = CertReq::from_pem(request).map_err(not_understood::<CertReq>)?;
    let of = &issued.tbs_certificate;
    if of.subject_public_key_info != request.info.public_key {
        return Err("the certificate is for another key than the one that asked for it".to_owned());
    }
    if of.subject != request.info.subject {
        let (named, asked) = (&of.subject, &request.info.subject);
        return Err(format!("the certificate is for `{named}`, and `{asked}` was asked for"));
    }
    if !is_signed(&issued, &authority) {
        return Err(FOREIGN.to_owned());
    }
    Ok(())
}

fn is_signed(certificate: &Certificate, authority: &Certificate) -> bool {
    let key = &authority.tbs_certificate.subject_public_key_info.subject_public_key;
    let Ok(signed) = certificate.tbs_certificate.to_der() else { return false };
    let Some((key, signature)) = key.as_bytes().zip(certificate.signature.as_bytes()) else {
        return false;
    };
    let mut algorithms = default_provider().signature_verification_algorithms.all.iter();
    algorithms.any(|algorithm| algorithm.verify_signature(key, &signed, signature).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    // Made by the real tools: certutil of two nodes, corosync-qnetd-certutil of a witness and of another one.
    const AUTHORITY: &str = include_str!("certificate/authority.crt");
    const REQUEST: &str = include_str!("certificate/n1.csr");
    const CERTIFICATE: &str = include_str!("certificate/n1.crt");
    const OF_N2: &str = include_str!("certificate/n2.crt");
    const BY_ANOTHER: &str = include_str!("certificate/foreign.crt");
    const EXTENDED: &str = include_str!("certificate/extended.csr");

    fn lab() -> ClusterName {
        "lab".parse().unwrap()
    }

    /// A member of one cluster that got a certificate for another could vote there.
    #[test]
    fn a_request_is_for_the_name_of_its_own_cluster_alone() {
        assert_eq!(asks_for(REQUEST, &lab()), Ok(()));
        let why = asks_for(REQUEST, &"prod".parse().unwrap()).unwrap_err();
        assert!(why.contains("`CN=lab`") && why.contains("CN=prod"), "{why}");
        assert!(asks_for(CERTIFICATE, &lab()).is_err());
    }

    /// The tool would sign it: an authority of its own, for a second name.
    #[test]
    fn a_request_that_asks_for_more_than_a_name_is_refused() {
        let why = asks_for(EXTENDED, &lab()).unwrap_err();
        assert!(why.contains("asks for more"), "{why}");
    }

    /// A daemon that starts with a certificate that QNetd does not take has no vote to give.
    #[test]
    fn a_certificate_is_for_the_key_that_asked_and_from_the_witness_that_was_asked() {
        assert_eq!(answers(CERTIFICATE, REQUEST, AUTHORITY), Ok(()));
        let why = answers(OF_N2, REQUEST, AUTHORITY).unwrap_err();
        assert!(why.contains("another key"), "{why}");
        let why = answers(BY_ANOTHER, REQUEST, AUTHORITY).unwrap_err();
        assert!(why.contains("not signed by"), "{why}");
    }

    #[test]
    fn a_certificate_that_was_made_elsewhere_is_for_this_cluster_and_from_the_witness_that_is_to_vote()
     {
        assert_eq!(is_for(CERTIFICATE, &lab(), AUTHORITY), Ok(()));
        let why = is_for(CERTIFICATE, &"prod".parse().unwrap(), AUTHORITY).unwrap_err();
        assert_eq!(why, "the certificate is for `CN=lab`, and the cluster is `prod`");
        let why = is_for(BY_ANOTHER, &lab(), AUTHORITY).unwrap_err();
        assert!(why.contains("not signed by"), "{why}");
    }

    #[test]
    fn what_travels_and_what_the_tools_take_are_the_same() {
        let bytes = to_der::<CertReq>(REQUEST).unwrap();
        assert_eq!(to_pem::<CertReq>(&bytes).unwrap(), REQUEST);
        let crlf = AUTHORITY.replace('\n', "\r\n");
        assert_eq!(fingerprint(&crlf).unwrap(), fingerprint(AUTHORITY).unwrap());
    }
}
