//! How far one gets with a bootstrap file: to the API server, past its certificate, to the own PveHost. Asks and
//! changes nothing.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::Timestamp;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::api::PostParams;
use kube::{Api, Client};
use pvecm_crds::PveHost;
use pvecm_crds::bootstrap::{Bootstrap, account_name};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::connect::config_of;
use super::in_time;

const TAKES_CONNECTION: Duration = Duration::from_secs(5);

/// Why a host does not come to its own object: what, where, why, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Unreached {
    /// The bootstrap file makes no client.
    #[error(
        "no connection can be made from the bootstrap file: {0}; enrol the host again with another file"
    )]
    File(String),
    /// Its name leads nowhere.
    #[error(
        "the API server's name {name} is not resolved on this host: {why}; mend the host's DNS or /etc/hosts, or enrol \
         it with `--server` and an address"
    )]
    Name {
        /// The name.
        name: String,
        /// What the resolver said.
        why: String,
    },
    /// Nobody takes a connection.
    #[error(
        "the API server at {at} takes no connection: {why}; is it up, and does a firewall or a route keep this host from \
         it?"
    )]
    Silent {
        /// Host and port.
        at: String,
        /// What the kernel said.
        why: String,
    },
    /// Another certificate than one that these vouch for.
    #[error(
        "the certificate of {server} is not accepted: {why}; if its CA was changed, paste on this host what `kubectl pvecm \
         host enrol --renew {host}` prints; if it has another name, enrol with `--tls-server-name`"
    )]
    Untrusted {
        /// The API server.
        server: String,
        /// The PveHost.
        host: String,
        /// What the TLS library said.
        why: String,
    },
    /// The token is not good.
    #[error(
        "the API server does not accept this host's token{}: paste on this host what `kubectl pvecm host enrol --renew \
         {host}` prints", ended(.end.as_ref())
    )]
    Token {
        /// The PveHost.
        host: String,
        /// When the token ended, if it has.
        end: Option<Timestamp>,
    },
    /// The account has too few rights.
    #[error(
        "the host's account may not read PveHost {host}: {why}; `kubectl pvecm host enrol` makes its Role anew"
    )]
    Forbidden {
        /// Namespace and name.
        host: String,
        /// What the API server said.
        why: String,
    },
    /// There is no such object.
    #[error("there is no PveHost {0}: enrol this host again")]
    NoHost(String),
    /// Something else.
    #[error("the API server at {at} does not answer as one: {why}")]
    Strange {
        /// Its address.
        at: String,
        /// What came.
        why: String,
    },
}

fn ended(end: Option<&Timestamp>) -> String {
    end.map_or_else(
        || ", which was ended with the account or is another cluster's".to_owned(),
        |end| format!(", which ended at {end}"),
    )
}

/// What is there, where one gets to it.
#[derive(Debug, Clone)]
pub struct Reached {
    /// The own object.
    pub host: PveHost,
    /// What the account may not do and needs, in words.
    pub lacks: Vec<String>,
}

/// Goes as far as one gets with exactly this token and these certificates.
pub async fn reach(bootstrap: &Bootstrap) -> Result<Reached, Unreached> {
    let file = |error: anyhow::Error| Unreached::File(format!("{error:#}"));
    let config = config_of(bootstrap).await.map_err(file)?;
    if config.cluster_url.scheme_str() != Some("https") {
        return Err(Unreached::File(format!("`server` is {}, no https address", bootstrap.server)));
    }
    connect(config.cluster_url.host(), config.cluster_url.port_u16()).await?;
    let client = Client::try_from(config).map_err(|error| file(error.into()))?;
    let api: Api<PveHost> = Api::namespaced(client.clone(), &bootstrap.namespace);
    let found = in_time(api.get(bootstrap.host.as_str())).await;
    let host = found.map_err(|error| unreached(bootstrap, &error))?;
    Ok(Reached { host, lacks: lacks(&client, bootstrap).await })
}

async fn connect(host: Option<&str>, port: Option<u16>) -> Result<(), Unreached> {
    // An IPv6 address stands in brackets in an address of the web.
    let name = host.unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let port = port.unwrap_or(443);
    let silent = |why: String| Unreached::Silent { at: format!("{name}:{port}"), why };
    let unresolved = |why: String| Unreached::Name { name: name.clone(), why };
    let resolved = timeout(TAKES_CONNECTION, tokio::net::lookup_host((name.as_str(), port))).await;
    let resolved = resolved.map_err(|late| unresolved(late.to_string()))?;
    let addresses: Vec<_> = resolved.map_err(|error| unresolved(error.to_string()))?.collect();
    match timeout(TAKES_CONNECTION, TcpStream::connect(addresses.as_slice())).await {
        Ok(connected) => connected.map(drop).map_err(|error| silent(error.to_string())),
        Err(_) => Err(silent(format!("no answer within {} s", TAKES_CONNECTION.as_secs()))),
    }
}

fn unreached(bootstrap: &Bootstrap, error: &anyhow::Error) -> Unreached {
    let Bootstrap { namespace, host, server, .. } = bootstrap;
    let (own, why) = (format!("{namespace}/{host}"), format!("{error:#}"));
    match error.downcast_ref() {
        Some(kube::Error::Api(said)) if said.code == 401 => {
            let end = token_end(&bootstrap.token).filter(|end| *end < Timestamp::now());
            Unreached::Token { host: host.to_string(), end }
        }
        Some(kube::Error::Api(said)) if said.code == 403 => {
            Unreached::Forbidden { host: own, why: said.message.clone() }
        }
        Some(kube::Error::Api(said)) if said.code == 404 => Unreached::NoHost(own),
        _ if why.contains("certificate") => {
            Unreached::Untrusted { server: server.clone(), host: host.to_string(), why }
        }
        _ => Unreached::Strange { at: server.clone(), why },
    }
}

/// When a token of a `ServiceAccount` ends, by its own word.
#[must_use]
pub fn token_end(token: &str) -> Option<Timestamp> {
    let claims = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&claims).ok()?;
    Timestamp::from_second(claims["exp"].as_i64()?).ok()
}

/// What an agent does: verb, group, resource, subresource.
const NEEDS: [(&str, &str, &str, &str); 5] = [
    ("patch", "pvecm.io", "pvehosts", "status"),
    ("list", "pvecm.io", "pvechanges", ""),
    ("patch", "coordination.k8s.io", "leases", ""),
    ("create", "", "serviceaccounts", "token"),
    ("get", "", "configmaps", ""),
];

/// What of it the account may not do. An API server that does not say counts as one that allows.
async fn lacks(client: &Client, bootstrap: &Bootstrap) -> Vec<String> {
    let api: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let mut lacks = Vec::new();
    for (verb, group, resource, subresource) in NEEDS {
        let name = match resource {
            "pvechanges" => None,
            "serviceaccounts" => Some(account_name(&bootstrap.host)),
            "configmaps" => Some("kube-root-ca.crt".to_owned()),
            _ => Some(bootstrap.host.to_string()),
        };
        let asks_for = ResourceAttributes {
            namespace: Some(bootstrap.namespace.clone()),
            verb: Some(verb.to_owned()),
            group: Some(group.to_owned()),
            resource: Some(resource.to_owned()),
            subresource: Some(subresource.to_owned()).filter(|subresource| !subresource.is_empty()),
            name,
            ..ResourceAttributes::default()
        };
        let spec = SelfSubjectAccessReviewSpec {
            resource_attributes: Some(asks_for),
            ..SelfSubjectAccessReviewSpec::default()
        };
        let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
        let answer = in_time(api.create(&PostParams::default(), &review)).await;
        let denied = |review: SelfSubjectAccessReview| review.status.is_some_and(|s| !s.allowed);
        if answer.is_ok_and(denied) {
            let below = if subresource.is_empty() { "" } else { "/" };
            lacks.push(format!("{verb} {resource}{below}{subresource}"));
        }
    }
    lacks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bootstrap(server: &str, token: &str) -> Bootstrap {
        let text = serde_json::json!({"server": server, "certificateAuthority": "",
            "namespace": "pve", "host": "n1", "token": token, "heartbeatSeconds": 2,
            "expirationSeconds": 600});
        serde_json::from_value(text).unwrap()
    }

    fn refused(code: u16, token: &str) -> String {
        let status = kube::core::Status { code, message: "no".to_owned(), ..Default::default() };
        let error = anyhow::Error::from(kube::Error::Api(Box::new(status)));
        unreached(&bootstrap("https://api:6443", token), &error).to_string()
    }

    /// A token that ended in 1970.
    fn expired() -> String {
        format!("e30.{}.c2ln", BASE64_URL_SAFE_NO_PAD.encode(r#"{"exp": 60}"#))
    }

    #[test]
    fn the_end_of_a_token_stands_in_it() {
        assert_eq!(token_end(&expired()), Timestamp::from_second(60).ok());
        assert_eq!(token_end("no token"), None);
    }

    #[test]
    fn each_refusal_of_the_api_server_says_what_to_do() {
        let token = refused(401, &expired());
        assert!(token.contains("which ended at 1970-01-01T00:01:00Z: paste"), "{token}");
        assert!(token.contains("enrol --renew n1`"), "{token}");
        let other = refused(401, "token");
        assert!(other.contains("was ended with the account"), "{other}");
        assert!(refused(403, "").contains("may not read PveHost pve/n1: no; `kubectl pvecm"));
        assert!(refused(404, "").contains("no PveHost pve/n1: enrol this host again"));
        assert!(refused(500, "").contains("does not answer as one"));
    }

    #[test]
    fn another_certificate_is_told_from_an_api_server_that_is_broken() {
        let of = |why: &'static str| {
            let error = anyhow::anyhow!(why);
            unreached(&bootstrap("https://api:6443", ""), &error).to_string()
        };
        let untrusted = of("invalid peer certificate: UnknownIssuer");
        assert!(untrusted.contains("UnknownIssuer; if its CA was changed, paste"), "{untrusted}");
        assert!(of("connection closed").contains("does not answer as one"));
    }

    #[tokio::test]
    async fn an_address_that_leads_nowhere_is_told_from_one_where_nobody_listens() {
        let plain = reach(&bootstrap("http://127.0.0.1:1", "")).await.unwrap_err().to_string();
        assert!(plain.contains("no https address"), "{plain}");
        let unknown = connect(Some("no such name"), None).await.unwrap_err().to_string();
        assert!(unknown.contains("no such name is not resolved on this host"), "{unknown}");
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = nobody.local_addr().unwrap().port();
        drop(nobody);
        let silent = connect(Some("127.0.0.1"), Some(port)).await.unwrap_err().to_string();
        assert!(silent.contains(&format!("127.0.0.1:{port} takes no connection")), "{silent}");
    }
}
