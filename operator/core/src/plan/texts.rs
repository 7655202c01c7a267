//! The texts that hosts have, each read once: which one the members are held against, and whose says nothing of
//! this cluster.

use std::collections::BTreeMap;

use super::ground::Member;
use super::report::{Blocker, Obstacle};
use crate::change::ConfText;
use crate::conf::{ConfError, Config, Document};
use crate::ids::{ClusterName, Digest, HostName};
use crate::observed::{FileView, HostView};

/// All that are known, by digest: a text may be known from one host only, the others then publish its digest alone.
#[derive(Debug)]
pub(super) struct Texts<'a>(BTreeMap<Digest, Known<'a>>);

#[derive(Debug)]
struct Known<'a> {
    text: &'a str,
    document: Document,
    config: Result<Config, ConfError>,
}

/// The text in force, read.
pub(super) type Reference = (Document, Config, ConfText);

impl<'a> Texts<'a> {
    pub fn read(known: &[Member<'a>]) -> Self {
        let mut texts = BTreeMap::new();
        for file in known.iter().flat_map(|member| files(member.view)) {
            let Some(text) = file.text.as_deref() else { continue };
            texts.entry(file.digest).or_insert_with(|| {
                let document = Document::parse(text.as_bytes());
                let config = Config::read(&document);
                Known { text, document, config }
            });
        }
        Self(texts)
    }

    /// Takes the text that the members are held against: that of a quorate host where there is one.
    pub fn reference(
        &mut self,
        name: &ClusterName,
        known: &[Member<'_>],
    ) -> Result<Reference, Obstacle> {
        // Who lost its power while it was quorate says so for ever.
        let is_quorate = |member: &&Member<'_>| member.view.connected && member.view.quorate;
        let quorate = known.iter().filter(is_quorate);
        let rest = known.iter().filter(|member| !is_quorate(member));
        let all = quorate.chain(rest).flat_map(|m| files(m.view).map(|file| (&m.node.host, file)));
        let (mut own, mut fault) = (None, None);
        for (host, FileView { digest, .. }) in all {
            let Some(text) = self.0.get(digest) else { continue };
            match understood(name, host, &text.config) {
                Ok(()) => {
                    own = Some(*digest);
                    break;
                }
                Err(why) => fault = fault.or(Some(why)),
            }
        }
        match own.and_then(|digest| self.0.remove(&digest)) {
            Some(Known { text, document, config: Ok(config) }) => {
                let conf = ConfText::new(config.version, text.to_owned());
                Ok((document, config, conf))
            }
            Some(_) | None => Err(fault.unwrap_or_else(|| unknown(known))),
        }
    }

    /// Why a host has another file, and one that says nothing of the cluster of this name: nothing of what it
    /// belongs to is touched.
    pub fn strange(&self, name: &ClusterName, member: &Member<'_>) -> Option<Obstacle> {
        let own = files(member.view).filter_map(|file| self.0.get(&file.digest));
        own.map(|text| understood(name, &member.node.host, &text.config)).find_map(Result::err)
    }
}

fn files(view: &HostView) -> impl Iterator<Item = &FileView> {
    view.pmxcfs_file.iter().chain(&view.disk_file)
}

fn understood(
    name: &ClusterName,
    host: &HostName,
    config: &Result<Config, ConfError>,
) -> Result<(), Obstacle> {
    match config {
        Ok(config) if config.cluster_name == *name => Ok(()),
        Ok(Config { cluster_name: other, .. }) => {
            let sentence = format!("{host} belongs to the cluster `{other}`, not to `{name}`");
            Obstacle::stop(Blocker::ForeignCluster, sentence)
        }
        Err(error) => {
            let sentence = format!("the corosync.conf of {host} is not understood: {error}");
            Obstacle::stop(Blocker::ConfigNotUnderstood, sentence)
        }
    }
}

fn unknown(known: &[Member<'_>]) -> Obstacle {
    let named = known.iter().filter(|member| !member.view.is_empty());
    let hosts: Vec<_> = named.map(|member| member.node.host.to_string()).collect();
    let sentence = format!("{} have not reported their corosync.conf yet", hosts.join(", "));
    Obstacle::new(Blocker::ConfigUnknown, sentence)
}
