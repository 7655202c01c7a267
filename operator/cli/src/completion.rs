//! What a shell offers while a command is typed.
//!
//! kubectl (since 1.26) asks a program `kubectl_complete-pvecm` on the PATH, with the words behind `kubectl pvecm`. It
//! expects one candidate a line, its help behind a tab, and at last a number that says what the shell does besides.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::io;
use std::iter::once;
use std::time::Duration;

use clap::CommandFactory as _;
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate, complete};
use kube::api::ListParams;
use kube::core::NamespaceResourceScope;
use kube::{Api, Resource, ResourceExt as _};
use pvecm_crds::{PveChange, PveCluster, PveHost};
use serde::de::DeserializeOwned;

use crate::cli::{Args, Connection, online};

/// The first word of a question.
const ASKS: &str = "__complete";

/// The program that kubectl asks.
pub const PROGRAM: &str = "\
#!/bin/sh
exec kubectl pvecm __complete \"$@\"
";

/// The words that are asked about, where the command line is a question. They are taken before any other reading: they may
/// be half a command line, flags included.
pub fn question() -> Option<Vec<OsString>> {
    let mut words = std::env::args_os().skip(1);
    (words.next()? == ASKS).then(|| words.collect())
}

/// The answer, as kubectl reads it.
pub fn answer(words: Vec<OsString>) -> io::Result<String> {
    const NO_FILES: u32 = 4;
    const NO_SPACE: u32 = 2;
    let last = words.len().max(1);
    let line = once(OsString::from("kubectl-pvecm")).chain(words).chain(once(OsString::new()));
    let here = std::env::current_dir().ok();
    let found =
        complete(&mut Args::command(), line.take(last + 1).collect(), last, here.as_deref())?;
    let mut out = String::new();
    let mut goes_on = false;
    for candidate in found.iter().filter(|candidate| !candidate.is_hide_set()) {
        let value = candidate.get_value().to_string_lossy();
        goes_on |= value.ends_with('/');
        let help = candidate.get_help().map(ToString::to_string).unwrap_or_default();
        let help = help.lines().next().unwrap_or_default();
        let _ = writeln!(out, "{value}{}{help}", if help.is_empty() { "" } else { "\t" });
    }
    let _ = writeln!(out, ":{}", NO_FILES + if goes_on { NO_SPACE } else { 0 });
    Ok(out)
}

/// Offers the names of `PveCluster`s.
pub fn clusters() -> ArgValueCandidates {
    ArgValueCandidates::new(names::<PveCluster>)
}

/// Offers the names of `PveHost`s.
pub fn hosts() -> ArgValueCandidates {
    ArgValueCandidates::new(names::<PveHost>)
}

/// Offers the names of `PveCluster`s and `PveChange`s.
pub fn clusters_and_changes() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let clusters = names::<PveCluster>();
        clusters.into_iter().chain(names::<PveChange>()).collect::<Vec<_>>()
    })
}

/// The names of all objects of a kind in the namespace that the words typed so far mean. None where nobody answers soon: a
/// shell waits for it.
fn names<K>() -> Vec<CompletionCandidate>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + DeserializeOwned
        + Clone
        + std::fmt::Debug,
{
    const PATIENCE: Duration = Duration::from_secs(2);
    let words = question().unwrap_or_default();
    let list = async {
        let (client, namespace) = connection(&words).connect().await?;
        let api: Api<K> = Api::namespaced(client, &namespace);
        anyhow::Ok(api.list_metadata(&ListParams::default()).await?.items)
    };
    let found = online(async { tokio::time::timeout(PATIENCE, list).await? });
    found.unwrap_or_default().iter().map(|one| CompletionCandidate::new(one.name_any())).collect()
}

/// The API server and the namespace in words of which some may be missing.
fn connection(words: &[OsString]) -> Connection {
    let value = |names: &[&str]| {
        let behind = words.windows(2).find(|pair| names.iter().any(|name| pair[0] == *name));
        let behind = behind.map(|pair| pair[1].as_os_str());
        let within = || words.iter().find_map(|word| assigned(word, names));
        Some(behind.or_else(within)?.to_string_lossy().into_owned())
    };
    Connection { namespace: value(&["-n", "--namespace"]), context: value(&["--context"]) }
}

/// What a word like `--namespace=pve` says.
fn assigned<'a>(word: &'a OsStr, names: &[&str]) -> Option<&'a OsStr> {
    let (name, value) = word.to_str()?.split_once('=')?;
    names.contains(&name).then(|| OsStr::new(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(line: &str) -> String {
        answer(line.split(' ').map(OsString::from).collect()).unwrap()
    }

    #[test]
    fn verbs_flags_and_words_are_offered_with_their_help() {
        let verbs = said("");
        assert!(verbs.contains("\nstatus\tShow a cluster on one screen"), "{verbs}");
        assert!(!verbs.contains(ASKS) && verbs.ends_with("\n:4\n"), "{verbs}");
        assert!(said("host d").starts_with("dead\tState that a machine"));
        assert!(said("history prod --out").starts_with("--output\t"));
        assert_eq!(
            said("history prod --output y"),
            "yaml\tFor programs, and people who like it\n:4\n"
        );
    }

    #[test]
    fn the_namespace_is_the_one_that_was_typed() {
        let of = |line: &str| {
            let words: Vec<_> = line.split(' ').map(OsString::from).collect();
            let Connection { namespace, context } = connection(&words);
            (namespace, context)
        };
        assert_eq!(of("-n pve status --context lab "), (Some("pve".into()), Some("lab".into())));
        assert_eq!(of("status --namespace=pve "), (Some("pve".into()), None));
        assert_eq!(of("status "), (None, None));
    }
}
