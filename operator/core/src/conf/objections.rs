//! Everything for which a file is not understood, where [`Config::read`] stops at the first.
//!
//! For a person who has to mend the file by hand: one look, not one look per line.

use super::config::{
    Config, check_format, cluster_name, read_interface, read_node, read_quorum, read_version,
    single,
};
use super::document::{Document, SectionView};
use super::old_transports::is_knet;
use super::options::{TotemOptions, Transport};
use super::values::ConfError;

/// The reasons for which [`Config::read`] refuses a document, each once, in the order of the file's
/// sections. Empty exactly where it does not.
#[must_use]
pub fn objections(document: &Document) -> Vec<ConfError> {
    let problems = document.problems().iter().cloned().map(ConfError::from);
    let mut found: Vec<ConfError> = problems.collect();
    match single(document, "totem") {
        Ok(totem) => of_totem(document, &totem, &mut found),
        Err(why) => found.push(why),
    }
    match single(document, "nodelist") {
        Ok(list) => {
            let nodes = list.sections("node");
            found.extend(nodes.filter_map(|node| read_node::<&str>(&node).err()));
        }
        Err(why) => found.push(why),
    }
    let quorum = single(document, "quorum").and_then(|quorum| read_quorum(&quorum));
    found.extend(quorum.err());
    // What only shows when all is put together: names and ids that are there twice, uneven links.
    if found.is_empty() {
        found.extend(Config::read(document).err());
    }
    found
}

fn of_totem(document: &Document, totem: &SectionView<'_>, found: &mut Vec<ConfError>) {
    found.extend(check_format(totem).err());
    found.extend(read_version(document, totem).err());
    found.extend(cluster_name(totem).err());
    // With an unknown transport the other keys may be wrong as well.
    let transport = Transport::read(totem).err();
    let other = TotemOptions::read(totem).err().filter(|why| Some(why) != transport.as_ref());
    found.extend(transport.into_iter().chain(other));
    let (interfaces, is_knet) = (totem.sections("interface"), is_knet(totem));
    found.extend(interfaces.filter_map(|section| read_interface(&section, is_knet).err()));
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "\
totem {
  version: 2
  cluster_name: old
  config_version: 3
  transport: iba
  token: 10_000
  interface {
    ringnumber: 0
    bindnetaddr: 10.0.0.0
  }
}
nodelist {
  node {
    nodeid: 1
    ring0_addr: a
  }
}
quorum {
  provider: majority
}
";

    #[test]
    fn every_reason_is_told_and_the_first_of_config_read_is_among_them() {
        let document = Document::parse(OLD.as_bytes());
        let said: Vec<_> = objections(&document).iter().map(ToString::to_string).collect();
        assert_eq!(said.len(), 5, "{said:#?}");
        for (told, part) in
            said.iter().zip(["transport", "token", "ringnumber", "name", "provider"])
        {
            assert!(told.contains(part), "{told} does not speak of {part}");
        }
        let first = Config::read(&document).map(drop).unwrap_err().to_string();
        assert!(said.contains(&first), "{first}");
    }

    #[test]
    fn what_only_shows_in_the_whole_is_told_as_well() {
        let twice = "totem {\nversion: 2\ncluster_name: a\nconfig_version: 1\n}\nnodelist {\n\
                     node {\nname: a\nnodeid: 1\nring0_addr: a\n}\nnode {\nname: b\nnodeid: 1\n\
                     ring0_addr: b\n}\n}\nquorum {\nprovider: corosync_votequorum\n}\n";
        let said = objections(&Document::parse(twice.as_bytes()));
        assert_eq!(said.len(), 1);
        assert!(said[0].to_string().contains("nodeid 1"), "{}", said[0]);
        let once = twice.replacen("nodeid: 1", "nodeid: 2", 1);
        assert_eq!(objections(&Document::parse(once.as_bytes())), []);
    }
}
